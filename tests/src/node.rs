//! A node under test: a process, its port, its data directory, and its log, which is shown when
//! the test fails.
//!
//! Invariant: a process started here is gone when its [`Node`] is dropped, whatever happened.

pub(crate) mod command_line;

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::place::free_port;
use crate::raw::{API_VERSIONS, Body, CREATE_TOPICS, Connection, METADATA, try_end_offset};
use crate::state::{SOON, reach};
use crate::zookeeper;

pub use command_line::Target;

/// How much of a node's log is shown when its test fails.
const SHOWN_OF_LOG_BYTES: usize = 20_000;

/// What a node is started with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    settings: Vec<(String, String)>,
    disk: Disk,
    target: Option<Target>,
}

impl Setup {
    /// Kafka's defaults, but for port and directory.
    pub fn new() -> Setup {
        Setup::default()
    }

    /// Sets `key` of `server.properties` to `value`.
    pub fn set(mut self, key: &str, value: &str) -> Setup {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Starts `target`, whatever the other nodes of this run are.
    pub fn of(mut self, target: Target) -> Setup {
        self.target = Some(target);
        self
    }

    /// Puts the data directory on another file system.
    pub fn on(mut self, disk: Disk) -> Setup {
        self.disk = disk;
        self
    }
}

/// The file system that holds a node's data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    /// That of the machine's temporary files.
    #[default]
    OfTheMachine,
    /// A file system in memory with room for so many bytes, gone when the node ends.
    Small {
        /// Its size.
        bytes: u64,
    },
    /// A file system that cannot be written to.
    ReadOnly,
}

/// One running (or stopped, or killed) broker of its own cluster.
#[derive(Debug)]
pub struct Node {
    child: Child,
    setup: Setup,
    target: Target,
    port: u16,
    first_answer_after: Duration,
    directory: TempDir,
}

/// What a node that could not start left behind.
#[derive(Debug)]
pub struct FailedStart {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it wrote to standard output and standard error.
    pub output: String,
}

impl Node {
    /// Starts a node with defaults, and waits until it answers.
    pub fn start() -> Node {
        Node::start_with(Setup::new())
    }

    /// Starts a node with `setup`, and waits until it answers.
    pub fn start_with(setup: Setup) -> Node {
        Node::try_start_with(setup).unwrap_or_else(|failed| {
            panic!(
                "the node ended with {} at start:\n{}",
                failed.status, failed.output
            )
        })
    }

    /// Starts a node that may refuse to start.
    pub fn try_start_with(setup: Setup) -> Result<Node, FailedStart> {
        let target = setup.target.unwrap_or_else(Target::of_this_run);
        let directory = TempDir::new().expect("a temporary directory can be made");
        let port = free_port();
        let place = command_line::Place {
            port,
            directory: directory.path(),
        };
        target.prepare(&place, &setup);
        let begin = Instant::now();
        let child = spawn(target, &place, &setup);
        let first_answer_after = Duration::ZERO;
        let mut node = Node {
            child,
            setup,
            target,
            port,
            first_answer_after,
            directory,
        };
        node.wait_for_first_answer(begin)?;
        Ok(node)
    }

