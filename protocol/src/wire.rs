//! The primitives of Kafka's wire format: [`Decoder`] reads them from a frame, [`Encoder`] writes
//! them to one.
//!
//! Knows the primitives and the two layouts, not the messages. Two rules keep generated code
//! short:
//! - **An error sticks.** After the first one the decoder reads zeros and empty values (the
//!   encoder writes on into a frame nobody will see) until the caller asks
//!   [`Decoder::status`]; so a message is read in a straight line and checked once.
//! - **The layout is state.** A message says once whether its version is flexible (KIP-482), and
//!   strings, bytes, arrays and tagged fields follow.

mod decode;
pub(crate) mod element;
mod elements;
mod encode;
pub(crate) mod owned;
mod varint;

pub use decode::{Decoder, Tags};
pub use elements::{Elements, Iter};
pub use encode::{Encoded, Encoder, OpenTag, OpenTags, Splice};
pub use varint::{unsigned_varint_len, varint_len, varlong_len};

use std::borrow::Cow;

/// How strings, bytes, arrays and structs are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Layout {
    /// Lengths are fixed-width integers, and there are no tagged fields.
    #[default]
    Fixed,
    /// Lengths are varints, one more than they say, and every struct ends with tagged fields.
    Flexible,
}

impl Layout {
    /// The layout of a version of a message whose flexible versions begin at `flexible_from`.
    #[inline]
    #[must_use]
    pub const fn of(version: i16, flexible_from: i16) -> Layout {
        if version >= flexible_from {
            Layout::Flexible
        } else {
            Layout::Fixed
        }
    }
}

/// Why a frame cannot be read. The client that sent it is wrong; nothing of ours is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends before the value does, or a count promises more than the frame can hold.
    #[error("the frame ends before its content does")]
    Truncated,
    /// A length or count is negative where it may not be.
    #[error("a length is negative")]
    NegativeLength,
    /// A field that may not be null in this version is null.
    #[error("a field that must have a value is null")]
    UnexpectedNull,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    InvalidUtf8,
    /// A string is longer than 32,767 bytes.
    #[error("a string is too long")]
    StringTooLong,
    /// A varint has too many bytes, or too many bits.
    #[error("a varint is too long")]
    VarintTooLong,
    /// The frame's arrays would need more memory than its size entitles it to.
    #[error("the frame's arrays need more memory than allowed for its size")]
    OverBudget,
    /// Tagged fields do not ascend.
    #[error("tagged fields are out of order")]
    TagOrder,
    /// A tagged field is longer or shorter than it says.
    #[error("a tagged field is not as long as it says")]
    TagSize,
    /// There are more unknown tagged fields than any real client sends.
    #[error("too many unknown tagged fields")]
    TooManyTags,
    /// The message has no such version.
    #[error("there is no version {0} of this message")]
    UnsupportedVersion(i16),
    /// The API, or kind of record, does not exist.
    #[error("there is no API or record of key {0}")]
    UnknownKey(i16),
    /// There are bytes after the message.
    #[error("there are bytes after the end of the message")]
    TrailingBytes,
}

/// Why a message cannot be written: a mistake of ours, not of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// A field has a value, and the version has no such field, and dropping it would change what
    /// the message means.
    #[error("version {version} cannot carry the value of the field {field}")]
    NotInVersion {
        /// The field's name.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is null, and may not be in this version.
    #[error("the field {field} is null, and may not be in version {version}")]
    UnexpectedNull {
        /// The field's name.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, byte string or array is longer than its length field can say.
    #[error("a string, byte string or array is too long for the wire")]
    TooLong,
    /// The message has no such version.
    #[error("there is no version {0} of this message")]
    UnsupportedVersion(i16),
}

/// A set of record batches as a field of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Records<'a> {
    /// The batches themselves. Decoding always gives this.
    Bytes(Cow<'a, [u8]>),
    /// `len` bytes that are not in memory. The encoder writes their length and marks the place;
    /// see [`Splice`].
    External {
        /// Names the bytes to whoever sends the frame.
        token: u64,
        /// How many bytes they are.
        len: u32,
    },
}

impl Records<'_> {
    /// No batches at all.
    pub const EMPTY: Records<'static> = Records::Bytes(Cow::Borrowed(&[]));

    /// How many bytes the batches take.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Records::Bytes(bytes) => bytes.len(),
            Records::External { len, .. } => *len as usize,
        }
    }

    /// Whether there are no batches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches, if they are in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Records::Bytes(bytes) => Some(bytes),
            Records::External { .. } => None,
        }
    }

    /// The same, not borrowed from the frame.
    #[must_use]
    pub fn into_owned(self) -> Records<'static> {
        match self {
            Records::Bytes(bytes) => Records::Bytes(Cow::Owned(bytes.into_owned())),
            Records::External { token, len } => Records::External { token, len },
        }
    }
}

impl Default for Records<'_> {
    fn default() -> Self {
        Records::EMPTY
    }
}

#[cfg(test)]
mod tests;
