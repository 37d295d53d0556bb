//! Shows: kafka-python and aiokafka in groups and in transactions, and all that the AdminClient of
//! confluent-kafka asks.

use std::process::Command;

use chiplog_tests::place::tests_directory;

use crate::course;
use crate::program::{Program, fetched};

fn python(script: &str, words: &[String]) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(tests_directory().join("clients/python").join(script))
        .args(words)
        .env("PYTHONPATH", fetched("python/site"))
        // Compiled files do not belong among the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn kafka_python_shares_leaves_commits_and_goes_on() {
    course::group(|words| python("kafka_python_group.py", words));
}

#[test]
fn kafka_python_copies_each_record_once_in_transactions() {
    course::transactions(|words| python("kafka_python_transactions.py", words));
}

#[test]
fn aiokafka_shares_leaves_commits_and_goes_on() {
    course::group(|words| python("aiokafka_group.py", words));
}

#[test]
fn aiokafka_copies_each_record_once_in_transactions() {
    course::transactions(|words| python("aiokafka_transactions.py", words));
}

#[test]
fn confluent_kafka_administers_topics_configs_offsets_records_groups_and_credentials() {
    let node = course::node();
    Program::run(&mut python("confluent_kafka_admin.py", &[node.bootstrap()]));
}
