//! A line of input as a record: optionally headers, optionally a key, then the value.

use std::collections::BTreeMap;

use regex::Regex;

use crate::failure::Failure;

/// A header: its name and value.
pub type Header = (String, Option<Vec<u8>>);

/// What a line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<Header>,
}

/// How lines are read.
pub struct LineReader {
    parses_key: bool,
    key_separator: String,
    parses_headers: bool,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    ignores_errors: bool,
    null_marker: Option<String>,
    line_number: u64,
}

impl LineReader {
    /// A reader with these properties, Kafka's defaults for the rest.
    pub fn new(properties: &BTreeMap<String, String>) -> Result<LineReader, Failure> {
        let text = |key: &str, default: &str| {
            let given = properties.get(key);
            given.map_or(default, String::as_str).to_owned()
        };
        let flag = |key: &str| {
            let given = properties.get(key);
            given.is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
        };
        let separator = text("headers.separator", ",");
        let reader = LineReader {
            parses_key: flag("parse.key"),
            key_separator: text("key.separator", "\t"),
            parses_headers: flag("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: Regex::new(&separator)
                .map_err(|error| Failure::said(format!("headers.separator: {error}")))?,
            headers_key_separator: text("headers.key.separator", ":"),
            ignores_errors: flag("ignore.error"),
            null_marker: properties.get("null.marker").cloned(),
            line_number: 0,
        };
        let marker = reader
            .null_marker
            .as_deref()
            .map(|text| ("null.marker", text));
        let key = ("key.separator", reader.key_separator.as_str());
        let delimiter = ("headers.delimiter", reader.headers_delimiter.as_str());
        let separator = ("headers.separator", separator.as_str());
        let header_key = (
            "headers.key.separator",
            reader.headers_key_separator.as_str(),
        );
        let mut pairs = vec![
            (delimiter, separator),
            (delimiter, header_key),
            (separator, header_key),
        ];
        for other in [key, separator, delimiter, header_key] {
            pairs.extend(marker.map(|marker| (marker, other)));
        }
        match pairs.iter().find(|((_, one), (_, other))| one == other) {
            Some(((one, _), (other, _))) => {
                Err(Failure::said(format!("{one} and {other} may not be equal")))
            }
            None => Ok(reader),
        }
    }

    /// The record that the next line says.
    pub fn record(&mut self, line: &[u8]) -> Result<Record, Failure> {
        self.line_number += 1;
        let mut rest = line;
        let mut record = Record::default();
        if self.parses_headers {
            let delimiter = self.headers_delimiter.clone();
            if let Some(headers) = self.cut(&mut rest, &delimiter, "headers delimiter", line)? {
                record.headers = self.headers(headers)?;
            }
        }
        if self.parses_key {
            let separator = self.key_separator.clone();
            let key = self.cut(&mut rest, &separator, "key separator", line)?;
            record.key = key.and_then(|key| self.unless_null(key));
        }
        record.value = self.unless_null(rest);
        Ok(record)
    }

    /// What is before the separator; takes it and the separator from `rest`.
    fn cut<'l>(
        &self,
        rest: &mut &'l [u8],
        separator: &str,
        what: &str,
        line: &[u8],
    ) -> Result<Option<&'l [u8]>, Failure> {
        match find(rest, separator.as_bytes()) {
            Some(at) => {
                let before = &rest[..at];
                *rest = &rest[at + separator.len()..];
                Ok(Some(before))
            }
            None if self.ignores_errors => Ok(None),
            None => Err(Failure::said(format!(
                "No {what} found on line number {}: '{}'",
                self.line_number,
                String::from_utf8_lossy(line)
            ))),
        }
    }

    fn headers(&self, text: &[u8]) -> Result<Vec<Header>, Failure> {
        if self.unless_null(text).is_none() {
            return Ok(Vec::new());
        }
        let text = String::from_utf8_lossy(text);
        let mut pairs: Vec<&str> = self.headers_separator.split(&text).collect();
        while pairs.len() > 1 && pairs.last().is_some_and(|pair| pair.is_empty()) {
            pairs.pop();
        }
        pairs.into_iter().map(|pair| self.header(pair)).collect()
    }

    fn header(&self, pair: &str) -> Result<Header, Failure> {
        let number = self.line_number;
        match pair.split_once(&self.headers_key_separator) {
            None if self.ignores_errors => Ok((pair.to_owned(), None)),
            None => Err(Failure::said(format!(
                "No header key separator found in pair '{pair}' on line number {number}"
            ))),
            Some((name, _)) if self.null_marker.as_deref() == Some(name) => {
                Err(Failure::said(format!(
                    "Header keys should not be equal to the null marker '{name}' as they can't be \
                     null"
                )))
            }
            Some((name, value)) => Ok((name.to_owned(), self.unless_null(value.as_bytes()))),
        }
    }

    fn unless_null(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let marker = self.null_marker.as_ref().map(|marker| marker.as_bytes());
        (marker != Some(bytes)).then(|| bytes.to_vec())
    }
}

fn find(bytes: &[u8], piece: &[u8]) -> Option<usize> {
    match piece.is_empty() {
        true => Some(0),
        false => bytes
            .windows(piece.len())
            .position(|window| window == piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[(&str, &str)]) -> Result<LineReader, Failure> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        LineReader::new(&pairs.iter().map(owned).collect())
    }

    #[test]
    fn headers_come_before_the_key_and_the_key_before_the_value() {
        let all = [
            ("parse.key", "true"),
            ("parse.headers", "true"),
            ("null.marker", "NULL"),
        ];
        let mut reader = reader(&all).unwrap();
        let record = reader
            .record(b"h1:v1,h2:NULL\tkey\tvalue\twith tab")
            .unwrap();
        assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"value\twith tab"[..]));
        let headers = vec![
            ("h1".to_owned(), Some(b"v1".to_vec())),
            ("h2".to_owned(), None),
        ];
        assert_eq!(record.headers, headers);
        let record = reader.record(b"NULL\tNULL\tNULL").unwrap();
        assert_eq!(record, Record::default());
    }

    #[test]
    fn a_missing_separator_names_its_line_unless_errors_are_ignored() {
        let mut strict = reader(&[("parse.key", "true"), ("key.separator", ":")]).unwrap();
        strict.record(b"a:b").unwrap();
        let failure = strict.record(b"none").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "No key separator found on line number 2: 'none'"
        );
        let mut lax = reader(&[("parse.key", "true"), ("ignore.error", "true")]).unwrap();
        let record = lax.record(b"none").unwrap();
        assert_eq!((record.key, record.value), (None, Some(b"none".to_vec())));
    }

    #[test]
    fn separators_differ_from_each_other() {
        assert!(reader(&[("headers.delimiter", ":")]).is_err());
        assert!(reader(&[("null.marker", "\t")]).is_err());
    }
}
