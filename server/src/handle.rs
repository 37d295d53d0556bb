//! The handlers, one file an API, and the table that says which API has one.
//!
//! ApiVersions advertises exactly what has a handler; a request without one closes the connection,
//! as Kafka does for an API that is not enabled.

mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod alter_replica_log_dirs;
mod alter_user_scram_credentials;
mod api_versions;
mod client_quotas;
mod consumer_group;
mod create_partitions;
pub mod create_topics;
mod delegation_tokens;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_client_metrics_resources;
mod list_groups;
mod list_offsets;
mod list_segment_offsets;
mod list_transactions;
mod metadata;
mod names;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod partition_reassignments;
mod portions;
mod produce;
mod raft_voters;
mod refusal;
mod sasl;
mod sync_group;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod walk;
mod write_txn_markers;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use protocol::api::ApiKey;
use protocol::messages;
use protocol::wire::Decoder;

pub use walk::STEPS_MAX;

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Serves one request.
pub type Handler = fn(Rc<Shard>, Request) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// The handler of an API, if this node serves it.
pub fn of(api: ApiKey) -> Option<Handler> {
    macro_rules! handler {
        ($function:path) => {
            Some(|shard, request| Box::pin($function(shard, request)))
        };
    }
    match api {
        ApiKey::Produce => handler!(produce::produce),
        ApiKey::Fetch => handler!(fetch::fetch),
        ApiKey::ListOffsets => handler!(list_offsets::list_offsets),
        ApiKey::Metadata => handler!(metadata::metadata),
        ApiKey::OffsetCommit => handler!(offset_commit::offset_commit),
        ApiKey::OffsetFetch => handler!(offset_fetch::offset_fetch),
        ApiKey::JoinGroup => handler!(join_group::join_group),
        ApiKey::Heartbeat => handler!(heartbeat::heartbeat),
        ApiKey::LeaveGroup => handler!(leave_group::leave_group),
        ApiKey::SyncGroup => handler!(sync_group::sync_group),
        ApiKey::DescribeGroups => handler!(describe_groups::describe_groups),
        ApiKey::ListGroups => handler!(list_groups::list_groups),
        ApiKey::DeleteGroups => handler!(delete_groups::delete_groups),
        ApiKey::OffsetDelete => handler!(offset_delete::offset_delete),
        ApiKey::TxnOffsetCommit => handler!(txn_offset_commit::txn_offset_commit),
        ApiKey::ConsumerGroupHeartbeat => handler!(consumer_group::consumer_group_heartbeat),
        ApiKey::ConsumerGroupDescribe => handler!(consumer_group::consumer_group_describe),
        ApiKey::FindCoordinator => handler!(find_coordinator::find_coordinator),
        ApiKey::ApiVersions => handler!(api_versions::api_versions),
        ApiKey::CreateTopics => handler!(create_topics::create_topics),
        ApiKey::DeleteTopics => handler!(delete_topics::delete_topics),
        ApiKey::DeleteRecords => handler!(delete_records::delete_records),
        ApiKey::InitProducerId => handler!(init_producer_id::init_producer_id),
        ApiKey::OffsetForLeaderEpoch => {
            handler!(offset_for_leader_epoch::offset_for_leader_epoch)
        }
        ApiKey::AddPartitionsToTxn => handler!(add_partitions_to_txn::add_partitions_to_txn),
        ApiKey::AddOffsetsToTxn => handler!(add_offsets_to_txn::add_offsets_to_txn),
        ApiKey::EndTxn => handler!(end_txn::end_txn),
        ApiKey::WriteTxnMarkers => handler!(write_txn_markers::write_txn_markers),
        ApiKey::AlterConfigs => handler!(alter_configs::alter_configs),
        ApiKey::IncrementalAlterConfigs => {
            handler!(alter_configs::incremental_alter_configs)
        }
        ApiKey::DescribeConfigs => handler!(describe_configs::describe_configs),
        ApiKey::CreatePartitions => handler!(create_partitions::create_partitions),
        ApiKey::AlterReplicaLogDirs => {
            handler!(alter_replica_log_dirs::alter_replica_log_dirs)
        }
        ApiKey::DescribeLogDirs => handler!(describe_log_dirs::describe_log_dirs),
        ApiKey::ElectLeaders => handler!(elect_leaders::elect_leaders),
        ApiKey::AlterPartitionReassignments => {
            handler!(partition_reassignments::alter_partition_reassignments)
        }
        ApiKey::ListPartitionReassignments => {
            handler!(partition_reassignments::list_partition_reassignments)
        }
        ApiKey::DescribeClientQuotas => handler!(client_quotas::describe_client_quotas),
        ApiKey::AlterClientQuotas => handler!(client_quotas::alter_client_quotas),
        ApiKey::DescribeUserScramCredentials => {
            handler!(describe_user_scram_credentials::describe_user_scram_credentials)
        }
        ApiKey::AlterUserScramCredentials => {
            handler!(alter_user_scram_credentials::alter_user_scram_credentials)
        }
        ApiKey::DescribeQuorum => handler!(describe_quorum::describe_quorum),
        ApiKey::UpdateFeatures => handler!(update_features::update_features),
        ApiKey::DescribeCluster => handler!(describe_cluster::describe_cluster),
        ApiKey::DescribeProducers => handler!(describe_producers::describe_producers),
        ApiKey::DescribeTransactions => handler!(describe_transactions::describe_transactions),
        ApiKey::ListTransactions => handler!(list_transactions::list_transactions),
        ApiKey::UnregisterBroker => handler!(unregister_broker::unregister_broker),
        ApiKey::ListClientMetricsResources => {
            handler!(list_client_metrics_resources::list_client_metrics_resources)
        }
        ApiKey::DescribeTopicPartitions => {
            handler!(describe_topic_partitions::describe_topic_partitions)
        }
        ApiKey::SaslHandshake => handler!(sasl::sasl_handshake),
        ApiKey::SaslAuthenticate => handler!(sasl::sasl_authenticate),
        ApiKey::DescribeAcls => handler!(acls::describe_acls),
        ApiKey::CreateAcls => handler!(acls::create_acls),
        ApiKey::DeleteAcls => handler!(acls::delete_acls),
        ApiKey::CreateDelegationToken => {
            handler!(delegation_tokens::create_delegation_token)
        }
        ApiKey::RenewDelegationToken => handler!(delegation_tokens::renew_delegation_token),
        ApiKey::ExpireDelegationToken => handler!(delegation_tokens::expire_delegation_token),
        ApiKey::DescribeDelegationToken => {
            handler!(delegation_tokens::describe_delegation_token)
        }
        ApiKey::AddRaftVoter => handler!(raft_voters::add_raft_voter),
        ApiKey::RemoveRaftVoter => handler!(raft_voters::remove_raft_voter),
        _ => None,
    }
}

