//! What becomes of answers: they are checked, and the clients act on them.

use coordinator::group::request::Reply;
use coordinator::machine::Token;
use protocol::error::ErrorCode;
use protocol::messages::join_group::JoinGroupResponse;
use protocol::messages::offset_delete::OffsetDeleteResponse;
use protocol::messages::sync_group::SyncGroupResponse;

use super::client::Phase;
use super::log::{Place, Value};
use super::watch::Look;
use super::world::{METADATA_UNITS_MAX, STEPS_MAX, What, World};

impl World {
    /// An answer has come.
    pub fn answered(&mut self, token: Token, reply: Reply) {
        self.invariants.answered_exactly_once(token);
        let asked = self.asked.remove(&token).expect("it was asked");
        let n = asked.client;
        let hears = self.clients[n].life == asked.life;
        match (asked.what, reply) {
            (What::Join, Reply::Join(response)) => self.joined(n, hears, response),
            (What::Sync(generation), Reply::Sync(response)) => {
                self.synced(n, hears, (generation, asked.told_then), &response);
            }
            (What::Heartbeat(generation), Reply::Heartbeat(error)) => {
                self.heartbeat_answered(n, hears, (generation, asked.told_then), error);
            }
            (What::Leave, Reply::Leave(response)) => {
                if response
                    .members
                    .first()
                    .is_some_and(|member| member.error_code == 0)
                {
                    self.seen.note("left");
                }
            }
            (What::Commit(generation, values), reply) => {
                let told_then = asked.told_then;
                self.committed(&asked.look_then, (generation, told_then), &values, &reply);
            }
            (What::Other(event), reply) => {
                if let Reply::DeleteOffsets(response) = &reply {
                    require_not_in_use(&asked.look_then, response);
                }
                if matches!(reply, Reply::Delete(ErrorCode::None)) {
                    self.watch.group_gone(asked.group);
                }
                let succeeded = match &reply {
                    Reply::Delete(error) => *error == ErrorCode::None,
                    Reply::DeleteOffsets(response) => response
                        .topics
                        .iter()
                        .any(|topic| topic.partitions.iter().any(|p| p.error_code == 0)),
                    _ => true,
                };
                if succeeded {
                    self.seen.note(event);
                }
                self.answers.push((token, reply));
            }
            (_, reply) => panic!("{reply:?} answers something else"),
        }
    }

    fn joined(&mut self, n: usize, hears: bool, response: JoinGroupResponse<'static>) {
        let group = self.clients[n].group;
        let error = ErrorCode::from_code(response.error_code).expect("a code");
        if error == ErrorCode::None {
            self.invariants
                .generation_told(group, response.generation_id);
            self.told.insert(group, response.generation_id);
            self.seen.note("joined");
            if response.members.len() > 1 {
                self.seen.note("joined as one of several");
            }
            if response.skip_assignment {
                self.seen.note("skipped assignment");
            }
        }
        if !hears {
            return;
        }
        let client = &mut self.clients[n];
        match error {
            ErrorCode::None => {
                if client.instance.is_some() && client.id.is_empty() {
                    self.seen.note("static member replaced");
                }
                client.id = response.member_id.to_string();
                client.generation = response.generation_id;
                client.phase = Phase::Joined;
                client.is_stuck = self.chance.one_in(12);
                let leads = response.leader == response.member_id && !response.skip_assignment;
                let members = response.members.iter();
                client.leads = leads.then(|| members.map(|m| m.member_id.to_string()).collect());
            }
            ErrorCode::MemberIdRequired => client.rejoin(response.member_id.to_string()),
            ErrorCode::GroupMaxSizeReached => {
                self.seen.note("group full");
                client.rejoin(String::new());
            }
            ErrorCode::FencedInstanceId => {
                self.seen.note("static member fenced");
                client.rejoin(String::new());
            }
            ErrorCode::UnknownMemberId => client.rejoin(String::new()),
            _ => {
                let id = client.id.clone();
                client.rejoin(id);
            }
        }
    }

