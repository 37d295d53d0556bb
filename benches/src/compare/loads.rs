//! What each scenario sends, and which of its figures are kept.

use std::path::Path;

use benches::Error;
use benches::batch_template::{BatchTemplate, Shape};
use benches::floor::sendfile;
use benches::latency::Summary;
use benches::process_cost::WorkCost;
use benches::{consume, produce};
use protocol::batch::Compression;

use crate::kernel_events::Counts;
use crate::options::{Options, Scenario};

/// Partitions of every topic.
pub const PARTITIONS: u32 = 6;
/// How often a consume run reads what was produced: it takes so little CPU time that one pass
/// would be lost in the clock's resolution.
pub const CONSUME_PASSES: u32 = 3;
/// The most bytes of a batch where batches may fill.
const BATCH_BYTES: usize = 131_072;
/// The most bytes of a batch that has room for one record of [`RECORD_BYTES`].
const ONE_RECORD_BATCH_BYTES: usize = 1_100;
/// Bytes of the values of all but the small scenarios.
const RECORD_BYTES: usize = 1000;
/// Bytes of the values of the small scenarios.
const SMALL_RECORD_BYTES: usize = 100;
/// Connections of the small scenarios.
const SMALL_CONNECTIONS: usize = 64;
/// Seconds at the start of every timed run that are not counted.
const SETTLE_SECONDS: f64 = 1.0;

