//! The question "read these partitions" to the shard that owns them, and its answer: log slices.
//!
//! A consumer reads below the high watermark, with read_committed below the last stable offset.

use std::io;
use std::rc::Rc;

use engine::LogSlice;
use engine::{AbortedLookup, AbortedTransaction, EpochEnd};
use engine::{Read, ReadFrom};
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset};

use crate::config::topic_log::Conversion;
use crate::kafka_error;
use crate::mail::{Done, Question};
use crate::partition::{Partition, PartitionKey};
use crate::shard::Shard;
use crate::watch::{Ticket, Watch};

/// Up to where a fetch may read (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Below the high watermark.
    ReadUncommitted,
    /// Below the last stable offset.
    ReadCommitted,
}

/// One partition of a fetch.
#[derive(Debug, Clone)]
pub struct ReadPart {
    /// Which one.
    pub key: PartitionKey,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// The leader epoch the client knows, -1 for none (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the record before `fetch_offset`, -1 for none (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    /// Byte limit for this partition.
    pub max_bytes: usize,
}

/// Whether the first batch is sent though it is larger than the limits (KIP-74).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBatch {
    /// Always whole: the client makes progress.
    Whole,
    /// Cut at the limit (fetch versions below 3).
    Limited,
}

/// Which formats and codecs a fetching client knows, by its request's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knows {
    /// Batches; else only what came before, which needs conversion.
    pub batches: bool,
    /// Zstandard (KIP-110).
    pub zstd: bool,
}

/// A fetch's partitions on one shard, in its order.
pub struct ReadQuestion {
    /// The partitions.
    pub parts: Vec<ReadPart>,
    /// How far they may be read.
    pub isolation: Isolation,
    /// What the client can read.
    pub knows: Knows,
    /// Byte limit for all of them together.
    pub max_bytes: usize,
    /// Whether the first batch found ignores the limits.
    pub first_batch: FirstBatch,
    /// Who to wake after how many more committed bytes, if fewer than that are there now.
    pub watch: Option<(Ticket, u64)>,
}

/// What one partition gives.
#[derive(Debug)]
pub struct PartRead {
    /// NONE, or why it gives nothing.
    pub error: ErrorCode,
    /// Offset bounds; -1 with an error.
    pub high_watermark: Offset,
    /// See [`Partition::last_stable_offset`].
    pub last_stable_offset: Offset,
    /// The first offset there is.
    pub log_start_offset: Offset,
    /// Where the client's log leaves the leader's: the largest epoch and its end offset.
    pub diverging: Option<EpochEnd>,
    /// With read_committed, the transactions whose records the client has to skip.
    pub aborted: Option<Vec<AbortedTransaction>>,
    /// The records.
    pub slice: Option<LogSlice>,
    /// The records in the format of an old client, in place of the slice.
    pub converted: Option<Vec<u8>>,
}

impl PartRead {
    /// Nothing, because of `error`.
    pub fn failed(error: ErrorCode) -> PartRead {
        PartRead {
            error,
            high_watermark: Offset(-1),
            last_stable_offset: Offset(-1),
            log_start_offset: Offset(-1),
            diverging: None,
            aborted: None,
            slice: None,
            converted: None,
        }
    }

    /// The same with these records.
    fn with(self, slice: LogSlice) -> PartRead {
        PartRead {
            slice: (!slice.is_empty()).then_some(slice),
            ..self
        }
    }

    /// Bytes of records.
    pub fn bytes(&self) -> usize {
        self.slice.as_ref().map_or(0, |slice| slice.len as usize)
    }

    /// An error or a divergence is told at once, not after `max.wait.ms`.
    pub fn is_urgent(&self) -> bool {
        self.error != ErrorCode::None || self.diverging.is_some()
    }
}

impl Question for ReadQuestion {
    type Answer = Vec<PartRead>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Vec<PartRead>>) {
        // Watched before it is read: bytes that arrive while a cold read waits are not missed.
        let watch = self.watch.map(|watch| self.begin_watch(shard, watch));
        let mut reading = Reading::new(self, watch);
        match reading.read_warm(shard) {
            None => done.put(reading.finish()),
            Some(cold) => {
                let shard = shard.clone();
                ring::spawn(async move {
                    reading.read_rest(&shard, cold).await;
                    done.put(reading.finish());
                });
            }
        }
    }
}

impl ReadQuestion {
    fn begin_watch(&self, shard: &Rc<Shard>, (ticket, needed): (Ticket, u64)) -> Rc<Watch> {
        let watch = Watch::new(ticket, needed, shard.clone());
        for part in &self.parts {
            if let Some(partition) = shard.partition(&part.key) {
                partition.watch(watch.clone());
            }
        }
        shard.watches.add(ticket, watch.clone());
        watch
    }
}

/// What a partition gives as far as memory knows, and what has to be looked up in files.
struct Planned {
    answer: PartRead,
    records: Option<Read>,
    aborted: Option<AbortedLookup>,
}

/// A question under way: its parts are read one after another, because what one gives is no
/// longer there for the next.
struct Reading {
    question: ReadQuestion,
    watch: Option<Rc<Watch>>,
    left_bytes: usize,
    first_batch: FirstBatch,
    reads: Vec<PartRead>,
}

impl Reading {
    fn new(question: ReadQuestion, watch: Option<Rc<Watch>>) -> Reading {
        Reading {
            watch,
            left_bytes: question.max_bytes,
            first_batch: question.first_batch,
            reads: Vec::with_capacity(question.parts.len()),
            question,
        }
    }

