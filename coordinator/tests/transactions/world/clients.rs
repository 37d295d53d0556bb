//! What clients ask, and what they make of the answers.

use super::*;

impl World {
    pub(super) fn let_a_client_ask(&mut self) {
        let client = self.chance.below(CLIENTS);
        if self.clients[client].waits_for.is_some() {
            return;
        }
        let Some(ask) = self.clients[client].next(&mut self.chance, PARTITIONS) else {
            return;
        };
        if matches!(ask, Ask::End(..)) && self.verified.iter().any(|of| of.client == client) {
            return; // It ends a transaction when all its writes are answered.
        }
        if matches!(ask, Ask::Init(Some(_))) && self.chance.percent(50) {
            self.stray_asks.push((client, ask.clone()));
        }
        let token = self.new_token();
        if let Some(request) = self.request_of(client, token, &ask) {
            self.clients[client].waits_for = Some((token, ask.clone()));
            self.submit(token, (client, ask), request);
        }
    }

    pub(super) fn new_token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub(super) fn submit(&mut self, token: Token, (client, ask): (usize, Ask), request: Request) {
        let tag = (client, self.clients[client].transactions);
        self.asked.insert(token, (client, ask, tag));
        let now = self.now;
        self.call(|machine, out| machine.on_request(now, token, request, out));
    }

    /// A request that was sent twice comes the second time, and nobody waits for its answer.
    pub(super) fn let_a_stray_ask_arrive(&mut self) {
        if !self.stray_asks.is_empty() {
            let at = self.chance.below(self.stray_asks.len());
            let (client, ask) = self.stray_asks.swap_remove(at);
            let token = self.new_token();
            let request = self.request_of(client, token, &ask);
            let request = request.expect("an initialisation is always a request");
            self.submit(token, (client, ask), request);
            self.note(Event::AskedTwice);
        }
    }

    /// What the coordinator is asked, if anything: a partition may know the transaction already.
    pub(super) fn request_of(&mut self, client: usize, token: Token, ask: &Ask) -> Option<Request> {
        let tag = (client, self.clients[client].transactions);
        let transactional_id = name(id_of(client));
        Some(match ask {
            Ask::Init(expected) => Request::InitProducerId {
                transactional_id,
                timeout_ms: TIMEOUT_MS,
                expected: *expected,
            },
            Ask::Add(producer, indexes) => Request::AddPartitions {
                transactional_id,
                producer: *producer,
                partitions: indexes.iter().copied().map(topic_partition).collect(),
            },
            Ask::Verify(producer, index) => {
                let partition = &mut self.partitions[*index];
                let verification = Verified {
                    client,
                    producer: *producer,
                    partition: *index,
                    incarnation: partition.incarnation,
                    guard: partition.begin_verification(producer.id),
                    tag,
                };
                if verification.guard.is_none() {
                    // That the transaction open there is the last one, whose marker is on its
                    // way, nobody would notice: only a client that breaks the rules does that.
                    if self.clients[client].added.contains(index) {
                        self.verified.push(verification);
                    }
                    return None;
                }
                self.verifications.insert(token, verification);
                Request::VerifyPartitions {
                    transactional_id,
                    producer: *producer,
                    partitions: [topic_partition(*index)].into(),
                }
            }
            Ask::End(producer, result) | Ask::EndOtherwise(producer, result) => {
                Request::EndTransaction {
                    transactional_id,
                    producer: *producer,
                    result: *result,
                }
            }
        })
    }

    pub(super) fn give_up_waiting(&mut self) {
        let client = self.chance.below(CLIENTS);
        self.clients[client].waits_for = None;
    }

    pub(super) fn replied(&mut self, token: Token, reply: Reply) {
        let (client, ask, tag) = self.asked.remove(&token).expect("answered once");
        let id = id_of(client);
        let verification = self.verifications.remove(&token);
        let waits = self.clients[client]
            .waits_for
            .take_if(|(of, _)| *of == token);
        match reply {
            Reply::Refused(error) => {
                if error == ErrorCode::ProducerFenced {
                    self.note(Event::Fenced);
                }
                if waits.is_some() {
                    self.clients[client].refused(&ask, error);
                }
                return;
            }
            Reply::Producer(given) => {
                self.require_a_newer_producer(id, &ask, given);
                if waits.is_some() {
                    self.clients[client].begin_another();
                    self.clients[client].producer = Some(given);
                }
                return;
            }
            Reply::Done | Reply::Verified(_) => {}
            Reply::Described(_) | Reply::Listed(_) => unreachable!("nobody asks"),
        }
        self.require_the_newest_producer(id, &ask);
        match (ask, reply) {
            (Ask::End(_, result), Reply::Done) => {
                self.note(match result {
                    TransactionResult::Commit => Event::Committed,
                    TransactionResult::Abort => Event::Aborted,
                });
                let before = self.told.insert(tag, result);
                assert!(before.is_none_or(|before| before == result), "told both");
                if waits.is_some() {
                    self.clients[client].begin_another();
                    self.clients[client].ended = Some(result);
                }
            }
            (Ask::EndOtherwise(..), Reply::Done) => panic!("told both: {tag:?}"),
            (Ask::Add(_, added), Reply::Done) => {
                if waits.is_some() {
                    self.clients[client].added.extend(added);
                }
            }
            (Ask::Verify(..), Reply::Verified(of)) => {
                let verification = verification.expect("it was begun");
                if of[0].1 == ErrorCode::None {
                    self.verified.push(verification);
                } else {
                    assert_eq!(of[0].1, ErrorCode::TransactionAbortable);
                    let known = self.clients[client].added.contains(&verification.partition);
                    assert!(!known || waits.is_none(), "what was added is part of it");
                }
            }
            (ask, reply) => panic!("{ask:?} was answered {reply:?}"),
        }
    }

    pub(super) fn write_what_was_verified(&mut self) {
        if self.verified.is_empty() {
            return;
        }
        let at = self.chance.below(self.verified.len());
        let write = self.verified.swap_remove(at);
        let id = id_of(write.client);
        let partition = &mut self.partitions[write.partition];
        if !partition.exists || partition.incarnation != write.incarnation {
            return;
        }
        if !partition.write(write.producer, write.guard, write.tag) {
            return self.note(Event::WriteRefused);
        }
        self.note(Event::Written);
        let newest = self.newest.get(&id);
        assert!(
            newest.is_none_or(|newest| *newest == write.producer),
            "a producer that was replaced by {newest:?} wrote: {:?}",
            write.producer
        );
        self.require_an_open_transaction(id, &write);
    }
}
