//! What `bench consume` prints.

use std::fmt;

use serde::Serialize;

use crate::cluster::Topic;
use crate::consume::Options;
use crate::consume::load::Tally;
use crate::latency::Summary;
use crate::process_cost::WorkCost;
use crate::window::Costs;

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: usize,
    /// Consumers.
    pub connections: usize,
    /// Length of the run.
    pub seconds: f64,
    /// Records, as batch headers count them.
    pub records: u64,
    /// Bytes of whole batches.
    pub bytes: u64,
    /// Records a second.
    pub records_per_second: f64,
    /// 10^6 bytes of batches a second.
    pub mb_per_second: f64,
    /// Answers.
    pub fetches: u64,
    /// Batches.
    pub batches: u64,
    /// From request to answer.
    pub latency_from_sent: Summary,
    /// The broker's cost.
    pub broker: Option<WorkCost>,
    /// The load generator's cost.
    pub generator: WorkCost,
    /// A sum over the CRCs of all batches and their places.
    pub checksum: String,
    #[serde(skip)]
    json: bool,
}

impl Report {
    pub(super) fn new(options: &Options, topic: &Topic, tally: &Tally, costs: Costs) -> Report {
        let brought = &tally.brought;
        Report {
            topic: topic.name.clone(),
            partitions: topic.leaders.len(),
            connections: options.connections,
            seconds: costs.seconds,
            records: brought.records,
            bytes: brought.bytes,
            records_per_second: brought.records as f64 / costs.seconds,
            mb_per_second: brought.bytes as f64 / 1e6 / costs.seconds,
            fetches: tally.fetches,
            batches: brought.batches,
            latency_from_sent: tally.from_sent.summary(),
            broker: costs.broker,
            generator: costs.generator,
            checksum: format!("{:016x}", brought.checksum),
            json: options.json,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.json {
            let json = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
            return f.write_str(&json);
        }
        let Report {
            records,
            seconds,
            partitions,
            connections,
            ..
        } = self;
        writeln!(
            f,
            "{records} records, {} bytes in {seconds:.3} s: {:.0} records/s, {:.1} MB/s",
            self.bytes, self.records_per_second, self.mb_per_second
        )?;
        writeln!(
            f,
            "{} fetches, {} batches, {partitions} partitions, {connections} consumers",
            self.fetches, self.batches
        )?;
        writeln!(f, "request to answer: {}", self.latency_from_sent)?;
        if let Some(broker) = &self.broker {
            writeln!(f, "broker:    {broker}")?;
        }
        writeln!(f, "generator: {}", self.generator)?;
        write!(f, "checksum:  {}", self.checksum)
    }
}
