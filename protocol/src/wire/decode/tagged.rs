//! Reads the tagged fields of a struct (KIP-482): known ones are handed to the caller, unknown ones
//! are skipped, and there may be only so many of them in a frame.

use super::Decoder;
use crate::wire::{DecodeError, Layout};

/// How many unknown tagged fields a frame may carry in all. Real clients send none, or a few for
/// each element of an array; skipping this many takes well under a millisecond.
const UNKNOWN_TAGS_MAX: u32 = 64 * 1024;

/// What is left of a struct's tagged fields.
#[derive(Debug)]
pub struct Tags {
    left: u32,
    least: u32,
    /// How much of the frame must be left after the field that was read last.
    end: usize,
}

impl Decoder<'_> {
    /// Begins the tagged fields of a struct; there are none in the fixed layout.
    #[inline]
    pub fn tags(&mut self) -> Tags {
        let left = match self.layout {
            Layout::Fixed => 0,
            Layout::Flexible => self.unsigned_varint(),
        };
        Tags {
            left,
            least: 0,
            end: self.rest.len(),
        }
    }

    /// The tag of the next tagged field, whose value the caller reads or [skips](Self::skip_tag);
    /// None after the last.
    pub fn next_tag(&mut self, tags: &mut Tags) -> Option<u32> {
        if self.rest.len() != tags.end {
            self.fail(DecodeError::TagSize);
        }
        if tags.left == 0 || self.error.is_some() {
            return None;
        }
        let tag = self.unsigned_varint();
        let size = self.unsigned_varint() as usize;
        if tag < tags.least {
            self.fail(DecodeError::TagOrder);
        }
        let Some(end) = self.rest.len().checked_sub(size) else {
            self.fail(DecodeError::Truncated);
            return None;
        };
        *tags = Tags {
            left: tags.left - 1,
            least: tag.saturating_add(1),
            end,
        };
        self.error.is_none().then_some(tag)
    }

    /// Skips the value of a tagged field that this version does not know.
    pub fn skip_tag(&mut self, tags: &Tags) {
        self.unknown_tags += 1;
        if self.unknown_tags > UNKNOWN_TAGS_MAX {
            self.fail(DecodeError::TooManyTags);
            return;
        }
        // A field that says it is longer than the frame was refused when its tag was read.
        self.rest = &self.rest[self.rest.len() - tags.end..];
    }

    /// Reads past the tagged fields of a struct that has none of its own.
    #[inline]
    pub fn skip_tags(&mut self) {
        if self.layout == Layout::Flexible {
            if let [0, rest @ ..] = self.rest {
                self.rest = rest;
            } else {
                self.skip_unknown_tags();
            }
        }
    }

    #[cold]
    fn skip_unknown_tags(&mut self) {
        let mut tags = self.tags();
        while self.next_tag(&mut tags).is_some() {
            self.skip_tag(&tags);
        }
    }
}
