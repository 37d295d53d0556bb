//! `cargo xtask gen-messages [--check] [--jars DIRECTORY]`: writes the messages of protocol/ from
//! the schemas inside the jars of Apache Kafka, or checks that they are written already.
//!
//! The schemas are not kept here: they are read from the jars that `cargo xtask peers` resolves,
//! or from those in DIRECTORY. What is written is committed. The steps, each in its file: read
//! ([`jars`]), understand ([`schema`]), name ([`names`]), write ([`emit`], [`table`], [`layouts`]).

mod emit;
mod jars;
mod layouts;
mod names;
mod schema;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers;
use crate::step::{Failure, succeed, target_directory, workspace_root};
use schema::{Kind, Message};

/// Which version of Kafka the messages are those of.
const KAFKA_VERSION: &str = "3.9.1";

/// What to do with the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Put them into the workspace.
    Write,
    /// Make sure that those of the workspace are the same.
    Check,
}

/// Makes the messages, from the jars in `directory` or else from those of `cargo xtask peers`.
pub fn run(purpose: Purpose, directory: Option<&str>) -> Result<(), Failure> {
    let directory = match directory {
        Some(directory) => PathBuf::from(directory),
        None => {
            peers::run()?;
            target_directory().join("peers/libs")
        }
    };
    let messages = jars::schemas(&directory, KAFKA_VERSION)?
        .iter()
        .map(|(path, text)| schema::parse(text).map_err(|e| Failure::new(format!("{path}: {e}"))))
        .collect::<Result<Vec<Message>, Failure>>()?;
    let modules = modules(messages)?;
    let files = files(&modules);
    match purpose {
        Purpose::Write => {
            for folder in ["protocol/src/messages", "protocol/src/records"] {
                remove_generated(&workspace_root().join(folder))?;
            }
            put(workspace_root(), &files)?;
        }
        Purpose::Check => {
            let place = target_directory().join("gen-messages");
            put(&place, &files)?;
            compare(&place, &files)?;
        }
    }
    println!("{} messages in {} files", total(&modules), files.len());
    Ok(())
}

/// All files, by their paths in the workspace.
fn files(modules: &[Module]) -> BTreeMap<PathBuf, String> {
    let source = Path::new("protocol/src");
    let mut files = BTreeMap::new();
    for module in modules {
        files.insert(source.join(module.path()), emit::module(&module.messages));
    }
    table::files(modules, source, &mut files);
    files.insert("protocol/tests/layouts.txt".into(), layouts::text(modules));
    let records = "tools/src/dump_log/record_layouts.txt";
    files.insert(records.into(), layouts::records_text(modules));
    files
}

/// Writes the files below `root`, and formats them.
fn put(root: &Path, files: &BTreeMap<PathBuf, String>) -> Result<(), Failure> {
    for (path, text) in files {
        write(&root.join(path), text)?;
    }
    let rust = files
        .keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| root.join(path));
    succeed(
        Command::new("rustfmt")
            .args(["--edition", "2024", "--config-path"])
            .arg(workspace_root())
            .args(rust),
    )
}

/// Compares the files below `place` with those of the workspace.
fn compare(place: &Path, files: &BTreeMap<PathBuf, String>) -> Result<(), Failure> {
    for path in files.keys() {
        let made = fs::read(place.join(path)).map_err(|e| failed(path, &e))?;
        if fs::read(workspace_root().join(path)).is_ok_and(|there| there == made) {
            continue;
        }
        return Err(Failure::new(format!(
            "{} is not what the generator writes: run cargo xtask gen-messages",
            path.display()
        )));
    }
    Ok(())
}

/// What goes into one file: the request and the response of an API, or records of one topic.
pub struct Module {
    /// `messages` or `records`.
    parent: &'static str,
    /// The file's stem.
    name: String,
    messages: Vec<Message>,
}

impl Module {
    fn path(&self) -> PathBuf {
        Path::new(self.parent).join(format!("{}.rs", self.name))
    }
}

fn total(modules: &[Module]) -> usize {
    modules.iter().map(|module| module.messages.len()).sum()
}

/// Sorts the messages into modules.
fn modules(messages: Vec<Message>) -> Result<Vec<Module>, Failure> {
    let mut sorted: BTreeMap<(&'static str, String), Vec<Message>> = BTreeMap::new();
    for message in messages {
        sorted
            .entry(module_of(&message)?)
            .or_default()
            .push(message);
    }
    let mut modules = Vec::new();
    for ((parent, name), mut messages) in sorted {
        match parent {
            "messages" => messages.sort_by_key(|message| message.kind == Kind::Response),
            _ => messages.sort_by(|a, b| (a.key, &a.name).cmp(&(b.key, &b.name))),
        }
        names::part_same_names(&mut messages);
        modules.push(Module {
            parent,
            name,
            messages,
        });
    }
    Ok(modules)
}

fn module_of(message: &Message) -> Result<(&'static str, String), Failure> {
    let name = message.name.as_str();
    let records = |module: &str| Ok(("records", module.to_owned()));
    match message.kind {
        Kind::Request | Kind::Response => Ok(("messages", names::snake(message.api_name()))),
        Kind::Header => Ok(("messages", "header".to_owned())),
        Kind::Metadata => records("metadata"),
        Kind::Data if name.starts_with("ConsumerProtocol") => records("consumer_protocol"),
        Kind::Data if name.starts_with("TransactionLog") => records("transaction"),
        Kind::Data if name == "DefaultPrincipalData" => records("principal"),
        Kind::Data
            if name.starts_with("ConsumerGroup")
                || name.starts_with("ShareGroup")
                || name.starts_with("GroupMetadata")
                || name.starts_with("OffsetCommit") =>
        {
            records("group")
        }
        Kind::Data
            if matches!(
                name,
                "LeaderChangeMessage"
                    | "SnapshotHeaderRecord"
                    | "SnapshotFooterRecord"
                    | "KRaftVersionRecord"
                    | "VotersRecord"
                    | "QuorumStateData"
            ) =>
        {
            records("raft")
        }
        Kind::Data => Err(Failure::new(format!(
            "no module is set for the message {name}"
        ))),
    }
}

/// Removes what an earlier run wrote, so that a message that is gone leaves no file.
fn remove_generated(folder: &Path) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if fs::read_to_string(&path).is_ok_and(|text| text.contains(emit::MARK)) {
            fs::remove_file(&path).map_err(|e| failed(&path, &e))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    }
    fs::write(path, text).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
