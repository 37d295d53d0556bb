//! Shows: compaction leaves what Kafka's own cleaner leaves. Random histories with tombstones,
//! transactions and every codec are written as segment files and cleaned, with the same settings
//! and clock; Kafka's classes then read what is left.
//!
//! A history is a seed. A failing one names it; `CHIPLOG_CLEANER_SEED=7` runs that one alone, and
//! `CHIPLOG_CLEANER_HISTORIES=50` as many of full size (at least 100,000 records each).

mod chance;
mod dump;
mod history;
mod model;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dump::{Cleaning, Pass, clean_with_kafka};
use history::{BEGIN_MS, History, Size};
use model::Model;

const FULL: Size = Size {
    records: 100_000,
    segment_bytes: 1 << 20,
};
const SMALL: Size = Size {
    records: 12_000,
    segment_bytes: 128 << 10,
};
const SMALL_HISTORIES: u64 = 3;

/// How the keys of most records begin, and of no control record: `key`.
const KEY_DIGITS: &str = " \"6b6579";

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A slot of Kafka's map: an MD5 hash and an offset.
const SLOT_BYTES: usize = 16 + 8;

/// The seeds to run, and how large their histories are.
fn histories() -> (Vec<u64>, Size) {
    let number = |name| {
        let text = env::var(name).ok()?;
        Some(
            text.parse()
                .unwrap_or_else(|e| panic!("{name}={text}: {e}")),
        )
    };
    let count: Option<u64> = number("CHIPLOG_CLEANER_HISTORIES");
    let size = if count.is_some() { FULL } else { SMALL };
    let seeds = match number("CHIPLOG_CLEANER_SEED") {
        Some(seed) => vec![seed],
        None => (0..count.unwrap_or(SMALL_HISTORIES)).collect(),
    };
    (seeds, size)
}

/// How the history of a seed is cleaned: at once, in parts as its records become old enough, or in
/// parts because the map is too small.
fn cleaning(seed: u64, history: &History, size: Size) -> Cleaning {
    let span_ms = history.end_ms - BEGIN_MS;
    let retention_ms = span_ms / 2;
    let in_thirds = |from_ms: i64| [1, 2, 3].map(|third| from_ms + third * span_ms / 3);
    let (compaction_lag_ms, slots, first_passes_ms) = match seed % 3 {
        0 => (0, 100_000, vec![history.end_ms]),
        1 => (span_ms, 100_000, in_thirds(BEGIN_MS + span_ms).to_vec()),
        _ => (0, 1_000, in_thirds(history.end_ms).to_vec()),
    };
    let mut passes_ms = first_passes_ms;
    // When every producer has been forgotten.
    passes_ms.push(history.end_ms + 3 * span_ms + 2 * DAY_MS);
    Cleaning {
        segment_bytes: size.segment_bytes,
        delete_retention_ms: retention_ms,
        compaction_lag_ms,
        dedupe_buffer_bytes: slots * SLOT_BYTES,
        producer_expiration_ms: DAY_MS,
        passes_ms,
    }
}

/// A history of a seed, in a directory of its own.
fn write(seed: u64, size: Size) -> (tempfile::TempDir, History) {
    println!("CHIPLOG_CLEANER_SEED={seed}");
    let root = tempfile::tempdir().expect("a temporary directory");
    let history = History::write(seed, size, &root.path().join("written"));
    (root, history)
}

#[test]
fn kafkas_cleaner_leaves_what_the_model_says() {
    let (seeds, size) = histories();
    for seed in seeds {
        let (_root, history) = write(seed, size);
        let cleaning = cleaning(seed, &history, size);
        let mut model = Model::new(&history, cleaning.delete_retention_ms);
        let written = dump::records(&dump::read(&history.directory));
        assert_eq!(model.records(), &written, "Kafka reads what was written");
        let passes = clean_with_kafka(&history.directory, &cleaning);
        for (pass, now_ms) in passes.iter().zip(&cleaning.passes_ms) {
            model.step(pass, *now_ms);
        }
    }
}

/// A judge that finds nothing wrong with anything is worth nothing.
#[test]
fn the_model_refuses_what_a_cleaner_must_not_do() {
    let (_root, history) = write(0, SMALL);
    let cleaning = cleaning(0, &history, SMALL);
    let written = dump::read(&history.directory);
    let pass = clean_with_kafka(&history.directory, &cleaning).swap_remove(0);
    let is_right = |lines: Vec<String>| {
        let pass = Pass { lines, ..pass };
        let mut model = Model::new(&history, cleaning.delete_retention_ms);
        let step = AssertUnwindSafe(|| model.step(&pass, cleaning.passes_ms[0]));
        catch_unwind(step).is_ok()
    };
    assert!(is_right(pass.lines.clone()), "what Kafka left is right");

    let is_record = |line: &str| line.starts_with("record ") && line.contains(KEY_DIGITS);
    let records: Vec<usize> = (0..pass.lines.len())
        .filter(|at| is_record(&pass.lines[*at]))
        .collect();
    let value = records
        .iter()
        .find(|at| !pass.lines[**at].contains(" null"));
    let tombstone = records
        .iter()
        .find(|at| pass.lines[**at].contains("\" null"));
    for at in [value, tombstone] {
        let at = *at.expect("the pass left one");
        let mut lines = pass.lines.clone();
        let lost = lines.remove(at);
        assert!(!is_right(lines), "lost: {lost}");
    }

    let is_batch = |line: &String| line.contains(" control=false ");
    let first_batch = pass.lines.iter().position(is_batch);
    let gone = written
        .iter()
        .find(|line| is_record(line) && !pass.lines.contains(line));
    let mut lines = pass.lines.clone();
    let gone = gone.expect("the pass removed some").clone();
    lines.insert(first_batch.expect("the pass left some") + 1, gone.clone());
    assert!(!is_right(lines), "kept: {gone}");
}
