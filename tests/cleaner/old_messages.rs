//! What a broker of before Kafka 0.11 left of a partition: messages of format 0, then of format 1,
//! with every codec of theirs, in segments that were last changed at very different times.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use protocol::batch::Compression;
use protocol::ids::{Offset, TimestampMs};
use protocol::legacy_record_set::{LegacyBuilder, LegacyMagic};

use crate::chance::Chance;
use crate::history::{BEGIN_MS, Written, key_and_value};

/// Every other segment was last changed so long ago: longer than any tombstone stays.
const LONG_AGO: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Writes so many messages into the directory of an empty log.
pub fn write(
    chance: &mut Chance,
    count: usize,
    segment_bytes: u32,
    directory: &Path,
) -> Vec<Written> {
    let (mut written, mut offset) = (Vec::new(), 0);
    let (mut base, mut segment, mut segments) = (0, Vec::new(), 0);
    while written.len() < count {
        let magic = match written.len() < count / 2 {
            true => LegacyMagic::V0,
            false => LegacyMagic::V1,
        };
        segment.extend(set(chance, magic, &mut offset, &mut written));
        if segment.len() > segment_bytes as usize * 3 / 4 || written.len() >= count {
            store(directory, base, &segment, segments % 2 == 0);
            (base, segments) = (offset, segments + 1);
            segment.clear();
        }
    }
    assert!(segments > 2, "several segments");
    written
}

/// A set as one producer sent it: some messages, or a wrapper of some.
fn set(
    chance: &mut Chance,
    magic: LegacyMagic,
    offset: &mut i64,
    written: &mut Vec<Written>,
) -> Vec<u8> {
    let codec = match chance.below(6) {
        0..3 => Compression::None,
        other => Compression::ALL[other - 2],
    };
    let now_ms = BEGIN_MS - 1_000_000 + *offset;
    let by_log = magic == LegacyMagic::V1 && chance.permille(100);
    let mut set = LegacyBuilder::new(magic, codec, by_log.then_some(TimestampMs(now_ms)));
    for _ in 0..=chance.below(30) {
        // The broker gave out every offset; an earlier cleaner may have left gaps.
        *offset += i64::from(chance.permille(30)) * 3;
        let (key, value) = key_and_value(chance);
        let time = match magic {
            LegacyMagic::V0 => TimestampMs::NONE,
            LegacyMagic::V1 => {
                TimestampMs(now_ms - i64::try_from(chance.below(500)).expect("small"))
            }
        };
        set.append(Offset(*offset), time, key.as_deref(), value.as_deref());
        written.push(Written {
            offset: *offset,
            key,
            value,
            transactional: false,
            aborted: false,
            old: true,
        });
        *offset += 1;
    }
    set.finish()
}

fn store(directory: &Path, base: i64, content: &[u8], long_ago: bool) {
    let path = |kind: &str| directory.join(format!("{base:020}.{kind}"));
    for (kind, content) in [("index", &[][..]), ("timeindex", &[]), ("log", content)] {
        fs::write(path(kind), content).expect("there is room");
    }
    let file = fs::File::open(path("log")).expect("it was just written");
    let began = SystemTime::UNIX_EPOCH + Duration::from_millis(BEGIN_MS as u64);
    let changed = if long_ago { began - LONG_AGO } else { began };
    file.set_modified(changed).expect("the file is ours");
}
