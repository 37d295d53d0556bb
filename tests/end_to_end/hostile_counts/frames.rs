//! Frames of 16 MiB that name as many things as an API lets them.

use chiplog_tests::raw::{
    Body, CREATE_TOPICS, DELETE_TOPICS, FETCH, FIND_COORDINATOR, LIST_OFFSETS, METADATA,
    OFFSET_FOR_LEADER_EPOCH, PRODUCE,
};

pub const FRAME_BYTES: usize = 16 * 1024 * 1024;
pub const TOPIC: &str = "known";

const DELETE_RECORDS: i16 = 21;
const DESCRIBE_CONFIGS: i16 = 32;
pub const ALTER_CONFIGS: i16 = 33;
const CREATE_PARTITIONS: i16 = 37;
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;

/// A frame that names many things.
pub struct Case {
    pub what: &'static str,
    pub api_key: i16,
    pub version: i16,
    pub body: Body,
    /// How long the answer is, if it is told.
    pub answer_bytes: Option<usize>,
}

/// `count` elements that `element` makes.
pub fn many(count: usize, element: impl Fn(Body, i32) -> Body) -> Body {
    (0..count as i32).fold(Body::new(), element)
}

/// The answer of a fixed layout: correlation id, what is around the elements, the elements.
pub fn fixed(around: usize, each: usize, count: usize) -> Option<usize> {
    Some(4 + around + each * count)
}

pub fn produce(topic: &str) -> Case {
    let count = FRAME_BYTES / 6;
    let head = Body::new().raw(&[0, 0]).i16(-1).i32(1000);
    let topics = head
        .varint_unsigned(2)
        .varint_unsigned(1 + topic.len() as u32);
    let parts = topics
        .raw(topic.as_bytes())
        .varint_unsigned(1 + count as u32);
    // The partition, records that are null, no tagged fields.
    let each = many(count, |body, n| match topic {
        TOPIC => body.i32(0).raw(&[0, 0]),
        _ => body.i32(n).raw(&[0, 0]),
    });
    Case {
        what: "partitions of Produce 9",
        api_key: PRODUCE,
        version: 9,
        body: parts.raw(&each.0).raw(&[0, 0]),
        answer_bytes: fixed(1 + 1 + 1 + topic.len() + 4 + 1 + 4 + 1, 33, count),
    }
}

pub fn fetch(version: i16, topic: &str) -> Case {
    let count = FRAME_BYTES / 16;
    let head = Body::new().i32(-1).i32(500).i32(1);
    let head = match version {
        ..3 => head,
        3 => head.i32(1 << 20),
        _ => head.i32(1 << 20).i8(0),
    };
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n })
            .i64(0)
            .i32(1 << 20)
    });
    let head = head.i32(1).string(topic).i32(count as i32);
    // A partition that is there is answered once, however often it is named.
    let answered = if topic == TOPIC { 1 } else { count };
    Case {
        what: "partitions of Fetch",
        api_key: FETCH,
        version,
        body: head.raw(&each.0),
        answer_bytes: match version {
            0 => fixed(4 + 2 + topic.len() + 4, 18, answered),
            _ => fixed(4 + 4 + 2 + topic.len() + 4, 30, answered),
        },
    }
}

/// The first fetch of a session, of partitions that are not there.
pub fn fetch_session() -> Case {
    let count = FRAME_BYTES / 33;
    let head = Body::new().raw(&[0]).i32(-1).i32(500).i32(1).i32(1 << 20);
    let head = head.i8(0).i32(0).i32(0).varint_unsigned(2);
    let head = head
        .varint_unsigned(8)
        .raw(b"unknown")
        .varint_unsigned(1 + count as u32);
    let each = many(count, |body, n| {
        body.i32(n).i32(-1).i64(0).i32(-1).i64(-1).i32(1).raw(&[0])
    });
    Case {
        what: "partitions of a session, Fetch 12",
        api_key: FETCH,
        version: 12,
        body: head.raw(&each.0).raw(&[0, 1, 1, 0]),
        answer_bytes: fixed(1 + 4 + 2 + 4 + 1 + 8 + 3 + 2, 37, count),
    }
}

pub fn list_offsets(topic: &str) -> Case {
    let count = FRAME_BYTES / 12;
    let head = Body::new()
        .i32(-1)
        .i8(0)
        .i32(1)
        .string(topic)
        .i32(count as i32);
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n }).i64(-1)
    });
    Case {
        what: "partitions of ListOffsets 2",
        api_key: LIST_OFFSETS,
        version: 2,
        body: head.raw(&each.0),
        answer_bytes: fixed(4 + 4 + 2 + topic.len() + 4, 22, count),
    }
}

pub fn offset_for_leader_epoch(topic: &str) -> Case {
    let count = FRAME_BYTES / 12;
    let head = Body::new().i32(1).string(topic).i32(count as i32);
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n }).i32(-1).i32(0)
    });
    Case {
        what: "partitions of OffsetForLeaderEpoch 2",
        api_key: OFFSET_FOR_LEADER_EPOCH,
        version: 2,
        body: head.raw(&each.0),
        answer_bytes: fixed(4 + 4 + 2 + topic.len() + 4, 18, count),
    }
}

