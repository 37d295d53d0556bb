//! Frames of APIs whose requests are decoded whole: as many elements as just pass, and as many as
//! 16 MiB hold.

use chiplog_tests::raw::Body;

use super::frames::{FRAME_BYTES, TOPIC, name};

/// How the node weighs what it decodes: `server/src/request.rs`.
const BASE_BYTES: usize = 24 * 1024 * 1024;
const PER_FRAME_BYTE: usize = 7;
const TIMES: usize = 4;
const BEYOND: usize = 144;

/// One array of a request: what is before it, its elements, what is behind it.
pub struct Many {
    pub what: &'static str,
    pub api_key: i16,
    pub version: i16,
    head: Body,
    tail: Body,
    is_flexible: bool,
    /// An element in memory, and each array in it with one element.
    in_memory: &'static [usize],
    element: fn(Body, i32) -> Body,
}

impl Many {
    /// Of as many elements as the node takes.
    pub fn that_pass(&self) -> Body {
        let wire = (self.element)(Body::new(), 1 << 20).0.len();
        let weigh = |bytes: &usize| TIMES * bytes + BEYOND;
        let weight: usize = self.in_memory.iter().map(weigh).sum();
        let fit = BASE_BYTES.saturating_sub(4096) / weight.saturating_sub(PER_FRAME_BYTE * wire);
        self.of(fit.min(FRAME_BYTES / wire))
    }

    /// Of as many as 16 MiB hold.
    pub fn that_do_not_pass(&self) -> Body {
        let wire = (self.element)(Body::new(), 1 << 20).0.len();
        self.of(FRAME_BYTES / wire)
    }

    fn of(&self, count: usize) -> Body {
        let body = self.head.clone();
        let body = match self.is_flexible {
            true => body.varint_unsigned(1 + count as u32),
            false => body.i32(count as i32),
        };
        (0..count as i32).fold(body, self.element).raw(&self.tail.0)
    }
}

const STRING: usize = 24;
const INT: usize = 4;

fn fixed(what: &'static str, api_key: i16, version: i16) -> Many {
    Many {
        what,
        api_key,
        version,
        head: Body::new(),
        tail: Body::new(),
        is_flexible: false,
        in_memory: &[INT],
        element: |body, n| body.i32(n),
    }
}

/// The header has tagged fields, and so has the body's end.
fn flexible(what: &'static str, api_key: i16, version: i16) -> Many {
    Many {
        head: Body::new().raw(&[0]),
        tail: Body::new().raw(&[0]),
        is_flexible: true,
        ..fixed(what, api_key, version)
    }
}

fn named(body: Body, n: i32) -> Body {
    body.i16(5).raw(&name(n))
}

fn compact(body: Body, n: i32) -> Body {
    body.raw(&[6]).raw(&name(n))
}

fn nothing(body: Body, _: i32) -> Body {
    body.raw(&[1])
}

/// Offsets of groups.
pub fn offsets() -> Vec<Many> {
    let commit = |what, topic: &str| Many {
        head: Body::new()
            .string("g")
            .i32(-1)
            .string("")
            .i64(-1)
            .i32(1)
            .string(topic),
        in_memory: &[48],
        element: |body, n| body.i32(n).i64(n.into()).i16(-1),
        ..fixed(what, 8, 2)
    };
    let transactional = Body::new().string("t").string("g").i64(1).i16(0);
    let delete = Body::new().string("g");
    vec![
        commit("partitions of OffsetCommit 2", "unknown"),
        Many {
            element: |body, n| body.i32(0).i64(n.into()).i16(-1),
            ..commit("times the same partition of OffsetCommit 2", TOPIC)
        },
        Many {
            head: Body::new().string("g").i32(-1).string("").i64(-1),
            in_memory: &[48, 48],
            element: |body, n| named(body, n).i32(1).i32(0).i64(0).i16(-1),
            ..fixed("topics of OffsetCommit 2", 8, 2)
        },
        Many {
            head: Body::new().string("g").i32(1).string(TOPIC),
            ..fixed("partitions of OffsetFetch 1", 9, 1)
        },
        Many {
            head: Body::new().string("g").i32(1).string(TOPIC),
            element: |body, _| body.i32(0),
            ..fixed("times the same partition of OffsetFetch 1", 9, 1)
        },
        Many {
            tail: Body::new().raw(&[0, 0]),
            in_memory: &[80],
            element: |body, n| compact(body, n).raw(&[0, 0]),
            ..flexible("groups of OffsetFetch 8", 9, 8)
        },
        Many {
            head: transactional.clone().i32(1).string("unknown"),
            in_memory: &[40],
            element: |body, n| body.i32(n).i64(0).i16(-1),
            ..fixed("partitions of TxnOffsetCommit 0", 28, 0)
        },
        Many {
            head: transactional.i32(1).string(TOPIC),
            in_memory: &[40],
            element: |body, _| body.i32(0).i64(0).i16(-1),
            ..fixed("times the same partition of TxnOffsetCommit 0", 28, 0)
        },
        Many {
            head: delete.clone().i32(1).string(TOPIC),
            ..fixed("partitions of OffsetDelete 0", 47, 0)
        },
        Many {
            head: delete,
            in_memory: &[48, 4],
            element: |body, n| named(body, n).i32(1).i32(n),
            ..fixed("topics of OffsetDelete 0", 47, 0)
        },
    ]
}

