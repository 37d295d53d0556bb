//! Compaction of random histories against what ought to be left, and a crash at every step of the
//! swap.
//!
//! `ENGINE_COMPACTION_SEED=<seed>` replays one history.

use super::model::Chance;
use super::*;
use crate::compact::{Brake, Cleaned, Limits, Step, Swap, Throttle};
use crate::config::Cleanup;
use crate::removal::Removal;
use protocol::batch::control::{EndMarker, TransactionResult};
use protocol::batch::{Compression, RecordView};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

const SEEDS: u64 = 30;
const PRODUCERS: i64 = 3;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A record as a reader of committed ones sees it, and whether it may be compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: i64,
}

fn compacted() -> Place {
    Place::new(LogConfig {
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        segment_bytes_max: 1500,
        index_interval_bytes: 200,
        cleanable_ratio_min: 0.0,
        ..LogConfig::default()
    })
}

fn limits() -> Limits {
    Limits {
        key_map_bytes: 1 << 16,
        load_factor: 0.9,
        io_buffer_bytes: 8192,
        throttle: Arc::new(Throttle::new(f64::MAX)),
        brake: Arc::new(Brake::default()),
    }
}

/// Compacts; `swap` puts a group in place.
fn compact_with(
    log: &mut Log,
    now: i64,
    limits: Limits,
    mut swap: impl FnMut(&mut Log, Swap) -> io::Result<()>,
) -> io::Result<Option<Cleaned>> {
    let check = log
        .check_dirt(log.log_end_offset())
        .expect("it is compacted");
    let Some(cleanable) = check.run_blocking(TimestampMs(now))? else {
        return Ok(None);
    };
    let mut compaction = log
        .start_compaction(cleanable, limits, TimestampMs(now))
        .expect("it can be compacted");
    loop {
        match compaction.step_blocking()? {
            Step::Group(group) => {
                let planned = log.start_swap(group).expect("nothing else has changed");
                swap(log, planned)?;
            }
            Step::Finished(cleaned) => {
                log.finish_compaction(&cleaned);
                return Ok(Some(cleaned));
            }
        }
    }
}

fn compact(log: &mut Log, now: i64) -> Option<Cleaned> {
    compact_with(log, now, limits(), |log, swap| {
        let (swapped, removal) = swap.run_blocking()?;
        log.finish_swap(swapped);
        removal.run_blocking();
        Ok(())
    })
    .unwrap()
}

fn random_history(chance: &mut Chance, log: &mut Log, batches: i64) {
    let mut sequences = BTreeMap::new();
    let mut open = BTreeSet::new();
    for at in 0..batches {
        let producer = chance.below(PRODUCERS + 1);
        if open.contains(&producer) && chance.one_in(3) {
            end(log, producer, chance.one_in(2), at);
            open.remove(&producer);
            continue;
        }
        let mut options = BatchOptions {
            compression: Compression::ALL[chance.below(5) as usize],
            ..BatchOptions::default()
        };
        let records = 1 + chance.below(5);
        if producer > 0 {
            let sequence = sequences.entry(producer).or_insert(0);
            options.producer_id = ProducerId(producer);
            options.producer_epoch = ProducerEpoch(0);
            options.base_sequence = *sequence;
            *sequence += records as i32;
            // Producer 1 is idempotent only.
            options.transactional = producer > 1;
            if options.transactional {
                open.insert(producer);
            }
        }
        let mut builder = BatchBuilder::new(options);
        for _ in 0..records {
            let key = [chance.below(12) as u8];
            let value = vec![at as u8; chance.below(60) as usize];
            builder.append(&NewRecord {
                timestamp: TimestampMs(NOW.0 + at),
                key: Some(&key),
                value: (!chance.one_in(5)).then_some(&value[..]),
                headers: &[("h", Some(b"x"))],
            });
        }
        let append = Append {
            origin: Origin::VerifiedClient,
            ..of_client(builder.finish().into())
        };
        append_all(log, [append]).pop().unwrap().unwrap();
    }
    for producer in open {
        end(log, producer, chance.one_in(2), batches);
    }
    let write = log.start_roll(NOW).unwrap();
    let written = run(write.run());
    log.finish_write(written, &mut Vec::new());
}

