//! The load harness of chiplog: `bench produce` and `bench consume`, the bare loops that say what
//! the machine allows, and what the comparison with Kafka is built from.
//!
//! It speaks the protocol to any Kafka broker from outside and knows nothing of chiplog's insides,
//! so that all brokers are measured alike.

#![forbid(unsafe_code)]

pub mod batch_template;
pub mod clock;
pub mod cluster;
pub mod connection;
pub mod consume;
mod error;
pub mod floor;
mod frames;
pub mod latency;
pub mod payload;
pub mod poller;
pub mod process_cost;
pub mod produce;
pub mod schedule;
pub mod tiling;
pub mod window;

pub use error::Error;
