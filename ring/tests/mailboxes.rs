//! Mailboxes between threads: nothing lost, nothing twice, order kept, full means full.

use ring::mailbox::{Full, Receiver, Sender, channel};
use ring::{Options, Runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn receive<T: Send>(mut receiver: Receiver<T>, mut each: impl FnMut(T)) {
    Runtime::new(Options::default())
        .unwrap()
        .block_on(async move {
            let mut batch = Vec::new();
            while receiver.recv_batch(&mut batch).await > 0 {
                batch.drain(..).for_each(&mut each);
            }
        });
}

/// Sends again until there is room.
fn send<T: Send>(sender: &Sender<T>, mut message: T) {
    while let Err(Full(back)) = sender.try_send(message) {
        message = back;
        thread::yield_now();
    }
}

#[test]
fn two_million_messages_through_a_small_mailbox() {
    const EACH: u64 = 1_000_000;
    let (sender, receiver) = channel(64);
    let senders: Vec<_> = (0..2u64)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || (0..EACH).for_each(|i| send(&sender, (number, i))))
        })
        .collect();
    drop(sender);
    let mut next = [0; 2];
    receive(receiver, |(number, i)| {
        assert_eq!(
            i, next[number as usize],
            "in the order in which they were sent"
        );
        next[number as usize] += 1;
    });
    assert_eq!(next, [EACH; 2]);
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
}

#[test]
fn question_and_answer_wake_the_sleeping_thread() {
    // Each side sleeps in the kernel before each message: a lost wake would hang.
    let (ask, questions) = channel::<u32>(4);
    let (answer, mut answers) = channel(4);
    let answering = thread::spawn(move || receive(questions, |i| answer.try_send(i + 1).unwrap()));
    Runtime::new(Options::default()).unwrap().block_on(async {
        let mut got = Vec::new();
        for i in 0..20_000 {
            ask.try_send(i).unwrap();
            assert_eq!(answers.recv_batch(&mut got).await, 1);
            assert_eq!(got.pop(), Some(i + 1));
        }
    });
    drop(ask);
    answering.join().unwrap();
}

#[test]
fn full_gives_the_message_back() {
    let (sender, mut receiver) = channel(4);
    for i in 0..4 {
        sender.try_send(i).unwrap();
    }
    assert_eq!(sender.try_send(4), Err(Full(4)));
    let mut batch = Vec::new();
    assert_eq!(receiver.try_recv_batch(&mut batch), 4);
    assert_eq!(batch, [0, 1, 2, 3]);
    sender.try_send(4).unwrap();
    assert_eq!(receiver.try_recv_batch(&mut batch), 1);
    drop(receiver);
    assert_eq!(sender.try_send(5), Err(Full(5)), "nobody will receive it");
}

#[test]
fn undelivered_messages_are_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    for taken in 0..=3 {
        drops.store(0, Ordering::Relaxed);
        let (sender, mut receiver) = channel(2);
        let mut batch = Vec::new();
        for _ in 0..taken {
            sender.try_send(Counted(drops.clone())).unwrap();
            receiver.try_recv_batch(&mut batch);
        }
        for _ in 0..2 {
            sender.try_send(Counted(drops.clone())).unwrap();
        }
        drop(receiver);
        drop(sender);
        drop(batch);
        assert_eq!(drops.load(Ordering::Relaxed), taken + 2);
    }
}
