//! Reads the text of a Java properties file: comments, continued lines, escapes.
//!
//! It must not know any key. The grammar is that of `java.util.Properties`: a key ends at the
//! first unescaped `=`, `:` or blank; a line that ends in an odd number of backslashes goes on;
//! of a key that stands twice, the last value holds. Text that is not UTF-8 is taken as Latin-1.

use std::collections::BTreeMap;

/// All pairs of a file. `Err` names a broken `\u` escape and its line.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let mut pairs = BTreeMap::new();
    for (number, line) in logical_lines(&text) {
        let (key, value) = split(&line);
        let unescaped = (unescape(key), unescape(value));
        let (Ok(key), Ok(value)) = unescaped else {
            return Err(format!("line {number}: malformed \\uxxxx encoding"));
        };
        pairs.insert(key, value);
    }
    Ok(pairs)
}

/// Lines with their continuations joined, without comments and blank lines.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let natural = text.split(['\n', '\r']);
    for (number, line) in (1..).zip(natural) {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        let is_comment = line.is_empty() || line.starts_with(['#', '!']);
        if open.is_none() && is_comment {
            continue;
        }
        let (first, mut joined) = open.take().unwrap_or((number, String::new()));
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 1 {
            joined.push_str(&line[..line.len() - 1]);
            open = Some((first, joined));
        } else {
            joined.push_str(line);
            lines.push((first, joined));
        }
    }
    lines.extend(open);
    lines
}

/// Key and value, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let is_blank = |letter: char| matches!(letter, ' ' | '\t' | '\x0c');
    let mut escaped = false;
    let end = line.char_indices().find(|(_, letter)| {
        let is_end = !escaped && (matches!(letter, '=' | ':') || is_blank(*letter));
        escaped = !escaped && *letter == '\\';
        is_end
    });
    let Some((end, _)) = end else {
        return (line, "");
    };
    let rest = line[end..].trim_start_matches(is_blank);
    let rest = match rest.strip_prefix(['=', ':']) {
        Some(rest) => rest.trim_start_matches(is_blank),
        None => rest,
    };
    (&line[..end], rest)
}

fn unescape(text: &str) -> Result<String, ()> {
    let mut units = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    let mut buffer = [0; 2];
    while let Some(letter) = letters.next() {
        let plain = if letter != '\\' {
            letter
        } else {
            match letters.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    let is_hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    if !is_hex {
                        return Err(());
                    }
                    units.push(u16::from_str_radix(&digits, 16).map_err(|_| ())?);
                    continue;
                }
                Some(other) => other,
            }
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap().into_iter().collect()
    }

    #[test]
    fn reads_as_java_does() {
        let cases = [
            ("a=b", "a", "b"),
            ("a = b ", "a", "b "),
            ("  a:b", "a", "b"),
            ("a b", "a", "b"),
            ("a\t=\tb=c", "a", "b=c"),
            ("a", "a", ""),
            ("a\\=b=c", "a=b", "c"),
            ("a=b\\\n   c", "a", "bc"),
            ("a=b\\\\", "a", "b\\"),
            ("a=\\u00e4\\ud83d\\ude00\\tx\\q", "a", "ä😀\txq"),
            ("# comment \\\na=b", "a", "b"),
            ("! comment\r\na=b\r\n", "a", "b"),
            ("a=1\na=2", "a", "2"),
            ("a=ä", "a", "ä"),
            ("a==b", "a", "=b"),
            ("a=b\\\n# c", "a", "b# c"),
        ];
        for (text, key, value) in cases {
            assert_eq!(
                pairs(text),
                [(key.to_owned(), value.to_owned())],
                "{text:?}"
            );
        }
        assert!(pairs("\n \n#x").is_empty());
        assert_eq!(parse(b"a=\xe4").unwrap()["a"], "ä");
        assert_eq!(
            parse(b"\na=\\u12").unwrap_err(),
            "line 2: malformed \\uxxxx encoding"
        );
    }
}
