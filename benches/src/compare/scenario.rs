//! The scenarios, in turns: for each of them, run by run, side by side.

use std::fs;
use std::path::{Path, PathBuf};

use benches::Error;
use benches::batch_template::{BatchTemplate, Shape};
use benches::clock::Nanos;
use benches::cluster::Cluster;
use benches::floor::sendfile;
use benches::latency::Summary;
use benches::process_cost::{ProcessCost, WorkCost};
use benches::{consume, produce};
use serde::Serialize;

use crate::broker::Broker;
use crate::child;
use crate::floor_process::{FloorProcess, Loop};
use crate::machine::Machine;
use crate::markdown;
use crate::memory;
use crate::options::{Options, Scenario, Side};
use crate::summary::{Line, Samples};

/// Partitions of every topic.
const PARTITIONS: u32 = 6;
/// The most bytes of a batch where batches may fill.
const BATCH_BYTES: usize = 131_072;
/// Bytes of the values of all but the small scenario.
const RECORD_BYTES: usize = 1000;
/// How long a broker that has just started is left alone before its memory is read.
const IDLE_SECONDS: f64 = 3.0;
/// How often a consume run reads what was produced: it takes so little CPU time that one pass
/// would be lost in the clock's resolution.
const CONSUME_PASSES: u32 = 3;

