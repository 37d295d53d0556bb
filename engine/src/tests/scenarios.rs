//! What is done with a log directory while one call fails: together, every place in the engine that
//! touches the disk is reached (`call_sites` sees to it).

use super::world::{ID, Stop, World, config, keyed, of_leader, partition};
use super::*;
use crate::compact::{Brake, Limits, Step, Throttle};
use crate::fault;
use crate::flush::FlushTo;
use crate::meta_properties::{MetaProperties, MetaVersion};
use crate::metadata_snapshot::{self, SnapshotId};
use crate::partition_name::Standing;
use crate::quorum_state::QuorumState;
use protocol::ids::{BrokerEpoch, BrokerId};
use std::io;
use std::ops::ControlFlow;

/// A scenario: what is there before, and what is done while a call fails.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) before: fn(&mut World) -> Result<(), Stop>,
    pub(super) steps: fn(&mut World) -> Result<(), Stop>,
}

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "write and come back",
        before: |_| Ok(()),
        steps: write_and_come_back,
    },
    Scenario {
        name: "large",
        before: large_before,
        steps: large,
    },
    Scenario {
        name: "transactions and a kill",
        before: |_| Ok(()),
        steps: transactions,
    },
    Scenario {
        name: "too many closed segments",
        before: |_| Ok(()),
        steps: |world| {
            fault::take_places(true);
            let done = too_many_closed(world);
            fault::take_places(false);
            done
        },
    },
    Scenario {
        name: "truncate",
        before: filled,
        steps: truncate,
    },
    Scenario {
        name: "truncate transactions",
        before: with_transactions,
        steps: truncate_transactions,
    },
    Scenario {
        name: "retention",
        before: |world| filled_as(world, "short"),
        steps: retention,
    },
    Scenario {
        name: "compact",
        before: compactable,
        steps: compact,
    },
    Scenario {
        name: "leftovers",
        before: leftovers_before,
        steps: leftovers,
    },
    Scenario {
        name: "torn tail",
        before: torn_before,
        steps: torn,
    },
    Scenario {
        name: "strays and deletion",
        before: filled,
        steps: strays,
    },
    Scenario {
        name: "damage",
        before: damage_before,
        steps: damage,
    },
    Scenario {
        name: "old format",
        before: old_format_before,
        steps: old_format,
    },
    Scenario {
        name: "move",
        before: with_transactions,
        steps: super::moving::move_with_a_restart,
    },
    Scenario {
        name: "metadata files",
        before: |_| Ok(()),
        steps: metadata_files,
    },
];

fn write_and_come_back(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let identity = MetaProperties {
        version: MetaVersion::V1,
        node_id: Some(BrokerId(1)),
        cluster_id: Some("c".to_owned()),
        directory_id: Some(ID),
        others: Default::default(),
    };
    world.step(|world| world.directory().write_identity(&identity))?;
    let mut log = world.create("t")?;
    for epoch in 0..3 {
        log.begin_leader_epoch(LeaderEpoch(epoch));
        world.fill(&mut log, 3)?;
        world.flush(&mut log, FlushTo::LogEnd)?;
    }
    world.flush(&mut log, FlushTo::ActiveSegment)?;
    world.read(&log)?;
    fault::set_cold(true);
    let read = world.read(&log);
    fault::set_cold(false);
    read?;
    world.look_up(&log)?;
    world.roll(&mut log)?;
    let now = |log: &mut Log, append| log.append_now(append, NOW);
    log.begin_leader_epoch(LeaderEpoch(3));
    for _ in 0..5 {
        let sent = of_client(batch(2, world.tick()));
        world.append_by(&mut log, &sent, now)?;
    }
    world.checkpoint(&log)?;
    world.close(log)?;
    world.step(|world| world.directory().mark_clean(BrokerEpoch(1)))?;
    world.open()?;
    let mut log = world.load_one("t")?;
    world.read(&log)?;
    for _ in 0..2 {
        world.fill(&mut log, 1)?;
        world.flush(&mut log, FlushTo::LogEnd)?;
    }
    world.close(log).map(drop)
}

fn large_before(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create("large")?;
    world.append(&mut log, &of_leader(0, 1100))?;
    world.close(log)?;
    world.step(|world| world.directory().mark_clean(BrokerEpoch(1)))
}

