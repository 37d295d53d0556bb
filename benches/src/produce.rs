//! `bench produce`: produces to a topic and reports rate, latencies and the broker's cost.
//!
//! The work is in `load` (one thread's connections), `feed` (what to send when) and `request`
//! (how it is written). This file sets a run up and adds up what its threads have counted.

pub mod feed;
mod load;
mod options;
mod report;
mod request;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread;

use protocol::api::ApiKey;
use protocol::batch::BATCH_OVERHEAD;

pub use options::Options;
pub use report::Report;

use crate::Error;
use crate::batch_template::{BatchTemplate, Sender, Shape};
use crate::clock::Nanos;
use crate::cluster::{Cluster, End, NewTopic, Topic};
use crate::connection::Connection;
use crate::consume::tail;
use crate::latency::Latencies;
use crate::schedule::{Schedule, share_of};
use crate::tiling::Tiling;
use crate::window::Window;
use feed::{Feed, Flood, Lane, Limits, Paced};
use load::{Load, Plan, Producer, Tally};
use request::{Answers, Stamps, Wire};

/// From setting up the threads to the first record.
const START_AFTER: Nanos = Nanos(20_000_000);

/// Runs `bench produce`.
pub fn run(options: Options) -> Result<Report, Error> {
    options.check()?;
    let mut cluster = Cluster::connect(&options.bootstrap_server)?;
    let topic = find_topic(&mut cluster, &options)?;
    let first_offsets = match options.raw_target {
        true => vec![0; topic.leaders.len()],
        false => Cluster::offsets(&topic, End::Latest)?,
    };
    let senders = senders(&mut cluster, &options, topic.leaders.len())?;
    let wire = wire(&cluster, &options, &topic)?;
    let template = template(&options)?;
    let connections = connections(&options, &topic)?;
    let begin = Nanos::now().plus(START_AFTER);
    let plan = plan(&options, wire, template, begin, &first_offsets)?;
    let mut loads = loads(
        &options,
        &plan,
        &topic,
        senders.into_iter().zip(connections),
        begin,
    )?;
    let (tally, end_to_end) = run_all(&options, &plan, &topic, &first_offsets, &mut loads)?;
    let payload_bytes = tally.records * options.record_size as u64;
    let costs = plan
        .window
        .close(tally.last_ack, tally.records, payload_bytes);
    check_offsets(&options, &plan, &topic, &first_offsets, &tally)?;
    let costs = costs?;
    Ok(Report::new(
        &options,
        &topic,
        &tally,
        costs,
        end_to_end.as_ref(),
    ))
}

fn find_topic(cluster: &mut Cluster, options: &Options) -> Result<Topic, Error> {
    if options.create_topic {
        cluster.create_topic(&NewTopic {
            name: options.topic.clone(),
            partitions: options.partitions,
            replication_factor: options.replication_factor,
            settings: options.settings()?,
        })?;
    }
    cluster.topic(&options.topic)
}

fn senders(
    cluster: &mut Cluster,
    options: &Options,
    partitions: usize,
) -> Result<Vec<Sender>, Error> {
    let mut senders = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        senders.push(match options.idempotent {
            false => Sender::plain(),
            true => {
                let (producer_id, epoch) = cluster.producer_id()?;
                Sender::idempotent(producer_id, epoch, partitions)
            }
        });
    }
    Ok(senders)
}

fn wire(cluster: &Cluster, options: &Options, topic: &Topic) -> Result<Wire, Error> {
    Ok(Wire {
        topic: topic.name.clone(),
        acks: options.acks()?,
        timeout_ms: (options.timeout * 1e3) as i32,
        version: cluster.version_of(ApiKey::Produce, 3, 11)?,
        answers: if options.raw_target {
            Answers::Bare
        } else {
            Answers::Full
        },
        stamps: if options.end_to_end {
            Stamps::Intended
        } else {
            Stamps::None
        },
    })
}

fn template(options: &Options) -> Result<BatchTemplate, Error> {
    let template = BatchTemplate::new(Shape {
        record_bytes: options.record_size,
        random_ratio: options.random_ratio,
        seed: options.seed,
        batch_bytes_max: options.batch_bytes,
        batch_records_max: if options.one_record_in_flight {
            1
        } else {
            usize::MAX
        },
        compression: options.compression()?,
        keys: options.keys,
    });
    // What is used most is built before the clock runs.
    template.payload_crc(template.records_max());
    Ok(template)
}

fn plan(
    options: &Options,
    wire: Wire,
    template: BatchTemplate,
    begin: Nanos,
    first_offsets: &[i64],
) -> Result<Plan, Error> {
    let (warmup, duration) = options.spans();
    let opens_at = begin.plus(warmup);
    let limits = Limits {
        batch_records_max: template.records_max(),
        portions_max: if options.one_record_in_flight {
            1
        } else {
            usize::MAX
        },
        request_bytes_max: options.request_bytes,
        batch_overhead_bytes: BATCH_OVERHEAD,
        record_bytes_max: template.record_bytes_max(),
    };
    Ok(Plan {
        wire,
        template,
        limits,
        in_flight_max: if options.one_record_in_flight {
            1
        } else {
            options.in_flight
        },
        tilings: first_offsets
            .iter()
            .map(|&first| Mutex::new(Tiling::new(first)))
            .collect(),
        begin,
        stop_at: duration.map_or(Nanos(u64::MAX), |duration| opens_at.plus(duration)),
        window: Window::new(opens_at, options.broker_pid),
        timeout: Nanos::from_seconds(options.timeout),
    })
}

