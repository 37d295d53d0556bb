//! A log moves to another log directory: the copy has all of it, byte for byte, and takes its place
//! so that nobody notices; whatever fails on the way, there is one log with everything in it.

use super::world::{ID, Stop, World, config, of_leader, partition};
use super::*;
use crate::directory::LogDirectory;
use crate::exchange::ExchangeError;
use crate::flush::FlushTo;
use crate::future_log::{CopyError, CopyPiece};
use crate::partition_name::Standing;
use protocol::batch::control::TransactionResult;

const STEP_BYTES: u32 = 500;

/// What follows the copy in its log; `None` if it has all.
fn next_piece(log: &Log, copy: &Log) -> Option<CopyPiece> {
    let copy_end = copy.log_end_offset().max(log.log_start_offset());
    let is_behind = copy_end < log.log_end_offset();
    let read = log.read_for_copy(copy_end, STEP_BYTES).unwrap();
    is_behind.then(|| run(read.run()).unwrap())
}

fn copy_all(log: &Log, copy: &mut Log) {
    if copy.log_end_offset() < log.log_start_offset() {
        copy.begin_copy_at(log.log_start_offset(), NOW).unwrap();
    }
    while let Some(piece) = next_piece(log, copy) {
        copy.copy_blocking(&piece, log.log_start_offset(), NOW)
            .unwrap();
    }
}

/// Two log directories, and a log in the first.
struct Two {
    _root: tempfile::TempDir,
    first: LogDirectory,
    second: LogDirectory,
}

impl Two {
    fn new() -> Two {
        let root = tempfile::tempdir().unwrap();
        let open = |name: &str| LogDirectory::open(root.path().join(name)).unwrap();
        Two {
            first: open("first"),
            second: open("second"),
            _root: root,
        }
    }

    fn log(&self, topic: &str) -> Log {
        self.first
            .create_log(&partition(topic), ID, config(topic), NOW)
            .unwrap()
    }

    fn copy(&self, topic: &str) -> Log {
        self.second
            .create_future(&partition(topic), ID, config(topic), NOW)
            .unwrap()
    }
}

fn exchange(log: &mut Log, mut copy: Log) {
    copy.flush_blocking().unwrap();
    let exchanged = log.start_exchange(&copy).run_blocking().unwrap();
    let (old, removal) = log.finish_exchange(copy, exchanged);
    drop(old);
    removal.run_blocking();
}

/// All batches that a log's segments hold.
fn content(log: &Log) -> Vec<u8> {
    let bases = super::scenarios::bases(log.directory());
    let path = |base| crate::file_name::path(log.directory(), Offset(base), Kind::Log);
    bases
        .into_iter()
        .flat_map(|base| std::fs::read(path(base)).unwrap())
        .collect()
}

fn filled(two: &Two) -> Log {
    let mut log = two.log("t");
    for epoch in 0..3 {
        log.begin_leader_epoch(LeaderEpoch(epoch));
        for round in 0..4 {
            append(&mut log, idempotent(1, 0, epoch * 8 + round * 2, 2)).unwrap();
            let sequence = epoch * 4 + round;
            let sent = super::producers::transactional(2, sequence, Origin::Coordinator);
            append_all(&mut log, [sent]).pop().unwrap().unwrap();
            if round % 2 == 1 {
                let aborted = super::producers::marker(2, TransactionResult::Abort);
                append_all(&mut log, [aborted]).pop().unwrap().unwrap();
            }
        }
    }
    assert!(log.segment_count() > 3);
    log
}

