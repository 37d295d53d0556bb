//! One partition's log on disk, byte for byte as Apache Kafka 3.9 keeps it: segments, indexes,
//! leader epochs, producers' states, recovery, and the log directories that hold them.
//!
//! Knows nothing of the network, of replicas or of other partitions. A [`log::Log`] belongs to one
//! core. What touches files is a plan that owns what it needs (`Write`, `Read`, `Flush`,
//! `OffsetLookup`) and runs on the core's ring, or says in its name or documentation that it
//! blocks: start-up code and `ring::offload`.
//!
//! The way of an append, file by file: `append` (what comes in) → `enqueue` (is it sound?) →
//! `prepare` (only where records must be looked at, or stored otherwise than they came; with
//! `record_check` and `up_conversion`) → `assign` (sequence numbers, offsets, one write of all that
//! waits) → `write` (and `roll`) → `finish`. Of a read: `read` → `hot_tail`, or an index
//! (`active_index`, `index_map`) and `batch_walk` → `log_slice`. Of a start: `directory` → `load` →
//! `leftovers`, `repair`, `recovery`, `producer_load`. Of a log into another log directory:
//! `future_log` (the copy) → `exchange` (it takes the log's place).

mod active_index;
mod active_producer;
mod active_segment;
pub mod append;
mod append_blocking;
mod assign;
mod atomic_file;
mod batch_walk;
mod checkpoint;
mod close;
pub mod compact;
pub mod config;
pub mod directory;
mod directory_health;
mod directory_lock;
mod disk;
mod disk_error;
mod disk_space;
mod enqueue;
mod exchange;
#[cfg(test)]
mod fault;
mod file_name;
mod file_standing;
mod finish;
mod flush;
mod future_log;
mod hot_tail;
mod index_entry;
mod index_map;
mod index_repair;
mod index_rule;
mod last_batch;
mod leader_epochs;
mod leftovers;
mod load;
mod load_progress;
pub mod log;
mod log_slice;
mod meta_properties;
pub mod metadata_snapshot;
mod offset_lookup;
mod open_error;
mod open_segments;
mod partition_files;
mod partition_name;
mod partition_survey;
mod pieces;
mod prepare;
mod producer_entry;
mod producer_load;
mod producer_snapshot;
mod producer_table;
mod quorum_state;
mod random;
mod read;
mod read_ends;
mod record_check;
mod recovery;
mod removal;
mod repair;
mod replay;
mod reserve;
mod retention;
mod roll;
mod sealed_segment;
mod segment_offsets;
mod segment_scan;
mod stray;
#[cfg(test)]
mod tests;
mod truncate;
mod txn_index;
mod up_conversion;
mod verification;
mod write;

pub use active_producer::ActiveProducer;
pub use close::Closed;
pub use directory_health::DirectoryHealth;
pub use disk_error::DiskError;
pub use disk_space::DiskSpace;
pub use enqueue::{Checked, Queued};
pub use exchange::{Exchange, ExchangeError, Exchanged};
pub use finish::Done;
pub use flush::{Flush, FlushTo, Flushed};
pub use future_log::{CopyError, CopyPiece, CopyRead, FoundFuture};
pub use leader_epochs::EpochEnd;
pub use log_slice::LogSlice;
pub use meta_properties::{MetaProperties, MetaVersion};
pub use offset_lookup::{FoundOffset, OffsetLookup, OffsetQuery};
pub use open_error::OpenError;
pub use open_segments::set_open_segments_max;
pub use partition_name::{Standing, TopicPartition};
pub use partition_survey::FoundPartition;
pub use prepare::Preparation;
pub use quorum_state::QuorumState;
pub use read::{PendingRead, Read, ReadError, ReadFrom};
pub use removal::Removal;
pub use retention::{Expired, Expiry, Retired};
pub use segment_offsets::SegmentOffsets;
pub use txn_index::{AbortedLookup, AbortedTransaction};
pub use verification::VerificationGuard;
pub use write::{Write, Written};
