//! The tables as text for the terminal and as Markdown for docs/benchmarks.md.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use benches::Error;

use crate::machine::Machine;
use crate::summary::{Line, Spread, short};

/// Between these lines of a file the tables are replaced.
const BEGIN: &str = "<!-- bench-compare: begin -->";
const END: &str = "<!-- bench-compare: end -->";

/// One line a metric, in columns.
pub fn text(lines: &[Line]) -> String {
    let rows: Vec<[String; 7]> = lines.iter().map(cells).collect();
    let heads = HEADS.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&heads])
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut out = String::new();
    for row in [&heads].into_iter().chain(&rows) {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "{cell:width$}  ");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// The same as a Markdown table, under what it was measured on and how.
pub fn markdown(lines: &[Line], machine: &Machine, command: &str, runs: usize) -> String {
    let mut out = String::new();
    let Machine {
        processor,
        cores,
        memory_gib,
        kernel,
        file_system,
        commit,
        date,
    } = machine;
    let _ = writeln!(
        out,
        "Measured {date} at commit {commit} with\n\n    {command}\n"
    );
    let _ = writeln!(
        out,
        "on {cores} cores of {processor}, {memory_gib} GiB, Linux {kernel}, {file_system}, \
         loopback. Medians of {runs} interleaved runs, spreads in brackets.\n"
    );
    let _ = writeln!(out, "| {} |", HEADS.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(HEADS.len()));
    for line in lines {
        let _ = writeln!(out, "| {} |", cells(line).join(" | "));
    }
    out
}

/// Writes `tables` between the marker lines of a file, or as the whole file if it has none.
pub fn write(path: &Path, tables: &str) -> Result<(), Error> {
    let doing = || format!("writing {}", path.display());
    let old = fs::read_to_string(path).unwrap_or_default();
    let new = between_markers(&old, tables).unwrap_or_else(|| tables.to_owned());
    fs::write(path, new).map_err(Error::io(doing()))
}

fn between_markers(old: &str, tables: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}{END}{after}"))
}

const HEADS: [&str; 7] = [
    "scenario",
    "measured",
    "chiplog",
    "Kafka",
    "bare loop",
    "Kafka ÷ chiplog",
    "chiplog ÷ bare",
];

fn cells(line: &Line) -> [String; 7] {
    let spread = |spread: Option<Spread>| spread.map_or_else(String::new, |it| it.to_string());
    let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, short);
    [
        line.scenario.to_owned(),
        line.metric.to_owned(),
        spread(line.chiplog),
        spread(line.kafka),
        spread(line.floor),
        ratio(line.kafka_over_chiplog),
        ratio(line.chiplog_over_floor),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let old = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let new = between_markers(&old, "new\n").expect("markers");
        assert_eq!(new, format!("head\n{BEGIN}\nnew\n{END}\ntail\n"));
        assert_eq!(between_markers("no markers", "new"), None);
    }
}
