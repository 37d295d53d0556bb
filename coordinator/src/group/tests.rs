//! Groups as their members see them, step by step; what random schedules do not look at.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::error::ErrorCode;
use protocol::ids::{Offset, TimestampMs, Uuid};
use protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::records::consumer_protocol::ConsumerProtocolSubscription;
use protocol::records::group::GroupMetadataValue;
use protocol::wire::Encoder;

use super::record::group_key;
use super::request::{CommitOffsets, FetchOffsets, Join, Reply, Request};
use super::{Groups, Settings};
use crate::machine::{Action, BatchOrigin, Machine, Token};

const HOUR_MS: i64 = 3_600_000;
const STEPS_MAX: usize = 100;

/// A machine whose appends succeed at once.
struct Table {
    groups: Groups,
    now: TimestampMs,
    last: u64,
    end: i64,
    log: Vec<(Vec<u8>, Vec<u8>)>,
    answers: BTreeMap<Token, Reply>,
}

impl Table {
    fn new() -> Table {
        Table::with_log(&[])
    }

    /// A machine that has read these keys and values.
    fn with_log(log: &[(Vec<u8>, Vec<u8>)]) -> Table {
        let settings = Settings {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(60),
            initial_rebalance_delay: Duration::from_secs(3),
            members_max: 10,
            offset_metadata_max: 8,
            offsets_retention: Duration::from_secs(3600),
            offsets_retention_check_interval: Duration::from_secs(60),
            steps_max: STEPS_MAX,
        };
        let mut table = Table {
            groups: Groups::new(settings),
            now: TimestampMs(1_000_000),
            last: 0,
            end: 0,
            log: Vec::new(),
            answers: BTreeMap::new(),
        };
        let origin = BatchOrigin {
            producer: None,
            timestamp: table.now,
        };
        for (key, value) in log {
            let at = Offset(table.end);
            let replayed = table.groups.replay(&origin, at, key, Some(value));
            replayed.expect("it is a record of a group");
            table.end += 1;
        }
        let mut out = Vec::new();
        table.groups.on_loaded(table.now, &mut out);
        table.carry_out(out);
        table
    }

    fn carry_out(&mut self, actions: Vec<Action<Groups>>) {
        for action in actions {
            match action {
                Action::Reply(token, reply) => {
                    assert_eq!(self.answers.insert(token, reply), None, "answered once");
                }
                Action::Append(append) => {
                    let at = Offset(self.end);
                    self.end += append.records.len() as i64;
                    let values = append.records.into_iter();
                    let values = values.filter_map(|record| Some((record.key, record.value?)));
                    self.log.extend(values);
                    let mut out = Vec::new();
                    self.groups
                        .on_appended(self.now, append.write, Ok(at), &mut out);
                    self.carry_out(out);
                }
                Action::Effect(effect) => match effect {},
            }
        }
    }

    fn ask(&mut self, request: Request) -> Token {
        self.last += 1;
        let token = Token(self.last);
        let mut out = Vec::new();
        self.groups.on_request(self.now, token, request, &mut out);
        self.carry_out(out);
        token
    }

    /// The records that `events` bring into the log.
    fn records_of(&mut self, events: impl FnOnce(&mut Table)) -> Vec<(Vec<u8>, Vec<u8>)> {
        let before = self.log.len();
        events(self);
        self.log[before..].to_vec()
    }

