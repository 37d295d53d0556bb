//! Settings to be added: `k1=v1,k2=[v1,v2]`, or a properties file.

use std::collections::BTreeMap;

use super::Options;
use crate::connect::load;
use crate::failure::Failure;

/// Reads `--add-config-file` or `--add-config`.
pub fn read(options: &Options) -> Result<BTreeMap<String, String>, Failure> {
    let mut additions = match &options.add_config_file {
        Some(path) => load(path)?,
        None => BTreeMap::new(),
    };
    if let Some(text) = &options.add_config {
        additions.extend(parse(text)?);
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match additions.keys().find(|key| !key.chars().all(is_plain)) {
        Some(key) => Err(Failure::usage(format!(
            "Invalid character found for config key: {key}"
        ))),
        None => Ok(additions),
    }
}

fn parse(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let pair = |piece: &str| {
        let sides = split_outside_brackets(piece, '=');
        let [key, value] = &sides[..] else {
            return Err(Failure::usage(
                "requirement failed: Invalid entity config: all configs to be added must be in \
                 the format \"key=val\".",
            ));
        };
        let value = value.replace(['[', ']'], "");
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    split_outside_brackets(text, ',')
        .iter()
        .map(|piece| pair(piece))
        .collect()
}

fn split_outside_brackets(text: &str, separator: char) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0;
    for letter in text.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if letter == separator && depth == 0 {
            pieces.push(String::new());
        } else {
            pieces.last_mut().expect("there is one").push(letter);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_values_with_commas_together() {
        let read = parse("a=1, b=[x,y=z],c=").unwrap();
        let expected = [("a", "1"), ("b", "x,y=z"), ("c", "")];
        assert_eq!(
            read,
            expected.map(|(key, value)| (key.into(), value.into()))
        );
        for wrong in ["a", "a=1=2", "a=1,b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
