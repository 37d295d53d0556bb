//! Cluster metadata of a standalone node: KRaft records in the log `__cluster_metadata-0`.
//!
//! Lives on the metadata shard. Changes are decided, committed, applied and published one after
//! another: a change is answered once its records are on disk (fdatasync) and every shard works
//! from the new image and has the partitions it says.
//! Invariant: the image is always the replay of the records that are on disk.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use controller::image::Loader;
use controller::{Decision, Image, Record, Refusal};
use engine::FlushTo;
use engine::append::{Append, AppendError, Origin};
use engine::log::Log;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset};
use ring::event::Event;

use crate::clock;
use crate::config::MetadataLogSettings;
use crate::install::{Install, Prepare, touch_brokers, touched_topics};
use crate::mail::{Done, Question};
use crate::metadata_batches::in_batches;
use crate::metadata_snapshots::MetadataSnapshots;
use crate::placement;
use crate::quorum::LedLog;
use crate::shard::{METADATA_SHARD, Shard, ShardId};

type Job = Box<dyn FnOnce(Rc<Shard>) -> Pin<Box<dyn Future<Output = ()>>>>;

type Decide<T> = Box<dyn FnOnce(&Image) -> Result<Decision<T>, Refusal> + Send>;

/// See the module.
pub struct MetadataLog {
    /// None once the node stops.
    log: RefCell<Option<Log>>,
    loader: RefCell<Loader>,
    /// The node's term as the quorum's leader.
    epoch: LeaderEpoch,
    snapshots: MetadataSnapshots,
    waiting: RefCell<VecDeque<Job>>,
    busy: Cell<bool>,
    idle: Event,
}

/// A question to the metadata shard: decide on the newest image and commit what was decided.
pub struct Change<T> {
    decide: Decide<T>,
}

impl<T> Change<T> {
    /// A change that `decide` makes of the newest image.
    pub fn new(
        decide: impl FnOnce(&Image) -> Result<Decision<T>, Refusal> + Send + 'static,
    ) -> Change<T> {
        Change {
            decide: Box::new(decide),
        }
    }
}

impl<T: Send + 'static> Question for Change<T> {
    type Answer = Result<T, Refusal>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let metadata = shard
            .metadata
            .clone()
            .expect("changes go to the metadata shard");
        let log = metadata.clone();
        let job: Job = Box::new(move |shard| {
            Box::pin(async move { done.put(log.change(&shard, self.decide).await) })
        });
        metadata.waiting.borrow_mut().push_back(job);
        if !metadata.busy.replace(true) {
            ring::spawn(metadata.work_off(shard.clone()));
        }
    }
}

impl MetadataLog {
    /// The log that this node leads, with what has been replayed from it.
    pub fn new(led: LedLog, settings: MetadataLogSettings) -> Rc<MetadataLog> {
        let LedLog {
            log,
            replayed,
            epoch,
        } = led;
        let snapshots = MetadataSnapshots::new(log.directory(), settings, &replayed);
        Rc::new(MetadataLog {
            log: RefCell::new(Some(log)),
            loader: RefCell::new(replayed.loader),
            epoch,
            snapshots,
            waiting: RefCell::new(VecDeque::new()),
            busy: Cell::new(false),
            idle: Event::new(),
        })
    }

    /// Commits records that no client asked for, once the changes under way are committed, and
    /// gives up the log. Later changes are refused.
    pub async fn end(&self, records: &[Record]) -> Option<Log> {
        while self.busy.get() {
            self.idle.wait().await;
        }
        if let Err(refusal) = self.commit(records).await {
            let reason = refusal.code.name();
            tracing::error!("the stop is not in the metadata log: {reason}");
        }
        self.log.borrow_mut().take()
    }

    /// The newest image.
    pub fn image(&self) -> Arc<Image> {
        Arc::new(self.loader.borrow().image().clone())
    }

    /// The term this node leads in, and the end of what is on disk and applied; `None` once the
    /// node stops.
    pub fn end_of_log(&self) -> Option<(LeaderEpoch, Offset)> {
        let log = self.log.borrow();
        Some((self.epoch, log.as_ref()?.recovery_point()))
    }

