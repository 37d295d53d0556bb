//! The engine's compaction, run on a directory as the node runs it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use engine::OffsetQuery;
use engine::compact::{Brake, Limits, Step, Throttle};
use engine::config::LogConfig;
use engine::directory::LogDirectory;
use engine::log::Log;
use protocol::ids::{BrokerEpoch, Offset, TimestampMs};

use crate::dump::{self, Cleaning, Pass};
use crate::history::{BEGIN_MS, config, topic_partition};

/// `log.cleaner.io.buffer.load.factor` and half of `log.cleaner.io.buffer.size`: Kafka's defaults.
const LOAD_FACTOR: f64 = 0.9;
const IO_BUFFER_BYTES: usize = 512 * 1024;

/// Cleans the partition in a log directory, with a clean stop after each pass: each begins with the
/// files and the checkpoint that the one before left.
pub fn clean(parent: &Path, cleaning: &Cleaning) -> Vec<Pass> {
    let config = Arc::new(LogConfig {
        delete_retention_ms: cleaning.delete_retention_ms,
        compaction_lag_ms_min: cleaning.compaction_lag_ms,
        producer_expiration_ms: cleaning.producer_expiration_ms,
        ..config(cleaning.segment_bytes)
    });
    let starts = [(topic_partition(), Offset(cleaning.log_start))];
    let one_pass = |now_ms: &i64| {
        let now = TimestampMs(*now_ms);
        let directory = LogDirectory::open(parent).expect("the directory is ours");
        directory
            .write_log_start_offsets(&starts)
            .expect("the disk works");
        let log = directory.open_log(&topic_partition(), config.clone(), now);
        let mut log = log.expect("the log is sound").expect("the log is there");
        let pass = pass(&mut log, cleaning, now);
        let cleaned = [(topic_partition(), Offset(pass.next))];
        log.close().expect("the disk works");
        directory.write_cleaned(&cleaned).expect("the disk works");
        let epoch = BrokerEpoch(1);
        directory.mark_clean(epoch).expect("the disk works");
        pass
    };
    cleaning.passes_ms.iter().map(one_pass).collect()
}

/// Looks up offsets and times all over a log that Kafka has cleaned. An index that Kafka wrote is right:
/// none must be taken for damaged and made anew.
pub fn assert_indexes_are_believed(parent: &Path, cleaning: &Cleaning) {
    let directory = LogDirectory::open(parent).expect("the directory is ours");
    let now = TimestampMs(*cleaning.passes_ms.last().expect("there are passes"));
    let config = Arc::new(config(cleaning.segment_bytes));
    let log = directory.open_log(&topic_partition(), config, now);
    let log = log.expect("the log is sound").expect("the log is there");
    let before = files(log.directory());
    let end = log.log_end_offset().0;
    for at in (log.log_start_offset().0..end).step_by(37) {
        // Messages of the old formats are not replayed: the look-up is what counts.
        let _ = log.replay(Offset(at), &mut |_| ControlFlow::Break(()));
    }
    let span_ms = now.0 - BEGIN_MS;
    for at in 0..200 {
        let time = TimestampMs(BEGIN_MS - 1_000_000 + at * (span_ms + 1_000_000) / 200);
        let query = OffsetQuery::At(time);
        let found = log.offset_for_timestamp(query).run_blocking();
        found.expect("the indexes and batches are sound");
    }
    assert_eq!(files(log.directory()), before, "some were made anew");
}

/// The files of a directory, and which they are.
fn files(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let files = fs::read_dir(directory).expect("the directory is there");
    let file = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.expect("the directory is there");
        (entry.path(), entry.ino())
    };
    files.map(file).collect()
}

fn pass(log: &mut Log, cleaning: &Cleaning, now: TimestampMs) -> Pass {
    log.expire_producers(now);
    let end = log.log_end_offset();
    log.on_high_watermark(end);
    let from = log.cleaned_to().unwrap_or(log.log_start_offset());
    let check = log.check_dirt(end).expect("the topic is compacted");
    let cleanable = check.run_blocking(now).expect("the disk works");
    let cleanable = cleanable.expect("there are segments");
    assert_eq!(cleanable.first_dirty, from);
    if cleanable.ratio > 0.0 {
        let limits = Limits {
            key_map_bytes: cleaning.dedupe_buffer_bytes,
            load_factor: LOAD_FACTOR,
            io_buffer_bytes: IO_BUFFER_BYTES,
            throttle: Arc::new(Throttle::new(f64::MAX)),
            brake: Arc::new(Brake::default()),
        };
        let compaction = log.start_compaction(cleanable, limits, now);
        let mut compaction = compaction.expect("the log is well");
        loop {
            match compaction.step_blocking().expect("the disk works") {
                Step::Group(group) => {
                    let swap = log.start_swap(group).expect("nothing else changed the log");
                    let (swapped, removal) = swap.run_blocking().expect("the disk works");
                    log.finish_swap(swapped);
                    // The files stay until their delay is over, as Kafka's do.
                    drop(removal);
                }
                Step::Finished(cleaned) => {
                    log.finish_compaction(&cleaned);
                    break;
                }
            }
        }
    }
    Pass {
        from: from.0,
        uncleanable: cleanable.first_uncleanable.0,
        next: log.cleaned_to().unwrap_or(from).0,
        lines: dump::read(log.directory()),
    }
}
