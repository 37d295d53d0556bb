//! A ZooKeeper server for the brokers of one test, from Kafka's own jars.
//!
//! Invariant: the process is gone when its [`ZooKeeper`] is dropped.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::node::command_line::java;
use crate::place::free_port;
use crate::state::{SOON, reach};

/// One running ZooKeeper server.
#[derive(Debug)]
pub struct ZooKeeper {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl ZooKeeper {
    /// Starts a server, and waits until it listens.
    pub fn start() -> ZooKeeper {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let port = free_port();
        let class = "org.apache.zookeeper.server.ZooKeeperServerMain";
        let command = format!(
            "exec {} -Dzookeeper.admin.enableServer=false {class} {port} {}",
            java("-Xmx256m"),
            directory.path().display()
        );
        let child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let zookeeper = ZooKeeper {
            child,
            port,
            _directory: directory,
        };
        reach("ZooKeeper listens", 3 * SOON, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        zookeeper
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
