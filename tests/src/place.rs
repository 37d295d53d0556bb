//! Where things lie: Cargo's target folder, the `chiplog` command, Kafka's jars, free ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports are taken from below the range out of which Linux gives ports to outgoing connections,
/// so that no client can hold the port of a node that is just being started.
const FIRST_PORT: u16 = 12_000;
const PORT_COUNT: u16 = 18_000;

/// The folder of the tests in the workspace.
pub fn tests_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo's target folder, found from the running test's own place, `target/<profile>/deps`.
pub fn target_directory() -> PathBuf {
    profile_directory()
        .parent()
        .expect("a profile's folder lies in target/")
        .to_path_buf()
}

/// The `chiplog` command of the profile that the running test was built with.
///
/// `CHIPLOG_COMMAND` names another one, for instance of a release build.
pub fn chiplog_command() -> PathBuf {
    if let Some(command) = std::env::var_os("CHIPLOG_COMMAND") {
        return command.into();
    }
    let command = profile_directory().join("chiplog");
    assert!(
        command.exists(),
        "{} is missing: cargo build -p chiplog",
        command.display()
    );
    command
}

/// The class path of Kafka's jars.
pub fn kafka_class_path() -> String {
    let libs = target_directory().join("peers/libs");
    assert!(
        libs.exists(),
        "{} is missing: cargo xtask peers",
        libs.display()
    );
    format!("{}/*", libs.display())
}

/// A port on 127.0.0.1 that nobody listens on, never given twice to one test process.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id() % u32::from(PORT_COUNT);
    let begin = u16::try_from(begin).expect("a remainder of a u16 is one");
    loop {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!(taken < PORT_COUNT, "all ports for tests are in use");
        let port = FIRST_PORT + (begin + taken) % PORT_COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the system knows this program's path");
    test.ancestors()
        .nth(2)
        .expect("a test lies in target/<profile>/deps")
        .to_path_buf()
}
