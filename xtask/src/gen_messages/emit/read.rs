//! Writes the functions that read a struct, and those that make it owned.

use std::fmt::Write;

use super::super::schema::{Field, Message, Struct, Type, Versions};
use super::field::{can_be_null, condition, default_of, number_name, uses_version};
use super::type_borrows;

pub fn emit_read(out: &mut String, message: &Message, s: &Struct, lifetime: &str) {
    let mut body = String::new();
    for field in &s.fields {
        let mutable = if field.tagged.is_empty() { "" } else { "mut " };
        let value = if field.plain.is_empty() {
            default_of(field)
        } else {
            let read = read_expression(message, field);
            match condition(field.plain, s.versions) {
                None => read,
                Some(holds) => format!("if {holds} {{ {read} }} else {{ {} }}", default_of(field)),
            }
        };
        writeln!(body, "let {mutable}{} = {value};", local(field)).unwrap();
        emit_null_check(&mut body, field, s.versions);
    }
    let tagged: Vec<&Field> = s.fields.iter().filter(|f| !f.tagged.is_empty()).collect();
    if !tagged.is_empty() {
        body.push_str(
            "let mut tags = d.tags();\nwhile let Some(tag) = d.next_tag(&mut tags) {\nmatch tag {\n",
        );
        for field in tagged {
            let guard = condition(field.tagged, message.flexible.and(s.versions))
                .map_or(String::new(), |holds| format!(" if {holds}"));
            let read = read_expression(message, field);
            writeln!(body, "{}{guard} => {} = {read},", field.tag, local(field)).unwrap();
        }
        body.push_str("_ => d.skip_tag(&tags),\n}\n}\n");
    } else if !message.flexible.is_empty() {
        body.push_str("d.skip_tags();\n");
    }
    let names: String = s
        .fields
        .iter()
        .map(|field| match local(field) {
            local if local == field.name => format!("{local}, "),
            local => format!("{}: {local}, ", field.name),
        })
        .collect();
    let d = if body.contains("d.") || body.contains("(d,") {
        "d"
    } else {
        "_d"
    };
    let version = if uses_version(&body) {
        "version"
    } else {
        "_version"
    };
    let frame = if lifetime.is_empty() { "'_" } else { "'a" };
    write!(
        out,
        "\npub(crate) fn read({d}: &mut Decoder<{frame}>, {version}: i16) -> Self {{
{body}Self {{ {names} }}\n}}\n"
    )
    .unwrap();
}

/// The variable that holds a field while the others are read.
fn local(field: &Field) -> String {
    match field.name.as_str() {
        name @ ("version" | "tag" | "tags" | "d") => format!("{name}_"),
        name => name.to_owned(),
    }
}

/// Where only some of the versions allow null, the others refuse it after reading.
fn emit_null_check(body: &mut String, field: &Field, possible: Versions) {
    let nullable = field.plain.and(field.nullable);
    let never = nullable.is_empty();
    if !field.is_option() || field.plain.is_empty() || (never && field.ty != Type::Records) {
        return;
    }
    let refused = if never {
        Some(condition(field.plain, possible).unwrap_or_else(|| "true".to_owned()))
    } else {
        // Null is allowed from some version on, or up to one.
        match (
            nullable.low > field.plain.low,
            nullable.high < field.plain.high,
        ) {
            (false, false) => None,
            (true, false) => Some(format!("version < {}", nullable.low)),
            (false, true) => Some(format!("version > {}", nullable.high)),
            (true, true) => panic!("{}: null in the middle of versions", field.name),
        }
    };
    if let Some(refused) = refused {
        let refused = if refused == "true" {
            String::new()
        } else {
            format!("{refused} && ")
        };
        writeln!(
            body,
            "if {refused}{}.is_none() {{ d.refuse_null(); }}",
            local(field)
        )
        .unwrap();
    }
}

