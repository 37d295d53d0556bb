//! Signals between tasks of one thread: [`Event`] says that something happened, [`once`] hands over
//! one value.
//!
//! Both are local to their thread; between threads, use a mailbox.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Something that happens again and again.
///
/// [`notify`](Self::notify) ends all waits that have begun; if there are none, it is remembered and
/// ends the next one. So a task that checks its condition and then waits misses nothing, and must
/// check again after each wait.
#[derive(Debug, Default)]
pub struct Event {
    /// Counts notifications, so that a wait sees that one came after it began.
    count: Cell<u64>,
    remembered: Cell<bool>,
    waiting: RefCell<Vec<Waiting>>,
    next_number: Cell<u64>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    waker: Waker,
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// It happened.
    pub fn notify(&self) {
        let mut waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        if waiting.is_empty() {
            self.remembered.set(true);
            return;
        }
        self.count.set(self.count.get() + 1);
        waiting.drain(..).for_each(|waiting| waiting.waker.wake());
        // Keep the memory, unless a waker has waited again at once.
        let mut now_waiting = self.waiting.borrow_mut();
        if now_waiting.is_empty() {
            *now_waiting = waiting;
        }
    }

    /// Waits until it happens.
    pub fn wait(&self) -> Wait<'_> {
        Wait {
            event: self,
            registered: None,
        }
    }
}

/// The future of [`Event::wait`].
#[derive(Debug)]
pub struct Wait<'a> {
    event: &'a Event,
    /// The number in the list, and the count of notifications when it was entered there.
    registered: Option<(u64, u64)>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let event = self.event;
        let Some((number, count)) = self.registered else {
            if event.remembered.take() {
                return Poll::Ready(());
            }
            let number = event.next_number.get();
            event.next_number.set(number + 1);
            event.waiting.borrow_mut().push(Waiting {
                number,
                waker: cx.waker().clone(),
            });
            self.registered = Some((number, event.count.get()));
            return Poll::Pending;
        };
        if event.count.get() != count {
            self.registered = None;
            return Poll::Ready(());
        }
        let mut waiting = event.waiting.borrow_mut();
        if let Some(mine) = waiting.iter_mut().find(|waiting| waiting.number == number) {
            mine.waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some((number, _)) = self.registered {
            self.event
                .waiting
                .borrow_mut()
                .retain(|waiting| waiting.number != number);
        }
    }
}

/// A value that one task hands to another, once. Dropping the [`Giver`] without giving ends the
/// taker's wait with `None`.
pub fn once<T>() -> (Giver<T>, Taker<T>) {
    let shared = Rc::new(Shared {
        value: Cell::new(None),
        waker: Cell::new(None),
    });
    (Giver(shared.clone()), Taker(shared))
}

struct Shared<T> {
    value: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

/// The end of [`once`] that gives.
pub struct Giver<T>(Rc<Shared<T>>);

/// The end of [`once`] that takes: a future of the value.
pub struct Taker<T>(Rc<Shared<T>>);

impl<T> Giver<T> {
    /// Gives the value.
    pub fn give(self, value: T) {
        self.0.value.set(Some(value));
    }

    /// Whether nobody will take the value any more.
    pub fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Taker<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let value = self.0.value.take();
        if value.is_some() || Rc::strong_count(&self.0) == 1 {
            return Poll::Ready(value);
        }
        self.0.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// Waits for two futures at once; whichever is done first is returned, the other is dropped. If
/// both are done, the first wins.
pub async fn first_of<A: Future, B: Future>(a: A, b: B) -> First<A::Output, B::Output> {
    let mut a = std::pin::pin!(a);
    let mut b = std::pin::pin!(b);
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(First::A(output));
        }
        b.as_mut().poll(cx).map(First::B)
    })
    .await
}

/// Which future of [`first_of`] was done first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First<A, B> {
    /// The first.
    A(A),
    /// The second.
    B(B),
}
