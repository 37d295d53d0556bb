//! Which committed offsets are forgotten, and when.

use protocol::ids::TimestampMs;
use protocol::records::group::GroupMetadataValue;
use protocol::wire::Encoder;

use super::{STEPS_MAX, Table};
use crate::group::record::group_key;
use crate::machine::Machine;

const HOUR_MS: i64 = 3_600_000;

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
