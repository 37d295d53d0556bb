//! Shows: franz-go in cooperative groups, and in transactions from topic to topic.

use std::process::Command;

use crate::course;
use crate::program::fetched;

fn franz_go(course: &str, words: &[String]) -> Command {
    let mut command = Command::new(fetched("go/franz-go"));
    command.arg(course).args(words);
    command
}

#[test]
fn franz_go_shares_cooperatively_leaves_commits_and_goes_on() {
    course::group(|words| franz_go("group", words));
}

#[test]
fn franz_go_copies_each_record_once_in_transactions() {
    course::transactions(|words| franz_go("transactions", words));
}
