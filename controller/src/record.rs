//! The records of the metadata log that a standalone cluster has: the wire's own structs, one
//! variant each.
//!
//! Kinds that no version of this node writes (ACLs, quotas, tokens, SCRAM credentials) are left
//! out on purpose: a log that holds them was written for a node that enforces them.

pub use protocol::records::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerEndpoint, BrokerFeature,
    BrokerRegistrationChangeRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord,
    FenceBrokerRecord, NoOpRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord,
    RegisterBrokerRecord, RegisterControllerRecord, RemoveTopicRecord, TopicRecord,
    UnfenceBrokerRecord, UnregisterBrokerRecord, ZkMigrationStateRecord,
};

/// One record of the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A broker starts.
    RegisterBroker(RegisterBrokerRecord<'static>),
    /// A broker is gone for good.
    UnregisterBroker(UnregisterBrokerRecord),
    /// A topic begins; its partitions follow.
    Topic(TopicRecord<'static>),
    /// A partition begins.
    Partition(PartitionRecord),
    /// A config is set or taken away.
    Config(ConfigRecord<'static>),
    /// Something about a partition changes.
    PartitionChange(PartitionChangeRecord),
    /// A broker is fenced.
    FenceBroker(FenceBrokerRecord),
    /// A broker is no longer fenced.
    UnfenceBroker(UnfenceBrokerRecord),
    /// A topic is gone, with all of its partitions and configs.
    RemoveTopic(RemoveTopicRecord),
    /// A feature has a new level.
    FeatureLevel(FeatureLevelRecord<'static>),
    /// A block of producer ids was given out.
    ProducerIds(ProducerIdsRecord),
    /// Something about a broker changes.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    /// Nothing: shows that the log is alive.
    NoOp(NoOpRecord),
    /// How far a migration from ZooKeeper is.
    ZkMigrationState(ZkMigrationStateRecord),
    /// What follows counts only once the end is there.
    BeginTransaction(BeginTransactionRecord<'static>),
    /// It counts.
    EndTransaction(EndTransactionRecord),
    /// It does not count.
    AbortTransaction(AbortTransactionRecord<'static>),
    /// A controller starts.
    RegisterController(RegisterControllerRecord<'static>),
}
