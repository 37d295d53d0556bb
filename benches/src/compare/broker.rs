//! Starts the two brokers on fresh data directories, with the same settings where both have them.
//!
//! Kafka runs as its own scripts would start it: stock JVM flags, stock thread and socket settings,
//! a heap of 1 GiB, KRaft in combined mode. Retention is off for both.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::Error;
use benches::clock::Nanos;
use benches::cluster::Cluster;

use crate::child::{Placement, Process};

/// How long a broker may take until it answers.
const START_WITHIN: Nanos = Nanos(120_000_000_000);
/// How long to wait before asking again: the start-up time is known no better than this.
const ASK_AGAIN_AFTER: Nanos = Nanos(500_000);
/// How long a deleted topic's files may stay; Kafka looks for them half a minute after its start at
/// the earliest.
const REMOVED_WITHIN: Nanos = Nanos(120_000_000_000);
const LOOK_AGAIN_AFTER: Nanos = Nanos(50_000_000);
/// Kafka reads its cluster id in base64url; which one does not matter.
const CLUSTER_ID: &str = "Y2hpcGxvZy1iZW5jaGVzMQ";

/// Which broker.
#[derive(Clone, Debug)]
pub enum Make {
    /// chiplog: the path of its binary, and settings on top of the common ones.
    Chiplog {
        binary: PathBuf,
        settings: Vec<String>,
    },
    /// Apache Kafka: the folder with its jars, and settings instead of those it ships with.
    Kafka {
        libs: PathBuf,
        settings: Vec<String>,
    },
}

/// A broker that answers.
pub struct Broker {
    process: Process,
    address: SocketAddr,
    started_within: Nanos,
    dir: PathBuf,
}

impl Broker {
    /// Starts a broker with all its data under `dir`, which is created and must not exist, and
    /// waits for its first answer.
    pub fn start(make: &Make, dir: &Path, placement: Placement) -> Result<Broker, Error> {
        fs::create_dir_all(dir).map_err(Error::io(format!("creating {}", dir.display())))?;
        let address = free_address()?;
        let mut command = match make {
            Make::Chiplog { binary, settings } => chiplog(binary, settings, dir, address)?,
            Make::Kafka { libs, settings } => kafka(libs, settings, dir, address)?,
        };
        let output = dir.join("output.log");
        let begun = Nanos::now();
        let mut process = Process::start(make.name(), &mut command, &output, placement)?;
        while Cluster::ping(address).is_err() {
            process.require_alive()?;
            if Nanos::now().since(begun) > START_WITHIN {
                return Err(Error::TimedOut {
                    doing: format!("starting {}, see {}", make.name(), output.display()),
                    seconds: START_WITHIN.seconds(),
                });
            }
            ASK_AGAIN_AFTER.pause();
        }
        let started_within = Nanos::now().since(begun);
        Ok(Broker {
            process,
            address,
            started_within,
            dir: dir.to_owned(),
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// From the start of the process to its first ApiVersions answer.
    pub fn started_within(&self) -> Nanos {
        self.started_within
    }

    /// Waits until the files of a topic that was deleted are gone: to remove them takes processor and
    /// disk from whatever is measured next.
    pub fn wait_for_removal(&self, topic: &str) -> Result<(), Error> {
        let prefix = format!("{topic}-");
        let begun = Nanos::now();
        while has_entry(&data_of(&self.dir), &prefix)? {
            if Nanos::now().since(begun) > REMOVED_WITHIN {
                return Err(Error::TimedOut {
                    doing: format!("waiting until the files of {topic} are removed"),
                    seconds: REMOVED_WITHIN.seconds(),
                });
            }
            LOOK_AGAIN_AFTER.pause();
        }
        Ok(())
    }

    /// Ends the broker and removes its data.
    pub fn remove(self) -> Result<(), Error> {
        drop(self.process);
        fs::remove_dir_all(&self.dir).map_err(Error::io(format!("removing {}", self.dir.display())))
    }
}

impl Make {
    /// What it is called in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Make::Chiplog { .. } => "chiplog",
            Make::Kafka { .. } => "Kafka",
        }
    }
}

/// A port of the loopback interface that nobody uses at the moment.
pub fn free_address() -> Result<SocketAddr, Error> {
    let doing = "looking for a free port";
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io(doing))?;
    probe.local_addr().map_err(Error::io(doing))
}

