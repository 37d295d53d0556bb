//! Brokers and controllers as they registered.

use protocol::ids::{BrokerEpoch, BrokerId, Uuid};

/// Where a node listens, under a listener's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener, for example `PLAINTEXT`.
    pub name: String,
    /// Host name or address, as advertised.
    pub host: String,
    /// Port, as advertised.
    pub port: u16,
    /// Kafka's number of the security protocol: PLAINTEXT 0, SSL 1, SASL_PLAINTEXT 2, SASL_SSL 3.
    pub security_protocol: i16,
}

/// The levels of a feature that a node can work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    /// The feature.
    pub name: String,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// One registration of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The configured id.
    pub id: BrokerId,
    /// Which registration; every start has a new one.
    pub epoch: BrokerEpoch,
    /// The process, drawn anew at every start.
    pub incarnation: Uuid,
    /// Where clients and brokers reach it.
    pub endpoints: Vec<Endpoint>,
    /// What it can work with.
    pub features: Vec<SupportedFeature>,
    /// The rack, if configured.
    pub rack: Option<String>,
    /// A fenced broker is not shown to clients and leads nothing.
    pub fenced: bool,
    /// On its way out.
    pub in_controlled_shutdown: bool,
    /// Ids of its log directories that are online.
    pub log_dirs: Vec<Uuid>,
    /// Still registered in ZooKeeper, in a migration.
    pub is_migrating_zk_broker: bool,
}

impl Broker {
    /// May lead and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.name == listener)
    }

    /// The directory that new replicas are said to be in: the only one, or one of the ids that
    /// stand for "not chosen yet" and "does not tell".
    pub fn default_directory(&self) -> Uuid {
        match self.log_dirs[..] {
            [] => DIRECTORY_MIGRATING,
            [only] => only,
            _ => DIRECTORY_UNASSIGNED,
        }
    }
}

/// Stands for a directory that the broker has not chosen yet.
pub const DIRECTORY_UNASSIGNED: Uuid = Uuid([0; 16]);

/// Stands for a directory that was lost.
pub const DIRECTORY_LOST: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Stands for the directory of a replica on a broker that does not tell directory ids.
pub const DIRECTORY_MIGRATING: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

/// One registration of a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The configured id.
    pub id: i32,
    /// The process.
    pub incarnation: Uuid,
    /// Ready to take part in a migration from ZooKeeper.
    pub zk_migration_ready: bool,
    /// Where it is reached.
    pub endpoints: Vec<Endpoint>,
    /// What it can work with.
    pub features: Vec<SupportedFeature>,
}
