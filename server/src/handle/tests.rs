//! Shows: docs/compatibility.md says of every API of Kafka 3.9 what this node answers and which test
//! shows it.
//!
//! The document is made from the API table, the handlers' table and the lists below. With
//! `CHIPLOG_WRITE_DOCS=1` the test writes it; otherwise it fails when the document is another.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protocol::api::{API_TABLE, ApiKey, ApiSpec};

use super::of;

/// The end-to-end tests that show an API at work: file, then function.
const SHOWN_BY: &[(ApiKey, &[&str])] = &[
    (
        ApiKey::Produce,
        &[
            "round_trip::real_file_round_trips_uncompressed",
            "record_formats::every_format_is_taken_and_given_as_kafka_does",
            "round_trip::every_level_of_acks_delivers",
        ],
    ),
    (
        ApiKey::Fetch,
        &[
            "round_trip::real_file_round_trips_uncompressed",
            "record_formats::old_clients_write_and_read",
            "waiting::a_fetch_waits_for_its_minimum_of_bytes",
        ],
    ),
    (
        ApiKey::ListOffsets,
        &[
            "round_trip::offsets_are_found_by_timestamp_and_read_from",
            "fresh_topics::the_first_version_of_list_offsets_tells_where_segments_begin",
            "topics::kafka_get_offsets_tells_the_ends_of_each_partition",
        ],
    ),
    (
        ApiKey::Metadata,
        &[
            "topics::kafka_topics_creates_lists_describes_alters_and_deletes",
            "answers::topics_are_created_on_demand_only_if_allowed",
        ],
    ),
    (
        ApiKey::OffsetCommit,
        &[
            "groups::offsets_committed_without_membership_survive",
            "groups::a_member_goes_on_where_it_left_off",
        ],
    ),
    (
        ApiKey::OffsetFetch,
        &[
            "groups::offsets_committed_without_membership_survive",
            "group_tools::a_group_is_listed_described_and_deleted",
        ],
    ),
    (
        ApiKey::FindCoordinator,
        &["answers::the_coordinator_is_found_and_its_topic_made"],
    ),
    (
        ApiKey::JoinGroup,
        &["groups::a_member_goes_on_where_it_left_off"],
    ),
    (
        ApiKey::Heartbeat,
        &["groups::a_group_that_consumes_goes_on_through_kills_and_restarts"],
    ),
    (
        ApiKey::LeaveGroup,
        &["groups::a_member_goes_on_where_it_left_off"],
    ),
    (
        ApiKey::SyncGroup,
        &["groups::a_member_goes_on_where_it_left_off"],
    ),
    (
        ApiKey::DescribeGroups,
        &["group_tools::a_group_is_listed_described_and_deleted"],
    ),
    (
        ApiKey::ListGroups,
        &["group_tools::a_group_is_listed_described_and_deleted"],
    ),
    (
        ApiKey::DeleteGroups,
        &["group_tools::a_group_is_listed_described_and_deleted"],
    ),
    (
        ApiKey::OffsetDelete,
        &["group_tools::a_group_is_listed_described_and_deleted"],
    ),
    (
        ApiKey::TxnOffsetCommit,
        &["transactions::offsets_are_committed_with_their_transaction_or_not_at_all"],
    ),
    (
        ApiKey::ApiVersions,
        &[
            "topics::kafka_broker_api_versions_sees_the_ranges_of_kafka_3_9",
            "hostile_input::an_unknown_version_of_api_versions_is_answered_in_version_0",
        ],
    ),
    (
        ApiKey::CreateTopics,
        &[
            "topics::kafka_topics_creates_lists_describes_alters_and_deletes",
            "fresh_topics::a_topic_takes_records_as_soon_as_any_connection_knows_it",
        ],
    ),
    (
        ApiKey::DeleteTopics,
        &[
            "topics::kafka_topics_creates_lists_describes_alters_and_deletes",
            "metadata_survives::acknowledged_topics_survive_kill_9_and_deleted_ones_stay_deleted",
        ],
    ),
    (
        ApiKey::DeleteRecords,
        &[
            "administration::records_are_deleted_up_to_an_offset",
            "retention::records_are_deleted_up_to_an_offset",
        ],
    ),
    (
        ApiKey::InitProducerId,
        &[
            "idempotence::producer_ids_are_never_given_twice",
            "transactions::a_producer_that_takes_over_fences_the_one_before",
        ],
    ),
    (
        ApiKey::OffsetForLeaderEpoch,
        &["answers::the_end_of_a_leader_epoch_is_known"],
    ),
    (
        ApiKey::AddPartitionsToTxn,
        &[
            "transactions::committed_records_are_seen_in_order_and_aborted_ones_never",
            "transaction_tools::a_batch_of_an_unknown_transaction_is_refused",
        ],
    ),
    (
        ApiKey::AddOffsetsToTxn,
        &["transactions::offsets_are_committed_with_their_transaction_or_not_at_all"],
    ),
    (
        ApiKey::EndTxn,
        &["transactions::committed_records_are_seen_in_order_and_aborted_ones_never"],
    ),
    (
        ApiKey::WriteTxnMarkers,
        &["transaction_tools::a_hanging_transaction_is_found_and_aborted"],
    ),
    (
        ApiKey::DescribeConfigs,
        &[
            "topics::kafka_configs_describes_a_topic",
            "configs::broker_settings_change_while_the_node_runs_and_outlive_it",
        ],
    ),
    (
        ApiKey::AlterConfigs,
        &["retention::alter_configs_replaces_all_overrides"],
    ),
    (
        ApiKey::IncrementalAlterConfigs,
        &[
            "retention::a_changed_retention_takes_effect_without_a_restart",
            "configs::broker_settings_change_while_the_node_runs_and_outlive_it",
        ],
    ),
    (
        ApiKey::AlterReplicaLogDirs,
        &[
            "moves::a_move_goes_on_after_a_kill_and_a_stop",
            "moves::a_log_moves_to_and_fro_while_it_is_written_and_read",
        ],
    ),
    (
        ApiKey::DescribeLogDirs,
        &["administration::log_directories_are_described_with_their_replicas"],
    ),
    (
        ApiKey::CreatePartitions,
        &["topics::kafka_topics_creates_lists_describes_alters_and_deletes"],
    ),
    (
        ApiKey::ElectLeaders,
        &["administration::elections_that_are_not_needed_or_not_possible_are_told_so"],
    ),
    (
        ApiKey::AlterPartitionReassignments,
        &["administration::reassignments_on_one_node_end_at_once_and_bad_ones_are_refused"],
    ),
    (
        ApiKey::ListPartitionReassignments,
        &["administration::reassignments_on_one_node_end_at_once_and_bad_ones_are_refused"],
    ),
    (
        ApiKey::DescribeClientQuotas,
        &["administration::client_quotas_are_set_described_and_outlive_the_node"],
    ),
    (
        ApiKey::AlterClientQuotas,
        &["administration::client_quotas_are_set_described_and_outlive_the_node"],
    ),
    (
        ApiKey::DescribeUserScramCredentials,
        &["security::scram_credentials_are_set_described_and_outlive_the_node"],
    ),
    (
        ApiKey::AlterUserScramCredentials,
        &["security::scram_credentials_are_set_described_and_outlive_the_node"],
    ),
    (
        ApiKey::SaslHandshake,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::SaslAuthenticate,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::DescribeAcls,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::CreateAcls,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::DeleteAcls,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::CreateDelegationToken,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::RenewDelegationToken,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::ExpireDelegationToken,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::DescribeDelegationToken,
        &["security::what_is_off_is_answered_as_kafka_answers_it"],
    ),
    (
        ApiKey::ListClientMetricsResources,
        &["configs::subscriptions_to_client_metrics_are_kept_listed_and_deleted"],
    ),
    (
        ApiKey::RemoveRaftVoter,
        &["security::the_quorums_voter_is_neither_removed_nor_given_company"],
    ),
    (
        ApiKey::DescribeQuorum,
        &["administration::the_quorum_is_described"],
    ),
    (
        ApiKey::UpdateFeatures,
        &["administration::features_are_described_lowered_and_raised_as_far_as_nothing_is_lost"],
    ),
    (
        ApiKey::DescribeCluster,
        &["java_clients::java_admin_manages_topics_partitions_and_configs"],
    ),
    (
        ApiKey::DescribeProducers,
        &["transaction_tools::a_hanging_transaction_is_found_and_aborted"],
    ),
    (
        ApiKey::DescribeTransactions,
        &["transaction_tools::kafka_transactions_lists_and_describes"],
    ),
    (
        ApiKey::ListTransactions,
        &["transaction_tools::kafka_transactions_lists_and_describes"],
    ),
    (
        ApiKey::DescribeTopicPartitions,
        &["topics::kafka_topics_creates_lists_describes_alters_and_deletes"],
    ),
];

