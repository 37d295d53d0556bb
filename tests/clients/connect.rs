//! Shows: Kafka Connect with its file source and sink, as distributed workers whose offsets,
//! connectors and states are in compacted topics, and standalone, where they are in a file.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use chiplog_tests::java::{Tool, run};
use chiplog_tests::node::Node;
use chiplog_tests::place::free_port;
use chiplog_tests::state::{SOON, reach};
use tempfile::TempDir;

use crate::course;
use crate::program::{Program, fetched};

/// Lines that are given at a time.
const LINES: usize = 1000;
const TOPICS: [&str; 3] = ["connect-configs", "connect-offsets", "connect-status"];

#[test]
fn a_distributed_worker_keeps_all_it_knows_in_compacted_topics() {
    let mut node = course::node();
    let files = Files::new();
    let worker = Worker::distributed(&node, &files, "worker");
    let mut running = worker.start();
    worker.put("source", &files.source());
    worker.put("sink", &files.sink());
    files.append(0);
    files.reach_copied(1, Copies::One);
    for topic in TOPICS {
        let told = configs_of(&node, topic);
        assert!(told.contains("cleanup.policy=compact"), "{topic}: {told}");
    }

    // Both connectors go on where they were, and nothing but the topics tells them where.
    running.stop();
    node.kill();
    node.start_again();
    files.append(1);
    let mut running = worker.start();
    files.reach_copied(2, Copies::One);

    // A worker that runs sees the node come back.
    node.kill();
    files.append(2);
    node.start_again();
    files.reach_copied(3, Copies::OneOrMore);
    running.assert_running();
    assert!(worker.status("sink").contains(r#""state":"RUNNING""#));
    running.stop();
}

#[test]
fn two_workers_share_the_work_and_one_takes_over_from_the_other() {
    let node = course::node();
    let files = Files::new();
    let early = Worker::distributed(&node, &files, "early");
    let late = Worker::distributed(&node, &files, "late");
    let mut early_runs = early.start();
    early.put("source", &files.source());
    early.put("sink", &files.sink());
    files.append(0);
    files.reach_copied(1, Copies::One);
    early.reach_work_of(&[&early]);

    // Half of the connectors and tasks move, and nothing is lost or done twice on their way.
    let late_runs = late.start();
    early.reach_work_of(&[&early, &late]);
    files.append(1);
    files.reach_copied(2, Copies::One);

    // A crash: the group puts the worker out, and the one that is left takes over.
    drop(late_runs);
    early.reach_work_of(&[&early]);
    files.append(2);
    files.reach_copied(3, Copies::OneOrMore);
    early_runs.assert_running();
    early_runs.stop();
}

#[test]
fn a_standalone_worker_copies_a_file_and_goes_on_after_a_stop() {
    let mut node = course::node();
    let files = Files::new();
    let worker = Worker::standalone(&node, &files);
    files.append(0);
    let mut running = worker.start();
    files.reach_copied(1, Copies::One);
    running.stop();
    node.kill();
    node.start_again();
    files.append(1);
    let mut running = worker.start();
    files.reach_copied(2, Copies::One);
    running.stop();
}

fn configs_of(node: &Node, topic: &str) -> String {
    let bootstrap = node.bootstrap();
    let words = [
        "--bootstrap-server",
        &bootstrap,
        "--describe",
        "--topic",
        topic,
    ];
    run(Tool::Configs, &words).succeeded()
}

/// The file that is read, the one that is written, and what belongs to the worker.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(TempDir::new().expect("a temporary directory can be made"));
        File::create(files.input()).expect("the directory is writable");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn input(&self) -> PathBuf {
        self.path("input.txt")
    }

    fn source(&self) -> Vec<(String, String)> {
        vec![
            ("connector.class".into(), "FileStreamSource".into()),
            ("tasks.max".into(), "1".into()),
            ("topic".into(), "copied-lines".into()),
            ("file".into(), self.input().display().to_string()),
        ]
    }

    fn sink(&self) -> Vec<(String, String)> {
        vec![
            ("connector.class".into(), "FileStreamSink".into()),
            ("tasks.max".into(), "1".into()),
            ("topics".into(), "copied-lines".into()),
            ("file".into(), self.path("output.txt").display().to_string()),
        ]
    }

    /// Writes the lines of one more part.
    fn append(&self, part: usize) {
        let text: String = (part * LINES..(part + 1) * LINES)
            .map(|line| format!("line {line}\n"))
            .collect();
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.input())
            .expect("the file is there");
        file.write_all(text.as_bytes()).expect("the disk has room");
    }

    /// Waits until the lines of so many parts were copied in order.
    fn reach_copied(&self, parts: usize, copies: Copies) {
        let wanted = fs::read_to_string(self.input()).expect("the file is there");
        assert_eq!(wanted.lines().count(), parts * LINES);
        reach("the lines are copied", 2 * SOON, || {
            let found = fs::read_to_string(self.path("output.txt")).ok()?;
            let mut seen = HashSet::new();
            let first_copies = found
                .split_inclusive('\n')
                // The last one may be on its way.
                .filter(|line| line.ends_with('\n'))
                .filter(|line| copies == Copies::One || seen.insert(*line));
            let copied: String = first_copies.collect();
            assert!(
                wanted.starts_with(&copied),
                "copied otherwise than given, {} lines",
                found.lines().count()
            );
            (copied == wanted).then_some(())
        });
    }
}

