//! The runtime of one thread: its tasks, and the loop that runs them and enters the kernel.
//!
//! Must not know files or sockets. Everything here belongs to the thread that made the runtime; the
//! doorbell (see `cross_thread`) is the only way in from outside.

use crate::cross_thread::Doorbell;
use crate::driver::{self, Driver, Wait};
use crate::probe::{SetupError, TaskWork};
use crate::task::{TaskId, Tasks};
use crate::timer::Timers;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Sizes of a runtime.
#[derive(Clone, Debug)]
pub struct Options {
    /// Submissions that fit into the ring before it is handed to the kernel early.
    pub entries: u32,
    /// Budget of this thread's buffers: see [`buffer::pool`](crate::buffer::pool).
    pub buffer_bytes_max: usize,
    /// Unused buffer memory that is kept for re-use.
    pub buffer_bytes_cached_max: usize,
    /// How long tasks run in one turn before the kernel is asked for completions again. Checked
    /// between polls, every few of them.
    pub turn_time_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            entries: 1024,
            buffer_bytes_max: 256 << 20,
            buffer_bytes_cached_max: 64 << 20,
            turn_time_max: Duration::from_millis(1),
        }
    }
}

/// A look at the clock costs a tenth of what a poll does.
const POLLS_PER_LOOK_AT_CLOCK: u32 = 16;

/// What the futures of this thread reach through [`with_core`].
pub(crate) struct Core {
    pub(crate) driver: RefCell<Driver>,
    pub(crate) timers: RefCell<Timers>,
    /// The time when this turn began.
    pub(crate) now: Cell<Instant>,
    doorbell: &'static Doorbell,
    tasks: RefCell<Tasks>,
    ready: RefCell<VecDeque<u32>>,
    main_ready: Cell<bool>,
    end_of_turn: RefCell<Vec<Waker>>,
}

thread_local! {
    /// The runtime that is running on this thread; null outside of it.
    static CURRENT: Cell<*const Core> = const { Cell::new(std::ptr::null()) };
}

/// One thread's runtime. Made on the thread that runs it, and stays there.
pub struct Runtime {
    core: Box<Core>,
    turn_time_max: Duration,
}

impl Runtime {
    /// Sets up a ring for this thread.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        Self::in_mode(options, TaskWork::Deferred)
    }

    fn in_mode(options: Options, best: TaskWork) -> Result<Self, SetupError> {
        let doorbell = Doorbell::acquire()?;
        let driver = match Driver::new(options.entries, best, doorbell.eventfd()) {
            Ok(driver) => driver,
            Err(error) => {
                doorbell.release();
                return Err(error);
            }
        };
        crate::buffer::pool().limit_to(options.buffer_bytes_max, options.buffer_bytes_cached_max);
        Ok(Self {
            core: Box::new(Core {
                driver: RefCell::new(driver),
                timers: RefCell::default(),
                now: Cell::new(Instant::now()),
                doorbell,
                tasks: RefCell::default(),
                ready: RefCell::default(),
                main_ready: Cell::new(false),
                end_of_turn: RefCell::default(),
            }),
            turn_time_max: options.turn_time_max,
        })
    }

    /// Runs `future`, and all tasks beside it, until `future` is done. Tasks that are not done
    /// then stay, and go on with the next `block_on`; the drop of the runtime drops them.
    ///
    /// # Panics
    /// Inside another `block_on` of this thread.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        assert!(
            CURRENT.get().is_null(),
            "a runtime is running on this thread already"
        );
        let core = &*self.core;
        let _entered = Entered::new(core);
        let waker = TaskId::main(core.doorbell.runtime).waker();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        core.now.set(Instant::now());
        core.main_ready.set(true);
        core.wake_from_outside();
        loop {
            if core.main_ready.take()
                && let Poll::Ready(output) = future.as_mut().poll(&mut cx)
            {
                return output;
            }
            core.run_ready(self.turn_time_max);
            if core.wake_end_of_turn() {
                core.run_ready(self.turn_time_max);
            }
            core.enter_kernel();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let core = &*self.core;
        let _entered = Entered::new(core);
        // A task's drop may spawn or wake: go on until nothing is left.
        loop {
            let tasks = core.tasks.borrow_mut().take_all();
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        driver::drain(&core.driver);
        core.doorbell.release();
    }
}

/// Spawns a task on this thread's runtime. It runs after those that are ready now.
///
/// # Panics
/// Outside of a runtime.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    with_core(|core| {
        let slot = core.tasks.borrow_mut().insert(Box::pin(future));
        core.ready.borrow_mut().push_back(slot);
    });
}

/// Lets the other tasks that are ready run, then goes on, in this turn if its bound allows.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Goes on when all tasks that are ready in this turn have run, before the kernel is entered: so
/// one task can gather what many have left for it and write it at once.
pub async fn yield_to_end_of_turn() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        with_core(|core| core.end_of_turn.borrow_mut().push(cx.waker().clone()));
        Poll::Pending
    })
    .await
}

