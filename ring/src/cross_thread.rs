//! Wakes between threads: who may be asleep in `io_uring_enter` is woken through an eventfd that
//! is read by its ring, and only if it sleeps.
//!
//! A doorbell is found by the number of its runtime in a static table and is never freed, only used
//! again: a waker that outlives its runtime rings a doorbell that is still there.
//!
//! Why no wake is lost. The waker pushes, sets `pending`, then looks at `sleeping`. The sleeper sets
//! `sleeping`, then looks at `pending`, then sleeps. All four accesses are SeqCst, so there is one
//! order of them; whichever thread looks second sees what the other has set. Either the sleeper
//! sees `pending` and does not sleep, or the waker sees `sleeping` and writes the eventfd, whose
//! count stays until the ring's read takes it.

use crate::descriptor::owned_or_errno;
use crate::probe::SetupError;
use crate::task::{RUNTIMES_MAX, TaskId};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

pub(crate) struct Doorbell {
    pub(crate) runtime: u16,
    eventfd: OwnedFd,
    sleeping: AtomicBool,
    pending: AtomicBool,
    woken: Mutex<Vec<TaskId>>,
}

static DOORBELLS: [AtomicPtr<Doorbell>; RUNTIMES_MAX] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; RUNTIMES_MAX];
static MADE: AtomicUsize = AtomicUsize::new(0);
static UNUSED: Mutex<Vec<&'static Doorbell>> = Mutex::new(Vec::new());

/// Wakes a task of another thread.
pub(crate) fn wake(id: TaskId) {
    let doorbell = DOORBELLS[usize::from(id.runtime())].load(Ordering::Acquire);
    assert!(!doorbell.is_null(), "{id:?} names a runtime that never was");
    // SAFETY: the pointer was leaked from a Box in `acquire` and is never freed.
    unsafe { &*doorbell }.ring(id);
}

impl Doorbell {
    /// A doorbell for a new runtime: an unused one, or a new one.
    pub(crate) fn acquire() -> Result<&'static Self, SetupError> {
        let unused = UNUSED
            .lock()
            .expect("nothing panics while it is locked")
            .pop();
        if let Some(doorbell) = unused {
            doorbell.woken().clear();
            return Ok(doorbell);
        }
        // SAFETY: eventfd takes no pointers.
        let made = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        let eventfd = owned_or_errno(made).map_err(|error| SetupError::Limit { error })?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        assert!(
            number < RUNTIMES_MAX,
            "more than {RUNTIMES_MAX} runtimes at once"
        );
        let doorbell: &'static Self = Box::leak(Box::new(Self {
            runtime: number as u16,
            eventfd,
            sleeping: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            woken: Mutex::default(),
        }));
        DOORBELLS[number].store(std::ptr::from_ref(doorbell).cast_mut(), Ordering::Release);
        Ok(doorbell)
    }

    /// Gives the doorbell of a runtime that has ended to the next one.
    pub(crate) fn release(&'static self) {
        self.sleeping.store(false, Ordering::SeqCst);
        UNUSED
            .lock()
            .expect("nothing panics while it is locked")
            .push(self);
    }

    pub(crate) fn eventfd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    fn ring(&self, id: TaskId) {
        self.woken().push(id);
        self.pending.store(true, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: `one` is valid for its length. The write cannot block: the counter is far
            // from its maximum, as only the wake that ends a sleep adds one.
            unsafe { libc::write(self.eventfd(), one.as_ptr().cast(), one.len()) };
        }
    }

    /// The owner is about to sleep. Returns false, and it must not, if somebody has rung.
    pub(crate) fn may_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        let quiet = !self.pending.load(Ordering::SeqCst);
        if !quiet {
            self.awake();
        }
        quiet
    }

    /// The owner is awake and looks at [`take_woken`](Self::take_woken) itself.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Moves the tasks that other threads woke into `out`.
    pub(crate) fn take_woken(&self, out: &mut Vec<TaskId>) {
        if self.pending.load(Ordering::Relaxed) {
            // Cleared before the list is taken: a push after this sets it again.
            self.pending.store(false, Ordering::SeqCst);
            out.append(&mut self.woken());
        }
    }

    fn woken(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.woken
            .lock()
            .expect("nothing panics while it is locked")
    }
}
