//! The records of the metadata log.

use std::borrow::Cow;

use protocol::ids::Uuid;

type Text = Cow<'static, str>;

macro_rules! stand_in {
    ($($name:ident { $($field:ident: $kind:ty),* })*) => { $(
        #[allow(missing_docs)]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $(pub $field: $kind),* }
    )* };
}
stand_in! {
    RegisterBrokerRecord { broker_id: i32, is_migrating_zk_broker: bool, incarnation_id: Uuid, broker_epoch: i64, end_points: Vec<BrokerEndpoint>, features: Vec<BrokerFeature>, rack: Option<Text>, fenced: bool, in_controlled_shutdown: bool, log_dirs: Vec<Uuid> }
    BrokerEndpoint { name: Text, host: Text, port: u16, security_protocol: i16 }
    BrokerFeature { name: Text, min_supported_version: i16, max_supported_version: i16 }
    ControllerEndpoint { name: Text, host: Text, port: u16, security_protocol: i16 }
    ControllerFeature { name: Text, min_supported_version: i16, max_supported_version: i16 }
    UnregisterBrokerRecord { broker_id: i32, broker_epoch: i64 }
    TopicRecord { name: Text, topic_id: Uuid }
    PartitionRecord { partition_id: i32, topic_id: Uuid, replicas: Vec<i32>, isr: Vec<i32>, removing_replicas: Vec<i32>, adding_replicas: Vec<i32>, leader: i32, leader_recovery_state: i8, leader_epoch: i32, partition_epoch: i32, directories: Vec<Uuid>, eligible_leader_replicas: Option<Vec<i32>>, last_known_elr: Option<Vec<i32>> }
    PartitionChangeRecord { partition_id: i32, topic_id: Uuid, isr: Option<Vec<i32>>, leader: i32, replicas: Option<Vec<i32>>, removing_replicas: Option<Vec<i32>>, adding_replicas: Option<Vec<i32>>, leader_recovery_state: i8, directories: Option<Vec<Uuid>>, eligible_leader_replicas: Option<Vec<i32>>, last_known_elr: Option<Vec<i32>> }
    ConfigRecord { resource_type: i8, resource_name: Text, name: Text, value: Option<Text> }
    FenceBrokerRecord { id: i32, epoch: i64 }
    UnfenceBrokerRecord { id: i32, epoch: i64 }
    RemoveTopicRecord { topic_id: Uuid }
    FeatureLevelRecord { name: Text, feature_level: i16 }
    ProducerIdsRecord { broker_id: i32, broker_epoch: i64, next_producer_id: i64 }
    BrokerRegistrationChangeRecord { broker_id: i32, broker_epoch: i64, fenced: i8, in_controlled_shutdown: i8, log_dirs: Vec<Uuid> }
    NoOpRecord { }
    ZkMigrationStateRecord { zk_migration_state: i8 }
    BeginTransactionRecord { name: Option<Text> }
    EndTransactionRecord { }
    AbortTransactionRecord { reason: Option<Text> }
    RegisterControllerRecord { controller_id: i32, incarnation_id: Uuid, zk_migration_ready: bool, end_points: Vec<ControllerEndpoint>, features: Vec<ControllerFeature> }
}

/// One record of the metadata log.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    RegisterBroker(RegisterBrokerRecord),
    UnregisterBroker(UnregisterBrokerRecord),
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    FenceBroker(FenceBrokerRecord),
    UnfenceBroker(UnfenceBrokerRecord),
    RemoveTopic(RemoveTopicRecord),
    FeatureLevel(FeatureLevelRecord),
    ProducerIds(ProducerIdsRecord),
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    NoOp(NoOpRecord),
    ZkMigrationState(ZkMigrationStateRecord),
    BeginTransaction(BeginTransactionRecord),
    EndTransaction(EndTransactionRecord),
    AbortTransaction(AbortTransactionRecord),
    RegisterController(RegisterControllerRecord),
}