fn large(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("large")?;
    world.append(&mut log, &of_leader(1100, 1200))?;
    world.append(&mut log, &of_leader(2300, 1))?;
    let from = ReadFrom {
        offset: Offset(3),
        upper_bound: log.log_end_offset(),
        bytes_max: 64 << 10,
        min_one_batch: true,
    };
    world.step(|_| run(log.read(from).unwrap().run()))?;
    world.look_up(&log)?;
    // What waits in the background had its turn while the above ran.
    world.close(log).map(drop)
}

fn transactions(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create("t")?;
    for round in 0..3 {
        world.abort(&mut log, 1, round)?;
        world.fill(&mut log, 3)?;
    }
    world.read(&log)?;
    let sent = super::producers::transactional(2, 0, Origin::Coordinator);
    let now = |log: &mut Log, append| log.append_now(append, NOW);
    world.append_by(&mut log, &sent, now)?;
    let result = protocol::batch::control::TransactionResult::Abort;
    world.append_by(&mut log, &super::producers::marker(2, result), now)?;
    world.checkpoint(&log)?;
    drop(log);
    world.open()?;
    let log = world.load_one("t")?;
    world.read(&log)?;
    world.close(log).map(drop)
}

fn filled(world: &mut World) -> Result<(), Stop> {
    filled_as(world, "t")
}

fn filled_as(world: &mut World, topic: &str) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create(topic)?;
    world.fill(&mut log, 18)?;
    assert!(log.segment_count() > 3);
    world.checkpoint(&log)?;
    world.close(log)?;
    world.step(|world| world.directory().mark_clean(BrokerEpoch(1)))?;
    world.directory = None;
    Ok(())
}

/// Takes records back; a failure takes the directory offline.
fn cut(world: &mut World, log: &mut Log, target: i64, fully: bool) -> Result<(), Stop> {
    let told = world.told(log);
    let gone = told
        .must
        .extract_if(.., |_, (last, _)| *last >= target || fully);
    let gone: Vec<_> = gone.collect();
    told.may.extend(gone);
    told.aborted.clear();
    let outcome = match fully {
        true => log.truncate_fully_and_start_at(Offset(target), NOW),
        false => log.truncate_to(Offset(target), NOW),
    };
    match outcome {
        Ok(removals) => {
            for removal in removals {
                run(removal.run());
            }
            world.told(log).may.clear();
            Ok(())
        }
        Err(error) => {
            world.note(&error)?;
            assert_eq!(log.log_end_offset().0, target, "nothing is half done");
            cut(world, log, target, fully)
        }
    }
}

fn truncate(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("t")?;
    log.begin_leader_epoch(LeaderEpoch(1));
    let end = log.log_end_offset().0;
    cut(world, &mut log, end, false)?;
    cut(world, &mut log, end - 3, false)?;
    cut(world, &mut log, 11, false)?;
    world.fill(&mut log, 4)?;
    world.flush(&mut log, FlushTo::LogEnd)?;
    cut(world, &mut log, 9, false)?;
    world.fill(&mut log, 4)?;
    cut(world, &mut log, 100, true)?;
    world.fill(&mut log, 2)?;
    world.read(&log)?;
    world.close(log).map(drop)
}

/// Each segment that is closed has to be synced at once.
fn too_many_closed(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create("t")?;
    world.fill(&mut log, 10)?;
    world.roll(&mut log)?;
    let now = |log: &mut Log, append| log.append_now(append, NOW);
    for _ in 0..5 {
        let sent = of_client(batch(2, world.tick()));
        world.append_by(&mut log, &sent, now)?;
    }
    assert!(log.segments.sealed.iter().all(|segment| !segment.is_open()));
    world.flush(&mut log, FlushTo::ActiveSegment)?;
    world.read(&log)?;
    world.close(log).map(drop)
}

fn with_transactions(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create("t")?;
    for round in 0..3 {
        world.abort(&mut log, 1, round)?;
        world.fill(&mut log, 2)?;
    }
    world.close(log)?;
    world.step(|world| world.directory().mark_clean(BrokerEpoch(1)))?;
    world.directory = None;
    Ok(())
}

