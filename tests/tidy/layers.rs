//! Who may depend on whom: the folders are the architecture.

use crate::sources::{all, assert_none};

/// Each folder with a Cargo.toml, and those of our crates that it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("ring", &[]),
    ("engine", &["protocol", "ring"]),
    ("replication", &["protocol"]),
    ("coordinator", &["protocol"]),
    ("controller", &["protocol"]),
    (
        "server",
        &[
            "protocol",
            "ring",
            "engine",
            "replication",
            "coordinator",
            "controller",
        ],
    ),
    // The load harness speaks the protocol; micro-benchmarks measure the layers one by one.
    ("benches", &["protocol", "ring", "engine"]),
    (
        "tools",
        &[
            "protocol",
            "ring",
            "engine",
            "replication",
            "coordinator",
            "controller",
            "server",
            "benches",
        ],
    ),
    // The harness sees nodes from outside: it must not share the code it checks.
    ("tests", &[]),
    // Compaction is judged file by file, which takes the engine itself.
    ("tests/cleaner", &["protocol", "engine", "tests"]),
    ("tests/clients", &["tests"]),
    ("tests/crowd", &["tests"]),
    ("xtask", &[]),
];

/// Programs of their own inside a folder: they may depend on what that folder may, and on it.
const NESTED: &[(&str, &str)] = &[
    ("protocol/fuzz", "protocol"),
    ("engine/fuzz", "engine"),
    ("benches/runtime", "benches"),
    ("benches/engine", "benches"),
];

#[test]
fn crates_depend_only_on_the_layers_below_them() {
    let mut faults = Vec::new();
    for manifest in all("Cargo.toml") {
        let Some((folder, _)) = manifest.path.rsplit_once('/') else {
            continue;
        };
        let owner = NESTED
            .iter()
            .find(|(nested, _)| *nested == folder)
            .map(|(_, owner)| *owner);
        let layer = LAYERS
            .iter()
            .find(|(layer, _)| *layer == owner.unwrap_or(folder));
        let Some((_, allowed)) = layer else {
            faults.push(format!(
                "{}: give {folder} its place in LAYERS",
                manifest.path
            ));
            continue;
        };
        for dependency in dependencies(&manifest.text) {
            let Some(name) = ours(&dependency) else {
                continue;
            };
            if !allowed.contains(&name) && owner != Some(name) {
                faults.push(format!("{}: must not depend on {name}", manifest.path));
            }
        }
    }
    assert_none("layers of ARCHITECTURE.md", &faults);
}

/// The names on the left of a manifest's dependency tables, tests' and build scripts' included.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            if let Some((_, name)) = table.split_once("dependencies.") {
                names.push(name.into());
            }
        } else if inside && let Some(name) = line.split(['=', '.']).next() {
            names.push(name.trim().trim_matches('"').into());
        }
    }
    names
}

/// The folder of our crate that a dependency means, under either of its names.
fn ours(dependency: &str) -> Option<&'static str> {
    let name = dependency.strip_prefix("chiplog-").unwrap_or(dependency);
    let name = if name == "chiplog" { "tools" } else { name };
    LAYERS
        .iter()
        .map(|(folder, _)| *folder)
        .find(|folder| *folder == name)
}
