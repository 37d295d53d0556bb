//! The client matrix, run by `cargo xtask clients`: clients of other languages, Kafka Streams and
//! Kafka Connect, each a program of its own against a node, with `kill -9` of the node in between.
//!
//! The programs lie in the folders beside this file and check what they see themselves; what
//! is left on the node is checked here a second time, with librdkafka.

mod connect;
mod course;
mod franz_go;
mod java_4_1;
mod kafkajs;
mod program;
mod python;
mod streams;
