//! What `bench produce` prints.

use std::fmt;

use serde::Serialize;

use crate::cluster::Topic;
use crate::latency::{Latencies, Summary};
use crate::process_cost::WorkCost;
use crate::produce::Options;
use crate::produce::load::Tally;
use crate::window::Costs;

/// The result of a run; everything is of the measured part, after the warm-up.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: usize,
    /// Producers.
    pub connections: usize,
    /// Bytes of a record's value.
    pub record_size: usize,
    /// Length of the measured part.
    pub seconds: f64,
    /// Records acknowledged.
    pub records: u64,
    /// Bytes of their values.
    pub payload_bytes: u64,
    /// Records a second.
    pub records_per_second: f64,
    /// 10^6 bytes of values a second.
    pub mb_per_second: f64,
    /// Requests acknowledged.
    pub requests: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes of those requests on the wire.
    pub wire_bytes: u64,
    /// From when a record ought to have been sent; only at a rate.
    pub latency_from_intended: Option<Summary>,
    /// From when its request was sent.
    pub latency_from_sent: Summary,
    /// From when a record ought to have been sent until a consumer had it.
    pub latency_end_to_end: Option<Summary>,
    /// The broker's cost.
    pub broker: Option<WorkCost>,
    /// The load generator's cost.
    pub generator: WorkCost,
    /// A sum over all that was acknowledged, warm-up included.
    pub checksum: String,
    #[serde(skip)]
    json: bool,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        topic: &Topic,
        tally: &Tally,
        costs: Costs,
        end_to_end: Option<&Latencies>,
    ) -> Report {
        let payload_bytes = tally.records * options.record_size as u64;
        Report {
            topic: topic.name.clone(),
            partitions: topic.leaders.len(),
            connections: options.connections,
            record_size: options.record_size,
            seconds: costs.seconds,
            records: tally.records,
            payload_bytes,
            records_per_second: tally.records as f64 / costs.seconds,
            mb_per_second: payload_bytes as f64 / 1e6 / costs.seconds,
            requests: tally.requests,
            batches: tally.batches,
            wire_bytes: tally.wire_bytes,
            latency_from_intended: options.rate.map(|_| tally.from_intended.summary()),
            latency_from_sent: tally.from_sent.summary(),
            latency_end_to_end: end_to_end.map(Latencies::summary),
            broker: costs.broker,
            generator: costs.generator,
            checksum: format!("{:016x}", tally.checksum),
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
            "{records} records of {} bytes in {seconds:.3} s: {:.0} records/s, {:.1} MB/s",
            self.record_size, self.records_per_second, self.mb_per_second
        )?;
        writeln!(
            f,
            "{} requests, {} batches, {partitions} partitions, {connections} producers",
            self.requests, self.batches
        )?;
        if let Some(latency) = &self.latency_from_intended {
            writeln!(f, "from intended send:  {latency}")?;
        }
        writeln!(f, "from request sent:   {}", self.latency_from_sent)?;
        if let Some(latency) = &self.latency_end_to_end {
            writeln!(f, "intended to receipt: {latency}")?;
        }
        if let Some(broker) = &self.broker {
            writeln!(f, "broker:    {broker}")?;
        }
        writeln!(f, "generator: {}", self.generator)?;
        write!(f, "checksum:  {}", self.checksum)
    }
}
