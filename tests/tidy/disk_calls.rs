//! Every call by which the engine opens, reads or changes what is on disk is in one file, where tests
//! can let it fail; the server makes none.

use crate::sources::{Source, all, assert_none};

/// The one layer, what its errors are made of, and the failures that tests inject.
const LAYER: &[&str] = &[
    "engine/src/disk.rs",
    "engine/src/disk_error.rs",
    "engine/src/fault.rs",
];

/// Lines outside of it that may stay, each with its reason.
const EXCEPT: &[(&str, &str)] = &[
    // Locks change nothing that is on disk, and the kernel drops them with the process.
    (
        "engine/src/directory_lock.rs",
        "use rustix::fs::{FlockOperation, fcntl_lock, flock};",
    ),
    // Opens by what it is given, which is of the layer.
    ("engine/src/sealed_segment.rs", "self.standing.open("),
    // Reads server.properties and the host's name, before anything runs.
    ("server/src/config/load.rs", "std::fs::read"),
];

/// Functions: of std and rustix, of both kinds of files, and the helper thread that a blocking call
/// goes to (through the layer, which keeps it on the thread that a test watches).
const FUNCTIONS: &[&str] = &[
    "File::open",
    "File::create",
    "File::options",
    "rustix::fs::",
    "rustix::io::pread",
    "rustix::io::pwrite",
    "libc::",
];

/// Methods of std's and the ring's files and options.
const METHODS: &[&str] = &[
    "open",
    "set_len",
    "set_modified",
    "set_permissions",
    "set_times",
    "sync_all",
    "sync_data",
    "fdatasync",
    "fsync",
    "fallocate",
    "sync_range",
    "read_at",
    "read_exact",
    "read_exact_at",
    "read_to_end",
    "read_to_string",
    "read_dir",
    "try_read_at",
    "bring_in",
    "write_all",
    "write_all_at",
    "write_at",
    "write_vectored_at",
    "write_vectored_all_at",
    "try_clone",
    "try_clone_std",
    "metadata",
    "symlink_metadata",
    "is_dir",
    "is_file",
    "exists",
    "try_exists",
    "canonicalize",
];

/// Whether a line makes a call of the engine's that is the layer's to make.
fn bypasses(code: &str) -> bool {
    let method = METHODS
        .iter()
        .any(|method| code.contains(&format!(".{method}(")));
    let truncates = code.contains("file.truncate(");
    method || truncates || calls(code) || code.contains("ring::offload")
}

/// Whether a line calls a function that touches the disk.
fn calls(code: &str) -> bool {
    FUNCTIONS.iter().any(|function| code.contains(function))
        || code.match_indices("fs::").any(|(at, piece)| {
            let before = code[..at].chars().next_back();
            let own = before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_');
            // A type is named, a function is called.
            let next = code[at + piece.len()..].chars().next();
            own && next.is_some_and(|letter| letter.is_ascii_lowercase())
        })
}

#[test]
fn the_rule_sees_what_it_is_for() {
    for call in [
        "std::fs::rename(a, b)?;",
        "    fs::remove_file(&path)",
        "let file = File::open(path)?;",
        "OpenOptions::new().write(true).open(path)",
        "            .open(path)?;",
        "file.set_len(0)",
        "rustix::fs::fdatasync(file)",
        "ring::offload(move || x)",
        "iter().map(std::fs::read)",
        "file.truncate(position).await",
        "entry.path().is_dir()",
    ] {
        assert!(bypasses(call), "{call}");
    }
    for other in [
        "use std::fs::{File, OpenOptions};",
        "use std::fs::OpenOptions;",
        "disk::read_exact_at(&file, into, 0)?",
        "bytes.truncate(7);",
        "prefs::open()",
    ] {
        assert!(!bypasses(other), "{other}");
    }
}

#[test]
fn no_call_to_the_disk_bypasses_its_layer() {
    let mut faults = Vec::new();
    let mut used = Vec::new();
    for source in all(".rs") {
        let engine = source.path.starts_with("engine/src/");
        let server = source.path.starts_with("server/src/");
        if source.is_test() || LAYER.contains(&source.path.as_str()) {
            continue;
        }
        for (number, code) in Source::code(source.without_tests()) {
            if !(engine && bypasses(code) || server && calls(code)) {
                continue;
            }
            let listed = EXCEPT
                .iter()
                .find(|(path, piece)| *path == source.path && code.contains(piece));
            match listed {
                Some(listed) => used.push(listed),
                None => faults.push(format!(
                    "{}:{number}: {}: make it through engine/src/disk.rs",
                    source.path,
                    code.trim()
                )),
            }
        }
    }
    let unused = EXCEPT.iter().filter(|listed| !used.contains(listed));
    faults
        .extend(unused.map(|(path, piece)| format!("{path}: has no {piece} any more, unlist it")));
    assert_none("calls to the disk outside of its layer", &faults);
}
