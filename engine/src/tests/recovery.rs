//! After unclean stops: what was written whole stays, the rest goes, and the next start is right.

use super::*;
use crate::index_entry::{Entry, OffsetEntry};
use protocol::batch::BatchHeader;

fn crash(recovery_point: i64) -> Left {
    Left::Crashed {
        recovery_point: Offset(recovery_point),
    }
}

fn filled(place: &Place, batches: i64) -> Log {
    let mut log = place.open(Left::Closed);
    for at in 0..batches {
        let append = Append {
            leader_epoch: LeaderEpoch(at as i32 / 7),
            ..of_client(batch(3, 1000 + at))
        };
        append_all(&mut log, [append]).pop().unwrap().unwrap();
    }
    log
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_cut_at_any_byte_leaves_the_whole_batches_before_it() {
    let original = Place::new(LogConfig {
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    drop(filled(&original, 12));
    let size = std::fs::metadata(original.path(0, Kind::Log))
        .unwrap()
        .len();
    let one = size / 12;
    for cut in size - 3 * one..=size {
        let place = Place::new((*original.config).clone());
        copy(&original.directory, &place.directory);
        std::fs::File::options()
            .write(true)
            .open(place.path(0, Kind::Log))
            .unwrap()
            .set_len(cut)
            .unwrap();
        let mut log = place.open(crash(0));
        let whole = (cut / one) as i64;
        assert_eq!(log.log_end_offset(), Offset(whole * 3), "cut at {cut}");
        assert_eq!(offsets(&log).len() as i64, whole);
        assert_eq!(
            std::fs::metadata(place.path(0, Kind::Log)).unwrap().len(),
            whole as u64 * one
        );
        assert_eq!(
            append(&mut log, batch(2, 5000)).unwrap().first_offset,
            Offset(whole * 3)
        );
        log.close().unwrap();
        verify_indexes(&place.directory);
    }
}

#[test]
fn a_flipped_bit_ends_the_log_before_its_batch() {
    let original = Place::new(small_segments());
    drop(filled(&original, 60));
    let bases = original.bases();
    let mut seed = 1u64;
    for _ in 0..60 {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let place = Place::new((*original.config).clone());
        copy(&original.directory, &place.directory);
        let base = bases[(seed >> 33) as usize % bases.len()];
        let path = place.path(base, Kind::Log);
        let mut bytes = std::fs::read(&path).unwrap();
        let bit = (seed >> 20) as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Base offset and leader epoch are not under the CRC: another one may pass.
        std::fs::write(&path, &bytes).unwrap();
        let log = place.open(crash(0));
        let read = offsets(&log);
        assert!(read.windows(2).all(|w| w[0].1 < w[1].0), "{read:?}");
        assert!(read.iter().take_while(|(first, _)| *first < base).count() as i64 * 3 >= base);
        log.close().unwrap();
        let again = place.open(Left::Closed);
        assert_eq!(offsets(&again), read);
    }
}

#[test]
fn only_segments_from_the_recovery_point_on_are_checked() {
    let place = Place::new(small_segments());
    drop(filled(&place, 60));
    let bases = place.bases();
    let path = place.path(bases[0], Kind::Log);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let log = place.open(crash(bases[1]));
    assert_eq!(
        log.log_end_offset(),
        Offset(180),
        "the damaged one was not looked at"
    );
    assert_eq!(log.recovery_point(), Offset(bases[1]));
    drop(log);
    let log = place.open(crash(bases[1] - 1));
    assert!(log.log_end_offset() < Offset(bases[1]));
    assert_eq!(place.bases(), [0], "what followed the damage is gone");
}

/// A power loss has taken the last batch of the second segment; it ends soundly.
fn with_a_gap(place: &Place) -> Vec<i64> {
    drop(filled(place, 60));
    let bases = place.bases();
    let path = place.path(bases[1], Kind::Log);
    let content = std::fs::read(&path).unwrap();
    let last = Batches::new(&content).map(Result::unwrap).last().unwrap();
    let kept = content.len() - last.bytes.len();
    std::fs::write(&path, &content[..kept]).unwrap();
    bases
}

#[test]
fn a_log_ends_before_a_gap_and_what_follows_is_set_aside_and_named() {
    let place = Place::new(small_segments());
    let bases = with_a_gap(&place);
    let (mut log, said) = super::heard::during(|| place.open(crash(bases[1])));
    let end = bases[2] - 3;
    assert_eq!(log.log_end_offset(), Offset(end));
    assert_eq!(place.bases(), bases[..2]);
    let aside = |base: i64, kind: Kind| {
        let mut path = place.path(base, kind).into_os_string();
        path.push(".deleted");
        PathBuf::from(path)
    };
    for base in &bases[2..] {
        let path = place.path(*base, Kind::Log).display().to_string();
        assert!(said.contains(&path), "{path} is not named: {said}");
        assert!(std::fs::metadata(aside(*base, Kind::Log)).unwrap().len() > 0);
    }
    assert!(said.contains(&format!("end={end}")), "{said}");
    // The log goes on, over the names that were set aside.
    for at in 0..20 {
        append(&mut log, batch(3, 5000 + at)).unwrap();
    }
    let expected: Vec<_> = (0..end / 3 + 20).map(|at| (3 * at, 3 * at + 2)).collect();
    assert_eq!(offsets(&log), expected);
    log.take_set_aside().unwrap().run_blocking();
    assert!(log.take_set_aside().is_none());
    assert!(!aside(bases[2], Kind::Log).exists() && !aside(bases[2], Kind::OffsetIndex).exists());
    log.close().unwrap();
    assert_eq!(offsets(&place.open(Left::Closed)), expected);
    verify_indexes(&place.directory);
}

#[test]
fn a_gap_that_may_be_there_by_right_is_left_alone() {
    let compacted = LogConfig {
        cleanup: crate::config::Cleanup {
            delete: false,
            compact: true,
        },
        ..small_segments()
    };
    let end = Offset(180);
    let place = Place::new(compacted);
    let bases = with_a_gap(&place);
    assert_eq!(place.open(crash(bases[1])).log_end_offset(), end);
    let place = Place::new(small_segments());
    let bases = with_a_gap(&place);
    let durable = place.open(crash(bases[2]));
    assert_eq!(durable.log_end_offset(), end, "below the recovery point");
    durable.close().unwrap();
    assert_eq!(place.open(Left::Closed).log_end_offset(), end, "clean stop");
    std::fs::remove_file(place.directory.join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(
        place.open(Left::Closed).log_end_offset(),
        end,
        "all checked"
    );
}

#[test]
fn leader_epochs_are_completed_from_the_batches_and_cut_with_them() {
    let place = Place::new(small_segments());
    let log = filled(&place, 60);
    let expected = log.epochs.clone();
    drop(log);
    std::fs::write(
        place.directory.join("leader-epoch-checkpoint"),
        "0\n1\n0 0\n",
    )
    .unwrap();
    let log = place.open(crash(0));
    assert_eq!(log.epochs, expected);
    drop(log);
    std::fs::write(
        place.directory.join("leader-epoch-checkpoint"),
        "0\n2\n0 0\n99 180\n",
    )
    .unwrap();
    let log = place.open(Left::Closed);
    assert_eq!(
        log.latest_epoch(),
        Some(LeaderEpoch(0)),
        "an epoch beyond the end"
    );
}

#[test]
fn missing_indexes_are_built_and_orphans_removed() {
    let place = Place::new(small_segments());
    filled(&place, 60).close().unwrap();
    let bases = place.bases();
    std::fs::remove_file(place.path(bases[1], Kind::OffsetIndex)).unwrap();
    std::fs::remove_file(place.path(bases[2], Kind::TimeIndex)).unwrap();
    std::fs::write(place.path(bases[3], Kind::OffsetIndex), [0; 13]).unwrap();
    std::fs::write(place.path(7777, Kind::TimeIndex), [0; 12]).unwrap();
    let log = place.open(Left::Closed);
    assert_eq!(offsets(&log).len(), 60);
    assert!(!place.path(7777, Kind::TimeIndex).exists());
    log.close().unwrap();
    verify_indexes(&place.directory);
}

#[test]
fn a_clean_start_leaves_every_file_as_it_was() {
    let place = Place::new(small_segments());
    filled(&place, 60).close().unwrap();
    let contents = || {
        let entries = std::fs::read_dir(&place.directory)
            .unwrap()
            .map(|e| e.unwrap().path());
        let mut contents: Vec<_> = entries
            .map(|path| (std::fs::read(&path).unwrap(), path))
            .collect();
        contents.sort();
        contents
    };
    let before = contents();
    let log = place.open(Left::Closed);
    assert_eq!(log.recovery_point(), Offset(180));
    assert_eq!(contents(), before);
    log.close().unwrap();
    assert_eq!(contents(), before);
    place.open(crash(0)).close().unwrap();
    assert_eq!(
        contents(),
        before,
        "nor does a recovery of sound files change them"
    );
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew() {
    let place = Place::new(small_segments());
    filled(&place, 20).close().unwrap();
    let mut log = place.open_from(Left::Closed, Offset(100));
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset()),
        (Offset(100), Offset(100))
    );
    assert_eq!(place.bases(), [100]);
    assert_eq!(
        append(&mut log, batch(1, 1)).unwrap().first_offset,
        Offset(100)
    );
}

#[test]
fn a_start_offset_within_a_segment_hides_what_is_before_it() {
    let place = Place::new(small_segments());
    filled(&place, 20).close().unwrap();
    let log = place.open_from(Left::Closed, Offset(31));
    assert_eq!(log.log_start_offset(), Offset(31));
    let from = ReadFrom {
        offset: Offset(30),
        upper_bound: Offset(60),
        bytes_max: 1,
        min_one_batch: true,
    };
    assert!(log.read(from).is_err());
    assert_eq!(
        offsets(&log).first(),
        Some(&(30, 32)),
        "whole batches are sent"
    );
    assert_eq!(log.epoch_of(Offset(31)), Some(LeaderEpoch(1)));
}

#[test]
fn a_start_offset_moves_up_and_takes_the_epochs_along() {
    let place = Place::new(small_segments());
    let mut log = filled(&place, 20);
    assert!(log.advance_log_start(Offset(31)));
    assert!(!log.advance_log_start(Offset(30)));
    assert_eq!(
        (log.log_start_offset(), log.recovery_point()),
        (Offset(31), Offset(31))
    );
    assert_eq!(log.epoch_entries()[0].start_offset, Offset(31));
    let closed = log.close().unwrap();
    assert_eq!(
        (closed.log_start_offset, closed.first_segment_offset),
        (Offset(31), Offset(0))
    );
    let checkpoint = std::fs::read_to_string(place.directory.join("leader-epoch-checkpoint"));
    assert_eq!(checkpoint.unwrap(), "0\n2\n1 31\n2 42\n");
}

/// Two messages of format 0, two of format 1, a wrapper of three, and a batch of three records.
fn log_of_all_formats() -> (Place, Vec<u8>) {
    use protocol::batch::Compression;
    use protocol::legacy_record_set::{LegacyBuilder, LegacyMagic};
    let place = Place::new(LogConfig {
        index_interval_bytes: 1,
        ..LogConfig::default()
    });
    place.open(Left::Closed).close().unwrap();
    let set = |magic, compression, offsets: std::ops::Range<i64>| {
        let mut set = LegacyBuilder::new(magic, compression, None);
        for at in offsets {
            set.append(Offset(at), TimestampMs(1000 + at), Some(b"k"), Some(b"v"));
        }
        set.finish()
    };
    let old = [
        set(LegacyMagic::V0, Compression::None, 0..2),
        set(LegacyMagic::V1, Compression::None, 2..4),
        set(LegacyMagic::V1, Compression::Gzip, 4..7),
    ];
    std::fs::write(place.path(0, Kind::Log), old.concat()).unwrap();
    let mut log = place.open(crash(0));
    assert_eq!(log.log_end_offset(), Offset(7));
    append_all(&mut log, [of_client(batch(3, 2000))])
        .pop()
        .unwrap()
        .unwrap();
    drop(log);
    let content = std::fs::read(place.path(0, Kind::Log)).unwrap();
    (place, content)
}

#[test]
fn messages_of_old_formats_are_recovered_like_batches() {
    let (place, content) = log_of_all_formats();
    for recovery_point in [0, 3, 6, 7, 10] {
        let torn = [&content[..], &content[..20]].concat();
        std::fs::write(place.path(0, Kind::Log), torn).unwrap();
        let log = place.open(crash(recovery_point));
        assert_eq!(log.log_end_offset(), Offset(10), "from {recovery_point}");
        drop(log);
        assert_eq!(std::fs::read(place.path(0, Kind::Log)).unwrap(), content);
        let index = std::fs::read(place.path(0, Kind::OffsetIndex)).unwrap();
        let entries = index.chunks_exact(OffsetEntry::BYTES);
        let entries = entries.map(|entry| OffsetEntry::decode(entry).relative_offset);
        assert_eq!(entries.collect::<Vec<_>>(), [1, 2, 3, 6, 9]);
    }
}

#[test]
fn a_damaged_message_of_an_old_format_ends_the_log() {
    let (place, content) = log_of_all_formats();
    // The last byte of the message at offset 2, which is as long as the one behind it.
    let one_of_format_1 = 12 + 22 + 2;
    let two_of_format_0 = 2 * (12 + 14 + 2);
    let mut damaged = content.clone();
    damaged[two_of_format_0 + one_of_format_1 - 1] ^= 1;
    std::fs::write(place.path(0, Kind::Log), damaged).unwrap();
    let log = place.open(crash(0));
    assert_eq!(log.log_end_offset(), Offset(2));
    drop(log);
    let left = std::fs::read(place.path(0, Kind::Log)).unwrap();
    assert_eq!(left, content[..two_of_format_0]);
}

/// Fifty batches in one segment, of two leader epochs, flushed up to the end.
fn flushed_log(place: &Place) -> Offset {
    let mut log = place.open(Left::Closed);
    log.begin_leader_epoch(LeaderEpoch(0));
    for at in 0..50 {
        if at == 30 {
            log.begin_leader_epoch(LeaderEpoch(4));
        }
        let append = Append {
            leader_epoch: log.latest_epoch().unwrap(),
            ..of_client(batch(2, 1000 + at))
        };
        append_all(&mut log, [append]).pop().unwrap().unwrap();
    }
    let end = log.log_end_offset();
    log.close().unwrap();
    end
}

#[test]
fn what_is_below_the_recovery_point_is_not_checked_again() {
    let place = Place::new(LogConfig {
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    let end = flushed_log(&place);
    let path = place.path(0, Kind::Log);
    let sound = std::fs::read(&path).unwrap();
    let indexes = [Kind::OffsetIndex, Kind::TimeIndex].map(|kind| place.path(0, kind));
    let before = indexes.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(before[0].len() > 10 * OffsetEntry::BYTES);
    for (lost, recovery_point) in [
        (false, 100),
        (false, 61),
        (true, 100),
        (true, 0),
        (false, 0),
    ] {
        // Garbage behind the end, as a file that was made long ahead has it.
        let mut torn = sound.clone();
        torn.resize(1 << 20, 0);
        std::fs::write(&path, &torn).unwrap();
        if lost {
            indexes
                .iter()
                .for_each(|path| std::fs::remove_file(path).unwrap());
        }
        let recovery_point = Offset(recovery_point);
        let log = place.open(Left::Crashed { recovery_point });
        assert_eq!(log.log_end_offset(), end);
        assert_eq!(log.recovery_point(), recovery_point);
        assert_eq!(std::fs::read(&path).unwrap(), sound);
        let after = indexes.each_ref().map(|path| std::fs::read(path).unwrap());
        assert_eq!(after, before, "recovered from {recovery_point}");
        log.close().unwrap();
    }
    let first_batch_end = BatchHeader::parse(&sound).unwrap().size();
    let mut damaged = sound.clone();
    damaged[first_batch_end - 1] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let log = place.open(Left::Crashed {
        recovery_point: end,
    });
    assert_eq!(log.log_end_offset(), end, "no CRC below the recovery point");
    drop(log);
    let log = place.open(Left::Crashed {
        recovery_point: Offset(0),
    });
    assert_eq!(log.log_end_offset(), Offset(0), "every CRC above it");
}

#[test]
fn indexes_of_the_segment_that_ends_at_the_recovery_point_are_completed() {
    let original = Place::new(small_segments());
    drop(filled(&original, 60));
    let bases = original.bases();
    let (closed, active) = (bases[bases.len() - 2], bases[bases.len() - 1]);
    for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
        let whole = std::fs::read(original.path(closed, kind)).unwrap();
        let entry = match kind {
            Kind::OffsetIndex => OffsetEntry::BYTES,
            _ => TimeEntry::BYTES,
        };
        assert!(whole.len() > entry);
        for left in [0, entry, whole.len() - entry] {
            let place = Place::new((*original.config).clone());
            copy(&original.directory, &place.directory);
            std::fs::write(place.path(closed, kind), &whole[..left]).unwrap();
            place.open(crash(active)).close().unwrap();
            verify_indexes(&place.directory);
            assert_eq!(std::fs::read(place.path(closed, kind)).unwrap(), whole);
        }
    }
}

#[test]
fn a_damaged_checkpoint_of_epochs_is_made_anew_from_the_batches() {
    for damage in [&b""[..], b"0\n2\n0 0\n", b"7\n", b"\xff\xff"] {
        let place = Place::new(LogConfig::default());
        flushed_log(&place);
        let path = place.directory.join("leader-epoch-checkpoint");
        let sound = std::fs::read(&path).unwrap();
        std::fs::write(&path, damage).unwrap();
        let log = place.open(Left::Closed);
        assert_eq!(log.epoch_of(Offset(59)), Some(LeaderEpoch(0)), "{damage:?}");
        assert_eq!(log.epoch_of(Offset(60)), Some(LeaderEpoch(4)));
        log.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), sound);
    }
}

/// Base offsets are not under the CRC, and after a clean stop no closed segment is looked at.
#[test]
fn a_base_offset_that_no_segment_can_have_is_an_error_and_no_panic() {
    for (offset, what) in [
        (i64::MAX - 2, "beyond all"),
        (-5, "negative"),
        (1 << 40, "far"),
    ] {
        for damaged in [0, 1] {
            let place = Place::new(small_segments());
            filled(&place, 60).close().unwrap();
            let bases = place.bases();
            let base = [bases[0], *bases.last().unwrap()][damaged];
            let path = place.path(base, Kind::Log);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[..8].copy_from_slice(&i64::to_be_bytes(offset));
            std::fs::write(&path, bytes).unwrap();
            for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
                std::fs::write(place.path(bases[0], kind), [255; 24]).unwrap();
            }
            let Ok(mut log) = place.try_open(Left::Closed) else {
                continue;
            };
            for from in [0, 50, 170] {
                if from >= log.log_end_offset().0 {
                    continue;
                }
                let from = ReadFrom {
                    offset: Offset(from),
                    upper_bound: log.log_end_offset(),
                    bytes_max: 500,
                    min_one_batch: true,
                };
                let _ = run(log.read(from).unwrap().run());
            }
            let end = log.log_end_offset();
            assert!(end <= Offset(180), "{what}: {end}");
            assert_eq!(append(&mut log, batch(1, 9000)).unwrap().first_offset, end);
            log.close().unwrap();
        }
    }
}

#[test]
fn blocks_that_were_reserved_ahead_are_given_back_after_a_crash() {
    use rustix::fs::{FallocateFlags, fallocate};
    use std::os::unix::fs::MetadataExt;
    const RESERVED_BYTES: u64 = 4 << 20;
    let place = Place::new(LogConfig::default());
    let mut log = place.open(Left::Closed);
    append(&mut log, batch(3, 1)).unwrap();
    drop(log);
    let path = place.path(0, Kind::Log);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let before = file.metadata().unwrap();
    fallocate(
        &file,
        FallocateFlags::KEEP_SIZE,
        before.len(),
        RESERVED_BYTES,
    )
    .unwrap();
    let taken = || std::fs::metadata(&path).unwrap().blocks() * 512;
    assert!(taken() >= RESERVED_BYTES);
    let recovery_point = Offset(0);
    let log = place.open(Left::Crashed { recovery_point });
    assert!(taken() < RESERVED_BYTES / 8, "{} bytes", taken());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before.len());
    assert_eq!(offsets(&log), [(0, 2)]);
}
