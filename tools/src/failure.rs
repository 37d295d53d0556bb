//! Why a tool ends without having done its work. Each tool says it in its own words, on the stream
//! that Kafka's tool uses; the exit code is always 1.

use std::io;

use crate::client;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The options do not go together.
    #[error("{0}")]
    Usage(String),
    /// The tool's own finding.
    #[error("{0}")]
    Said(String),
    /// The cluster did not do it.
    #[error("{0}")]
    Client(#[from] client::Error),
    /// The output cannot be written.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A finding of the tool itself.
    pub fn said(text: impl Into<String>) -> Failure {
        Failure::Said(text.into())
    }

    /// Options that do not go together.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::Usage(text.into())
    }

    /// Whether nobody reads the output any more, as after `| head`.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
