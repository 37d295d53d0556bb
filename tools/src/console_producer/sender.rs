//! Sends batches to their leaders, again where that failed in passing. One batch of a partition is
//! under way at a time, so order and sequence numbers hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::batch::{BatchOptions, sequence_after};
use protocol::error::ErrorCode;
use protocol::ids::{ProducerEpoch, ProducerId};
use protocol::messages::init_producer_id::InitProducerIdRequest;
use protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::wire::Records;

use super::Sending;
use super::accumulator::{Accumulator, ClosedBatch};
use super::line::Record;
use super::partitioner::{Sticky, of_key};
use crate::client::backoff::Backoff;
use crate::client::{Client, Error, Topic};

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// A producer to one topic.
pub struct Sender {
    client: Client,
    sending: Sending,
    topic: Option<Topic>,
    producer: Option<(ProducerId, ProducerEpoch)>,
    sequences: BTreeMap<i32, i32>,
    batches: Accumulator,
    sticky: Sticky,
    last_error: Option<Error>,
}

impl Sender {
    /// Nothing is asked yet.
    pub fn new(client: Client, sending: Sending) -> Sender {
        Sender {
            client,
            sending,
            topic: None,
            producer: None,
            sequences: BTreeMap::new(),
            batches: Accumulator::default(),
            sticky: Sticky::default(),
            last_error: None,
        }
    }

    /// Puts a record into its partition's batch, and sends that if it is full.
    pub fn add(&mut self, record: &Record) -> Result<(), Error> {
        self.learn_topic()?;
        self.learn_producer_id()?;
        let partitions = self
            .topic
            .as_ref()
            .map_or(1, |topic| topic.partitions.len());
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let partition = match &record.key {
            Some(key) => of_key(key, partitions),
            None => {
                let switch_after = self.sending.batch_bytes;
                self.sticky
                    .next(length(&record.value), switch_after, partitions)
            }
        } as i32;
        let (producer_id, producer_epoch) = self
            .producer
            .unwrap_or((ProducerId::NONE, ProducerEpoch::NONE));
        let base_sequence = match self.producer {
            Some(_) => *self.sequences.entry(partition).or_insert(0),
            None => -1,
        };
        let compression = self.sending.compression;
        let size = self.batches.add(partition, record, || BatchOptions {
            compression,
            producer_id,
            producer_epoch,
            base_sequence,
            ..BatchOptions::default()
        });
        if size >= self.sending.batch_bytes {
            let full = self.batches.take(partition).into_iter().collect();
            self.send(full);
        }
        Ok(())
    }