#[test]
fn the_copy_has_every_byte_and_takes_the_place_of_its_log() {
    let two = Two::new();
    let mut log = filled(&two);
    let mut copy = two.copy("t");
    copy_all(&log, &mut copy);
    // What has no record yet is of the log alone.
    log.begin_leader_epoch(LeaderEpoch(7));
    let sent = append_all(&mut log, [of_client(idempotent(1, 0, 24, 2))]).pop();
    let last = sent.unwrap().unwrap().first_offset;
    copy_all(&log, &mut copy);
    log.begin_leader_epoch(LeaderEpoch(8));

    let (all, end) = (content(&log), log.log_end_offset());
    let aborted = |log: &Log| run(log.aborted_transactions(Offset(0), end).run()).unwrap();
    let (found, was) = (aborted(&log), log.directory().to_owned());
    assert_eq!(found.len(), 6);
    assert_eq!(content(&copy), all);
    assert_eq!(aborted(&copy), found);
    exchange(&mut log, copy);

    assert!(!was.exists());
    assert_eq!(log.directory(), two.second.path().join("t-0"));
    assert_eq!((content(&log), aborted(&log)), (all, found.clone()));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(8)));
    let again = append_all(&mut log, [of_client(idempotent(1, 0, 24, 2))]).pop();
    let again = again.unwrap().unwrap();
    assert!(again.duplicate && again.first_offset == last, "{again:?}");
    append(&mut log, idempotent(1, 0, 26, 2)).unwrap();
    let directory = log.directory().to_owned();
    log.close().unwrap();
    verify_indexes(&directory);
    let reopened = two.second.open_log(&partition("t"), config("t"), NOW);
    let reopened = reopened.unwrap().expect("it is there");
    assert_eq!(reopened.log_end_offset(), end + 2);
    assert_eq!(aborted(&reopened), found);
}

#[test]
fn what_waits_to_be_written_goes_over_and_reads_that_began_before_end_well() {
    let two = Two::new();
    let mut log = filled(&two);
    let mut copy = two.copy("t");
    copy_all(&log, &mut copy);
    let end = log.log_end_offset();
    let cold = |offset| {
        let from = ReadFrom {
            offset: Offset(offset),
            upper_bound: end,
            bytes_max: 4000,
            min_one_batch: true,
        };
        log.read(from).unwrap()
    };
    let reads: Vec<_> = (0..end.0).map(cold).collect();
    let expected: Vec<_> = (0..end.0)
        .map(|offset| {
            run(run(cold(offset).run()).unwrap().bytes())
                .unwrap()
                .to_vec()
        })
        .collect();
    for segment in log.segments.sealed.iter() {
        segment.close_files();
    }
    let append = of_client(idempotent(1, 0, 24, 2));
    log.enqueue(append).unwrap();
    copy.flush_blocking().unwrap();
    let exchanged = log.start_exchange(&copy).run_blocking().unwrap();
    let (old, removal) = log.finish_exchange(copy, exchanged);
    drop(old);
    for (read, expected) in reads.into_iter().zip(expected) {
        let bytes = run(run(read.run()).unwrap().bytes()).unwrap();
        assert!(bytes[..] == expected, "the same batches");
    }
    removal.run_blocking();
    let write = log.start_write(NOW).expect("it still waits");
    let mut done = Vec::new();
    log.finish_write(run(write.run()), &mut done);
    assert_eq!(done.pop().unwrap().1.unwrap().first_offset, end);
}

#[test]
fn a_copy_begins_where_its_log_begins_and_follows_its_start() {
    let two = Two::new();
    let mut log = filled(&two);
    assert!(log.advance_log_start(Offset(9)));
    let mut copy = two.copy("t");
    copy_all(&log, &mut copy);
    assert_eq!(copy.log_start_offset(), Offset(9));
    assert!(copy.first_segment_offset() <= Offset(9));
    log.advance_log_start(Offset(12));
    append(&mut log, batch(1, 1)).unwrap();
    copy_all(&log, &mut copy);
    assert_eq!(copy.log_start_offset(), Offset(12));
}

