//! What Kafka's tool dies of: the class and message of a Java exception. The first line that it
//! prints is printed here as well; the stack trace is not.

use std::fmt;
use std::io;
use std::path::Path;

/// The end of the tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Fatal {
    class: &'static str,
    message: Option<String>,
    /// Nobody reads the output any more, as after `| head`.
    pub is_broken_pipe: bool,
}

impl Fatal {
    /// An exception of a class, with a message.
    pub fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            message: Some(message.into()),
            is_broken_pipe: false,
        }
    }

    /// An exception without a message.
    pub fn bare(class: &'static str) -> Self {
        Self {
            class,
            message: None,
            is_broken_pipe: false,
        }
    }

    /// A file that cannot be opened or read.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::new(
                "java.nio.file.NoSuchFileException",
                path.display().to_string(),
            ),
            io::ErrorKind::PermissionDenied => Self::new(
                "java.nio.file.AccessDeniedException",
                path.display().to_string(),
            ),
            _ => Self::new(
                "java.io.IOException",
                format!("{}: {error}", path.display()),
            ),
        }
    }

    /// Records that contradict their batch.
    pub fn invalid_record(message: impl Into<String>) -> Self {
        Self::new("org.apache.kafka.common.InvalidRecordException", message)
    }

    /// A batch that cannot be.
    pub fn corrupt_record(message: impl Into<String>) -> Self {
        Self::new(
            "org.apache.kafka.common.errors.CorruptRecordException",
            message,
        )
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception in thread \"main\" {}", self.class)?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for Fatal {
    /// Standard output cannot be written.
    fn from(error: io::Error) -> Self {
        Self {
            is_broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Self::new("java.io.IOException", error.to_string())
        }
    }
}
