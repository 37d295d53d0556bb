//! What was found wrong in indexes and logs, printed after all files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::scala_order::ScalaOrder;
use crate::java_order::java_hash;

/// Pairs of numbers found in one file.
type ByFile = Vec<(PathBuf, Vec<(i64, i64)>)>;

/// Everything found so far, by kind and file.
#[derive(Default)]
pub struct Mismatches {
    offset_index: ByFile,
    time_index: ByFile,
    time_order: ByFile,
    time_offsets: ByFile,
    gaps: ByFile,
}

fn list<'a>(files: &'a mut ByFile, path: &Path) -> &'a mut Vec<(i64, i64)> {
    let path = super::absolute(path);
    match files.iter().position(|(other, _)| *other == path) {
        Some(at) => &mut files[at].1,
        None => {
            files.push((path, Vec::new()));
            &mut files.last_mut().expect("just pushed").1
        }
    }
}

/// The files in the order in which Kafka's tool prints them.
fn in_order(files: &ByFile) -> impl Iterator<Item = &(PathBuf, Vec<(i64, i64)>)> {
    let mut order = ScalaOrder::default();
    for file in files {
        order.insert(java_hash(&file.0.to_string_lossy()), file);
    }
    order.into_entries()
}

impl Mismatches {
    /// An index entry points at another batch than its own.
    pub fn index_offset(&mut self, path: &Path, index: i64, log: i64) {
        // Kafka's tool collects these in front, so the last one is printed first.
        list(&mut self.offset_index, path).insert(0, (index, log));
    }

    /// A time index entry has another timestamp than its batch.
    pub fn timestamp(&mut self, path: &Path, index: i64, log: i64) {
        list(&mut self.time_index, path).push((index, log));
    }

    /// Timestamps of a time index do not ascend.
    pub fn time_order(&mut self, path: &Path, index: i64, previous: i64) {
        list(&mut self.time_order, path).push((index, previous));
    }

    /// A time index entry has an offset that no batch ends with.
    pub fn time_offset(&mut self, path: &Path, index: i64, log: i64) {
        list(&mut self.time_offsets, path).push((index, log));
    }

    /// An offset is followed by another than the next.
    pub fn gap(&mut self, path: &Path, first: i64, second: i64) {
        list(&mut self.gaps, path).insert(0, (first, second));
    }

    /// Prints all.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for (path, pairs) in in_order(&self.offset_index) {
            writeln!(out, "Mismatches in :{}", path.display())?;
            for (index, log) in pairs {
                writeln!(out, "  Index offset: {index}, log offset: {log}")?;
            }
        }
        for (path, pairs) in in_order(&self.time_index) {
            writeln!(out, "Found timestamp mismatch in :{}", path.display())?;
            for (index, log) in pairs {
                writeln!(out, "  Index timestamp: {index}, log timestamp: {log}")?;
            }
        }
        for (path, pairs) in in_order(&self.time_order) {
            writeln!(out, "Found out of order timestamp in :{}", path.display())?;
            for (index, previous) in pairs {
                writeln!(
                    out,
                    "  Index timestamp: {index}, Previously indexed timestamp: {previous}"
                )?;
            }
        }
        for (_, pairs) in in_order(&self.time_offsets) {
            writeln!(
                out,
                "The following indexed offsets are not found in the log."
            )?;
            for (index, log) in pairs {
                writeln!(out, "Indexed offset: {index}, found log offset: {log}")?;
            }
        }
        for (path, pairs) in in_order(&self.gaps) {
            writeln!(out, "Non-consecutive offsets in {}", path.display())?;
            for (first, second) in pairs {
                writeln!(out, "  {first} is followed by {second}")?;
            }
        }
        Ok(())
    }
}
