//! The rules that hold for every file of the repository, as tests: layers, heads, sizes, banned
//! words and calls (each with its replacement), names of files, links, the tests that documents name.
//!
//! A rule's exceptions are a list beside it, each with a reason; a list that names something that
//! is no exception any more fails too, so that lists only shrink.

mod banned;
mod disk_calls;
mod layers;
mod links;
mod shape;
mod sources;
mod traps;
