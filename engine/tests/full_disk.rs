//! A log on a file system that really is full: a tmpfs of one MiB, mounted by a child process in a
//! mount namespace of its own.
//!
//! Where namespaces are not allowed the test says so and passes; failing writes of every kind are
//! injected by the crate's own tests.

use bytes::Bytes;
use engine::append::{Append, AppendError, Origin};
use engine::config::LogConfig;
use engine::directory::LogDirectory;
use engine::log::Log;
use engine::{ReadFrom, TopicPartition};
use protocol::batch::{BatchBuilder, BatchOptions, Batches, NewRecord};
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, TimestampMs, Uuid};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const INSIDE: &str = "ENGINE_FULL_DISK";
const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const RECORDS_A_BATCH: i64 = 10;

#[test]
fn a_full_file_system_loses_nothing_and_is_got_over() {
    if let Some(mounted) = std::env::var_os(INSIDE) {
        return inside(Path::new(&mounted));
    }
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=1m none \"$1\" && exec env \"$2=$1\" \"$3\" --exact \
                  a_full_file_system_loses_nothing_and_is_got_over";
    let namespace = |flags: &str| {
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c"]);
        command
    };
    let allowed = ["-m", "-rm"].into_iter().find(|flags| {
        let mut probe = namespace(flags);
        probe
            .args(["mount -t tmpfs -o size=1m none \"$1\"", "sh"])
            .arg(directory.path());
        probe.output().is_ok_and(|output| output.status.success())
    });
    let Some(flags) = allowed else {
        eprintln!("no mount namespaces here: not tested");
        return;
    };
    let this = std::env::current_exe().unwrap();
    let output = namespace(flags)
        .arg(script)
        .arg("sh")
        .arg(directory.path())
        .arg(INSIDE)
        .arg(this)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
}

fn batch() -> Bytes {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for _ in 0..RECORDS_A_BATCH {
        batch.append(&NewRecord {
            timestamp: NOW,
            value: Some(&[7; 700]),
            ..NewRecord::default()
        });
    }
    batch.finish().into()
}

fn append(
    log: &mut Log,
    runtime: &mut ring::Runtime,
) -> Vec<Result<engine::append::Appended, AppendError>> {
    for token in 0..3 {
        let (leader_epoch, origin) = (LeaderEpoch(0), Origin::Client);
        log.enqueue(Append {
            token,
            batches: batch(),
            leader_epoch,
            origin,
        })
        .unwrap();
    }
    let mut done = Vec::new();
    while let Some(write) = log.start_write(NOW) {
        log.finish_write(runtime.block_on(write.run()), &mut done);
    }
    done.into_iter().map(|(_, result)| result).collect()
}

fn check(log: &Log, runtime: &mut ring::Runtime, acknowledged: i64) {
    assert_eq!(log.log_end_offset(), Offset(acknowledged));
    let mut next = Offset(0);
    while next < log.log_end_offset() {
        let upper_bound = log.log_end_offset();
        let from = ReadFrom {
            offset: next,
            upper_bound,
            bytes_max: 1 << 20,
            min_one_batch: true,
        };
        let slice = runtime.block_on(log.read(from).unwrap().run()).unwrap();
        let bytes = runtime.block_on(slice.bytes()).unwrap();
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            batch.validate_relaxed().unwrap();
            assert_eq!(batch.header.base_offset, next);
            next = batch.header.next_offset();
        }
    }
}

fn inside(mounted: &Path) {
    let mut runtime = ring::Runtime::new(ring::Options::default()).expect("io_uring");
    let root = mounted.join("data");
    let directory = LogDirectory::open(&root).unwrap();
    let config = LogConfig {
        segment_bytes_max: 150_000,
        ..LogConfig::default()
    };
    let (config, partition) = (
        Arc::new(config),
        TopicPartition::new("t", PartitionIndex(0)),
    );
    let mut log = directory
        .create_log(&partition, Uuid([1; 16]), config.clone(), NOW)
        .unwrap();
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut refused = 0;
        while refused < 5 {
            for result in append(&mut log, &mut runtime) {
                match result {
                    Ok(_) => acknowledged += RECORDS_A_BATCH,
                    Err(AppendError::WriteFailed(_)) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            check(&log, &mut runtime, acknowledged);
        }
        assert!(log.segment_count() > 3);
        // Space comes back.
        resize(mounted, 2 + round);
    }
    assert!(acknowledged > 0);
    let closed = log.close().unwrap();
    assert_eq!(closed.recovery_point, Offset(acknowledged));
    drop(directory);
    let directory = LogDirectory::open(&root).unwrap();
    let log = directory
        .open_log(&partition, config, NOW)
        .unwrap()
        .unwrap();
    check(&log, &mut runtime, acknowledged);
}

fn resize(mounted: &Path, mib: u64) {
    let size = format!("remount,size={mib}m");
    let status = Command::new("mount")
        .args(["-o", &size])
        .arg(mounted)
        .status()
        .unwrap();
    assert!(status.success());
}
