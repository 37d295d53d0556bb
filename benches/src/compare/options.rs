//! The options of `bench-compare run`.

use std::path::PathBuf;

use benches::Error;
use clap::{Args, ValueEnum};

use crate::broker::Make;
use crate::child::Placement;

/// Where `cargo xtask peers` puts Kafka's jars.
const KAFKA_LIBS_DEFAULT: &str = "target/peers/libs";
/// Names another folder with Kafka's jars.
const KAFKA_LIBS_VARIABLE: &str = "CHIPLOG_KAFKA_LIBS";

/// What is run, how often, and against what.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What to measure; all but group-commit, system-calls and cleaning if none is named.
    #[arg(long = "scenario", value_enum)]
    pub scenarios: Vec<Scenario>,
    /// Whom to measure; all if none is named.
    #[arg(long = "side", value_enum)]
    pub sides: Vec<Side>,
    /// Runs of each scenario and side.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// The chiplog binary.
    #[arg(long, default_value = "target/release/chiplog")]
    pub chiplog: PathBuf,
    /// A setting of chiplog's beyond the common ones, as key=value; may be repeated.
    #[arg(long = "chiplog-override", value_name = "KEY=VALUE")]
    pub chiplog_overrides: Vec<String>,
    /// A setting of Kafka's instead of one that it ships with, as key=value; may be repeated.
    #[arg(long = "kafka-override", value_name = "KEY=VALUE")]
    pub kafka_overrides: Vec<String>,
    /// The folder with Kafka's jars; $CHIPLOG_KAFKA_LIBS or target/peers/libs if not given.
    #[arg(long)]
    pub kafka_libs: Option<PathBuf>,
    /// A folder for data; a folder of its own is created in it and removed at the end.
    #[arg(long, default_value = "target")]
    pub data_dir: PathBuf,
    /// GB of values that each produce-max run sends, and each consume run reads.
    #[arg(long, default_value_t = 3.0)]
    pub produce_gb: f64,
    /// Seconds of each small and open-loop run.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before anything is counted: of each kind, for each broker.
    #[arg(long, default_value_t = 20.0)]
    pub warmup: f64,
    /// Records a second of the open-loop runs.
    #[arg(long, default_value_t = 50_000)]
    pub rate: u64,
    /// Records a second of the small-paced runs, over all 64 connections.
    #[arg(long, default_value_t = 8_000)]
    pub small_rate: u64,
    /// How long an open-loop record may wait for its batch to fill.
    #[arg(long, default_value_t = 1.0)]
    pub linger_ms: f64,
    /// GB that the cleaner finds in each cleaning run.
    #[arg(long, default_value_t = 6.0)]
    pub garbage_gb: f64,
    /// Producers of the produce-max runs.
    #[arg(long, default_value_t = 1)]
    pub producers: usize,
    /// Producers of the group-commit runs.
    #[arg(long, default_value_t = 64)]
    pub waiting_producers: usize,
    /// Run servers on core 0 only and the load on core 1 only.
    #[arg(long)]
    pub pin: bool,
    /// Do not write to all free memory first; see docs/benchmarks.md for what that does.
    #[arg(long)]
    pub skip_memory_touch: bool,
    /// Also write all figures to this file as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Also write the tables to this file as Markdown: between its marker lines, if it has them.
    #[arg(long)]
    pub markdown: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// From the start of the process to the first answer; idle memory and CPU time.
    Startup,
    /// 1,000-byte records in batches of up to 128 KiB as fast as possible, acks=all.
    ProduceMax,
    /// Reading what was produced; implies produce-max.
    Consume,
    /// 64 connections with one 100-byte record in flight each.
    Small,
    /// The same connections and records, but at a fixed rate that leaves the machine time.
    SmallPaced,
    /// 1,000-byte records at a fixed rate, acks=all.
    OpenLoop,
    /// 64 producers to a topic with flush.messages=1, and to one without; only if named.
    GroupCommit,
    /// What the same loads ask of the kernel; only if named, since it needs perf.
    SystemCalls,
    /// The open loop beside a cleaner at work on another topic, and without it; only if named.
    Cleaning,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// chiplog.
    Chiplog,
    /// Apache Kafka.
    Kafka,
    /// The bare loop for the scenario.
    Floor,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 9] = [
        Scenario::Startup,
        Scenario::ProduceMax,
        Scenario::Consume,
        Scenario::Small,
        Scenario::SmallPaced,
        Scenario::OpenLoop,
        Scenario::GroupCommit,
        Scenario::SystemCalls,
        Scenario::Cleaning,
    ];

    /// Those that put load on a running broker.
    pub const LOADS: [Scenario; 5] = [
        Scenario::ProduceMax,
        Scenario::Consume,
        Scenario::Small,
        Scenario::SmallPaced,
        Scenario::OpenLoop,
    ];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Startup => "startup",
            Scenario::ProduceMax => "produce-max",
            Scenario::Consume => "consume",
            Scenario::Small => "small",
            Scenario::SmallPaced => "small-paced",
            Scenario::OpenLoop => "open-loop",
            Scenario::GroupCommit => "group commit",
            Scenario::SystemCalls => "system calls",
            Scenario::Cleaning => "cleaning",
        }
    }
}

impl Side {
    /// All of them, in the order in which they take turns.
    pub const ALL: [Side; 3] = [Side::Chiplog, Side::Kafka, Side::Floor];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Side::Chiplog => "chiplog",
            Side::Kafka => "Kafka",
            Side::Floor => "bare loop",
        }
    }
}

impl Options {
    /// Whether a scenario is asked for.
    pub fn wants(&self, scenario: Scenario) -> bool {
        match self.scenarios.is_empty() {
            true => !matches!(
                scenario,
                Scenario::GroupCommit | Scenario::SystemCalls | Scenario::Cleaning
            ),
            false => self.scenarios.contains(&scenario),
        }
    }

    /// The sides that are asked for.
    pub fn sides(&self) -> impl Iterator<Item = Side> {
        let asked_for = |side: &Side| self.sides.is_empty() || self.sides.contains(side);
        Side::ALL.into_iter().filter(asked_for)
    }

    /// The broker of a side; none for the bare loops.
    pub fn make(&self, side: Side) -> Result<Option<Make>, Error> {
        match side {
            Side::Floor => Ok(None),
            Side::Chiplog => {
                if !self.chiplog.is_file() {
                    let path = self.chiplog.display();
                    let said = format!("{path} is not there: run cargo build --release");
                    return Err(Error::Unusable(said));
                }
                let settings = self.chiplog_overrides.clone();
                Ok(Some(Make::Chiplog {
                    binary: self.chiplog.clone(),
                    settings,
                }))
            }
            Side::Kafka => {
                let from_variable = std::env::var_os(KAFKA_LIBS_VARIABLE).map(PathBuf::from);
                let libs = self.kafka_libs.clone().or(from_variable);
                let libs = libs.unwrap_or_else(|| PathBuf::from(KAFKA_LIBS_DEFAULT));
                if !libs.is_dir() {
                    let path = libs.display();
                    let said = format!("{path} is not there: run cargo xtask peers");
                    return Err(Error::Unusable(said));
                }
                let settings = self.kafka_overrides.clone();
                Ok(Some(Make::Kafka { libs, settings }))
            }
        }
    }

    /// Where servers run.
    pub fn server_placement(&self) -> Placement {
        if self.pin {
            Placement::Core(0)
        } else {
            Placement::Free
        }
    }

    /// Where the load generator runs.
    pub fn load_placement(&self) -> Placement {
        if self.pin {
            Placement::Core(1)
        } else {
            Placement::Free
        }
    }
}