    fn synced(
        &mut self,
        n: usize,
        hears: bool,
        (generation, told_then): (i32, i32),
        response: &SyncGroupResponse<'static>,
    ) {
        let client = &mut self.clients[n];
        let (group, id) = (client.group, client.id.clone());
        if response.error_code == 0 {
            assert!(generation >= told_then, "NO OLDER GENERATION: a sync");
            let life = *self.lives.get(group).unwrap_or(&0);
            if hears {
                let owner = client.instance.clone().unwrap_or(id);
                self.invariants
                    .handed_out(group, life, generation, &owner, &response.assignment);
            }
            self.seen.note("synced");
        }
        if !hears {
            return;
        }
        let client = &mut self.clients[n];
        match ErrorCode::from_code(response.error_code).expect("a code") {
            ErrorCode::None => {
                client.owned = response.assignment.to_vec();
                client.phase = Phase::Consuming;
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                client.rejoin(String::new());
            }
            _ => {
                let id = client.id.clone();
                client.rejoin(id);
            }
        }
    }

    fn heartbeat_answered(
        &mut self,
        n: usize,
        hears: bool,
        (generation, told_then): (i32, i32),
        error: ErrorCode,
    ) {
        let group = self.clients[n].group;
        match error {
            ErrorCode::None | ErrorCode::RebalanceInProgress => {
                assert!(generation >= told_then, "NO OLDER GENERATION: a heartbeat");
                self.invariants.accepted(group, generation, "a heartbeat");
                self.seen.note("heartbeat accepted");
                let client = &mut self.clients[n];
                if error == ErrorCode::RebalanceInProgress && client.phase == Phase::Consuming {
                    let id = client.id.clone();
                    client.rejoin(id);
                }
            }
            ErrorCode::IllegalGeneration if generation < self.clients[n].generation => {}
            _ if hears && self.clients[n].is_stuck => self.clients[n].rejoin(String::new()),
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId
                if hears && self.clients[n].phase == Phase::Consuming =>
            {
                self.clients[n].rejoin(String::new());
            }
            _ if hears && self.clients[n].phase == Phase::Consuming => {
                let id = self.clients[n].id.clone();
                self.clients[n].rejoin(id);
            }
            _ => {}
        }
    }

    fn committed(
        &mut self,
        look_then: &Look,
        (generation, told_then): (i32, i32),
        values: &[(Place, Value)],
        reply: &Reply,
    ) {
        let (codes, event): (Vec<i16>, _) = match reply {
            Reply::Commit(response) => {
                let topics = response.topics.iter();
                let event = match generation < 0 {
                    true => "committed without membership",
                    false => "committed",
                };
                (
                    topics.map(|topic| topic.partitions[0].error_code).collect(),
                    event,
                )
            }
            Reply::TxnCommit(response) => {
                let topics = response.topics.iter();
                let codes = topics.map(|topic| topic.partitions[0].error_code);
                (codes.collect(), "committed in a transaction")
            }
            other => panic!("{other:?} answers a commit"),
        };
        assert_eq!(codes.len(), values.len(), "a code for each partition");
        if event == "committed" && values.len() > STEPS_MAX && codes.iter().all(|code| *code == 0) {
            self.seen.note("committed in portions");
        }
        for (code, (place, value)) in codes.into_iter().zip(values) {
            if code != 0 {
                self.seen.note("commit refused");
                continue;
            }
            self.seen.note(event);
            let state = &*look_then.state;
            let is_free = match event {
                "committed without membership" => matches!(state, "Empty" | "Dead"),
                "committed" => state != "CompletingRebalance",
                _ => true,
            };
            assert!(
                is_free,
                "WHO MAY COMMIT: {event} in a group that is {state}"
            );
            assert!(
                value.1.encode_utf16().count() <= METADATA_UNITS_MAX,
                "METADATA HAS A LIMIT: {value:?}"
            );
            assert!(
                generation < 0 || generation >= told_then,
                "NO OLDER GENERATION: a commit of {generation}, {told_then} was told"
            );
            assert!(
                self.log.holds(place, value),
                "NOTHING IS LOST: {value:?} of {place:?} is acknowledged and not in the log"
            );
        }
    }
}

/// Offsets of topics that members of a stable group are subscribed to stay.
fn require_not_in_use(look: &Look, response: &OffsetDeleteResponse<'_>) {
    for topic in &response.topics {
        let deleted = topic.partitions.iter().any(|one| one.error_code == 0);
        assert!(
            !deleted || look.state != "Stable" || !look.topics.contains(&*topic.name),
            "WHAT IS IN USE STAYS: {}",
            topic.name
        );
    }
}
