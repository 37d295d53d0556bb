//! AddPartitionsToTxn, AddOffsetsToTxn and verification; what tools are told.

use super::*;

#[test]
fn partitions_are_added_and_verified() {
    let mut bench = Bench::new();
    let producer = bench.producer();
    let before = bench.done(verify(producer, &[0]));
    assert!(matches!(before, Reply::Verified(of) if of[0].1 == ErrorCode::TransactionAbortable));
    let token = bench.ask(add(producer, &[0, 1]));
    let waits = bench.done_without_appends(verify(producer, &[0]));
    assert!(matches!(waits, Reply::Verified(of) if of[0].1 == ErrorCode::TransactionAbortable));
    let other = bench.ask(add(producer, &[2]));
    let reply = bench.answer_to(other);
    assert_eq!(reply, Some(refused(ErrorCode::ConcurrentTransactions)));
    bench.settle();
    assert_eq!(bench.answer_to(token), Some(Reply::Done));
    let records = bench.log.len();
    assert_eq!(bench.done(add(producer, &[1])), Reply::Done);
    assert_eq!(bench.log.len(), records, "that is known already");
    assert_eq!(bench.done(add(producer, &[1, 2])), Reply::Done);
    for mut bench in [bench.reloaded(), bench] {
        let Reply::Verified(of) = bench.done(verify(producer, &[0, 2, 3])) else {
            panic!("it is this producer's");
        };
        let errors: Vec<_> = of.iter().map(|(_, error)| *error).collect();
        let expected = [
            ErrorCode::None,
            ErrorCode::None,
            ErrorCode::TransactionAbortable,
        ];
        assert_eq!(errors, expected);
    }
}

#[test]
fn only_the_present_producer_may_add_or_verify_or_end() {
    let mut bench = Bench::new();
    let producer = bench.producer();
    let other_id = Producer {
        id: ProducerId(1),
        ..producer
    };
    let cases = [
        (other_id, ErrorCode::InvalidProducerIdMapping),
        (with_epoch(producer, 1), ErrorCode::ProducerFenced),
        (with_epoch(producer, -1), ErrorCode::ProducerFenced),
    ];
    for (who, error) in cases {
        for request in [add(who, &[0]), verify(who, &[0]), end(who, Commit)] {
            assert_eq!(bench.done(request), refused(error));
        }
    }
    for (id, error) in [
        ("", ErrorCode::InvalidRequest),
        ("unknown", ErrorCode::InvalidProducerIdMapping),
    ] {
        let request = Request::AddPartitions {
            transactional_id: id.into(),
            producer,
            partitions: partitions(&[0]),
        };
        assert_eq!(bench.done(request), refused(error));
    }
}

#[test]
fn a_transaction_begins_with_its_first_partition() {
    let mut bench = Bench::new();
    let producer = bench.producer();
    let started = bench.now;
    assert_eq!(bench.done(add(producer, &[0])), Reply::Done);
    bench.now += 50;
    assert_eq!(bench.done(add(producer, &[1])), Reply::Done);
    let Reply::Described(of) = bench.done(Request::Describe("id".into())) else {
        panic!("it is known");
    };
    assert_eq!(of.transaction_state, "Ongoing");
    assert_eq!(of.transaction_start_time_ms, started.0);
    assert_eq!(of.transaction_timeout_ms, TIMEOUT_MS);
    assert_eq!((of.producer_id, of.producer_epoch), (1_000, 0));
    assert_eq!(of.topics.len(), 1);
    assert_eq!(of.topics[0].partitions, [0, 1]);
    for (id, error) in [
        ("", ErrorCode::InvalidRequest),
        ("other", ErrorCode::TransactionalIdNotFound),
    ] {
        let reply = bench.done(Request::Describe(id.into()));
        assert_eq!(reply, refused(error));
    }
}

#[test]
fn when_a_transaction_began_is_told_until_the_next_or_a_reload() {
    let mut bench = Bench::new();
    let started = |bench: &mut Bench| match bench.done(Request::Describe("id".into())) {
        Reply::Described(of) => (of.transaction_state, of.transaction_start_time_ms),
        other => panic!("it is known, and not {other:?}"),
    };
    let producer = bench.producer();
    assert_eq!(started(&mut bench), ("Empty".into(), -1));
    let began = bench.now.0;
    assert_eq!(bench.done(add(producer, &[0])), Reply::Done);
    bench.now += 50;
    // Fenced, and with a new epoch.
    assert_eq!(bench.init(None), refused(ErrorCode::ConcurrentTransactions));
    assert_eq!(started(&mut bench), ("CompleteAbort".into(), began));
    bench.producer();
    assert_eq!(started(&mut bench), ("Empty".into(), began));
    assert_eq!(started(&mut bench.reloaded()), ("Empty".into(), -1));
}

#[test]
fn ids_are_listed_by_producer_state_and_age() {
    let mut bench = Bench::new();
    let producer = bench.ongoing();
    let other = Request::InitProducerId {
        transactional_id: "other".into(),
        timeout_ms: TIMEOUT_MS,
        expected: None,
    };
    bench.done(other);
    bench.now += 500;
    let mut listed = |producers: &[i64], states: &[&str], duration_ms| {
        let producers = producers.iter().map(|id| ProducerId(*id));
        let states = states.iter().copied();
        let (filter, unknown) = ListFilter::new(producers, states, duration_ms);
        let Reply::Listed(listed) = bench.done(Request::List(filter, None)) else {
            panic!("lists are not refused");
        };
        let ids: Vec<_> = listed
            .listed
            .iter()
            .map(|of| of.transactional_id.to_string())
            .collect();
        (ids.join(" "), unknown.len())
    };
    assert_eq!(listed(&[], &[], -1), ("id other".into(), 0));
    assert_eq!(listed(&[producer.id.0], &[], -1), ("id".into(), 0));
    assert_eq!(listed(&[5], &[], -1), (String::new(), 0));
    assert_eq!(listed(&[], &["Empty"], -1), ("other".into(), 0));
    assert_eq!(
        listed(&[], &["Empty", "Ongoing"], -1),
        ("id other".into(), 0)
    );
    assert_eq!(listed(&[], &["Nowhere"], -1), (String::new(), 1));
    assert_eq!(listed(&[], &["Nowhere", "Ongoing"], -1), ("id".into(), 1));
    assert_eq!(listed(&[], &["Ongoing"], 499), ("id".into(), 0));
    assert_eq!(listed(&[], &["Ongoing"], 500), (String::new(), 0));
}

impl Bench {
    fn done_without_appends(&mut self, request: Request) -> Reply {
        let token = self.ask(request);
        self.answer_to(token).expect("answered at once")
    }
}
