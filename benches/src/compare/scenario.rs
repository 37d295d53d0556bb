//! The scenarios, in turns: for each of them, run by run, side by side.

use std::fs;
use std::path::PathBuf;

use benches::Error;
use benches::clock::Nanos;
use benches::process_cost::ProcessCost;
use benches::produce;
use serde::Serialize;

use crate::broker::{Broker, Make};
use crate::child;
use crate::cleaning;
use crate::contestant::Contestant;
use crate::kernel_events::Counter;
use crate::loads::{self, Figures, FlushLoad};
use crate::machine::Machine;
use crate::markdown;
use crate::memory;
use crate::options::{Options, Scenario, Side};
use crate::summary::{Line, Samples};

/// How long a broker that has just started is left alone before its memory is read.
const IDLE: Nanos = Nanos(3_000_000_000);
/// The most seconds of warm-up at maximum rate, which fills the disk.
const WARM_MAX_SECONDS: f64 = 15.0;

/// What a group-commit load writes at most, for the memory that it will use.
const FLUSH_LOAD_BYTES_PER_S: f64 = 1.5e9;

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
    let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let command =
        format!("cargo run --release -p chiplog-benches --bin bench-compare -- {arguments}");
    println!("{}", markdown::text(&lines));
    if let Some(path) = &options.markdown {
        let tables = markdown::markdown(&lines, machine, &command, options.runs);
        markdown::write(path, &tables)?;
    }
    if let Some(path) = &options.json {
        let outcome = Outcome {
            command: &command,
            machine,
            lines: &lines,
            samples,
        };
        let json = serde_json::to_string_pretty(&outcome)
            .map_err(|error| Error::Unusable(error.to_string()))?;
        fs::write(path, json).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}

struct Contest<'a> {
    options: &'a Options,
    dir: PathBuf,
    samples: Samples,
}

