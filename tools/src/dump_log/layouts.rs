//! The layouts of the records in internal topics, as `cargo xtask gen-messages` writes them down
//! from Kafka's schemas.
//!
//! A line at the margin begins a message or one of its structs, an indented one is a field.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

const TEXT: &str = include_str!("record_layouts.txt");

/// One kind of record.
pub struct Message {
    /// Its name in Kafka's schemas.
    pub name: &'static str,
    /// Its key, if it is a metadata record.
    pub key: Option<i16>,
    /// All versions.
    pub versions: RangeInclusive<i16>,
    /// Those with tagged fields and short lengths.
    pub flexible: RangeInclusive<i16>,
    /// Its structs by name, its own among them.
    pub structs: HashMap<&'static str, Vec<Field>>,
}

/// One field of a struct.
pub struct Field {
    /// As JSON has it.
    pub json_name: String,
    /// Its type.
    pub kind: Kind,
    /// Versions in which it stands in its place.
    pub plain: RangeInclusive<i16>,
    /// Tag and versions in which it is a tagged field.
    pub tagged: Option<(u32, RangeInclusive<i16>)>,
    /// Versions in which it may be null.
    pub nullable: RangeInclusive<i16>,
    /// The default, where it is not the type's own.
    pub default: Option<&'static str>,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// A whole number of so many bytes.
    Signed(usize),
    /// Two bytes, never negative.
    Unsigned16,
    /// Eight bytes.
    Double,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8 behind its length.
    Text,
    /// Bytes behind their length.
    Bytes,
    /// A struct of the same message.
    Struct(&'static str),
    /// Elements behind their number.
    Array(Box<Kind>),
}

static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(parse);

/// A message by its name.
pub fn by_name(name: &str) -> Option<&'static Message> {
    MESSAGES.iter().find(|message| message.name == name)
}

/// A metadata record by its key.
pub fn by_key(key: i16) -> Option<&'static Message> {
    MESSAGES.iter().find(|message| message.key == Some(key))
}

fn parse() -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut current = "";
    for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words[..] {
            ["struct", name] => {
                current = name;
                last(&mut messages).structs.insert(name, Vec::new());
            }
            [kind @ ("metadata" | "data"), name, key, versions, flexible] => {
                let key = key.parse().ok().filter(|_| kind == "metadata");
                let (versions, flexible) = (span(versions), span(flexible));
                let structs = HashMap::new();
                messages.push(Message {
                    name,
                    key,
                    versions,
                    flexible,
                    structs,
                });
            }
            [name, kind, plain, ref more @ ..] => {
                let field = parse_field(name, kind, plain, more);
                let fields = last(&mut messages).structs.get_mut(current);
                fields.expect("a field follows its struct").push(field);
            }
            _ => panic!("a line of the layouts is not understood: {line}"),
        }
    }
    messages
}

fn last(messages: &mut [Message]) -> &mut Message {
    messages.last_mut().expect("a struct follows its message")
}

fn parse_field(
    name: &str,
    kind: &'static str,
    plain: &'static str,
    more: &[&'static str],
) -> Field {
    let mut field = Field {
        json_name: json_name(name),
        kind: parse_kind(kind),
        plain: span(plain),
        tagged: None,
        nullable: span("none"),
        default: None,
    };
    for word in more {
        match word.split_once('=') {
            Some(("tag", value)) => {
                let (tag, versions) = value.split_once(':').expect("a tag has versions");
                field.tagged = Some((tag.parse().expect("a tag is a number"), span(versions)));
            }
            Some(("nullable", versions)) => field.nullable = span(versions),
            Some(("default", value)) => field.default = Some(value),
            _ => assert_eq!(*word, "fixed", "the only word without a value"),
        }
    }
    field
}

fn parse_kind(text: &'static str) -> Kind {
    match text {
        "bool" => Kind::Bool,
        "int8" => Kind::Signed(1),
        "int16" => Kind::Signed(2),
        "int32" => Kind::Signed(4),
        "int64" => Kind::Signed(8),
        "uint16" => Kind::Unsigned16,
        "float64" => Kind::Double,
        "uuid" => Kind::Uuid,
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        other => match other.strip_prefix("[]") {
            Some(element) => Kind::Array(Box::new(parse_kind(element))),
            None => Kind::Struct(other),
        },
    }
}

/// `broker_id` as `brokerId`.
fn json_name(name: &str) -> String {
    let name = name.trim_start_matches("r#");
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().replace("kraft", "kRaft");
    for word in words {
        let (first, rest) = word.split_at(1.min(word.len()));
        out.push_str(&first.to_uppercase());
        out.push_str(rest);
    }
    out
}

#[expect(clippy::reversed_empty_ranges, reason = "no version at all")]
fn span(text: &str) -> RangeInclusive<i16> {
    let number = |text: &str| text.parse().expect("versions are numbers");
    match text.split_once('-') {
        Some((low, high)) => number(low)..=number(high),
        None => 1..=0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_are_understood() {
        assert_eq!(by_key(2).unwrap().name, "TopicRecord");
        assert_eq!(by_name("KRaftVersionRecord").unwrap().versions, 0..=0);
        assert!(MESSAGES.len() > 50);
        for message in MESSAGES.iter() {
            assert!(
                message.structs.contains_key(message.name),
                "{}",
                message.name
            );
        }
        assert_eq!(json_name("kraft_version"), "kRaftVersion");
        assert_eq!(json_name("r#type"), "type");
        assert_eq!(json_name("last_known_elr"), "lastKnownElr");
    }
}
