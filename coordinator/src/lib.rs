//! The decisions of coordinators: what a partition of an internal topic is answerable for.
//!
//! Pure: no clock, thread, socket, file or randomness; time and random ids come in with the
//! requests. Each coordinator is a [`machine::Machine`]: requests and the time go in, replies and
//! records for the internal topic come out, and the server carries them out.

pub mod group;
pub mod machine;
pub mod page;
pub mod transaction;
