//! The bare loops: the least that a server can do for the same work on this machine, driven by the
//! same load generator, each as a process of its own so that its cost is read the same way.
//!
//! - `receive` reads Produce requests, computes one CRC-32C over each, appends it to a file, and
//!   answers with nothing but the correlation id.
//! - `sendfile` answers Fetch requests with slices of files that hold the same batches.
//!
//! They keep no index, check nothing, and place nothing: what a broker costs beyond them is what
//! being a broker costs.

pub mod handshake;
pub mod receive;
pub mod sendfile;
