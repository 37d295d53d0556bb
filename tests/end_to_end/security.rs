//! Shows: SCRAM credentials are kept as Kafka keeps them, and what has to do with authentication and
//! authorization, and is off, is answered as a node of Kafka 3.9 answers where it is off.

use std::fs;

use chiplog_tests::java::{Run, Tool, run};
use chiplog_tests::node::{Node, Setup, Target};
use chiplog_tests::raw::Body;
use chiplog_tests::state::{SOON, reach};

const ANN: [&str; 4] = ["--entity-type", "users", "--entity-name", "ann"];

fn configs(node: &Node, arguments: &[&[&str]]) -> Run {
    let bootstrap = node.bootstrap();
    let to = ["--bootstrap-server", &bootstrap];
    run(Tool::Configs, &[&to[..], &arguments.concat()].concat())
}

#[test]
fn scram_credentials_are_set_described_and_outlive_the_node() {
    let setup = Setup::new().set("metadata.log.max.record.bytes.between.snapshots", "500");
    let mut node = Node::start_with(setup);
    let alter = |node: &Node, what: &[&str]| configs(node, &[&["--alter"], &ANN, what]);
    let describe = |node: &Node, whom: &[&str]| configs(node, &[&["--describe"], whom]).succeeded();
    let says = |node: &Node, expected: &str| {
        reach(expected, SOON, || {
            (describe(node, &ANN) == expected).then_some(())
        });
    };
    let set = alter(
        &node,
        &["--add-config", "SCRAM-SHA-256=[iterations=8192,password=x]"],
    );
    assert_eq!(set.succeeded(), "Completed updating config for user ann.\n");
    let first =
        "SCRAM credential configs for user-principal 'ann' are SCRAM-SHA-256=iterations=8192\n";
    says(&node, first);
    alter(&node, &["--add-config", "SCRAM-SHA-512=[password=x]"]).succeeded();
    alter(&node, &["--delete-config", "SCRAM-SHA-256"]).succeeded();
    let last =
        "SCRAM credential configs for user-principal 'ann' are SCRAM-SHA-512=iterations=4096\n";
    says(&node, last);
    let ghost = ["--entity-type", "users", "--entity-name", "ghost"];
    assert_eq!(describe(&node, &ghost), "");
    assert_eq!(describe(&node, &["--entity-type", "users"]), last);

    for (what, reason) in [
        (
            [
                "--add-config",
                "SCRAM-SHA-256=[iterations=20000,password=x]",
            ],
            "UnacceptableCredentialException: Too many iterations",
        ),
        (
            [
                "--add-config",
                "SCRAM-SHA-256=[password=x],SCRAM-SHA-512=[password=y]",
            ],
            "DuplicateResourceException: A user credential cannot be altered twice in the same request",
        ),
        (
            ["--delete-config", "SCRAM-SHA-256"],
            "ResourceNotFoundException: Attempt to delete a user credential that does not exist",
        ),
    ] {
        let refused = alter(&node, &what);
        assert_eq!(refused.exit, 1, "{refused:?}");
        assert!(refused.errors.contains(reason), "{refused:?}");
    }

    // More metadata than fits between two snapshots: the next start begins with one.
    node.create_topic("filler", 30);
    if node.target() == Target::Chiplog {
        let log = node.log_directory().join("__cluster_metadata-0");
        reach("a snapshot", SOON, || {
            let files = fs::read_dir(&log).expect("the metadata log").flatten();
            let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
            names
                .any(|name| name.ends_with(".checkpoint") && name > "00000000000000000010".into())
                .then_some(())
        });
    }
    node.stop();
    node.start_again();
    says(&node, last);
}

