//! Records of internal topics as JSON, the way Kafka's own converters print them: fields in the
//! schema's order, tagged fields only where they differ from their default, bytes as base64.

use std::fmt;

use protocol::wire::{Decoder, Layout};

use super::layouts::{self, Field, Kind, Message};

/// A JSON value; objects keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction, printed as Java does.
    Double(f64),
    /// Text.
    Text(String),
    /// Bytes, printed as base64.
    Bytes(Vec<u8>),
    /// `[...]`.
    Array(Vec<Json>),
    /// `{...}`.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Json); N]) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// A member of an object.
    pub fn member(&mut self, name: &str) -> Option<&mut Json> {
        match self {
            Self::Object(members) => members
                .iter_mut()
                .find(|(other, _)| other == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// The message in `bytes`, which is of the given version. What follows it is not looked at.
pub fn message_json(schema: &str, bytes: &[u8], version: i16) -> Result<Json, String> {
    let message = layouts::by_name(schema).ok_or_else(|| format!("no schema {schema}"))?;
    Ok(read_message(message, bytes, version)?.0)
}

/// The message in `bytes`, and how many bytes follow it.
pub fn read_message(
    message: &'static Message,
    bytes: &[u8],
    version: i16,
) -> Result<(Json, usize), String> {
    if !message.versions.contains(&version) {
        return Err(format!("Can't read version {version} of {}", message.name));
    }
    let flexible = message.flexible.contains(&version);
    let mut input = Decoder::new(bytes);
    input.set_layout(if flexible {
        Layout::Flexible
    } else {
        Layout::Fixed
    });
    let mut reader = Reader {
        input,
        message,
        version,
        flexible,
    };
    let json = reader.read_struct(message.name);
    let left = reader.input.remaining();
    match reader.input.status() {
        Ok(()) => Ok((json, left)),
        Err(error) => Err(error.to_string()),
    }
}

struct Reader<'a> {
    input: Decoder<'a>,
    message: &'static Message,
    version: i16,
    flexible: bool,
}

impl Reader<'_> {
    /// After an error the decoder gives nothings, which the caller throws away.
    fn read_struct(&mut self, name: &str) -> Json {
        let message = self.message;
        let fields = message.structs.get(name).expect("a struct of the message");
        let mut values: Vec<Option<Json>> = Vec::with_capacity(fields.len());
        for field in fields {
            let is_plain = field.plain.contains(&self.version);
            values.push(is_plain.then(|| self.read_field(field)));
        }
        let mut tags = self.input.tags();
        while let Some(tag) = self.input.next_tag(&mut tags) {
            match fields.iter().position(|field| self.has_tag(field, tag)) {
                Some(at) => {
                    let value = self.read_tagged(&fields[at]);
                    values[at] = Some(value).filter(|value| *value != self.default_of(&fields[at]));
                }
                None => self.input.skip_tag(&tags),
            }
        }
        let members = fields
            .iter()
            .zip(values)
            .filter_map(|(field, value)| Some((field.json_name.clone(), value?)));
        Json::Object(members.collect())
    }

    fn has_tag(&self, field: &Field, tag: u32) -> bool {
        let versions = field.tagged.as_ref().filter(|(other, _)| *other == tag);
        versions.is_some_and(|(_, versions)| versions.contains(&self.version))
    }

    fn read_field(&mut self, field: &Field) -> Json {
        self.read(&field.kind, field.nullable.contains(&self.version))
    }

    /// A tagged struct says whether it is null otherwise than one in its place.
    fn read_tagged(&mut self, field: &Field) -> Json {
        let may_be_null = field.nullable.contains(&self.version);
        match &field.kind {
            Kind::Struct(name) if may_be_null => match self.input.unsigned_varint() {
                0 => Json::Null,
                _ => self.read_struct(name),
            },
            kind => self.read(kind, may_be_null),
        }
    }

    fn read(&mut self, kind: &Kind, nullable: bool) -> Json {
        let input = &mut self.input;
        match kind {
            Kind::Bool => Json::Bool(input.bool()),
            Kind::Signed(1) => Json::Whole(input.i8().into()),
            Kind::Signed(2) => Json::Whole(input.i16().into()),
            Kind::Signed(4) => Json::Whole(input.i32().into()),
            Kind::Signed(_) => Json::Whole(input.i64()),
            Kind::Unsigned16 => Json::Whole(input.u16().into()),
            Kind::Double => Json::Double(input.f64()),
            Kind::Uuid => Json::Text(input.uuid().to_string()),
            Kind::Text if nullable => match input.nullable_string() {
                Some(text) => Json::Text(text.into_owned()),
                None => Json::Null,
            },
            Kind::Text => Json::Text(input.string().into_owned()),
            Kind::Bytes if nullable => match input.nullable_bytes() {
                Some(bytes) => Json::Bytes(bytes.into_owned()),
                None => Json::Null,
            },
            Kind::Bytes => Json::Bytes(input.bytes().into_owned()),
            Kind::Struct(_) if nullable && input.i8() < 0 => Json::Null,
            Kind::Struct(name) => self.read_struct(name),
            Kind::Array(element) => self.read_array(element, nullable),
        }
    }

    fn read_array(&mut self, element: &Kind, nullable: bool) -> Json {
        let count = match self.flexible {
            true => i64::from(self.input.unsigned_varint()) - 1,
            false => i64::from(self.input.i32()),
        };
        if count < 0 {
            if !nullable {
                self.input.refuse_null();
            }
            return Json::Null;
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            // An element takes at least a byte, so a count beyond the bytes ends here.
            if self.input.status().is_err() {
                break;
            }
            elements.push(self.read(element, false));
        }
        Json::Array(elements)
    }

    /// The default of a field, as it would be read.
    fn default_of(&self, field: &Field) -> Json {
        if field.default == Some("null") {
            return Json::Null;
        }
        let text = field.default.unwrap_or_default();
        match &field.kind {
            Kind::Bool => Json::Bool(text == "true"),
            Kind::Signed(_) | Kind::Unsigned16 => Json::Whole(text.parse().unwrap_or(0)),
            Kind::Double => Json::Double(text.parse().unwrap_or(0.0)),
            Kind::Uuid => Json::Text(protocol::ids::Uuid::ZERO.to_string()),
            Kind::Text => Json::Text(text.to_owned()),
            Kind::Bytes => Json::Bytes(Vec::new()),
            Kind::Array(_) => Json::Array(Vec::new()),
            Kind::Struct(name) => {
                let fields = self
                    .message
                    .structs
                    .get(name)
                    .expect("a struct of the message");
                let plain = fields
                    .iter()
                    .filter(|field| field.plain.contains(&self.version));
                let members = plain.map(|field| (field.json_name.clone(), self.default_of(field)));
                Json::Object(members.collect())
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&controller::config_key::java_double(*value)),
            Self::Text(text) => write_text(f, text),
            Self::Bytes(bytes) => write!(f, "\"{}\"", base64(bytes)),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (at, element) in elements.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{element}")?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}\"{name}\":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\x08' => f.write_str("\\b")?,
            '\x0c' => f.write_str("\\f")?,
            control if control < ' ' => write!(f, "\\u{:04X}", u32::from(control))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) as usize & 63;
            out.push(if place <= chunk.len() {
                char::from(BASE64[six])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_print_as_jacksons() {
        let text = Json::Text("a\"\\\n\u{1}é".into());
        assert_eq!(text.to_string(), "\"a\\\"\\\\\\n\\u0001é\"");
        for (bytes, expected) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj")] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[test]
    fn an_array_longer_than_its_bytes_is_an_error() {
        // ConsumerProtocolSubscription with 2^31 - 1 topics.
        let bytes = i32::MAX.to_be_bytes();
        assert!(message_json("ConsumerProtocolSubscription", &bytes, 0).is_err());
        assert!(message_json("ConsumerProtocolSubscription", &bytes, 99).is_err());
    }
}
