//! `chiplog configs`: describes and alters settings of topics, brokers, loggers, client metrics and
//! quotas, with kafka-configs' flags and lines.

mod additions;
mod entity;
mod quotas;
mod resources;
mod scram;

use std::io::{self, Write};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::connect::{Connect, Output};
use crate::failure::Failure;

use entity::{Entity, EntityNames, EntityType};

/// kafka-configs' options, under its names.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    connect: Connect,
    /// Alter the configuration for the entity.
    #[arg(long)]
    alter: bool,
    /// List configs for the given entity.
    #[arg(long)]
    describe: bool,
    /// List all configs, static ones and defaults included.
    #[arg(long)]
    all: bool,
    /// Type of entity (topics/clients/users/brokers/broker-loggers/ips/client-metrics).
    #[arg(long)]
    entity_type: Vec<String>,
    #[command(flatten)]
    entity_names: EntityNames,
    /// Key Value pairs of configs to add. Square brackets group values which contain commas:
    /// 'k1=v1,k2=[v1,v2,v2],k3=v3'.
    #[arg(long)]
    add_config: Option<String>,
    /// Path to a properties file with configs to add.
    #[arg(long)]
    add_config_file: Option<PathBuf>,
    /// Config keys to remove 'k1,k2'.
    #[arg(long, value_delimiter = ',')]
    delete_config: Vec<String>,
    /// Suppress console prompts; there are none.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    of: Shortcuts,
    #[command(flatten)]
    output: Output,
}

/// One flag for type and name of an entity.
#[derive(Args)]
struct Shortcuts {
    /// The topic's name.
    #[arg(long)]
    topic: Option<String>,
    /// The client's ID.
    #[arg(long)]
    client: Option<String>,
    /// The config defaults for all clients.
    #[arg(long)]
    client_defaults: bool,
    /// The user's principal name.
    #[arg(long)]
    user: Option<String>,
    /// The config defaults for all users.
    #[arg(long)]
    user_defaults: bool,
    /// The broker's ID.
    #[arg(long)]
    broker: Option<String>,
    /// The config defaults for all brokers.
    #[arg(long)]
    broker_defaults: bool,
    /// The broker's ID for its logger config.
    #[arg(long)]
    broker_logger: Option<String>,
    /// The IP address.
    #[arg(long)]
    ip: Option<String>,
    /// The config defaults for all IPs.
    #[arg(long)]
    ip_defaults: bool,
}

impl Shortcuts {
    /// In Kafka's order: first those with a name, then the defaults.
    fn entities(&self) -> Vec<Entity> {
        let named = [
            (EntityType::Topics, &self.topic),
            (EntityType::Clients, &self.client),
            (EntityType::Users, &self.user),
            (EntityType::Brokers, &self.broker),
            (EntityType::BrokerLoggers, &self.broker_logger),
            (EntityType::Ips, &self.ip),
        ];
        let defaults = [
            (EntityType::Clients, self.client_defaults),
            (EntityType::Users, self.user_defaults),
            (EntityType::Brokers, self.broker_defaults),
            (EntityType::Ips, self.ip_defaults),
        ];
        let named = named.into_iter().filter_map(|(kind, name)| {
            let name = Some(name.clone()?);
            Some(Entity { kind, name })
        });
        let defaults = defaults.into_iter().filter(|(_, given)| *given);
        let defaults = defaults.map(|(kind, _)| Entity {
            kind,
            name: Some(String::new()),
        });
        named.chain(defaults).collect()
    }
}

