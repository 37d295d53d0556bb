//! What an append costs above the bare write: CPU-seconds per GB of `enqueue`, `start_write`,
//! `Write::run` and `finish_write`, beside a loop of CRC-32C and `pwritev` of the same bytes in the
//! same pieces, in turns in one run.
//!
//! `cargo run --release -p chiplog-engine --example append_cost -- <directory> [batch bytes]
//! [batches a write] [rounds]`

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::config::{LogConfig, Validation};
use engine::directory::LogDirectory;
use engine::{Done, TopicPartition};
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord, PATCHED_LEN};
use protocol::ids::{LeaderEpoch, PartitionIndex, TimestampMs, Uuid};
use std::fs::File;
use std::io::{IoSlice, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BYTES_A_ROUND: usize = 1 << 30;
const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

struct Load {
    directory: PathBuf,
    batch: Bytes,
    batches_a_write: usize,
    validation: Validation,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let directory = PathBuf::from(args.next().expect("a directory to write in"));
    let mut number = |default: usize| {
        args.next()
            .map_or(default, |n| n.parse().expect("a number"))
    };
    let batch = batch_of(number(16 << 10));
    let (batches_a_write, rounds) = (number(32), number(5));
    println!(
        "batches of {} bytes, {batches_a_write} a write",
        batch.len()
    );
    let load = |validation| Load {
        directory: directory.clone(),
        batch: batch.clone(),
        batches_a_write,
        validation,
    };
    let (checked, unchecked) = (load(Validation::Relaxed), load(Validation::None));
    let mut runtime = ring::Runtime::new(ring::Options::default()).expect("io_uring");
    let mut costs: [Vec<f64>; 4] = Default::default();
    for round in 0..=rounds {
        let measured = [
            checked.bare()?,
            runtime.block_on(checked.engine()),
            unchecked.bare()?,
            runtime.block_on(unchecked.engine()),
        ];
        // The first round warms the page cache's memory.
        for (costs, cost) in costs.iter_mut().zip(measured).filter(|_| round > 0) {
            costs.push(cost);
        }
    }
    let names = [
        "CRC + pwritev",
        "engine, relaxed",
        "pwritev",
        "engine, no validation",
    ];
    for (name, costs) in names.iter().zip(&mut costs) {
        costs.sort_by(f64::total_cmp);
        let (low, middle, high) = (costs[0], costs[costs.len() / 2], costs[costs.len() - 1]);
        println!("{name:<22} {middle:.3} s/GB  ({low:.3} to {high:.3})");
    }
    Ok(())
}

/// A batch of 1,000-byte records of about that size, or of one smaller record.
fn batch_of(bytes: usize) -> Bytes {
    let value = vec![b'x'; bytes.saturating_sub(100).clamp(1, 1000)];
    let mut batch = BatchBuilder::new(BatchOptions::default());
    loop {
        let value = Some(&value[..]);
        batch.append(&NewRecord {
            timestamp: NOW,
            value,
            ..NewRecord::default()
        });
        if batch.size_uncompressed() + value.map_or(0, <[u8]>::len) > bytes {
            return batch.finish().into();
        }
    }
}

impl Load {
    fn writes(&self) -> usize {
        BYTES_A_ROUND / self.batch.len() / self.batches_a_write
    }

    fn per_gb(&self, before: f64) -> f64 {
        let bytes = self.writes() * self.batches_a_write * self.batch.len();
        (cpu_seconds() - before) / bytes as f64 * 1e9
    }

    fn bare(&self) -> Result<f64> {
        let path = self.directory.join("bare.log");
        let file = File::create(&path)?;
        let before = cpu_seconds();
        let mut position = 0;
        for _ in 0..self.writes() {
            let mut pieces = Vec::with_capacity(self.batches_a_write * 2);
            for _ in 0..self.batches_a_write {
                if self.validation != Validation::None {
                    assert_ne!(protocol::checksum::crc32c(&self.batch[21..]), 1);
                }
                pieces.push(IoSlice::new(&self.batch[..PATCHED_LEN]));
                pieces.push(IoSlice::new(&self.batch[PATCHED_LEN..]));
            }
            position += rustix::io::pwritev(&file, &pieces, position)? as u64;
        }
        let cost = self.per_gb(before);
        std::fs::remove_file(path)?;
        Ok(cost)
    }

    async fn engine(&self) -> f64 {
        let root = self.directory.join("append_cost");
        let mut log = new_log(&root, self.validation);
        let before = cpu_seconds();
        let mut done: Vec<Done> = Vec::new();
        for _ in 0..self.writes() {
            for token in 0..self.batches_a_write as u64 {
                let batches = self.batch.clone();
                let (leader_epoch, origin) = (LeaderEpoch(0), Origin::Client);
                log.enqueue(Append {
                    token,
                    batches,
                    leader_epoch,
                    origin,
                })
                .expect("it is sound");
            }
            let write = log.start_write(NOW).expect("there is something to write");
            log.finish_write(write.run().await, &mut done);
            assert!(done.drain(..).all(|(_, result)| result.is_ok()));
        }
        let cost = self.per_gb(before);
        drop(log);
        std::fs::remove_dir_all(root).expect("it was made");
        cost
    }
}

fn new_log(root: &Path, validation: Validation) -> engine::log::Log {
    let directory = LogDirectory::open(root).expect("a directory");
    let config = LogConfig {
        validation,
        segment_bytes_max: i32::MAX as u32,
        queued_bytes_max: usize::MAX,
        write_bytes_max: usize::MAX,
        ..LogConfig::default()
    };
    let partition = TopicPartition::new("cost", PartitionIndex(0));
    directory
        .create_log(&partition, Uuid([1; 16]), Arc::new(config), NOW)
        .expect("a log")
}

/// What all threads of this process have used, from the scheduler's account in nanoseconds.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    let used = tasks.map(|task| {
        let path = task.expect("a thread").path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split(' ')
            .next()
            .and_then(|ns| ns.parse::<u64>().ok())
            .unwrap_or(0)
    });
    used.sum::<u64>() as f64 / 1e9
}