    fn pass(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(at) = self.groups.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.groups.on_time(self.now, &mut out);
            self.carry_out(out);
        }
        self.now = until;
    }

    fn join(&mut self, request: JoinGroupRequest<'static>, version: i16) -> Token {
        self.ask(Request::Join(Box::new(Join {
            requires_known_id: version >= 4 && request.group_instance_id.is_none(),
            may_skip_assignment: version >= 9,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            random_id: Uuid([self.last as u8; 16]),
            request,
        })))
    }

    fn joined(&self, token: Token) -> Option<&JoinGroupResponse<'static>> {
        match self.answers.get(&token)? {
            Reply::Join(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self, token: Token) -> ErrorCode {
        let response = self.joined(token).expect("it is answered");
        ErrorCode::from_code(response.error_code).expect("a code")
    }

    /// Commits offset 7 for the first partitions of a topic.
    fn begin_commit(
        &mut self,
        member: &str,
        generation: i32,
        (topic, partitions): (&str, i32),
        batch_bytes_max: Option<usize>,
    ) -> Token {
        let partition = |partition_index| OffsetCommitRequestPartition {
            partition_index,
            committed_offset: 7,
            commit_timestamp: -1,
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: generation,
            member_id: member.to_owned().into(),
            retention_time_ms: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: topic.to_owned().into(),
                partitions: (0..partitions).map(partition).collect(),
            }],
            ..Default::default()
        };
        self.ask(Request::Commit(Box::new(CommitOffsets {
            request,
            batch_bytes_max,
        })))
    }

    /// The partitions and error codes that a commit was answered with, if it was.
    fn codes(&self, token: Token) -> Option<Vec<(i32, i16)>> {
        let Reply::Commit(response) = self.answers.get(&token)? else {
            panic!("a commit is answered as one");
        };
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        Some(
            partitions
                .map(|partition| (partition.partition_index, partition.error_code))
                .collect(),
        )
    }

    fn commit(&mut self, member: &str, generation: i32, topic: &str) -> i16 {
        let token = self.begin_commit(member, generation, (topic, 1), None);
        match &self.answers[&token] {
            Reply::Commit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    fn committed(&self) -> Vec<String> {
        let fetch = FetchOffsets {
            group: "g".to_owned(),
            topics: None,
            require_stable: false,
        };
        let told = self.groups.fetch_offsets(&fetch);
        told.topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    }

    /// A group of one consumer of topic `t`, in its first generation.
    fn consumer(&mut self) -> String {
        let token = self.join(of_consumer(&[("range", "t")]), 3);
        self.pass(3000);
        let id = self
            .joined(token)
            .expect("it is let in")
            .member_id
            .to_string();
        let sync = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: 1,
            member_id: id.clone().into(),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: id.clone().into(),
                assignment: vec![1].into(),
            }],
            ..Default::default()
        };
        let token = self.ask(Request::Sync(Box::new(sync)));
        assert!(matches!(&self.answers[&token], Reply::Sync(told) if *told.assignment == [1]));
        id
    }
}

fn of_consumer(protocols: &[(&'static str, &'static str)]) -> JoinGroupRequest<'static> {
    let protocols = protocols.iter().map(|(name, topic)| {
        let subscription = ConsumerProtocolSubscription {
            topics: vec![(*topic).into()],
            ..Default::default()
        };
        let mut encoder = Encoder::new();
        encoder.i16(1);
        subscription
            .encode(&mut encoder, 1)
            .expect("it has this version");
        JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: encoder.finish().bytes.into(),
        }
    });
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 20_000,
        protocol_type: "consumer".into(),
        protocols: protocols.collect(),
        ..Default::default()
    }
}

#[test]
fn a_member_comes_back_with_its_id_from_version_4_on() {
    let mut table = Table::new();
    let first = table.join(of_consumer(&[("range", "t")]), 4);
    assert_eq!(table.refusal(first), ErrorCode::MemberIdRequired);
    let id = table.joined(first).expect("answered").member_id.clone();
    assert!(id.starts_with("client-"), "{id}");
    let again = table.join(
        JoinGroupRequest {
            member_id: id.clone(),
            ..of_consumer(&[("range", "t")])
        },
        4,
    );
    table.pass(2999);
    assert_eq!(table.joined(again), None, "the first rebalance is put off");
    table.pass(1);
    let response = table.joined(again).expect("it is let in");
    assert_eq!((response.generation_id, &response.leader), (1, &id));
    // One that does not come back is forgotten.
    let other = table.join(of_consumer(&[("range", "t")]), 4);
    let other_id = table.joined(other).expect("answered").member_id.clone();
    table.pass(60_000);
    let late = JoinGroupRequest {
        member_id: other_id,
        ..of_consumer(&[("range", "t")])
    };
    let late = table.join(late, 4);
    assert_eq!(table.refusal(late), ErrorCode::UnknownMemberId);
}

#[test]
fn members_choose_the_protocol_that_all_know_by_votes() {
    let mut table = Table::new();
    let preferences: [&[(&str, &str)]; 3] = [
        &[("a", "t"), ("b", "t"), ("c", "t")],
        &[("c", "t"), ("b", "t")],
        &[("b", "t"), ("c", "t")],
    ];
    let tokens = preferences.map(|protocols| table.join(of_consumer(protocols), 3));
    let stranger = table.join(of_consumer(&[("a", "t")]), 3);
    assert_eq!(
        table.refusal(stranger),
        ErrorCode::InconsistentGroupProtocol
    );
    let connect = JoinGroupRequest {
        protocol_type: "connect".into(),
        ..of_consumer(&[("b", "t")])
    };
    let connect = table.join(connect, 3);
    assert_eq!(table.refusal(connect), ErrorCode::InconsistentGroupProtocol);
    table.pass(10_000);
    for token in tokens {
        let response = table.joined(token).expect("it is let in");
        assert_eq!(response.protocol_name.as_deref(), Some("b"));
    }
}

