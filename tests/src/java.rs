//! Kafka's own tools and Java clients, run in one JVM per test process: a JVM takes a second or
//! two to start, and a tool's own work a fraction of that.
//!
//! The JVM runs tests/java/ToolRunner.java. Each call there has its own standard streams, so
//! that calls from several tests run side by side. The JVM ends when this process does, because
//! its standard input ends then.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::place::{kafka_class_path, tests_directory};
use crate::state::reach;

/// A tool that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Kafka's command-line tools, by the script that starts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `kafka-topics`
    Topics,
    /// `kafka-console-producer`
    ConsoleProducer,
    /// `kafka-console-consumer`
    ConsoleConsumer,
    /// `kafka-producer-perf-test`
    ProducerPerfTest,
    /// `kafka-get-offsets`
    GetOffsets,
    /// `kafka-broker-api-versions`
    BrokerApiVersions,
    /// `kafka-dump-log`
    DumpLog,
    /// `kafka-configs`
    Configs,
    /// `kafka-consumer-groups`
    ConsumerGroups,
    /// `kafka-consumer-perf-test`
    ConsumerPerfTest,
    /// `kafka-verifiable-consumer`
    VerifiableConsumer,
    /// `kafka-delete-records`
    DeleteRecords,
    /// `kafka-features`
    Features,
    /// `kafka-client-metrics`
    ClientMetrics,
    /// `kafka-leader-election`
    LeaderElection,
    /// `kafka-log-dirs`
    LogDirs,
    /// `kafka-metadata-quorum`
    MetadataQuorum,
    /// `kafka-reassign-partitions`
    ReassignPartitions,
    /// `kafka-transactions`
    Transactions,
    /// `kafka-streams-application-reset`
    StreamsReset,
    /// `kafka-verifiable-producer`
    VerifiableProducer,
}

impl Tool {
    fn main_class(self) -> &'static str {
        match self {
            Tool::Topics => "org.apache.kafka.tools.TopicCommand",
            Tool::ConsoleProducer => "kafka.tools.ConsoleProducer",
            Tool::ConsoleConsumer => "org.apache.kafka.tools.consumer.ConsoleConsumer",
            Tool::ProducerPerfTest => "org.apache.kafka.tools.ProducerPerformance",
            Tool::GetOffsets => "org.apache.kafka.tools.GetOffsetShell",
            Tool::BrokerApiVersions => "kafka.admin.BrokerApiVersionsCommand",
            Tool::DumpLog => "kafka.tools.DumpLogSegments",
            Tool::Configs => "kafka.admin.ConfigCommand",
            Tool::ConsumerGroups => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            Tool::ConsumerPerfTest => "org.apache.kafka.tools.ConsumerPerformance",
            Tool::VerifiableConsumer => "org.apache.kafka.tools.VerifiableConsumer",
            Tool::StreamsReset => "org.apache.kafka.tools.StreamsResetter",
            Tool::VerifiableProducer => "org.apache.kafka.tools.VerifiableProducer",
            Tool::DeleteRecords => "org.apache.kafka.tools.DeleteRecordsCommand",
            Tool::Features => "org.apache.kafka.tools.FeatureCommand",
            Tool::ClientMetrics => "org.apache.kafka.tools.ClientMetricsCommand",
            Tool::LeaderElection => "org.apache.kafka.tools.LeaderElectionCommand",
            Tool::LogDirs => "org.apache.kafka.tools.LogDirsCommand",
            Tool::MetadataQuorum => "org.apache.kafka.tools.MetadataQuorumCommand",
            Tool::ReassignPartitions => "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            Tool::Transactions => "org.apache.kafka.tools.TransactionsCommand",
        }
    }
}

/// How a tool ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Run {
    /// The exit status.
    pub exit: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Run {
    /// The standard output of a run that ended with status 0; panics for any other.
    pub fn succeeded(self) -> String {
        assert_eq!(
            self.exit, 0,
            "output:\n{}\nerrors:\n{}",
            self.output, self.errors
        );
        self.output
    }
}

/// Runs `tool` with `arguments`.
pub fn run(tool: Tool, arguments: &[&str]) -> Run {
    run_with_input(tool, arguments, b"")
}

/// Runs `tool` with `arguments` and with `input` on its standard input.
///
/// Console consumers run one at a time: their class counts messages in a static field, and all
/// tools share one JVM.
pub fn run_with_input(tool: Tool, arguments: &[&str], input: &[u8]) -> Run {
    static CONSOLE_CONSUMER: Mutex<()> = Mutex::new(());
    let _alone = matches!(tool, Tool::ConsoleConsumer).then(|| {
        CONSOLE_CONSUMER
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    });
    call(tool.main_class(), arguments, input)
}

