//! What a read gives: a stretch of a segment's file, to be sent without copying.

use crate::disk;
use protocol::ids::Offset;
use ring::buffer::Buffer;
use ring::file::File;
use std::io;

/// Consecutive batches in a file. The file stays readable even if the segment is deleted.
#[derive(Clone, Debug)]
pub struct LogSlice {
    /// The segment's file.
    pub file: File,
    /// Where the first batch begins.
    pub position: u64,
    /// How many bytes there are; 0 if there is nothing to read.
    pub len: u32,
    /// Not even the first batch is whole: more bytes were not allowed.
    pub first_batch_incomplete: bool,
    /// Where the segment ends: every record in the slice is below.
    pub segment_end: Offset,
}

impl LogSlice {
    pub(crate) fn empty(file: File) -> Self {
        Self {
            file,
            position: 0,
            len: 0,
            first_batch_incomplete: false,
            segment_end: Offset(0),
        }
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes, for those who have to look at the records.
    pub async fn bytes(&self) -> io::Result<Buffer> {
        let len = self.len as usize;
        let buffer = Buffer::with_capacity(len);
        disk::read_in_ring(&self.file, buffer, len, self.position).await
    }
}
