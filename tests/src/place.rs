//! Where things lie: Cargo's target folder, the `chiplog` command, Kafka's jars, free ports.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
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
    static LATER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let later = LATER.get_or_init(|| changed_since(&command));
    assert!(
        later.is_none(),
        "{} is older than {}: cargo build -p chiplog",
        command.display(),
        later.as_deref().unwrap_or(Path::new("")).display()
    );
    command
}

/// A source of the command that was changed after the command was built, which `cargo test` of the
/// tests' packages does not do.
fn changed_since(command: &Path) -> Option<PathBuf> {
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    let built = changed(command).ok()?;
    // Cargo's list of them; those of a folder that was moved are not there.
    let list = fs::read_to_string(command.with_extension("d")).ok()?;
    let mut sources = sources_in(&list).into_iter();
    sources.find(|source| changed(source).is_ok_and(|at| at > built))
}

/// What stands behind the colon of a rule of make, where a space within a path has a backslash.
fn sources_in(rule: &str) -> Vec<PathBuf> {
    let Some((_, sources)) = rule.split_once(": ") else {
        return Vec::new();
    };
    let marked = sources.trim_end().replace("\\ ", "\0");
    let paths = marked.split(' ').map(|path| path.replace('\0', " "));
    paths.map(PathBuf::from).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_command_that_is_older_than_one_of_its_sources_is_known() {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let at = |name: &str| place.path().join(name);
        let built = SystemTime::now() - Duration::from_secs(100);
        for name in ["chiplog", "a.rs", "with space.rs"] {
            let file = fs::File::create(at(name)).expect("writable");
            file.set_modified(built).expect("writable");
        }
        let rule = format!(
            "{0}/chiplog: {0}/a.rs {0}/gone.rs {0}/with\\ space.rs\n",
            place.path().display()
        );
        fs::write(at("chiplog.d"), rule).expect("writable");
        assert_eq!(changed_since(&at("chiplog")), None);
        fs::write(at("with space.rs"), "changed").expect("writable");
        assert_eq!(changed_since(&at("chiplog")), Some(at("with space.rs")));
    }
}
