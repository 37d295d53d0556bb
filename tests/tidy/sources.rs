//! The files of the repository, as the rules look at them.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the repository.
pub struct Source {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What it holds.
    pub text: String,
}

impl Source {
    /// Whether it was written by a program.
    pub fn is_generated(&self) -> bool {
        self.text.starts_with("// @generated")
    }

    /// Whether it only serves tests or measurements.
    pub fn is_test(&self) -> bool {
        let in_folder = |folder| self.path.starts_with(folder);
        in_folder("tests/")
            || in_folder("benches/")
            || self.path.contains("/tests/")
            || self.path.contains("/examples/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }

    /// The text up to the tests at the end of the file.
    pub fn without_tests(&self) -> &str {
        let tests = self.text.match_indices("#[cfg(test)]").find(|(at, _)| {
            let next = self.text[*at..].lines().nth(1).unwrap_or("");
            next.trim_start().starts_with("mod ") && next.trim_end().ends_with('{')
        });
        tests.map_or(&self.text, |(at, _)| &self.text[..at])
    }

    /// The lines that a compiler reads, with their numbers: comments are cut off.
    pub fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
        text.lines()
            .enumerate()
            .map(|(index, line)| (index + 1, without_comment(line)))
    }
}

/// The line up to `//`. A `//` in a string cuts the line as well, which hides nothing that the
/// rules look for, because they look for calls.
fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// The folder that holds the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"))
        .canonicalize()
        .expect("tests/ is there");
    tests
        .parent()
        .expect("tests/ lies in the root")
        .to_path_buf()
}

/// Every file of the repository whose name ends in `extension`, in the order of their paths.
pub fn all(extension: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    let wanted = paths
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(extension));
    wanted
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let path = path
                .strip_prefix(root())
                .expect("the path begins with the root");
            Source {
                path: path.to_string_lossy().into_owned(),
                text,
            }
        })
        .collect()
}

/// All files below `folder`, but for what is built, stored or fetched there.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}")) {
        let path = entry.expect("a folder can be read to its end").path();
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        let skipped = ["target", ".git", "corpus", "artifacts"].contains(&name.as_str())
            || (name == "data" && path.parent() == Some(root().as_path()));
        if skipped {
            continue;
        }
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// Fails with all of `faults`, one a line.
pub fn assert_none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n{}", faults.join("\n"));
}