/// Groups and their members.
pub fn groups() -> Vec<Many> {
    let names = |what, api_key| Many {
        in_memory: &[STRING],
        element: named,
        ..fixed(what, api_key, 0)
    };
    vec![
        names("groups of DescribeGroups 0", 15),
        Many {
            element: |body, _| body.i16(0),
            ..names("times no name of DescribeGroups 0", 15)
        },
        names("groups of DeleteGroups 0", 42),
        Many {
            head: Body::new().string("g"),
            in_memory: &[72],
            element: |body, _| body.i16(0).i16(-1),
            ..fixed("members of LeaveGroup 3", 13, 3)
        },
        Many {
            head: Body::new()
                .string("g")
                .i32(10_000)
                .string("")
                .string("consumer"),
            in_memory: &[48],
            element: |body, n| named(body, n).i32(0),
            ..fixed("protocols of JoinGroup 0", 11, 0)
        },
        Many {
            head: Body::new().string("g").i32(1).string("m"),
            in_memory: &[48],
            element: |body, n| named(body, n).i32(0),
            ..fixed("assignments of SyncGroup 0", 14, 0)
        },
        Many {
            tail: Body::new().raw(&[1, 0]),
            in_memory: &[STRING],
            element: compact,
            ..flexible("states of ListGroups 5", 16, 5)
        },
        Many {
            tail: Body::new().raw(&[0, 0]),
            in_memory: &[STRING],
            element: nothing,
            ..flexible("groups of ConsumerGroupDescribe 0", 69, 0)
        },
    ]
}

/// Transactions.
pub fn transactions() -> Vec<Many> {
    let add = Body::new().string("t").i64(1).i16(0).i32(1);
    let of_topic = |topic: &str| {
        let head = Body::new().raw(&[0, 2, 1 + topic.len() as u8]);
        head.raw(topic.as_bytes())
    };
    vec![
        Many {
            head: add.clone().string("unknown"),
            ..fixed("partitions of AddPartitionsToTxn 0", 24, 0)
        },
        Many {
            in_memory: &[64],
            element: |body, n| compact(body, n).i64(1).i16(0).raw(&[0, 1, 0]),
            ..flexible("transactions of AddPartitionsToTxn 4", 24, 4)
        },
        Many {
            in_memory: &[40],
            element: |body, n| body.i64(n.into()).i16(0).i8(0).i32(0).i32(0),
            ..fixed("markers of WriteTxnMarkers 0", 27, 0)
        },
        Many {
            head: Body::new().i32(1).i64(1).i16(0).i8(0).i32(1).string("u"),
            tail: Body::new().i32(0),
            ..fixed("partitions of WriteTxnMarkers 0", 27, 0)
        },
        Many {
            head: of_topic("unknown"),
            tail: Body::new().raw(&[0, 0]),
            ..flexible("partitions of DescribeProducers 0", 61, 0)
        },
        Many {
            head: of_topic("?"),
            tail: Body::new().raw(&[0, 0]),
            ..flexible("partitions of no topic of DescribeProducers 0", 61, 0)
        },
        Many {
            head: of_topic(TOPIC),
            tail: Body::new().raw(&[0, 0]),
            element: |body, _| body.i32(0),
            ..flexible("times the same partition of DescribeProducers 0", 61, 0)
        },
        Many {
            in_memory: &[STRING],
            element: compact,
            ..flexible("ids of DescribeTransactions 0", 65, 0)
        },
        Many {
            tail: Body::new().raw(&[1]).i64(-1).raw(&[0]),
            in_memory: &[STRING],
            element: compact,
            ..flexible("states of ListTransactions 1", 66, 1)
        },
        Many {
            head: Body::new().raw(&[0, 1]),
            tail: Body::new().i64(-1).raw(&[0]),
            in_memory: &[8],
            element: |body, n| body.i64(n.into()),
            ..flexible("producers of ListTransactions 1", 66, 1)
        },
    ]
}

