//! Who may commit, which offset holds, and commits too large for one turn.

use protocol::error::ErrorCode;
use protocol::ids::Offset;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use super::{STEPS_MAX, Table};
use crate::group::request::{CommitOffsets, Reply, Request};
use crate::machine::{Machine, Token};

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
fn a_large_commit_that_fits_into_a_batch_is_one() {
    const PARTITIONS: i32 = 1050;
    let mut table = Table::new();
    let token = table.begin_commit("", -1, ("t", PARTITIONS), Some(100_000));
    assert_eq!(table.appends, [PARTITIONS as usize]);
    let all: Vec<_> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    assert_eq!(table.codes(token), Some(all));
}

#[test]
fn a_group_with_very_many_offsets_goes_in_several_turns() {
    const PARTITIONS: i32 = 1050;
    let mut table = Table::new();
    table.begin_commit("", -1, ("t", PARTITIONS), Some(100_000));
    table.appends.clear();
    let token = table.ask(Request::Delete("g".into()));
    assert_eq!(table.answers[&token], Reply::Delete(ErrorCode::None));
    // One for each offset; of a group without members the log has no more.
    assert_eq!(table.appends.iter().sum::<usize>(), PARTITIONS as usize);
    assert_eq!(table.appends.len(), 11);
    assert!(table.appends.iter().all(|records| *records <= STEPS_MAX));
    assert!(table.groups.groups.is_empty());
}
