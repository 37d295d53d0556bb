//! A ZooKeeper server for the brokers of one test, from Kafka's own jars.
//!
//! Invariant: the process is gone when its [`ZooKeeper`] is dropped.

use std::io::{Read, Write};
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
            "exec {} -Dzookeeper.admin.enableServer=false -Dzookeeper.4lw.commands.whitelist=dump \
             {class} {port} {}",
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

/// Waits until the server on `port` has forgotten `path`, an ephemeral znode: that of a killed process
/// stays until its session has run out, and Kafka refuses to start while its own is there.
pub(crate) fn wait_until_gone(port: u16, path: &str) {
    reach(&format!("ZooKeeper forgets {path}"), SOON, || {
        let sessions = sessions(port).expect("ZooKeeper tells its sessions");
        assert!(
            sessions.contains("Ephemerals"),
            "ZooKeeper tells its sessions, not: {sessions}"
        );
        let mut paths = sessions.lines().map(str::trim);
        (!paths.any(|line| line == path)).then_some(())
    });
}

/// Every session with its ephemeral znodes, a path a line: ZooKeeper's command `dump`.
fn sessions(port: u16) -> std::io::Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.write_all(b"dump")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
