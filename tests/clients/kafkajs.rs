//! Shows: kafkajs in groups.

use std::process::Command;

use chiplog_tests::place::tests_directory;

use crate::course;
use crate::program::fetched;

#[test]
fn kafkajs_shares_leaves_commits_and_goes_on() {
    course::group(|words| {
        let mut command = Command::new("node");
        command
            .arg(tests_directory().join("clients/node/kafkajs_group.js"))
            .args(words)
            .env("NODE_PATH", fetched("node/node_modules"));
        command
    });
}
