//! `.timeindex`: which batch has the largest timestamp so far, and whether that is so.

use std::io::Write;
use std::path::Path;

use super::batch_line;
use super::fatal::Fatal;
use super::index_file::IndexFile;
use super::legacy;
use super::mismatches::Mismatches;
use super::offset_index::OffsetIndex;
use super::segment_file::{RawBatch, SegmentFile};
use super::{Options, absolute, sibling};

/// Timestamp and relative offset.
const ENTRY_BYTES: usize = 12;
const NO_TIMESTAMP: i64 = -1;
const DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

#[derive(Clone, Copy)]
struct Entry {
    timestamp: i64,
    offset: i64,
}

struct TimeIndex(IndexFile<ENTRY_BYTES>);

impl TimeIndex {
    fn entry(&self, at: usize) -> Entry {
        let (timestamp, relative) = self
            .0
            .entry(at)
            .split_first_chunk()
            .expect("an entry has twelve bytes");
        let relative: [u8; 4] = relative.try_into().expect("four are left");
        let relative = i32::from_be_bytes(relative);
        Entry {
            timestamp: i64::from_be_bytes(*timestamp),
            offset: self.0.base_offset.wrapping_add(relative.into()),
        }
    }

    fn sanity_check(&self, path: &Path) -> Result<(), Fatal> {
        let corrupt = |text: String| {
            Fatal::new(
                "org.apache.kafka.storage.internals.log.CorruptIndexException",
                text,
            )
        };
        let path = absolute(path);
        let path = path.display();
        if self.0.entries() > 0 {
            let (first, last) = (self.entry(0), self.entry(self.0.entries() - 1));
            let head = format!(
                "Corrupt time index found, time index file ({path}) has non-zero size but the last"
            );
            if last.timestamp < first.timestamp {
                return Err(corrupt(format!(
                    "{head} timestamp is {} which is less than the first timestamp {}",
                    last.timestamp, first.timestamp
                )));
            }
            if last.offset < self.0.base_offset {
                return Err(corrupt(format!(
                    "{head} offset is {} which is less than the first offset {}",
                    last.offset, self.0.base_offset
                )));
            }
        }
        if !self.0.is_even() {
            return Err(corrupt(format!(
                "Time index file {path} is corrupt, found {} bytes which is neither positive \
                 nor a multiple of {ENTRY_BYTES}",
                self.0.len()
            )));
        }
        Ok(())
    }
}

/// Prints a time index and checks it against its log.
pub fn dump(
    path: &Path,
    options: &Options,
    out: &mut dyn Write,
    mismatches: &mut Mismatches,
) -> Result<(), Fatal> {
    let log = SegmentFile::open(&sibling(path, "log"))?;
    let offsets = OffsetIndex::open(&sibling(path, "index"))?;
    let index = TimeIndex(IndexFile::open(path)?);
    if options.index_sanity_check {
        index.sanity_check(path)?;
        writeln!(out, "{} passed sanity check.", path.display())?;
        return Ok(());
    }
    let mut previous = NO_TIMESTAMP;
    for at in 0..index.0.entries() {
        let entry = index.entry(at);
        if at > 0 && entry.offset == index.0.base_offset {
            // An active index is longer than what is in it.
            return Ok(());
        }
        check(path, entry, previous, &log, &offsets, mismatches)?;
        if !options.verify_index_only {
            writeln!(
                out,
                "timestamp: {} offset: {}",
                entry.timestamp, entry.offset
            )?;
        }
        previous = entry.timestamp;
    }
    Ok(())
}

fn check(
    path: &Path,
    entry: Entry,
    previous: i64,
    log: &SegmentFile,
    offsets: &OffsetIndex,
    mismatches: &mut Mismatches,
) -> Result<(), Fatal> {
    let start = log.check_position(offsets.position_of(entry.offset))?;
    for batch in log.batches(start, log.len()) {
        let batch = batch?;
        let last = batch_line::last_offset(&batch)?;
        if last < entry.offset {
            continue;
        }
        if last != entry.offset {
            mismatches.time_offset(path, entry.offset, last);
            return Ok(());
        }
        let found = max_timestamp(&batch)?;
        if found != entry.timestamp {
            mismatches.timestamp(path, entry.timestamp, found);
        }
        if previous >= entry.timestamp {
            mismatches.time_order(path, entry.timestamp, previous);
        }
        return Ok(());
    }
    mismatches.time_offset(path, entry.offset, -1);
    Ok(())
}

/// The largest timestamp of a batch's records, which is what counts, not what its header says.
fn max_timestamp(batch: &RawBatch) -> Result<i64, Fatal> {
    let mut largest = NO_TIMESTAMP;
    if batch.magic < 2 {
        let message = legacy::Message::parse(&batch.bytes)?;
        message.for_each(&batch.bytes, &mut |record| {
            largest = largest.max(record.timestamp);
            Ok(())
        })?;
        return Ok(largest);
    }
    let invalid = |error: protocol::batch::BatchError| Fatal::invalid_record(error.to_string());
    let view = batch_line::view(batch)?;
    let mut scratch = Vec::new();
    for record in view
        .records_in(&mut scratch, DECOMPRESSED_BYTES_MAX)
        .map_err(invalid)?
    {
        largest = largest.max(record.map_err(invalid)?.timestamp.0);
    }
    Ok(largest)
}
