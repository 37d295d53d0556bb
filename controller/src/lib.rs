//! Decisions about cluster metadata, and the image they are made on.
//!
//! A request becomes records and an answer (`topics`, `producer_ids`, `alter_configs`, `quotas`,
//! `scram`, `features`, `elections`, `reassignments`, `brokers`, `directories`); the caller commits
//! the records to the metadata log and applies them to the image; only then it answers.
//! Nothing here reads a clock, opens a file or a socket, or draws a random number: entropy comes
//! in as `Draw`. Records are KRaft's, so that Kafka's own tools read the log.

pub mod adopt;
pub mod alter_configs;
pub mod bootstrap;
pub mod brokers;
pub mod client_metrics;
pub mod config_key;
pub mod config_source;
pub mod decision;
pub mod directories;
pub mod elections;
pub mod features;
pub mod image;
pub mod leadership;
pub mod placement;
pub mod producer_ids;
pub mod quotas;
pub mod reassignments;
pub mod record;
pub mod record_codec;
pub mod scram;
pub mod scram_formatter;
pub mod topic_config;
pub mod topic_name;
pub mod topics;

#[cfg(test)]
mod testing;

pub use decision::{Decision, Draw, Messages, Refusal};
pub use image::Image;
pub use record::Record;
