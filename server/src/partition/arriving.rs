//! The way of a produced record set into its partition's log: checked, and where that is asked for
//! looked at record by record, compressed anew, or brought up from an old format.
//!
//! What takes long is done on another thread, one append of a partition at a time. Invariant:
//! appends reach the log in the order in which they arrived.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use engine::append::{Append, AppendError, Origin};
use engine::{Checked, Preparation, Queued};
use protocol::error::ErrorCode;

use super::{AppendOutcome, AppendWait, Partition};
use crate::clock;
use crate::kafka_error;

/// Appends that came while an earlier one is being prepared.
#[derive(Default)]
pub(super) struct Arriving {
    /// A task prepares an append, and takes what waits afterwards.
    is_preparing: bool,
    /// In frames, which the shard's buffer budget counts and bounds.
    waiting: VecDeque<Arrival>,
}

struct Arrival {
    batches: Bytes,
    origin: Origin,
    wait: AppendWait,
}

/// An append that takes long to prepare.
struct Large {
    preparation: Preparation,
    wait: AppendWait,
}

impl Arriving {
    pub(super) fn is_busy(&self) -> bool {
        self.is_preparing
    }
}

impl Partition {
    /// Appends one producer's batches. The outcome arrives in `wait`; the write itself happens at
    /// the end of this turn together with everything else that is ready for this partition.
    pub fn append(self: &Rc<Self>, batches: Bytes, origin: Origin, wait: AppendWait) {
        let arrival = Arrival {
            batches,
            origin,
            wait,
        };
        if self.state.borrow().arriving.is_preparing {
            self.state.borrow_mut().arriving.waiting.push_back(arrival);
        } else if let Some(large) = self.admit(arrival) {
            self.state.borrow_mut().arriving.is_preparing = true;
            ring::spawn(self.clone().prepare(large));
        }
    }

    /// Prepares an append elsewhere, then takes those that came meanwhile.
    async fn prepare(self: Rc<Self>, first: Large) {
        let mut next = Some(first);
        while let Some(Large { preparation, wait }) = next {
            let now = clock::now_ms();
            let prepared = ring::compute(move || preparation.run(Some(now))).await;
            self.enqueue(prepared, wait);
            next = self.admit_waiting();
        }
        self.state.borrow_mut().arriving.is_preparing = false;
        self.written.notify();
    }

    /// Takes what waits, up to the first that takes long to prepare.
    fn admit_waiting(self: &Rc<Self>) -> Option<Large> {
        loop {
            let arrival = self.state.borrow_mut().arriving.waiting.pop_front()?;
            if let Some(large) = self.admit(arrival) {
                return Some(large);
            }
        }
    }

    /// Queues an append for the log, or refuses it, or answers that it takes long to prepare.
    fn admit(self: &Rc<Self>, arrival: Arrival) -> Option<Large> {
        let state = self.state.borrow();
        let append = Append {
            token: state.next_token,
            batches: arrival.batches,
            leader_epoch: state.leader.epoch(),
            origin: arrival.origin,
        };
        let wait = arrival.wait;
        let Some(log) = &state.log else {
            drop(state);
            let gone = AppendOutcome::refused(ErrorCode::NotLeaderOrFollower);
            wait.gather.put(wait.slot, gone);
            return None;
        };
        let prepared = match log.check(append) {
            Ok(Checked::Ready(queued)) => Ok(queued),
            Ok(Checked::Unprepared(preparation)) => {
                match preparation.run_if_small(Some(clock::now_ms())) {
                    Some(prepared) => prepared,
                    None => return Some(Large { preparation, wait }),
                }
            }
            Err(error) => Err(error),
        };
        drop(state);
        self.enqueue(prepared, wait);
        None
    }

    fn enqueue(self: &Rc<Self>, prepared: Result<Queued, AppendError>, wait: AppendWait) {
        let mut state = self.state.borrow_mut();
        let log = state.log_in_use();
        if let Err(error) = prepared.and_then(|queued| log.enqueue_checked(queued)) {
            drop(state);
            wait.gather.put(wait.slot, kafka_error::of_append(&error));
            return;
        }
        let token = state.next_token;
        state.next_token += 1;
        state.appending.push_back((token, wait));
        let start = !std::mem::replace(&mut state.writing, true);
        drop(state);
        if start {
            ring::spawn(self.clone().write_queued());
        }
    }
}