    /// When something must be sent at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.batches.next_deadline(self.sending.linger)
    }

    /// Sends what has waited long enough.
    pub fn send_due(&mut self) {
        let due = self.batches.take_due(self.sending.linger);
        self.send(due);
    }

    /// Sends everything.
    pub fn flush(&mut self) {
        let all = self.batches.take_due(Duration::ZERO);
        self.send(all);
    }

    /// The last error since this was asked, if there was one.
    pub fn failed(&mut self) -> Result<(), Error> {
        self.last_error.take().map_or(Ok(()), Err)
    }

    fn learn_topic(&mut self) -> Result<(), Error> {
        if self.topic.is_none() {
            let name = &self.sending.topic;
            let found = self.client.retried(|client| client.topic_or_create(name))?;
            self.topic = Some(found);
        }
        Ok(())
    }

    fn learn_producer_id(&mut self) -> Result<(), Error> {
        if self.producer.is_some() || !self.sending.is_idempotent {
            return Ok(());
        }
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        let answer = self.client.retried(|client| {
            let answer = client.ask_any(&request)?;
            Error::check(answer.error_code, None)?;
            Ok(answer)
        })?;
        let epoch = ProducerEpoch(answer.producer_epoch);
        self.producer = Some((ProducerId(answer.producer_id), epoch));
        self.sequences.clear();
        Ok(())
    }

    /// Sends batches of different partitions, and says on standard error what could not be sent.
    fn send(&mut self, mut batches: Vec<ClosedBatch>) {
        let mut backoff = Backoff::new(self.client.settings());
        let mut attempts = 0;
        while !batches.is_empty() {
            let failed = self.send_once(batches);
            batches = Vec::new();
            for (batch, error) in failed {
                if error.is_retriable() && attempts < self.sending.retries {
                    batches.push(batch);
                } else {
                    self.give_up(&batch, error);
                }
            }
            if !batches.is_empty() {
                attempts += 1;
                backoff.pause_before(Instant::now() + FOREVER);
                self.topic = None;
                if let Err(error) = self.learn_topic() {
                    for batch in std::mem::take(&mut batches) {
                        self.give_up(&batch, Error::Settings(error.to_string()));
                    }
                }
            }
        }
    }

    fn give_up(&mut self, batch: &ClosedBatch, error: Error) {
        eprintln!(
            "ERROR Error when sending {} message(s) to topic {} partition {} with error: {}: \
             {error}",
            batch.records,
            self.sending.topic,
            batch.partition,
            error.java_class()
        );
        // What follows must not look like a gap in this producer's sequence.
        self.producer = None;
        self.last_error = Some(error);
    }

    /// Gives back what was not taken, each with the reason.
    fn send_once(&mut self, batches: Vec<ClosedBatch>) -> Vec<(ClosedBatch, Error)> {
        let mut failed = Vec::new();
        let mut by_leader: BTreeMap<i32, Vec<ClosedBatch>> = BTreeMap::new();
        for batch in batches {
            let topic = self.topic.iter().flat_map(|topic| &topic.partitions);
            let mut partitions = topic.filter(|known| known.index == batch.partition);
            match partitions.next().and_then(|known| known.leader) {
                Some(leader) => by_leader.entry(leader).or_default().push(batch),
                None => failed.push((batch, Error::of(ErrorCode::LeaderNotAvailable))),
            }
        }
        for (leader, batches) in by_leader {
            let answers = self.send_to(leader, &batches);
            for batch in batches {
                match self.verdict(&batch, &answers) {
                    Ok(()) => self.count(&batch),
                    Err(error) => failed.push((batch, error)),
                }
            }
        }
        failed
    }

    /// Moves the partition's sequence on, if the batch was of the present producer id.
    fn count(&mut self, batch: &ClosedBatch) {
        if self.producer.is_some_and(|(id, _)| id == batch.producer_id) {
            let next = self.sequences.entry(batch.partition).or_insert(0);
            *next = sequence_after(*next, batch.records);
        }
    }

    fn send_to(
        &mut self,
        leader: i32,
        batches: &[ClosedBatch],
    ) -> Result<BTreeMap<i32, (i16, Option<String>)>, Error> {
        let partition = |batch: &ClosedBatch| PartitionProduceData {
            index: batch.partition,
            records: Some(Records::Bytes(batch.bytes.clone().into())),
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.sending.acks,
            timeout_ms: self.sending.request_timeout.as_millis() as i32,
            topic_data: vec![TopicProduceData {
                name: self.sending.topic.as_str().into(),
                partition_data: batches.iter().map(partition).collect(),
            }],
        };
        let answer = self.client.ask_broker(leader, &request)?;
        let answers = answer.responses.into_iter();
        let answers = answers.flat_map(|topic| topic.partition_responses);
        Ok(answers
            .map(|answer| {
                let message = answer.error_message.map(|text| text.into_owned());
                (answer.index, (answer.error_code, message))
            })
            .collect())
    }

    fn verdict(
        &self,
        batch: &ClosedBatch,
        answers: &Result<BTreeMap<i32, (i16, Option<String>)>, Error>,
    ) -> Result<(), Error> {
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) if error.is_retriable() => {
                return Err(Error::of(ErrorCode::NetworkException));
            }
            Err(error) => return Err(Error::Settings(error.to_string())),
        };
        match answers.get(&batch.partition) {
            _ if self.sending.acks == 0 => Ok(()),
            None => Err(Error::of(ErrorCode::UnknownServerError)),
            // It came with an attempt whose answer was lost.
            Some((code, _)) if *code == ErrorCode::DuplicateSequenceNumber.code() => Ok(()),
            Some((code, message)) => Error::check(*code, message.clone().map(Into::into)),
        }
    }
}