#[test]
fn session_timeouts_have_limits() {
    let mut table = Table::new();
    for session_timeout_ms in [5999, 60_001] {
        let request = JoinGroupRequest {
            session_timeout_ms,
            ..of_consumer(&[("range", "t")])
        };
        let token = table.join(request, 3);
        assert_eq!(table.refusal(token), ErrorCode::InvalidSessionTimeout);
    }
}

#[test]
fn commits_are_for_members_of_the_generation_or_for_empty_groups() {
    let mut table = Table::new();
    assert_eq!(
        table.commit("", 1, "t"),
        ErrorCode::IllegalGeneration.code()
    );
    assert_eq!(table.commit("", -1, "t"), 0);
    let id = table.consumer();
    assert_eq!(table.commit(&id, 1, "t"), 0);
    assert_eq!(
        table.commit(&id, 2, "t"),
        ErrorCode::IllegalGeneration.code()
    );
    assert_eq!(
        table.commit("other", 1, "t"),
        ErrorCode::UnknownMemberId.code()
    );
    assert_eq!(table.commit("", -1, "t"), ErrorCode::UnknownMemberId.code());
}

#[test]
fn offsets_without_a_group_expire_after_their_last_commit() {
    let mut table = Table::new();
    table.commit("", -1, "t");
    table.pass(HOUR_MS - 1000);
    assert_eq!(table.committed(), ["t"]);
    table.commit("", -1, "u");
    table.pass(61_000);
    assert_eq!(table.committed(), ["u"]);
    table.pass(HOUR_MS);
    assert!(table.committed().is_empty());
    assert!(
        table.groups.groups.is_empty(),
        "nothing is left of the group"
    );
}

#[test]
fn offsets_of_topics_that_are_consumed_do_not_expire() {
    let mut table = Table::new();
    let id = table.consumer();
    table.commit(&id, 1, "t");
    table.commit(&id, 1, "former");
    for _ in 0..70 {
        table.pass(59_000);
        assert_eq!(table.commit(&id, 1, "other"), 0, "it is alive");
    }
    assert_eq!(table.committed(), ["other", "t"]);
    // Without members they all expire, when the group has been empty for so long.
    table.pass(HOUR_MS);
    assert_eq!(table.committed(), ["other", "t"]);
    table.pass(200_000);
    assert!(table.committed().is_empty());
}

#[test]
fn of_two_offsets_for_a_partition_in_one_commit_the_last_holds() {
    let mut table = Table::new();
    let partition = |committed_offset| OffsetCommitRequestPartition {
        committed_offset,
        commit_timestamp: -1,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        retention_time_ms: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition(7), partition(8)],
        }],
        ..Default::default()
    };
    table.ask(Request::Commit(Box::new(CommitOffsets {
        request,
        batch_bytes_max: None,
    })));
    let group = &table.groups.groups["g"];
    let held = group.offsets.committed("t", 0).expect("it is committed");
    assert_eq!(held.offset, Offset(8), "as a replay of the log gives it");
}

#[test]
fn offsets_of_a_group_that_old_records_tell_of_expire_after_their_last_commit() {
    let record = |version: i16, encode: &dyn Fn(&mut Encoder)| {
        let mut encoder = Encoder::new();
        encoder.i16(version);
        encode(&mut encoder);
        encoder.finish().bytes
    };
    let mut earlier = Table::new();
    earlier.now = TimestampMs(earlier.now.0 - 2 * HOUR_MS);
    let committed = earlier.records_of(|table| {
        table.commit("", -1, "t");
    });
    // Version 1 does not say since when the group is as it is.
    let group = record(1, &|encoder| {
        let value = GroupMetadataValue {
            protocol_type: "consumer".into(),
            generation: 3,
            ..Default::default()
        };
        value.encode(encoder, 1).expect("it has this version");
    });
    let mut log = vec![(group_key("g"), group)];
    log.extend(committed);
    let mut table = Table::with_log(&log);
    assert_eq!(table.committed(), ["t"]);
    table.pass(1);
    assert!(table.committed().is_empty());
}

#[test]
fn what_a_consumer_subscribes_to_is_known_whatever_follows_it() {
    let mut table = Table::new();
    let mut request = of_consumer(&[("range", "t")]);
    // Version 3 without all that it has beyond version 0, as some clients send it.
    let metadata = &mut request.protocols[0].metadata;
    let mut bytes = metadata.to_vec();
    bytes.truncate(bytes.len() - 4);
    bytes[1] = 3;
    *metadata = bytes.into();
    let token = table.join(request, 3);
    table.pass(3000);
    assert_eq!(table.refusal(token), ErrorCode::None);
    let mut delete = |topic: &'static str| {
        let token = table.ask(Request::DeleteOffsets(Box::new(OffsetDeleteRequest {
            group_id: "g".into(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
            }],
        })));
        match &table.answers[&token] {
            Reply::DeleteOffsets(told) => told.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete("t"), ErrorCode::GroupSubscribedToTopic.code());
    assert_eq!(delete("former"), ErrorCode::None.code());
}

