//! What the node is, the same for all its shards and immutable: configuration, identity, log
//! directories.

use std::sync::Arc;

use controller::config_source::Sources;
use controller::image::{Endpoint, Image};
use controller::topics::create::Defaults;
use protocol::ids::{BrokerEpoch, BrokerId};

use crate::acceptors::ListenerNames;
use crate::config::ServerConfig;
use crate::config::describe::BrokerConfig;
use crate::config::topic_log::{TopicSettings, topic_settings};
use crate::connection_limits::ConnectionLimits;
use crate::directories::Directories;
use crate::moving::{Pace, Places};
use crate::offline::OfflinePartitions;

/// See the module.
pub struct Node {
    /// The configuration.
    pub config: Arc<ServerConfig>,
    /// How many shards there are.
    pub shards: usize,
    /// This node's id.
    pub broker_id: BrokerId,
    /// Where the logs are.
    pub directories: Arc<Directories>,
    /// What of them cannot be used.
    pub offline: OfflinePartitions,
    /// The names of the listeners.
    pub listener_names: ListenerNames,
    /// How fast logs move between directories.
    pub move_pace: Pace,
    /// How many move at once.
    pub move_places: Places,
    /// How many connections there may be.
    pub connection_limits: ConnectionLimits,
}

/// A broker as a client of one listener sees it.
pub struct BrokerAddress {
    /// Its id.
    pub id: BrokerId,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// Its rack.
    pub rack: Option<String>,
}

impl Node {
    /// The brokers that have an endpoint on the listener with this number.
    pub fn brokers_for(&self, image: &Image, listener: usize) -> Vec<BrokerAddress> {
        let name = self.listener_names.name(listener);
        let address = |id, endpoint: &Endpoint, rack: &Option<String>| BrokerAddress {
            id,
            host: endpoint.host.clone(),
            port: endpoint.port,
            rack: rack.clone(),
        };
        let brokers = image.brokers().filter(|broker| !broker.fenced);
        brokers
            .filter_map(|broker| {
                let endpoint = broker.endpoint(&name)?;
                Some(address(broker.id, endpoint, &broker.rack))
            })
            .collect()
    }

    /// The epoch of this node's registration.
    pub fn broker_epoch(&self, image: &Image) -> BrokerEpoch {
        image
            .broker(self.broker_id)
            .map_or(BrokerEpoch(-1), |broker| broker.epoch)
    }

    /// What holds for a topic's logs.
    pub fn topic_settings(&self, image: &Image, topic: &str) -> TopicSettings {
        let broker = BrokerConfig::new(&self.config, image);
        topic_settings(&broker, &image.topic_overrides(topic))
    }

    /// Calls `decide` with what holds for a new topic where the request leaves it open.
    pub fn with_topic_defaults<T>(
        &self,
        image: &Image,
        decide: impl FnOnce(&Defaults<'_>) -> T,
    ) -> T {
        let broker = BrokerConfig::new(&self.config, image);
        let sources: Sources<'_> = broker.sources();
        decide(&Defaults {
            partitions: self.config.num_partitions,
            replication_factor: self.config.default_replication_factor,
            sources,
        })
    }
}