/// The log directory of a broker that has its files in `dir`.
fn data_of(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn has_entry(dir: &Path, prefix: &str) -> Result<bool, Error> {
    let reading = || Error::io(format!("reading {}", dir.display()));
    for entry in fs::read_dir(dir).map_err(reading())? {
        let name = entry.map_err(reading())?.file_name();
        if name.as_encoded_bytes().starts_with(prefix.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What both brokers are told.
fn common_settings(dir: &Path, address: SocketAddr) -> String {
    format!(
        "log.dirs={}\n\
         num.partitions=1\n\
         log.retention.hours=-1\n\
         log.segment.bytes=1073741824\n\
         log.segment.delete.delay.ms=1000\n\
         offsets.topic.replication.factor=1\n\
         advertised.listeners=PLAINTEXT://{address}\n",
        data_of(dir).display()
    )
}

fn chiplog(
    binary: &Path,
    settings: &[String],
    dir: &Path,
    address: SocketAddr,
) -> Result<Command, Error> {
    let listener = format!("listeners=PLAINTEXT://{address}\n");
    let config = write_settings(dir, common_settings(dir, address) + &listener)?;
    let mut command = Command::new(binary);
    command.arg("serve").arg("--config").arg(config);
    for setting in settings {
        command.arg("--override").arg(setting);
    }
    Ok(command)
}

fn kafka(
    libs: &Path,
    overrides: &[String],
    dir: &Path,
    address: SocketAddr,
) -> Result<Command, Error> {
    let controller = free_address()?;
    let settings = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         num.network.threads=3\n\
         num.io.threads=8\n\
         socket.send.buffer.bytes=102400\n\
         socket.receive.buffer.bytes=102400\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n"
    );
    // Of a key that stands there twice, the last counts.
    let settings = settings + &overrides.join("\n") + "\n";
    let config = write_settings(dir, common_settings(dir, address) + &settings)?;
    let log4j = dir.join("log4j.properties");
    let logging = "log4j.rootLogger=INFO, out\n\
         log4j.appender.out=org.apache.log4j.ConsoleAppender\n\
         log4j.appender.out.layout=org.apache.log4j.PatternLayout\n\
         log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n";
    fs::write(&log4j, logging).map_err(Error::io("writing Kafka's logging settings"))?;
    format_storage(libs, dir, &config)?;
    let mut command = java(libs, &log4j);
    command
        .args([
            "-Xmx1G",
            "-Xms1G",
            "-server",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
        ])
        .args([
            "-XX:InitiatingHeapOccupancyPercent=35",
            "-XX:+ExplicitGCInvokesConcurrent",
        ])
        .args(["-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"])
        .arg(format!(
            "-Xlog:gc*:file={}:time,tags:filecount=10,filesize=100M",
            dir.join("gc.log").display()
        ))
        .args(["-Dcom.sun.management.jmxremote=true"])
        .args(["-Dcom.sun.management.jmxremote.authenticate=false"])
        .args(["-Dcom.sun.management.jmxremote.ssl=false"])
        .arg("kafka.Kafka")
        .arg(config);
    Ok(command)
}

/// `kafka-storage.sh format`, which a KRaft broker needs once before its first start.
fn format_storage(libs: &Path, dir: &Path, config: &Path) -> Result<(), Error> {
    let mut command = java(libs, &dir.join("log4j.properties"));
    command.args(["-Xmx256M", "kafka.tools.StorageTool", "format"]);
    command
        .args(["--cluster-id", CLUSTER_ID, "--config"])
        .arg(config);
    let output = command.output().map_err(Error::io("running java"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        return Err(Error::Unusable(format!(
            "Kafka's storage cannot be formatted: {said}"
        )));
    }
    Ok(())
}

fn java(libs: &Path, log4j: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(libs.join("*"));
    command.arg(format!("-Dlog4j.configuration=file:{}", log4j.display()));
    command
}

fn write_settings(dir: &Path, settings: String) -> Result<PathBuf, Error> {
    let path = dir.join("server.properties");
    fs::write(&path, settings).map_err(Error::io(format!("writing {}", path.display())))?;
    Ok(path)
}
