//! Understands one message schema: JSON with `//` comments.
//!
//! The result is normalised: every struct of a message stands in one list, the message itself
//! first, with the versions in which it can occur at all; a field's versions are cut to those.

use serde_json::Value;

use super::names;

/// What a schema describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A request of an API.
    Request,
    /// The answer to one.
    Response,
    /// What stands in front of every request or response.
    Header,
    /// A record of the cluster's metadata log.
    Metadata,
    /// Anything else: records of coordinators' topics, what members of a group tell each other.
    Data,
}

/// A range of versions; empty if `low > high`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { low: 0, high: -1 };

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub fn and(self, other: Versions) -> Versions {
        let both = Versions {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        };
        if both.is_empty() {
            Versions::NONE
        } else {
            both
        }
    }

    pub fn contains(self, version: i16) -> bool {
        (self.low..=self.high).contains(&version)
    }

    /// Those before `other`, which reaches as far as `self` does.
    fn before(self, other: Versions) -> Versions {
        if other.is_empty() {
            return self;
        }
        self.and(Versions {
            low: i16::MIN,
            high: other.low - 1,
        })
    }

    fn parse(text: &str) -> Result<Versions, String> {
        let number = |text: &str| {
            text.parse::<i16>()
                .map_err(|e| format!("version {text}: {e}"))
        };
        if text == "none" {
            Ok(Versions::NONE)
        } else if let Some(low) = text.strip_suffix('+') {
            Ok(Versions {
                low: number(low)?,
                high: i16::MAX,
            })
        } else if let Some((low, high)) = text.split_once('-') {
            Ok(Versions {
                low: number(low)?,
                high: number(high)?,
            })
        } else {
            number(text).map(|version| Versions {
                low: version,
                high: version,
            })
        }
    }
}

/// The type of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Type {
    Bool,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    F64,
    Uuid,
    String,
    Bytes,
    Records,
    /// A struct, by the name it has in Rust.
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Type {
        match text {
            "bool" => Type::Bool,
            "int8" => Type::I8,
            "int16" => Type::I16,
            "uint16" => Type::U16,
            "int32" => Type::I32,
            "uint32" => Type::U32,
            "int64" => Type::I64,
            "float64" => Type::F64,
            "uuid" => Type::Uuid,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            _ => match text.strip_prefix("[]") {
                Some(element) => Type::Array(Box::new(Type::parse(element))),
                None => Type::Struct(text.to_owned()),
            },
        }
    }

    /// The name of the struct that this is, or is an array of.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.struct_name(),
            _ => None,
        }
    }

    pub fn rename_struct(&mut self, from: &str, to: &str) {
        match self {
            Type::Struct(name) if name == from => to.clone_into(name),
            Type::Array(element) => element.rename_struct(from, to),
            _ => {}
        }
    }
}

/// One field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in Rust.
    pub name: String,
    pub ty: Type,
    /// The versions in which it stands among the other fields.
    pub plain: Versions,
    /// The versions in which it is a tagged field.
    pub tagged: Versions,
    pub tag: u32,
    /// The versions in which it may be null.
    pub nullable: Versions,
    pub ignorable: bool,
    /// The default as the schema has it; empty for the type's own.
    pub default: String,
    /// Laid out as in versions that are not flexible, whatever the version.
    pub never_flexible: bool,
}

impl Field {
    /// Whether its Rust type is an `Option`.
    pub fn is_option(&self) -> bool {
        !self.nullable.is_empty() || self.ty == Type::Records
    }

    pub fn defaults_to_null(&self) -> bool {
        self.default == "null" || self.ty == Type::Records
    }
}

/// A struct, or a message as a whole.
#[derive(Clone, Debug)]
pub struct Struct {
    /// Its name in Rust.
    pub name: String,
    /// The versions of the message in which it can occur.
    pub versions: Versions,
    pub fields: Vec<Field>,
}

/// One message with all its structs.
#[derive(Clone, Debug)]
pub struct Message {
    pub kind: Kind,
    /// The API's key, or the metadata record's.
    pub key: Option<i16>,
    /// As in the schema, `ProduceRequest`.
    pub name: String,
    pub versions: Versions,
    pub flexible: Versions,
    /// Whether brokers with ZooKeeper serve the API.
    pub on_zookeeper_broker: bool,
    /// The message itself first.
    pub structs: Vec<Struct>,
}

impl Message {
    /// The name without `Request` or `Response`.
    pub fn api_name(&self) -> &str {
        let name = self.name.as_str();
        name.strip_suffix("Request")
            .or_else(|| name.strip_suffix("Response"))
            .unwrap_or(name)
    }

    pub fn find(&self, name: &str) -> &Struct {
        self.structs
            .iter()
            .find(|s| s.name == name)
            .unwrap_or_else(|| panic!("{} has no struct {name}", self.name))
    }

    /// The first flexible version; `i16::MAX` if there is none.
    pub fn flexible_from(&self) -> i16 {
        if self.flexible.is_empty() {
            i16::MAX
        } else {
            self.flexible.low
        }
    }
}