impl Contest<'_> {
    fn run(&mut self) -> Result<(), Error> {
        if self.options.wants(Scenario::Startup) {
            self.startup()?;
        }
        let starts_brokers = |&scenario: &Scenario| scenario != Scenario::Startup;
        if !Scenario::ALL
            .into_iter()
            .filter(starts_brokers)
            .any(|scenario| self.options.wants(scenario))
        {
            return Ok(());
        }
        let contestants: Vec<Contestant> = self
            .options
            .sides()
            .map(|side| Contestant::start(side, self.options, &self.dir))
            .collect::<Result<_, Error>>()?;
        self.warm_up(&contestants)?;
        if self.options.wants(Scenario::ProduceMax) || self.options.wants(Scenario::Consume) {
            self.prepare_sendfile()?;
            self.take_turns(&contestants, Self::produce_and_consume)?;
        }
        for scenario in [Scenario::Small, Scenario::SmallPaced, Scenario::OpenLoop] {
            if self.options.wants(scenario) {
                self.take_turns(&contestants, |contest, contestant, run| {
                    contest.produce(scenario, contestant, run)
                })?;
            }
        }
        if self.options.wants(Scenario::GroupCommit) {
            self.take_turns(&contestants, Self::group_commit)?;
        }
        if self.options.wants(Scenario::SystemCalls) {
            self.take_turns(&contestants, Self::count_system_calls)?;
        }
        if self.options.wants(Scenario::Cleaning) {
            self.take_turns(&contestants, |contest, contestant, run| {
                let figures = cleaning::measure(contest.options, contestant, run)?;
                if let Some(figures) = figures {
                    contest.keep(Scenario::Cleaning, contestant.side(), run, figures);
                }
                Ok(())
            })?;
        }
        contestants.into_iter().try_for_each(Contestant::remove)
    }

    /// Each broker by itself, several times, on an empty directory.
    fn startup(&mut self) -> Result<(), Error> {
        for run in 0..self.options.runs {
            for side in self.options.sides() {
                if let Some(make) = self.options.make(side)? {
                    let figures = self.start_and_idle(&make, run)?;
                    self.keep(Scenario::Startup, side, run, figures);
                }
            }
        }
        Ok(())
    }

    fn start_and_idle(&self, make: &Make, run: usize) -> Result<Figures, Error> {
        let dir = self.dir.join(format!("startup-{}-{run}", make.name()));
        let broker = Broker::start(make, &dir, self.options.server_placement())?;
        let cost = || ProcessCost::of(broker.pid()).map_err(Error::io("reading a broker's cost"));
        let started = cost()?;
        IDLE.pause();
        let idle = cost()?;
        let cpu_percent = (idle.cpu_seconds - started.cpu_seconds) / IDLE.seconds() * 100.0;
        let figures = vec![
            (
                "start to first answer, ms",
                broker.started_within().seconds() * 1e3,
            ),
            ("CPU time until then, s", started.cpu_seconds),
            ("resident when idle, MiB", idle.rss_kib as f64 / 1024.0),
            ("CPU in the first idle seconds, %", cpu_percent),
        ];
        broker.remove()?;
        Ok(figures)
    }

    /// Some seconds of every kind of load for each broker, thrown away: a JVM compiles what it
    /// runs often.
    fn warm_up(&mut self, contestants: &[Contestant]) -> Result<(), Error> {
        let seconds = self.options.warmup;
        if seconds <= 0.0 {
            return Ok(());
        }
        for contestant in contestants.iter().filter(|it| it.pid().is_some()) {
            eprintln!("warming up {}", contestant.side().name());
            for scenario in Scenario::LOADS {
                let load = loads::load(scenario, self.options, seconds);
                let load = match scenario {
                    Scenario::Consume => continue,
                    Scenario::ProduceMax => produce::Options {
                        duration: Some(seconds.min(WARM_MAX_SECONDS)),
                        ..load
                    },
                    _ => load,
                };
                let topic = format!("warm-{}", scenario.name());
                contestant.produce(&topic, load)?;
                contestant.consume(&topic)?;
                contestant.delete(&topic)?;
            }
        }
        Ok(())
    }

    fn prepare_sendfile(&self) -> Result<(), Error> {
        let dir = self.dir.join("floor-sendfile");
        fs::create_dir_all(&dir).map_err(Error::io(format!("creating {}", dir.display())))?;
        match self.options.sides().any(|side| side == Side::Floor) {
            true => loads::prepare_sendfile(&dir, self.options),
            false => Ok(()),
        }
    }

    fn take_turns(
        &mut self,
        contestants: &[Contestant],
        mut turn: impl FnMut(&mut Self, &Contestant, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for run in 0..self.options.runs {
            for contestant in contestants {
                self.let_machine_rest((self.options.produce_gb * 1.5e9) as u64);
                turn(self, contestant, run)?;
            }
        }
        Ok(())
    }

    /// What others have left to write is not to fall into what is measured next, which will use so
    /// much memory at most.
    fn let_machine_rest(&self, memory_bytes: u64) {
        rustix::fs::sync();
        if !self.options.skip_memory_touch {
            memory::touch_again(memory_bytes);
        }
    }

    fn produce_and_consume(&mut self, who: &Contestant, run: usize) -> Result<(), Error> {
        let topic = format!("max-{run}");
        let load = loads::load(Scenario::ProduceMax, self.options, 0.0);
        let produced = who.produce(&topic, load)?;
        let figures = loads::produce_figures(Scenario::ProduceMax, &produced);
        self.keep(Scenario::ProduceMax, who.side(), run, figures);
        if self.options.wants(Scenario::Consume) {
            let consumed = who.consume(&topic)?;
            let figures = loads::consume_figures(&consumed);
            self.keep(Scenario::Consume, who.side(), run, figures);
        }
        who.delete(&topic)
    }

    fn produce(&mut self, scenario: Scenario, who: &Contestant, run: usize) -> Result<(), Error> {
        let topic = format!("{}-{run}", scenario.name());
        let load = loads::load(scenario, self.options, self.options.seconds);
        let produced = who.produce(&topic, load)?;
        who.delete(&topic)?;
        let figures = loads::produce_figures(scenario, &produced);
        self.keep(scenario, who.side(), run, figures);
        Ok(())
    }

    /// What flushing each append costs. A bare loop flushes nothing, so it has no turn.
    fn group_commit(&mut self, who: &Contestant, run: usize) -> Result<(), Error> {
        if who.pid().is_none() {
            return Ok(());
        }
        let mut figures = Vec::new();
        for (number, kind) in FlushLoad::all(self.options).iter().enumerate() {
            let mut pair = [(kind.flushed, true), (kind.unflushed, false)];
            // Neither is always the first.
            if run % 2 == 1 {
                pair.reverse();
            }
            for (name, flush) in pair {
                self.let_machine_rest((self.options.seconds * FLUSH_LOAD_BYTES_PER_S) as u64);
                let topic = format!("flush-{number}-{flush}-{run}");
                let produced = who.produce(&topic, kind.load(flush))?;
                figures.push((name, produced.records_per_second));
                who.delete(&topic)?;
            }
        }
        self.keep(Scenario::GroupCommit, who.side(), run, figures);
        Ok(())
    }

    /// The loads once more, with the kernel's counters on; their times do not count.
    fn count_system_calls(&mut self, who: &Contestant, run: usize) -> Result<(), Error> {
        let Some(pid) = who.pid() else {
            return Ok(());
        };
        let mut all = Vec::new();
        for scenario in [Scenario::ProduceMax, Scenario::Small, Scenario::OpenLoop] {
            let topic = format!("calls-{}-{run}", scenario.name());
            let load = loads::load(scenario, self.options, self.options.seconds);
            let counter = Counter::start(pid, &self.dir)?;
            // The counts are of the whole run, so all of it is to be in the report.
            let produced = who.produce(
                &topic,
                produce::Options {
                    warmup: 0.0,
                    ..load
                },
            )?;
            let counts = counter.stop()?;
            all.extend(loads::kernel_figures(scenario, &produced, counts).unwrap_or_default());
            if scenario == Scenario::ProduceMax {
                let counter = Counter::start(pid, &self.dir)?;
                let consumed = who.consume(&topic)?;
                all.extend(loads::kernel_consume_figures(&consumed, counter.stop()?));
            }
            who.delete(&topic)?;
        }
        self.keep(Scenario::SystemCalls, who.side(), run, all);
        Ok(())
    }

    fn keep(&mut self, scenario: Scenario, side: Side, run: usize, figures: Figures) {
        let text: Vec<String> = figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.3}"))
            .collect();
        let (scenario_name, side_name) = (scenario.name(), side.name());
        eprintln!("{scenario_name} {side_name} {run}: {}", text.join("; "));
        self.samples.add(scenario, side, run, figures);
    }
}
