//! Criterion benchmarks of the engine: appends, look-ups, recovery, compaction.
//!
//! Run by `cargo xtask bench-engine`, which compares with `benches/engine/baseline.json`. The logs
//! are made under the target directory, so on the file system that the repository is on.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use engine_bench::{Bench, DirtyLog, Turn, batch};
use protocol::ids::TimestampMs;

const PARENT: &str = env!("CARGO_TARGET_TMPDIR");
/// A log of about 160 MB in segments of 16 MiB, with an index entry every 4 KiB.
const LOOKUP_BATCHES: i64 = 10_000;
const RECORDS_A_BATCH: i64 = 16;
const SEGMENT_BYTES: u32 = 16 << 20;
/// Recovery reads every byte: 40 MB of it.
const RECOVERY_BATCHES: i64 = 2_500;
/// Compaction reads 40 MB and keeps one record in ten.
const COMPACTION_BATCHES: u64 = 2_500;
const COMPACTION_KEYS: u64 = 4_000;
/// After how many bytes an append benchmark goes on in a new log.
const APPEND_BYTES: usize = 64 << 20;

fn runtime() -> ring::Runtime {
    ring::Runtime::new(ring::Options::default()).expect("io_uring")
}

/// One write of so many batches of so many records: `enqueue`, `start_write`, `Write::run`,
/// `finish_write`.
fn append(criterion: &mut Criterion) {
    let mut runtime = runtime();
    let mut group = criterion.benchmark_group("append");
    for (name, records, batches) in [
        ("1 x 1 record", 1, 1),
        ("1 x 16 KB", 16, 1),
        ("1 x 128 KB", 128, 1),
        ("6 x 128 KB", 128, 6),
    ] {
        let batch = batch(records, TimestampMs(1_700_000_000_000));
        group.throughput(Throughput::Bytes((batch.len() * batches) as u64));
        let writes_max = APPEND_BYTES / batch.len() / batches;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut took = Duration::ZERO;
                let mut left = iterations as usize;
                while left > 0 {
                    let writes = left.min(writes_max);
                    left -= writes;
                    took += runtime.block_on(write(&batch, batches, writes));
                }
                took
            });
        });
    }
    group.finish();
}

/// How long so many writes take in a new log, the first one apart: it stores the leader epoch.
async fn write(batch: &Bytes, batches: usize, writes: usize) -> Duration {
    let mut log = Bench::new(Path::new(PARENT), i32::MAX as u32);
    log.append(batch, 1).await;
    let began = Instant::now();
    for _ in 0..writes {
        log.append(batch, batches).await;
    }
    began.elapsed()
}

/// From an offset, or a time, to a place in a file; every time another one, spread over the log.
fn lookup(criterion: &mut Criterion) {
    let mut runtime = runtime();
    let mut log = Bench::new(Path::new(PARENT), SEGMENT_BYTES);
    runtime.block_on(log.fill(LOOKUP_BATCHES));
    assert_eq!(log.end(), LOOKUP_BATCHES * RECORDS_A_BATCH);
    let mut at = 0;
    let mut next = move || {
        at = (at + 7_919) % LOOKUP_BATCHES;
        at
    };
    let mut group = criterion.benchmark_group("lookup");
    group.bench_function("offset, anywhere", |bencher| {
        bencher.iter(|| {
            let offset = next() * RECORDS_A_BATCH + 5;
            runtime.block_on(log.position_of(offset))
        });
    });
    group.bench_function("offset, last batch", |bencher| {
        let last = log.end() - 1;
        bencher.iter(|| runtime.block_on(log.position_of(last)));
    });
    group.bench_function("timestamp, anywhere", |bencher| {
        bencher.iter(|| {
            let second = next();
            let offset = log.offset_at(second);
            assert_eq!(offset, second * RECORDS_A_BATCH);
        });
    });
    group.finish();
}

/// The start after kill -9 of a log without a recovery point: every batch is read and checked.
fn recovery(criterion: &mut Criterion) {
    let mut log = Bench::new(Path::new(PARENT), SEGMENT_BYTES);
    runtime().block_on(log.fill(RECOVERY_BATCHES));
    let killed = log.killed();
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10);
    group.bench_function("40 MB, indexes lost", |bencher| {
        bencher.iter(|| killed.recover());
    });
    group.finish();
}

/// One pass over a log in which nothing was compacted before: keys learnt, segments rewritten, synced
/// and put in place.
fn compaction(criterion: &mut Criterion) {
    let filled = DirtyLog::fill(
        Path::new(PARENT),
        SEGMENT_BYTES,
        COMPACTION_BATCHES,
        COMPACTION_KEYS,
    );
    let log = runtime().block_on(filled);
    let mut group = criterion.benchmark_group("compaction");
    group.sample_size(10);
    group.bench_function("40 MB, a tenth stays", |bencher| {
        bencher.iter_batched(|| log.turn(), Turn::compact, BatchSize::PerIteration);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    append(&mut criterion);
    lookup(&mut criterion);
    recovery(&mut criterion);
    compaction(&mut criterion);
    criterion.final_summary();
}