fn end(log: &mut Log, producer: i64, commits: bool, at: i64) {
    let result = match commits {
        true => TransactionResult::Commit,
        false => TransactionResult::Abort,
    };
    let marker = EndMarker {
        result,
        coordinator_epoch: 0,
    };
    let time = TimestampMs(NOW.0 + at);
    let batches = marker.batch(ProducerId(producer), ProducerEpoch(0), time);
    let append = Append {
        origin: Origin::Coordinator,
        ..of_client(batches.into())
    };
    append_all(log, [append]).pop().unwrap().unwrap();
}

/// Every record that a reader of committed ones sees, by offset.
fn committed(log: &Log) -> BTreeMap<i64, Seen> {
    let aborted = log.aborted_transactions(Offset(0), log.log_end_offset());
    let mut aborted = run(aborted.run()).unwrap();
    let mut skipping = BTreeSet::new();
    let mut seen = BTreeMap::new();
    let mut scratch = Vec::new();
    log.replay(Offset(0), &mut |batch| {
        let header = &batch.header;
        let producer = header.producer_id;
        aborted.retain(|a| {
            let begins = a.first_offset <= header.last_offset();
            if begins {
                skipping.insert(a.producer_id.0);
            }
            !begins
        });
        if header.attributes.is_control() {
            skipping.remove(&producer.0);
            return std::ops::ControlFlow::Continue(());
        }
        if header.attributes.is_transactional() && skipping.contains(&producer.0) {
            return std::ops::ControlFlow::Continue(());
        }
        for record in batch.records_in(&mut scratch, 1 << 20).unwrap() {
            let RecordView {
                offset,
                timestamp,
                key,
                value,
                headers,
            } = record.unwrap();
            assert_eq!(headers.collect::<Vec<_>>(), [("h", Some(&b"x"[..]))]);
            let record = Seen {
                key: key.unwrap().to_vec(),
                value: value.map(<[u8]>::to_vec),
                timestamp: timestamp.0,
            };
            seen.insert(offset.0, record);
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    seen
}

/// Of each key the newest record, by offset.
fn newest(records: &BTreeMap<i64, Seen>) -> BTreeMap<i64, Seen> {
    let mut offsets = BTreeMap::new();
    for (offset, record) in records {
        offsets.insert(&record.key, *offset);
    }
    let newest: BTreeSet<i64> = offsets.into_values().collect();
    let mut left = records.clone();
    left.retain(|offset, _| newest.contains(offset));
    left
}

fn seeds() -> Vec<u64> {
    match std::env::var("ENGINE_COMPACTION_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

#[test]
fn of_each_key_the_newest_committed_record_stays_where_it_was() {
    for seed in seeds() {
        let chance = &mut Chance(seed);
        let place = compacted();
        let mut log = place.open(Left::Closed);
        random_history(chance, &mut log, 150);
        let (all, end) = (committed(&log), log.log_end_offset());
        let cleaned = compact(&mut log, NOW.0).unwrap();
        assert_eq!(cleaned.end, end, "seed {seed}");
        let expected = newest(&all);
        assert_eq!(committed(&log), expected, "seed {seed}");
        verify_indexes(&place.directory);
        assert_eq!(
            compact(&mut log, NOW.0).unwrap().keys,
            0,
            "nothing is dirty"
        );
        assert_eq!(committed(&log), expected, "seed {seed}");

        // More of the same keys, and a later day: tombstones have been there for long enough.
        let values: BTreeMap<_, _> = expected
            .iter()
            .filter(|(_, record)| record.value.is_some())
            .map(|(offset, record)| (*offset, record.clone()))
            .collect();
        compact(&mut log, NOW.0 + DAY_MS).unwrap();
        assert_eq!(committed(&log), values, "seed {seed}");
        assert_eq!(log.log_end_offset(), end);
        log.close().unwrap();
        let log = place.open(Left::Closed);
        assert_eq!(committed(&log), values, "seed {seed}");
        assert_eq!(log.log_end_offset(), end);
        assert!(place.bases().len() < 12, "small segments become one");
    }
}

#[test]
fn sequence_numbers_survive_and_are_found_again_by_a_replay() {
    let place = compacted();
    let mut log = place.open(Left::Closed);
    for sequence in 0..4 {
        let sent = idempotent(9, 0, sequence, 1);
        append(&mut log, sent).unwrap();
    }
    append(&mut log, batch(1, NOW.0)).unwrap();
    let write = log.start_roll(NOW).unwrap();
    let written = run(write.run());
    log.finish_write(written, &mut Vec::new());
    compact(&mut log, NOW.0).unwrap();
    assert_eq!(
        offsets(&log),
        [(3, 3), (4, 4)],
        "the last batch stays, empty"
    );
    log.close().unwrap();
    for file in crate::leftovers::list(&place.directory).unwrap() {
        if file.kind == Kind::Snapshot {
            std::fs::remove_file(file.within(&place.directory)).unwrap();
        }
    }
    let recovery_point = Offset(0);
    let mut log = place.open(Left::Crashed { recovery_point });
    let again = append(&mut log, idempotent(9, 0, 3, 1)).unwrap();
    assert!(again.duplicate);
    append(&mut log, idempotent(9, 0, 4, 1)).unwrap();
}

#[test]
fn a_crash_at_any_step_of_the_swap_loses_nothing() {
    for seed in 0..2 {
        let mut steps = 0;
        loop {
            let place = compacted();
            let mut log = place.open(Left::Closed);
            random_history(&mut Chance(seed), &mut log, 40);
            let all = committed(&log);
            let end = log.log_end_offset();
            let mut left = steps;
            let done = compact_with(&mut log, NOW.0, limits(), |log, swap| {
                let (swapped, removal) = swap.run_with(&mut || {
                    left -= 1;
                    match left {
                        0 => Err(io::Error::other("the power goes")),
                        _ => Ok(()),
                    }
                })?;
                log.finish_swap(swapped);
                drop(removal);
                Ok(())
            });
            drop(log);
            let mut log = place.open(Left::Crashed {
                recovery_point: end,
            });
            assert_eq!(log.log_end_offset(), end);
            let found = committed(&log);
            assert_eq!(newest(&found), newest(&all), "seed {seed}, step {steps}");
            assert!(found.iter().all(|(at, record)| all.get(at) == Some(record)));
            verify_indexes(&place.directory);
            let settled = crate::leftovers::list(&place.directory).unwrap();
            assert!(settled.iter().all(|file| file.stage == Stage::Settled));
            compact(&mut log, NOW.0).unwrap();
            assert_eq!(committed(&log), newest(&all), "seed {seed}, step {steps}");
            if done.is_ok() && steps > 0 {
                break;
            }
            steps += 1;
        }
        assert!(steps > 10, "the swap has steps");
    }
}

#[test]
fn a_full_key_map_compacts_as_far_as_it_goes() {
    let place = compacted();
    let mut log = place.open(Left::Closed);
    random_history(&mut Chance(1), &mut log, 200);
    let all = committed(&log);
    let small = || Limits {
        key_map_bytes: 24 * 9,
        ..limits()
    };
    let mut rounds = 0;
    while log.cleaned_to() != Some(log.log_end_offset()) {
        compact_with(&mut log, NOW.0, small(), |log, swap| {
            let (swapped, removal) = swap.run_blocking()?;
            log.finish_swap(swapped);
            removal.run_blocking();
            Ok(())
        })
        .unwrap();
        assert_eq!(newest(&committed(&log)), newest(&all));
        rounds += 1;
        assert!(rounds < 500, "it gets on");
    }
    assert!(rounds > 2);
}

#[test]
fn what_is_young_open_or_active_is_left_alone() {
    let place = Place::new(LogConfig {
        compaction_lag_ms_min: 1000,
        ..(*compacted().config).clone()
    });
    let mut log = place.open(Left::Closed);
    let roll = |log: &mut Log| {
        let write = log.start_roll(NOW).unwrap();
        let written = run(write.run());
        log.finish_write(written, &mut Vec::new());
    };
    for at in 0..3 {
        append(&mut log, batch(2, NOW.0 + at * 1000)).unwrap();
        roll(&mut log);
    }
    append(&mut log, batch(2, NOW.0)).unwrap();
    compact(&mut log, NOW.0 + 2500);
    assert_eq!(
        log.cleaned_to(),
        Some(Offset(4)),
        "the third segment is too young"
    );
    assert_eq!(offsets(&log), [(2, 3), (4, 5), (6, 7)]);
}

#[test]
fn damage_is_an_error_and_changes_nothing() {
    let place = compacted();
    let mut log = place.open(Left::Closed);
    random_history(&mut Chance(3), &mut log, 60);
    let path = place.path(place.bases()[1], Kind::Log);
    let mut content = std::fs::read(&path).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    std::fs::write(&path, &content).unwrap();
    let before = place.bases();
    let failed = compact_with(&mut log, NOW.0, limits(), |_, _| unreachable!());
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(place.bases(), before);
    log.mark_uncleanable("a test");
    assert!(log.check_dirt(log.log_end_offset()).is_none());
}

#[test]
fn a_stopped_compaction_leaves_nothing_behind() {
    let place = compacted();
    let mut log = place.open(Left::Closed);
    random_history(&mut Chance(4), &mut log, 60);
    let limits = limits();
    limits.brake.stop();
    let stopped = compact_with(&mut log, NOW.0, limits, |_, _| unreachable!());
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    let files = crate::leftovers::list(&place.directory).unwrap();
    assert!(files.iter().all(|file| file.stage == Stage::Settled));
}

/// A damaged index is built anew for a reader just when a compacted segment takes its segment's
/// place: the new segment's index must be its own.
#[test]
fn an_index_that_is_repaired_during_the_swap_does_not_become_the_new_segments() {
    let place = compacted();
    let mut log = place.open(Left::Closed);
    random_history(&mut Chance(6), &mut log, 60);
    let damaged = log.segments.sealed[0].clone();
    let (path, bytes) = (damaged.path(Kind::OffsetIndex), damaged.index_bytes().0);
    assert!(bytes > 0);
    compact_with(&mut log, NOW.0, limits(), |log, swap| {
        let (swapped, done) = std::sync::mpsc::channel();
        let elsewhere = Arc::new(std::sync::Mutex::new(None));
        let theirs = elsewhere.clone();
        let start = move || {
            let thread = std::thread::spawn(move || {
                let outcome = swap.run_blocking();
                let _ = swapped.send(());
                outcome
            });
            // It comes to its end only if nothing holds it back.
            let _ = done.recv_timeout(std::time::Duration::from_millis(300));
            *theirs.lock().unwrap() = Some(thread);
        };
        match damaged.standing.is_in_use() {
            true => {
                damaged.close_files();
                std::fs::write(&path, vec![255; bytes])?;
                crate::fault::before_next_rename(start);
                damaged.floor_position_blocking(Offset(3))?;
            }
            false => start(),
        }
        let thread = elsewhere.lock().unwrap().take().unwrap();
        let (swapped, removal) = thread.join().unwrap()?;
        log.finish_swap(swapped);
        removal.run_blocking();
        Ok(())
    })
    .unwrap();
    log.close().unwrap();
    verify_indexes(&place.directory);
}

/// What is in a log whatever the format: offset, key, value.
fn of_any_format(log: &Log) -> Vec<(i64, Vec<u8>, Option<Vec<u8>>)> {
    use crate::segment_scan::{Scanned, SegmentScan};
    let mut found = Vec::new();
    let mut scratch = Vec::new();
    for segment in log.segments.sealed.iter() {
        let file = segment.file_blocking().unwrap();
        let mut scan = SegmentScan::new(file, protocol::ids::Position::ZERO, segment.end);
        while let Some(next) = scan.next_of_any_format().unwrap() {
            match next {
                Scanned::Batch(batch) => {
                    for record in batch.records_in(&mut scratch, 1 << 20).unwrap() {
                        let record = record.unwrap();
                        let value = record.value.map(<[u8]>::to_vec);
                        found.push((record.offset.0, record.key.unwrap().to_vec(), value));
                    }
                }
                Scanned::Old(message) => {
                    let mut each = |record: protocol::legacy_record_set::LegacyRecord<'_>| {
                        let value = record.value.map(<[u8]>::to_vec);
                        found.push((record.offset.0, record.key.unwrap_or(b"-").to_vec(), value));
                    };
                    protocol::legacy_record_set::read(message, 1 << 20, &mut each).unwrap();
                }
            }
        }
    }
    found
}

/// Segments of every old format and codec, the last of them with an older record of every key.
#[test]
fn messages_of_the_old_formats_are_compacted_and_keep_their_format() {
    use protocol::legacy_record_set::{LegacyBuilder, LegacyMagic};
    let place = compacted();
    place.open(Left::Closed).close().unwrap();
    let sets = [LegacyMagic::V0, LegacyMagic::V1]
        .into_iter()
        .flat_map(|magic| {
            Compression::ALL[..4]
                .iter()
                .map(move |codec| (magic, *codec))
        });
    let mut next = 0;
    for (magic, codec) in sets {
        let mut set = LegacyBuilder::new(magic, codec, None);
        let base = next;
        for (key, value) in [(0, Some(b"v")), (1, None), (2, Some(b"v"))] {
            // A key of the set's own, one of all sets, and one that is none.
            let key = [[base as u8, 0], [77, 77], [0, 0]][key];
            let key = (key != [0, 0] || next % 6 != 5).then_some(&key[..]);
            let time = TimestampMs(NOW.0 + next);
            set.append(Offset(next), time, key, value.map(|value| &value[..]));
            next += 1;
        }
        std::fs::write(place.path(base, Kind::Log), set.finish()).unwrap();
        for index in [Kind::OffsetIndex, Kind::TimeIndex] {
            std::fs::write(place.path(base, index), "").unwrap();
        }
    }
    let mut log = place.open(Left::Closed);
    append(&mut log, batch(2, NOW.0)).unwrap();
    let write = log.start_roll(NOW).unwrap();
    log.finish_write(run(write.run()), &mut Vec::new());
    let before = of_any_format(&log);
    let mut newest = BTreeMap::new();
    for (offset, key, _) in &before {
        newest.insert(key.clone(), *offset);
    }
    compact(&mut log, NOW.0).unwrap();
    let left = of_any_format(&log);
    let expected: Vec<_> = before
        .iter()
        .filter(|(offset, key, _)| newest[key] == *offset && key != b"-")
        .cloned()
        .collect();
    assert_eq!(left, expected);
    assert!(left.len() < before.len() / 2 && left.iter().any(|(_, _, value)| value.is_none()));
    // Another time, when what was clean is old enough: tombstones go.
    let first = log.segments.sealed[0].clone();
    let file = std::fs::File::open(first.path(Kind::Log)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    append(&mut log, batch(1, NOW.0)).unwrap();
    let write = log.start_roll(NOW).unwrap();
    log.finish_write(run(write.run()), &mut Vec::new());
    let config = LogConfig {
        delete_retention_ms: -1,
        ..(*place.config).clone()
    };
    log.set_config(Arc::new(config));
    compact(&mut log, NOW.0).unwrap();
    let left = of_any_format(&log);
    assert!(left.iter().all(|(_, _, value)| value.is_some()), "{left:?}");
    log.close().unwrap();
    assert_eq!(of_any_format(&place.open(Left::Closed)), left);
}

#[test]
fn who_began_to_read_before_the_swap_skips_what_was_aborted_then() {
    let place = compacted();
    let mut log = place.open(Left::Closed);
    random_history(&mut Chance(5), &mut log, 100);
    let ask = |log: &Log| log.aborted_transactions(Offset(0), log.log_end_offset());
    let all = run(ask(&log).run()).unwrap();
    let begun = ask(&log);
    let mut removals = Vec::new();
    compact_with(&mut log, NOW.0, limits(), |log, swap| {
        let (swapped, removal) = swap.run_blocking()?;
        log.finish_swap(swapped);
        removals.push(removal);
        Ok(())
    })
    .unwrap();
    assert!(!all.is_empty());
    assert_eq!(
        run(begun.run()).unwrap(),
        all,
        "the files have other names now"
    );
    removals.into_iter().for_each(Removal::run_blocking);
}

/// The offsets of a slice that a reader of committed records is handed out, and where it goes on.
fn handed_out(log: &Log, from: Offset) -> (Vec<i64>, Offset) {
    let slice = log.read(ReadFrom {
        offset: from,
        upper_bound: log.log_end_offset(),
        bytes_max: 500,
        min_one_batch: true,
    });
    let slice = run(slice.unwrap().run()).unwrap();
    let bytes = run(slice.bytes()).unwrap();
    let aborted = log.aborted_transactions(from, log.log_end_offset());
    let mut aborted = run(aborted.below(slice.segment_end).run()).unwrap();
    let (mut skipping, mut offsets, mut next) = (BTreeSet::new(), Vec::new(), from);
    let mut scratch = Vec::new();
    for batch in Batches::new(&bytes).map_while(Result::ok) {
        let header = &batch.header;
        aborted.retain(|aborted| {
            let begins = aborted.first_offset <= header.last_offset();
            begins.then(|| skipping.insert(aborted.producer_id));
            !begins
        });
        next = header.last_offset().next();
        assert!(header.last_offset() < slice.segment_end);
        if header.attributes.is_control() {
            skipping.remove(&header.producer_id);
        } else if !(header.attributes.is_transactional() && skipping.contains(&header.producer_id))
        {
            let records = batch.records_in(&mut scratch, 1 << 20).unwrap();
            let all = records.map(|record| record.unwrap().offset);
            offsets.extend(all.filter(|at| *at >= from).map(|at| at.0));
        }
    }
    (offsets, next)
}

#[test]
fn wherever_a_reader_begins_it_skips_what_was_aborted_there() {
    for seed in seeds() {
        let place = compacted();
        let mut log = place.open(Left::Closed);
        random_history(&mut Chance(seed), &mut log, 90);
        // As far as few keys go: behind a gap aborted records are still there.
        let few = Limits {
            key_map_bytes: 24 * 9,
            ..limits()
        };
        compact_with(&mut log, NOW.0, few, |log, swap| {
            let (swapped, removal) = swap.run_blocking()?;
            log.finish_swap(swapped);
            removal.run_blocking();
            Ok(())
        })
        .unwrap();
        let expected = committed(&log);
        for from in 0..log.log_end_offset().0 {
            let (seen, next) = handed_out(&log, Offset(from));
            assert!(next.0 > from, "seed {seed}: a reader at {from} goes on");
            let expected = expected.range(from..next.0).map(|(at, _)| *at);
            assert_eq!(
                seen,
                expected.collect::<Vec<_>>(),
                "seed {seed} from {from}"
            );
        }
    }
}