    /// Reads on as far as memory answers. Answers the first part that has to look into a file.
    fn read_warm(&mut self, shard: &Shard) -> Option<Planned> {
        while let Some(part) = self.question.parts.get(self.reads.len()) {
            match self.plan(shard, part) {
                Err(error) => self.push(PartRead::failed(error)),
                Ok(planned) if planned.is_warm() => self.push(planned.answer),
                Ok(cold) => return Some(cold),
            }
        }
        None
    }

    /// Reads the part that is cold, and all after it.
    async fn read_rest(&mut self, shard: &Shard, cold: Planned) {
        let mut next = Some(cold);
        while let Some(cold) = next {
            let read = cold.run().await;
            self.push(read.unwrap_or_else(|error| PartRead::failed(kafka_error::of_io(&error))));
            next = self.read_warm(shard);
        }
    }

    fn push(&mut self, read: PartRead) {
        if read.bytes() > 0 {
            self.first_batch = FirstBatch::Limited;
        }
        self.left_bytes = self.left_bytes.saturating_sub(read.bytes());
        self.reads.push(read);
    }

    fn finish(self) -> Vec<PartRead> {
        if let Some(watch) = self.watch {
            match self.reads.iter().any(PartRead::is_urgent) {
                true => watch.cancel(),
                false => watch.has(self.reads.iter().map(|read| read.bytes() as u64).sum()),
            }
        }
        self.reads
    }

    /// What a partition gives, with its records if memory knows where they are, else with the
    /// plan to find them.
    fn plan(&self, shard: &Shard, part: &ReadPart) -> Result<Planned, ErrorCode> {
        let partition = shard.partition(&part.key).ok_or_else(|| {
            match shard.node.offline.contains(&part.key) {
                true => ErrorCode::KafkaStorageError,
                false => ErrorCode::NotLeaderOrFollower,
            }
        })?;
        check_leader_epoch(&partition, part.current_leader_epoch)?;
        check_format(partition.conversion(), self.question.knows)?;
        let last_stable_offset = partition.last_stable_offset()?;
        let high_watermark = partition.leader().high_watermark();
        let log = partition.log()?;
        let answer = PartRead {
            error: ErrorCode::None,
            high_watermark,
            last_stable_offset,
            log_start_offset: log.log_start_offset(),
            diverging: None,
            aborted: None,
            slice: None,
            converted: None,
        };
        if part.last_fetched_epoch >= LeaderEpoch(0) {
            let end = log
                .offset_for_leader_epoch(part.last_fetched_epoch)
                .ok_or(ErrorCode::OffsetOutOfRange)?;
            if end.leader_epoch < part.last_fetched_epoch || end.end_offset < part.fetch_offset {
                return Ok(Planned::warm(PartRead {
                    diverging: Some(end),
                    ..answer
                }));
            }
        }
        let upper_bound = match self.question.isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
        };
        let bytes_max = part.max_bytes.min(self.left_bytes);
        let from = ReadFrom {
            offset: part.fetch_offset,
            upper_bound,
            bytes_max: u32::try_from(bytes_max).unwrap_or(u32::MAX),
            min_one_batch: self.first_batch == FirstBatch::Whole,
        };
        let read = log
            .read(from)
            .map_err(|error| kafka_error::of_read(&error))?;
        let aborted = (self.question.isolation == Isolation::ReadCommitted)
            .then(|| log.aborted_transactions(part.fetch_offset, upper_bound));
        let planned = Planned {
            answer,
            records: Some(read),
            aborted,
        };
        Ok(planned.without_empty_look_up().take_what_is_ready())
    }
}

impl Planned {
    fn warm(answer: PartRead) -> Planned {
        Planned {
            answer,
            records: None,
            aborted: None,
        }
    }

    fn is_warm(&self) -> bool {
        self.records.is_none() && self.aborted.is_none()
    }

    /// Most logs have no aborted transaction where they are read: memory knows that.
    fn without_empty_look_up(mut self) -> Planned {
        if self.aborted.take_if(|look_up| look_up.is_empty()).is_some() {
            self.answer.aborted = Some(Vec::new());
        }
        self
    }

    /// Records from memory are the answer, unless transactions have to be looked up for them.
    fn take_what_is_ready(self) -> Planned {
        match (self.records, &self.aborted) {
            (Some(Read::Ready(slice)), None) => Planned::warm(self.answer.with(slice)),
            (records, _) => Planned { records, ..self },
        }
    }

    async fn run(self) -> io::Result<PartRead> {
        let mut answer = self.answer;
        let Some(records) = self.records else {
            return Ok(answer);
        };
        let slice = records.run().await?;
        if let Some(look_up) = self.aborted {
            // Where a segment was compacted the records may come from a later one.
            answer.aborted = Some(look_up.below(slice.segment_end).run().await?);
        }
        Ok(answer.with(slice))
    }
}

/// A client must know the codec that the topic's records all have; and if it does not know batches,
/// the topic must allow that they are converted.
fn check_format(conversion: Conversion, knows: Knows) -> Result<(), ErrorCode> {
    if conversion.needs_zstd && !knows.zstd {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    if !conversion.is_enabled && !knows.batches {
        return Err(ErrorCode::UnsupportedVersion);
    }
    Ok(())
}

/// A client that knows an older leader epoch is fenced, one that knows a newer one must wait
/// (KIP-320).
pub fn check_leader_epoch(partition: &Partition, known: LeaderEpoch) -> Result<(), ErrorCode> {
    let epoch = partition.leader().epoch();
    if known < LeaderEpoch(0) || known == epoch {
        Ok(())
    } else if known < epoch {
        Err(ErrorCode::FencedLeaderEpoch)
    } else {
        Err(ErrorCode::UnknownLeaderEpoch)
    }
}