fn truncate_transactions(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("t")?;
    let end = log.log_end_offset().0;
    cut(world, &mut log, end - 5, false)?;
    cut(world, &mut log, 7, false)?;
    world.fill(&mut log, 2)?;
    drop(log);
    world.open()?;
    let log = world.load_one("t")?;
    world.read(&log)?;
    world.close(log).map(drop)
}

fn retention(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("short")?;
    let from = Offset(9);
    log.advance_log_start(from);
    let told = world.told(&log);
    let gone = told.must.extract_if(.., |_, (last, _)| *last < from.0);
    let gone: Vec<_> = gone.collect();
    told.may.extend(gone);
    world.checkpoint(&log)?;
    // Records without a time are as old as their file.
    world.roll(&mut log)?;
    let old = of_client(batch(2, -1));
    world.append(&mut log, &old)?;
    world.roll(&mut log)?;
    world.append(&mut log, &old)?;
    for now in [NOW, TimestampMs(i64::MAX / 2)] {
        let check = log.check_retention(log.log_end_offset()).ok_or(Stop)?;
        let Some(expired) = world.step(|_| check.run_blocking(now))? else {
            continue;
        };
        if expired.takes_active() {
            world.roll(&mut log)?;
        }
        let told = world.told(&log);
        if now > NOW {
            let all = std::mem::take(&mut told.must);
            told.may.extend(all);
        }
        let Some(retired) = log.drop_expired(expired) else {
            continue;
        };
        match retired.run_blocking() {
            Ok(removal) => run(removal.run()),
            Err(error) => world.note(&error)?,
        }
    }
    world.fill(&mut log, 1)?;
    world.checkpoint(&log)?;
    drop(log);
    world.open()?;
    let log = world.load_one("short")?;
    world.close(log).map(drop)
}

fn compactable(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create("compacted")?;
    for round in 0..2 {
        world.abort(&mut log, 1, round)?;
        for key in 0..6 {
            let sent = keyed(key, world.tick());
            world.append(&mut log, &sent)?;
        }
    }
    world.roll(&mut log)?;
    world.abort(&mut log, 1, 2)?;
    world.close(log)?;
    world.step(|world| world.directory().mark_clean(BrokerEpoch(1)))?;
    world.directory = None;
    Ok(())
}

fn compact(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("compacted")?;
    let active = log.segments.active.base_offset.0;
    let told = world.told(&log);
    // The first record of every key has a newer one; what was aborted goes, its markers stay.
    told.aborted.clear();
    let all = told.must.clone();
    let cleaned = all.keys().rev().filter(|first| **first < active);
    let newest: Vec<_> = cleaned.take(6).copied().collect();
    told.must
        .retain(|first, _| newest.contains(first) || *first >= active);
    told.may.extend(all);
    compact_once(world, &mut log)?;
    world.checkpoint(&log)?;
    world.read(&log)?;
    drop(log);
    world.open()?;
    let log = world.load_one("compacted")?;
    world.read(&log)?;
    world.close(log).map(drop)
}

fn compact_once(world: &mut World, log: &mut Log) -> Result<(), Stop> {
    let check = log.check_dirt(log.log_end_offset()).ok_or(Stop)?;
    let Some(cleanable) = world.step(|_| check.run_blocking(NOW))? else {
        return Ok(());
    };
    let limits = Limits {
        key_map_bytes: 1 << 16,
        load_factor: 0.9,
        io_buffer_bytes: 8192,
        throttle: Arc::new(Throttle::new(f64::MAX)),
        brake: Arc::new(Brake::default()),
    };
    let mut compaction = log.start_compaction(cleanable, limits, NOW).ok_or(Stop)?;
    loop {
        let step = match compaction.step_blocking() {
            Ok(step) => step,
            Err(error) => {
                log.mark_uncleanable(&error.to_string());
                return world.note(&error);
            }
        };
        match step {
            Step::Group(group) => {
                let swap = log.start_swap(group).expect("nothing else has changed");
                match swap.run_blocking() {
                    Ok((swapped, removal)) => {
                        log.finish_swap(swapped);
                        run(removal.run());
                    }
                    Err(error) => {
                        log.mark_uncleanable(&error.to_string());
                        return world.note(&error);
                    }
                }
            }
            Step::Finished(cleaned) => {
                log.finish_compaction(&cleaned);
                return Ok(());
            }
        }
    }
}

