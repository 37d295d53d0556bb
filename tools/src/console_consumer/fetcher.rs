//! Fetches records of the partitions that are assigned, from the positions they are at.
//!
//! Invariant: a position is the offset of the next record to be given out; a record that was given
//! out is never given out again unless its partition is assigned anew.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::batch::{BatchError, BatchView, TimestampType, control::ControlType};
use protocol::error::ErrorCode;
use protocol::legacy_record_set::{self, Entries, LegacyError, LegacyRecord};
use protocol::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchTopic, PartitionData,
};
use protocol::wire::Records;

use crate::client::{Client, Error, Isolation, OffsetSpec, TopicPartition};

/// As in Kafka's consumer.
const FETCH_BYTES_MAX: i32 = 50 * 1024 * 1024;
/// As in Kafka's consumer.
const PARTITION_BYTES_MAX: i32 = 1024 * 1024;
/// As in Kafka's consumer.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// More records than that are never in one batch's memory.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// The formats before batches.
const OLD_MAGICS: [i8; 2] = [0, 1];

/// A record that was fetched.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is from.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// With who set it; messages of Kafka before 0.10 have none.
    pub timestamp: Option<(TimestampType, i64)>,
    /// None if it is null.
    pub key: Option<Vec<u8>>,
    /// None if it is null.
    pub value: Option<Vec<u8>>,
    /// Names and values, in the record's order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Partitions and how far they were read.
pub struct Fetcher {
    isolation: Isolation,
    /// Where to go on when an offset is not there any more; without it, that is an error.
    reset: Option<OffsetSpec>,
    positions: BTreeMap<TopicPartition, i64>,
    leaders: BTreeMap<TopicPartition, i32>,
    ready: VecDeque<Record>,
}

