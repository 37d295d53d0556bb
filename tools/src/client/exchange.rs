//! Which answer belongs to which request, and the versions that the tools fill in rightly: one row
//! an API. A newer version than its row says may mean its fields otherwise.

use protocol::api::ApiKey;
use protocol::messages as m;
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoder};

/// A request that the tools send.
pub trait Exchange {
    /// The API.
    const KEY: ApiKey;
    /// The oldest version whose fields say enough.
    const OLDEST: i16;
    /// The newest version that is filled in rightly.
    const NEWEST: i16;
    /// Its answer.
    type Response: Default;
    /// Writes the request's body.
    fn encode(&self, encoder: &mut Encoder, version: i16) -> Result<(), EncodeError>;
    /// Reads the answer's body.
    fn decode(decoder: &mut Decoder<'_>, version: i16) -> Result<Self::Response, DecodeError>;
    /// Whether there is an answer at all.
    fn is_answered(&self) -> bool {
        true
    }
}

macro_rules! exchanges {
    ($($module:ident::$request:ident$(<$life:lifetime>)? => $response:ident$(<$answer_life:lifetime>)?,
       $key:ident, $oldest:literal..=$newest:literal $(, answered $answered:expr)?;)*) => {
        $(impl Exchange for m::$module::$request$(<$life>)? {
            const KEY: ApiKey = ApiKey::$key;
            const OLDEST: i16 = $oldest;
            const NEWEST: i16 = $newest;
            type Response = m::$module::$response$(<$answer_life>)?;

            fn encode(&self, encoder: &mut Encoder, version: i16) -> Result<(), EncodeError> {
                self.encode(encoder, version)
            }

            fn decode(decoder: &mut Decoder<'_>, version: i16) -> Result<Self::Response, DecodeError> {
                exchanges!(@decode m::$module::$response, decoder, version $(, $answer_life)?)
            }

            $(fn is_answered(&self) -> bool {
                let answered: fn(&Self) -> bool = $answered;
                answered(self)
            })?
        })*
    };
    (@decode $response:path, $decoder:ident, $version:ident, $life:lifetime) => {
        <$response>::decode($decoder, $version).map(|answer| answer.into_owned())
    };
    (@decode $response:path, $decoder:ident, $version:ident) => {
        <$response>::decode($decoder, $version)
    };
}

exchanges! {
    alter_client_quotas::AlterClientQuotasRequest<'_> => AlterClientQuotasResponse<'static>, AlterClientQuotas, 0..=1;
    alter_user_scram_credentials::AlterUserScramCredentialsRequest<'_> => AlterUserScramCredentialsResponse<'static>, AlterUserScramCredentials, 0..=0;
    api_versions::ApiVersionsRequest<'_> => ApiVersionsResponse<'static>, ApiVersions, 3..=3;
    create_topics::CreateTopicsRequest<'_> => CreateTopicsResponse<'static>, CreateTopics, 2..=7;
    create_partitions::CreatePartitionsRequest<'_> => CreatePartitionsResponse<'static>, CreatePartitions, 0..=3;
    delete_groups::DeleteGroupsRequest<'_> => DeleteGroupsResponse<'static>, DeleteGroups, 0..=2;
    delete_records::DeleteRecordsRequest<'_> => DeleteRecordsResponse<'static>, DeleteRecords, 0..=2;
    delete_topics::DeleteTopicsRequest<'_> => DeleteTopicsResponse<'static>, DeleteTopics, 1..=5;
    describe_client_quotas::DescribeClientQuotasRequest<'_> => DescribeClientQuotasResponse<'static>, DescribeClientQuotas, 0..=1;
    describe_configs::DescribeConfigsRequest<'_> => DescribeConfigsResponse<'static>, DescribeConfigs, 1..=4;
    describe_groups::DescribeGroupsRequest<'_> => DescribeGroupsResponse<'static>, DescribeGroups, 0..=5;
    describe_log_dirs::DescribeLogDirsRequest<'_> => DescribeLogDirsResponse<'static>, DescribeLogDirs, 0..=4;
    describe_producers::DescribeProducersRequest<'_> => DescribeProducersResponse<'static>, DescribeProducers, 0..=0;
    describe_topic_partitions::DescribeTopicPartitionsRequest<'_> => DescribeTopicPartitionsResponse<'static>, DescribeTopicPartitions, 0..=0;
    describe_transactions::DescribeTransactionsRequest<'_> => DescribeTransactionsResponse<'static>, DescribeTransactions, 0..=0;
    describe_user_scram_credentials::DescribeUserScramCredentialsRequest<'_> => DescribeUserScramCredentialsResponse<'static>, DescribeUserScramCredentials, 0..=0;
    fetch::FetchRequest<'_> => FetchResponse<'static>, Fetch, 4..=12;
    find_coordinator::FindCoordinatorRequest<'_> => FindCoordinatorResponse<'static>, FindCoordinator, 0..=3;
    heartbeat::HeartbeatRequest<'_> => HeartbeatResponse, Heartbeat, 0..=4;
    incremental_alter_configs::IncrementalAlterConfigsRequest<'_> => IncrementalAlterConfigsResponse<'static>, IncrementalAlterConfigs, 0..=1;
    init_producer_id::InitProducerIdRequest<'_> => InitProducerIdResponse, InitProducerId, 0..=4;
    join_group::JoinGroupRequest<'_> => JoinGroupResponse<'static>, JoinGroup, 1..=9;
    leave_group::LeaveGroupRequest<'_> => LeaveGroupResponse<'static>, LeaveGroup, 0..=2;
    list_client_metrics_resources::ListClientMetricsResourcesRequest => ListClientMetricsResourcesResponse<'static>, ListClientMetricsResources, 0..=0;
    list_groups::ListGroupsRequest<'_> => ListGroupsResponse<'static>, ListGroups, 0..=5;
    list_offsets::ListOffsetsRequest<'_> => ListOffsetsResponse<'static>, ListOffsets, 1..=9;
    list_partition_reassignments::ListPartitionReassignmentsRequest<'_> => ListPartitionReassignmentsResponse<'static>, ListPartitionReassignments, 0..=0;
    list_transactions::ListTransactionsRequest<'_> => ListTransactionsResponse<'static>, ListTransactions, 0..=1;
    metadata::MetadataRequest<'_> => MetadataResponse<'static>, Metadata, 1..=12;
    offset_commit::OffsetCommitRequest<'_> => OffsetCommitResponse<'static>, OffsetCommit, 2..=9;
    offset_delete::OffsetDeleteRequest<'_> => OffsetDeleteResponse<'static>, OffsetDelete, 0..=0;
    offset_fetch::OffsetFetchRequest<'_> => OffsetFetchResponse<'static>, OffsetFetch, 2..=7;
    produce::ProduceRequest<'_> => ProduceResponse<'static>, Produce, 3..=11, answered |request| request.acks != 0;
    sync_group::SyncGroupRequest<'_> => SyncGroupResponse<'static>, SyncGroup, 0..=5;
    write_txn_markers::WriteTxnMarkersRequest<'_> => WriteTxnMarkersResponse<'static>, WriteTxnMarkers, 0..=1;
}
