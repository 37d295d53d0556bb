//! `bench consume`: reads a topic and reports rate and the broker's cost.
//!
//! The work is in `load` (one thread's connections) and `request` (how Fetch is written and its
//! batches are walked); `tail` follows a topic that is being produced to.

pub mod load;
mod options;
mod report;
pub mod request;
pub mod tail;

use std::sync::atomic::AtomicU64;
use std::thread;

use protocol::api::ApiKey;

pub use options::Options;
pub use report::Report;

use crate::Error;
use crate::clock::Nanos;
use crate::cluster::{Cluster, End, Topic};
use crate::window::Window;
use load::{Load, Plan, Tally};
use request::{Crc, Cursor, Session, Wire};

/// Runs `bench consume`.
pub fn run(options: Options) -> Result<Report, Error> {
    options.check()?;
    let mut cluster = Cluster::connect(&options.bootstrap_server)?;
    let topic = cluster.topic(&options.topic)?;
    let version = cluster.version_of(ApiKey::Fetch, 4, 17)?;
    let from = Cluster::offsets(&topic, End::Earliest)?;
    let to = Cluster::offsets(&topic, End::Latest)?;
    let wire = Wire {
        // Topic ids stand in requests from version 13 on; not every broker has them.
        version: if topic.id.is_zero() {
            version.min(12)
        } else {
            version
        },
        topic,
        max_bytes: options.max_bytes,
        partition_max_bytes: options.partition_max_bytes,
        max_wait_ms: options.max_wait_ms,
        min_bytes: options.min_bytes,
        crc: if options.check_crc {
            Crc::Check
        } else {
            Crc::Ignore
        },
    };
    let window = Window::new(Nanos::now(), options.broker_pid);
    let mut total = Tally::default();
    for _ in 0..options.passes {
        total.merge(&pass(&options, &wire, &window, &from, &to)?);
    }
    let (records, bytes) = (total.brought.records, total.brought.bytes);
    let there: i64 = to.iter().zip(&from).map(|(to, from)| to - from).sum();
    let there = there as u64 * u64::from(options.passes);
    if options.records.is_none() && records < there {
        return Err(Error::Broken(format!(
            "{records} records came, and the offsets say {there}"
        )));
    }
    let costs = window.close(total.last_at, records, bytes)?;
    Ok(Report::new(&options, &wire.topic, &total, costs))
}

/// Reads everything once.
fn pass(
    options: &Options,
    wire: &Wire,
    window: &Window,
    from: &[i64],
    to: &[i64],
) -> Result<Tally, Error> {
    let so_far = AtomicU64::new(0);
    let enough = AtomicU64::new(options.records.unwrap_or(u64::MAX));
    let timeout = Nanos::from_seconds(options.timeout);
    let plan = Plan {
        wire: wire.clone(),
        window,
        timeout,
        enough: &enough,
        so_far: &so_far,
    };
    let loads = loads(options, &plan, &wire.topic, from, to)?;
    window.is_open(Nanos::now());
    thread::scope(|scope| {
        let threads: Vec<_> = loads
            .into_iter()
            .map(|load| scope.spawn(move || load.run(|_, _| Ok(()))))
            .collect();
        let mut total = Tally::default();
        for thread in threads {
            total.merge(&thread.join().expect("a load thread panicked")?);
        }
        Ok(total)
    })
}

fn loads<'a>(
    options: &Options,
    plan: &'a Plan<'a>,
    topic: &Topic,
    from: &[i64],
    to: &[i64],
) -> Result<Vec<Load<'a>>, Error> {
    let consumers = options.connections;
    let threads = options.threads.min(consumers);
    let mut loads: Vec<Load> = (0..threads)
        .map(|_| Load::new(plan))
        .collect::<Result<_, Error>>()?;
    for consumer in 0..consumers {
        for (leader, partitions) in topic.by_leader() {
            let own = partitions
                .into_iter()
                .filter(|partition| partition % consumers == consumer);
            let cursor = |partition: usize| Cursor {
                partition,
                next: from[partition],
                end: to[partition],
            };
            let cursors: Vec<Cursor> = own.map(cursor).collect();
            let session = match options.fetch_session {
                true => Session::Open {
                    id: 0,
                    epoch: 0,
                    known: Vec::new(),
                },
                false => Session::None,
            };
            if !cursors.is_empty() {
                loads[consumer % threads].add(leader, cursors, session)?;
            }
        }
    }
    Ok(loads)
}