fn leftovers_before(world: &mut World) -> Result<(), Stop> {
    filled(world)?;
    let directory = world.path("t");
    let at = |name: String| directory.join(name);
    let bases: Vec<i64> = super::scenarios::bases(&directory);
    for kind in [".log", ".index", ".timeindex"] {
        let second = format!("{:020}{kind}", bases[1]);
        for (stage, base) in [(".deleted", 7), (".cleaned", 1000)] {
            std::fs::copy(at(second.clone()), at(format!("{base:020}{kind}{stage}"))).unwrap();
        }
        std::fs::copy(at(second.clone()), at(format!("{second}.swap"))).unwrap();
    }
    // An index without a segment, a snapshot of none, and a segment without an index.
    std::fs::write(at(format!("{:020}.index", 900)), "").unwrap();
    std::fs::write(at(format!("{:020}.snapshot", 5)), "").unwrap();
    std::fs::remove_file(at(format!("{:020}.timeindex", bases[2]))).unwrap();
    std::fs::remove_file(world.root.path().join(".kafka_cleanshutdown")).unwrap();
    Ok(())
}

pub(super) fn bases(directory: &Path) -> Vec<i64> {
    let files = crate::leftovers::list(directory).unwrap();
    let logs = files
        .iter()
        .filter(|f| f.kind == Kind::Log && f.stage == Stage::Settled);
    let mut bases: Vec<i64> = logs.map(|f| f.base_offset.0).collect();
    bases.sort_unstable();
    bases
}

fn leftovers(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("t")?;
    world.read(&log)?;
    world.fill(&mut log, 1)?;
    world.close(log).map(drop)
}

fn torn_before(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.create("t")?;
    world.fill(&mut log, 3)?;
    world.flush(&mut log, FlushTo::LogEnd)?;
    world.checkpoint(&log)?;
    world.fill(&mut log, 4)?;
    drop(log);
    world.directory = None;
    let directory = world.path("t");
    let last = *bases(&directory).last().unwrap();
    let path = crate::file_name::path(&directory, Offset(last), Kind::Log);
    let mut content = std::fs::read(&path).unwrap();
    content.extend([7; 100]);
    std::fs::write(path, content).unwrap();
    Ok(())
}

fn torn(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let mut log = world.load_one("t")?;
    world.read(&log)?;
    world.fill(&mut log, 1)?;
    world.close(log).map(drop)
}

fn strays(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    world.step(|world| world.directory().survey())?;
    world.step(|world| world.directory().partitions())?;
    let found = world.step(|world| world.directory().found_checkpoint(&partition("t")))?;
    assert!(found.recovery_point.is_some(), "{found:?}");
    let _gone = world.step(|world| {
        world
            .directory()
            .create_log(&partition("gone"), ID, config("gone"), NOW)
    })?;
    let is_stray = |partition: &TopicPartition, _| &*partition.topic == "gone";
    world.step(|world| world.directory().set_strays_aside(&is_stray))?;
    let mut second = world.create("second")?;
    world.fill(&mut second, 5)?;
    drop(second);
    world.step(|world| world.directory().set_aside(&partition("nothing")))?;
    world
        .told
        .get_mut(&partition("second"))
        .unwrap()
        .may_be_gone = true;
    world.step(|world| world.directory().set_aside(&partition("second")))?;
    // What an earlier process was about to remove.
    let name = partition("u").directory_name_as(Standing::Deleted, [1; 16]);
    let _ = std::fs::create_dir(world.root.path().join(name));
    let mut log = world.load_one("t")?;
    world.step(|_| log.restore_topic_id(ID))?;
    world.told(&log).may_be_gone = true;
    match log.delete() {
        Ok(removal) => run(removal.run()),
        Err(error) => world.note(&error)?,
    }
    Ok(())
}

