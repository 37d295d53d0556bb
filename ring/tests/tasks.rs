//! Tasks, turns, wakes, timers, events, offloaded calls.

use ring::event::{Event, First, first_of, once};
use ring::timer::{self, Elapsed};
use ring::{Options, Runtime, spawn, yield_now, yield_to_end_of_turn};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

fn run<F: Future>(future: F) -> F::Output {
    Runtime::new(Options::default()).unwrap().block_on(future)
}

/// Runs `tasks` in the order in which they are spawned, and returns what they wrote.
fn written_by(tasks: impl FnOnce(&Rc<RefCell<Vec<u32>>>)) -> Vec<u32> {
    let log = Rc::new(RefCell::new(Vec::new()));
    run(async {
        tasks(&log);
        // Two turns are enough for all tests here; the third sees that nothing comes after.
        for _ in 0..3 {
            yield_to_end_of_turn().await;
        }
    });
    log.take()
}

#[test]
fn tasks_run_first_in_first_out() {
    let order = written_by(|log| {
        for i in 0..5 {
            let log = log.clone();
            spawn(async move {
                log.borrow_mut().push(i);
                yield_now().await;
                log.borrow_mut().push(10 + i);
            });
        }
    });
    assert_eq!(order, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
}

#[test]
fn the_end_of_turn_is_behind_all_that_is_ready() {
    let order = written_by(|log| {
        let gatherer = log.clone();
        spawn(async move {
            yield_to_end_of_turn().await;
            gatherer.borrow_mut().push(99);
        });
        for i in 0..3 {
            let log = log.clone();
            spawn(async move {
                yield_now().await;
                yield_now().await;
                log.borrow_mut().push(i);
            });
        }
    });
    assert_eq!(order, [0, 1, 2, 99]);
}

#[test]
fn a_task_that_is_always_ready_stops_neither_timers_nor_others() {
    run(async {
        let stop = Rc::new(Cell::new(false));
        let spinning = stop.clone();
        spawn(async move {
            while !spinning.get() {
                yield_now().await;
            }
        });
        timer::sleep(Duration::from_millis(2)).await;
        ring::offload(|| ()).await;
        stop.set(true);
    });
}

#[test]
fn a_waker_works_from_any_thread_and_outlives_its_task_and_runtime() {
    let (sender, wakers) = mpsc::channel::<Waker>();
    let waking = std::thread::spawn(move || {
        let mut all = Vec::new();
        for waker in wakers {
            waker.wake_by_ref();
            all.push(waker);
        }
        all
    });
    for _ in 0..3 {
        let sender = sender.clone();
        run(async move {
            for _ in 0..200 {
                let (giver, taker) = once();
                let sender = sender.clone();
                spawn(async move {
                    let mut sent = false;
                    poll_fn(|cx| {
                        if std::mem::replace(&mut sent, true) {
                            return Poll::Ready(());
                        }
                        sender.send(cx.waker().clone()).unwrap();
                        Poll::Pending
                    })
                    .await;
                    giver.give(7);
                });
                assert_eq!(taker.await, Some(7));
            }
        });
    }
    drop(sender);
    for waker in waking.join().unwrap() {
        waker.wake();
    }
    run(async { timer::sleep(Duration::from_micros(100)).await });
}

#[test]
fn tasks_stay_for_the_next_block_on_and_are_dropped_with_the_runtime() {
    let alive = Rc::new(());
    let event = Rc::new(Event::new());
    let mut runtime = Runtime::new(Options::default()).unwrap();
    let progress = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let (alive, event, progress) = (alive.clone(), event.clone(), progress.clone());
        spawn(async move {
            let _alive = alive;
            loop {
                event.wait().await;
                progress.set(progress.get() + 1);
            }
        });
        yield_to_end_of_turn().await;
    });
    event.notify();
    runtime.block_on(yield_to_end_of_turn());
    assert_eq!(progress.get(), 1);
    assert_eq!(Rc::strong_count(&alive), 2);
    drop(runtime);
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
#[should_panic(expected = "a runtime is running on this thread already")]
fn one_runtime_at_a_time() {
    run(async { run(async {}) });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    let order = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let done = Rc::new(Event::new());
        let start = timer::now();
        for i in [3, 1, 2, 0] {
            let (order, done) = (order.clone(), done.clone());
            spawn(async move {
                timer::sleep_until(start + Duration::from_micros(300 * i)).await;
                order.borrow_mut().push(i);
                if i == 3 {
                    done.notify();
                }
            });
        }
        done.wait().await;
        assert!(start.elapsed() >= Duration::from_micros(900));
    });
    assert_eq!(order.take(), [0, 1, 2, 3]);
}

