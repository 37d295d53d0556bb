//! One side of the comparison: a broker that runs all the time, or the bare loops, which are
//! started for each run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use benches::Error;
use benches::cluster::Cluster;
use benches::{consume, produce};

use crate::broker::Broker;
use crate::child::Placement;
use crate::floor_process::{FloorProcess, Loop};
use crate::loads::{CONSUME_PASSES, PARTITIONS};
use crate::options::{Options, Side};

/// A side that can be measured.
pub struct Contestant {
    side: Side,
    server: Server,
    placement: Placement,
}

enum Server {
    Broker(Broker),
    /// Where the bare receive loop writes; where the files of the sendfile loop are.
    Floor {
        written: PathBuf,
        prepared: PathBuf,
    },
}

impl Contestant {
    /// Starts a side's broker, if it has one, with its data under `dir`.
    pub fn start(side: Side, options: &Options, dir: &Path) -> Result<Contestant, Error> {
        let placement = options.server_placement();
        let server = match options.make(side)? {
            Some(make) => {
                let own = dir.join(make.name().to_lowercase());
                Server::Broker(Broker::start(&make, &own, placement)?)
            }
            None => Server::Floor {
                written: dir.join("floor-receive"),
                prepared: dir.join("floor-sendfile"),
            },
        };
        Ok(Contestant {
            side,
            server,
            placement,
        })
    }

    /// Which side it is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The broker's process; the bare loops' do not live long enough to have one.
    pub fn pid(&self) -> Option<u32> {
        match &self.server {
            Server::Broker(broker) => Some(broker.pid()),
            Server::Floor { .. } => None,
        }
    }

    /// Produces to a new topic, which stays; what a bare loop wrote does not.
    pub fn produce(&self, topic: &str, load: produce::Options) -> Result<produce::Report, Error> {
        match &self.server {
            Server::Broker(broker) => produce::run(produce::Options {
                bootstrap_server: broker.address().to_string(),
                broker_pid: Some(broker.pid()),
                topic: topic.to_owned(),
                create_topic: true,
                partitions: PARTITIONS,
                verify_offsets: true,
                ..load
            }),
            Server::Floor { written, .. } => {
                let floor = FloorProcess::start(Loop::Receive, written, self.placement)?;
                let report = produce::run(produce::Options {
                    bootstrap_server: floor.address().to_string(),
                    broker_pid: Some(floor.pid()),
                    raw_target: true,
                    ..load
                })?;
                floor.remove()?;
                Ok(report)
            }
        }
    }

    /// Consumes a topic, or what was prepared for the bare loop.
    pub fn consume(&self, topic: &str) -> Result<consume::Report, Error> {
        let load = |address: SocketAddr, pid| consume::Options {
            bootstrap_server: address.to_string(),
            broker_pid: Some(pid),
            topic: topic.to_owned(),
            passes: CONSUME_PASSES,
            ..consume::Options::default()
        };
        match &self.server {
            Server::Broker(broker) => consume::run(load(broker.address(), broker.pid())),
            Server::Floor { prepared, .. } => {
                let floor = FloorProcess::start(Loop::Sendfile, prepared, self.placement)?;
                let report = consume::run(load(floor.address(), floor.pid()))?;
                floor.remove()?;
                Ok(report)
            }
        }
    }

    /// Changes a setting of a topic; a bare loop has none.
    pub fn set(&self, topic: &str, name: &str, value: &str) -> Result<(), Error> {
        match &self.server {
            Server::Broker(broker) => {
                Cluster::connect_to(broker.address())?.set_topic_config(topic, name, value)
            }
            Server::Floor { .. } => Ok(()),
        }
    }

    /// Deletes a topic and its files; a bare loop has none.
    pub fn delete(&self, topic: &str) -> Result<(), Error> {
        match &self.server {
            Server::Broker(broker) => {
                Cluster::connect_to(broker.address())?.delete_topic(topic)?;
                broker.wait_for_removal(topic)
            }
            Server::Floor { .. } => Ok(()),
        }
    }

    /// Ends the broker and removes its data.
    pub fn remove(self) -> Result<(), Error> {
        match self.server {
            Server::Broker(broker) => broker.remove(),
            Server::Floor { .. } => Ok(()),
        }
    }
}