/// What is served and has no end-to-end test, with the reason.
const NOT_SHOWN: &[(ApiKey, &str)] = &[
    (
        ApiKey::ConsumerGroupHeartbeat,
        "answers UNSUPPORTED_VERSION, as a broker of Kafka 3.9 with its default settings",
    ),
    (
        ApiKey::ConsumerGroupDescribe,
        "answers UNSUPPORTED_VERSION, as a broker of Kafka 3.9 with its default settings",
    ),
    (
        ApiKey::AddRaftVoter,
        "refused as RemoveRaftVoter is: a quorum of one with its voter in the settings",
    ),
    (
        ApiKey::UnregisterBroker,
        "the decision has unit tests; a single node can only refuse",
    ),
];

/// What is not served, with the reason. Such a request closes its connection, as Kafka does where
/// an API is not enabled.
const NOT_SERVED: &[(&[ApiKey], &str)] = &[
    (
        &[
            ApiKey::LeaderAndIsr,
            ApiKey::StopReplica,
            ApiKey::UpdateMetadata,
            ApiKey::ControlledShutdown,
            ApiKey::AlterPartition,
            ApiKey::AllocateProducerIds,
        ],
        "between brokers and the controller of a cluster: not yet",
    ),
    (
        &[
            ApiKey::Envelope,
            ApiKey::BrokerRegistration,
            ApiKey::BrokerHeartbeat,
            ApiKey::ControllerRegistration,
            ApiKey::AssignReplicasToDirs,
            ApiKey::Vote,
            ApiKey::BeginQuorumEpoch,
            ApiKey::EndQuorumEpoch,
            ApiKey::FetchSnapshot,
            ApiKey::UpdateRaftVoter,
        ],
        "between nodes of a KRaft quorum: this node is a quorum of one",
    ),
    (
        &[ApiKey::GetTelemetrySubscriptions, ApiKey::PushTelemetry],
        "client metrics (KIP-714) want a receiver, and Kafka does not advertise them without one either",
    ),
    (
        &[
            ApiKey::ShareGroupHeartbeat,
            ApiKey::ShareGroupDescribe,
            ApiKey::ShareFetch,
            ApiKey::ShareAcknowledge,
            ApiKey::InitializeShareGroupState,
            ApiKey::ReadShareGroupState,
            ApiKey::WriteShareGroupState,
            ApiKey::DeleteShareGroupState,
            ApiKey::ReadShareGroupStateSummary,
        ],
        "share groups (KIP-932) are not enabled in Kafka 3.9 either",
    ),
];

