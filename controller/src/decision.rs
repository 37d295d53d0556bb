//! What every decision gives back: records to commit, and what to answer once they are committed.

use protocol::error::ErrorCode;
use protocol::ids::Uuid;

use crate::record::Record;

/// Records to be committed as one atomic batch, and the answer that holds once they are.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Decision<T> {
    /// In the order in which they are to be applied; empty if nothing changes.
    pub records: Vec<Record>,
    /// For the client, after the records are committed and applied.
    pub outcome: T,
}

/// Why an item of a request is refused, in the words a Kafka controller uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: ErrorCode,
    /// The message; some refusals have none.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
        }
    }

    /// A refusal with the code's standard message.
    pub fn standard(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }

    /// A refusal without a message: clients then show their own text for the code.
    pub fn silent(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

/// The messages of one request's refusals, which clients only show: they may be many times as long as
/// what is wrong, so that they are left out beyond 1 MiB in all.
pub struct Messages {
    left_bytes: usize,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            left_bytes: 1024 * 1024,
        }
    }
}

impl Messages {
    /// `result`, its message left out if there is no room for it.
    pub fn admit<T>(&mut self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        result.map_err(|mut refusal| {
            let bytes = refusal.message.as_ref().map_or(0, String::len);
            match self.left_bytes.checked_sub(bytes) {
                Some(left) => self.left_bytes = left,
                None => refusal.message = None,
            }
            refusal
        })
    }
}

/// A source of entropy. The server gives the operating system's, a simulation a seeded one.
pub trait Draw {
    /// 64 uniformly distributed bits.
    fn draw(&mut self) -> u64;
}

impl<F: FnMut() -> u64> Draw for F {
    fn draw(&mut self) -> u64 {
        self()
    }
}

/// A random (version 4) id for a topic or a directory. As Kafka's, its text never begins with a
/// dash, so that tools can take it as an argument.
pub fn draw_uuid(draw: &mut dyn Draw) -> Uuid {
    loop {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&draw.draw().to_be_bytes());
        bytes[8..].copy_from_slice(&draw.draw().to_be_bytes());
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        // The first six bits are the first letter; 62 is the dash.
        if bytes[0] >> 2 != 62 {
            return Uuid(bytes);
        }
    }
}
