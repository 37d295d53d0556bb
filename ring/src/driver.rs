//! The ring: takes operations, hands them to the kernel once a turn, and brings the answers.
//!
//! Must not know tasks beyond their wakers. Owned by its thread's runtime. Overload is handled here:
//! a full submission queue is handed over early, a full completion queue is emptied first.

use crate::descriptor::Descriptor;
use crate::executor::with_core;
use crate::in_flight::{Answered, Completion, Held, InFlight, Key, discard};
use crate::probe::{SetupError, TaskWork, set_up};
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, opcode, squeue};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// `user_data` of operations whose answer nobody needs: cancellations.
const NOBODY: u64 = u64::MAX;
/// `user_data` of the read of the doorbell.
const DOORBELL: u64 = u64::MAX - 1;

/// How long the end of a runtime waits for the kernel to let go of buffers.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Driver {
    ring: IoUring,
    task_work: TaskWork,
    in_flight: InFlight,
    /// Operations that did not fit because the kernel takes no more until it is rid of
    /// completions; submitted first, in order.
    backlog: VecDeque<squeue::Entry>,
    doorbell: RawFd,
    doorbell_armed: bool,
    /// Where the kernel writes the doorbell's count; on the heap, as the driver may move.
    doorbell_count: Box<u64>,
}

/// How long to stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Until(Instant),
    Forever,
}

impl Driver {
    pub(crate) fn new(entries: u32, best: TaskWork, doorbell: RawFd) -> Result<Self, SetupError> {
        let set = set_up(entries, entries * 8, best)?;
        Ok(Self {
            ring: set.ring,
            task_work: set.task_work,
            in_flight: InFlight::default(),
            backlog: VecDeque::new(),
            doorbell,
            doorbell_armed: false,
            doorbell_count: Box::new(0),
        })
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            if self.try_push(&entry) {
                return;
            }
            self.hand_over(Wait::No);
            if self.try_push(&entry) {
                return;
            }
        }
        self.backlog.push_back(entry);
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what the entry points to is held in the slab until it is answered (the contract
        // of `Operation::start`), or is the doorbell's count, which lives until the ring has been
        // drained.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    fn push_backlog(&mut self) {
        while let Some(entry) = self.backlog.front() {
            let entry = entry.clone();
            if !self.try_push(&entry) {
                return;
            }
            self.backlog.pop_front();
        }
    }

    fn arm_doorbell(&mut self) {
        if !self.doorbell_armed {
            self.doorbell_armed = true;
            let count: *mut u64 = &mut *self.doorbell_count;
            let fd = io_uring::types::Fd(self.doorbell);
            let read = opcode::Read::new(fd, count.cast(), size_of::<u64>() as u32);
            self.push(read.build().user_data(DOORBELL));
        }
    }

    /// Submits what is queued, and waits. Completions stay in the queue for [`reap`].
    fn hand_over(&mut self, wait: Wait) {
        let queued = self.ring.submission().len() as u32;
        let waits = wait != Wait::No;
        let mut flags = EnterFlags::empty();
        if waits || self.task_work == TaskWork::Deferred || self.ring.submission().cq_overflow() {
            flags |= EnterFlags::GETEVENTS;
        }
        let submitter = self.ring.submitter();
        let entered = if let Wait::Until(deadline) = wait {
            let left = Timespec::from(deadline.saturating_duration_since(Instant::now()));
            let args = SubmitArgs::new().timespec(&left);
            flags |= EnterFlags::EXT_ARG;
            // SAFETY: the flags say that the argument is of the extended kind, which it is, and
            // it lives through the call.
            unsafe { submitter.enter(queued, 1, flags.bits(), Some(&args)) }
        } else {
            // SAFETY: there is no argument.
            unsafe {
                submitter.enter::<libc::sigset_t>(queued, u32::from(waits), flags.bits(), None)
            }
        };
        match entered {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // Time is up, or a signal came; or the kernel is short of memory or wants its
                // completions taken first, which the caller does next.
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => {}
                _ => panic!("io_uring_enter failed: {error}; the ring cannot be used any more"),
            },
        }
    }
}

