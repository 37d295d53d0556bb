//! Kafka's error codes, as of 3.9: the number on the wire, Kafka's name, and a short message.
//!
//! A cause becomes a code in the server, in one place; this file only knows the codes.

use std::fmt;

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $name:literal, $message:literal;)*) => {
        /// An error code of the protocol. The wire carries [`ErrorCode::code`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $name, "`: ", $message, ".")] $variant = $code,)*
        }

        impl ErrorCode {
            /// Every code there is, in order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code that stands for this number on the wire, if 3.9 has it.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<ErrorCode> {
                match code {
                    $($code => Some(ErrorCode::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name, as in its logs and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                }
            }

            /// What it means in a few words, for responses that carry a message and have no
            /// better one.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $message,)*
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", "the server failed in an unforeseen way";
    None = 0, "NONE", "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", "the offset is outside what the log holds";
    CorruptMessage = 2, "CORRUPT_MESSAGE", "the record data is damaged: wrong CRC, size, or no key on a compacted topic";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", "this server does not host the partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", "the fetch size is invalid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", "this broker is not the leader, or not a replica, of the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", "the request timed out";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", "the replica is not available on this broker";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", "a record batch is larger than the server accepts";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", "another broker is the controller now";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", "the metadata of a committed offset is too large";
    NetworkException = 13, "NETWORK_EXCEPTION", "the connection ended before an answer came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", "the coordinator is still loading its state";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", "this broker is not the coordinator asked for";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", "the topic name is invalid, or the topic may not be used so";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", "the record batch does not fit in a log segment";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", "fewer replicas are in sync than required; nothing was written";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "written, but to fewer in-sync replicas than required";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", "acks must be -1, 0 or 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", "the group is at another generation";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", "no assignment protocol suits all members, or the protocol type differs";
    InvalidGroupId = 24, "INVALID_GROUP_ID", "the group id is invalid";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", "the coordinator does not know this member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", "the session timeout is outside what the broker allows";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", "the group is rebalancing; join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", "the committed offset data is too large";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", "not authorized for the topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", "not authorized for the group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", "not authorized for the cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", "a record's timestamp is out of the allowed range";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", "the SASL mechanism is not supported";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", "the request does not fit the state of the SASL exchange";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", "the version of the API is not supported";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", "a topic of this name exists";
    InvalidPartitions = 37, "INVALID_PARTITIONS", "the number of partitions is invalid";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", "the replication factor is below 1 or above the number of brokers";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", "the replica assignment is invalid";
    InvalidConfig = 40, "INVALID_CONFIG", "the configuration is invalid";
    NotController = 41, "NOT_CONTROLLER", "this broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", "the request is malformed or does not make sense";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", "the topic's message format does not support the request";
    PolicyViolation = 44, "POLICY_VIOLATION", "a configured policy forbids the request";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "the producer's sequence number is not the next one";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", "the producer's sequence number was seen before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", "the producer's epoch is out of date";
    InvalidTxnState = 48, "INVALID_TXN_STATE", "the transaction is in another state";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", "the transactional id belongs to another producer id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", "the transaction timeout is above transaction.max.timeout.ms";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", "another change of the same transaction is under way";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", "a newer transaction coordinator has taken over";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "not authorized for the transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", "no authorizer is configured";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", "the operation was not tried because another of the same request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", "the disk failed while its log was used";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", "the log directory is not one of the broker's";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", "SASL authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", "the broker holds no state of this producer";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", "the partition is being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", "delegation tokens are not enabled";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", "no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", "the principal is neither owner nor renewer of the token";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "token requests are not allowed on this kind of connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "not authorized for the delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", "the type of principal is not supported";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", "the group has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", "no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", "no such fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", "the fetch session is at another epoch";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", "the leader has no listener like the one asked on";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", "topics cannot be deleted: delete.topic.enable is false";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", "the request's leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", "the request's leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", "the client does not support the partition's compression";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", "the broker has registered again since";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", "the new leader's high watermark has not caught up yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", "join again with the member id given here";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", "the group is full";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", "another member has taken over this group.instance.id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", "no replica may become leader";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", "the partition needs no election";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", "the partition is not being reassigned";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", "the group is subscribed to the topic, so its offsets stay";
    InvalidRecord = 87, "INVALID_RECORD", "a record was refused by validation";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", "a transaction that commits these offsets is still open";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", "a quota is used up";
    ProducerFenced = 90, "PRODUCER_FENCED", "a newer producer has the same transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", "the request names a resource that does not exist";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", "the request names a resource twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", "the credential is not acceptable";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", "sender or receiver is not one of the expected voters";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", "the version of the update is invalid";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", "the features could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", "the principal of a forwarded request cannot be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", "no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", "the position lies outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", "this server does not host a topic of this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", "the broker id is in use";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", "the broker id is not registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", "the log belongs to another topic id";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", "the server belongs to another cluster";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", "no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", "the fetch session used topic ids before, or did not";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", "the new ISR holds a replica that may not be in it";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", "the change was made and gave the partition another leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", "the offset has moved to tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", "the member is fenced: give up all partitions and join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", "another member still holds the instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", "the group does not support the assignor or its version";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", "the member's epoch is out of date; wait for the next heartbeat";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", "the endpoint is of another type";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", "the endpoint type is not supported";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", "no such controller";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", "the telemetry subscription is unknown or out of date";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", "the telemetry is larger than the broker accepts";
    InvalidRegistration = 119, "INVALID_REGISTRATION", "the controller refused the broker's registration";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", "the transaction failed; abort it to go on with the same id";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", "the record cannot be acknowledged in its state";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", "no such share session";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", "the share session is at another epoch";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", "the share group's state is at another epoch";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", "the voter's key is not the receiver's";
    DuplicateVoter = 126, "DUPLICATE_VOTER", "the voter is in the set already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", "the voter is not in the set";
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether this is [`ErrorCode::None`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        matches!(self, ErrorCode::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn codes_run_from_minus_one_without_a_gap() {
        for (index, &error) in ErrorCode::ALL.iter().enumerate() {
            let code = i16::try_from(index).unwrap() - 1;
            assert_eq!(error.code(), code);
            assert_eq!(ErrorCode::from_code(code), Some(error));
        }
        assert_eq!(ErrorCode::ALL.len(), 129);
        assert_eq!(ErrorCode::from_code(128), None);
        assert_eq!(
            ErrorCode::NotLeaderOrFollower.name(),
            "NOT_LEADER_OR_FOLLOWER"
        );
    }
}