fn read_expression(message: &Message, field: &Field) -> String {
    let null = if can_be_null(field) { "nullable_" } else { "" };
    let read = match &field.ty {
        Type::String => format!("d.{null}string()"),
        Type::Bytes => format!("d.{null}bytes()"),
        Type::Records => "d.records()".to_owned(),
        Type::Struct(name) if !null.is_empty() => {
            let tagged = if field.tagged.is_empty() {
                ""
            } else {
                "tagged_"
            };
            format!("d.nullable_{tagged}struct(version, {name}::read)")
        }
        Type::Struct(name) => format!("{name}::read(d, version)"),
        Type::Array(element) => {
            let least = least_size(message, element);
            let read = match &**element {
                Type::Struct(name) => format!("{name}::read"),
                Type::String => "element::read_string".to_owned(),
                Type::Bytes => "element::read_bytes".to_owned(),
                number => format!("element::read_{}", number_name(number)),
            };
            format!("d.{null}array({least}, version, {read})")
        }
        number => format!("d.{}()", number_name(number)),
    };
    let read = if field.never_flexible {
        format!("d.in_fixed_layout(|d| {read})")
    } else {
        read
    };
    if field.is_option() && null.is_empty() && field.ty != Type::Records {
        format!("Some({read})")
    } else {
        read
    }
}

/// The least number of bytes an element takes, over all versions.
fn least_size(message: &Message, ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::I8 => 1,
        Type::I16 | Type::U16 => 2,
        Type::I32 | Type::U32 => 4,
        Type::I64 | Type::F64 => 8,
        Type::Uuid => 16,
        Type::Struct(name) => {
            let s = message.find(name);
            (s.versions.low..=s.versions.high)
                .map(|version| least_size_in(message, s, version))
                .min()
                .unwrap_or(1)
                .max(1)
        }
        Type::String | Type::Bytes | Type::Records | Type::Array(_) => 1,
    }
}

fn least_size_in(message: &Message, s: &Struct, version: i16) -> usize {
    let flexible = message.flexible.contains(version);
    let fields = s
        .fields
        .iter()
        .filter(|field| field.plain.contains(version));
    let sizes = fields.map(|field| match &field.ty {
        Type::String if !flexible => 2,
        Type::Bytes | Type::Records | Type::Array(_) if !flexible => 4,
        Type::Struct(_) if field.is_option() => 1,
        Type::Struct(name) => least_size_in(message, message.find(name), version),
        other => least_size(message, other),
    });
    sizes.sum::<usize>() + usize::from(flexible)
}

pub fn emit_into_owned(out: &mut String, message: &Message, s: &Struct) {
    write!(
        out,
        "\n/// The same, not borrowed from the frame.
pub fn into_owned(self) -> {0}<'static> {{\n{0} {{\n",
        s.name
    )
    .unwrap();
    for field in &s.fields {
        let it = format!("self.{}", field.name);
        let null = if field.is_option() { "nullable_" } else { "" };
        let value = match &field.ty {
            ty if !type_borrows(message, ty) => it,
            Type::String => format!("owned::{null}string({it})"),
            Type::Bytes => format!("owned::{null}bytes({it})"),
            Type::Records => format!("{it}.map(Records::into_owned)"),
            Type::Struct(name) if field.is_option() => format!("{it}.map({name}::into_owned)"),
            Type::Struct(_) => format!("{it}.into_owned()"),
            Type::Array(element) => {
                let each = match &**element {
                    Type::String => "owned::string".to_owned(),
                    Type::Bytes => "owned::bytes".to_owned(),
                    Type::Struct(name) => format!("{name}::into_owned"),
                    other => panic!("an array of {other:?} does not borrow"),
                };
                format!("owned::{null}array({it}, {each})")
            }
            other => panic!("{other:?} does not borrow"),
        };
        writeln!(out, "{}: {value},", field.name).unwrap();
    }
    out.push_str("} }\n");
}
