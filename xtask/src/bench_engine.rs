//! `cargo xtask bench-engine [--save]`: the engine's criterion benchmarks beside their committed
//! baseline.
//!
//! Not a part of `check`: times are for people to look at, on a machine that is theirs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, succeed, workspace_root};

const BASELINE: &str = "benches/engine/baseline.json";

/// Medians in nanoseconds, by the benchmark's name.
type Medians = BTreeMap<String, f64>;

/// Runs them and prints each median beside the baseline's; `--save` makes them the baseline.
pub fn run(arguments: &[&str]) -> Result<(), Failure> {
    let save = match arguments {
        [] => false,
        ["--save"] => true,
        _ => return Err(Failure::new("usage: cargo xtask bench-engine [--save]")),
    };
    let results = workspace_root().join("target/criterion");
    if results.is_dir() {
        fs::remove_dir_all(&results).map_err(|error| unreadable(&results, &error))?;
    }
    succeed(
        Command::new("cargo")
            .args(["bench", "-p", "chiplog-engine-bench", "--bench", "engine"])
            .env("CARGO_TARGET_DIR", workspace_root().join("target")),
    )?;
    let now = medians(&results)?;
    let path = workspace_root().join(BASELINE);
    let before = baseline(&path)?;
    println!(
        "{:<32} {:>14} {:>14} {:>7}",
        "benchmark", "now, us", "baseline, us", "ratio"
    );
    for (name, ns) in &now {
        let (then, ratio) = match before.get(name) {
            Some(before) => (
                format!("{:.2}", before / 1e3),
                format!("{:.2}", ns / before),
            ),
            None => (String::new(), String::new()),
        };
        println!("{name:<32} {:>14.2} {then:>14} {ratio:>7}", ns / 1e3);
    }
    if save {
        let rounded: Medians = now
            .into_iter()
            .map(|(name, ns)| (name, ns.round()))
            .collect();
        let text = serde_json::to_string_pretty(&rounded)
            .map_err(|error| Failure::new(error.to_string()))?;
        fs::write(&path, text + "\n").map_err(|error| unreadable(&path, &error))?;
    }
    Ok(())
}

fn baseline(path: &Path) -> Result<Medians, Failure> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(Medians::new());
    };
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Criterion leaves `<group>/<name>/new/{benchmark,estimates}.json`.
fn medians(results: &Path) -> Result<Medians, Failure> {
    let mut medians = Medians::new();
    for group in folders(results)? {
        for benchmark in folders(&group)? {
            let new = benchmark.join("new");
            if !new.is_dir() {
                continue;
            }
            let id = json(&new.join("benchmark.json"))?;
            let estimates = json(&new.join("estimates.json"))?;
            let name = id["full_id"].as_str();
            let median = estimates["median"]["point_estimate"].as_f64();
            let (Some(name), Some(median)) = (name, median) else {
                let said = format!("{}: not what criterion writes", new.display());
                return Err(Failure::new(said));
            };
            medians.insert(name.to_owned(), median);
        }
    }
    Ok(medians)
}

fn folders(path: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries = fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.is_dir()).collect())
}

fn json(path: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
