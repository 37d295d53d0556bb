//! What clients, producers and administrators ask.

use std::collections::BTreeSet;

use coordinator::group::request::{CommitInTransaction, CommitOffsets, Join, ListFilter, Request};
use coordinator::machine::Producer;
use protocol::batch::control::TransactionResult;
use protocol::ids::{ProducerEpoch, ProducerId};
use protocol::messages::heartbeat::HeartbeatRequest;
use protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::client::{Phase, random_id, subscription};
use super::log::{Place, Spoken, Value, understand};
use super::watch::{REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS};
use super::world::{GROUPS, PARTITIONS, Pending, TOPICS, What, World};

impl World {
    /// A client does something that fits what it believes.
    pub fn client_acts(&mut self, n: usize) {
        if self.chance.one_in(40) {
            return self.clients[n].crash();
        }
        match self.clients[n].phase {
            Phase::Outside => self.join(n),
            Phase::Joining | Phase::Syncing if self.chance.one_in(12) => {
                // It gives up waiting and asks again.
                let id = self.clients[n].id.clone();
                self.clients[n].life += 1;
                self.clients[n].rejoin(id);
            }
            Phase::Joining => {}
            Phase::Joined if self.clients[n].is_stuck => self.heartbeat(n),
            Phase::Joined => match self.chance.below(8) {
                0 => self.heartbeat(n),
                1 => self.commit(n),
                2 => {
                    // It missed the answer.
                    let id = self.clients[n].id.clone();
                    self.clients[n].rejoin(id);
                }
                _ => self.sync(n),
            },
            Phase::Syncing => self.heartbeat(n),
            Phase::Consuming => match self.chance.below(12) {
                0 => self.leave(n),
                1 => {
                    self.clients[n].metadata = self.chance.below(3) as u8;
                    let id = self.clients[n].id.clone();
                    self.clients[n].rejoin(id);
                }
                2 if self.chance.one_in(2) => self.old_heartbeat(n),
                2 => self.old_commit(n),
                3..6 => self.commit(n),
                _ => self.heartbeat(n),
            },
        }
    }

