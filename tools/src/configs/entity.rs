//! What has settings: the types by Kafka's names, and `--entity-name` and `--entity-default` in the
//! order in which they stand on the command line, since each belongs to the type in its place.

use clap::error::Error as ClapError;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::resources::Resource;
use crate::failure::Failure;

/// A type of entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityType {
    Topics,
    Clients,
    Users,
    Brokers,
    Ips,
    BrokerLoggers,
    ClientMetrics,
}

/// An entity, all of a type, or a type's default.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its type.
    pub kind: EntityType,
    /// Its name as Kafka's tool has it: none for all of the type, an empty one for its default.
    pub name: Option<String>,
}

/// The values of `--entity-name`, and an empty name for each `--entity-default`, in order.
pub struct EntityNames(pub Vec<String>);

impl EntityType {
    const ALL: [EntityType; 7] = [
        EntityType::Topics,
        EntityType::Clients,
        EntityType::Users,
        EntityType::Brokers,
        EntityType::Ips,
        EntityType::BrokerLoggers,
        EntityType::ClientMetrics,
    ];

    /// The type that `--entity-type` names.
    pub fn parse(text: &str) -> Result<EntityType, Failure> {
        let mut all = EntityType::ALL.into_iter();
        all.find(|kind| kind.plural() == text).ok_or_else(|| {
            let names: Vec<&str> = EntityType::ALL.iter().map(|kind| kind.plural()).collect();
            Failure::usage(format!(
                "Invalid entity type {text}, the entity type must be one of {} with a \
                 --bootstrap-server or --bootstrap-controller argument",
                names.join(", ")
            ))
        })
    }

    /// The name on the command line.
    pub fn plural(self) -> &'static str {
        match self {
            EntityType::Topics => "topics",
            EntityType::Clients => "clients",
            EntityType::Users => "users",
            EntityType::Brokers => "brokers",
            EntityType::Ips => "ips",
            EntityType::BrokerLoggers => "broker-loggers",
            EntityType::ClientMetrics => "client-metrics",
        }
    }

    /// The name without its last letter, which is how Kafka's tool makes a singular.
    pub fn singular(self) -> &'static str {
        let plural = self.plural();
        &plural[..plural.len() - 1]
    }

    /// Those that have settings proper; the others have quotas.
    pub fn resource(self) -> Option<Resource> {
        match self {
            EntityType::Topics => Some(Resource::Topic),
            EntityType::Brokers => Some(Resource::Broker),
            EntityType::BrokerLoggers => Some(Resource::BrokerLogger),
            EntityType::ClientMetrics => Some(Resource::ClientMetrics),
            EntityType::Clients | EntityType::Users | EntityType::Ips => None,
        }
    }

    /// Whether it is of those whose quotas may be set together.
    pub fn is_of_clients(self) -> bool {
        matches!(self, EntityType::Clients | EntityType::Users)
    }
}

impl Entity {
    /// Whether it is one entity.
    pub fn is_named(&self) -> bool {
        self.name.as_ref().is_some_and(|name| !name.is_empty())
    }

    /// Whether it is the default of its type.
    pub fn is_default(&self) -> bool {
        self.name.as_ref().is_some_and(String::is_empty)
    }
}

impl FromArgMatches for EntityNames {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, ClapError> {
        let mut names: Vec<(usize, String)> = Vec::new();
        for id in ["entity-name", "entity-default"] {
            let values = matches.get_many::<String>(id).into_iter().flatten();
            let places = matches.indices_of(id).into_iter().flatten();
            names.extend(places.zip(values.cloned()));
        }
        names.sort();
        Ok(EntityNames(
            names.into_iter().map(|(_, name)| name).collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), ClapError> {
        *self = EntityNames::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for EntityNames {
    fn augment_args(command: Command) -> Command {
        let name = Arg::new("entity-name")
            .long("entity-name")
            .action(ArgAction::Append)
            .help("Name of entity (topic name/client id/user principal name/broker id/ip/client metrics)");
        let default = Arg::new("entity-default")
            .long("entity-default")
            .action(ArgAction::Append)
            .num_args(0)
            .default_missing_value("")
            .help("Default entity name for clients/users/brokers/ips, for the type in its place");
        command.arg(name).arg(default)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