#[test]
fn a_timeout_drops_what_was_too_slow() {
    run(async {
        let forever = std::future::pending::<()>();
        let start = Instant::now();
        assert_eq!(
            timer::timeout(Duration::from_millis(3), forever).await,
            Err(Elapsed)
        );
        assert!(start.elapsed() >= Duration::from_millis(3));
        assert_eq!(
            timer::timeout(Duration::from_secs(60), async { 5 }).await,
            Ok(5)
        );
        // Cancelled timers are gone: this would otherwise wait for the minute.
        for _ in 0..10_000 {
            let far = timer::timeout(Duration::from_secs(60), yield_now());
            assert_eq!(far.await, Ok(()));
        }
    });
}

#[test]
fn an_event_ends_all_waits_and_is_remembered_if_there_is_none() {
    run(async {
        let event = Rc::new(Event::new());
        event.notify();
        event.notify();
        event.wait().await;
        let ended = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let (event, ended) = (event.clone(), ended.clone());
            spawn(async move {
                event.wait().await;
                ended.set(ended.get() + 1);
            });
        }
        yield_to_end_of_turn().await;
        assert_eq!(ended.get(), 0, "two notifications without a wait are one");
        // A wait that is dropped leaves nothing behind.
        assert_eq!(
            timer::timeout(Duration::ZERO, event.wait()).await,
            Err(Elapsed)
        );
        event.notify();
        yield_to_end_of_turn().await;
        assert_eq!(ended.get(), 3);
    });
}

#[test]
fn once_gives_a_value_or_says_that_none_will_come() {
    run(async {
        let (giver, taker) = once();
        spawn(async move { giver.give("value") });
        assert_eq!(taker.await, Some("value"));
        let (giver, taker) = once::<u8>();
        spawn(async move { drop(giver) });
        assert_eq!(taker.await, None);
        let (giver, taker) = once::<u8>();
        drop(taker);
        assert!(giver.is_abandoned());
    });
}

#[test]
fn the_first_of_two_wins() {
    run(async {
        let never = std::future::pending::<u8>();
        assert_eq!(first_of(never, async { 'b' }).await, First::B('b'));
        assert_eq!(first_of(async { 'a' }, async { 'b' }).await, First::A('a'));
    });
}

#[test]
fn offloaded_calls_run_in_order_on_another_thread() {
    run(async {
        let here = std::thread::current().id();
        let (sender, calls) = mpsc::channel();
        let (first, second) = (sender.clone(), sender);
        let first = ring::offload(move || first.send(1).unwrap());
        let second = ring::offload(move || second.send(2).unwrap());
        second.await;
        first.await;
        assert_eq!(calls.iter().collect::<Vec<_>>(), [1, 2]);
        assert_ne!(ring::offload(|| std::thread::current().id()).await, here);
    });
}

#[test]
fn what_is_waited_for_does_not_wait_for_what_is_not() {
    run(async {
        let (go_on, held) = mpsc::channel::<()>();
        let flushed = ring::offload_unhurried(move || held.recv());
        ring::offload_slow(|| ()).await;
        ring::offload(|| ()).await;
        go_on.send(()).expect("the call waits");
        flushed.await.expect("it was told to go on");
    });
}

#[test]
#[should_panic(expected = "from the helper thread")]
fn a_panic_of_an_offloaded_call_reaches_who_waits() {
    run(ring::offload(|| panic!("from the helper thread")));
}

#[test]
fn a_computation_holds_up_neither_the_thread_nor_blocking_calls() {
    run(async {
        let (go_on, held) = mpsc::channel::<()>();
        let here = std::thread::current().id();
        let computed = ring::compute(move || {
            held.recv().expect("it is told to go on");
            std::thread::current().id()
        });
        ring::offload(|| ()).await;
        go_on.send(()).expect("the computation waits");
        assert_ne!(computed.await, here);
        drop(ring::compute(|| panic!("a computation nobody waits for")));
        assert_eq!(ring::compute(|| 7).await, 7, "a panic ends no thread");
    });
}
