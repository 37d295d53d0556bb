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
            state.cleaning = planned.is_some();
            state.brake = planned.is_some().then_some(brake);
            planned
        };
        let Some(compaction) = compaction else { return };
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
