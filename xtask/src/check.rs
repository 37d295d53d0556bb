//! `cargo xtask check`: everything that must hold before a change lands, in the order in which
//! a fault is found soonest. CI runs exactly this.

use std::time::Instant;

use crate::step::{Failure, cargo, timed};
use crate::{data, peers};

/// Runs every step, and stops at the first one that fails.
pub fn run() -> Result<(), Failure> {
    let begin = Instant::now();
    cargo_step("format", &["fmt", "--all", "--check"])?;
    timed("Kafka's jars", "cargo xtask peers", peers::run)?;
    timed("real data", "cargo xtask data", data::run)?;
    cargo_step(
        "lints and documentation of public items",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    cargo_step(
        "build of the chiplog command",
        &["build", "--package", "chiplog", "--locked"],
    )?;
    cargo_step(
        "tests",
        &[
            "test",
            "--workspace",
            // Needs more than Rust and Java: cargo xtask clients.
            "--exclude",
            "chiplog-client-tests",
            "--locked",
            "--no-fail-fast",
        ],
    )?;
    println!("check passed in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn cargo_step(title: &str, arguments: &[&str]) -> Result<(), Failure> {
    timed(title, &format!("cargo {}", arguments.join(" ")), || {
        cargo(arguments)
    })
}
