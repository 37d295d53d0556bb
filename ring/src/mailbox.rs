//! A bounded queue into one thread, from any number of others.
//!
//! The receiver is woken only if it waits, and its thread (through its eventfd) only if it sleeps
//! in the kernel; under load neither happens, and a message costs a compare-and-swap.
//!
//! The queue is a ring of cells, each with a sequence number (D. Vyukov's bounded queue, with one
//! consumer). For the cell at place `p`: sequence `p` means free for the sender who claims `p`;
//! `p + 1` means filled, for the receiver; `p + capacity` is free for the next round.
//!
//! Memory ordering:
//! - A sender claims `p` by compare-and-swap of `tail` (Relaxed: it orders nothing but itself), then
//!   writes the value, then stores sequence `p + 1` with Release. The receiver loads the sequence
//!   with Acquire before it reads the value: the write happens before the read.
//! - The receiver reads the value out, then stores `p + capacity` with Release; the sender of the
//!   next round loads that with Acquire before it writes: the read happens before the overwrite.
//! - No lost wake: the sender stores the sequence, fence(SeqCst), loads `waiting`. The receiver
//!   stores `waiting`, fence(SeqCst), loads the sequence. Of the two fences one comes first in the
//!   single order of SeqCst fences; the thread whose fence is second sees what the other stored. So
//!   the receiver finds the message before it sleeps, or the sender finds that it waits.

use std::cell::UnsafeCell;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// The queue is full (or its receiver is gone): push back. Has the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> std::fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Full")
    }
}

impl<T> std::fmt::Display for Full<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mailbox is full")
    }
}

/// A mailbox for `capacity` messages, rounded up to a power of two.
pub fn channel<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let cells = (0..capacity.next_power_of_two().max(2)).map(|i| Cell {
        sequence: AtomicUsize::new(i),
        value: UnsafeCell::new(MaybeUninit::uninit()),
    });
    let shared = Arc::new(Shared {
        cells: cells.collect(),
        tail: Apart(AtomicUsize::new(0)),
        waiting: Apart(AtomicBool::new(false)),
        waker: Mutex::new(None),
        senders: AtomicUsize::new(1),
        receiver_gone: AtomicBool::new(false),
    });
    (
        Sender {
            shared: shared.clone(),
        },
        Receiver { shared, head: 0 },
    )
}

/// Keeps what different threads write in different cache lines (and their prefetched neighbours).
#[repr(align(128))]
struct Apart<T>(T);

struct Cell<T> {
    sequence: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

struct Shared<T> {
    cells: Box<[Cell<T>]>,
    tail: Apart<AtomicUsize>,
    waiting: Apart<AtomicBool>,
    waker: Mutex<Option<Waker>>,
    senders: AtomicUsize,
    receiver_gone: AtomicBool,
}

// SAFETY: values move between threads through the cells (so T must be Send); each is accessed by
// one thread at a time, as the sequence numbers say (see the head of this file).
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The end that sends. Clones send into the same mailbox.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that receives, on one thread at a time.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The place of the next message.
    head: usize,
}

impl<T: Send> Sender<T> {
    /// Puts `message` into the mailbox, and wakes the receiver if it waits.
    pub fn try_send(&self, message: T) -> Result<(), Full<T>> {
        let shared = &*self.shared;
        if shared.receiver_gone.load(Ordering::Relaxed) {
            return Err(Full(message));
        }
        let mask = shared.cells.len() - 1;
        let mut place = shared.tail.0.load(Ordering::Relaxed);
        let cell = loop {
            let cell = &shared.cells[place & mask];
            let ahead = cell.sequence.load(Ordering::Acquire).wrapping_sub(place) as isize;
            match ahead {
                0 => {
                    let next = place.wrapping_add(1);
                    let (won, lost) = (Ordering::Relaxed, Ordering::Relaxed);
                    match shared.tail.0.compare_exchange_weak(place, next, won, lost) {
                        Ok(_) => break cell,
                        Err(now) => place = now,
                    }
                }
                ..0 => return Err(Full(message)),
                1.. => place = shared.tail.0.load(Ordering::Relaxed),
            }
        };
        // SAFETY: this thread has claimed the place, whose cell is free: nobody else accesses it
        // until the sequence says that it is filled.
        unsafe { (*cell.value.get()).write(message) };
        cell.sequence
            .store(place.wrapping_add(1), Ordering::Release);
        shared.wake_receiver();
        Ok(())
    }
}

impl<T> Shared<T> {
    fn wake_receiver(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.0.load(Ordering::Relaxed) && self.waiting.0.swap(false, Ordering::SeqCst) {
            let waker = self
                .waker
                .lock()
                .expect("nothing panics while it is locked")
                .take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T: Send> Receiver<T> {
    /// Waits until there are messages, and appends them all to `out`, but at most one mailbox
    /// full. Returns how many; 0 when all senders are gone.
    pub async fn recv_batch(&mut self, out: &mut Vec<T>) -> usize {
        poll_fn(|cx| {
            let received = self.try_recv_batch(out);
            if received > 0 {
                return Poll::Ready(received);
            }
            *self
                .shared
                .waker
                .lock()
                .expect("nothing panics while it is locked") = Some(cx.waker().clone());
            self.shared.waiting.0.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            // Read before the queue: the last sender's messages were there before it went.
            let closed = self.shared.senders.load(Ordering::Acquire) == 0;
            let received = self.try_recv_batch(out);
            if received == 0 && !closed {
                return Poll::Pending;
            }
            self.shared.waiting.0.store(false, Ordering::Relaxed);
            Poll::Ready(received)
        })
        .await
    }

    /// Appends the messages that are there to `out`, at most one mailbox full, and returns how
    /// many.
    pub fn try_recv_batch(&mut self, out: &mut Vec<T>) -> usize {
        for received in 0..self.shared.cells.len() {
            match self.pop() {
                Some(message) => out.push(message),
                None => return received,
            }
        }
        self.shared.cells.len()
    }
}

impl<T> Receiver<T> {
    fn pop(&mut self) -> Option<T> {
        let capacity = self.shared.cells.len();
        let cell = &self.shared.cells[self.head & (capacity - 1)];
        if cell.sequence.load(Ordering::Acquire) != self.head.wrapping_add(1) {
            return None;
        }
        // SAFETY: the sequence says that the cell is filled, and this is the only receiver.
        let message = unsafe { (*cell.value.get()).assume_init_read() };
        cell.sequence
            .store(self.head.wrapping_add(capacity), Ordering::Release);
        self.head = self.head.wrapping_add(1);
        Some(message)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.wake_receiver();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receiver_gone.store(true, Ordering::Relaxed);
        while self.pop().is_some() {}
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // A sender may have sent while the receiver was going: its message is still in its cell.
        let capacity = self.cells.len();
        let tail = *self.tail.0.get_mut();
        for back in 1..=capacity {
            let place = tail.wrapping_sub(back);
            let cell = &mut self.cells[place & (capacity - 1)];
            if *cell.sequence.get_mut() == place.wrapping_add(1) {
                // SAFETY: filled and never received, and `&mut self` is the only access.
                unsafe { cell.value.get_mut().assume_init_drop() };
            }
        }
    }
}
