//! Replication decisions of one partition: who is in sync, how far the log is committed.
//!
//! Pure: no clock, no thread, no socket, no file. The server carries decisions out.

pub mod high_watermark;
pub mod leader;

pub use leader::{Leader, NotEnoughReplicas};
