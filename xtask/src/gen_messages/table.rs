//! Writes what is said once about all messages: the lists of modules, the table of APIs, and the
//! enums that hold any request, response or metadata record.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::Module;
use super::emit::MARK;
use super::schema::{Kind, Message};

/// Adds these files to `files`, by path.
pub fn files(modules: &[Module], source: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for parent in ["messages", "records"] {
        files.insert(
            source.join(format!("{parent}.rs")),
            module_list(modules, parent),
        );
    }
    let apis = apis(modules);
    files.insert(source.join("api/table.rs"), table(&apis));
    files.insert(source.join("messages/any.rs"), any_messages(&apis));
    files.insert(source.join("records/any.rs"), any_record(modules));
}

struct Api<'m> {
    name: &'m str,
    module: &'m str,
    request: &'m Message,
    response: &'m Message,
}

fn apis(modules: &[Module]) -> Vec<Api<'_>> {
    let mut apis: Vec<Api<'_>> = modules
        .iter()
        .filter_map(|module| match module.messages.as_slice() {
            [request, response] if request.kind == Kind::Request => {
                assert_eq!(request.key, response.key, "{} differ in key", module.name);
                assert_eq!(
                    request.versions, response.versions,
                    "{} differ",
                    module.name
                );
                assert_eq!(
                    request.flexible_from(),
                    response.flexible_from(),
                    "{}",
                    module.name
                );
                Some(Api {
                    name: request.api_name(),
                    module: &module.name,
                    request,
                    response,
                })
            }
            _ => None,
        })
        .collect();
    apis.sort_by_key(|api| api.request.key);
    for (at, api) in apis.iter().enumerate() {
        assert_eq!(
            api.request.key,
            i16::try_from(at).ok(),
            "the keys have a gap"
        );
    }
    apis
}

fn module_list(modules: &[Module], parent: &str) -> String {
    let (what, example) = match parent {
        "messages" => (
            "The requests and responses of all APIs, and their headers: a module an API",
            "messages::fetch::FetchRequest",
        ),
        _ => (
            "The records of internal topics and logs, and what group members tell each other",
            "records::metadata::TopicRecord",
        ),
    };
    let mut out = format!(
        "{MARK}//! {what}; as in `{example}`.
//!
//! Fields have Kafka's names, absent ones the schema's defaults. `decode` and `encode` take the
//! version; a message without strings, bytes or records borrows nothing.

pub mod any;\n"
    );
    for module in modules.iter().filter(|module| module.parent == parent) {
        writeln!(out, "pub mod {};", module.name).unwrap();
    }
    out
}

fn table(apis: &[Api<'_>]) -> String {
    let mut out = format!(
        "{MARK}//! The APIs of Kafka, one row each.

use super::ApiSpec;

/// An API of Kafka, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i16)]
pub enum ApiKey {{\n"
    );
    for (key, api) in apis.iter().enumerate() {
        writeln!(out, "/// API {key}.\n{} = {key},", api.name).unwrap();
    }
    write!(out, "}}\n\n/// All APIs, in the order of their keys.\npub static API_TABLE: [ApiSpec; {}] = [\n", apis.len())
        .unwrap();
    for api in apis {
        write!(
            out,
            "ApiSpec {{ key: ApiKey::{0}, name: {0:?}, version_min: {1}, version_max: {2},
flexible_from: {3}, on_zookeeper_broker: {4} }},\n",
            api.name,
            api.request.versions.low,
            api.request.versions.high,
            match api.request.flexible_from() {
                i16::MAX => "i16::MAX".to_owned(),
                from => from.to_string(),
            },
            api.request.on_zookeeper_broker,
        )
        .unwrap();
    }
    out.push_str("];\n");
    out
}

fn any_messages(apis: &[Api<'_>]) -> String {
    let mut out = format!(
        "{MARK}//! A request or response of whatever API: for tools, tests and fuzzing. A server
//! matches on the key and decodes the one message it expects.

use super::*;
use crate::api::ApiKey;
use crate::wire::{{DecodeError, Decoder, EncodeError, Encoder}};
"
    );
    for (any, what, messages) in [
        (
            "AnyRequest",
            "request",
            apis.iter().map(|a| (a, a.request)).collect::<Vec<_>>(),
        ),
        (
            "AnyResponse",
            "response",
            apis.iter().map(|a| (a, a.response)).collect(),
        ),
    ] {
        let variants: Vec<Variant> = messages
            .iter()
            .map(|(api, message)| Variant {
                name: api.name.to_owned(),
                ty: format!("{}::{}", api.module, message.name),
                borrows: super::emit::message_borrows(message),
                key: format!("ApiKey::{}", api.name),
            })
            .collect();
        any_enum(
            &mut out,
            any,
            &format!("The {what} of any API."),
            "ApiKey",
            &variants,
        );
    }
    out
}

fn any_record(modules: &[Module]) -> String {
    let records = modules
        .iter()
        .flat_map(|module| &module.messages)
        .filter(|message| message.kind == Kind::Metadata);
    let variants: Vec<Variant> = records
        .map(|message| Variant {
            name: message.name.clone(),
            ty: format!("metadata::{}", message.name),
            borrows: super::emit::message_borrows(message),
            key: message
                .key
                .expect("a metadata record has a key")
                .to_string(),
        })
        .collect();
    let mut out = format!(
        "{MARK}//! A record of the cluster's metadata, of whatever kind.

use super::metadata;
use crate::wire::{{DecodeError, Decoder, EncodeError, Encoder}};
"
    );
    any_enum(
        &mut out,
        "AnyMetadataRecord",
        "A record of the cluster's metadata, of whatever kind.",
        "i16",
        &variants,
    );
    out
}

struct Variant {
    name: String,
    ty: String,
    borrows: bool,
    key: String,
}

fn any_enum(out: &mut String, any: &str, about: &str, key_type: &str, variants: &[Variant]) {
    let arms = |arm: &dyn Fn(&Variant) -> String| variants.iter().map(arm).collect::<String>();
    let list = arms(&|v| {
        let lifetime = if v.borrows { "<'a>" } else { "" };
        format!("/// `{}`.\n{}({}{lifetime}),\n", v.name, v.name, v.ty)
    });
    let decode = arms(&|v| {
        format!(
            "{} => {}::decode(d, version).map({any}::{}),\n",
            v.key, v.ty, v.name
        )
    });
    let unknown = match key_type {
        "i16" => "_ => Err(DecodeError::UnknownKey(key)),\n",
        _ => "",
    };
    let encode = arms(&|v| {
        format!(
            "{any}::{}(message) => message.encode(e, version),\n",
            v.name
        )
    });
    let keys = arms(&|v| format!("{any}::{}(_) => {},\n", v.name, v.key));
    let owned = arms(&|v| {
        let owned = if v.borrows {
            "message.into_owned()"
        } else {
            "message"
        };
        format!("{any}::{0}(message) => {any}::{0}({owned}),\n", v.name)
    });
    write!(
        out,
        "
/// {about}
#[derive(Clone, PartialEq, Debug)]
pub enum {any}<'a> {{
{list}}}

impl<'a> {any}<'a> {{
/// Reads the message that has this key, as this version.
pub fn decode(key: {key_type}, d: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError> {{
match key {{
{decode}{unknown}}}
}}

/// Writes the message as this version.
pub fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {{
match self {{
{encode}}}
}}

/// The key of the message.
pub fn key(&self) -> {key_type} {{
match self {{
{keys}}}
}}

/// The same, not borrowed from the frame.
pub fn into_owned(self) -> {any}<'static> {{
match self {{
{owned}}}
}}
}}
"
    )
    .unwrap();
}
