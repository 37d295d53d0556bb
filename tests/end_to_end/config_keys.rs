//! Shows: DescribeConfigs tells of every key that a node of Kafka 3.9.1 tells of, with the same value,
//! type, source and synonyms, in their order, and with documentation where it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::{Answer, Body};

const DESCRIBE_CONFIGS: i16 = 32;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Keys of a broker whose values say where this node is, or that are chosen otherwise here, for the
/// reasons in ARCHITECTURE.md; standalone, a group does not wait for more members.
const VALUES_OF_OUR_OWN: [&str; 10] = [
    "advertised.listeners",
    "controller.listener.names",
    "controller.quorum.voters",
    "group.initial.rebalance.delay.ms",
    "listeners",
    "log.dirs",
    "process.roles",
    "socket.listen.backlog.size",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
];

/// What Kafka does not know.
const KEYS_OF_OUR_OWN: [&str; 2] = ["chiplog.validation", "num.shards"];

/// What is said of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    value: Option<String>,
    read_only: i8,
    source: i8,
    sensitive: i8,
    /// Names, values and sources, in order.
    synonyms: Vec<(Option<String>, Option<String>, i8)>,
    kind: i8,
    documentation: Option<String>,
}

enum Tell {
    Everything,
    Values,
}

fn describe(node: &Node, kind: i8, name: &str, tell: &Tell) -> BTreeMap<String, Entry> {
    let flag = match tell {
        Tell::Everything => 1,
        Tell::Values => 0,
    };
    let length = u32::try_from(name.len()).expect("names are short");
    // A flexible header ends with its tags.
    let body = Body::new().i8(0).varint_unsigned(2).i8(kind);
    let body = body.varint_unsigned(length + 1).raw(name.as_bytes());
    let body = body.i8(0).i8(0).i8(flag).i8(flag).i8(0);
    let mut answer = node.connect().ask(DESCRIBE_CONFIGS, 4, &body);
    assert_eq!(
        (answer.i8(), answer.i32()),
        (0, 0),
        "tags and throttle time"
    );
    assert_eq!(answer.varint_unsigned(), 2, "one resource");
    assert_eq!(
        (answer.i16(), answer.compact_string().unwrap_or_default()),
        (0, String::new())
    );
    assert_eq!(
        (answer.i8(), answer.compact_string().as_deref()),
        (kind, Some(name))
    );
    let count = answer.varint_unsigned() - 1;
    (0..count).map(|_| entry(&mut answer)).collect()
}

fn entry(answer: &mut Answer) -> (String, Entry) {
    let name = answer.compact_string().expect("a name");
    let value = answer.compact_string();
    let (read_only, source, sensitive) = (answer.i8(), answer.i8(), answer.i8());
    let synonyms = 1..answer.varint_unsigned();
    let synonyms = synonyms.map(|_| {
        let synonym = (
            answer.compact_string(),
            answer.compact_string(),
            answer.i8(),
        );
        assert_eq!(answer.i8(), 0, "no tags");
        synonym
    });
    let entry = Entry {
        value,
        read_only,
        source,
        sensitive,
        synonyms: synonyms.collect(),
        kind: answer.i8(),
        documentation: answer.compact_string(),
    };
    assert_eq!(answer.i8(), 0, "no tags");
    (name, entry)
}

fn keys(of: &BTreeMap<String, Entry>) -> BTreeSet<&str> {
    of.keys().map(String::as_str).collect()
}

/// All keys that both are to have, the texts of documentation aside: those are words of our own.
fn assert_same(ours: &BTreeMap<String, Entry>, kafkas: &BTreeMap<String, Entry>) {
    let own = BTreeSet::from(KEYS_OF_OUR_OWN);
    let common: BTreeSet<&str> = keys(ours).difference(&own).copied().collect();
    assert_eq!(common, keys(kafkas));
    for (key, kafkas) in kafkas {
        let mut ours = ours[key].clone();
        let is_documented =
            |entry: &Entry| entry.documentation.as_ref().map(|text| !text.is_empty());
        assert_eq!(is_documented(&ours), is_documented(kafkas), "{key}");
        ours.documentation.clone_from(&kafkas.documentation);
        if VALUES_OF_OUR_OWN.contains(&key.as_str()) {
            ours.value.clone_from(&kafkas.value);
            ours.source = kafkas.source;
            ours.synonyms.clone_from(&kafkas.synonyms);
        }
        assert_eq!(&ours, kafkas, "{key}");
    }
}

#[test]
fn every_key_is_described_as_kafka_describes_it() {
    let setup = |target| {
        // A static value beside the default, one behind a synonym of a larger unit, and a password.
        let setup = Setup::new().set("log.retention.bytes", "1073741824");
        let setup = setup
            .set("log.retention.hours", "24")
            .set("log.roll.jitter.ms", "5");
        let setup = setup.set("ssl.key.password", "secret");
        // A listener's own settings, one of them beside what it replaces.
        let setup = setup
            .set("max.connections.per.ip", "1000")
            .set("max.connections", "1001")
            .set("listener.name.plaintext.max.connections", "1002")
            .set(
                "listener.name.plaintext.max.connection.creation.rate",
                "1003",
            )
            .set("listener.name.other.plain.sasl.jaas.config", "secret");
        setup.set("node.id", "1").of(target)
    };
    let kafka = Node::start_with(setup(Target::Kafka));
    let chiplog = Node::start_with(setup(Target::Chiplog));
    for node in [&kafka, &chiplog] {
        let settings = [("retention.ms", "77"), ("cleanup.policy", "compact,delete")];
        node.create_topic_with("plain", 1, &[]);
        node.create_topic_with("set", 1, &settings);
    }
    for (kind, name, at_least) in [(TOPIC, "plain", 30), (TOPIC, "set", 30), (BROKER, "1", 300)] {
        for tell in [Tell::Everything, Tell::Values] {
            let kafkas = describe(&kafka, kind, name, &tell);
            assert!(kafkas.len() > at_least, "{name}: {}", kafkas.len());
            assert_same(&describe(&chiplog, kind, name, &tell), &kafkas);
        }
    }
}
