//! Plans of offsets as CSV: `topic,partition,offset` for one group, `group,topic,partition,offset`
//! for several. A name with a comma or a quote stands in quotes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::client::TopicPartition;
use crate::failure::Failure;

/// The new offset of each partition.
pub type Plan = BTreeMap<TopicPartition, i64>;

/// Reads a file; lines without a group are about `only_group`.
pub fn read(path: &Path, only_group: Option<&str>) -> Result<BTreeMap<String, Plan>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::said(format!("{}: {error}", path.display())))?;
    parse(&text, only_group)
}

fn parse(text: &str, only_group: Option<&str>) -> Result<BTreeMap<String, Plan>, Failure> {
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let wrong = || Failure::said(format!("This line is no part of a reset plan: {line}"));
        let cells = cells(line);
        let (group, cells) = match (&cells[..], only_group) {
            ([_, _, _], Some(group)) => (group, &cells[..]),
            ([group, _, _, _], _) => (group.as_str(), &cells[1..]),
            _ => return Err(wrong()),
        };
        let partition = cells[1].trim().parse().map_err(|_| wrong())?;
        let offset = cells[2].trim().parse().map_err(|_| wrong())?;
        let plan = plans.entry(group.to_owned()).or_default();
        plan.insert(TopicPartition::new(&cells[0], partition), offset);
    }
    Ok(plans)
}

/// A line of a plan.
pub fn line(group: Option<&str>, at: &TopicPartition, offset: i64) -> String {
    let names = group.into_iter().chain([at.topic.as_str()]);
    let mut cells: Vec<String> = names.map(quoted).collect();
    cells.extend([at.partition.to_string(), offset.to_string()]);
    cells.join(",")
}

fn quoted(name: &str) -> String {
    match name.contains([',', '"', '\n', '\r', ' ']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    }
}

fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut().expect("there is one");
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                cell.push('"');
                letters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let at = TopicPartition::new("words", 3);
        for group in ["plain", "with, comma", "with \"quotes\""] {
            let text = line(Some(group), &at, 42);
            let plans = parse(&text, None).unwrap();
            assert_eq!(plans[group], Plan::from([(at.clone(), 42)]), "{text}");
        }
        let plans = parse("words,3,42\nwords,4,0\n", Some("readers")).unwrap();
        assert_eq!(plans["readers"].len(), 2);
        assert!(parse("words,3,42", None).is_err());
        assert!(parse("words,x,42", Some("readers")).is_err());
    }
}
