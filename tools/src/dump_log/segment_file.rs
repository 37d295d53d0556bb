//! Reads the batches of a segment one after another, of whatever format.
//!
//! It must not know what is in a batch beyond its size and format. Memory: one batch at a time.
//! Invariant: a batch that is given out is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fatal::Fatal;

/// Offset, length, and then up to the format byte.
const HEAD_BYTES: u64 = 17;
/// Offset and length, which the length does not count.
const LENGTH_OVERHEAD: u64 = 12;
/// The least length a message of the oldest format has.
const LENGTH_MIN: i32 = 14;

/// An open segment.
pub struct SegmentFile {
    path: PathBuf,
    file: File,
    len: u64,
}

/// A batch, or a message of the old formats with what it wraps.
pub struct RawBatch {
    /// Where it begins in the file.
    pub position: u64,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Its format.
    pub magic: i8,
}

impl SegmentFile {
    /// Opens a segment.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        let file = File::open(path).map_err(|error| Fatal::file(path, &error))?;
        let len = file
            .metadata()
            .map_err(|error| Fatal::file(path, &error))?
            .len();
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
        })
    }

    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Refuses a position beyond the end, as an index that is not of this log may have.
    pub fn check_position(&self, position: i32) -> Result<u64, Fatal> {
        let refuse = |text| Err(Fatal::new("java.lang.IllegalArgumentException", text));
        let name = format!(
            "FileRecords(size={}, file={}, start=0, end={})",
            self.len,
            self.path.display(),
            i32::MAX
        );
        match u64::try_from(position) {
            Err(_) => refuse(format!("Invalid position: {position} in read from {name}")),
            Ok(beyond) if beyond > self.len => refuse(format!(
                "Slice from position {position} exceeds end position of {name}"
            )),
            Ok(position) => Ok(position),
        }
    }

    /// The batch at `position`, if it is whole before `end`. Where nothing but zeroes follow, as
    /// behind the log of a node that runs or was killed, there is none.
    pub fn batch_at(&self, position: u64, end: u64) -> Result<Option<RawBatch>, Fatal> {
        let end = end.min(self.len);
        if position + HEAD_BYTES >= end {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES as usize];
        self.read(&mut head, position)?;
        if head == [0; HEAD_BYTES as usize] {
            if self.is_zero_from(position)? {
                return Ok(None);
            }
            // A node that runs may have written it meanwhile.
            self.read(&mut head, position)?;
        }
        let length = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        if length < LENGTH_MIN {
            return Err(Fatal::corrupt_record(format!(
                "Found record size {length} smaller than minimum record overhead ({LENGTH_MIN}) \
                 in file {}.",
                self.path.display()
            )));
        }
        let size = LENGTH_OVERHEAD + length as u64;
        if position + size > end {
            return Ok(None);
        }
        let mut bytes = vec![0; size as usize];
        self.read(&mut bytes, position)?;
        Ok(Some(RawBatch {
            position,
            bytes,
            magic: head[16] as i8,
        }))
    }

    /// All whole batches from `position` on, up to `end`.
    pub fn batches(
        &self,
        mut position: u64,
        end: u64,
    ) -> impl Iterator<Item = Result<RawBatch, Fatal>> + '_ {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let batch = self.batch_at(position, end).transpose()?;
            match &batch {
                Ok(batch) => position += batch.bytes.len() as u64,
                Err(_) => failed = true,
            }
            Some(batch)
        })
    }

    fn is_zero_from(&self, mut position: u64) -> Result<bool, Fatal> {
        let mut piece = vec![0; 64 * 1024];
        while position < self.len {
            piece.truncate((self.len - position).min(piece.len() as u64) as usize);
            match self.file.read_exact_at(&mut piece, position) {
                // Its segment was closed meanwhile, and cut.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                read => read.map_err(|error| Fatal::file(&self.path, &error))?,
            }
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            position += piece.len() as u64;
        }
        Ok(true)
    }

    fn read(&self, into: &mut [u8], position: u64) -> Result<(), Fatal> {
        let read = self.file.read_exact_at(into, position);
        read.map_err(|error| Fatal::file(&self.path, &error))
    }
}