/// How many elements the arrays of a request have in all; None for an API whose requests are decoded
/// whole, not left in the frame.
pub fn count_elements(api: ApiKey, mut decoder: Decoder<'_>, version: i16) -> Option<usize> {
    macro_rules! walk {
        ($request:path) => {
            <$request>::decode(&mut decoder, version).err()
        };
    }
    let refused = match api {
        ApiKey::Produce => walk!(messages::produce::in_frame::ProduceRequest),
        ApiKey::Fetch => walk!(messages::fetch::in_frame::FetchRequest),
        ApiKey::ListOffsets => walk!(messages::list_offsets::in_frame::ListOffsetsRequest),
        ApiKey::Metadata => walk!(messages::metadata::in_frame::MetadataRequest),
        ApiKey::DeleteRecords => walk!(messages::delete_records::in_frame::DeleteRecordsRequest),
        ApiKey::OffsetForLeaderEpoch => {
            walk!(messages::offset_for_leader_epoch::in_frame::OffsetForLeaderEpochRequest)
        }
        ApiKey::DescribeConfigs => {
            walk!(messages::describe_configs::in_frame::DescribeConfigsRequest)
        }
        ApiKey::FindCoordinator => {
            walk!(messages::find_coordinator::in_frame::FindCoordinatorRequest)
        }
        ApiKey::CreateTopics => walk!(messages::create_topics::in_frame::CreateTopicsRequest),
        ApiKey::DeleteTopics => walk!(messages::delete_topics::in_frame::DeleteTopicsRequest),
        ApiKey::CreatePartitions => {
            walk!(messages::create_partitions::in_frame::CreatePartitionsRequest)
        }
        ApiKey::AlterConfigs => walk!(messages::alter_configs::in_frame::AlterConfigsRequest),
        ApiKey::IncrementalAlterConfigs => {
            walk!(messages::incremental_alter_configs::in_frame::IncrementalAlterConfigsRequest)
        }
        _ => return None,
    };
    // What does not decode is refused by its handler, and takes nothing.
    Some(refused.map_or(decoder.elements_seen(), |_| 0))
}

/// The handler of an ApiVersions request of a version this node does not know.
pub fn api_versions_unsupported(
    _shard: Rc<Shard>,
    request: Request,
) -> Pin<Box<dyn Future<Output = Outcome>>> {
    Box::pin(async move { api_versions::unsupported(request) })
}