/// One pass through the kernel: submit, wait, take completions, wake those who wait for them.
pub(crate) fn turn(driver: &RefCell<Driver>, wait: Wait) {
    {
        let mut driver = driver.borrow_mut();
        driver.arm_doorbell();
        driver.push_backlog();
        let ready = !driver.ring.completion().is_empty() || !driver.backlog.is_empty();
        if !ready || !driver.ring.submission().is_empty() {
            driver.hand_over(if ready { Wait::No } else { wait });
        }
    }
    reap(driver);
}

/// Takes the completions that are there.
fn reap(driver: &RefCell<Driver>) {
    // A bound, so that completions which come while others are taken do not keep the thread here.
    let queued = driver.borrow_mut().ring.completion().len();
    for _ in 0..queued {
        let answered = {
            let mut driver = driver.borrow_mut();
            let Some(entry) = driver.ring.completion().next() else {
                return;
            };
            match entry.user_data() {
                NOBODY => Answered::Nothing,
                DOORBELL => {
                    driver.doorbell_armed = false;
                    Answered::Nothing
                }
                key => driver
                    .in_flight
                    .complete(Key::from_user_data(key), entry.result()),
            }
        };
        // Wakers and drops are others' code: nothing is borrowed here.
        match answered {
            Answered::Wake(waker) => waker.wake(),
            Answered::Release(completion) => discard(completion),
            Answered::Nothing => {}
        }
    }
}

/// Cancels everything and waits until the kernel holds nothing of ours. If it does not let go in
/// time, the memory is left to it for ever.
pub(crate) fn drain(driver: &RefCell<Driver>) {
    let deadline = Instant::now() + DRAIN_TIME_MAX;
    {
        let mut driver = driver.borrow_mut();
        for key in driver.in_flight.keys_at_kernel() {
            driver.push(
                opcode::AsyncCancel::new(key.user_data())
                    .build()
                    .user_data(NOBODY),
            );
        }
        if driver.doorbell_armed {
            driver.push(opcode::AsyncCancel::new(DOORBELL).build().user_data(NOBODY));
        }
    }
    loop {
        {
            let mut driver = driver.borrow_mut();
            if driver.in_flight.at_kernel() == 0 && !driver.doorbell_armed {
                return;
            }
            if Instant::now() >= deadline {
                std::mem::forget(std::mem::take(&mut driver.in_flight));
                std::mem::forget(std::mem::take(&mut driver.doorbell_count));
                return;
            }
            driver.push_backlog();
            driver.hand_over(Wait::Until(deadline));
        }
        reap(driver);
    }
}

/// The future of one operation in flight.
///
/// Dropping it asks the kernel to cancel the operation; what the kernel was lent stays in the slab
/// until it has answered.
pub(crate) struct Operation {
    key: Option<Key>,
    /// The slab is this thread's.
    _local: PhantomData<*const ()>,
}

impl Operation {
    /// Queues `build`'s operation; it goes to the kernel at the end of the turn.
    ///
    /// # Safety
    /// All memory and descriptors that the entry names must be behind `held`, on the heap, and
    /// stay what they are wherever `held` moves.
    pub(crate) unsafe fn start(entry: squeue::Entry, held: Held) -> Self {
        let key = with_core(|core| {
            let mut driver = core.driver.borrow_mut();
            let key = driver.in_flight.insert(held);
            driver.push(entry.user_data(key.user_data()));
            key
        });
        Self {
            key: Some(key),
            _local: PhantomData,
        }
    }

    /// Queues an operation that names `descriptor` and no memory.
    pub(crate) fn on_descriptor(entry: squeue::Entry, descriptor: Descriptor) -> Self {
        // SAFETY: the callers' entries point to no memory, and the descriptor is held.
        unsafe { Self::start(entry, Held::Descriptor(descriptor)) }
    }
}

impl Future for Operation {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let key = self
            .key
            .expect("an operation is polled no more after its completion");
        let taken = with_core(|core| core.driver.borrow_mut().in_flight.take(key, cx.waker()));
        match taken {
            Some(completion) => {
                self.key = None;
                Poll::Ready(completion)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let done = crate::executor::with_core_if_any(|core| {
            let mut driver = core.driver.borrow_mut();
            let done = driver.in_flight.abandon(key);
            if done.is_none() {
                let cancel = opcode::AsyncCancel::new(key.user_data()).build();
                driver.push(cancel.user_data(NOBODY));
            }
            done
        });
        // Without a runtime, it was drained and its slab is gone.
        if let Some(Some(completion)) = done {
            discard(completion);
        }
    }
}
