//! Shows: kafkajs in groups, and in transactions from topic to topic.

use std::process::Command;

use chiplog_tests::place::tests_directory;

use crate::course;
use crate::program::fetched;

fn kafkajs(script: &str, words: &[String]) -> Command {
    let mut command = Command::new("node");
    command
        .arg(tests_directory().join("clients/node").join(script))
        .args(words)
        .env("NODE_PATH", fetched("node/node_modules"));
    command
}

#[test]
fn kafkajs_shares_leaves_commits_and_goes_on() {
    course::group(|words| kafkajs("kafkajs_group.js", words));
}

#[test]
fn kafkajs_copies_each_record_once_in_transactions() {
    course::transactions(|words| kafkajs("kafkajs_transactions.js", words));
}
