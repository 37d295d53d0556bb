//! How a source file looks from outside: its name, its head, its length.

use crate::sources::{Source, all, assert_none};

/// A file is this long at most, without its tests.
const LINES_MAX: usize = 500;

/// Files that are longer for now. Empty is what this list should be; it must never grow.
const LONGER: &[&str] = &[];

/// Names that say nothing about what a file does.
const BANNED_STEMS: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "types", "misc", "stuff", "shared", "base",
];

#[test]
fn files_begin_with_their_job() {
    let faults: Vec<String> = all(".rs")
        .into_iter()
        .filter(|source| !source.text.starts_with("//!") && !source.is_generated())
        .map(|source| format!("{}: begin with `//!` and the file's job", source.path))
        .collect();
    assert_none(
        "every file begins with its job, or with // @generated",
        &faults,
    );
}

#[test]
fn files_are_short() {
    let mut faults = Vec::new();
    for source in all(".rs") {
        if source.is_generated() || is_only_tests_of_a_crate(&source) {
            continue;
        }
        let lines = source.without_tests().lines().count();
        let listed = LONGER.contains(&source.path.as_str());
        if lines > LINES_MAX && !listed {
            faults.push(format!(
                "{}: {lines} lines, split it by decision",
                source.path
            ));
        }
        if lines <= LINES_MAX && listed {
            faults.push(format!("{}: is short now, take it off LONGER", source.path));
        }
    }
    assert_none("files have 500 lines at most, without their tests", &faults);
}

/// A file beside the code that holds nothing but tests counts as the end of another file does.
fn is_only_tests_of_a_crate(source: &Source) -> bool {
    source.path.contains("/tests/") || source.path.ends_with("tests.rs")
}

#[test]
fn files_are_named_for_what_they_do() {
    let mut faults = Vec::new();
    for source in all(".rs") {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if BANNED_STEMS.contains(&part) {
                faults.push(format!(
                    "{}: {part} says nothing, name the step",
                    source.path
                ));
            }
        }
        if repeats_its_crate(&source) && !source.is_generated() {
            faults.push(format!("{}: repeats the name of its crate", source.path));
        }
    }
    assert_none("names of files", &faults);
}

fn repeats_its_crate(source: &Source) -> bool {
    let Some((crate_folder, inside)) = source.path.split_once("/src/") else {
        return false;
    };
    let stem = inside
        .rsplit('/')
        .next()
        .unwrap_or(inside)
        .trim_end_matches(".rs");
    stem.split('_').any(|word| word == crate_folder)
}
