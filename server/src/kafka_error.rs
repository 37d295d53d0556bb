//! What clients are told of the engine's errors. Which Kafka error code an error is, it knows itself;
//! here it gets the words and the records that are told beside the code.

use std::io;

use engine::ReadError;
use engine::append::AppendError;
use protocol::error::ErrorCode;

use crate::partition::{AppendOutcome, RefusalDetails};

/// The outcome of an append that was refused or failed.
pub fn of_append(error: &AppendError) -> AppendOutcome {
    let message = match error {
        AppendError::InvalidRecord(_)
        | AppendError::InvalidRecords { .. }
        | AppendError::InvalidTimestamps { .. } => Some(error.to_string()),
        _ => None,
    };
    let record_errors = error.record_errors().to_vec();
    let says_more = message.is_some() || !record_errors.is_empty();
    let details = says_more.then(|| {
        Box::new(RefusalDetails {
            message,
            record_errors,
        })
    });
    AppendOutcome {
        details,
        ..AppendOutcome::refused(error.code())
    }
}

/// Why a read cannot be done.
pub fn of_read(error: &ReadError) -> ErrorCode {
    error.code()
}

/// Why a read failed under way.
pub fn of_io(error: &io::Error) -> ErrorCode {
    tracing::error!("reading a log segment failed: {error}");
    ErrorCode::KafkaStorageError
}
