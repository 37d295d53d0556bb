//! The options that all tools have which talk to a cluster: where it is, the client's properties,
//! and how to print.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use server::config::properties;

use crate::client::{Client, Settings};
use crate::failure::Failure;

/// Where the cluster is.
#[derive(Args)]
pub struct Connect {
    /// REQUIRED: The server(s) to connect to in the form HOST1:PORT1,HOST2:PORT2.
    #[arg(long, value_name = "server(s) to connect to")]
    bootstrap_server: Option<String>,
    /// Property file containing configs of the client.
    #[arg(long, value_name = "property file")]
    command_config: Option<PathBuf>,
}

impl Connect {
    /// A client that calls itself `client_id` unless the properties say otherwise.
    pub fn client(&self, client_id: &str) -> Result<Client, Failure> {
        self.client_with(client_id, None)
    }

    /// The same, of which no call takes longer than `limit`, whatever the properties say.
    pub fn client_within(&self, client_id: &str, limit: Duration) -> Result<Client, Failure> {
        self.client_with(client_id, Some(limit))
    }

    fn client_with(&self, client_id: &str, limit: Option<Duration>) -> Result<Client, Failure> {
        let bootstrap = required(self.bootstrap_server.as_deref(), "bootstrap-server")?;
        let mut properties = match &self.command_config {
            Some(path) => load(path)?,
            None => BTreeMap::new(),
        };
        if let Some(limit) = limit {
            let millis = limit.as_millis().to_string();
            properties.insert("default.api.timeout.ms".to_owned(), millis);
        }
        client(bootstrap, &properties, client_id, &[])
    }
}

/// How to print.
#[derive(Args)]
pub struct Output {
    /// Print as Kafka's tool does, or as JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    output: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Output {
    /// Whether programs read it.
    pub fn is_json(&self) -> bool {
        self.output == Format::Json
    }
}

/// The value of an option that must be given.
pub fn required<'a, T: ?Sized>(value: Option<&'a T>, name: &str) -> Result<&'a T, Failure> {
    value.ok_or_else(|| Failure::Usage(format!("Missing required argument \"[{name}]\"")))
}

/// A client with these properties; warns of those that neither it nor the tool knows.
pub fn client(
    bootstrap: &str,
    properties: &BTreeMap<String, String>,
    client_id: &str,
    keys_of_tool: &[&str],
) -> Result<Client, Failure> {
    let settings = Settings::new(properties, client_id)?;
    for key in Settings::unknown(properties, keys_of_tool) {
        eprintln!("WARN The configuration '{key}' was supplied but isn't a known config.");
    }
    Ok(Client::new(bootstrap, settings)?)
}

/// Reads a properties file.
pub fn load(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let unreadable = |error: String| Failure::Said(format!("{}: {error}", path.display()));
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    properties::parse(&bytes).map_err(unreadable)
}

/// `key=value` arguments; a key without a value has an empty one.
pub fn key_values(arguments: &[String]) -> BTreeMap<String, String> {
    let pairs = arguments
        .iter()
        .map(|text| text.split_once('=').unwrap_or((text, "")));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