#[test]
fn a_copy_of_something_else_has_to_begin_anew() {
    let (two, other) = (Two::new(), Two::new());
    let (mut log, mut former) = (two.log("t"), other.log("t"));
    append(&mut former, batch(3, 1)).unwrap();
    append(&mut log, batch(2, 1)).unwrap();
    append(&mut log, batch(2, 1)).unwrap();
    let mut copy = two.copy("t");
    copy_all(&former, &mut copy);
    let piece = next_piece(&log, &copy).unwrap();
    let copied = copy.copy_blocking(&piece, Offset(0), NOW);
    assert!(matches!(copied, Err(CopyError::DoesNotFit(at)) if at == Offset(3)));
    copy.begin_copy_at(Offset(0), NOW).unwrap();
    copy_all(&log, &mut copy);
    assert_eq!(content(&copy), content(&log));
}

#[test]
fn a_batch_larger_than_a_segment_may_be_now_is_copied() {
    let two = Two::new();
    let mut log = two.log("large");
    append_all(&mut log, [of_leader(0, 3)])
        .pop()
        .unwrap()
        .unwrap();
    let mut copy = two.copy("large");
    let mut small = LogConfig::clone(copy.config());
    small.segment_bytes_max = 100;
    copy.set_config(Arc::new(small));
    copy_all(&log, &mut copy);
    assert_eq!(content(&copy), content(&log));
    assert_eq!(copy.segment_count(), 3);
}

#[test]
fn a_gap_at_the_end_of_a_log_is_one_in_its_copy() {
    let two = Two::new();
    for records in [0, 3] {
        let mut copy = two.copy("large");
        if records > 0 {
            append_all(&mut copy, [of_leader(0, records)])
                .pop()
                .unwrap()
                .unwrap();
        }
        copy.end_copy_at(Offset(9), NOW).unwrap();
        assert_eq!(copy.log_end_offset(), Offset(9));
        append_all(&mut copy, [of_leader(9, 1)])
            .pop()
            .unwrap()
            .unwrap();
        let found = offsets(&copy);
        assert_eq!(
            (found.len() as i64, found.last()),
            (records + 1, Some(&(9, 9)))
        );
    }
}

#[test]
fn what_comes_to_a_log_while_its_gap_is_looked_at_is_copied() {
    let two = Two::new();
    let mut log = two.log("large");
    let write = |log: &mut Log, at, records| {
        let batch = of_leader(at, records);
        append_all(log, [batch]).pop().unwrap().unwrap();
    };
    write(&mut log, 0, 3);
    let mut copy = two.copy("large");
    copy_all(&log, &mut copy);
    log.end_copy_at(Offset(9), NOW).unwrap();
    let read = log.read_for_copy(copy.log_end_offset(), STEP_BYTES);
    write(&mut log, 9, 1);
    let piece = run(read.unwrap().run()).unwrap();
    assert_eq!(copy.copy_blocking(&piece, Offset(0), NOW).unwrap(), 0);
    copy_all(&log, &mut copy);
    assert_eq!(offsets(&copy), offsets(&log));
    assert_eq!(content(&copy), content(&log));
}

#[test]
fn a_copy_is_not_taken_for_the_log_that_was_there_before() {
    let two = Two::new();
    let points = [(partition("t"), Offset(7)), (partition("u"), Offset(9))];
    two.second.write_recovery_points(&points).unwrap();
    two.second.write_cleaned(&points).unwrap();
    drop(two.copy("t"));
    for file in [
        "recovery-point-offset-checkpoint",
        "cleaner-offset-checkpoint",
    ] {
        let left = crate::checkpoint::read_offsets(&two.second.path().join(file)).unwrap();
        assert_eq!(left.into_iter().collect::<Vec<_>>(), points[1..]);
    }
}

#[test]
fn copies_are_found_and_are_nobodys_logs() {
    let two = Two::new();
    drop(two.copy("t"));
    drop(two.copy("t"));
    let found = two.second.futures().unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|copy| copy.topic_id == Some(ID)));
    assert_eq!(two.second.partitions().unwrap(), []);
    let fates = [Standing::Deleted, Standing::Current];
    for (copy, standing) in found.iter().zip(fates) {
        two.second.rename_future(copy, standing).unwrap();
    }
    assert_eq!(two.second.futures().unwrap(), []);
    assert_eq!(two.second.partitions().unwrap(), [partition("t")]);
    assert!(two.second.has_deleted(&partition("t")).unwrap());
    assert!(!two.first.has_deleted(&partition("t")).unwrap());
}

