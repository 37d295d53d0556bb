//! What can go wrong in the harness. Nothing is retried: a benchmark that had to retry is void.

use std::io;

use protocol::error::ErrorCode;
use protocol::wire::{DecodeError, EncodeError};

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the operating system failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The broker refused something.
    #[error("{doing}: the broker answered {}", name_of(*code))]
    Refused {
        /// What was being done.
        doing: String,
        /// Kafka's error code.
        code: i16,
    },
    /// The broker's answer cannot be read.
    #[error("{doing}: {source}")]
    Decode {
        /// What was being done.
        doing: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A request cannot be written in the version that was agreed on.
    #[error("{doing}: {source}")]
    Encode {
        /// What was being done.
        doing: String,
        /// What is wrong with it.
        source: EncodeError,
    },
    /// The broker did something it must not do.
    #[error("the broker is wrong: {0}")]
    Broken(String),
    /// The options do not fit together, or do not fit the broker.
    #[error("{0}")]
    Unusable(String),
    /// No answer came.
    #[error("{doing}: no answer within {seconds:.1} s")]
    TimedOut {
        /// What was being done.
        doing: String,
        /// How long it was waited for.
        seconds: f64,
    },
}

impl Error {
    /// Says what was being done when the system refused.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }

    /// Turns an error code into an error, unless it is 0.
    pub fn refused(doing: impl FnOnce() -> String, code: i16) -> Result<(), Error> {
        match code {
            0 => Ok(()),
            code => Err(Error::Refused {
                doing: doing(),
                code,
            }),
        }
    }
}

fn name_of(code: i16) -> String {
    match ErrorCode::from_code(code) {
        Some(known) => format!("{} ({code}: {})", known.name(), known.message()),
        None => format!("the unknown error code {code}"),
    }
}