/// Requests of mechanisms that are off, and the answers of Apache Kafka 3.9.1, as a node of a KRaft
/// quorum of one with a PLAINTEXT listener, without their correlation ids.
#[test]
fn what_is_off_is_answered_as_kafka_answers_it() {
    let node = Node::start();
    let acl_filter = || Body::new().i8(1).i16(-1).i8(3).i16(-1).i16(-1).i8(1).i8(1);
    let acl = |body: Body| {
        let body = body.i8(2).string("t").i8(3).string("User:a").string("*");
        body.i8(3).i8(3)
    };
    let text = |text: &str| Body::new().string(text).0;
    let after_authentication = "SaslAuthenticate request received after successful authentication";
    let no_authorizer = text("No Authorizer is configured.");
    let anonymous = || Body::new().string("User").string("ANONYMOUS");
    let never = || Body::new().i64(-1);
    let (bytes, time) = (Body::new().bytes(b"x"), Body::new().i64(1));
    let some = Body(bytes.0.iter().chain(&time.0).copied().collect());
    let cases = [
        (
            "SaslHandshake",
            17,
            1,
            Body::new().string("PLAIN"),
            Body::new().i16(34).i32(0),
        ),
        (
            "SaslAuthenticate",
            36,
            1,
            Body::new().bytes(b"x"),
            Body::new()
                .i16(34)
                .string(after_authentication)
                .i32(0)
                .i64(0),
        ),
        (
            "DescribeAcls",
            29,
            1,
            acl_filter(),
            Body::new()
                .i32(0)
                .i16(54)
                .string("No Authorizer is configured on the broker")
                .i32(0),
        ),
        (
            "CreateAcls",
            30,
            1,
            acl(acl(Body::new().i32(2))),
            Body::new()
                .i32(0)
                .i32(2)
                .i16(54)
                .raw(&no_authorizer)
                .i16(54)
                .raw(&no_authorizer),
        ),
        (
            "DeleteAcls",
            31,
            1,
            Body::new().i32(1).raw(&acl_filter().0),
            Body::new().i32(0).i32(1).i16(54).raw(&no_authorizer).i32(0),
        ),
        (
            "CreateDelegationToken",
            38,
            1,
            Body::new().i32(0).i64(-1),
            Body::new()
                .i16(64)
                .raw(&anonymous().0)
                .raw(&never().raw(&never().0).raw(&never().0).0)
                .string("")
                .i32(0)
                .i32(0),
        ),
        (
            "RenewDelegationToken",
            39,
            1,
            some.clone(),
            Body::new().i16(64).i64(-1).i32(0),
        ),
        (
            "ExpireDelegationToken",
            40,
            1,
            some,
            Body::new().i16(64).i64(-1).i32(0),
        ),
        (
            "DescribeDelegationToken",
            41,
            1,
            Body::new().i32(-1),
            Body::new().i16(64).i32(0).i32(0),
        ),
    ];
    for (name, key, version, request, expected) in cases {
        let answer = node.connect().ask(key, version, &request);
        assert_eq!(answer.rest(), expected.0, "{name}");
    }
}

#[test]
fn the_quorums_voter_is_neither_removed_nor_given_company() {
    const ADD_RAFT_VOTER: i16 = 80;
    const REMOVE_RAFT_VOTER: i16 = 81;
    let node = Node::start();
    let not_there = "Add voter request didn't include the endpoint (Endpoints(endpoints={%})) for the \
                     default listener ListenerName(CONTROLLER)";
    let there = "Cluster doesn't support adding voter because the kraft.version feature is 0";
    let with = |endpoint: &str| not_there.replace('%', endpoint);
    for (listener, code, said) in [
        (None, 42, with("")),
        (
            Some("other"),
            42,
            with("ListenerName(OTHER)=h/<unresolved>:9"),
        ),
        (Some("controller"), 35, there.to_owned()),
    ] {
        // A flexible header, no cluster id, a timeout, voter 1, the last byte of its directory.
        let body = Body::new()
            .i8(0)
            .i8(0)
            .i32(1_000)
            .i32(1)
            .raw(&[0; 15])
            .i8(1);
        let body = match listener {
            None => body.varint_unsigned(1),
            Some(name) => {
                let body = body
                    .varint_unsigned(2)
                    .varint_unsigned(name.len() as u32 + 1);
                let body = body.raw(name.as_bytes()).varint_unsigned(2).raw(b"h");
                body.i16(9).i8(0)
            }
        };
        let mut answer = node.connect().ask(ADD_RAFT_VOTER, 0, &body.i8(0));
        assert_eq!((answer.i8(), answer.i32()), (0, 0));
        assert_eq!((answer.i16(), answer.compact_string()), (code, Some(said)));
    }
    let text = "Cluster doesn't support removing voter because the kraft.version feature is 0";
    for (directory, code, said) in [
        (1, 35, text),
        (0, 42, "Remove voter request didn't include a valid voter"),
    ] {
        // A flexible header, no cluster id, voter 1, the last byte of its directory.
        let body = Body::new().i8(0).i8(0).i32(1).raw(&[0; 15]).i8(directory);
        let mut answer = node.connect().ask(REMOVE_RAFT_VOTER, 0, &body.i8(0));
        // The header's tags, then the throttle time.
        assert_eq!((answer.i8(), answer.i32()), (0, 0));
        assert_eq!(
            (answer.i16(), answer.compact_string().as_deref()),
            (code, Some(said))
        );
    }
}
