//! Every test that docs/traps.md names is there, and every trap in its tables names one.

use std::fs;

use crate::sources::{assert_none, root};

#[test]
fn every_trap_names_tests_that_are_there() {
    let text = fs::read_to_string(root().join("docs/traps.md")).expect("docs/traps.md is there");
    let mut faults = Vec::new();
    let mut named = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let &[trap, tests] = &cells[..] else {
            faults.push(format!("{line}: a trap, and its tests"));
            continue;
        };
        if trap.trim() == "Trap" {
            continue;
        }
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            faults.push(format!("{}: no test is named", trap.trim()));
        }
        for test in tests {
            named += 1;
            if !is_there(test) {
                faults.push(format!("{}: there is no {test}", trap.trim()));
            }
        }
    }
    assert!(named > 50, "the tables are read: {named}");
    assert_none("traps and their tests", &faults);
}

/// Whether `file::function` is a test.
fn is_there(test: &str) -> bool {
    let Some((file, function)) = test.split_once("::") else {
        return false;
    };
    let path = match file.strip_prefix("e2e/") {
        Some(file) => format!("tests/end_to_end/{file}"),
        None => file.to_owned(),
    };
    let Ok(source) = fs::read_to_string(root().join(path)) else {
        return false;
    };
    let head = format!("fn {function}(");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&head));
    at.is_some_and(|at| {
        let above = lines[..at].iter().rev();
        let mut attributes =
            above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        attributes.any(|line| *line == "#[test]")
    })
}
