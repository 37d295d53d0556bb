//! EndTxn, markers, and what is left of both after a reload.

use super::*;

#[test]
fn a_decision_is_recorded_then_marked_then_recorded_as_done() {
    for (result, prepared, complete) in [
        (Commit, State::PrepareCommit, State::CompleteCommit),
        (Abort, State::PrepareAbort, State::CompleteAbort),
    ] {
        let mut bench = Bench::new();
        let producer = bench.ongoing();
        assert_eq!(bench.done(add(producer, &[3])), Reply::Done);
        let token = bench.ask(end(producer, result));
        assert_eq!(bench.answer_to(token), None);
        assert!(bench.markers.is_empty(), "it is not decided yet");
        bench.appended(Ok(()));
        assert_eq!(bench.answer_to(token), Some(Reply::Done));
        assert_eq!(bench.state_now(), prepared);
        let markers = bench.marked(ErrorCode::None);
        assert_eq!(markers.producer, producer);
        assert_eq!(markers.result, result);
        assert_eq!(markers.coordinator_epoch, LeaderEpoch(5));
        let expected: Vec<_> = partitions(&[0, 3]).into_iter().collect();
        assert_eq!(markers.partitions, expected);
        assert_eq!(bench.state_now(), prepared, "its end is not recorded yet");
        bench.settle();
        assert_eq!(bench.state_now(), complete);
        assert_eq!(bench.reloaded().state_now(), complete);
    }
}

#[test]
fn an_end_that_is_asked_for_again_is_confirmed_and_another_is_refused() {
    for (result, other) in [(Commit, Abort), (Abort, Commit)] {
        let mut bench = Bench::new();
        let producer = bench.producer();
        let reply = bench.done(end(producer, result));
        assert_eq!(reply, refused(ErrorCode::InvalidTxnState), "there is none");
        assert_eq!(bench.done(add(producer, &[0])), Reply::Done);
        bench.ask(end(producer, result));
        for end_again in [end(producer, result), end(producer, other)] {
            let token = bench.ask(end_again);
            let reply = bench.answer_to(token);
            assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
        }
        bench.appended(Ok(()));
        for request in [
            end(producer, result),
            end(producer, other),
            add(producer, &[1]),
            verify(producer, &[0]),
        ] {
            let token = bench.ask(request);
            let reply = bench.answer_to(token);
            assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
        }
        bench.settle();
        assert_eq!(bench.done(end(producer, result)), Reply::Done);
        let reply = bench.done(end(producer, other));
        assert_eq!(reply, refused(ErrorCode::InvalidTxnState));
        assert_eq!(bench.done(add(producer, &[1])), Reply::Done, "the next one");
        assert_eq!(bench.state_now(), State::Ongoing);
    }
}

#[test]
fn a_decision_that_could_not_be_recorded_is_none() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    for (error, told) in [
        (
            ErrorCode::NotEnoughReplicas,
            ErrorCode::CoordinatorNotAvailable,
        ),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
        (ErrorCode::InvalidRecord, ErrorCode::InvalidRecord),
    ] {
        let token = bench.ask(end(producer, Commit));
        bench.appended(Err(error));
        assert_eq!(bench.answer_to(token), Some(refused(told)));
        assert_eq!(bench.state_now(), State::Ongoing);
    }
    assert_eq!(bench.done(end(producer, Abort)), Reply::Done);
}

#[test]
fn a_decision_that_may_be_in_the_log_is_held_to() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    let token = bench.ask(end(producer, Commit));
    bench.appended(Err(ErrorCode::RequestTimedOut));
    let reply = bench.answer_to(token);
    assert_eq!(reply, Some(refused(ErrorCode::CoordinatorNotAvailable)));
    let other = bench.ask(end(producer, Abort));
    let reply = bench.answer_to(other);
    assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
    let at = bench.machine.next_deadline().unwrap();
    assert!(at <= bench.now + 1_000);
    bench.later(at - bench.now);
    bench.settle();
    assert_eq!(bench.state_now(), State::CompleteCommit);
}

#[test]
fn markers_are_sent_again_where_they_failed_and_not_where_nothing_waits() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    assert_eq!(bench.done(add(producer, &[1, 2, 3])), Reply::Done);
    bench.ask(end(producer, Commit));
    bench.appended(Ok(()));
    let markers = bench.markers.remove(0);
    let errors = [
        ErrorCode::None,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::KafkaStorageError,
    ];
    let results = markers.partitions.into_iter().zip(errors).collect();
    let now = bench.now;
    bench.call(|machine, out| machine.on_markers(now, markers.id, results, out));
    assert!(bench.markers.is_empty(), "after a pause");
    bench.later(100);
    let again = bench.marked(ErrorCode::None);
    let expected: Vec<_> = partitions(&[1, 3]).into_iter().collect();
    assert_eq!(again.partitions, expected);
    bench.settle();
    assert_eq!(bench.state_now(), State::CompleteCommit);
}

#[test]
fn the_end_is_recorded_in_the_end() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    bench.ask(end(producer, Commit));
    bench.appended(Ok(()));
    bench.marked(ErrorCode::None);
    for error in [ErrorCode::KafkaStorageError, ErrorCode::NotEnoughReplicas] {
        bench.appended(Err(error));
        assert!(bench.appends.is_empty(), "after a pause");
        bench.later(100);
    }
    bench.appended(Ok(()));
    assert_eq!(bench.state_now(), State::CompleteCommit);
    assert_eq!(bench.producer(), with_epoch(producer, 1));
}

#[test]
fn a_transaction_is_left_to_a_later_coordinator() {
    for error in [
        ErrorCode::TransactionCoordinatorFenced,
        ErrorCode::InvalidProducerEpoch,
    ] {
        let mut bench = Bench::new();
        let producer = bench.ongoing();
        bench.ask(end(producer, Commit));
        bench.appended(Ok(()));
        bench.marked(error);
        bench.later(1_000_000);
        assert!(bench.markers.is_empty() && bench.appends.is_empty());
        let mut later = bench.reloaded();
        later.settle();
        assert_eq!(later.state_now(), State::CompleteCommit);
    }
}

#[test]
fn what_was_decided_is_completed_after_a_reload() {
    for (result, complete) in [
        (Commit, State::CompleteCommit),
        (Abort, State::CompleteAbort),
    ] {
        let mut bench = Bench::new();
        let producer = bench.ongoing();
        bench.ask(end(producer, result));
        bench.appended(Ok(()));
        let mut bench = bench.reloaded();
        assert_eq!(bench.markers[0].result, result);
        assert_eq!(bench.markers[0].producer, producer);
        bench.settle();
        assert_eq!(bench.state_now(), complete);
    }
}

#[test]
fn whoever_waits_is_told_when_the_partition_goes() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    let ending = bench.ask(end(producer, Commit));
    let other = bench.ask(Request::InitProducerId {
        transactional_id: "other".into(),
        timeout_ms: 1,
        expected: None,
    });
    bench.call(|machine, out| machine.on_unload(out));
    for token in [ending, other] {
        let reply = bench.answer_to(token);
        assert_eq!(reply, Some(refused(ErrorCode::NotCoordinator)));
    }
    assert!(bench.replies.is_empty());
}

impl Bench {
    /// The state, with nothing settled.
    fn state_now(&mut self) -> State {
        let (appends, markers) = (self.appends.len(), self.markers.len());
        let token = self.ask(Request::Describe("id".into()));
        assert_eq!((appends, markers), (self.appends.len(), self.markers.len()));
        match self.answer_to(token) {
            Some(Reply::Described(of)) => State::of_name(&of.transaction_state).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}