    fn join(&mut self, n: usize) {
        let bits = self.chance.bits();
        if self.chance.one_in(10) {
            self.clients[n].protocols = match self.chance.below(3) {
                0 => &["sticky"],
                1 => &["sticky", "range"],
                _ => &["range", "sticky"],
            };
        }
        let client = &mut self.clients[n];
        client.phase = Phase::Joining;
        client.leads = None;
        client.owned.clear();
        let metadata = client.metadata;
        let protocols = client
            .protocols
            .iter()
            .map(|name| JoinGroupRequestProtocol {
                name: (*name).into(),
                metadata: subscription(n, metadata).into(),
            });
        let request = JoinGroupRequest {
            group_id: client.group.into(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: client.id.clone().into(),
            group_instance_id: client.instance.clone().map(Into::into),
            protocol_type: "consumer".into(),
            protocols: protocols.collect(),
            reason: None,
        };
        let join = Join {
            requires_known_id: client.join_version >= 4 && client.instance.is_none(),
            may_skip_assignment: client.join_version >= 9,
            client_id: format!("client-{n}"),
            client_host: "/127.0.0.1".to_owned(),
            random_id: random_id(bits),
            request,
        };
        self.ask(n, What::Join, Request::Join(Box::new(join)));
    }

    fn sync(&mut self, n: usize) {
        let client = &mut self.clients[n];
        client.phase = Phase::Syncing;
        let all = TOPICS.len() * PARTITIONS;
        let assignments = client
            .leads
            .iter()
            .flatten()
            .enumerate()
            .map(|(at, member)| {
                let count = client.leads.as_ref().map_or(1, Vec::len);
                let given: Vec<u8> = (0..all as u8)
                    .filter(|partition| usize::from(*partition) % count == at)
                    .collect();
                SyncGroupRequestAssignment {
                    member_id: member.clone().into(),
                    assignment: given.into(),
                }
            });
        let request = SyncGroupRequest {
            group_id: client.group.into(),
            generation_id: client.generation,
            member_id: client.id.clone().into(),
            group_instance_id: client.instance.clone().map(Into::into),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let generation = client.generation;
        self.ask(n, What::Sync(generation), Request::Sync(Box::new(request)));
    }

    fn heartbeat(&mut self, n: usize) {
        let generation = self.clients[n].generation;
        self.heartbeat_of(n, generation);
    }

    fn old_heartbeat(&mut self, n: usize) {
        self.seen.note("heartbeat of an older generation");
        let generation = self.clients[n].generation;
        self.heartbeat_of(n, generation - 1);
    }

    fn heartbeat_of(&mut self, n: usize, generation: i32) {
        let client = &self.clients[n];
        let request = HeartbeatRequest {
            group_id: client.group.into(),
            generation_id: generation,
            member_id: client.id.clone().into(),
            group_instance_id: client.instance.clone().map(Into::into),
        };
        let what = What::Heartbeat(generation);
        self.ask(n, what, Request::Heartbeat(Box::new(request)));
    }

    fn leave(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let member = MemberIdentity {
            member_id: match client.instance {
                Some(_) => "".into(),
                None => client.id.clone().into(),
            },
            group_instance_id: client.instance.clone().map(Into::into),
            reason: None,
        };
        let request = LeaveGroupRequest {
            group_id: client.group.into(),
            members: vec![member],
            ..Default::default()
        };
        client.rejoin(String::new());
        self.ask(n, What::Leave, Request::Leave(Box::new(request)));
    }

    fn values(&mut self, n: usize) -> Vec<(Place, Value)> {
        let client = &mut self.clients[n];
        client.commits += 1;
        let offset = client.commits * 100 + n as i64;
        self.watch.committed.insert(offset, self.now);
        let metadata = match self.chance.below(8) {
            0 => "far too long to be kept".to_owned(),
            _ => format!("m{n}"),
        };
        let count = 1 + self.chance.below(3);
        let places = (0..count).map(|_| {
            let topic = *self.chance.of(&TOPICS);
            let partition = self.chance.below(PARTITIONS) as i32;
            (
                self.clients[n].group.to_owned(),
                topic.to_owned(),
                partition,
            )
        });
        let mut values: Vec<_> = places
            .map(|place| (place, (offset, metadata.clone())))
            .collect();
        values.sort();
        values.dedup();
        values
    }

    fn commit(&mut self, n: usize) {
        let member = !self.chance.one_in(6);
        self.commit_of(n, member, self.clients[n].generation);
    }

    fn old_commit(&mut self, n: usize) {
        // Below 0 it would be nobody's.
        if self.clients[n].generation > 0 {
            self.seen.note("commit of an older generation");
            self.commit_of(n, true, self.clients[n].generation - 1);
        }
    }

    fn commit_of(&mut self, n: usize, member: bool, generation: i32) {
        let values = self.values(n);
        let generation = if member { generation } else { -1 };
        let client = &self.clients[n];
        let request = OffsetCommitRequest {
            group_id: client.group.into(),
            generation_id_or_member_epoch: generation,
            member_id: if member {
                client.id.clone().into()
            } else {
                "".into()
            },
            group_instance_id: client.instance.clone().filter(|_| member).map(Into::into),
            retention_time_ms: -1,
            topics: values
                .iter()
                .map(
                    |((_, topic, partition), (offset, metadata))| OffsetCommitRequestTopic {
                        name: topic.clone().into(),
                        partitions: vec![OffsetCommitRequestPartition {
                            partition_index: *partition,
                            committed_offset: *offset,
                            committed_leader_epoch: 0,
                            commit_timestamp: -1,
                            committed_metadata: Some(metadata.clone().into()),
                        }],
                    },
                )
                .collect(),
        };
        let what = What::Commit(generation, values);
        let commit = CommitOffsets {
            request,
            batch_bytes_max: None,
        };
        self.ask(n, what, Request::Commit(Box::new(commit)));
    }

    fn producer(&mut self) -> Producer {
        Producer {
            id: ProducerId(1 + self.chance.below(2) as i64),
            epoch: ProducerEpoch(0),
        }
    }

    pub fn commit_in_transaction(&mut self) {
        let n = self.chance.below(self.clients.len());
        let values = self.values(n);
        let producer = self.producer();
        let client = &self.clients[n];
        let member = client.phase == Phase::Consuming;
        let request = TxnOffsetCommitRequest {
            transactional_id: "tx".into(),
            group_id: client.group.into(),
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            generation_id: if member { client.generation } else { -1 },
            member_id: if member {
                client.id.clone().into()
            } else {
                "".into()
            },
            group_instance_id: client.instance.clone().filter(|_| member).map(Into::into),
            topics: values
                .iter()
                .map(
                    |((_, topic, partition), (offset, metadata))| TxnOffsetCommitRequestTopic {
                        name: topic.clone().into(),
                        partitions: vec![TxnOffsetCommitRequestPartition {
                            partition_index: *partition,
                            committed_offset: *offset,
                            committed_leader_epoch: -1,
                            committed_metadata: Some(metadata.clone().into()),
                        }],
                    },
                )
                .collect(),
        };
        let generation = if member { client.generation } else { -1 };
        let what = What::Commit(generation, values);
        self.ask(
            n,
            what,
            Request::TxnCommit(Box::new(CommitInTransaction {
                request,
                batch_bytes_max: None,
            })),
        );
    }

    pub fn end_transaction(&mut self) {
        let producer = self.producer();
        let result = match self.chance.one_in(3) {
            true => TransactionResult::Abort,
            false => TransactionResult::Commit,
        };
        self.pending.push_back(Pending::Marker(producer, result));
    }

    pub fn administer(&mut self) {
        let group = (*self.chance.of(&GROUPS)).to_owned();
        let topic = (*self.chance.of(&TOPICS)).to_owned();
        let (event, request) = match self.chance.below(5) {
            0 => ("group deleted", Request::Delete(group)),
            1 => {
                let partition_index = self.chance.below(PARTITIONS) as i32;
                let request = OffsetDeleteRequest {
                    group_id: group.into(),
                    topics: vec![OffsetDeleteRequestTopic {
                        name: topic.into(),
                        partitions: vec![OffsetDeleteRequestPartition { partition_index }],
                    }],
                };
                ("offsets deleted", Request::DeleteOffsets(Box::new(request)))
            }
            2 => {
                self.ask(
                    0,
                    What::Other("topic deleted"),
                    Request::TopicsDeleted(vec![topic.clone()]),
                );
                self.answers.clear();
                return self.require_that_offsets_go(&topic);
            }
            3 => ("listed", Request::List(ListFilter::default(), None)),
            _ => ("described", Request::Describe(group)),
        };
        self.ask(0, What::Other(event), request);
        self.answers.clear();
    }

    /// A deleted topic's offsets are taken away, also those that are still on their way.
    fn require_that_offsets_go(&self, topic: &str) {
        let mut left: BTreeSet<Place> = self.log.committed().into_keys().collect();
        for pending in &self.pending {
            let Pending::Append(append) = pending else {
                continue;
            };
            for record in &append.records {
                match (understand(record), append.producer) {
                    (Spoken::Of(place, Some(_)), None) => drop(left.insert(place)),
                    (Spoken::Of(place, None), _) => drop(left.remove(&place)),
                    _ => {}
                }
            }
        }
        left.retain(|(_, of, _)| of == topic);
        assert!(left.is_empty(), "A DELETED TOPIC LEAVES NOTHING: {left:?}");
    }
}
