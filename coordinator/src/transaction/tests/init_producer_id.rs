//! InitProducerId: ids, epochs, fencing.

use super::*;

#[test]
fn a_new_id_gets_a_producer_id_and_each_initialisation_an_epoch() {
    let mut bench = Bench::new();
    let first = bench.producer();
    assert_eq!(
        (first.id, first.epoch),
        (ProducerId(1_000), ProducerEpoch(0))
    );
    let second = bench.producer();
    assert_eq!(second, with_epoch(first, 1));
    let third = bench.reloaded().producer();
    assert_eq!(third, with_epoch(first, 2));
}

#[test]
fn a_time_out_that_is_too_long_or_none_is_refused() {
    let mut bench = Bench::new();
    for timeout_ms in [0, -1, 900_001, i32::MAX] {
        let reply = bench.done(init_with(None, timeout_ms));
        assert_eq!(reply, refused(ErrorCode::InvalidTransactionTimeout));
    }
    assert!(matches!(
        bench.done(init_with(None, 900_000)),
        Reply::Producer(_)
    ));
    let empty = Request::InitProducerId {
        transactional_id: "".into(),
        timeout_ms: 1,
        expected: None,
    };
    assert_eq!(bench.done(empty), refused(ErrorCode::InvalidRequest));
}

#[test]
fn nothing_holds_before_it_is_in_the_log() {
    let mut bench = Bench::new();
    let first = bench.ask(init(None));
    assert_eq!(bench.answer_to(first), None);
    let other = bench.ask(init(None));
    let reply = bench.answer_to(other);
    assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
    bench.appended(Err(ErrorCode::NotEnoughReplicas));
    let reply = bench.answer_to(first);
    assert_eq!(reply, Some(refused(ErrorCode::CoordinatorNotAvailable)));
    assert_eq!(
        bench.producer().epoch,
        ProducerEpoch(0),
        "it was given to nobody"
    );
}

#[test]
fn a_producer_that_goes_on_after_an_error_keeps_its_place() {
    let mut bench = Bench::new();
    let first = bench.producer();
    let second = bench.init(Some(first));
    assert_eq!(second, Reply::Producer(with_epoch(first, 1)));
    let again = bench.init(Some(first));
    assert_eq!(again, second, "it did not get the answer");
    let third = bench.init(Some(with_epoch(first, 1)));
    assert_eq!(third, Reply::Producer(with_epoch(first, 2)));
    let late = bench.init(Some(first));
    assert_eq!(late, refused(ErrorCode::ProducerFenced));
}

#[test]
fn a_producer_that_was_replaced_may_not_go_on() {
    let mut bench = Bench::new();
    let first = bench.producer();
    bench.producer();
    let reply = bench.init(Some(first));
    assert_eq!(reply, refused(ErrorCode::ProducerFenced));
    let stranger = Producer {
        id: ProducerId(7),
        epoch: ProducerEpoch(1),
    };
    let reply = bench.init(Some(stranger));
    assert_eq!(reply, refused(ErrorCode::ProducerFenced));
}

#[test]
fn an_id_that_is_not_known_any_more_takes_any_producer() {
    let mut bench = Bench::new();
    let stranger = Producer {
        id: ProducerId(7),
        epoch: ProducerEpoch(31),
    };
    let given = bench.init(Some(stranger));
    let expected = Producer {
        id: ProducerId(1_000),
        epoch: ProducerEpoch(0),
    };
    assert_eq!(given, Reply::Producer(expected));
}

#[test]
fn the_transaction_of_the_one_before_is_aborted_first() {
    let mut bench = Bench::new();
    let zombie = bench.ongoing();
    let token = bench.ask(init(None));
    let late = bench.ask(end(zombie, Commit));
    let reply = bench.answer_to(late);
    assert_eq!(reply, Some(refused(ErrorCode::ProducerFenced)));
    bench.appended(Ok(()));
    let reply = bench.answer_to(token);
    assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
    let markers = bench.marked(ErrorCode::None);
    assert_eq!(markers.producer, with_epoch(zombie, 1));
    assert_eq!(markers.result, Abort);
    let waits = bench.ask(init(None));
    let reply = bench.answer_to(waits);
    assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
    bench.settle();
    assert_eq!(bench.producer(), with_epoch(zombie, 2));
    for request in [add(zombie, &[0]), end(zombie, Commit), verify(zombie, &[0])] {
        assert_eq!(bench.done(request), refused(ErrorCode::ProducerFenced));
    }
}