#[test]
fn who_is_gone_leaves_no_deadline_behind() {
    let mut table = Table::new();
    let deadlines = |table: &Table| table.groups.alarms.len();
    let leave = |table: &mut Table, id: &str| {
        table.ask(Request::Leave(Box::new(LeaveGroupRequest {
            group_id: "g".into(),
            members: vec![MemberIdentity {
                member_id: id.to_owned().into(),
                ..Default::default()
            }],
            ..Default::default()
        })))
    };
    let stays = table.consumer();
    let before = deadlines(&table);
    for version in [3, 4] {
        for _ in 0..5 {
            let token = table.join(of_consumer(&[("range", "t")]), version);
            if version >= 4 {
                let id = table.joined(token).expect("answered").member_id.to_string();
                leave(&mut table, &id);
            }
        }
        let ids = table.groups.groups["g"].member_ids();
        for id in ids.iter().filter(|id| ***id != stays) {
            leave(&mut table, id);
        }
        // The group waits for the one who stays, until a deadline of its own.
        assert_eq!(deadlines(&table), before + 1, "version {version}");
    }
}

#[test]
fn a_large_commit_takes_one_turn_for_so_many_partitions() {
    const PARTITIONS: i32 = 1050;
    let turns_of = |table: &mut Table, token: Token| {
        let mut turns = 1;
        while table.codes(token).is_none() {
            let before = table.end;
            table.pass(1);
            turns += 1;
            assert!(table.end - before <= STEPS_MAX as i64, "turn {turns}");
        }
        turns
    };
    let mut table = Table::new();
    let token = table.begin_commit("", -1, ("t", PARTITIONS), None);
    assert_eq!(table.end, STEPS_MAX as i64, "the first turn");
    // Others are heard meanwhile, and commit.
    assert_eq!(table.commit("", -1, "other"), 0);
    assert_eq!(turns_of(&mut table, token), 11);
    let all: Vec<_> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    assert_eq!(table.codes(token).as_ref(), Some(&all));
    assert_eq!(table.end, i64::from(PARTITIONS) + 1);
    assert_eq!(table.committed().len(), 2);

    // What is too large for one batch is written neither whole nor in part.
    let end = table.end;
    let token = table.begin_commit("", -1, ("t", PARTITIONS), Some(10_000));
    assert_eq!(turns_of(&mut table, token), 11);
    let code = ErrorCode::InvalidCommitOffsetSize.code();
    let refused: Vec<_> = all
        .iter()
        .map(|(partition, _)| (*partition, code))
        .collect();
    assert_eq!(table.codes(token), Some(refused));
    assert_eq!(table.end, end);
}

#[test]
fn a_large_commit_that_has_not_ended_is_answered_when_the_partition_goes() {
    let mut table = Table::new();
    let token = table.begin_commit("", -1, ("t", 250), None);
    let second = table.begin_commit("", -1, ("u", 150), None);
    let mut out = Vec::new();
    table.groups.on_unload(&mut out);
    table.carry_out(out);
    let gone = ErrorCode::NotCoordinator.code();
    let expected = |partition| (partition, if partition < 100 { 0 } else { gone });
    assert_eq!(table.codes(token), Some((0..250).map(expected).collect()));
    assert_eq!(
        table.codes(second),
        Some((0..150).map(|n| (n, gone)).collect())
    );
}

#[test]
fn old_offsets_are_looked_for_so_many_in_a_turn() {
    const PARTITIONS: i32 = 1050;
    let mut table = Table::new();
    let token = table.begin_commit("", -1, ("t", PARTITIONS), None);
    table.pass(100);
    assert!(table.codes(token).is_some());
    let (mut turns, mut tombstones) = (0, 0);
    while !table.committed().is_empty() {
        let before = table.end;
        let deadline = table.groups.next_deadline().expect("it looks again");
        table.now = deadline;
        let mut out = Vec::new();
        table.groups.on_time(table.now, &mut out);
        table.carry_out(out);
        let written = table.end - before;
        assert!(written <= STEPS_MAX as i64, "{written}");
        tombstones += written;
        turns += i64::from(written > 0);
        assert!(table.now.0 < 2 * HOUR_MS, "they are old by now");
    }
    assert_eq!((turns, tombstones), (11, i64::from(PARTITIONS)));
}