/// What administrators send.
pub fn administration() -> Vec<Many> {
    let one_topic = || Body::new().i32(1).string("unknown");
    vec![
        Many {
            head: one_topic(),
            tail: Body::new().i32(1000),
            ..fixed("partitions of ElectLeaders 0", 43, 0)
        },
        Many {
            head: Body::new().raw(&[0]).i32(1000).raw(&[2, 2, b'u']),
            tail: Body::new().raw(&[0, 0]),
            in_memory: &[32],
            element: |body, n| body.i32(n).raw(&[0, 0]),
            ..flexible("partitions of AlterPartitionReassignments 0", 45, 0)
        },
        Many {
            head: Body::new().raw(&[0]).i32(1000).raw(&[2, 2, b'u']),
            tail: Body::new().raw(&[0, 0]),
            ..flexible("partitions of ListPartitionReassignments 0", 46, 0)
        },
        Many {
            tail: Body::new().i8(0),
            in_memory: &[56],
            element: |body, n| named(body, n).i8(0).i16(0),
            ..fixed("components of DescribeClientQuotas 0", 48, 0)
        },
        Many {
            tail: Body::new().i8(1),
            in_memory: &[48],
            element: |body, _| body.i32(0).i32(0),
            ..fixed("entries of AlterClientQuotas 0", 49, 0)
        },
        Many {
            tail: Body::new().raw(&[0]),
            in_memory: &[STRING],
            element: |body, n| compact(body, n).raw(&[0]),
            ..flexible("users of DescribeUserScramCredentials 0", 50, 0)
        },
        Many {
            tail: Body::new().raw(&[1, 0]),
            in_memory: &[32],
            element: |body, n| compact(body, n).i8(1).raw(&[0]),
            ..flexible("deletions of AlterUserScramCredentials 0", 51, 0)
        },
        Many {
            head: Body::new().raw(&[0, 1]),
            tail: Body::new().raw(&[0]),
            in_memory: &[80],
            element: |body, n| compact(body, n).i8(1).i32(1).raw(&[1, 1, 0]),
            ..flexible("upsertions of AlterUserScramCredentials 0", 51, 0)
        },
        Many {
            in_memory: &[80],
            element: |body, n| named(body.i8(2), n).i8(3).i16(0).i16(0).i8(3).i8(3),
            ..fixed("rules of CreateAcls 1", 30, 1)
        },
        Many {
            head: Body::new().raw(&[0]).i32(1000),
            tail: Body::new().raw(&[1, 0]),
            in_memory: &[32],
            element: |body, n| compact(body, n).i16(1).raw(&[1, 0]),
            ..flexible("features of UpdateFeatures 1", 57, 1)
        },
        Many {
            head: Body::new().raw(&[0, 2, 2, b'u']),
            tail: Body::new().raw(&[0, 0]),
            element: |body, n| body.i32(n).raw(&[0]),
            ..flexible("partitions of DescribeQuorum 0", 55, 0)
        },
        Many {
            tail: Body::new().i32(2000).raw(&[255, 0]),
            in_memory: &[STRING],
            element: |body, n| compact(body, n).raw(&[0]),
            ..flexible("topics of DescribeTopicPartitions 0", 75, 0)
        },
        Many {
            head: one_topic(),
            ..fixed("partitions of DescribeLogDirs 0", 35, 0)
        },
        Many {
            head: Body::new().i32(1).string("/").i32(1).string("u"),
            ..fixed("partitions of AlterReplicaLogDirs 0", 34, 0)
        },
    ]
}
