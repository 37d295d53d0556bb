//! Compacting a partition: the records are read and written on a cleaner thread, the shard puts
//! each finished group of segments in place.
//!
//! While it runs no old segment is deleted and the partition is not given up; who wants to have it
//! stops it.

use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use engine::compact::{Cleanable, Compaction, DirtCheck, Limits, Step, Swap};
use protocol::ids::Offset;
use ring::Helpers;

use super::Partition;
use crate::clock;

impl Partition {
    /// Looks at how dirty the log is, if it is one to be compacted.
    pub fn check_dirt(&self) -> Option<DirtCheck> {
        let state = self.state.borrow();
        if state.cleaning || state.moving {
            return None;
        }
        let high_watermark: Offset = state.leader.high_watermark();
        state.log.as_ref()?.check_dirt(high_watermark)
    }

    /// Compacts the log. Whatever fails is said in the log, and concerns this partition alone.
    pub async fn compact(
        self: &Rc<Self>,
        helpers: &Arc<Helpers>,
        cleanable: Cleanable,
        limits: Limits,
    ) {
        let compaction = {
            let mut state = self.state.borrow_mut();
            let brake = limits.brake.clone();
            let now = clock::now_ms();
            let planned = match &state.log {
                Some(log) if !state.cleaning && !state.moving => {
                    log.start_compaction(cleanable, limits, now)
                }
                _ => None,
            };
            // Whoever has the log already keeps it.
            let Some(planned) = planned else { return };
            state.cleaning = true;
            state.brake = Some(brake);
            planned
        };
        let (compaction, ended) = self.compact_groups(helpers, compaction).await;
        // It may hold the last descriptors of files that are removed by now: closing those frees
        // their blocks, which takes long.
        helpers.run(move || drop(compaction)).await;
        match ended {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                let (topic, partition) = (&self.topic, self.key.partition);
                tracing::info!("{topic}-{partition}: compaction was stopped");
            }
            Err(error) => {
                let mut state = self.state.borrow_mut();
                state.log_in_use().mark_uncleanable(&error.to_string());
            }
        }
        let mut state = self.state.borrow_mut();
        state.cleaning = false;
        state.brake = None;
        drop(state);
        self.written.notify();
    }

    async fn compact_groups(
        &self,
        helpers: &Arc<Helpers>,
        mut compaction: Compaction,
    ) -> (Compaction, io::Result<()>) {
        loop {
            let (back, step) = helpers
                .run(move || {
                    let step = compaction.step_blocking();
                    (compaction, step)
                })
                .await;
            compaction = back;
            match self.take_step(helpers, step).await {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return (compaction, Ok(())),
                Err(error) => return (compaction, Err(error)),
            }
        }
    }

    async fn take_step(
        &self,
        helpers: &Arc<Helpers>,
        step: io::Result<Step>,
    ) -> io::Result<ControlFlow<()>> {
        match step? {
            Step::Group(group) => {
                let swap = self.state.borrow_mut().log_in_use().start_swap(group);
                let swap = swap.ok_or(io::ErrorKind::Interrupted)?;
                self.put_in_place(helpers, swap).await?;
                Ok(ControlFlow::Continue(()))
            }
            Step::Finished(cleaned) => {
                let mut state = self.state.borrow_mut();
                state.log_in_use().finish_compaction(&cleaned);
                Ok(ControlFlow::Break(()))
            }
        }
    }

    async fn put_in_place(&self, helpers: &Arc<Helpers>, swap: Swap) -> io::Result<()> {
        let (swapped, removal) = helpers.run(move || swap.run_blocking()).await?;
        self.state.borrow_mut().log_in_use().finish_swap(swapped);
        let helpers = helpers.clone();
        ring::spawn(async move { removal.run_on(&helpers).await });
        Ok(())
    }

    /// Ends a compaction that is under way as soon as it can.
    pub(super) fn stop_compaction(&self) {
        if let Some(brake) = &self.state.borrow().brake {
            brake.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::TopicPartition;
    use engine::compact::{Brake, Throttle};
    use engine::config::LogConfig;
    use engine::directory::LogDirectory;
    use protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, Uuid};
    use replication::Leader;

    use super::*;
    use crate::config::topic_log::{Conversion, TopicSettings};
    use crate::partition::PartitionKey;

    fn partition(directory: &LogDirectory) -> Rc<Partition> {
        let (topic_id, partition) = (Uuid([1; 16]), PartitionIndex(0));
        let settings = TopicSettings {
            log: LogConfig::default(),
            min_insync_replicas: 1,
            conversion: Conversion {
                is_enabled: true,
                needs_zstd: false,
            },
            unclean_leader_election_enable: false,
        };
        let log = directory.create_log(
            &TopicPartition::new("t", partition),
            topic_id,
            Arc::new(settings.log.clone()),
            clock::now_ms(),
        );
        let (me, end) = (BrokerId(0), Offset::ZERO);
        let leader = Leader::new(LeaderEpoch(0), me, &[me], &[me], end, end);
        let key = PartitionKey {
            topic_id,
            partition,
        };
        Partition::new("t".into(), key, log.unwrap(), leader, &settings)
    }

    #[test]
    fn a_compaction_that_comes_too_late_takes_the_log_from_nobody() {
        let root = tempfile::tempdir().unwrap();
        let directory = LogDirectory::open(root.path()).unwrap();
        let mut runtime = ring::Runtime::new(ring::Options::default()).unwrap();
        runtime.block_on(async {
            let partition = partition(&directory);
            let cleanable = Cleanable {
                first_dirty: Offset::ZERO,
                first_uncleanable: Offset::ZERO,
                ratio: 1.0,
                is_due: true,
            };
            let limits = Limits {
                key_map_bytes: 1 << 16,
                load_factor: 0.9,
                io_buffer_bytes: 1 << 16,
                throttle: Arc::new(Throttle::new(f64::MAX)),
                brake: Arc::new(Brake::default()),
            };
            // Since it was found dirty, its old segments are looked at, or it is held for a move.
            partition.state.borrow_mut().cleaning = true;
            let helpers = Arc::new(Helpers::start("cleaner", 1));
            partition.compact(&helpers, cleanable, limits).await;
            assert!(partition.state.borrow().cleaning);
        });
    }
}