/// Does it.
pub fn run(options: &Options) -> ExitCode {
    match act(options, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::FAILURE,
        Err(Failure::Client(error)) => {
            let words: Vec<String> = std::env::args().skip(2).collect();
            eprintln!(
                "Error while executing config command with args '{}'",
                words.join(" ")
            );
            eprintln!("{}: {error}", error.java_class());
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let entities = check(options)?;
    let mut client = options.connect.client("chiplog-configs")?;
    let kind = entities[0].kind;
    if options.describe {
        return match kind.resource() {
            Some(resource) => {
                let name = entities[0].name.as_deref();
                resources::describe(&mut client, resource, name, options, out)
            }
            None => quotas::describe(&mut client, &entities, options, out),
        };
    }
    let additions = additions::read(options)?;
    let deletions: Vec<String> = options
        .delete_config
        .iter()
        .map(|key| key.trim().to_owned())
        .collect();
    let name = entities[0].name.as_deref().unwrap_or_default();
    match kind.resource() {
        Some(resource) => resources::alter(&mut client, resource, name, &additions, &deletions)?,
        None => quotas::alter(&mut client, &entities, &additions, &deletions)?,
    }
    match name {
        "" => writeln!(
            out,
            "Completed updating default config for {} in the cluster.",
            kind.plural()
        )?,
        name => writeln!(
            out,
            "Completed updating config for {} {name}.",
            kind.singular()
        )?,
    }
    Ok(())
}

/// Checks what goes together, and gives the entities meant: at least one.
fn check(options: &Options) -> Result<Vec<Entity>, Failure> {
    if options.alter == options.describe {
        return Err(Failure::usage(
            "Command must include exactly one action: --describe, --alter",
        ));
    }
    let adds = options.add_config.is_some();
    if options.describe && (adds || !options.delete_config.is_empty()) {
        let other = if adds { "add-config" } else { "delete-config" };
        return Err(Failure::usage(format!(
            "Option \"[describe]\" can't be used with option \"[{other}]\""
        )));
    }
    let entities = entities(options)?;
    let kind = entities[0].kind;
    check_names(&entities)?;
    if options.describe
        && kind == EntityType::BrokerLoggers
        && !entities.iter().any(|entity| entity.is_named())
    {
        return Err(Failure::usage(format!(
            "an entity name must be specified with --describe of {}",
            plurals(&entities)
        )));
    }
    if options.alter {
        check_alter(options, &entities)?;
    }
    Ok(entities)
}

/// The types of the entities, as Kafka's tool lists them.
fn plurals(entities: &[Entity]) -> String {
    let plurals: Vec<&str> = entities.iter().map(|entity| entity.kind.plural()).collect();
    plurals.join(",")
}

/// A broker is named by its number, an address is one.
fn check_names(entities: &[Entity]) -> Result<(), Failure> {
    for entity in entities.iter().filter(|entity| entity.is_named()) {
        let name = entity.name.as_deref().unwrap_or_default();
        let fault = match entity.kind {
            EntityType::Brokers | EntityType::BrokerLoggers if name.parse::<i32>().is_err() => {
                "integer broker id"
            }
            EntityType::Ips if (name, 0).to_socket_addrs().is_err() => "IP or resolvable host",
            _ => continue,
        };
        return Err(Failure::usage(format!(
            "The entity name for {} must be a valid {fault}, but it is: {name}",
            entities[0].kind.plural()
        )));
    }
    Ok(())
}

fn check_alter(options: &Options, entities: &[Entity]) -> Result<(), Failure> {
    let kind = entities[0].kind;
    let adds = options.add_config.is_some();
    let has_name = entities.iter().any(|entity| entity.is_named());
    let has_default = entities.iter().any(|entity| entity.is_default());
    let has_defaults = !matches!(
        kind,
        EntityType::Topics | EntityType::BrokerLoggers | EntityType::ClientMetrics
    );
    if has_defaults && !has_name && !has_default {
        return Err(Failure::usage(
            "an entity-name or default entity must be specified with --alter of users, \
             clients, brokers or ips",
        ));
    }
    if !has_defaults && !has_name {
        return Err(Failure::usage(format!(
            "an entity name must be specified with --alter of {}",
            plurals(entities)
        )));
    }
    if adds && options.add_config_file.is_some() {
        return Err(Failure::usage(
            "Only one of --add-config or --add-config-file must be specified",
        ));
    }
    if !adds && options.add_config_file.is_none() && options.delete_config.is_empty() {
        return Err(Failure::usage(
            "At least one of --add-config, --add-config-file, or --delete-config must be \
             specified with --alter",
        ));
    }
    if entities.iter().any(|entity| entity.name.is_none()) {
        return Err(Failure::usage(
            "An entity name must be specified for every entity type",
        ));
    }
    Ok(())
}

fn entities(options: &Options) -> Result<Vec<Entity>, Failure> {
    let shortcuts = options.of.entities();
    let spelled_out = !options.entity_type.is_empty() || !options.entity_names.0.is_empty();
    if spelled_out && !shortcuts.is_empty() {
        return Err(Failure::usage(
            "--entity-{type,name,default} should not be used in conjunction with specific entity \
             flags",
        ));
    }
    let kinds = options
        .entity_type
        .iter()
        .map(|text| EntityType::parse(text));
    let kinds = kinds.collect::<Result<Vec<EntityType>, Failure>>()?;
    if options.entity_names.0.len() > kinds.len() && !kinds.is_empty() {
        return Err(Failure::usage(
            "More entity names specified than entity types",
        ));
    }
    let mut names = options.entity_names.0.iter().cloned();
    let spelled_out = kinds.into_iter().map(|kind| Entity {
        kind,
        name: names.next(),
    });
    let entities: Vec<Entity> = spelled_out.chain(shortcuts).collect();
    match &entities[..] {
        [] => Err(Failure::usage("At least one entity type must be specified")),
        [_] => Ok(entities),
        [first, second] if first.kind == second.kind => Err(Failure::usage(format!(
            "Duplicate entity type(s) specified: {}",
            first.kind.plural()
        ))),
        [first, second] if first.kind.is_of_clients() && second.kind.is_of_clients() => {
            Ok(entities)
        }
        _ => Err(Failure::usage(
            "Only 'users' and 'clients' entity types may be specified together",
        )),
    }
}
