//! How a node's process is started: chiplog's command line, or that of Apache Kafka with its
//! `server.properties`, optionally inside a mount namespace with a small disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Disk, Setup};
use crate::place::{chiplog_command, free_port, kafka_class_path, tests_directory};

/// Which broker the tests run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// chiplog, standalone.
    Chiplog,
    /// Apache Kafka 3.9.1 as its own controller, to check the tests themselves.
    Kafka,
    /// Apache Kafka 3.9.1 with its metadata in a ZooKeeper.
    KafkaWithZooKeeper {
        /// The port of ZooKeeper on this machine.
        port: u16,
    },
}

/// Where one node lives.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub port: u16,
    pub directory: &'a Path,
}

/// The node's one entry of `log.dirs`.
pub fn log_directory(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// Where the node's standard output and standard error go.
pub fn output_file(directory: &Path) -> PathBuf {
    directory.join("output.log")
}

impl Target {
    /// What `CHIPLOG_TEST_TARGET` names; chiplog if it is not set.
    pub fn of_this_run() -> Target {
        match std::env::var("CHIPLOG_TEST_TARGET").as_deref() {
            Err(_) | Ok("chiplog") => Target::Chiplog,
            Ok("kafka") => Target::Kafka,
            Ok(other) => panic!("CHIPLOG_TEST_TARGET is chiplog or kafka, not {other}"),
        }
    }

    /// Does what comes before the first start: directories, Kafka's properties and format.
    pub fn prepare(self, place: &Place<'_>, setup: &Setup) {
        fs::create_dir_all(log_directory(place.directory)).expect("directories can be made");
        match self {
            Target::Chiplog => {}
            Target::Kafka => write_kafka_properties(place, setup, &controller_properties(place)),
            Target::KafkaWithZooKeeper { port } => {
                let zookeeper = format!(
                    "broker.id=1\n\
                     zookeeper.connect=127.0.0.1:{port}\n\
                     listeners=PLAINTEXT://127.0.0.1:{}\n",
                    place.port
                );
                write_kafka_properties(place, setup, &zookeeper);
            }
        }
    }

    /// The command that starts the node.
    pub fn command(self, place: &Place<'_>, setup: &Setup) -> Command {
        let words = match self {
            Target::Chiplog => chiplog_words(place, setup),
            Target::Kafka => kafka_words(place),
            Target::KafkaWithZooKeeper { .. } => {
                let properties = kafka_properties(place.directory).display().to_string();
                let start = format!("exec {} kafka.Kafka {properties}", java("-Xmx1g"));
                vec!["sh".into(), "-c".into(), start]
            }
        };
        let options = match setup.disk {
            Disk::OfTheMachine => None,
            Disk::Small { bytes } => Some(format!("size={bytes}")),
            Disk::ReadOnly => Some("ro".into()),
        };
        let mut command;
        if let Some(options) = options {
            command = Command::new("unshare");
            if !rustix::process::geteuid().is_root() {
                command.arg("--map-root-user");
            }
            let mount = format!("mount -t tmpfs -o {options} chiplog-test \"$0\"");
            command.args(["--mount", "sh", "-c", &format!("{mount} && exec \"$@\"")]);
            command.arg(log_directory(place.directory)).args(words);
        } else {
            command = Command::new(&words[0]);
            command.args(&words[1..]);
        }
        command.current_dir(place.directory);
        command
    }
}

fn chiplog_words(place: &Place<'_>, setup: &Setup) -> Vec<String> {
    let mut words = vec![chiplog_command().display().to_string(), "serve".into()];
    let address = format!("PLAINTEXT://127.0.0.1:{}", place.port);
    let own = [
        ("listeners".into(), address.clone()),
        ("advertised.listeners".into(), address),
        (
            "log.dirs".into(),
            log_directory(place.directory).display().to_string(),
        ),
    ];
    for (key, value) in own.into_iter().chain(setup.settings.iter().cloned()) {
        words.push("--override".into());
        words.push(format!("{key}={value}"));
    }
    words
}

fn kafka_words(place: &Place<'_>) -> Vec<String> {
    // Every start formats the directory if that was not done, so that it works on a disk that is
    // only there inside the node's mount namespace.
    let java = java("-Xmx1g");
    let properties = kafka_properties(place.directory).display().to_string();
    let identity = log_directory(place.directory).join("meta.properties");
    let format = format!(
        "{{ test -e {} || {java} kafka.tools.StorageTool format --cluster-id \
         AAAAAAAAAAAAAAAAAAAAAQ --config {properties}; }} && exec {java} kafka.Kafka {properties}",
        identity.display()
    );
    vec!["sh".into(), "-c".into(), format]
}

/// The start of a command line for a class of Kafka's jars.
pub fn java(memory: &str) -> String {
    let log4j = tests_directory().join("java/log4j.properties");
    let class_path = kafka_class_path();
    format!(
        "java {memory} -XX:TieredStopAtLevel=1 -Dlog4j.configuration=file:{} -cp '{class_path}'",
        log4j.display()
    )
}

fn kafka_properties(directory: &Path) -> PathBuf {
    directory.join("server.properties")
}

/// Of a node that is its own controller.
fn controller_properties(place: &Place<'_>) -> String {
    let broker = place.port;
    let controller = free_port();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n"
    )
}

fn write_kafka_properties(place: &Place<'_>, setup: &Setup, of_its_kind: &str) {
    let mut text = format!(
        "{of_its_kind}\
         advertised.listeners=PLAINTEXT://127.0.0.1:{}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         log.dirs={}\n",
        place.port,
        log_directory(place.directory).display()
    );
    for (key, value) in &setup.settings {
        text.push_str(&format!("{key}={value}\n"));
    }
    fs::write(kafka_properties(place.directory), text).expect("the directory is writable");
}
