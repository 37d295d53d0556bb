//! `.snapshot`: what a log knew of its producers at an offset.

use std::io::Write;
use std::path::Path;

use protocol::checksum::crc32c;

use super::fatal::Fatal;

const VERSION: i16 = 1;
/// Version and CRC, which the CRC does not cover.
const HEAD_BYTES: usize = 6;

/// Prints a snapshot. A damaged one is an error line, and not the end of the tool.
pub fn dump(path: &Path, out: &mut dyn Write, errors: &mut dyn Write) -> Result<(), Fatal> {
    let bytes = std::fs::read(path).map_err(|error| Fatal::file(path, &error))?;
    match read(&bytes) {
        Ok(entries) => {
            for entry in entries {
                print(&entry, out)?;
            }
        }
        Err(reason) => writeln!(errors, "{reason}")?,
    }
    Ok(())
}

struct Entry {
    producer_id: i64,
    producer_epoch: i16,
    last_sequence: i32,
    last_offset: i64,
    offset_delta: i32,
    timestamp: i64,
    coordinator_epoch: i32,
    transaction_first_offset: i64,
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let schema = |reason: String| format!("Snapshot failed schema validation: {reason}");
    let mut input = Input(bytes);
    let version = i16::from_be_bytes(input.take("version").map_err(schema)?);
    let stored = u32::from_be_bytes(input.take("crc").map_err(schema)?);
    let entries = read_entries(&mut input)
        .map_err(|reason| schema(format!("Error reading field 'producer_entries': {reason}")))?;
    if version != VERSION {
        return Err(format!(
            "Snapshot contained an unknown file version {version}"
        ));
    }
    let computed = crc32c(&bytes[HEAD_BYTES..]);
    if stored != computed {
        return Err(format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. \
             Computed crc: {computed}"
        ));
    }
    Ok(entries)
}

fn read_entries(input: &mut Input<'_>) -> Result<Vec<Entry>, String> {
    let count = input
        .0
        .split_off(..4)
        .and_then(|bytes| bytes.try_into().ok());
    let count = i32::from_be_bytes(count.ok_or("java.nio.BufferUnderflowException")?);
    let count =
        usize::try_from(count).map_err(|_| format!("Array size {count} cannot be negative"))?;
    if count > input.0.len() {
        return Err(format!(
            "Error reading array of size {count}, only {} bytes available",
            input.0.len()
        ));
    }
    let read_entry = |_| {
        Ok(Entry {
            producer_id: i64::from_be_bytes(input.take("producer_id")?),
            producer_epoch: i16::from_be_bytes(input.take("epoch")?),
            last_sequence: i32::from_be_bytes(input.take("last_sequence")?),
            last_offset: i64::from_be_bytes(input.take("last_offset")?),
            offset_delta: i32::from_be_bytes(input.take("offset_delta")?),
            timestamp: i64::from_be_bytes(input.take("timestamp")?),
            coordinator_epoch: i32::from_be_bytes(input.take("coordinator_epoch")?),
            transaction_first_offset: i64::from_be_bytes(input.take("current_txn_first_offset")?),
        })
    };
    (0..count).map(read_entry).collect()
}

/// Takes fields from the front, and names the one that is cut short.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self, field: &str) -> Result<[u8; N], String> {
        let bytes = self
            .0
            .split_off(..N)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| {
            format!("Error reading field '{field}': java.nio.BufferUnderflowException")
        })
    }
}

fn print(entry: &Entry, out: &mut dyn Write) -> Result<(), Fatal> {
    let first_offset = match entry.transaction_first_offset {
        offset if offset >= 0 => format!("OptionalLong[{offset}]"),
        _ => "OptionalLong.empty".into(),
    };
    write!(
        out,
        "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: \
         {first_offset} lastTimestamp: {} ",
        entry.producer_id, entry.producer_epoch, entry.coordinator_epoch, entry.timestamp
    )?;
    if entry.last_offset >= 0 {
        let distance = entry.offset_delta;
        write!(
            out,
            "firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {distance} \
             timestamp: {}",
            first_sequence(entry.last_sequence, distance),
            entry.last_sequence,
            entry.last_offset,
            entry.timestamp
        )?;
    }
    writeln!(out)?;
    Ok(())
}

/// Counts back, past zero to the largest sequence number.
fn first_sequence(last: i32, distance: i32) -> i32 {
    if last >= distance {
        last - distance
    } else {
        i32::MAX - (distance - last) + 1
    }
}
