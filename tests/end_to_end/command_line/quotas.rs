//! Shows: `chiplog configs` sets and prints quotas and SCRAM credentials as kafka-configs does, for the
//! same broker.

use chiplog_tests::command_line::{assert_same, chiplog};
use chiplog_tests::java::{self, Run, Tool};
use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};

const ANN: [&str; 4] = ["--entity-type", "users", "--entity-name", "ann"];

struct Configs {
    bootstrap: String,
}

impl Configs {
    fn all<'a>(&'a self, arguments: &[&[&'a str]]) -> Vec<&'a str> {
        [
            &["--bootstrap-server", &*self.bootstrap],
            &*arguments.concat(),
        ]
        .concat()
    }

    /// chiplog's alone: what changes something is done once.
    fn ours(&self, arguments: &[&[&str]]) -> Run {
        chiplog(&[&["configs"], &*self.all(arguments)].concat())
    }

    fn same(&self, arguments: &[&[&str]]) -> Run {
        assert_same(Tool::Configs, "configs", &self.all(arguments))
    }

    /// Refused by both tools, in the same words behind what Java says of its own exceptions.
    fn refused(&self, arguments: &[&[&str]]) {
        let all = self.all(arguments);
        let kafkas = java::run(Tool::Configs, &all);
        let ours = chiplog(&[&["configs"], &*all].concat());
        assert_eq!(
            (ours.exit, kafkas.exit),
            (1, 1),
            "{arguments:?} {ours:?} {kafkas:?}"
        );
        let mut lines = ours.errors.lines().zip(kafkas.errors.lines());
        let is_same = |(ours, kafkas): (&str, &str)| {
            let wrapper = "java.util.concurrent.ExecutionException: ";
            ours == kafkas.strip_prefix(wrapper).unwrap_or(kafkas)
        };
        assert!(lines.all(is_same), "{ours:?}\n{kafkas:?}");
    }
}

#[test]
fn quotas_are_set_described_and_removed_as_kafka_does_it() {
    let node = Node::start();
    let configs = Configs {
        bootstrap: node.bootstrap(),
    };
    let (user, of_user) = (["--user", "ann"], ["--user", "bea", "--client", "c-1"]);
    let set = configs.ours(&[
        &[
            "--alter",
            "--add-config",
            "producer_byte_rate=1024,request_percentage=12.5",
        ],
        &ANN,
    ]);
    assert_eq!(set.succeeded(), "Completed updating config for user ann.\n");
    for (whom, what, said) in [
        (
            &of_user[..],
            "consumer_byte_rate=1.5E9",
            "config for client c-1",
        ),
        (
            &["--client-defaults"],
            "controller_mutation_rate=3",
            "default config for clients in the cluster",
        ),
        (
            &["--user-defaults"],
            "consumer_byte_rate=7",
            "default config for users in the cluster",
        ),
        (
            &["--user", "zoe"],
            "request_percentage=9",
            "config for user zoe",
        ),
        (
            &["--user", "carl"],
            "request_percentage=8",
            "config for user carl",
        ),
        (
            &["--ip", "127.0.0.9"],
            "connection_creation_rate=7",
            "config for ip 127.0.0.9",
        ),
        (
            &[
                "--entity-type",
                "users",
                "--entity-default",
                "--entity-type",
                "clients",
                "--entity-name",
                "c-2",
            ],
            "producer_byte_rate=1",
            "default config for users in the cluster",
        ),
    ] {
        let set = configs.ours(&[&["--alter", "--add-config", what], whom]);
        assert_eq!(set.succeeded(), format!("Completed updating {said}.\n"));
    }
    reach("all quotas are described", SOON, || {
        let described = configs.ours(&[&["--describe", "--user-defaults", "--client", "c-2"]]);
        (!described.succeeded().is_empty()).then_some(())
    });
    for whom in [
        &user[..],
        &of_user,
        &["--client-defaults"],
        &["--user-defaults"],
        &["--ip", "127.0.0.9"],
        &["--ip-defaults"],
        &["--entity-type", "users"],
        &["--entity-type", "clients"],
        &["--entity-type", "ips"],
        &["--entity-type", "users", "--entity-type", "clients"],
        &["--user", "ghost"],
    ] {
        configs.same(&[&["--describe"], whom]);
    }
    let described = configs.same(&[&["--describe"], &user]).succeeded();
    assert!(
        described.contains("producer_byte_rate=1024.0"),
        "{described}"
    );
    let json = configs.ours(&[&["--describe", "--output", "json"], &user]);
    assert_eq!(
        json.succeeded(),
        "[{\"entity\":{\"user\":\"ann\"},\
         \"quotas\":{\"producer_byte_rate\":1024.0,\"request_percentage\":12.5}}]\n"
    );
    for what in [
        &["--add-config", "producer_byte_rate=fast"][..],
        &["--add-config", "producer_byte_rate=0"],
        &["--add-config", "producer_byte_rate=1.5"],
        &["--add-config", "rate=1"],
        &["--delete-config", "rate,producer_byte_rate"],
        &["--delete-config", "consumer_byte_rate"],
    ] {
        configs.refused(&[&["--alter"], what, &user]);
    }
    configs.refused(&[&[
        "--alter",
        "--add-config",
        "producer_byte_rate=1",
        "--ip",
        "127.0.0.9",
    ]]);
    configs.refused(&[&[
        "--alter",
        "--add-config",
        "connection_creation_rate=1",
        "--ip",
        "no host",
    ]]);
    let gone = configs.ours(&[&["--alter", "--delete-config", "producer_byte_rate"], &user]);
    assert_eq!(
        gone.succeeded(),
        "Completed updating config for user ann.\n"
    );
    let left = "Quota configs for user-principal 'ann' are request_percentage=12.5\n";
    reach(left, SOON, || {
        (configs.ours(&[&["--describe"], &user]).succeeded() == left).then_some(())
    });
    configs.same(&[&["--describe"], &user]);
}

#[test]
fn scram_credentials_are_set_described_and_removed_as_kafka_does_it() {
    let node = Node::start();
    let configs = Configs {
        bootstrap: node.bootstrap(),
    };
    let alter = |what: &[&str]| configs.ours(&[&["--alter"], &ANN, what]).succeeded();
    let done = "Completed updating config for user ann.\n";
    assert_eq!(
        alter(&["--add-config", "SCRAM-SHA-256=[iterations=8192,password=x]"]),
        done
    );
    let described =
        "SCRAM credential configs for user-principal 'ann' are SCRAM-SHA-256=iterations=8192\n";
    reach(described, SOON, || {
        (configs.ours(&[&["--describe"], &ANN]).succeeded() == described).then_some(())
    });
    for whom in [
        &ANN[..],
        &["--user", "ghost"],
        &["--entity-type", "users"],
        &["--user", "ann", "--client", "c"],
        &["--user-defaults"],
    ] {
        configs.same(&[&["--describe"], whom]);
    }
    let json = configs.ours(&[&["--describe", "--output", "json"], &ANN]);
    assert_eq!(
        json.succeeded(),
        "[{\"entity\":{\"user\":\"ann\"},\"scram\":{\"SCRAM-SHA-256\":{\"iterations\":8192}}}]\n"
    );
    for what in [
        &[
            "--add-config",
            "SCRAM-SHA-256=[iterations=20000,password=x]",
        ][..],
        &["--add-config", "SCRAM-SHA-256=[iterations=1,password=x]"],
        &["--add-config", "SCRAM-SHA-256=[iterations=,password=x]"],
        &["--add-config", "SCRAM-SHA-256=[iterations=few,password=x]"],
        &[
            "--add-config",
            "SCRAM-SHA-256=[password=x],SCRAM-SHA-512=[password=x]",
        ],
        &[
            "--add-config",
            "SCRAM-SHA-256=[password=x],producer_byte_rate=1",
        ],
        &["--add-config", "SCRAM-SHA-256=[password=]"],
        &["--add-config", "SCRAM-SHA-1=[password=x]"],
        &["--delete-config", "SCRAM-SHA-512"],
        &["--delete-config", "SCRAM-SHA-1,rate"],
    ] {
        configs.refused(&[&["--alter"], &ANN, what]);
    }
    let add = ["--alter", "--add-config", "SCRAM-SHA-256=[password=x]"];
    configs.refused(&[&add, &["--user-defaults"]]);
    configs.refused(&[&add, &["--client", "c"]]);
    configs.refused(&[&[
        "--alter",
        "--delete-config",
        "SCRAM-SHA-256",
        "--client",
        "c",
    ]]);
    assert_eq!(alter(&["--delete-config", "SCRAM-SHA-256"]), done);
    reach("it is gone", SOON, || {
        let described = configs.ours(&[&["--describe"], &ANN]).succeeded();
        described.is_empty().then_some(())
    });
    configs.same(&[&["--describe"], &ANN]);
}
