//! Calls that block and that the ring has no good operation for (make a directory, rename, unlink,
//! truncate): run one after the other on a helper thread, which the process starts at the first.
//!
//! For rare calls only: nothing of the data path may come here.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Poll, Waker};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

static HELPER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

struct Shared<T> {
    outcome: Option<thread::Result<T>>,
    waker: Option<Waker>,
}

/// Runs `call` on the helper thread. It starts at once, in order, and runs to its end even if the
/// future is dropped. A panic of `call` goes on in the task that waits for it.
pub fn offload<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
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
    HELPER
        .get_or_init(start)
        .send(job)
        .expect("the helper thread never ends");
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

fn start() -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new()
        .name("blocking-calls".to_owned())
        .spawn(move || jobs.into_iter().for_each(|job| job()))
        .expect("the process may start a thread");
    sender
}
