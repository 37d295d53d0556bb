//! The node: one thread a core, each with its own connections and partitions.
//!
//! The way of a produce request: `connection` → `frame` → `dispatch` → `handle/produce` → `scatter`
//! (→ `mail` to the owning shard) → `append` → `partition` → engine, and back through
//! `reply_queue`. Of a fetch: `handle/fetch` → `read` → log slices → the connection sends them from
//! the files. Of a change to topics: `metadata_log` → `install` on every shard.

#![recursion_limit = "256"]

pub mod config;
pub mod log_levels;

mod acceptors;
mod append;
mod authorized_operations;
mod checkpoints;
mod cleaner;
mod clock;
mod connection;
mod connection_limits;
mod coordination;
mod directories;
mod dispatch;
mod down_conversion;
mod drawn_keys;
mod entropy;
mod fetch_session;
mod fetch_waits;
mod frame;
mod gather;
mod handle;
mod install;
mod kafka_error;
mod listen;
mod log_start;
mod mail;
mod markers;
mod metadata_batches;
mod metadata_log;
mod metadata_snapshots;
mod moving;
mod node;
mod offline;
mod offsets;
mod partition;
mod placement;
mod producer_expiry;
mod producer_ids;
mod quorum;
mod read;
mod replay;
mod reply_queue;
mod request;
mod retention;
mod revival;
mod room;
mod scatter;
mod segment_offsets;
mod shard;
mod start;
mod stop;
mod transactional_append;
mod unflushed;
mod watch;
mod watches;

pub use start::{ServeError, serve};