type Figures = Vec<(&'static str, f64)>;

/// Runs the comparison and prints its tables.
pub fn run(options: &Options) -> Result<(), Error> {
    let dir = options
        .data_dir
        .join(format!("bench-compare-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(Error::io(format!("creating {}", dir.display())))?;
    let dir = dir
        .canonicalize()
        .map_err(Error::io("looking for the data directory"))?;
    if !options.skip_memory_touch {
        memory::touch_free();
    }
    child::place(options.load_placement())?;
    let machine = Machine::describe(&dir);
    let mut contest = Contest {
        options,
        dir: dir.clone(),
        samples: Samples::default(),
    };
    let outcome = contest.run();
    let removed = fs::remove_dir_all(&dir).map_err(Error::io("removing the data"));
    outcome?;
    removed?;
    print(options, &machine, &contest.samples)
}

/// The whole result, as JSON.
#[derive(Serialize)]
struct Outcome<'a> {
    command: &'a str,
    machine: &'a Machine,
    lines: &'a [Line],
    samples: &'a Samples,
}

fn print(options: &Options, machine: &Machine, samples: &Samples) -> Result<(), Error> {
    let lines = samples.lines();
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let command =
        format!("cargo run --release -p chiplog-benches --bin bench-compare -- {command}");
    println!("{}", markdown::text(&lines));
    if let Some(path) = &options.markdown {
        let tables = markdown::markdown(&lines, machine, &command, options.runs);
        markdown::write(path, &tables)?;
    }
    if let Some(path) = &options.json {
        let result = Outcome {
            command: &command,
            machine,
            lines: &lines,
            samples,
        };
        let json = serde_json::to_string_pretty(&result);
        let json = json.map_err(|error| Error::Unusable(error.to_string()))?;
        fs::write(path, json).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}

struct Contest<'a> {
    options: &'a Options,
    dir: PathBuf,
    samples: Samples,
}

/// A broker with its side.
struct Contestant {
    side: Side,
    broker: Option<Broker>,
}

impl Contest<'_> {
    fn run(&mut self) -> Result<(), Error> {
        if self.options.wants(Scenario::Startup) {
            self.startup()?;
        }
        let loads = Scenario::ALL
            .into_iter()
            .filter(|&scenario| scenario != Scenario::Startup);
        if !loads
            .into_iter()
            .any(|scenario| self.options.wants(scenario))
        {
            return Ok(());
        }
        let contestants = self.start_all()?;
        self.warm_up(&contestants)?;
        if self.options.wants(Scenario::ProduceMax) || self.options.wants(Scenario::Consume) {
            let prepared = self.prepare_floor()?;
            self.take_turns(&contestants, |contest, contestant, run| {
                contest.produce_and_consume(contestant, run, &prepared)
            })?;
        }
        if self.options.wants(Scenario::Small) {
            self.take_turns(&contestants, |contest, contestant, run| {
                let load = contest.small(contest.options.seconds);
                let figures = contest.produce(contestant, "small", load)?;
                contest.keep(
                    Scenario::Small,
                    contestant.side,
                    run,
                    small_figures(&figures),
                );
                Ok(())
            })?;
        }
        if self.options.wants(Scenario::OpenLoop) {
            self.take_turns(&contestants, |contest, contestant, run| {
                let load = contest.open_loop(contest.options.seconds);
                let figures = contest.produce(contestant, "open", load)?;
                contest.keep(
                    Scenario::OpenLoop,
                    contestant.side,
                    run,
                    open_loop_figures(&figures),
                );
                Ok(())
            })?;
        }
        contestants
            .into_iter()
            .filter_map(|it| it.broker)
            .try_for_each(Broker::remove)
    }

    fn keep(&mut self, scenario: Scenario, side: Side, run: usize, figures: Figures) {
        let text: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.3}"))
            .collect();
        eprintln!(
            "{} {} {run}: {}",
            scenario.name(),
            side.name(),
            text.join(", ")
        );
        self.samples.add(scenario, side, run, figures);
    }

    /// Each broker by itself, several times, on an empty directory.
    fn startup(&mut self) -> Result<(), Error> {
        for run in 0..self.options.runs {
            for side in self.options.sides() {
                let Some(make) = self.options.make(side)? else {
                    continue;
                };
                let dir = self.dir.join(format!("startup-{}-{run}", make.name()));
                let broker = Broker::start(&make, &dir, self.options.server_placement())?;
                let cost =
                    || ProcessCost::of(broker.pid()).map_err(Error::io("reading a broker's cost"));
                let after_start = cost()?;
                Nanos::from_seconds(IDLE_SECONDS).pause();
                let idle = cost()?;
                let cpu = (idle.cpu_seconds - after_start.cpu_seconds) / IDLE_SECONDS * 100.0;
                let figures = vec![
                    (
                        "start to first answer, ms",
                        broker.started_within().seconds() * 1e3,
                    ),
                    ("CPU time until then, s", after_start.cpu_seconds),
                    ("resident when idle, MiB", idle.rss_kib as f64 / 1024.0),
                    ("CPU in the first idle seconds, %", cpu),
                ];
                broker.remove()?;
                self.keep(Scenario::Startup, side, run, figures);
            }
        }
        Ok(())
    }

    fn start_all(&self) -> Result<Vec<Contestant>, Error> {
        let start = |side: Side| {
            let make = self.options.make(side)?;
            let dir = |name: &str| self.dir.join(name.to_lowercase());
            let placement = self.options.server_placement();
            let broker = make.map(|make| Broker::start(&make, &dir(make.name()), placement));
            Ok(Contestant {
                side,
                broker: broker.transpose()?,
            })
        };
        self.options.sides().map(start).collect()
    }

    /// Some seconds of every kind of load for each broker, thrown away: a JVM compiles what it
    /// runs often.
    fn warm_up(&mut self, contestants: &[Contestant]) -> Result<(), Error> {
        let seconds = self.options.warmup;
        if seconds <= 0.0 {
            return Ok(());
        }
        for contestant in contestants.iter().filter(|it| it.broker.is_some()) {
            eprintln!("warming up {}", contestant.side.name());
            let loads = [
                (
                    "warm-max",
                    produce::Options {
                        duration: Some(seconds.min(15.0)),
                        ..self.produce_max()
                    },
                ),
                ("warm-small", self.small(seconds)),
                ("warm-open", self.open_loop(seconds)),
            ];
            for (topic, load) in loads {
                self.produce_to(contestant, topic, load)?;
                self.consume(contestant, topic)?;
                self.delete(contestant, topic)?;
            }
        }
        Ok(())
    }

    fn take_turns(
        &mut self,
        contestants: &[Contestant],
        mut turn: impl FnMut(&mut Self, &Contestant, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for run in 0..self.options.runs {
            for contestant in contestants {
                // What others have left to write is not to fall into this turn.
                rustix::fs::sync();
                turn(self, contestant, run)?;
            }
        }
        Ok(())
    }

    fn produce_and_consume(
        &mut self,
        who: &Contestant,
        run: usize,
        prepared: &Path,
    ) -> Result<(), Error> {
        let topic = format!("max-{run}");
        if who.broker.is_none() {
            let produced = self.produce(who, &topic, self.produce_max())?;
            self.keep(
                Scenario::ProduceMax,
                who.side,
                run,
                produce_figures(&produced),
            );
            let floor =
                FloorProcess::start(Loop::Sendfile, prepared, self.options.server_placement())?;
            let consumed = self.consume_from(floor.address().to_string(), floor.pid(), &topic)?;
            self.keep(Scenario::Consume, who.side, run, consume_figures(&consumed));
            return floor.remove();
        }
        let produced = self.produce_to(who, &topic, self.produce_max())?;
        self.keep(
            Scenario::ProduceMax,
            who.side,
            run,
            produce_figures(&produced),
        );
        if self.options.wants(Scenario::Consume) {
            let consumed = self.consume(who, &topic)?;
            self.keep(Scenario::Consume, who.side, run, consume_figures(&consumed));
        }
        self.delete(who, &topic)
    }

    /// Produces to a topic of its own, or to a bare loop, and removes what was produced.
    fn produce(
        &self,
        who: &Contestant,
        name: &str,
        load: produce::Options,
    ) -> Result<produce::Report, Error> {
        if who.broker.is_some() {
            let report = self.produce_to(who, name, load)?;
            self.delete(who, name)?;
            return Ok(report);
        }
        let dir = self.dir.join("floor-receive");
        let floor = FloorProcess::start(Loop::Receive, &dir, self.options.server_placement())?;
        let report = produce::run(produce::Options {
            bootstrap_server: floor.address().to_string(),
            broker_pid: Some(floor.pid()),
            raw_target: true,
            ..load
        })?;
        floor.remove()?;
        Ok(report)
    }

    fn produce_to(
        &self,
        who: &Contestant,
        topic: &str,
        load: produce::Options,
    ) -> Result<produce::Report, Error> {
        let broker = who.broker.as_ref().expect("only brokers have topics");
        produce::run(produce::Options {
            bootstrap_server: broker.address().to_string(),
            broker_pid: Some(broker.pid()),
            topic: topic.to_owned(),
            create_topic: true,
            partitions: PARTITIONS,
            verify_offsets: true,
            ..load
        })
    }

    fn consume(&self, who: &Contestant, topic: &str) -> Result<consume::Report, Error> {
        let broker = who.broker.as_ref().expect("only brokers have topics");
        self.consume_from(broker.address().to_string(), broker.pid(), topic)
    }

    fn consume_from(
        &self,
        bootstrap_server: String,
        pid: u32,
        topic: &str,
    ) -> Result<consume::Report, Error> {
        consume::run(consume::Options {
            bootstrap_server,
            topic: topic.to_owned(),
            broker_pid: Some(pid),
            passes: CONSUME_PASSES,
            ..consume::Options::default()
        })
    }

    fn delete(&self, who: &Contestant, topic: &str) -> Result<(), Error> {
        let broker = who.broker.as_ref().expect("only brokers have topics");
        Cluster::connect_to(broker.address())?.delete_topic(topic)
    }

    fn produce_max(&self) -> produce::Options {
        produce::Options {
            record_size: RECORD_BYTES,
            batch_bytes: BATCH_BYTES,
            connections: self.options.producers,
            records: Some((self.options.produce_gb * 1e9 / RECORD_BYTES as f64) as u64),
            ..produce::Options::default()
        }
    }

    fn small(&self, seconds: f64) -> produce::Options {
        produce::Options {
            record_size: 100,
            connections: 64,
            one_record_in_flight: true,
            warmup: 1.0,
            duration: Some(seconds),
            ..produce::Options::default()
        }
    }

    fn open_loop(&self, seconds: f64) -> produce::Options {
        produce::Options {
            record_size: RECORD_BYTES,
            batch_bytes: BATCH_BYTES,
            rate: Some(self.options.rate),
            linger_ms: self.options.linger_ms,
            warmup: 1.0,
            duration: Some(seconds),
            ..produce::Options::default()
        }
    }

    /// Files with as many batches as a produce-max run sends, for the bare sendfile loop.
    fn prepare_floor(&self) -> Result<PathBuf, Error> {
        let dir = self.dir.join("floor-sendfile");
        fs::create_dir_all(&dir).map_err(Error::io(format!("creating {}", dir.display())))?;
        if self.options.sides().any(|side| side == Side::Floor) {
            let template = BatchTemplate::new(Shape {
                record_bytes: RECORD_BYTES,
                random_ratio: 1.0,
                seed: 1,
                batch_bytes_max: BATCH_BYTES,
                batch_records_max: usize::MAX,
                compression: protocol::batch::Compression::None,
            });
            let batch_payload = template.records_max() as usize * RECORD_BYTES;
            let all = self.options.produce_gb * 1e9 / batch_payload as f64;
            let each = (all / f64::from(PARTITIONS)).ceil().max(1.0) as u64;
            sendfile::prepare(&dir, PARTITIONS as usize, each, &template)?;
        }
        Ok(dir)
    }
}

fn cost(cost: &Option<WorkCost>) -> &WorkCost {
    cost.as_ref().expect("the process id was given")
}

fn ms(summary: &Option<Summary>, of: impl Fn(&Summary) -> u64) -> f64 {
    summary
        .as_ref()
        .map_or(f64::NAN, |summary| of(summary) as f64 / 1e6)
}

fn produce_figures(report: &produce::Report) -> Figures {
    vec![
        ("broker CPU-s/GB", cost(&report.broker).cpu_seconds_per_gb),
        ("MB/s", report.mb_per_second),
        ("resident at most, MiB", cost(&report.broker).rss_peak_mib),
    ]
}

fn consume_figures(report: &consume::Report) -> Figures {
    vec![
        ("broker CPU-s/GB", cost(&report.broker).cpu_seconds_per_gb),
        ("MB/s", report.mb_per_second),
    ]
}

fn small_figures(report: &produce::Report) -> Figures {
    vec![
        (
            "broker CPU-us/record",
            cost(&report.broker).cpu_us_per_record,
        ),
        ("records/s", report.records_per_second),
        ("p50, ms", report.latency_from_sent.p50_ns.0 as f64 / 1e6),
        ("p99, ms", report.latency_from_sent.p99_ns.0 as f64 / 1e6),
    ]
}

fn open_loop_figures(report: &produce::Report) -> Figures {
    let latency = &report.latency_from_intended;
    vec![
        ("broker CPU-s/GB", cost(&report.broker).cpu_seconds_per_gb),
        (
            "broker CPU-us/record",
            cost(&report.broker).cpu_us_per_record,
        ),
        (
            "p50 from intended send, ms",
            ms(latency, |summary| summary.p50_ns.0),
        ),
        (
            "p99 from intended send, ms",
            ms(latency, |summary| summary.p99_ns.0),
        ),
        (
            "p99.9 from intended send, ms",
            ms(latency, |summary| summary.p99_9_ns.0),
        ),
        (
            "max from intended send, ms",
            ms(latency, |summary| summary.max_ns.0),
        ),
        ("records/s", report.records_per_second),
    ]
}
