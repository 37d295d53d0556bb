//! The options of `bench produce`.

use clap::{Args, Parser};
use protocol::batch::Compression;

use crate::Error;
use crate::clock::Nanos;
use crate::produce::feed::Partitioner;

/// How long a run is if nothing says so.
const DURATION_SECONDS_DEFAULT: f64 = 10.0;

/// Produces to a topic at a given rate or as fast as the broker takes it.
///
/// The record size counts bytes of values; so do GB (10^9 bytes) and MB (10^6 bytes). Latencies
/// run to the acknowledgement, from when the record ought to have been sent (only with --rate) and
/// from when its request was sent. What is acknowledged during the warm-up is not counted.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Brokers to ask first, as host:port,host:port.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap_server: String,
    /// The topic.
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Create the topic first.
    #[arg(long)]
    pub create_topic: bool,
    /// Partitions of a topic that is created.
    #[arg(long, default_value_t = 6)]
    pub partitions: u32,
    /// Replicas of each partition of a topic that is created.
    #[arg(long, default_value_t = 1)]
    pub replication_factor: i16,
    /// A setting of a topic that is created, as key=value; may be repeated.
    #[arg(long = "topic-config", value_name = "KEY=VALUE")]
    pub topic_config: Vec<String>,
    /// Producers; each has a connection to every leader.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Threads that share the producers.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Bytes of each record's value.
    #[arg(long, default_value_t = 1000)]
    pub record_size: usize,
    /// The part of a value that is random; the rest is constant.
    #[arg(long, default_value_t = 1.0)]
    pub random_ratio: f64,
    /// Give the records so many keys in turn, of eight bytes; none without.
    #[arg(long, default_value_t = 0)]
    pub keys: u64,
    /// Seed of the random bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The most bytes of one partition's batch, before compression.
    #[arg(long, default_value_t = 131_072)]
    pub batch_bytes: usize,
    /// The most bytes of all batches of one request.
    #[arg(long, default_value_t = 1_048_576)]
    pub request_bytes: usize,
    /// How long a record may wait for its batch to fill; only with --rate.
    #[arg(long, default_value_t = 0.0)]
    pub linger_ms: f64,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 5)]
    pub in_flight: usize,
    /// Whose acknowledgement is waited for: 0, 1 or all.
    #[arg(long, default_value = "all")]
    pub acks: String,
    /// Records a second of all producers together, sent on schedule; as fast as possible without.
    #[arg(long)]
    pub rate: Option<u64>,
    /// How many records to send, warm-up included.
    #[arg(long)]
    pub records: Option<u64>,
    /// How many seconds to send for after the warm-up; 10 if there is no --records either.
    #[arg(long)]
    pub duration: Option<f64>,
    /// Seconds that are not counted.
    #[arg(long, default_value_t = 0.0)]
    pub warmup: f64,
    /// How records are spread over partitions; only with --rate.
    #[arg(long, value_enum, default_value = "round-robin")]
    pub partitioner: Partitioner,
    /// Send as idempotent producers.
    #[arg(long)]
    pub idempotent: bool,
    /// none, gzip, snappy, lz4 or zstd; batches are compressed before the run.
    #[arg(long, default_value = "none")]
    pub compression: String,
    /// One record in flight on each connection, whatever else is said: a closed loop.
    #[arg(long)]
    pub one_record_in_flight: bool,
    /// Consume the topic at the same time and measure from intended send time to receipt.
    #[arg(long)]
    pub end_to_end: bool,
    /// The broker's process on this machine, to measure its CPU time and memory.
    #[arg(long)]
    pub broker_pid: Option<u32>,
    /// Ask for the end offsets afterwards and check that they add up.
    #[arg(long)]
    pub verify_offsets: bool,
    /// The target is a bare loop, whose answers say nothing.
    #[arg(long)]
    pub raw_target: bool,
    /// Seconds that an answer may take.
    #[arg(long, default_value_t = 30.0)]
    pub timeout: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The options as a command of their own, which knows all defaults.
#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

impl Default for Options {
    fn default() -> Options {
        Alone::parse_from(["produce"]).options
    }
}

impl Options {
    /// Refuses what does not fit together.
    pub fn check(&self) -> Result<(), Error> {
        let unusable = |said: &str| Err(Error::Unusable(said.to_owned()));
        if self.connections == 0 || self.threads == 0 || self.in_flight == 0 {
            return unusable("--connections, --threads and --in-flight must be at least 1");
        }
        if self.rate == Some(0) {
            return unusable("--rate must be at least 1; leave it out for the maximum");
        }
        if self.end_to_end {
            if self.rate.is_none() {
                return unusable("--end-to-end needs --rate: without it no record has a time");
            }
            if self.record_size < 8 || self.compression()? != Compression::None {
                return unusable("--end-to-end needs 8 bytes of value and no compression");
            }
        }
        if self.keys > 0 && (self.end_to_end || self.compression()? != Compression::None) {
            return unusable("--keys goes with neither --end-to-end nor compression");
        }
        if self.raw_target && (self.idempotent || self.verify_offsets || self.end_to_end) {
            return unusable("a bare loop knows no producer ids and no offsets");
        }
        self.acks()?;
        self.compression()?;
        self.settings().map(drop)
    }

    /// acks as the protocol has it.
    pub fn acks(&self) -> Result<i16, Error> {
        match self.acks.as_str() {
            "all" | "-1" => Ok(-1),
            "0" => Ok(0),
            "1" => Ok(1),
            other => Err(Error::Unusable(format!(
                "--acks is 0, 1 or all, not {other}"
            ))),
        }
    }

    /// The compression.
    pub fn compression(&self) -> Result<Compression, Error> {
        let known = Compression::ALL
            .into_iter()
            .find(|known| known.name() == self.compression);
        known.ok_or_else(|| Error::Unusable(format!("no compression {}", self.compression)))
    }

    /// The topic's settings as (key, value).
    pub fn settings(&self) -> Result<Vec<(String, String)>, Error> {
        let split = |setting: &String| {
            let pair = setting
                .split_once('=')
                .map(|(k, v)| (k.to_owned(), v.to_owned()));
            pair.ok_or_else(|| {
                Error::Unusable(format!("--topic-config {setting} is not KEY=VALUE"))
            })
        };
        self.topic_config.iter().map(split).collect()
    }

    /// The warm-up, and how long to send after it if that is limited.
    pub fn spans(&self) -> (Nanos, Option<Nanos>) {
        let default = self.records.is_none().then_some(DURATION_SECONDS_DEFAULT);
        let duration = self.duration.or(default).map(Nanos::from_seconds);
        (Nanos::from_seconds(self.warmup), duration)
    }
}
