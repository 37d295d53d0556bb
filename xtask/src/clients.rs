//! `cargo xtask clients [NAME]`: the clients that are too heavy for `check`, against a node.
//!
//! What they need is fetched from their package registries into target/clients, once for the
//! versions that tests/clients names. NAME runs only the tests whose names contain it.

mod fetch;

use std::process::Command;

use crate::peers;
use crate::step::{Failure, cargo, succeed, timed};

/// How long members come and go in the long run of the crowded group.
const CROWD_SECONDS_LONG: &str = "300";

/// Which runs of the crowded group are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crowd {
    Short,
    Long,
}

/// Fetches and builds the clients, and runs their tests one after the other.
pub fn run(arguments: &[&str]) -> Result<(), Failure> {
    let (names, crowd) = match arguments {
        [names @ .., "--long"] => (names, Crowd::Long),
        names => (names, Crowd::Short),
    };
    if names.len() > 1 || names.iter().any(|name| name.starts_with('-')) {
        return Err(Failure::new("usage: cargo xtask clients [NAME] [--long]"));
    }
    timed("Kafka's jars", "cargo xtask peers", peers::run)?;
    let fetch =
        |title, fetch: fn() -> Result<(), Failure>| timed(title, "cargo xtask clients", fetch);
    fetch("Python clients", fetch::python)?;
    fetch("Node clients", fetch::node)?;
    fetch("Go clients", fetch::go)?;
    fetch("Java client 4.1", fetch::java)?;
    fetch("Kafka Streams and Kafka Connect", fetch::streams)?;
    fetch("a real text", fetch::text)?;
    let again = format!("cargo xtask clients {}", arguments.join(" "));
    timed("build of the chiplog command", &again, || {
        cargo(&["build", "--package", "chiplog", "--locked"])
    })?;
    timed("clients", &again, || {
        test("chiplog-client-tests", names, &[])
    })?;
    let seconds = ("CHIPLOG_CROWD_SECONDS", CROWD_SECONDS_LONG);
    let settings = match crowd {
        Crowd::Short => &[][..],
        Crowd::Long => &[seconds],
    };
    timed("a crowded group", &again, || {
        test("chiplog-crowd-tests", names, settings)
    })
}

/// One test after the other: most of them start several programs.
fn test(package: &str, names: &[&str], settings: &[(&str, &str)]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["test", "--locked", "--package", package, "--"])
        .args(names)
        .arg("--test-threads=1")
        .envs(settings.iter().copied());
    succeed(&mut command)
}
