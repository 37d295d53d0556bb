//! The options of `bench consume`.

use clap::{Args, Parser};

use crate::Error;

/// Consumes what a topic holds when the run begins, as fast as the broker gives it.
///
/// GB (10^9 bytes) and MB (10^6 bytes) count whole record batches as they stand in the log, since
/// only their headers are read: about 1% more than the bytes of values if those have 1,000 bytes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Brokers to ask first, as host:port,host:port.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub bootstrap_server: String,
    /// The topic.
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Consumers, which share the partitions; each has a connection to every leader of its own.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Threads that share the consumers.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// The most bytes of one answer.
    #[arg(long, default_value_t = 52_428_800)]
    pub max_bytes: i32,
    /// The most bytes of one partition in an answer.
    #[arg(long, default_value_t = 1_048_576)]
    pub partition_max_bytes: i32,
    /// How many bytes the broker may wait for.
    #[arg(long, default_value_t = 1)]
    pub min_bytes: i32,
    /// How many milliseconds it may wait for them.
    #[arg(long, default_value_t = 500)]
    pub max_wait_ms: i32,
    /// Stop after so many records.
    #[arg(long)]
    pub records: Option<u64>,
    /// Read everything so many times.
    #[arg(long, default_value_t = 1)]
    pub passes: u32,
    /// Check the CRC of every batch.
    #[arg(long)]
    pub check_crc: bool,
    /// Use fetch sessions (KIP-227).
    #[arg(long)]
    pub fetch_session: bool,
    /// The broker's process on this machine, to measure its CPU time and memory.
    #[arg(long)]
    pub broker_pid: Option<u32>,
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
        Alone::parse_from(["consume"]).options
    }
}

impl Options {
    /// Refuses what does not fit together.
    pub fn check(&self) -> Result<(), Error> {
        if self.connections == 0 || self.threads == 0 || self.passes == 0 {
            let said = "--connections, --threads and --passes must be at least 1";
            return Err(Error::Unusable(said.to_owned()));
        }
        Ok(())
    }
}
