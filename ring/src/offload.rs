//! Calls that would hold up a core, run elsewhere: those that block and that the ring has no good
//! operation for (make a directory, rename, unlink, truncate), and those that compute for long
//! (decompress and compress a large batch).
//!
//! Blocking calls are rare, and run one after the other on one helper thread; nothing of the data
//! path may come there. Those that wait for the disk (syncs) have another thread: an append that needs
//! a new segment, or a read of an old one, would wait behind them. What nobody waits for (the sync of
//! files that are closed, the removal of large ones) has a third, since there may be seconds of it.
//! Computations have threads of their own, which may run on any core. The process starts each kind
//! at its first call. Work in the background that both blocks and takes
//! long brings its own [`Helpers`], which have only the time that other threads leave.

use crate::affinity;
use crate::priority;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::task::{Poll, Waker};
use std::thread;

/// How many computations run at once at most: the memory that one takes counts so often.
pub const COMPUTING_THREADS_MAX: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

static BLOCKING: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
static SLOW: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
static UNHURRIED: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
static COMPUTING: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Threads for one kind of work in the background, of the lowest priority. They end when this is
/// dropped and their calls have ended.
#[derive(Debug)]
pub struct Helpers {
    jobs: mpsc::Sender<Job>,
}

struct Shared<T> {
    outcome: Option<thread::Result<T>>,
    waker: Option<Waker>,
}

/// Runs `call`, which blocks, on the helper thread. It is queued at once, in order, and runs to its
/// end even if the future is dropped. A panic of `call` goes on in the task that waits for it.
pub fn offload<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let helper = BLOCKING.get_or_init(|| start("blocking-calls", 1));
    run_on(helper, call)
}

/// As [`offload`], for what waits for the disk to write, and is waited for. In order among themselves,
/// and not with what the others run.
pub fn offload_slow<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let helper = SLOW.get_or_init(|| start("slow-calls", 1));
    run_on(helper, call)
}

/// As [`offload_slow`], for what no request waits for.
pub fn offload_unhurried<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let helper = UNHURRIED.get_or_init(|| start("unhurried-calls", 1));
    run_on(helper, call)
}

/// Runs `call`, which takes long but does not block, on a computing thread. It is queued at once
/// and runs to its end even if the future is dropped; calls may overtake each other. A panic of
/// `call` goes on in the task that waits for it.
pub fn compute<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let helper = COMPUTING.get_or_init(|| {
        let threads = affinity::process_cores().map_or(1, |cores| cores.len() / 2);
        start("computing", threads.clamp(1, COMPUTING_THREADS_MAX))
    });
    run_on(helper, call)
}

impl Helpers {
    /// Starts so many threads.
    ///
    /// # Panics
    /// If the process may not start a thread.
    #[must_use]
    pub fn start(name: &str, threads: usize) -> Self {
        let jobs = start_with(name, threads, || {
            // Refused, it takes turns with the others.
            let _ = priority::yield_to_all();
        });
        Self { jobs }
    }

    /// Runs `call` on one of the threads, as [`offload`] does.
    pub fn run<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        call: F,
    ) -> impl Future<Output = T> + use<T, F> {
        run_on(&self.jobs, call)
    }
}

fn run_on<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
    helper: &mpsc::Sender<Job>,
    call: F,
) -> impl Future<Output = T> + use<T, F> {
    let shared = Arc::new(Mutex::new(Shared {
        outcome: None,
        waker: None,
    }));
    let theirs = shared.clone();
    let job = Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(call));
        let waker = {
            let mut shared = theirs.lock().expect("nothing panics while it is locked");
            shared.outcome = Some(outcome);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    helper
        .send(job)
        .expect("helper threads live as long as what sends to them");
    poll_fn(move |cx| {
        let mut shared = shared.lock().expect("nothing panics while it is locked");
        match shared.outcome.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => {
                drop(shared);
                resume_unwind(panic)
            }
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
}

fn start(name: &str, threads: usize) -> mpsc::Sender<Job> {
    start_with(name, threads, || {})
}

/// Starts threads that do `first` first.
fn start_with(name: &str, threads: usize, first: fn()) -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..threads {
        let jobs = jobs.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                first();
                work(&jobs);
            })
            .expect("the process may start a thread");
    }
    sender
}

/// Does what comes, one job after the other. A job's panic is kept for the one who waits for it.
fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    // The thread that started this one may be pinned to a core, where this one would be in its way.
    // If it cannot be undone, it is in its way.
    let _ = affinity::unpin();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(mpsc::RecvError) => return,
        }
    }
}
