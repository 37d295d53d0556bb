//! Writes the functions that write a struct.

use std::fmt::Write;

use super::super::schema::{Field, Message, Struct, Type, Versions};
use super::field::{
    can_be_null, condition, differs_from_default, number_name, outside, uses_version,
};

pub fn emit_write(out: &mut String, message: &Message, s: &Struct) {
    let mut body = String::new();
    for field in &s.fields {
        emit_write_plain(&mut body, field, s.versions);
    }
    let mut tagged: Vec<&Field> = s.fields.iter().filter(|f| !f.tagged.is_empty()).collect();
    tagged.sort_by_key(|field| field.tag);
    if !tagged.is_empty() {
        body.push_str("if e.is_flexible() {\nlet mut tags = e.begin_tags();\n");
        for field in tagged {
            let differs = differs_from_default(field);
            let holds = match condition(field.tagged, message.flexible.and(s.versions)) {
                None => differs,
                Some(in_version) => format!("{in_version} && {differs}"),
            };
            writeln!(
                body,
                "if {holds} {{ let tag = e.begin_tag(&mut tags, {}); {}; e.end_tag(tag); }}",
                field.tag,
                write_expression(field)
            )
            .unwrap();
        }
        body.push_str("e.end_tags(tags);\n}\n");
    } else if !message.flexible.is_empty() {
        body.push_str("e.no_tags();\n");
    }
    let e = if body.contains("e.") || body.contains("(e,") {
        "e"
    } else {
        "_e"
    };
    let version = if uses_version(&body) {
        "version"
    } else {
        "_version"
    };
    write!(
        out,
        "\npub(crate) fn write(&self, {e}: &mut Encoder, {version}: i16) {{\n{body}}}\n"
    )
    .unwrap();
}

fn emit_write_plain(body: &mut String, field: &Field, possible: Versions) {
    let write = write_expression(field);
    let present = Versions {
        low: if field.plain.is_empty() {
            field.tagged.low
        } else {
            field.plain.low
        },
        high: if field.tagged.is_empty() {
            field.plain.high
        } else {
            field.tagged.high
        },
    };
    if !field.plain.is_empty() {
        let nullable = field.plain.and(field.nullable);
        let refused = if nullable.is_empty() {
            None
        } else if nullable.low > field.plain.low {
            Some(format!("version < {}", nullable.low))
        } else if nullable.high < field.plain.high {
            Some(format!("version > {}", nullable.high))
        } else {
            None
        };
        let write = match refused {
            Some(refused) => format!(
                "if {refused} && self.{}.is_none() {{ e.unexpected_null({:?}, version); }} {write};",
                field.name, field.name
            ),
            None => format!("{write};"),
        };
        match condition(field.plain, possible) {
            None => writeln!(body, "{write}").unwrap(),
            Some(holds) => writeln!(body, "if {holds} {{ {write} }}").unwrap(),
        }
    }
    if let (false, Some(outside)) = (field.ignorable, outside(present, possible)) {
        let otherwise = if present == field.plain { "else " } else { "" };
        let outside = if otherwise.is_empty() {
            format!("{outside} && ")
        } else {
            String::new()
        };
        let differs = differs_from_default(field);
        writeln!(
            body,
            "{otherwise}if {outside}{differs} {{ e.not_in_version({:?}, version); }}",
            field.name
        )
        .unwrap();
    }
}

fn write_expression(field: &Field) -> String {
    let it = format!("self.{}", field.name);
    let null = if can_be_null(field) { "nullable_" } else { "" };
    let required = |write: &str| {
        format!(
            "match &{it} {{ Some(value) => {write}, None => e.unexpected_null({:?}, version) }}",
            field.name
        )
    };
    let is_required_option = field.is_option() && null.is_empty();
    let write = match &field.ty {
        Type::Records if is_required_option => required("e.records(Some(value))"),
        Type::Records => format!("e.records({it}.as_ref())"),
        Type::String | Type::Bytes => {
            let name = if field.ty == Type::String {
                "string"
            } else {
                "bytes"
            };
            if is_required_option {
                required(&format!("e.{name}(value)"))
            } else if field.is_option() {
                format!("e.nullable_{name}({it}.as_deref())")
            } else {
                format!("e.{name}(&{it})")
            }
        }
        Type::Struct(name) if !null.is_empty() => {
            let tagged = if field.tagged.is_empty() {
                ""
            } else {
                "tagged_"
            };
            format!("e.nullable_{tagged}struct({it}.as_ref(), version, {name}::write)")
        }
        Type::Struct(_) if is_required_option => required("value.write(e, version)"),
        Type::Struct(_) => format!("{it}.write(e, version)"),
        Type::Array(element) => {
            let write = match &**element {
                Type::Struct(name) => format!("{name}::write"),
                Type::String => "element::write_string".to_owned(),
                Type::Bytes => "element::write_bytes".to_owned(),
                number => format!("element::write_{}", number_name(number)),
            };
            if is_required_option {
                required(&format!("e.array(value, version, {write})"))
            } else if field.is_option() {
                format!("e.nullable_array({it}.as_deref(), version, {write})")
            } else {
                format!("e.array(&{it}, version, {write})")
            }
        }
        number => format!("e.{}({it})", number_name(number)),
    };
    if field.never_flexible {
        format!("e.in_fixed_layout(|e| {write})")
    } else {
        write
    }
}
