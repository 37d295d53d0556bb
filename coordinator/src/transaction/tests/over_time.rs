//! Transactions whose time is up, and ids that are forgotten.

use super::*;

#[test]
fn a_transaction_whose_time_is_up_is_aborted_and_its_producer_fenced() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    bench.later(i64::from(TIMEOUT_MS));
    assert!(bench.appends.is_empty(), "not a millisecond early");
    bench.later(CHECK_MS - 1);
    assert!(bench.appends.is_empty(), "looked at from time to time");
    bench.later(1);
    bench.appended(Ok(()));
    let markers = bench.marked(ErrorCode::None);
    assert_eq!(markers.result, Abort);
    assert_eq!(markers.producer, with_epoch(producer, 1));
    bench.settle();
    assert_eq!(bench.state(), State::CompleteAbort);
    let late = bench.done(end(producer, Commit));
    assert_eq!(late, refused(ErrorCode::ProducerFenced));
    let back = bench.init(Some(producer));
    assert_eq!(back, refused(ErrorCode::ProducerFenced));
}

#[test]
fn time_goes_on_after_a_reload() {
    let mut bench = Bench::new();
    bench.ongoing();
    bench.now += i64::from(TIMEOUT_MS) + 1;
    let mut bench = bench.reloaded();
    bench.later(CHECK_MS);
    bench.settle();
    assert_eq!(bench.state(), State::CompleteAbort);
}

#[test]
fn a_time_out_that_could_not_be_recorded_comes_again() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    bench.later(i64::from(TIMEOUT_MS) + CHECK_MS);
    bench.appended(Err(ErrorCode::KafkaStorageError));
    assert_eq!(bench.state(), State::Ongoing);
    bench.later(CHECK_MS);
    bench.appended(Ok(()));
    let markers = bench.marked(ErrorCode::None);
    assert_eq!(
        markers.producer,
        with_epoch(producer, 1),
        "and takes no second epoch"
    );
}

#[test]
fn a_decision_under_way_is_not_overtaken_by_time() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    bench.ask(end(producer, Commit));
    bench.later(i64::from(TIMEOUT_MS) + CHECK_MS);
    assert_eq!(bench.appends.len(), 1);
    bench.settle();
    assert_eq!(bench.state(), State::CompleteCommit);
}

#[test]
fn ids_that_nobody_uses_are_forgotten_in_batches_of_the_size_allowed() {
    let mut bench = Bench::new();
    bench.ongoing();
    for n in 0..20 {
        let request = Request::InitProducerId {
            transactional_id: format!("unused {n} {}", "x".repeat(100)).into(),
            timeout_ms: 1,
            expected: None,
        };
        assert!(matches!(bench.done(request), Reply::Producer(_)));
    }
    bench.later(EXPIRATION_MS - 1);
    bench.settle(); // The transaction's time is up.
    assert_eq!(bench.machine.transactions.len(), 21);
    bench.later(100_000);
    assert!(bench.appends.len() > 2);
    for append in &bench.appends {
        let bytes: usize = append.records.iter().map(|record| record.key.len()).sum();
        assert!(bytes < settings().batch_bytes_max && !append.records.is_empty());
        assert!(append.records.iter().all(|record| record.value.is_none()));
    }
    let failed = bench.appends[0].records.len();
    bench.appended(Err(ErrorCode::NotEnoughReplicas));
    bench.settle();
    assert_eq!(bench.machine.transactions.len(), 1 + failed);
    assert_eq!(bench.reloaded().machine.transactions.len(), 1 + failed);
    bench.later(100_000);
    bench.settle();
    assert_eq!(bench.machine.transactions.len(), 1);
    bench.later(EXPIRATION_MS);
    bench.settle();
    assert_eq!(
        bench.machine.transactions.len(),
        0,
        "its transaction is long over"
    );
    assert_eq!(bench.machine.next_deadline(), None);
}

#[test]
fn an_id_that_is_being_forgotten_is_not_used_meanwhile() {
    let mut bench = Bench::new();
    let producer = bench.producer();
    bench.later(EXPIRATION_MS);
    let token = bench.ask(add(producer, &[0]));
    let reply = bench.answer_to(token);
    assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
    bench.appended(Ok(()));
    let reply = bench.done(add(producer, &[0]));
    assert_eq!(reply, refused(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn deadlines_move_on() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.next_deadline(), None);
    bench.ongoing();
    for _ in 0..50 {
        let at = bench.machine.next_deadline().unwrap();
        let wait = (at - bench.now).max(0);
        bench.later(wait);
        assert!(bench.machine.next_deadline().unwrap() > bench.now);
        bench.settle();
    }
}
