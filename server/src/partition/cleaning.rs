//! Compacting a partition: the records are read and written on a cleaner thread, the shard puts
//! each finished group of segments in place.
//!
//! While it runs no old segment is deleted and the partition is not given up; who wants to have it
//! stops it.

use std::io;
use std::rc::Rc;

use engine::compact::{Cleanable, Compaction, DirtCheck, Limits, Step, Swap};
use protocol::ids::Offset;
use ring::Helpers;

use super::Partition;
use crate::clock;

impl Partition {
    /// Looks at how dirty the log is, if it is one to be compacted.
    pub fn check_dirt(&self) -> Option<DirtCheck> {
        let state = self.state.borrow();
        if state.cleaning {
            return None;
        }
        let high_watermark: Offset = state.leader.high_watermark();
        state.log.as_ref()?.check_dirt(high_watermark)
    }

    /// Compacts the log. Whatever fails is said in the log, and concerns this partition alone.
    pub async fn compact(self: &Rc<Self>, helpers: &Helpers, cleanable: Cleanable, limits: Limits) {
        let compaction = {
            let mut state = self.state.borrow_mut();
            let brake = limits.brake.clone();
            let now = clock::now_ms();
            let planned = match &state.log {
                Some(log) if !state.cleaning => log.start_compaction(cleanable, limits, now),
                _ => None,
            };
            state.cleaning = planned.is_some();
            state.brake = planned.is_some().then_some(brake);
            planned
        };
        let Some(compaction) = compaction else { return };
        match self.compact_groups(helpers, compaction).await {
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
        helpers: &Helpers,
        mut compaction: Compaction,
    ) -> io::Result<()> {
        loop {
            let (back, step) = helpers
                .run(move || {
                    let step = compaction.step_blocking();
                    (compaction, step)
                })
                .await;
            compaction = back;
            match step? {
                Step::Group(group) => {
                    let swap = self.state.borrow_mut().log_in_use().start_swap(group);
                    let Some(swap) = swap else {
                        return Err(io::ErrorKind::Interrupted.into());
                    };
                    self.put_in_place(swap).await?;
                }
                Step::Finished(cleaned) => {
                    let mut state = self.state.borrow_mut();
                    state.log_in_use().finish_compaction(&cleaned);
                    return Ok(());
                }
            }
        }
    }

    async fn put_in_place(&self, swap: Swap) -> io::Result<()> {
        let (swapped, removal) = ring::offload(move || swap.run_blocking()).await?;
        self.state.borrow_mut().log_in_use().finish_swap(swapped);
        ring::spawn(async move { removal.run().await });
        Ok(())
    }

    /// Ends a compaction that is under way as soon as it can.
    pub(super) fn stop_compaction(&self) {
        if let Some(brake) = &self.state.borrow().brake {
            brake.stop();
        }
    }
}
