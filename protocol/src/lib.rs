//! Kafka's wire format: ids, error codes, primitives, messages, record batches, the API table.
//!
//! Depends on nothing of ours, and does nothing but turn bytes into values and back: no socket,
//! file, clock or thread. Whatever is decoded here comes from the network and is not trusted;
//! memory for a frame stays within a small multiple of its size.

pub mod api;
pub mod batch;
pub mod checksum;
pub mod compression;
pub mod error;
pub mod ids;
pub mod legacy_record_set;
pub mod messages;
pub mod records;
pub mod wire;
