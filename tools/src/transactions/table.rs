//! A table as kafka-transactions prints it: each cell as wide as the widest of its column, and a
//! tabulator behind each.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

/// A heading and rows of as many cells.
pub struct Table {
    heading: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(heading: &'static [&'static str]) -> Table {
        Table {
            heading,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<String>) {
        assert_eq!(
            row.len(),
            self.heading.len(),
            "a row has a cell for each heading"
        );
        self.rows.push(row);
    }

    /// Prints it, as JSON if `as_json`.
    pub fn print(&self, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
        if as_json {
            return writeln!(out, "{}", self.json());
        }
        let heading: Vec<String> = self.heading.iter().map(|cell| (*cell).to_owned()).collect();
        let widest = |column: usize| {
            let cells = self.rows.iter().chain([&heading]).map(|row| &row[column]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heading.len()).map(widest).collect();
        for row in [&heading].into_iter().chain(&self.rows) {
            for (cell, width) in row.iter().zip(&widths) {
                write!(out, "{cell:width$}\t")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// An object a row; numbers are numbers, and `None` is null.
    fn json(&self) -> Value {
        let value = |cell: &String| match cell.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) if cell == "None" => Value::Null,
            Err(_) => json!(cell),
        };
        let name = |heading: &str| {
            let plain = heading.replace("(min)", "Min");
            let (first, rest) = plain.split_at(1);
            format!("{}{rest}", first.to_ascii_lowercase())
        };
        let object = |row: &Vec<String>| {
            let members = self.heading.iter().zip(row);
            let members = members.map(|(heading, cell)| (name(heading), value(cell)));
            Value::Object(members.collect::<Map<String, Value>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(as_json: bool) -> String {
        let mut table = Table::new(&["Topic", "Duration(min)"]);
        table.push(vec!["a-long-name".to_owned(), "3".to_owned()]);
        table.push(vec!["b".to_owned(), "None".to_owned()]);
        let mut out = Vec::new();
        table.print(as_json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_as_wide_as_their_column() {
        let expected = "Topic      \tDuration(min)\t\n\
                        a-long-name\t3            \t\n\
                        b          \tNone         \t\n";
        assert_eq!(printed(false), expected);
        let expected = "[{\"durationMin\":3,\"topic\":\"a-long-name\"},\
                        {\"durationMin\":null,\"topic\":\"b\"}]\n";
        assert_eq!(printed(true), expected);
    }
}