impl Fetcher {
    /// Nothing is assigned.
    pub fn new(isolation: Isolation, reset: Option<OffsetSpec>) -> Fetcher {
        Fetcher {
            isolation,
            reset,
            positions: BTreeMap::new(),
            leaders: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Reads these partitions from now on, and forgets all others.
    pub fn assign(&mut self, positions: BTreeMap<TopicPartition, i64>) {
        self.positions = positions;
        self.leaders.clear();
        self.ready.clear();
    }

    /// The next offset of each partition that was not given out yet.
    pub fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        let mut positions = self.positions.clone();
        for record in self.ready.iter().rev() {
            positions.insert(record.at.clone(), record.offset);
        }
        positions
    }

    /// The next record that is there.
    pub fn next(&mut self) -> Option<Record> {
        self.ready.pop_front()
    }

    /// Asks the leaders once; each waits a little if it has nothing new.
    pub fn fetch(&mut self, client: &mut Client) -> Result<(), Error> {
        if self.leaders.len() < self.positions.len() {
            self.find_leaders(client)?;
        }
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (at, leader) in &self.leaders {
            by_leader.entry(*leader).or_default().push(at.clone());
        }
        let wait = WAIT_MAX / u32::try_from(by_leader.len().max(1)).unwrap_or(1);
        for (leader, partitions) in by_leader {
            match self.fetch_of(client, leader, &partitions, wait) {
                Ok(()) => {}
                Err(error) if error.is_retriable() => {
                    self.leaders.retain(|_, of| *of != leader);
                    crate::client::backoff::pause(client.settings().retry_backoff);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn find_leaders(&mut self, client: &mut Client) -> Result<(), Error> {
        let without = self
            .positions
            .keys()
            .filter(|at| !self.leaders.contains_key(*at));
        let without: Vec<TopicPartition> = without.cloned().collect();
        let found = client.ask_leaders(without, |_, leader, partitions| {
            let led = partitions.iter().map(|at| (at.clone(), Ok(leader)));
            Ok(led.collect())
        })?;
        for (at, leader) in found {
            self.leaders.insert(at, leader?);
        }
        Ok(())
    }

    fn fetch_of(
        &mut self,
        client: &mut Client,
        leader: i32,
        partitions: &[TopicPartition],
        wait: Duration,
    ) -> Result<(), Error> {
        let wanted = partitions.iter().map(|at| (at, self.positions[at]));
        let topics = TopicPartition::by_topic(wanted).into_iter();
        let partition = |(partition, fetch_offset)| FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: PARTITION_BYTES_MAX,
            ..Default::default()
        };
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: wait.as_millis() as i32,
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            isolation_level: self.isolation as i8,
            session_epoch: -1,
            topics: topics
                .map(|(name, wanted)| FetchTopic {
                    topic: name.into(),
                    partitions: wanted.into_iter().map(partition).collect(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let answer = client.ask_broker(leader, &request)?;
        Error::check(answer.error_code, None)?;
        for topic in answer.responses {
            for data in topic.partitions {
                let at = TopicPartition::new(topic.topic.as_ref(), data.partition_index);
                self.take(client, at, data)?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        client: &mut Client,
        at: TopicPartition,
        data: PartitionData<'_>,
    ) -> Result<(), Error> {
        match Error::check(data.error_code, None) {
            Ok(()) => {}
            Err(error) if error.code() == Some(ErrorCode::OffsetOutOfRange) => {
                let Some(spec) = self.reset else {
                    return Err(error);
                };
                let wanted = BTreeMap::from([(at.clone(), spec)]);
                for (at, found) in client.list_offsets(&wanted, self.isolation)? {
                    self.positions.insert(at, found?.offset);
                }
                return Ok(());
            }
            Err(error) if error.is_retriable() => {
                self.leaders.remove(&at);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let records = data.records.unwrap_or(Records::EMPTY);
        let bytes = records.bytes().unwrap_or_default();
        let mut aborted = Aborted::new(data.aborted_transactions.unwrap_or_default());
        let mut rest = bytes;
        // The last batch or message may have been cut by the fetch's limit.
        while let Some(magic) = legacy_record_set::magic_of(rest) {
            let taken = if OLD_MAGICS.contains(&magic) {
                let mut entries = Entries::new(rest);
                match entries.next() {
                    None | Some(Err(LegacyError::Truncated)) => break,
                    Some(entry) => entry.map_err(|_| Error::of(ErrorCode::CorruptMessage))?,
                };
                self.take_message(&at, &rest[..entries.position()])?;
                entries.position()
            } else {
                let batch = match BatchView::first_of(rest) {
                    Err(BatchError::Truncated { .. }) => break,
                    batch => batch.map_err(|_| Error::of(ErrorCode::CorruptMessage))?,
                };
                self.take_batch(&at, &batch, &mut aborted)?;
                batch.bytes.len()
            };
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// A message of Kafka before 0.11, or all that are compressed in it.
    fn take_message(&mut self, at: &TopicPartition, message: &[u8]) -> Result<(), Error> {
        let mut position = self.positions[at];
        let mut take = |record: LegacyRecord<'_>| {
            if record.offset.0 < position {
                return;
            }
            position = record.offset.0 + 1;
            self.ready.push_back(Record {
                at: at.clone(),
                offset: record.offset.0,
                timestamp: record.timestamp.map(|time| (record.timestamp_type, time.0)),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: Vec::new(),
            });
        };
        legacy_record_set::read(message, BATCH_BYTES_MAX, &mut take)
            .map_err(|_| Error::of(ErrorCode::CorruptMessage))?;
        self.positions.insert(at.clone(), position);
        Ok(())
    }

    fn take_batch(
        &mut self,
        at: &TopicPartition,
        batch: &BatchView<'_>,
        aborted: &mut Aborted,
    ) -> Result<(), Error> {
        let position = self.positions[at];
        let next = batch.header.next_offset().0;
        let is_skipped = aborted.skips(batch);
        if next <= position {
            return Ok(());
        }
        if !is_skipped {
            let corrupt = |_| Error::of(ErrorCode::CorruptMessage);
            batch.validate_relaxed().map_err(corrupt)?;
            let timestamp_type = batch.header.attributes.timestamp_type();
            let mut scratch = Vec::new();
            let records = batch
                .records_in(&mut scratch, BATCH_BYTES_MAX)
                .map_err(corrupt)?;
            for record in records {
                let record = record.map_err(corrupt)?;
                if record.offset.0 < position {
                    continue;
                }
                let headers = record.headers;
                self.ready.push_back(Record {
                    at: at.clone(),
                    offset: record.offset.0,
                    timestamp: Some((timestamp_type, record.timestamp.0)),
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: headers
                        .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                        .collect(),
                });
            }
        }
        self.positions.insert(at.clone(), next);
        Ok(())
    }
}

/// The aborted transactions of a fetch, taken up as their first offsets come by.
struct Aborted {
    coming: VecDeque<AbortedTransaction>,
    under_way: BTreeSet<i64>,
}

impl Aborted {
    fn new(mut transactions: Vec<AbortedTransaction>) -> Aborted {
        transactions.sort_by_key(|transaction| transaction.first_offset);
        Aborted {
            coming: transactions.into(),
            under_way: BTreeSet::new(),
        }
    }

    /// Whether the batch is none of the reader's business: control records, and what was aborted.
    fn skips(&mut self, batch: &BatchView<'_>) -> bool {
        let last = batch.header.last_offset().0;
        while let Some(transaction) = self.coming.pop_front_if(|next| next.first_offset <= last) {
            self.under_way.insert(transaction.producer_id);
        }
        let producer = batch.header.producer_id.0;
        if batch.header.attributes.is_control() {
            let mut scratch = Vec::new();
            let records = batch
                .records_in(&mut scratch, BATCH_BYTES_MAX)
                .into_iter()
                .flatten();
            let is_abort = |key: Option<&[u8]>| {
                key.and_then(ControlType::from_key) == Some(ControlType::Abort)
            };
            if records.flatten().any(|record| is_abort(record.key)) {
                self.under_way.remove(&producer);
            }
            return true;
        }
        batch.header.attributes.is_transactional() && self.under_way.contains(&producer)
    }
}