/// Each producer's connections, one for each leader. They are made before the clock runs: many of
/// them take their time if they fill the broker's backlog.
fn connections(options: &Options, topic: &Topic) -> Result<Vec<Vec<Connection>>, Error> {
    let leaders: Vec<_> = topic.by_leader().into_iter().map(|lane| lane.0).collect();
    let open = |&address: &SocketAddr| {
        Connection::open(address).map_err(Error::io(format!("connecting to {address}")))
    };
    (0..options.connections)
        .map(|_| leaders.iter().map(open).collect())
        .collect()
}

/// The threads' loads.
fn loads<'a>(
    options: &Options,
    plan: &'a Plan,
    topic: &Topic,
    producers: impl Iterator<Item = (Sender, Vec<Connection>)>,
    begin: Nanos,
) -> Result<Vec<Load<'a>>, Error> {
    let threads = options.threads.min(options.connections);
    let mut loads: Vec<Load> = (0..threads)
        .map(|_| Load::new(plan))
        .collect::<Result<_, Error>>()?;
    let lanes = topic.by_leader();
    for (at, (sender, connections)) in producers.enumerate() {
        let feed = feed(options, at, topic.leaders.len(), begin);
        let own_lanes = lanes
            .iter()
            .zip(connections)
            .map(|((address, partitions), connection)| {
                (*address, connection, Lane::new(partitions.clone(), at))
            });
        loads[at % threads].add(Producer { feed, sender }, own_lanes)?;
    }
    Ok(loads)
}

/// Producer `at`'s share of the records.
fn feed(options: &Options, at: usize, partitions: usize, begin: Nanos) -> Feed {
    let (producer, producers) = (at as u64, options.connections as u64);
    let records = options.records.unwrap_or(u64::MAX);
    let Some(rate) = options.rate else {
        return Feed::Flood(Flood::new(share_of(records, producer, producers)));
    };
    let (warmup, duration) = options.spans();
    let scheduled = duration.map_or(u64::MAX, |duration| {
        (rate as f64 * (warmup.seconds() + duration.seconds())) as u64
    });
    let schedule = Schedule::new(begin, rate, records.min(scheduled), producer, producers);
    let linger = Nanos::from_millis(options.linger_ms);
    Feed::Paced(Paced::new(
        schedule,
        options.partitioner,
        linger,
        partitions,
        at,
    ))
}

/// Runs all threads, and the consumer if there is one; adds up what they have counted.
fn run_all(
    options: &Options,
    plan: &Plan,
    topic: &Topic,
    first_offsets: &[i64],
    loads: &mut Vec<Load<'_>>,
) -> Result<(Tally, Option<Latencies>), Error> {
    let expected = AtomicU64::new(u64::MAX);
    let opens_at = plan.window.opens_at();
    thread::scope(|scope| {
        let tail = options.end_to_end.then(|| {
            scope.spawn(|| tail::follow(topic, first_offsets, opens_at, &expected, plan.timeout))
        });
        let threads: Vec<_> = loads
            .drain(..)
            .map(|load| scope.spawn(move || load.run()))
            .collect();
        let mut total = Tally::default();
        let mut failure = None;
        for thread in threads {
            match thread.join().expect("a load thread panicked") {
                Ok(tally) => total.merge(&tally),
                Err(error) => failure = Some(error),
            }
        }
        // A consumer must not wait for records that will not come.
        let produced = if failure.is_some() {
            0
        } else {
            total.records_ever
        };
        expected.store(produced, std::sync::atomic::Ordering::Release);
        let end_to_end = tail.map(|tail| tail.join().expect("the consumer panicked"));
        match failure {
            Some(error) => Err(error),
            None => Ok((total, end_to_end.transpose()?)),
        }
    })
}

/// All acknowledged batches must lie side by side, and be there.
fn check_offsets(
    options: &Options,
    plan: &Plan,
    topic: &Topic,
    first_offsets: &[i64],
    tally: &Tally,
) -> Result<(), Error> {
    for (partition, tiling) in plan.tilings.iter().enumerate() {
        let tiling = tiling.lock().expect("no thread panicked");
        if let Some((from, to)) = tiling.gap() {
            let said = format!("nobody was given the offsets {from} to {to} of {partition}");
            return Err(Error::Broken(said));
        }
    }
    if !options.verify_offsets {
        return Ok(());
    }
    let ends = Cluster::offsets(topic, End::Latest)?;
    let there: i64 = ends
        .iter()
        .zip(first_offsets)
        .map(|(end, first)| end - first)
        .sum();
    if there as u64 != tally.records_ever && options.acks()? != 0 {
        return Err(Error::Broken(format!(
            "{} records were acknowledged, and the logs grew by {there}",
            tally.records_ever
        )));
    }
    Ok(())
}