fn damage_before(world: &mut World) -> Result<(), Stop> {
    with_transactions(world)?;
    let directory = world.path("t");
    let bases = bases(&directory);
    let path = |base, kind| crate::file_name::path(&directory, Offset(base), kind);
    let index = path(bases[0], Kind::OffsetIndex);
    let bytes = std::fs::metadata(&index).unwrap().len() as usize;
    std::fs::write(&index, vec![255; bytes]).unwrap();
    let last = *bases.last().unwrap();
    std::fs::write(path(last, Kind::TimeIndex), [255; 24]).unwrap();
    for file in crate::leftovers::list(&directory).unwrap() {
        if file.kind == Kind::Snapshot {
            std::fs::write(file.within(&directory), "damaged").unwrap();
        }
    }
    Ok(())
}

fn damage(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    let log = world.load_one("t")?;
    world.read(&log)?;
    world.close(log)?;
    // And with nothing known of epochs, so that every batch is read.
    std::fs::write(world.path("t").join("leader-epoch-checkpoint"), "").unwrap();
    world.open()?;
    let mut log = world.load_one("t")?;
    world.fill(&mut log, 1)?;
    world.close(log).map(drop)
}

fn old_format_before(world: &mut World) -> Result<(), Stop> {
    use protocol::legacy_record_set::{LegacyBuilder, LegacyMagic};
    world.open()?;
    let log = world.create("old")?;
    world.told(&log).may_be_gone = true;
    world.close(log)?;
    let mut old = LegacyBuilder::new(LegacyMagic::V1, protocol::batch::Compression::None, None);
    old.append(Offset(0), TimestampMs(5), Some(b"k"), Some(b"v"));
    let path = crate::file_name::path(&world.path("old"), Offset(0), Kind::Log);
    std::fs::write(path, old.finish()).unwrap();
    world.directory = None;
    Ok(())
}

fn old_format(world: &mut World) -> Result<(), Stop> {
    let loaded = open_old_format(world);
    let path = crate::file_name::path(&world.path("old"), Offset(0), Kind::Log);
    assert!(std::fs::metadata(path).unwrap().len() > 0, "it is not cut");
    // So that the directory can be opened at the end.
    let _ = std::fs::rename(world.path("old"), world.root.path().join("aside"));
    loaded
}

fn open_old_format(world: &mut World) -> Result<(), Stop> {
    world.open()?;
    world.step(|world| {
        world
            .directory()
            .open_log(&partition("old"), config("old"), NOW)
            .map(drop)
    })
}

fn metadata_files(world: &mut World) -> Result<(), Stop> {
    let directory = world.root.path().to_owned();
    let mut state = QuorumState {
        version: 0,
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(1),
        voters: vec![BrokerId(1)],
    };
    for epoch in 1..3 {
        state.leader_epoch = LeaderEpoch(epoch);
        world.step(|_| state.write(&directory))?;
        let found = world.step(|_| QuorumState::read(&directory))?;
        assert_eq!(found.as_ref(), Some(&state));
    }
    let content = batch(3, 1);
    let ids = [1, 2].map(|at| SnapshotId {
        epoch: LeaderEpoch(1),
        offset: Offset(at),
    });
    for id in ids {
        world.step(|_| metadata_snapshot::write(&directory, id, &content))?;
    }
    std::fs::write(
        directory.join("00000000000000000011-0000000002-7.checkpoint.part"),
        "x",
    )
    .unwrap();
    let listed = world.step(|_| metadata_snapshot::list(&directory))?;
    assert_eq!(listed, ids);
    let bytes = world.step(|_| metadata_snapshot::size_bytes(&directory, ids[0]))?;
    assert_eq!(bytes, content.len() as u64);
    world.step(|_| -> io::Result<()> {
        let mut batches = 0;
        metadata_snapshot::read(&directory, ids[0], &mut |_| {
            batches += 1;
            ControlFlow::Continue(())
        })?;
        assert_eq!(batches, 1);
        Ok(())
    })?;
    world.step(|_| metadata_snapshot::remove(&directory, ids[0]))?;
    world.open()?;
    world.step(|world| world.directory().high_watermarks())?;
    let point = [(partition("t"), Offset(3))];
    world.step(|world| world.directory().write_high_watermarks(&point))?;
    world.step(|world| world.directory().disk_space())?;
    let found = world.step(|world| world.directory().high_watermarks())?;
    assert_eq!(found.len(), 1);
    Ok(())
}