/// Figures with their names and units.
pub type Figures = Vec<(&'static str, f64)>;

/// The load of a scenario that produces for some seconds (or, at maximum rate, so many bytes).
pub fn load(scenario: Scenario, options: &Options, seconds: f64) -> produce::Options {
    let timed = produce::Options {
        warmup: SETTLE_SECONDS,
        duration: Some(seconds),
        ..produce::Options::default()
    };
    let small = produce::Options {
        record_size: SMALL_RECORD_BYTES,
        connections: SMALL_CONNECTIONS,
        one_record_in_flight: true,
        ..timed.clone()
    };
    match scenario {
        Scenario::Small => small,
        Scenario::SmallPaced => produce::Options {
            rate: Some(options.small_rate),
            ..small
        },
        Scenario::OpenLoop => produce::Options {
            record_size: RECORD_BYTES,
            batch_bytes: BATCH_BYTES,
            rate: Some(options.rate),
            linger_ms: options.linger_ms,
            ..timed
        },
        Scenario::Startup
        | Scenario::ProduceMax
        | Scenario::Consume
        | Scenario::GroupCommit
        | Scenario::SystemCalls
        | Scenario::Cleaning => produce::Options {
            record_size: RECORD_BYTES,
            batch_bytes: BATCH_BYTES,
            connections: options.producers,
            records: Some((options.produce_gb * 1e9 / RECORD_BYTES as f64) as u64),
            ..produce::Options::default()
        },
    }
}

/// How the producers of a group-commit run send; each is a line of the table, flushed and not.
pub struct FlushLoad {
    /// The line's name when each append is flushed before it is acknowledged.
    pub flushed: &'static str,
    /// The line's name without.
    pub unflushed: &'static str,
    load: produce::Options,
}

impl FlushLoad {
    /// All of them: few records to wait for a flush, many, and as many bytes as fit.
    pub fn all(options: &Options) -> [FlushLoad; 3] {
        let timed = produce::Options {
            record_size: RECORD_BYTES,
            connections: options.waiting_producers,
            warmup: SETTLE_SECONDS,
            duration: Some(options.seconds),
            ..produce::Options::default()
        };
        [
            FlushLoad {
                flushed: "one record in flight each, flushed: records/s",
                unflushed: "one record in flight each: records/s",
                load: produce::Options {
                    one_record_in_flight: true,
                    ..timed.clone()
                },
            },
            FlushLoad {
                flushed: "batches of one record, flushed: records/s",
                unflushed: "batches of one record: records/s",
                load: produce::Options {
                    batch_bytes: ONE_RECORD_BATCH_BYTES,
                    ..timed.clone()
                },
            },
            FlushLoad {
                flushed: "batches of 128 KiB, flushed: records/s",
                unflushed: "batches of 128 KiB: records/s",
                load: produce::Options {
                    batch_bytes: BATCH_BYTES,
                    ..timed
                },
            },
        ]
    }

    /// The load, on a topic that flushes each append or on one that does not.
    pub fn load(&self, flush: bool) -> produce::Options {
        let mut load = self.load.clone();
        if flush {
            load.topic_config.push("flush.messages=1".to_owned());
        }
        load
    }
}

/// Files with as many batches as a produce-max run sends, for the bare sendfile loop.
pub fn prepare_sendfile(dir: &Path, options: &Options) -> Result<(), Error> {
    let template = BatchTemplate::new(Shape {
        record_bytes: RECORD_BYTES,
        random_ratio: 1.0,
        seed: 1,
        batch_bytes_max: BATCH_BYTES,
        batch_records_max: usize::MAX,
        compression: Compression::None,
        keys: 0,
    });
    let batch_payload = template.records_max() as usize * RECORD_BYTES;
    let batches = options.produce_gb * 1e9 / batch_payload as f64;
    let batches_each = (batches / f64::from(PARTITIONS)).ceil().max(1.0) as u64;
    sendfile::prepare(dir, PARTITIONS as usize, batches_each, &template)
}

/// What is kept of a run that produced.
pub fn produce_figures(scenario: Scenario, report: &produce::Report) -> Figures {
    let cost = cost(&report.broker);
    let per_gb = ("broker CPU-s/GB", cost.cpu_seconds_per_gb);
    let per_record = ("broker CPU-us/record", cost.cpu_us_per_record);
    let records = ("records/s", report.records_per_second);
    match scenario {
        Scenario::Small => {
            let sent = &report.latency_from_sent;
            let p50 = ("p50, ms", sent.p50_ns.0 as f64 / 1e6);
            vec![
                per_record,
                records,
                p50,
                ("p99, ms", sent.p99_ns.0 as f64 / 1e6),
            ]
        }
        Scenario::SmallPaced => {
            let mut figures = vec![per_record];
            figures.extend(from_intended(&report.latency_from_intended));
            figures
        }
        Scenario::OpenLoop => {
            let mut figures = vec![per_gb, per_record];
            figures.extend(from_intended(&report.latency_from_intended));
            figures.push(records);
            figures
        }
        Scenario::Startup
        | Scenario::ProduceMax
        | Scenario::Consume
        | Scenario::GroupCommit
        | Scenario::SystemCalls
        | Scenario::Cleaning => {
            let resident = ("resident at most, MiB", cost.rss_peak_mib);
            vec![per_gb, ("MB/s", report.mb_per_second), resident]
        }
    }
}

/// What is kept of a run that consumed.
pub fn consume_figures(report: &consume::Report) -> Figures {
    let per_gb = cost(&report.broker).cpu_seconds_per_gb;
    vec![("broker CPU-s/GB", per_gb), ("MB/s", report.mb_per_second)]
}

/// What is kept of a run whose system calls were counted, by batch that was produced.
pub fn kernel_figures(
    scenario: Scenario,
    report: &produce::Report,
    counts: Counts,
) -> Option<Figures> {
    let names = match scenario {
        Scenario::ProduceMax => ["produce-max: calls/batch", "produce-max: to workers/batch"],
        Scenario::Small => ["small: calls/batch", "small: to workers/batch"],
        Scenario::OpenLoop => ["open-loop: calls/batch", "open-loop: to workers/batch"],
        Scenario::Startup
        | Scenario::Consume
        | Scenario::SmallPaced
        | Scenario::GroupCommit
        | Scenario::SystemCalls
        | Scenario::Cleaning => {
            return None;
        }
    };
    let by_batch = |count: u64| count as f64 / report.batches as f64;
    let figures = [
        by_batch(counts.system_calls),
        by_batch(counts.given_to_workers),
    ];
    Some(names.into_iter().zip(figures).collect())
}

/// The same for a run that consumed, by MiB that was fetched.
pub fn kernel_consume_figures(report: &consume::Report, counts: Counts) -> Figures {
    let by_mib = |count: u64| count as f64 / (report.bytes as f64 / 1024.0 / 1024.0);
    vec![
        ("consume: calls/MiB", by_mib(counts.system_calls)),
        ("consume: to workers/MiB", by_mib(counts.given_to_workers)),
    ]
}

fn from_intended(summary: &Option<Summary>) -> Figures {
    let Some(summary) = summary else {
        return Vec::new();
    };
    let ms = |ns: u64| ns as f64 / 1e6;
    vec![
        ("p50 from intended send, ms", ms(summary.p50_ns.0)),
        ("p99 from intended send, ms", ms(summary.p99_ns.0)),
        ("p99.9 from intended send, ms", ms(summary.p99_9_ns.0)),
        ("max from intended send, ms", ms(summary.max_ns.0)),
    ]
}

fn cost(cost: &Option<WorkCost>) -> &WorkCost {
    cost.as_ref().expect("the process id was given")
}
