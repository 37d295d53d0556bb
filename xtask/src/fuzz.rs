//! `cargo xtask fuzz [MINUTES [TARGET]]`: each fuzz target for so many minutes, or one of them.
//!
//! Not a part of `check`: it takes a nightly compiler and cargo-fuzz, and finds by chance.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::{Failure, succeed, timed, workspace_root};

const MINUTES_DEFAULT: u64 = 10;

/// Where there are targets.
const FOLDERS: [&str; 2] = ["protocol/fuzz", "engine/fuzz"];

/// Runs every target in turn, or the one that is named, and stops at the first that finds something.
pub fn run(arguments: &[&str]) -> Result<(), Failure> {
    let parse = |minutes: &str| {
        minutes
            .parse::<u64>()
            .map_err(|_| Failure::new(format!("{minutes} is not a number of minutes")))
    };
    let (minutes, only) = match arguments {
        [] => (MINUTES_DEFAULT, None),
        [minutes] => (parse(minutes)?, None),
        [minutes, target] => (parse(minutes)?, Some(*target)),
        _ => return Err(Failure::new("usage: cargo xtask fuzz [MINUTES [TARGET]]")),
    };
    let ready = Command::new("cargo")
        .args(["+nightly", "fuzz", "--version"])
        .output();
    if !ready.is_ok_and(|output| output.status.success()) {
        return Err(Failure::new(
            "cargo-fuzz on a nightly compiler is missing: install them with\n  \
             rustup toolchain install nightly && cargo install cargo-fuzz",
        ));
    }
    let mut ran = 0;
    for folder in FOLDERS {
        ran += run_folder(folder, minutes, only)?;
    }
    match only {
        Some(target) if ran == 0 => Err(Failure::new(format!("there is no target {target}"))),
        _ => Ok(()),
    }
}

/// Gives how many targets it ran.
fn run_folder(folder: &str, minutes: u64, only: Option<&str>) -> Result<usize, Failure> {
    let mut targets = targets(&workspace_root().join(folder).join("fuzz_targets"))?;
    targets.retain(|target| only.is_none_or(|only| only == target));
    for target in &targets {
        let seconds = format!("-max_total_time={}", minutes * 60);
        let arguments = [
            "+nightly",
            "fuzz",
            "run",
            "--fuzz-dir",
            folder,
            target,
            "--",
            &seconds,
        ];
        let repeat_with = format!("cargo {}", arguments.join(" "));
        timed(&format!("fuzz {target}"), &repeat_with, || {
            succeed(Command::new("cargo").args(arguments))
        })?;
    }
    Ok(targets.len())
}

/// The names of the targets, which are the names of their files, in order.
fn targets(folder: &Path) -> Result<Vec<String>, Failure> {
    let unreadable = |error| Failure::new(format!("{}: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