/// Understands the text of one schema.
pub fn parse(text: &str) -> Result<Message, String> {
    let json: Value =
        serde_json::from_str(&without_comments(text)).map_err(|error| error.to_string())?;
    let kind = match string(&json, "type")? {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        "metadata" => Kind::Metadata,
        "data" => Kind::Data,
        other => return Err(format!("unknown type of message {other}")),
    };
    let mut message = Message {
        kind,
        key: json["apiKey"]
            .as_i64()
            .and_then(|key| i16::try_from(key).ok()),
        name: string(&json, "name")?.to_owned(),
        versions: Versions::parse(string(&json, "validVersions")?)?,
        flexible: Versions::parse(string(&json, "flexibleVersions")?)?,
        on_zookeeper_broker: list(&json, "listeners").iter().any(|l| l == "zkBroker"),
        structs: Vec::new(),
    };
    let (name, versions) = (message.name.clone(), message.versions);
    add_struct(&mut message, &name, versions, list(&json, "fields"))?;
    for common in list(&json, "commonStructs") {
        let name = string(common, "name")?.to_owned();
        let common_versions = versions.and(Versions::parse(string(common, "versions")?)?);
        add_struct(&mut message, &name, common_versions, list(common, "fields"))?;
    }
    Ok(message)
}

fn add_struct(
    message: &mut Message,
    name: &str,
    versions: Versions,
    fields: &[Value],
) -> Result<(), String> {
    let at = message.structs.len();
    message.structs.push(Struct {
        name: name.to_owned(),
        versions,
        fields: Vec::new(),
    });
    for json in fields {
        let field = field(json, versions, message.flexible)?;
        let inner = list(json, "fields");
        if let (Some(struct_name), false) = (field.ty.struct_name(), inner.is_empty()) {
            let present = versions.and(Versions::parse(versions_text(json)?)?);
            add_struct(message, struct_name, present, inner)?;
        }
        message.structs[at].fields.push(field);
    }
    Ok(())
}

fn versions_text(json: &Value) -> Result<&str, String> {
    string(json, "versions").or_else(|_| string(json, "taggedVersions"))
}

fn field(json: &Value, possible: Versions, flexible: Versions) -> Result<Field, String> {
    let name = string(json, "name")?;
    let present = possible.and(Versions::parse(versions_text(json)?)?);
    let optional = |key: &str| {
        json[key]
            .as_str()
            .map_or(Ok(Versions::NONE), Versions::parse)
    };
    let tagged = present.and(optional("taggedVersions")?).and(flexible);
    let never_flexible = match json["flexibleVersions"].as_str() {
        None => false,
        Some("none") => true,
        Some(other) => return Err(format!("{name}: flexibleVersions {other} is not handled")),
    };
    let field = Field {
        name: names::field(name),
        ty: Type::parse(string(json, "type")?),
        plain: present.before(tagged),
        tagged,
        tag: tag(&json["tag"]).ok_or_else(|| format!("{name}: the tag is not a number"))?,
        nullable: present.and(optional("nullableVersions")?),
        ignorable: json["ignorable"].as_bool().unwrap_or(false),
        default: match &json["default"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        },
        never_flexible,
    };
    let both = !field.tagged.is_empty() && !field.plain.is_empty();
    if both && matches!(field.ty, Type::Struct(_)) && field.is_option() {
        return Err(format!(
            "{name}: a struct that may be null and is tagged later"
        ));
    }
    Ok(field)
}

/// A number, or in one schema a number in quotes; 0 if there is none.
fn tag(json: &Value) -> Option<u32> {
    match json {
        Value::Null => Some(0),
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|tag| u32::try_from(tag).ok()),
    }
}

fn string<'a>(json: &'a Value, key: &str) -> Result<&'a str, String> {
    json[key]
        .as_str()
        .ok_or_else(|| format!("{key} is missing in {json}"))
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

/// Removes `//` comments, but not from within strings.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut end = line.len();
        let bytes = line.as_bytes();
        for at in 0..bytes.len() {
            match bytes[at] {
                b'"' if at == 0 || bytes[at - 1] != b'\\' => in_string = !in_string,
                b'/' if !in_string && bytes.get(at + 1) == Some(&b'/') => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        kept.push_str(&line[..end]);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"
        // A comment.
        { "apiKey": 7, "type": "request", "name": "KnockRequest", "listeners": ["zkBroker"],
          "validVersions": "1-4", "flexibleVersions": "3+",  // Another.
          "fields": [
            { "name": "DoorIDs", "type": "[]Door", "versions": "0+", "fields": [
              { "name": "Url", "type": "string", "versions": "2-3", "default": "http://x" } ] },
            { "name": "Hard", "type": "bool", "versions": "2+", "taggedVersions": "4+", "tag": 1 }
          ] }"#;

    #[test]
    fn a_schema_is_normalised() {
        let message = parse(SCHEMA).unwrap();
        assert_eq!((message.key, message.api_name()), (Some(7), "Knock"));
        assert!(message.on_zookeeper_broker);
        assert_eq!(message.flexible_from(), 3);
        let hard = &message.structs[0].fields[1];
        assert_eq!(hard.plain, Versions { low: 2, high: 3 });
        assert_eq!(hard.tagged, Versions { low: 4, high: 4 });
        let door = message.find("Door");
        assert_eq!(door.versions, message.versions);
        assert_eq!(door.fields[0].default, "http://x");
        assert_eq!(message.structs[0].fields[0].name, "door_ids");
    }
}
