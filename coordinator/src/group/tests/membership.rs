//! Who is let into a group, with which protocol and subscription, and what is left of who goes.

use protocol::error::ErrorCode;
use protocol::messages::join_group::JoinGroupRequest;
use protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

use super::{Table, of_consumer};
use crate::group::request::{Reply, Request};

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
