//! The records of the metadata log: the wire's own structs, one variant each.
//!
//! Of some kinds (ACLs, quotas, delegation tokens, SCRAM credentials) nothing here makes a
//! decision yet. They are read and kept all the same, so that a log that another node wrote
//! loses nothing.

pub use protocol::records::metadata::{
    AbortTransactionRecord, AccessControlEntryRecord, BeginTransactionRecord, BrokerEndpoint,
    BrokerFeature, BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord,
    ControllerEndpoint, ControllerFeature, DelegationTokenRecord, EndTransactionRecord, EntityData,
    FeatureLevelRecord, FenceBrokerRecord, NoOpRecord, PartitionChangeRecord, PartitionRecord,
    ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord,
    RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord, RemoveTopicRecord,
    RemoveUserScramCredentialRecord, TopicRecord, UnfenceBrokerRecord, UnregisterBrokerRecord,
    UserScramCredentialRecord, ZkMigrationStateRecord,
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
    /// A delegation token is made or changed.
    DelegationToken(DelegationTokenRecord<'static>),
    /// A delegation token is gone.
    RemoveDelegationToken(RemoveDelegationTokenRecord<'static>),
    /// A user's SCRAM credential is set.
    UserScramCredential(UserScramCredentialRecord<'static>),
    /// A user's SCRAM credential is gone.
    RemoveUserScramCredential(RemoveUserScramCredentialRecord<'static>),
    /// A quota is set or taken away.
    ClientQuota(ClientQuotaRecord<'static>),
    /// An ACL is made.
    AccessControlEntry(AccessControlEntryRecord<'static>),
    /// An ACL is gone.
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
}
