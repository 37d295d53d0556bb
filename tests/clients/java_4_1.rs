//! Shows: the Java client 4.1, with the same programs that the end-to-end tests run with 3.9.1.

use std::process::Command;

use crate::course;
use crate::program::{Program, fetched};

fn java_4_1(class: &str, words: &[String]) -> Command {
    let java = fetched("java");
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"])
        .arg(format!("{0}/classes:{0}/libs/*", java.display()))
        .arg(class)
        .args(words);
    command
}

#[test]
fn java_4_1_shares_leaves_commits_and_goes_on() {
    for assignor in ["RangeAssignor", "CooperativeStickyAssignor"] {
        course::group(|words| {
            let mut words = words.to_vec();
            words.insert(3, assignor.into());
            java_4_1("Groups", &words)
        });
    }
}

#[test]
fn java_4_1_copies_each_record_once_in_transactions() {
    Program::run(&mut java_4_1("ExactlyOnce", &[course::node().bootstrap()]));
}

#[test]
fn java_4_1_round_trip_with_each_codec() {
    Program::run(&mut java_4_1("RoundTrip", &[course::node().bootstrap()]));
}

#[test]
fn java_4_1_admin_manages_topics_partitions_and_configs() {
    Program::run(&mut java_4_1(
        "Administration",
        &[course::node().bootstrap()],
    ));
}

#[test]
fn java_4_1_uses_the_classic_group_protocol_and_is_refused_the_new_one() {
    let refusal = "The cluster does not support the new CONSUMER group protocol. \
                   Set group.protocol=classic on the consumer configs to revert to the CLASSIC \
                   protocol until the cluster is upgraded.";
    let node = course::node();
    let words = [node.bootstrap(), refusal.into()];
    Program::run(&mut java_4_1("GroupProtocols", &words));
}
