//! What the end-to-end tests stand on: nodes to test against, Kafka's own tools in one JVM, raw
//! frames, the real data set.
//!
//! It must know nothing of chiplog's inside: it sees a process, a port, a directory and the
//! bytes on the wire, and so the same tests run against Apache Kafka, which checks the tests
//! themselves: `CHIPLOG_TEST_TARGET=kafka cargo test -p chiplog-tests --test end_to_end`.
//!
//! Every node has its own port and its own directory, so tests run side by side. Nothing here
//! sleeps for a fixed time or tries a failed test again: [`state::reach`] waits for a state.

pub mod batch;
pub mod command_line;
pub mod fetched;
pub mod flights;
pub mod java;
pub mod messages;
pub mod node;
pub mod place;
pub mod raw;
pub mod state;
pub mod transactional;
pub mod zookeeper;
