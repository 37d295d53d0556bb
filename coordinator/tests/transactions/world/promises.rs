//! What must hold, whatever happens.

use super::*;

impl World {
    /// A record enters the log: it may follow the one before, and what it says was done is done.
    pub(super) fn learn(&mut self, record: &Record) {
        let id = key(&record.key);
        let before = self.recorded.get(&id);
        let Some(value) = &record.value else {
            let may = before.is_none_or(|before| before.state.may_expire());
            assert!(may, "{id} was forgotten in the midst of a transaction");
            self.recorded.remove(&id);
            self.newest.retain(|of, _| name(*of) != id);
            self.fenced.retain(|(of, _)| *of != id);
            self.note(Event::Expired);
            return;
        };
        let after = recorded(value);
        if before.is_none() {
            assert_eq!(after.state, State::Empty, "{id} is new: {after:?}");
        }
        if let Some(before) = before {
            let repeats = after.state == before.state && after.producer == before.producer;
            assert!(
                repeats || after.state.may_follow(before.state),
                "{id}: {before:?} was followed by {after:?}"
            );
            if before.state == State::Ongoing && after.state == State::Ongoing {
                assert!(
                    before.partitions.is_subset(&after.partitions),
                    "{id} lost partitions"
                );
            }
            if before.state == State::Ongoing {
                assert_eq!(before.started_ms, after.started_ms, "{id} began once");
            }
            if before.state == State::Ongoing && before.producer != after.producer {
                let taken = after.producer.epoch.0 - before.producer.epoch.0;
                assert_eq!(taken, 1, "{id} is fenced with one epoch: {after:?}");
                self.fenced.push((id.clone(), before.producer));
            }
        }
        self.recorded.insert(id, after);
    }

    /// A marker is sent only for a decision that is in the log, and says the same.
    pub(super) fn require_a_recorded_decision(&self, markers: &Markers) {
        let of = self.recorded.values();
        let mut of = of.filter(|of| of.producer == markers.producer);
        let decided = of.next().expect("its producer is recorded");
        let state = match markers.result {
            TransactionResult::Commit => State::PrepareCommit,
            TransactionResult::Abort => State::PrepareAbort,
        };
        assert_eq!(decided.state, state, "{markers:?}");
        let mut partitions = markers.partitions.iter();
        assert!(partitions.all(|partition| decided.partitions.contains(partition)));
    }

    /// Who gets an id is newer than all before, or asks again for what it was given.
    pub(super) fn require_a_newer_producer(&mut self, id: usize, ask: &Ask, given: Producer) {
        let before = self.newest.insert(id, given);
        if let Some(before) = before {
            if given.id != before.id {
                self.note(Event::NewProducerId);
            }
            let newer =
                given.id > before.id || (given.id == before.id && given.epoch > before.epoch);
            let again = given == before && matches!(ask, Ask::Init(Some(_)));
            assert!(newer || again, "{ask:?} got {given:?} after {before:?}");
            // Who goes on says that it is the newest; one that was fenced is not.
            if let Ask::Init(Some(expected)) = ask {
                let is_fenced = self.fenced.contains(&(name(id), *expected));
                assert!(
                    again || (before == *expected && !is_fenced),
                    "{expected:?} was replaced by {before:?}, and goes on as {given:?}"
                );
            }
        }
        let recorded = &self.recorded[&name(id)];
        assert_eq!(recorded.producer, given, "what is given is recorded");
    }

    /// A producer that was replaced gets nothing any more.
    pub(super) fn require_the_newest_producer(&self, id: usize, ask: &Ask) {
        let producer = match ask {
            Ask::Init(_) => return,
            Ask::Add(producer, _)
            | Ask::Verify(producer, _)
            | Ask::End(producer, _)
            | Ask::EndOtherwise(producer, _) => producer,
        };
        assert!(
            !self.fenced.contains(&(name(id), *producer)),
            "a fenced producer was served: {ask:?}"
        );
        let newest = self.newest.get(&id);
        assert!(
            newest.is_none_or(|newest| newest == producer),
            "{newest:?} has replaced who was served: {ask:?}"
        );
    }

    /// A write goes only to a partition that is part of the transaction, so that it will get a
    /// marker.
    pub(super) fn require_an_open_transaction(&self, id: usize, write: &Verified) {
        let recorded = &self.recorded[&name(id)];
        let part = recorded
            .partitions
            .contains(&topic_partition(write.partition));
        let open = matches!(
            recorded.state,
            State::Ongoing | State::PrepareCommit | State::PrepareAbort
        );
        assert!(part && open, "a write that would hang: {recorded:?}");
    }

    pub(super) fn require_that_nobody_waits(&self) {
        assert!(self.asked.is_empty(), "unanswered: {:?}", self.asked);
    }

    pub(super) fn require_that_nothing_is_open(&self) {
        for (at, partition) in self.partitions.iter().enumerate() {
            assert!(!partition.has_open_transaction(), "partition {at} hangs");
        }
        for (id, of) in &self.recorded {
            assert!(of.state.may_expire(), "{id} is stuck: {of:?}");
        }
    }

    pub(super) fn require_that_every_id_can_be_used(&mut self) {
        for client in 0..IDS {
            let before = self.newest.get(&client).copied();
            let token = Token(self.next_token);
            self.next_token += 1;
            let ask = Ask::Init(None);
            self.asked
                .insert(token, (client, ask.clone(), (client, u64::MAX)));
            self.clients[client].waits_for = Some((token, ask));
            let (now, transactional_id) = (self.now, name(client));
            let request = Request::InitProducerId {
                transactional_id,
                timeout_ms: 1,
                expected: None,
            };
            self.call(|machine, out| machine.on_request(now, token, request, out));
            self.settle();
            let given = self.clients[client].producer;
            assert!(given.is_some() && given != before, "id {client} is stuck");
        }
    }

    /// What clients were told of their transactions is what readers see.
    pub(super) fn require_that_what_was_told_is_so(&self) {
        for partition in &self.partitions {
            for (tag, outcome) in partition.outcomes() {
                let outcome = outcome.expect("nothing is open");
                if let Some(told) = self.told.get(&tag) {
                    assert_eq!(outcome, *told, "transaction {tag:?}");
                }
            }
        }
    }
}

fn recorded(bytes: &[u8]) -> Recorded {
    let value = TransactionLogValue::decode(&mut Decoder::new(&bytes[2..]), 0).unwrap();
    let topics = value.transaction_partitions.into_iter().flatten();
    let indexes = topics.flat_map(|topic| topic.partition_ids);
    Recorded {
        producer: Producer {
            id: value.producer_id.into(),
            epoch: value.producer_epoch.into(),
        },
        state: State::of_id(value.transaction_status).unwrap(),
        partitions: indexes
            .map(|index| topic_partition(index as usize))
            .collect(),
        started_ms: value.transaction_start_timestamp_ms,
    }
}
