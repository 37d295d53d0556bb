//! What is said of a field in several places: its type, its default, when it is on the wire.

use super::super::schema::{Field, Message, Type, Versions};
use super::borrows;

pub fn rust_type(message: &Message, field: &Field) -> String {
    let ty = element_type(message, &field.ty);
    if field.is_option() {
        format!("Option<{ty}>")
    } else {
        ty
    }
}

fn element_type(message: &Message, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::Uuid => "Uuid".to_owned(),
        Type::String => "Cow<'a, str>".to_owned(),
        Type::Bytes => "Cow<'a, [u8]>".to_owned(),
        Type::Records => "Records<'a>".to_owned(),
        Type::Array(element) => format!("Vec<{}>", element_type(message, element)),
        Type::Struct(name) if borrows(message, message.find(name)) => format!("{name}<'a>"),
        Type::Struct(name) => name.clone(),
        number => number_name(number).to_owned(),
    }
}

/// The name of a fixed-width type in Rust, which is also that of the functions that code it.
pub fn number_name(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::I8 => "i8",
        Type::I16 => "i16",
        Type::U16 => "u16",
        Type::I32 => "i32",
        Type::U32 => "u32",
        Type::I64 => "i64",
        Type::F64 => "f64",
        Type::Uuid => "uuid",
        other => panic!("{other:?} has no fixed width"),
    }
}

pub fn default_of(field: &Field) -> String {
    if field.defaults_to_null() {
        return "None".to_owned();
    }
    let text = field.default.as_str();
    let value = match &field.ty {
        Type::Bool => if text == "true" { "true" } else { "false" }.to_owned(),
        Type::F64 => format!("{}_f64", if text.is_empty() { "0.0" } else { text }),
        Type::String => format!("Cow::Borrowed({text:?})"),
        Type::Bytes => "Cow::Borrowed(&[])".to_owned(),
        Type::Array(_) => "Vec::new()".to_owned(),
        Type::Struct(name) => format!("{name}::default()"),
        Type::Uuid if text.is_empty() => "Uuid::ZERO".to_owned(),
        Type::Uuid | Type::Records => panic!("{}: default {text} is not handled", field.name),
        _ if text.is_empty() => "0".to_owned(),
        _ => text.to_owned(),
    };
    if field.is_option() {
        format!("Some({value})")
    } else {
        value
    }
}

/// Whether the schema's default is the one that Rust derives.
pub fn has_rust_default(field: &Field) -> bool {
    match field.default.as_str() {
        _ if field.is_option() => field.defaults_to_null(),
        "" | "0" | "false" => true,
        _ => false,
    }
}

/// An expression that says whether the field differs from its default.
pub fn differs_from_default(field: &Field) -> String {
    let it = format!("self.{}", field.name);
    let empty =
        matches!(field.ty, Type::String | Type::Bytes | Type::Array(_)) && field.default.is_empty();
    match &field.ty {
        _ if field.defaults_to_null() => format!("{it}.is_some()"),
        _ if empty && field.is_option() => {
            format!("{it}.as_ref().is_none_or(|value| !value.is_empty())")
        }
        _ if empty => format!("!{it}.is_empty()"),
        Type::Bool if field.default == "true" => format!("!{it}"),
        Type::Bool => it,
        _ => format!("{it} != {}", default_of(field)),
    }
}

/// The condition under which `version` is in `versions`; None if it always is.
pub fn condition(versions: Versions, possible: Versions) -> Option<String> {
    match (versions.low > possible.low, versions.high < possible.high) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", versions.low)),
        (false, true) => Some(format!("version <= {}", versions.high)),
        (true, true) if versions.low == versions.high => {
            Some(format!("version == {}", versions.low))
        }
        (true, true) => Some(format!(
            "({}..={}).contains(&version)",
            versions.low, versions.high
        )),
    }
}

/// The condition under which `version` is not in `versions`; None if it always is.
pub fn outside(versions: Versions, possible: Versions) -> Option<String> {
    match (versions.low > possible.low, versions.high < possible.high) {
        (false, false) => None,
        (true, false) => Some(format!("version < {}", versions.low)),
        (false, true) => Some(format!("version > {}", versions.high)),
        (true, true) => Some(format!(
            "!({}..={}).contains(&version)",
            versions.low, versions.high
        )),
    }
}

/// Whether null is allowed in any version in which the field is on the wire.
pub fn can_be_null(field: &Field) -> bool {
    let either = |versions: Versions| !field.nullable.and(versions).is_empty();
    either(field.plain) || either(field.tagged)
}

/// Whether the version is asked for or passed on, and not only part of a field's name.
pub fn uses_version(body: &str) -> bool {
    [
        "version >=",
        "version <=",
        "version ==",
        "version <",
        "version >",
        "&version",
        "version, ",
        "version)",
    ]
    .iter()
    .any(|found| {
        body.match_indices(found)
            .any(|(at, _)| at == 0 || !matches!(body.as_bytes()[at - 1], b'_' | b'.' | b'a'..=b'z'))
    })
}
