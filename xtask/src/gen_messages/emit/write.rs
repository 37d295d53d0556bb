//! Writes the functions that write a struct.

use std::fmt::Write;

use super::super::schema::{Field, Kind, Message, Struct, Type, Versions};
use super::field::{
    can_be_null, condition, differs_from_default, number_name, outside, uses_version,
};
use super::layout_of;

/// The array whose elements may be written one after another, between the fields before it and
/// those behind it: the last array of structs in each struct of an answer.
pub fn streamed<'a>(message: &Message, s: &'a Struct) -> Option<&'a Field> {
    let is_answer = message.kind == Kind::Response;
    let is_long = |field: &&Field| {
        let of_structs = matches!(&field.ty, Type::Array(of) if of.struct_name().is_some());
        of_structs && !field.is_option() && field.tagged.is_empty()
    };
    s.fields.iter().rfind(is_long).filter(|_| is_answer)
}

/// The function that begins a message whose elements are written one after another.
pub fn emit_begin(out: &mut String, message: &Message) {
    let field = streamed(message, &message.structs[0]).expect("the message has such an array");
    let name = &field.name;
    write!(
        out,
        "
/// Writes what is before the elements of `{name}`, of which `count` are written next, and then
/// what is behind them (`end_{name}`). The message's own are not written.
pub fn begin(&self, e: &mut Encoder, version: i16, count: usize) {{
e.set_layout({});
self.begin_{name}(e, version, count);
}}
",
        layout_of(message)
    )
    .unwrap();
}

pub fn emit_write(out: &mut String, message: &Message, s: &Struct) {
    let mut body = String::new();
    let streamed = streamed(message, s);
    // What is before the streamed array with its count, and where what is behind it begins.
    let mut parted = None;
    for field in &s.fields {
        let from = body.len();
        emit_write_plain(&mut body, field, s.versions);
        if streamed.is_some_and(|streamed| streamed.name == field.name) {
            let whole = write_expression(field);
            let counted = body[from..].replace(&whole, "e.array_len(count)");
            parted = Some((format!("{}{counted}", &body[..from]), body.len()));
        }
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
    // Elements of answers are written one by one from outside.
    let (doc, public) = match message.kind {
        Kind::Response => ("/// Writes it as this version.\n", "pub"),
        _ => ("", "pub(crate)"),
    };
    let (e, version) = parameters(&body);
    write!(
        out,
        "\n{doc}{public} fn write(&self, {e}: &mut Encoder, {version}: i16) {{\n{body}}}\n"
    )
    .unwrap();
    if let (Some((before, behind_at)), Some(field)) = (parted, streamed) {
        emit_write_parted(out, field, &before, &body[behind_at..]);
    }
}

fn emit_write_parted(out: &mut String, field: &Field, before: &str, behind: &str) {
    let name = &field.name;
    let (_, version) = parameters(before);
    write!(
        out,
        "
/// Writes what is before the elements of `{name}`, of which `count` are written next.
pub fn begin_{name}(&self, e: &mut Encoder, {version}: i16, count: usize) {{\n{before}}}\n"
    )
    .unwrap();
    let (e, version) = parameters(behind);
    write!(
        out,
        "
/// Writes what is behind the elements of `{name}`.
pub fn end_{name}(&self, {e}: &mut Encoder, {version}: i16) {{\n{behind}}}\n"
    )
    .unwrap();
}

/// How the encoder and the version are named, used in `body` or not.
fn parameters(body: &str) -> (&'static str, &'static str) {
    let e = match body.contains("e.") || body.contains("(e,") {
        true => "e",
        false => "_e",
    };
    let version = match uses_version(body) {
        true => "version",
        false => "_version",
    };
    (e, version)
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