    /// Asks the node to end (SIGTERM), waits for it, and gives how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = self.wait_for_end();
        if self.target == Target::Chiplog {
            assert!(
                status.success(),
                "SIGTERM ends chiplog with status 0, not {status}"
            );
        }
        status
    }

    /// Ends the node at once (SIGKILL), as a crash does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait_for_end();
    }

    /// Starts the node again on the same port and directory, after a stop or a kill.
    pub fn start_again(&mut self) {
        let place = command_line::Place {
            port: self.port,
            directory: self.directory.path(),
        };
        if let Target::KafkaWithZooKeeper { port } = self.target {
            zookeeper::wait_until_gone(port, "/brokers/ids/1");
        }
        let begin = Instant::now();
        self.child = spawn(self.target, &place, &self.setup);
        self.wait_for_first_answer(begin).unwrap_or_else(|failed| {
            panic!(
                "the node ended with {} at restart:\n{}",
                failed.status, failed.output
            )
        });
    }

    /// Starts another broker on the same port and directory, after a stop or a kill.
    pub fn start_again_as(&mut self, target: Target) {
        self.target = target;
        let place = command_line::Place {
            port: self.port,
            directory: self.directory.path(),
        };
        target.prepare(&place, &self.setup);
        self.start_again();
    }

    /// Creates `topic`, and waits until each of its partitions can be read.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.create_topic_with(topic, partitions, &[]);
    }

    /// As [`Node::create_topic`], with settings of the topic.
    pub fn create_topic_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut body = Body::new()
            .i32(1)
            .string(topic)
            .i32(partitions)
            .i16(1)
            .i32(0);
        body = body.i32(i32::try_from(settings.len()).expect("few settings"));
        for (key, value) in settings {
            body = body.string(key).string(value);
        }
        let mut answer = self
            .connect()
            .ask(CREATE_TOPICS, 2, &body.i32(30_000).i8(0));
        answer.i32(); // throttle time
        assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
        assert_eq!(answer.i16(), 0, "{topic} is created: {:?}", answer.string());
        let mut node = self.connect();
        reach("each partition can be read", SOON, || {
            let can_be_read = |partition| try_end_offset(&mut node, topic, partition).is_ok();
            (0..partitions).all(can_be_read).then_some(())
        });
    }

    /// A new connection to the node.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port).expect("the node accepts connections")
    }

    /// What clients call `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port the node listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The node's one entry of `log.dirs`, as this process sees it.
    pub fn log_directory(&self) -> PathBuf {
        let directory = command_line::log_directory(self.directory.path());
        match self.setup.disk {
            Disk::OfTheMachine => directory,
            // The file system is mounted only in the node's own mount namespace.
            Disk::Small { .. } | Disk::ReadOnly => {
                let inside = directory
                    .strip_prefix("/")
                    .expect("the directory is absolute");
                Path::new("/proc")
                    .join(self.child.id().to_string())
                    .join("root")
                    .join(inside)
            }
        }
    }

    /// Every file of the data directory whose name ends in `.` and `extension`, sorted.
    pub fn files(&self, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in fs::read_dir(self.log_directory()).expect("the data directory is readable") {
            let folder = folder.expect("the data directory is readable").path();
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            found.extend(entries.filter_map(|entry| {
                let path = entry.expect("a partition's directory is readable").path();
                path.extension()
                    .is_some_and(|e| e == extension)
                    .then_some(path)
            }));
        }
        found.sort();
        found
    }

    /// How long the last start took until ApiVersions was answered.
    pub fn first_answer_after(&self) -> Duration {
        self.first_answer_after
    }

    /// How much memory of the process is resident.
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// How much of it was resident at most since the start, or since `reset_peak_bytes`.
    pub fn peak_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Begins a new measurement of the peak; gives what is resident now.
    pub fn reset_peak_bytes(&self) -> u64 {
        const PEAK_RESIDENT: &str = "5";
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(path, PEAK_RESIDENT).expect("the peak of a process of ours is reset");
        self.peak_bytes()
    }

    fn status_bytes(&self, key: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the node runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("memory is told in kB");
        kib.trim().parse::<u64>().expect("memory is a number") * 1024
    }

    /// What the node wrote to standard output and standard error so far, over all its starts.
    pub fn output(&self) -> String {
        let bytes = fs::read(command_line::output_file(self.directory.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the node is a child of this process")
            .is_none()
    }

    /// Which broker this is.
    pub fn target(&self) -> Target {
        self.target
    }

    fn wait_for_first_answer(&mut self, begin: Instant) -> Result<(), FailedStart> {
        let answered = reach("the node answers ApiVersions", 3 * SOON, || {
            if let Some(status) = self.child.try_wait().expect("the node is a child") {
                return Some(Err(status));
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
            let mut node = Connection::open(self.port).ok()?;
            let mut answer = node.try_ask(API_VERSIONS, 0, &Body::new()).ok()?;
            (answer.i16() == 0).then_some(Ok(()))
        });
        self.first_answer_after = begin.elapsed();
        answered.map_err(|status| FailedStart {
            status,
            output: self.output(),
        })?;
        reach("the node knows itself as a broker", SOON, || {
            self.knows_itself().then_some(())
        });
        Ok(())
    }

    /// Whether the cluster's metadata has this broker, and a controller.
    fn knows_itself(&self) -> bool {
        let Ok(mut node) = Connection::open(self.port) else {
            return false;
        };
        let Ok(mut answer) = node.try_ask(METADATA, 1, &Body::new().i32(0)) else {
            return false;
        };
        let brokers = answer.i32();
        for _ in 0..brokers {
            answer.i32(); // id
            answer.string(); // host
            answer.i32(); // port
            answer.string(); // rack
        }
        brokers == 1 && answer.i32() >= 0
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("process ids are positive");
        let id = Pid::from_raw(id).expect("process ids are positive");
        kill_process(id, signal).expect("the node is a child that was not waited for");
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        reach("the node's process ends", SOON, || {
            self.child
                .try_wait()
                .expect("the node is a child of this process")
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output();
            let begin = output.ceil_char_boundary(output.len().saturating_sub(SHOWN_OF_LOG_BYTES));
            eprintln!(
                "---- the end of the node's log ----\n{}----",
                &output[begin..]
            );
        }
    }
}

fn spawn(target: Target, place: &command_line::Place<'_>, setup: &Setup) -> Child {
    let path = command_line::output_file(place.directory);
    let output: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .expect("writable");
    let errors = output.try_clone().expect("a file can be opened twice");
    let mut command = target.command(place, setup);
    command
        .stdin(std::process::Stdio::null())
        .stdout(output)
        .stderr(errors);
    command
        .spawn()
        .unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()))
}