const HEAD: &str = "# Compatibility with Kafka 3.9

Made from the API table by a test of `server/src/handle`; `CHIPLOG_WRITE_DOCS=1 cargo test -p
chiplog-server the_document_says` writes it anew. *Kafka 3.9* is what a broker with ZooKeeper advertises;
(KRaft) marks APIs that only brokers or controllers of KRaft serve. A standalone node advertises exactly
what a single KRaft node of Kafka 3.9.1 does (`topics::kafka_broker_api_versions_sees_the_ranges_of_kafka_3_9`).
An API that is served is served in all of these versions. The tests named are in `tests/end_to_end/`; besides, every version of every
message is encoded and decoded against an independent codec (`protocol/tests`), and `cargo xtask
clients` runs clients in Python, JavaScript, Go and Java, Kafka Streams and Kafka Connect.

| key | API | Kafka 3.9 | chiplog | shown by |
|---|---|---|---|---|
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shown_by(api: ApiKey) -> Option<String> {
    let tests = SHOWN_BY.iter().find(|(key, _)| *key == api)?.1;
    for test in tests {
        let (file, function) = test.split_once("::").expect("a file and a function");
        let path = root().join("tests/end_to_end").join(format!("{file}.rs"));
        let source = fs::read_to_string(&path).expect("a file of tests");
        let head = format!("#[test]\nfn {function}(");
        assert!(
            source.contains(&head),
            "{} has no test {function}",
            path.display()
        );
    }
    Some(format!("`{}`", tests.join("`, `")))
}

fn row(spec: &ApiSpec) -> String {
    let api = spec.key;
    let versions = format!("{} to {}", spec.version_min, spec.version_max);
    let of_kafka = match spec.on_zookeeper_broker {
        true => versions.clone(),
        false => format!("{versions} (KRaft)"),
    };
    let shown = shown_by(api);
    let not_shown = NOT_SHOWN.iter().find(|(key, _)| *key == api).map(|it| it.1);
    let not_served = NOT_SERVED
        .iter()
        .find(|(keys, _)| keys.contains(&api))
        .map(|it| it.1);
    let (here, tests) = match (of(api).is_some(), shown, not_shown, not_served) {
        (true, Some(tests), None, None) => (versions, tests),
        (true, None, Some(why), None) => (versions, why.to_owned()),
        (false, None, None, Some(why)) => ("no".to_owned(), why.to_owned()),
        (served, ..) => panic!(
            "{}: served: {served}; it wants one line in one list",
            spec.name
        ),
    };
    format!(
        "| {} | {} | {of_kafka} | {here} | {tests} |",
        api as i16, spec.name
    )
}

#[test]
fn the_document_says_what_is_served_and_what_shows_it() {
    let mut document = HEAD.to_owned();
    for spec in &API_TABLE {
        writeln!(document, "{}", row(spec)).expect("a string takes everything");
    }
    let path = root().join("docs/compatibility.md");
    if env::var_os("CHIPLOG_WRITE_DOCS").is_some() {
        fs::write(&path, &document).expect("the document can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == document,
        "{} is not what the tables say; CHIPLOG_WRITE_DOCS=1 writes it",
        path.display()
    );
}