    async fn work_off(self: Rc<Self>, shard: Rc<Shard>) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(job) => {
                    job(shard.clone()).await;
                    if self.snapshots.is_due() {
                        self.take_snapshot().await;
                    }
                }
                None => {
                    self.busy.set(false);
                    self.idle.notify();
                    return;
                }
            }
        }
    }

    async fn change<T>(&self, shard: &Rc<Shard>, decide: Decide<T>) -> Result<T, Refusal> {
        let before = self.image();
        let Decision { records, outcome } = decide(&before)?;
        if !records.is_empty() {
            self.commit(&records).await?;
            publish(shard, &before, self.image(), &records).await;
        }
        Ok(outcome)
    }

    /// Appends `records` as one batch, syncs, and applies them.
    async fn commit(&self, records: &[Record]) -> Result<(), Refusal> {
        let batch = in_batches(records, self.epoch, usize::MAX);
        let bytes = batch.len() as u64;
        self.append(Bytes::from(batch)).await?;
        self.snapshots.committed(bytes, clock::now_ms());
        let mut loader = self.loader.borrow_mut();
        for record in records {
            loader
                .apply(record)
                .expect("a record that was decided on the image applies to it");
        }
        Ok(())
    }

    async fn append(&self, batches: Bytes) -> Result<(), Refusal> {
        let append = Append {
            token: 0,
            batches,
            leader_epoch: self.epoch,
            origin: Origin::Raft,
        };
        let write = self.with_log(|log| {
            log.enqueue(append)?;
            Ok::<_, AppendError>(
                log.start_write(clock::now_ms())
                    .expect("an append is queued"),
            )
        })?;
        let written = write.map_err(not_written)?.run().await;
        let mut done = Vec::new();
        self.with_log(|log| log.finish_write(written, &mut done))?;
        for (_, result) in done {
            result.map_err(not_written)?;
        }
        if let Some(flush) = self.with_log(|log| log.start_flush(FlushTo::LogEnd))? {
            let flushed = flush.run().await;
            if let Err(error) = self.with_log(|log| log.finish_flush(flushed))? {
                // The records are in the log and may survive: whether they hold is not known.
                panic!("syncing the metadata log failed, its state is in doubt: {error}");
            }
        }
        Ok(())
    }

    /// Writes a snapshot of the image, and lets go of the log's beginning where an older snapshot
    /// is left that stands for it.
    async fn take_snapshot(&self) {
        let ends = self.with_log(|log| (log.log_end_offset(), log.size_bytes()));
        let Ok((end, bytes)) = ends else {
            return; // The node stops.
        };
        let image = self.image();
        let start = self.snapshots.take(&image, (end, self.epoch), bytes).await;
        if let Some(start) = start
            && let Err(error) = self.shorten(start).await
        {
            tracing::warn!("the metadata log keeps old segments, until the next time: {error}");
        }
    }

    /// Gives up what is before `start`, as far as it is whole segments.
    async fn shorten(&self, start: Offset) -> io::Result<()> {
        let check = self.with_log(|log| {
            log.advance_log_start(start);
            log.check_retention(log.log_end_offset())
        });
        let Ok(Some(check)) = check else {
            return Ok(());
        };
        let Some(expired) = ring::offload(move || check.run_blocking(clock::now_ms())).await?
        else {
            return Ok(());
        };
        if let Ok(Some(retired)) = self.with_log(|log| log.drop_expired(expired)) {
            let removal = ring::offload(move || retired.run_blocking()).await?;
            ring::spawn(removal.run());
        }
        Ok(())
    }

    fn with_log<T>(&self, call: impl FnOnce(&mut Log) -> T) -> Result<T, Refusal> {
        match &mut *self.log.borrow_mut() {
            Some(log) => Ok(call(log)),
            None => Err(Refusal::standard(ErrorCode::BrokerNotAvailable)),
        }
    }
}

fn not_written(error: AppendError) -> Refusal {
    tracing::error!("writing to the metadata log failed: {error}");
    Refusal::standard(ErrorCode::KafkaStorageError)
}

/// Gives every shard the new image and waits until all have the partitions it says.
async fn publish(shard: &Rc<Shard>, before: &Arc<Image>, after: Arc<Image>, records: &[Record]) {
    let topics = Arc::new(touched_topics(before, &after, records));
    let live = match touch_brokers(records) {
        true => {
            let live = shard.config.with_dynamic(&after);
            shard.node.connection_limits.set(&live);
            Arc::new(live)
        }
        false => shard.live(),
    };
    let offset = shard
        .metadata
        .as_ref()
        .and_then(|log| log.end_of_log())
        .map_or(Offset::ZERO, |(_, end)| Offset(end.0 - 1));
    let preparations: Vec<_> = (0..shard.count())
        .map(|to| {
            let prepare = Prepare {
                image: after.clone(),
                topics: topics.clone(),
            };
            shard.ask(ShardId(to), prepare)
        })
        .collect();
    let mut places = Vec::new();
    for preparation in preparations {
        places.extend(preparation.await);
    }
    // Before anybody can ask that one of them move.
    placement::tell(shard, places);
    let installs: Vec<_> = (0..shard.count())
        .map(|to| {
            let install = Install {
                image: after.clone(),
                topics: topics.clone(),
                live: live.clone(),
                offset,
            };
            shard.ask(ShardId(to), install)
        })
        .collect();
    for install in installs {
        install.await;
    }
    debug_assert_eq!(shard.id, METADATA_SHARD);
}