/// Runs the `main` of a class of tests/java/clients.
pub fn run_client(class: &str, arguments: &[&str]) -> Run {
    call(class, arguments, b"")
}

/// Runs `tool` in a JVM of its own: for one that ends its work, and says so, when its JVM ends.
pub fn run_alone(tool: Tool, arguments: &[&str]) -> Run {
    let output = NamedTempFile::new().expect("a temporary file can be made");
    let mut child = Command::new("java")
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(format!("-Dlog4j.configuration=file:{}", log4j().display()))
        .args(["-cp", &kafka_class_path(), tool.main_class()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.reopen().expect("it is there"))
        .spawn()
        .unwrap_or_else(|e| panic!("java: {e}: cargo xtask peers"));
    let status = reach("the tool ends", PATIENCE, || {
        child.try_wait().expect("the tool is a child")
    });
    Run {
        exit: status.code().unwrap_or(-1),
        output: fs::read_to_string(output.path()).expect("the output is text"),
        errors: String::new(),
    }
}

fn log4j() -> PathBuf {
    tests_directory().join("java/log4j.properties")
}

fn call(main_class: &str, arguments: &[&str], input: &[u8]) -> Run {
    static JVM: OnceLock<Jvm> = OnceLock::new();
    JVM.get_or_init(Jvm::start)
        .call(main_class, arguments, input)
}

type Waiting = Arc<Mutex<HashMap<u32, Sender<Run>>>>;

struct Jvm {
    calls: Mutex<(u32, BufWriter<ChildStdin>)>,
    waiting: Waiting,
}

impl Jvm {
    fn start() -> Jvm {
        let sources = tests_directory().join("java");
        let mut child = Command::new("java")
            .args(["-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .arg(format!("-Dlog4j.configuration=file:{}", log4j().display()))
            .args(["-cp", &kafka_class_path()])
            .arg(sources.join("ToolRunner.java"))
            .arg(sources.join("clients"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("java: {e}: cargo xtask peers"));
        let calls = child.stdin.take().expect("standard input is a pipe");
        let answers = child.stdout.take().expect("standard output is a pipe");
        let waiting = Waiting::default();
        let readers_waiting = Arc::clone(&waiting);
        thread::spawn(move || {
            // The end of the stream drops every waiter's sender, which wakes the waiter.
            let _ = hand_out(BufReader::new(answers), &readers_waiting);
            readers_waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            let _ = child.wait();
        });
        Jvm {
            calls: Mutex::new((0, BufWriter::new(calls))),
            waiting,
        }
    }

    fn call(&self, main_class: &str, arguments: &[&str], input: &[u8]) -> Run {
        let (sender, answer) = channel();
        {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let (last, pipe) = &mut *calls;
            *last += 1;
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.insert(*last, sender);
            drop(waiting);
            write_call(pipe, *last, main_class, arguments, input).expect("the JVM runs");
        }
        answer
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|e| panic!("{main_class} {arguments:?} does not end: {e}"))
    }
}

fn write_call(
    pipe: &mut impl Write,
    id: u32,
    main_class: &str,
    arguments: &[&str],
    input: &[u8],
) -> io::Result<()> {
    pipe.write_all(&id.to_be_bytes())?;
    write_bytes(pipe, main_class.as_bytes())?;
    pipe.write_all(
        &u32::try_from(arguments.len())
            .expect("few arguments")
            .to_be_bytes(),
    )?;
    for argument in arguments {
        write_bytes(pipe, argument.as_bytes())?;
    }
    write_bytes(pipe, input)?;
    pipe.flush()
}

fn write_bytes(pipe: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    pipe.write_all(&u32::try_from(bytes.len()).expect("small").to_be_bytes())?;
    pipe.write_all(bytes)
}

/// Reads answers, and gives each to the call that waits for it, until the JVM ends.
fn hand_out(mut answers: BufReader<ChildStdout>, waiting: &Waiting) -> io::Result<()> {
    loop {
        let id = read_u32(&mut answers)?;
        let exit = read_u32(&mut answers)?.cast_signed();
        let output = read_text(&mut answers)?;
        let errors = read_text(&mut answers)?;
        let waiter = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        if let Some(waiter) = waiter {
            // A caller that gave up has dropped its receiver.
            let _ = waiter.send(Run {
                exit,
                output,
                errors,
            });
        }
    }
}

fn read_u32(pipe: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    pipe.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn read_text(pipe: &mut impl Read) -> io::Result<String> {
    let length = read_u32(pipe)?;
    let mut bytes = Vec::new();
    pipe.take(length.into()).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
