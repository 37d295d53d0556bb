//! The question "read these partitions" to the shard that owns them, and its answer: log slices.
//!
//! A consumer reads below the high watermark, with read_committed below the last stable offset.

use std::rc::Rc;

use engine::EpochEnd;
use engine::LogSlice;
use engine::{PendingRead, Read, ReadFrom};
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset};

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

/// A fetch's partitions on one shard, in its order.
pub struct ReadQuestion {
    /// The partitions.
    pub parts: Vec<ReadPart>,
    /// How far they may be read.
    pub isolation: Isolation,
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
    /// The records.
    pub slice: Option<LogSlice>,
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
            slice: None,
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

/// A read that has to look into a file, and what else its partition gives.
struct Cold {
    answer: PartRead,
    plan: Box<PendingRead>,
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
    fn read_warm(&mut self, shard: &Shard) -> Option<Cold> {
        while let Some(part) = self.question.parts.get(self.reads.len()) {
            let (answer, plan) = match self.plan(shard, part) {
                Err(error) => (PartRead::failed(error), None),
                Ok(planned) => planned,
            };
            match plan {
                Some(plan) => return Some(Cold { answer, plan }),
                None => self.push(answer),
            }
        }
        None
    }

    /// Reads the part that is cold, and all after it.
    async fn read_rest(&mut self, shard: &Shard, cold: Cold) {
        let mut next = Some(cold);
        while let Some(Cold { answer, plan }) = next {
            let read = match plan.run().await {
                Ok(slice) => answer.with(slice),
                Err(error) => PartRead::failed(kafka_error::of_io(&error)),
            };
            self.push(read);
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
    fn plan(
        &self,
        shard: &Shard,
        part: &ReadPart,
    ) -> Result<(PartRead, Option<Box<PendingRead>>), ErrorCode> {
        let partition = shard
            .partition(&part.key)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        check_leader_epoch(&partition, part.current_leader_epoch)?;
        let last_stable_offset = partition.last_stable_offset()?;
        let high_watermark = partition.leader().high_watermark();
        let log = partition.log()?;
        let answer = PartRead {
            error: ErrorCode::None,
            high_watermark,
            last_stable_offset,
            log_start_offset: log.log_start_offset(),
            diverging: None,
            slice: None,
        };
        if part.last_fetched_epoch >= LeaderEpoch(0) {
            let end = log
                .offset_for_leader_epoch(part.last_fetched_epoch)
                .ok_or(ErrorCode::OffsetOutOfRange)?;
            if end.leader_epoch < part.last_fetched_epoch || end.end_offset < part.fetch_offset {
                return Ok((
                    PartRead {
                        diverging: Some(end),
                        ..answer
                    },
                    None,
                ));
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
        match log
            .read(from)
            .map_err(|error| kafka_error::of_read(&error))?
        {
            Read::Ready(slice) => Ok((answer.with(slice), None)),
            Read::Pending(plan) => Ok((answer, Some(plan))),
        }
    }
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
