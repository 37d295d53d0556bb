//! A blocking client for the tools: connections to the brokers of a cluster by id, who leads what,
//! who coordinates whom, and asking again as Kafka's admin client does.
//!
//! It knows the protocol and no tool: nothing is printed here but warnings about the connection
//! itself. One thread, one request at a time on a connection. A call either has its answer within
//! `default.api.timeout.ms` or ends with the last error.

pub mod backoff;
mod by_leader;
mod committed_offsets;
mod config;
mod connection;
mod error;
mod exchange;
mod groups;
mod list_offsets;
mod metadata;
mod transactions;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use protocol::messages::find_coordinator::FindCoordinatorRequest;
use protocol::messages::metadata::MetadataRequest;

use backoff::Backoff;
use connection::Connection;

pub use by_leader::ByPartition;
pub use committed_offsets::Committed;
pub use config::Settings;
pub use error::Error;
pub use exchange::Exchange;
pub use groups::{Group, Member, assigned_partitions};
pub use list_offsets::{Isolation, OffsetSpec};
pub use metadata::{Partition, Topic, TopicPartition};
pub use transactions::HangingTransaction;

/// What a coordinator is asked for, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorOf {
    /// A consumer group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// What became of one of the changes of a request: Kafka's error code, and what the broker said.
pub type Decided = (i16, Option<Cow<'static, str>>);

/// Connections to a cluster.
pub struct Client {
    settings: Settings,
    bootstrap: Vec<String>,
    /// `host:port` of every broker that the newest metadata named.
    brokers: BTreeMap<i32, String>,
    controller: Option<i32>,
    connections: HashMap<String, Connection>,
}

impl Client {
    /// A client that begins at a comma-separated list of `host:port`. Nothing is asked yet.
    pub fn new(bootstrap: &str, settings: Settings) -> Result<Client, Error> {
        let names = bootstrap.split(',').map(str::trim);
        let bootstrap: Vec<String> = names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let well_formed = |name: &String| {
            let port = name.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(_)))
        };
        match bootstrap.iter().find(|name| !well_formed(name)) {
            Some(name) => Err(Error::Settings(format!(
                "Invalid url in bootstrap.servers: {name}"
            ))),
            None if bootstrap.is_empty() => Err(Error::Settings(
                "No resolvable bootstrap urls given in bootstrap.servers".to_owned(),
            )),
            None => Ok(Client {
                settings,
                bootstrap,
                brokers: BTreeMap::new(),
                controller: None,
                connections: HashMap::new(),
            }),
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ids of the brokers that the newest metadata named.
    pub fn broker_ids(&self) -> Vec<i32> {
        self.brokers.keys().copied().collect()
    }

    /// Whether a broker can be asked for something in a version of at least `oldest`.
    pub fn can_ask<E: Exchange>(&mut self, oldest: i16) -> Result<bool, Error> {
        self.retried(|client| {
            let address = client.any_address()?;
            let connection = client.connection(&address)?;
            Ok(connection.version_of::<E>(oldest).is_ok())
        })
    }

    /// Runs `attempt` until it gives something else than a passing error, or the time is over.
    pub fn retried<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.settings.api_timeout;
        let mut backoff = Backoff::new(&self.settings);
        loop {
            match attempt(self) {
                Err(error) if error.is_retriable() => {
                    if !backoff.pause_before(deadline) {
                        return Err(Error::TimedOut {
                            after: self.settings.api_timeout,
                            last: Box::new(error),
                        });
                    }
                    if backoff.pauses() == 1 && error.is_of_connection() {
                        eprintln!(
                            "WARN {error}; trying again for up to {} ms",
                            self.settings.api_timeout.as_millis()
                        );
                    }
                }
                other => return other,
            }
        }
    }

    /// Asks for changes that are each decided by themselves: `ask` gives the error code and message
    /// of each. Asks again while another broker is in charge; the first refusal is the error.
    pub fn change(
        &mut self,
        mut ask: impl FnMut(&mut Client) -> Result<Vec<Decided>, Error>,
    ) -> Result<(), Error> {
        let decided = self.retried(|client| {
            let decided = ask(client)?.into_iter();
            decided
                .map(|(code, message)| Error::settled(code, message))
                .collect::<Result<Vec<_>, Error>>()
        })?;
        decided.into_iter().collect()
    }

    /// Asks any broker, once.
    pub fn ask_any<E: Exchange>(&mut self, request: &E) -> Result<E::Response, Error> {
        let address = self.any_address()?;
        self.ask_address(&address, request, E::OLDEST)
    }

    /// Asks one broker, once.
    pub fn ask_broker<E: Exchange>(
        &mut self,
        broker: i32,
        request: &E,
    ) -> Result<E::Response, Error> {
        self.ask_broker_at_least(broker, request, E::OLDEST)
    }

    /// Asks one broker, once, in a version that is not older than `oldest`.
    pub fn ask_broker_at_least<E: Exchange>(
        &mut self,
        broker: i32,
        request: &E,
        oldest: i16,
    ) -> Result<E::Response, Error> {
        if !self.brokers.contains_key(&broker) {
            self.refresh()?;
        }
        let Some(address) = self.brokers.get(&broker).cloned() else {
            return Err(Error::NoSuchBroker(broker));
        };
        self.ask_address(&address, request, oldest)
    }

    /// Asks the controller, once; asks anew who that is if the last one is not any more.
    pub fn ask_controller<E: Exchange>(&mut self, request: &E) -> Result<E::Response, Error> {
        self.refresh()?;
        match self.controller {
            Some(controller) => self.ask_broker(controller, request),
            None => Err(Error::NoController),
        }
    }

    /// The broker that coordinates a group or a transactional id; waits until there is one.
    pub fn coordinator(&mut self, of: CoordinatorOf, key: &str) -> Result<i32, Error> {
        self.retried(|client| {
            let answer = client.ask_any(&FindCoordinatorRequest {
                key: key.into(),
                key_type: of as i8,
                ..Default::default()
            })?;
            Error::check(answer.error_code, answer.error_message)?;
            let address = format!("{}:{}", answer.host, answer.port);
            client.brokers.insert(answer.node_id, address);
            Ok(answer.node_id)
        })
    }

    /// Learns anew which brokers there are and who is the controller.
    pub fn refresh(&mut self) -> Result<(), Error> {
        let request = MetadataRequest {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        let answer = self.ask_any(&request)?;
        self.learn(&answer);
        Ok(())
    }

    fn ask_address<E: Exchange>(
        &mut self,
        address: &str,
        request: &E,
        oldest: i16,
    ) -> Result<E::Response, Error> {
        let answer = self.connection(address)?.ask(request, oldest);
        if matches!(&answer, Err(error) if error.is_of_connection()) {
            self.connections.remove(address);
        }
        answer
    }

    fn connection(&mut self, address: &str) -> Result<&mut Connection, Error> {
        if !self.connections.contains_key(address) {
            let connection = Connection::open(address, &self.settings)?;
            self.connections.insert(address.to_owned(), connection);
        }
        Ok(self
            .connections
            .get_mut(address)
            .expect("it was just put there"))
    }

    /// An address that answers: one that is connected, or a known broker, or a bootstrap server.
    fn any_address(&mut self) -> Result<String, Error> {
        if let Some(address) = self.connections.keys().next() {
            return Ok(address.clone());
        }
        let mut last = None;
        let known: Vec<String> = self.brokers.values().cloned().collect();
        for address in known.into_iter().chain(self.bootstrap.clone()) {
            match self.connection(&address) {
                Ok(_) => return Ok(address),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one bootstrap server"))
    }
}
