//! Groups as their members see them, step by step; what random schedules do not look at.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::error::ErrorCode;
use protocol::ids::{Offset, TimestampMs, Uuid};
use protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::records::consumer_protocol::ConsumerProtocolSubscription;
use protocol::wire::Encoder;

use super::request::{CommitOffsets, FetchOffsets, Join, Reply, Request};
use super::{Groups, Settings};
use crate::machine::{Action, BatchOrigin, Machine, Token};

mod commit;
mod expiry;
mod membership;

const STEPS_MAX: usize = 100;

/// A machine whose appends succeed at once.
struct Table {
    groups: Groups,
    now: TimestampMs,
    last: u64,
    end: i64,
    log: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many records each append had.
    appends: Vec<usize>,
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
            appends: Vec::new(),
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
                    self.appends.push(append.records.len());
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
