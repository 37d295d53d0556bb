//! Shows: listeners come and go at run time, as `listeners` is set with Kafka's tool; those that clients
//! are told of stay, as with Kafka's Raft-based metadata.

use std::net::TcpStream;

use chiplog_tests::java::{Run, Tool, run};
use chiplog_tests::node::{Node, Target};
use chiplog_tests::place::free_port;
use chiplog_tests::raw::{Body, Connection};
use chiplog_tests::state::{SOON, reach};

const API_VERSIONS: i16 = 18;

/// `kafka-configs --alter` for the broker.
fn alter(node: &Node, change: &[&str]) -> Run {
    let bootstrap = node.bootstrap();
    let id = run(
        Tool::LogDirs,
        &["--bootstrap-server", &bootstrap, "--describe"],
    );
    let id = id.succeeded();
    let id = id.lines().nth(1).and_then(|line| line.rsplit(' ').next());
    let mut words = vec!["--bootstrap-server", &*bootstrap, "--alter"];
    words.extend([
        "--entity-type",
        "brokers",
        "--entity-name",
        id.expect("an id"),
    ]);
    words.extend(change);
    run(Tool::Configs, &words)
}

fn is_served(port: u16) -> bool {
    Connection::open(port)
        .and_then(|mut client| client.try_ask(API_VERSIONS, 0, &Body::new()))
        .is_ok()
}

#[test]
fn a_listener_comes_and_goes_with_its_connections() {
    if Target::of_this_run() == Target::Kafka {
        return; // The listener of its controller would have to be in the list.
    }
    let mut node = Node::start();
    let (own, more) = (node.port(), free_port());
    let listeners = format!("listeners=[PLAINTEXT://127.0.0.1:{own},EXTRA://127.0.0.1:{more}]");
    let map = "listener.security.protocol.map=[PLAINTEXT:PLAINTEXT,EXTRA:PLAINTEXT]";
    let change = format!("{map},{listeners}");
    alter(&node, &["--add-config", &change]).succeeded();
    reach("the new listener answers", SOON, || {
        is_served(more).then_some(())
    });
    node.kill();
    node.start_again();
    reach("it is there again", SOON, || is_served(more).then_some(()));

    let mut client = Connection::open(more).expect("it is open");
    client.ask(API_VERSIONS, 0, &Body::new());
    alter(&node, &["--delete-config", "listeners"]).succeeded();
    reach("its connection is closed", SOON, || {
        client.try_ask(API_VERSIONS, 0, &Body::new()).err()
    });
    assert!(TcpStream::connect(("127.0.0.1", more)).is_err());
    assert!(is_served(own));
    // Its address is free for another one.
    let again = listeners.replace("EXTRA", "OTHER");
    let change = format!("{},{again}", map.replace("EXTRA", "OTHER"));
    alter(&node, &["--add-config", &change]).succeeded();
    reach("another listener answers there", SOON, || {
        is_served(more).then_some(())
    });
}

#[test]
fn what_clients_are_told_stays() {
    let node = Node::start();
    for host in ["elsewhere", "127.0.0.1"] {
        let change = format!("advertised.listeners=PLAINTEXT://{host}:1234");
        let refused = alter(&node, &["--add-config", &change]);
        let text = format!("{}{}", refused.output, refused.errors);
        let reason =
            "Advertised listeners cannot be altered when using a Raft-based metadata quorum.";
        assert!(refused.exit != 0 && text.contains(reason), "{text}");
    }
    assert!(is_served(node.port()));
}