#[test]
fn a_fence_that_could_not_be_recorded_takes_no_further_epoch() {
    let mut bench = Bench::new();
    let zombie = bench.ongoing();
    for _ in 0..3 {
        let token = bench.ask(init(None));
        bench.appended(Err(ErrorCode::NotEnoughReplicas));
        let reply = bench.answer_to(token);
        assert_eq!(reply, Some(refused(ErrorCode::CoordinatorNotAvailable)));
    }
    let late = bench.done(add(zombie, &[1]));
    assert_eq!(late, refused(ErrorCode::ProducerFenced));
    bench.ask(init(None));
    bench.appended(Ok(()));
    let markers = bench.marked(ErrorCode::None);
    assert_eq!(markers.producer, with_epoch(zombie, 1));
    bench.settle();
    let next = bench.ongoing();
    assert_eq!(next, with_epoch(zombie, 2));
    bench.ask(init(None));
    bench.appended(Ok(()));
    let markers = bench.marked(ErrorCode::None);
    assert_eq!(markers.producer, with_epoch(zombie, 3));
}

#[test]
fn epochs_that_are_used_up_give_way_to_a_new_producer_id() {
    let mut bench = Bench::new();
    let last = bench.exhausted();
    assert_eq!(last.epoch, ProducerEpoch(i16::MAX - 1));
    let next = Producer {
        id: ProducerId(1_001),
        epoch: ProducerEpoch(0),
    };
    assert_eq!(bench.init(Some(last)), Reply::Producer(next));
    let again = bench.init(Some(last));
    assert_eq!(again, Reply::Producer(next), "it did not get the answer");
    let reply = bench.done(add(last, &[0]));
    assert_eq!(reply, refused(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn the_last_epoch_can_be_fenced() {
    let mut bench = Bench::new();
    let last = bench.exhausted();
    assert_eq!(bench.done(add(last, &[0])), Reply::Done);
    let reply = bench.init(None);
    assert_eq!(reply, refused(ErrorCode::ConcurrentTransactions));
    let next = bench.producer();
    assert_ne!(next.id, last.id);
    assert_eq!(next.epoch, ProducerEpoch(0));
}

#[test]
fn an_epoch_that_was_given_to_nobody_is_fenced_too() {
    let mut bench = Bench::new();
    let last = bench.exhausted();
    assert_eq!(bench.done(add(last, &[0])), Reply::Done);
    let reply = bench.init(None);
    assert_eq!(reply, refused(ErrorCode::ConcurrentTransactions));
    let guessed = Producer {
        epoch: ProducerEpoch(i16::MAX),
        ..last
    };
    assert_eq!(bench.done(add(guessed, &[0])), Reply::Done);
    let reply = bench.init(None);
    assert_eq!(reply, refused(ErrorCode::ConcurrentTransactions));
    let next = bench.producer();
    assert_ne!(next.id, last.id);
    assert_eq!(
        bench.done(add(guessed, &[0])),
        refused(ErrorCode::InvalidProducerIdMapping)
    );
}

#[test]
fn no_producer_id_is_an_error_of_the_request() {
    let mut bench = Bench::new();
    let (now, token) = (bench.now, Token(99));
    let mut out = Vec::new();
    bench.machine.on_request(now, token, init(None), &mut out);
    assert!(matches!(
        out.pop(),
        Some(Action::Effect(Effect::ProducerId(of))) if of == token
    ));
    let error = ErrorCode::CoordinatorLoadInProgress;
    bench
        .machine
        .on_producer_id(now, token, Err(error), &mut out);
    assert!(matches!(
        out.pop(),
        Some(Action::Reply(of, Reply::Refused(told))) if of == token && told == error
    ));
    assert_eq!(bench.producer().epoch, ProducerEpoch(0));
}
