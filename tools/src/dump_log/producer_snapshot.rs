//! `.snapshot`: what a log knew of its producers at an offset.

use std::io::Write;
use std::path::Path;

use protocol::checksum::crc32c;
use protocol::wire::Decoder;

use super::fatal::Fatal;

const VERSION: i16 = 1;
/// Version and CRC, which the CRC does not cover.
const HEAD_BYTES: usize = 6;

/// Prints a snapshot. A damaged one is an error line, and not the end of the tool.
pub fn dump(path: &Path, out: &mut dyn Write) -> Result<(), Fatal> {
    let bytes = std::fs::read(path).map_err(|error| Fatal::file(path, &error))?;
    match read(&bytes) {
        Ok(entries) => {
            for entry in entries {
                print(&entry, out)?;
            }
        }
        Err(reason) => {
            out.flush()?;
            eprintln!("{reason}");
        }
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
    let mut input = Decoder::new(bytes);
    let version = input.i16();
    let stored = input.u32();
    let count = input.i32();
    let mut entries = Vec::new();
    for _ in 0..count {
        if input.status().is_err() {
            break;
        }
        entries.push(Entry {
            producer_id: input.i64(),
            producer_epoch: input.i16(),
            last_sequence: input.i32(),
            last_offset: input.i64(),
            offset_delta: input.i32(),
            timestamp: input.i64(),
            coordinator_epoch: input.i32(),
            transaction_first_offset: input.i64(),
        });
    }
    if let Err(error) = input.status() {
        return Err(format!("Snapshot failed schema validation: {error}"));
    }
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
