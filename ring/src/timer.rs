//! Time: the clock that is read once a turn, and sleeps.
//!
//! Timers are an ordered map by deadline: most are cancelled before they fire (a fetch that waits
//! for bytes gets them), and a map forgets a cancelled one at once, where a heap would keep it
//! until its time.

use crate::executor::{with_core, with_core_if_any};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The longest sleep: a year, which stands for "for ever" and can be added to any time.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The time when this turn of the loop began: free to call, and the same for all that happens in
/// one turn. Outside of a runtime, the clock.
pub fn now() -> Instant {
    with_core_if_any(|core| core.now.get()).unwrap_or_else(Instant::now)
}

/// Waits for `duration`, counted from [`now`], but at most [`LONGEST`].
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(now() + duration.min(LONGEST))
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        armed: None,
    }
}

/// The time was up before the future was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time was up")
    }
}

impl std::error::Error for Elapsed {}

/// Runs `future` for at most `duration`, then drops it.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

/// The future of [`sleep`] and [`sleep_until`].
#[derive(Debug)]
pub struct Sleep {
    deadline: Instant,
    armed: Option<Entry>,
}

type Entry = (Instant, u64);

impl Sleep {
    /// When it is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        with_core(|core| {
            let mut timers = core.timers.borrow_mut();
            if self.deadline <= core.now.get() {
                if let Some(entry) = self.armed.take() {
                    timers.remove(entry);
                }
                return Poll::Ready(());
            }
            match self.armed {
                Some(entry) => timers.set_waker(entry, cx.waker()),
                None => self.armed = Some(timers.insert(self.deadline, cx.waker().clone())),
            }
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(entry) = self.armed {
            with_core_if_any(|core| core.timers.borrow_mut().remove(entry));
        }
    }
}

/// The timers of one thread.
#[derive(Default)]
pub(crate) struct Timers {
    by_deadline: BTreeMap<Entry, Waker>,
    next_number: u64,
}

impl Timers {
    fn insert(&mut self, deadline: Instant, waker: Waker) -> Entry {
        let entry = (deadline, self.next_number);
        self.next_number += 1;
        self.by_deadline.insert(entry, waker);
        entry
    }

    fn set_waker(&mut self, entry: Entry, waker: &Waker) {
        self.by_deadline
            .entry(entry)
            .and_modify(|old| old.clone_from(waker));
    }

    fn remove(&mut self, entry: Entry) {
        self.by_deadline.remove(&entry);
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    /// Removes one timer whose time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        let first = self.by_deadline.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