/// Copies what there is, as far as it goes.
fn copy_in(world: &mut World, log: &Log, copy: &mut Log) -> Result<(), Stop> {
    while copy.log_end_offset() < log.log_end_offset() {
        world.step(|_| {
            let read = log.read_for_copy(copy.log_end_offset(), STEP_BYTES);
            let piece = run(read.unwrap().run())?;
            match copy.log_end_offset() < log.log_end_offset() {
                true => copy.copy_blocking(&piece, log.log_start_offset(), NOW),
                false => Ok(0), // Only a sync had failed.
            }
        })?;
    }
    Ok(())
}

/// For `scenarios`: a log is copied in two processes, written meanwhile, and moved.
pub(super) fn move_with_a_restart(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    world.open_second()?;
    let mut log = world.load_one("t")?;
    let (of, topic) = (partition("t"), config("t"));
    let former = [(of.clone(), Offset(3))];
    world.step(|world| world.second().write_recovery_points(&former))?;
    for _ in 0..2 {
        let mut copy =
            world.step(|world| world.second().create_future(&of, ID, topic.clone(), NOW))?;
        copy_in(world, &log, &mut copy)?;
    }
    world.fill(&mut log, 2)?;
    drop(log);
    world.open()?;
    world.open_second()?;
    let mut log = world.load_one("t")?;
    let found = world.step(|world| world.second().futures())?;
    let (kept, others) = found.split_first().expect("they were made");
    for other in others {
        world.step(|world| match other.path.exists() {
            true => world.second().rename_future(other, Standing::Deleted),
            false => Ok(()), // Only its durability was in doubt.
        })?;
    }
    world.step(|world| world.second().has_deleted(&of))?;
    let mut copy = world.step(|world| world.second().open_future(kept, topic.clone(), NOW))?;
    let end = copy.log_end_offset();
    if end > log.log_end_offset() {
        world.step(|_| copy.cut_copy_at(log.log_end_offset(), NOW))?;
    }
    world.fill(&mut log, 1)?;
    copy_in(world, &log, &mut copy)?;
    world.flush(&mut log, FlushTo::LogEnd)?;
    world.step(|_| copy.flush_blocking())?;
    put_in_place(world, &mut log, copy)?;
    world.fill(&mut log, 3)?;
    world.read(&log)?;
    world.close(log).map(drop)
}

fn put_in_place(world: &mut World, log: &mut Log, copy: Log) -> Result<(), Stop> {
    let exchanged = world.step(|_| match log.start_exchange(&copy).run_blocking() {
        Err(error @ ExchangeError::HalfDone(_)) => {
            log.lost_its_name(&error);
            Err(error)
        }
        other => other,
    })?;
    let (old, removal) = log.finish_exchange(copy, exchanged);
    drop(old);
    removal.run_blocking();
    Ok(())
}

#[test]
fn the_copys_checkpoints_are_written_beside_those_of_others() {
    use crate::directory::PartitionCheckpoint;
    let two = Two::new();
    let path = two.second.path().to_owned();
    let others = [(partition("other"), Offset(7))];
    two.second.write_recovery_points(&others).unwrap();
    two.second
        .write_log_start_offsets(&[(partition("t"), Offset(2))])
        .unwrap();
    let said = PartitionCheckpoint {
        recovery_point: Some(Offset(5)),
        log_start: None,
        high_watermark: Some(Offset(6)),
        cleaned_to: Some(Offset(4)),
    };
    two.second
        .write_checkpoint_of(&partition("t"), said)
        .unwrap();
    drop(two.second);
    let again = LogDirectory::open(&path).unwrap();
    assert_eq!(again.found_checkpoint(&partition("t")).unwrap(), said);
    let other = again.found_checkpoint(&partition("other")).unwrap();
    assert_eq!(other.recovery_point, Some(Offset(7)));
}
