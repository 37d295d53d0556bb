//! Shows: compaction leaves what Kafka's own cleaner leaves. Random histories with tombstones,
//! transactions and every codec are written as segment files, copied, and cleaned by both with the
//! same settings and clock; Kafka's classes then read what is left, which must be the same segments,
//! batches, records, control records and aborted transactions, line by line.
//!
//! These may differ, and nothing else:
//! - the bytes of compressed records: compressors differ. What is in them is compared; of batches
//!   that are not compressed the CRC is;
//! - what lies below the log's start, which nobody reads: Kafka keeps aborted records there;
//! - a pass that goes on within a segment, where a map had been full: Kafka 3.9 takes transactions
//!   that were aborted earlier in the segment for open ones, does not learn what their producers
//!   committed next, and so keeps older records of these keys. Such a pass, and those after one that
//!   left a difference, are compared with the model alone;
//! - where the indexes have entries: Kafka writes one for a buffer. Kafka's tool checks ours.
//!
//! A history is a seed. A failing one names it; `CHIPLOG_CLEANER_SEED=7` runs that one alone, and
//! `CHIPLOG_CLEANER_HISTORIES=50` as many of full size (at least 100,000 records each).

mod chance;
mod dump;
mod history;
mod model;
mod old_messages;
mod ours;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{env, fs};

use chiplog_tests::java::{Tool, run};
use dump::{Cleaning, Pass, clean_with_kafka};
use history::{BEGIN_MS, Begins, History, Size, topic_partition};
use model::{Cleaner, Model};

const FULL: Size = Size {
    records: 100_000,
    segment_bytes: 1 << 20,
};
const SMALL: Size = Size {
    records: 12_000,
    segment_bytes: 128 << 10,
};
const SMALL_HISTORIES: u64 = 4;

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
    // In a history that is cleaned at once: what remains below the start is each cleaner's own
    // affair, and how large it is decides which segments the next pass joins.
    let log_start = match seed % 12 {
        3 => history.log_end / 7,
        _ => 0,
    };
    if seed % 6 == 1 {
        // What is left for the last pass.
        passes_ms.pop();
    }
    // When every producer has been forgotten.
    passes_ms.push(history.end_ms + 3 * span_ms + 2 * DAY_MS);
    Cleaning {
        segment_bytes: size.segment_bytes,
        delete_retention_ms: retention_ms,
        compaction_lag_ms,
        dedupe_buffer_bytes: slots * SLOT_BYTES,
        producer_expiration_ms: DAY_MS,
        log_start,
        passes_ms,
    }
}

/// A history of a seed, in a directory of its own.
fn write(seed: u64, size: Size, begins: Begins) -> (tempfile::TempDir, History) {
    println!("CHIPLOG_CLEANER_SEED={seed}");
    let root = tempfile::tempdir().expect("a temporary directory");
    let history = History::write(seed, size, begins, &root.path().join("written"));
    (root, history)
}

/// Copies a log directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory is ours");
    for entry in fs::read_dir(from).expect("the directory is there") {
        let entry = entry.expect("the directory is there");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("there is room");
            let modified = from.metadata().and_then(|found| found.modified());
            let copy = fs::File::open(to).expect("it was just written");
            copy.set_modified(modified.expect("the file is there"))
                .expect("the file is ours");
        }
    }
}

#[test]
fn our_cleaner_leaves_what_kafkas_leaves_and_both_what_the_model_says() {
    compare(Begins::New);
}

/// So do messages of the formats before batches, which keep their format.
#[test]
fn our_cleaner_leaves_of_old_formats_what_kafkas_leaves() {
    let (_, size) = histories();
    compare(Begins::Old(size.records / 3));
}

fn compare(begins: Begins) {
    let (seeds, size) = histories();
    for seed in seeds {
        let (root, history) = write(seed, size, begins);
        let cleaning = cleaning(seed, &history, size);
        let model = |cleaner| Model::new(&history, cleaner, &cleaning);
        let (mut of_ours, mut of_kafka) = (model(Cleaner::Ours), model(Cleaner::Kafka));
        let written = dump::records(&dump::read(&history.directory));
        assert_eq!(of_ours.records(), &written, "Kafka reads what was written");

        let our_place = root.path().join("ours");
        copy(&root.path().join("written"), &our_place);
        let ours = ours::clean(&our_place, &cleaning);
        let kafkas = clean_with_kafka(&history.directory, &cleaning);
        let mut is_same_input = true;
        for ((ours, kafkas), now_ms) in ours.iter().zip(&kafkas).zip(&cleaning.passes_ms) {
            of_ours.step(ours, *now_ms);
            let forgets_transactions = of_kafka.step(kafkas, *now_ms);
            if is_same_input && !forgets_transactions {
                assert_same(ours, kafkas, cleaning.log_start);
            }
            is_same_input &= ours == kafkas;
        }
        assert_indexes_are_right(&our_place.join(topic_partition().to_string()));
        ours::assert_indexes_are_believed(&root.path().join("written"), &cleaning);
    }
}

/// Both cleaned as far, and left the same files but for what compressors make of the records, and
/// for what lies below the log's start: Kafka keeps aborted records there.
fn assert_same(ours: &Pass, kafkas: &Pass, log_start: i64) {
    let our_lines = dump::from(&ours.lines, log_start);
    let kafkas_lines = dump::from(&kafkas.lines, log_start);
    let mut lines = our_lines.iter().zip(&kafkas_lines).enumerate();
    if let Some((at, (our, kafka))) = lines.find(|(_, (our, kafka))| our != kafka) {
        let from = ours.from;
        panic!("pass from {from}, line {at}\nKafka: {kafka}\nours:  {our}");
    }
    assert_eq!(our_lines.len(), kafkas_lines.len());
    assert_eq!(
        (ours.from, ours.uncleanable, ours.next),
        (kafkas.from, kafkas.uncleanable, kafkas.next)
    );
}

/// The indexes say of the segments what Kafka's tool finds in them.
fn assert_indexes_are_right(directory: &Path) {
    let files = fs::read_dir(directory).expect("the directory is there");
    let files = files.map(|entry| entry.expect("the directory is there").path());
    let is_index = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("index" | "timeindex"))
    };
    let names: Vec<String> = files
        .filter(is_index)
        .map(|file| file.display().to_string())
        .collect();
    let files = names.join(",");
    let found = run(Tool::DumpLog, &["--verify-index-only", "--files", &files]).succeeded();
    let faults = ["ismatch", "out of order", "Found "];
    let fault = found
        .lines()
        .find(|line| faults.iter().any(|fault| line.contains(fault)));
    assert_eq!(fault, None);
}

/// A judge that finds nothing wrong with anything is worth nothing.
#[test]
fn the_model_refuses_what_a_cleaner_must_not_do() {
    let (_root, history) = write(0, SMALL, Begins::New);
    let cleaning = cleaning(0, &history, SMALL);
    let written = dump::read(&history.directory);
    let pass = clean_with_kafka(&history.directory, &cleaning).swap_remove(0);
    let is_right = |lines: Vec<String>| {
        let pass = Pass { lines, ..pass };
        let mut model = Model::new(&history, Cleaner::Kafka, &cleaning);
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
