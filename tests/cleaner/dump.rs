//! What the files of a partition hold, as Kafka's classes read it, after each pass of a cleaner.

use std::collections::BTreeMap;
use std::path::Path;

use chiplog_tests::java::run_client;

/// One pass of a cleaner, and the files after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The first offset that had not been cleaned before.
    pub from: i64,
    /// Nothing from here on could be cleaned.
    pub uncleanable: i64,
    /// The first offset that has not been cleaned now.
    pub next: i64,
    /// A line for every segment, batch, record and aborted transaction.
    pub lines: Vec<String>,
}

/// A record, by what identifies it and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its key, in hexadecimal digits and quotes, or `null`.
    pub key: String,
    /// Its value, likewise.
    pub value: String,
}

impl Kept {
    /// Whether the record has a key.
    pub fn has_key(&self) -> bool {
        self.key != "null"
    }

    /// Whether the record deletes its key.
    pub fn is_tombstone(&self) -> bool {
        self.value == "null"
    }
}

impl Pass {
    /// Base offsets of the segments after the pass.
    pub fn segments(&self) -> Vec<i64> {
        let bases = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("segment "));
        bases.map(|base| base.parse().expect("an offset")).collect()
    }
}

/// How a cleaner is told to clean.
#[derive(Clone, Debug)]
pub struct Cleaning {
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub compaction_lag_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`
    pub dedupe_buffer_bytes: usize,
    /// `producer.id.expiration.ms`
    pub producer_expiration_ms: i64,
    /// Records below were deleted (DeleteRecords).
    pub log_start: i64,
    /// The time of each pass.
    pub passes_ms: Vec<i64>,
}

/// Cleans a partition's directory with Kafka's own cleaner.
pub fn clean_with_kafka(directory: &Path, cleaning: &Cleaning) -> Vec<Pass> {
    let settings = [
        ("cleanup.policy", "compact".to_owned()),
        ("segment.bytes", cleaning.segment_bytes.to_string()),
        (
            "delete.retention.ms",
            cleaning.delete_retention_ms.to_string(),
        ),
        (
            "min.compaction.lag.ms",
            cleaning.compaction_lag_ms.to_string(),
        ),
        (
            "log.cleaner.dedupe.buffer.size",
            cleaning.dedupe_buffer_bytes.to_string(),
        ),
        (
            "producer.id.expiration.ms",
            cleaning.producer_expiration_ms.to_string(),
        ),
        ("log.start.offset", cleaning.log_start.to_string()),
    ];
    let mut arguments = vec!["clean".to_owned(), directory.display().to_string()];
    arguments.extend(settings.map(|(name, value)| format!("{name}={value}")));
    arguments.extend(cleaning.passes_ms.iter().map(i64::to_string));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut passes: Vec<Pass> = Vec::new();
    for line in run_client("KafkaCleaner", &arguments).succeeded().lines() {
        match line.strip_prefix("pass ") {
            Some(offsets) => passes.push(Pass {
                from: field(offsets, "from"),
                uncleanable: field(offsets, "uncleanable"),
                next: field(offsets, "next"),
                lines: Vec::new(),
            }),
            None => passes
                .last_mut()
                .expect("a pass is announced first")
                .lines
                .push(line.to_owned()),
        }
    }
    assert_eq!(passes.len(), cleaning.passes_ms.len());
    passes
}

/// The files of a partition's directory, as they are.
pub fn read(directory: &Path) -> Vec<String> {
    let path = directory.display().to_string();
    let dump = run_client("KafkaCleaner", &["dump", &path]).succeeded();
    dump.lines().map(str::to_owned).collect()
}

/// The records among the lines by their offsets, without control records.
pub fn records(lines: &[String]) -> BTreeMap<i64, Kept> {
    let mut records = BTreeMap::new();
    let mut is_control = false;
    for line in lines {
        if let Some(batch) = line.strip_prefix("batch ") {
            is_control = batch.contains(" control=true ");
        }
        if let Some(record) = line.strip_prefix("record ")
            && !is_control
        {
            let mut words = record.split(' ');
            let mut word = || words.next().expect("offset, timestamp, key, value");
            let offset = word().parse().expect("an offset");
            let _timestamp = word();
            let (key, value) = (word().to_owned(), word().to_owned());
            let twice = records.insert(offset, Kept { key, value });
            assert_eq!(twice, None, "two records at offset {offset}");
        }
    }
    records
}

/// The lines without those of batches and aborted transactions that end below an offset.
pub fn from(lines: &[String], offset: i64) -> Vec<&str> {
    let mut is_below = false;
    let mut kept = Vec::new();
    for line in lines {
        let mut words = line.split(' ');
        match words.next() {
            Some("batch") => is_below = field(line, "last") < offset,
            Some("record") => {}
            Some("aborted") => {
                let last = words.nth(2).expect("producer, first, last offset");
                is_below = last.parse::<i64>().expect("an offset") < offset;
            }
            _ => is_below = false,
        }
        if !is_below {
            kept.push(line.as_str());
        }
    }
    kept
}

fn field(line: &str, name: &str) -> i64 {
    let words = line.split(' ').filter_map(|word| word.split_once('='));
    let mut values = words.filter(|(found, _)| *found == name);
    let (_, value) = values.next().unwrap_or_else(|| panic!("{name} in {line}"));
    value
        .parse()
        .unwrap_or_else(|e| panic!("{name} in {line}: {e}"))
}
