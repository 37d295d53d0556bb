//! The end-to-end tests: real clients and tools, and hostile ones, against a running node.
//!
//! One program, because all its tests share the JVM that Kafka's tools run in. Each test says
//! which promise of the project it shows; what they stand on is in tests/src/.

mod administration;
mod answers;
mod answers_compared;
mod back_pressure;
mod command_line;
mod commit_limits;
mod compaction;
mod config_keys;
mod configs;
mod console;
mod disk_trouble;
mod dump_log;
mod flights_survive;
mod footprint;
mod fresh_topics;
mod group_tools;
mod groups;
mod hostile_counts;
mod hostile_input;
mod idempotence;
mod isolation;
mod java_clients;
mod librdkafka;
mod list_offsets;
mod listeners;
mod log_directories;
mod metadata_survives;
mod moves;
mod one_after_another;
mod prepared_swap;
mod record_formats;
mod retention;
mod round_trip;
mod security;
mod static_members;
mod streams_reset;
mod swap;
mod topics;
mod transaction_swap;
mod transaction_tools;
mod transactional_pipeline;
mod transactions;
mod verifiable_producer;
mod very_many;
mod waiting;
mod zeroes_ahead;