/// How often a line may have been copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copies {
    /// After stops in order.
    One,
    /// After a crash, when Connect goes on from the last offsets that it wrote.
    OneOrMore,
}

/// One way to run Connect.
struct Worker {
    class: &'static str,
    arguments: Vec<PathBuf>,
    port: u16,
}

impl Worker {
    fn distributed(node: &Node, files: &Files, name: &str) -> Worker {
        let port = free_port();
        let mut settings = settings(node, port);
        settings.push(("group.id".into(), "connect".into()));
        // A worker that is put out gets its work back only after this, by default after five
        // minutes; a restart of the node may take longer than its session.
        settings.push(("scheduled.rebalance.max.delay.ms".into(), "1000".into()));
        for (of, topic) in ["config", "offset", "status"].into_iter().zip(TOPICS) {
            settings.push((format!("{of}.storage.topic"), topic.into()));
            settings.push((format!("{of}.storage.replication.factor"), "1".into()));
        }
        Worker {
            class: "org.apache.kafka.connect.cli.ConnectDistributed",
            arguments: vec![write(&files.path(&format!("{name}.properties")), &settings)],
            port,
        }
    }

    fn standalone(node: &Node, files: &Files) -> Worker {
        let port = free_port();
        let mut settings = settings(node, port);
        let offsets = files.path("offsets").display().to_string();
        settings.push(("offset.storage.file.filename".into(), offsets));
        let named = |name: &str, mut connector: Vec<(String, String)>| {
            connector.push(("name".into(), name.into()));
            write(&files.path(&format!("{name}.properties")), &connector)
        };
        Worker {
            class: "org.apache.kafka.connect.cli.ConnectStandalone",
            arguments: vec![
                write(&files.path("worker.properties"), &settings),
                named("source", files.source()),
                named("sink", files.sink()),
            ],
            port,
        }
    }

    fn start(&self) -> Program {
        let mut command = Command::new("java");
        command
            .args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"])
            .arg(fetched("streams/libs").join("*"))
            .arg(self.class)
            .args(&self.arguments);
        Program::start(&mut command)
    }

    /// Makes a connector, as soon as the worker knows itself as the only member of its group.
    fn put(&self, name: &str, connector: &[(String, String)]) {
        let fields: Vec<String> = connector
            .iter()
            .map(|(key, value)| format!("{key:?}:{value:?}"))
            .collect();
        let body = format!("{{{}}}", fields.join(","));
        reach("the worker makes a connector", 2 * SOON, || {
            let answer = self
                .try_ask("PUT", &format!("/connectors/{name}/config"), &body)
                .ok()?;
            answer.starts_with("HTTP/1.1 201").then_some(())
        });
    }

    /// What the worker tells about a connector and its tasks.
    fn status(&self, connector: &str) -> String {
        self.try_ask("GET", &format!("/connectors/{connector}/status"), "")
            .expect("the worker answers")
    }

    /// Waits until both connectors and their tasks run, and on exactly these workers.
    fn reach_work_of(&self, workers: &[&Worker]) {
        let wanted: HashSet<String> = workers
            .iter()
            .map(|worker| format!("127.0.0.1:{}", worker.port))
            .collect();
        reach("the work is shared out", 2 * SOON, || {
            let told = [self.status("source"), self.status("sink")].concat();
            let of = |field| {
                let values = told.split(field).skip(1);
                values.filter_map(|rest| rest.split('"').next().map(str::to_owned))
            };
            let states: Vec<String> = of(r#""state":""#).collect();
            let found: HashSet<String> = of(r#""worker_id":""#).collect();
            (states == ["RUNNING"; 4] && found == wanted).then_some(())
        });
    }

    fn try_ask(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut worker = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        worker.set_read_timeout(Some(SOON))?;
        write!(
            worker,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        worker.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn settings(node: &Node, port: u16) -> Vec<(String, String)> {
    let text = "org.apache.kafka.connect.storage.StringConverter";
    vec![
        ("bootstrap.servers".into(), node.bootstrap()),
        ("listeners".into(), format!("http://127.0.0.1:{port}")),
        ("key.converter".into(), text.into()),
        ("value.converter".into(), text.into()),
        // A node that is gone may be asked again soon.
        ("offset.flush.interval.ms".into(), "500".into()),
    ]
}

fn write(path: &Path, settings: &[(String, String)]) -> PathBuf {
    let lines: String = settings
        .iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect();
    fs::write(path, lines).expect("the directory is writable");
    path.to_path_buf()
}
