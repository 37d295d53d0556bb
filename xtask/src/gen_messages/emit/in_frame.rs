//! Writes the requests of brokers once more, with their arrays left in the frame: what a server
//! reads when a client may send millions of elements.
//!
//! Only structs that hold arrays are written anew; the others are those of the module above.

use std::fmt::Write;

use super::super::schema::{Message, Struct, Type};
use super::field::rust_type;
use super::read::emit_read;
use super::{describe_field, layout_of};

/// The requests that a broker answers however many elements they have.
const LEFT_IN_FRAME: [&str; 13] = [
    "AlterConfigsRequest",
    "CreatePartitionsRequest",
    "CreateTopicsRequest",
    "DeleteRecordsRequest",
    "DeleteTopicsRequest",
    "DescribeConfigsRequest",
    "FetchRequest",
    "FindCoordinatorRequest",
    "IncrementalAlterConfigsRequest",
    "ListOffsetsRequest",
    "MetadataRequest",
    "OffsetForLeaderEpochRequest",
    "ProduceRequest",
];

/// The module of a request, if it is one of these.
pub fn emit_in_frame(out: &mut String, message: &Message) {
    if !LEFT_IN_FRAME.contains(&message.structs[0].name.as_str()) {
        return;
    }
    out.push_str(
        "\n/// The request, its arrays left in the frame: to hold one costs no memory.
pub mod in_frame {\nuse super::*;\nuse crate::wire::Elements;\n",
    );
    let structs = message.structs.iter().enumerate();
    for (at, s) in structs.filter(|(_, s)| holds_arrays(message, s)) {
        emit_struct(out, message, s, at == 0);
    }
    out.push_str("}\n");
}

fn holds_arrays(message: &Message, s: &Struct) -> bool {
    s.fields.iter().any(|field| match &field.ty {
        Type::Array(_) => true,
        Type::Struct(name) => holds_arrays(message, message.find(name)),
        _ => false,
    })
}

fn emit_struct(out: &mut String, message: &Message, s: &Struct, is_message: bool) {
    let name = &s.name;
    write!(
        out,
        "\n/// [`super::{name}`], its arrays left in the frame.
#[derive(Clone, Debug)]\npub struct {name}<'a> {{\n"
    )
    .unwrap();
    for field in &s.fields {
        let mut ty = rust_type(message, field);
        if let Type::Array(element) = &field.ty {
            ty = ty.replace("Vec<", "Elements<'a, ");
            if let Type::Struct(inner) = &**element
                && holds_arrays(message, message.find(inner))
                && !ty.contains(&format!("{inner}<'a>"))
            {
                ty = ty.replace(inner.as_str(), &format!("{inner}<'a>"));
            }
        }
        writeln!(out, "/// {}", describe_field(field)).unwrap();
        writeln!(out, "pub {}: {ty},", field.name).unwrap();
    }
    writeln!(out, "}}\n\nimpl<'a> {name}<'a> {{").unwrap();
    if is_message {
        write!(
            out,
            "/// Reads a message of this version.
pub fn decode(d: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError> {{
if !(super::{name}::VERSION_MIN..=super::{name}::VERSION_MAX).contains(&version) {{
return Err(DecodeError::UnsupportedVersion(version));
}}
d.set_layout({});
let message = Self::read(d, version);
d.finish(message)
}}
",
            layout_of(message)
        )
        .unwrap();
    }
    let mut read = String::new();
    emit_read(&mut read, message, s, "<'a>");
    let read = read
        .replace("d.array(", "d.elements(")
        .replace("d.nullable_array(", "d.nullable_elements(")
        .replace("Vec::new()", "Elements::empty()");
    out.push_str(&read);
    out.push_str("}\n");
}
