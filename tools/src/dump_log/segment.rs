//! `.log` and `.checkpoint`: a line for each batch and, in depth, one for each record.

use std::io::Write;
use std::path::Path;

use protocol::batch::{BatchHeader, sequence_after};

use super::batch_line::{self, Kind};
use super::decoder::{Decoders, LogRecord};
use super::fatal::Fatal;
use super::mismatches::Mismatches;
use super::segment_file::{RawBatch, SegmentFile};
use super::{LogOptions, legacy, raft_control};

/// The snapshot that a fresh KRaft node starts from.
const BOOTSTRAP_SNAPSHOT: &str = "bootstrap.checkpoint";
/// The most that one batch may hold when decompressed.
const DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

/// Prints a segment.
pub fn dump(
    path: &Path,
    options: &LogOptions,
    decoders: &Decoders,
    out: &mut dyn Write,
    mismatches: &mut Mismatches,
) -> Result<(), Fatal> {
    print_head(path, out)?;
    let file = SegmentFile::open(path)?;
    let end = file.len().min(options.bytes_max);
    let mut valid_bytes = 0;
    let mut records = Records {
        path,
        options,
        decoders,
        mismatches,
        last_offset: -1,
    };
    for batch in file.batches(0, end) {
        let batch = batch?;
        let kind = batch_line::print(&batch, out)?;
        if options.deep {
            records.print(&batch, &kind, out)?;
        }
        valid_bytes += batch.bytes.len() as u64;
    }
    let trailing_bytes = end - valid_bytes;
    if trailing_bytes > 0 && !options.is_limited {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(
            out,
            "Found {trailing_bytes} invalid bytes at the end of {name}"
        )?;
    }
    Ok(())
}

fn print_head(path: &Path, out: &mut dyn Write) -> Result<(), Fatal> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name.ends_with(".log") {
        writeln!(out, "Log starting offset: {}", super::base_offset(path)?)?;
    } else if name == BOOTSTRAP_SNAPSHOT {
        writeln!(out, "KRaft bootstrap snapshot")?;
    } else {
        // The end offset and the epoch, as in 00000000000000000048-0000000001.checkpoint.
        let parts = name
            .strip_suffix(".checkpoint")
            .and_then(|stem| stem.split_once('-'));
        let id = parts.and_then(|(offset, epoch)| {
            Some((offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?))
        });
        let Some((offset, epoch)) = id else {
            let text = "No value present";
            return Err(Fatal::new("java.util.NoSuchElementException", text));
        };
        writeln!(out, "Snapshot end offset: {offset}, epoch: {epoch}")?;
    }
    Ok(())
}

struct Records<'a> {
    path: &'a Path,
    options: &'a LogOptions,
    decoders: &'a Decoders,
    mismatches: &'a mut Mismatches,
    last_offset: i64,
}

impl Records<'_> {
    fn print(&mut self, batch: &RawBatch, kind: &Kind, out: &mut dyn Write) -> Result<(), Fatal> {
        match kind {
            Kind::Legacy { timestamp_type } => {
                let message = legacy::Message::parse(&batch.bytes)?;
                message.for_each(&batch.bytes, &mut |message| {
                    self.print_legacy(message, timestamp_type, out)
                })
            }
            Kind::Batch {
                timestamp_type,
                header,
            } => {
                let mut scratch = Vec::new();
                let view = batch_line::view(batch)?;
                let records = view.records_in(&mut scratch, DECOMPRESSED_BYTES_MAX);
                for record in records.map_err(invalid)? {
                    let record = record.map_err(invalid)?;
                    let names: Vec<&str> = record.headers.map(|(name, _)| name).collect();
                    let record = LogRecord {
                        offset: record.offset.0,
                        timestamp: record.timestamp.0,
                        key: record.key,
                        value: record.value,
                    };
                    self.print_one(&record, header, timestamp_type, &names, out)?;
                }
                Ok(())
            }
        }
    }

    fn print_legacy(
        &mut self,
        message: &legacy::Message<'_>,
        timestamp_type: &str,
        out: &mut dyn Write,
    ) -> Result<(), Fatal> {
        let record = LogRecord {
            offset: message.offset,
            timestamp: message.timestamp,
            key: message.key,
            value: message.value,
        };
        self.follow(record.offset);
        if !self.options.skips_record_metadata {
            print_metadata(&record, timestamp_type, out)?;
            // The second brace is Kafka's.
            write!(out, " isValid: {} crc: {}}}", message.is_valid, message.crc)?;
        }
        self.print_content(&record, out)?;
        writeln!(out)?;
        Ok(())
    }

    fn print_one(
        &mut self,
        record: &LogRecord<'_>,
        header: &BatchHeader,
        timestamp_type: &str,
        header_names: &[&str],
        out: &mut dyn Write,
    ) -> Result<(), Fatal> {
        self.follow(record.offset);
        if !self.options.skips_record_metadata {
            print_metadata(record, timestamp_type, out)?;
            let distance = (record.offset - header.base_offset.0) as i32;
            let sequence = match header.base_sequence {
                base if base >= 0 => sequence_after(base, distance),
                _ => -1,
            };
            write!(
                out,
                " sequence: {sequence} headerKeys: [{}]",
                header_names.join(",")
            )?;
            if header.attributes.is_control() {
                raft_control::print(record, out)?;
            }
        }
        if !header.attributes.is_control() {
            self.print_content(record, out)?;
        }
        writeln!(out)?;
        Ok(())
    }

    /// Notes an offset that is not the one after the last.
    fn follow(&mut self, offset: i64) {
        if self.last_offset != -1 && offset != self.last_offset + 1 {
            self.mismatches.gap(self.path, self.last_offset, offset);
        }
        self.last_offset = offset;
    }

    fn print_content(&self, record: &LogRecord<'_>, out: &mut dyn Write) -> Result<(), Fatal> {
        if !self.options.prints_content {
            return Ok(());
        }
        let text = self.decoders.decode(record)?;
        // The indent of a record stands in front of the key if nothing else stands before it.
        let prefix = if self.options.skips_record_metadata {
            "| "
        } else {
            " "
        };
        if let Some(key) = text.key {
            write!(out, "{prefix}key: {key}")?;
        }
        if let Some(payload) = text.payload {
            write!(out, " payload: {payload}")?;
        }
        Ok(())
    }
}

fn print_metadata(
    record: &LogRecord<'_>,
    timestamp_type: &str,
    out: &mut dyn Write,
) -> Result<(), Fatal> {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    write!(
        out,
        "| offset: {} {timestamp_type}: {} keySize: {} valueSize: {}",
        record.offset,
        record.timestamp,
        size(record.key),
        size(record.value),
    )?;
    Ok(())
}

fn invalid(error: protocol::batch::BatchError) -> Fatal {
    Fatal::invalid_record(error.to_string())
}
