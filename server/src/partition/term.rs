//! A partition's leadership goes on in a new epoch while the node runs: after an election, or when
//! its replicas change.

use std::rc::Rc;

use protocol::ids::BrokerId;

use super::Partition;
use crate::install;

impl Partition {
    /// Leads in the epoch that the metadata says, if it is a new one. Waits for the write under way:
    /// its batches are of the epoch before.
    pub async fn begin_term(
        self: &Rc<Self>,
        me: BrokerId,
        metadata: &controller::image::Partition,
    ) {
        if metadata.leader != Some(me) || metadata.leader_epoch <= self.leader().epoch() {
            return;
        }
        while std::mem::replace(&mut self.state.borrow_mut().writing, true) {
            self.written.wait().await;
        }
        let mut state = self.state.borrow_mut();
        let Some(mut log) = state.log.take() else {
            state.writing = false;
            self.written.notify();
            return;
        };
        state.leader = install::leader(me, metadata, &mut log);
        state.log = Some(log);
        drop(state);
        // What was queued meanwhile is written now.
        ring::spawn(self.clone().write_queued());
    }
}
