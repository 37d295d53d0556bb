//! A partition's old segments: deleted as its topic's settings say, and below its log start.
//!
//! One such task a partition at a time. Looking at files and renaming them is for the helper
//! thread; the log itself changes between two awaits.

use std::rc::Rc;

use super::Partition;
use crate::clock;

impl Partition {
    /// Deletes what may go, and says in the log what failed: the next look tries again.
    pub async fn drop_expired(self: &Rc<Self>) {
        let check = {
            let mut state = self.state.borrow_mut();
            if state.cleaning {
                return;
            }
            let high_watermark = state.leader.high_watermark();
            let check = state
                .log
                .as_ref()
                .and_then(|log| log.check_retention(high_watermark));
            state.cleaning = check.is_some();
            check
        };
        let Some(check) = check else { return };
        let expired = ring::offload(move || check.run_blocking(clock::now_ms())).await;
        match expired {
            Ok(Some(expired)) => self.drop_segments(expired).await,
            Ok(None) => {}
            Err(error) => self.warn("looking for old segments", &error),
        }
        self.state.borrow_mut().cleaning = false;
        self.written.notify();
    }

    async fn drop_segments(self: &Rc<Self>, expired: engine::Expired) {
        if expired.takes_active() {
            self.roll().await;
        }
        let Some(retired) = self.state.borrow_mut().log_in_use().drop_expired(expired) else {
            return;
        };
        match ring::offload(move || retired.run_blocking()).await {
            Ok(removal) => ring::spawn(async move { removal.run().await }),
            Err(error) => self.warn("renaming old segments", &error),
        }
    }

    /// Closes the active segment, as the one writer of this moment.
    async fn roll(self: &Rc<Self>) {
        while std::mem::replace(&mut self.state.borrow_mut().writing, true) {
            self.written.wait().await;
        }
        let write = self
            .state
            .borrow_mut()
            .log_in_use()
            .start_roll(clock::now_ms());
        if let Some(write) = write {
            let written = write.run().await;
            let finished = self.take_back(written);
            self.answer_or_wait(finished);
        }
        // What was queued meanwhile is written now.
        ring::spawn(self.clone().write_queued());
    }

    fn warn(&self, what: &str, error: &std::io::Error) {
        let (topic, partition) = (&self.topic, self.key.partition);
        tracing::warn!("{topic}-{partition}: {what} failed, trying again later: {error}");
    }
}
