//! One core's runtime on io_uring: the only crate that speaks to the kernel on the data path.
//!
//! A [`Runtime`] belongs to the thread that made it and owns one ring, one queue of tasks, the
//! timers and a pool of buffers. It must not know Kafka, partitions or requests.
//!
//! One turn of the loop: run the tasks that are ready; then those that asked to run at the end of
//! the turn ([`yield_to_end_of_turn`]); then hand everything they submitted to the kernel and take
//! its completions with a single `io_uring_enter`, sleeping there if nothing is ready.
//!
//! Invariants:
//! - Memory and descriptors given to the kernel stay in the slab of operations in flight until the
//!   kernel has answered, even if the future that started the operation is dropped before.
//! - Futures are local to their thread; only wakers, mailboxes, files and offloaded closures cross.
//! - Work in one turn is bounded in polls, and every stream's work in one poll is bounded in bytes.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("ring runs on 64-bit Linux only: it is built on io_uring");

pub mod affinity;
pub mod buffer;
mod cross_thread;
mod descriptor;
mod driver;
pub mod event;
mod executor;
pub mod file;
pub mod file_limit;
mod file_system;
mod in_flight;
pub mod mailbox;
pub mod net;
mod offload;
mod priority;
mod probe;
mod residency;
mod send_pieces;
pub mod signal;
mod task;
pub mod timer;
mod write;

pub use executor::{Options, Runtime, spawn, yield_now, yield_to_end_of_turn};
pub use offload::{
    COMPUTING_THREADS_MAX, Helpers, compute, offload, offload_slow, offload_unhurried,
};
pub use probe::SetupError;