pub fn delete_records(topic: &str) -> Case {
    let count = FRAME_BYTES / 12;
    let head = Body::new().i32(1).string(topic).i32(count as i32);
    let each = many(count, |body, n| {
        body.i32(if topic == TOPIC { 0 } else { n }).i64(0)
    });
    Case {
        what: "partitions of DeleteRecords 0",
        api_key: DELETE_RECORDS,
        version: 0,
        body: head.raw(&each.0).i32(1000),
        answer_bytes: fixed(4 + 4 + 2 + topic.len() + 4, 14, count),
    }
}

/// Four letters by a number below 26^4, and past that five.
pub fn name(n: i32) -> [u8; 5] {
    let letter = |n: i32| b'a' + (n % 26) as u8;
    [
        letter(n),
        letter(n / 26),
        letter(n / 676),
        letter(n / 17_576),
        letter(n / 456_976),
    ]
}

pub fn metadata_of_names() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)));
    Case {
        what: "names of Metadata 4",
        api_key: METADATA,
        version: 4,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

pub fn metadata_of_one_name() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, _| body.i16(5).raw(TOPIC.as_bytes()));
    Case {
        what: "times the same name of Metadata 4",
        api_key: METADATA,
        version: 4,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

pub fn metadata_of_ids() -> Case {
    let count = FRAME_BYTES / 18;
    let each = many(count, |body, n| body.i64(1).i64(i64::from(n)).raw(&[0, 0]));
    let head = Body::new().raw(&[0]).varint_unsigned(1 + count as u32);
    Case {
        what: "ids of Metadata 12",
        api_key: METADATA,
        version: 12,
        body: head.raw(&each.0).raw(&[0, 0, 0]),
        answer_bytes: None,
    }
}

pub fn describe_configs(name: &str) -> Case {
    let count = FRAME_BYTES / (7 + name.len());
    let each = many(count, |body, _| body.i8(2).string(name).i32(-1));
    Case {
        what: "resources of DescribeConfigs 1",
        api_key: DESCRIBE_CONFIGS,
        version: 1,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

pub fn describe_configs_of_keys() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)));
    let head = Body::new().i32(1).i8(2).string(TOPIC).i32(count as i32);
    Case {
        what: "keys of DescribeConfigs 1",
        api_key: DESCRIBE_CONFIGS,
        version: 1,
        body: head.raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

pub fn find_coordinator(same: bool) -> Case {
    let count = FRAME_BYTES / 6;
    let each = many(count, |body, n| {
        body.raw(&[6]).raw(&name(if same { 0 } else { n }))
    });
    let head = Body::new()
        .raw(&[0])
        .i8(0)
        .varint_unsigned(1 + count as u32);
    Case {
        what: "keys of FindCoordinator 4",
        api_key: FIND_COORDINATOR,
        version: 4,
        body: head.raw(&each.0).raw(&[0]),
        answer_bytes: None,
    }
}

pub fn create_topics() -> Case {
    let count = FRAME_BYTES / 21;
    let each = many(count, |body, n| {
        let topic = body.i16(5).raw(&name(n));
        topic.i32(1).i16(1).i32(0).i32(0)
    });
    Case {
        what: "topics of CreateTopics 1",
        api_key: CREATE_TOPICS,
        version: 1,
        body: Body::new().i32(count as i32).raw(&each.0).i32(1000).i8(0),
        answer_bytes: None,
    }
}

pub fn create_topics_with_settings() -> Case {
    let count = FRAME_BYTES / 9;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)).i16(-1));
    let topic = Body::new().i32(1).string("t").i32(1).i16(1).i32(0);
    Case {
        what: "settings of a topic of CreateTopics 1",
        api_key: CREATE_TOPICS,
        version: 1,
        body: topic.i32(count as i32).raw(&each.0).i32(1000).i8(0),
        answer_bytes: None,
    }
}

pub fn delete_topics() -> Case {
    let count = FRAME_BYTES / 7;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)));
    Case {
        what: "names of DeleteTopics 1",
        api_key: DELETE_TOPICS,
        version: 1,
        body: Body::new().i32(count as i32).raw(&each.0).i32(1000),
        answer_bytes: fixed(4 + 4, 9, count),
    }
}

pub fn create_partitions() -> Case {
    let count = FRAME_BYTES / 15;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)).i32(2).i32(-1));
    Case {
        what: "topics of CreatePartitions 0",
        api_key: CREATE_PARTITIONS,
        version: 0,
        body: Body::new().i32(count as i32).raw(&each.0).i32(1000).i8(0),
        answer_bytes: None,
    }
}

pub fn alter_configs(api_key: i16) -> Case {
    let count = FRAME_BYTES / 12;
    let each = many(count, |body, n| body.i8(2).i16(5).raw(&name(n)).i32(0));
    Case {
        what: "resources of AlterConfigs 0 or IncrementalAlterConfigs 0",
        api_key,
        version: 0,
        body: Body::new().i32(count as i32).raw(&each.0).i8(0),
        answer_bytes: None,
    }
}

pub fn alter_configs_of_keys() -> Case {
    let count = FRAME_BYTES / 9;
    let each = many(count, |body, n| body.i16(5).raw(&name(n)).i16(0));
    let head = Body::new().i32(1).i8(2).string(TOPIC).i32(count as i32);
    Case {
        what: "keys of AlterConfigs 0",
        api_key: ALTER_CONFIGS,
        version: 0,
        body: head.raw(&each.0).i8(0),
        answer_bytes: None,
    }
}