impl Core {
    /// Polls ready tasks in order, those included that become ready meanwhile, until none is left
    /// or the time is up.
    fn run_ready(&self, time_max: Duration) {
        for polls in 1.. {
            if polls % POLLS_PER_LOOK_AT_CLOCK == 0 && self.now.get().elapsed() > time_max {
                return;
            }
            let Some(slot) = self.ready.borrow_mut().pop_front() else {
                return;
            };
            let taken = self.tasks.borrow_mut().take(self.doorbell.runtime, slot);
            let Some((id, mut future)) = taken else {
                continue;
            };
            let waker = id.waker();
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => self.tasks.borrow_mut().put_back(slot, future),
                Poll::Ready(()) => {
                    self.tasks.borrow_mut().remove(slot);
                    drop(future);
                }
            }
        }
    }

    fn wake_end_of_turn(&self) -> bool {
        let mut waiting = std::mem::take(&mut *self.end_of_turn.borrow_mut());
        let any = !waiting.is_empty();
        waiting.drain(..).for_each(Waker::wake);
        let mut now_waiting = self.end_of_turn.borrow_mut();
        if now_waiting.is_empty() {
            *now_waiting = waiting;
        }
        any
    }

    /// Submits, sleeps if there is nothing else to do, and makes ready whom the kernel, a timer or
    /// another thread has woken.
    fn enter_kernel(&self) {
        let busy = !self.ready.borrow().is_empty()
            || self.main_ready.get()
            || !self.end_of_turn.borrow().is_empty();
        let wait = if busy || !self.doorbell.may_sleep() {
            Wait::No
        } else {
            self.timers
                .borrow()
                .next_deadline()
                .map_or(Wait::Forever, Wait::Until)
        };
        driver::turn(&self.driver, wait);
        self.doorbell.awake();
        self.now.set(Instant::now());
        self.fire_timers();
        self.wake_from_outside();
    }

    fn wake_from_outside(&self) {
        let mut woken = Vec::new();
        self.doorbell.take_woken(&mut woken);
        woken.into_iter().for_each(|id| self.wake(id));
    }

    fn fire_timers(&self) {
        while let Some(waker) = self.timers.borrow_mut().pop_due(self.now.get()) {
            waker.wake();
        }
    }

    fn wake(&self, id: TaskId) {
        if id.is_main() {
            self.main_ready.set(true);
        } else if let Some(slot) = self.tasks.borrow_mut().mark_ready(id) {
            self.ready.borrow_mut().push_back(slot);
        }
    }
}

/// Wakes the task if it is one of the runtime that runs on this thread.
pub(crate) fn wake_if_local(id: TaskId) -> bool {
    with_core_if_any(|core| {
        let local = core.doorbell.runtime == id.runtime();
        if local {
            core.wake(id);
        }
        local
    })
    .unwrap_or(false)
}

/// # Panics
/// Outside of a runtime.
pub(crate) fn with_core<T>(f: impl FnOnce(&Core) -> T) -> T {
    with_core_if_any(f).expect("this needs a runtime: call it inside ring::Runtime::block_on")
}

pub(crate) fn with_core_if_any<T>(f: impl FnOnce(&Core) -> T) -> Option<T> {
    let core = CURRENT.get();
    // SAFETY: either null, or set by an `Entered` that is alive: its owner borrows the core, and
    // it takes the pointer back when it goes.
    unsafe { core.as_ref() }.map(f)
}

/// Makes a runtime this thread's current one while it lives.
struct Entered {
    before: *const Core,
}

impl Entered {
    fn new(core: &Core) -> Self {
        Self {
            before: CURRENT.replace(core),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffer;
    use crate::net::{Listener, ReusePort, connect};
    use crate::timer::{sleep, timeout};

    /// Kernels before 6.1 and before 5.19.
    #[test]
    fn every_mode_of_the_ring_works() {
        for mode in TaskWork::BEST_FIRST {
            let mut runtime = Runtime::in_mode(Options::default(), mode).expect("a ring");
            runtime.block_on(async {
                let address = "127.0.0.1:0".parse().expect("an address");
                let listener = Listener::bind(address, ReusePort::No, 1).expect("a port");
                let address = listener.local_addr().expect("a port");
                spawn(async move {
                    let (stream, _) = listener.accept().await.expect("a client");
                    sleep(Duration::from_micros(50)).await;
                    crate::offload(|| ()).await;
                    stream
                        .send(bytes::Bytes::from_static(b"hello"))
                        .await
                        .expect("sent");
                    sleep(Duration::from_secs(60)).await;
                });
                let client = connect(address).await.expect("a server");
                let (received, buffer) = client.recv(Buffer::new()).await;
                assert_eq!(
                    (received.expect("received"), &buffer[..]),
                    (5, &b"hello"[..])
                );
                let nothing = timeout(Duration::from_micros(50), client.recv(buffer));
                assert!(nothing.await.is_err(), "the server says no more");
            });
        }
    }
}
