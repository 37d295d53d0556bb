//! `cargo xtask peers`: Apache Kafka's jars, which the tests run as tools, clients and brokers.
//!
//! tests/peers/pom.xml names the versions. The jars are resolved once into target/peers/libs; a
//! copy of the pom beside them says which versions those are, and a changed pom resolves anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::{Failure, is_installed, succeed, target_directory, workspace_root};

/// Resolves the jars, unless those of this very pom are there already.
pub fn run() -> Result<(), Failure> {
    let pom = workspace_root().join("tests/peers/pom.xml");
    let peers = target_directory().join("peers");
    let stamp = peers.join("resolved-pom.xml");
    let wanted = read(&pom)?;
    if fs::read_to_string(&stamp).is_ok_and(|resolved| resolved == wanted) {
        return require_java();
    }
    let libs = peers.join("libs");
    // What an earlier pom asked for must not stay on the class path.
    fs::remove_dir_all(&peers).or_else(ignore_missing)?;
    resolve(&pom, &libs)?;
    fs::write(&stamp, wanted).map_err(|e| Failure::new(format!("{}: {e}", stamp.display())))
}

/// Brings the jars that `pom` names into `libs`.
pub fn resolve(pom: &Path, libs: &Path) -> Result<(), Failure> {
    require_java()?;
    if !is_installed("mvn", "--version") {
        return Err(Failure::new(
            "Maven is not installed: install the Debian packages maven and openjdk-17-jdk-headless",
        ));
    }
    succeed(
        Command::new("mvn")
            .args([
                "--batch-mode",
                "--quiet",
                "dependency:copy-dependencies",
                "--file",
            ])
            .arg(pom)
            .arg(format!("-DoutputDirectory={}", libs.display())),
    )
}

fn require_java() -> Result<(), Failure> {
    // The tests compile Java sources at start, which takes a JDK and not only a JRE.
    if is_installed("java", "-version") && is_installed("javac", "-version") {
        return Ok(());
    }
    Err(Failure::new(
        "a JDK is not installed: install the Debian package openjdk-17-jdk-headless",
    ))
}

fn ignore_missing(error: std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(Failure::new(format!("cannot remove the old jars: {error}"))),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}
