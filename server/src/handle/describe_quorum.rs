//! DescribeQuorum: the quorum that keeps the metadata, which is this node (KIP-595, 642, 853).

use std::borrow::Cow;
use std::rc::Rc;

use controller::topic_name;
use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset};
use protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};

use crate::clock;
use crate::mail::{Done, Question};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

/// Versions from this one tell the voters' addresses and directories (KIP-853).
const NODES_SINCE: i16 = 2;

/// Asks how far the metadata log is: the leader's epoch and the log's end.
struct MetadataEnd;

impl Question for MetadataEnd {
    type Answer = Option<(LeaderEpoch, Offset)>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        done.put(shard.metadata.as_ref().and_then(|log| log.end_of_log()));
    }
}

/// Answers a DescribeQuorum request.
pub async fn describe_quorum(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeQuorumRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let is_valid = matches!(&body.topics[..], [topic]
        if topic.topic_name == topic_name::CLUSTER_METADATA
            && matches!(&topic.partitions[..], [part] if part.partition_index == 0));
    if !is_valid {
        let topics = body.topics.iter().map(|topic| ResponseTopicData {
            topic_name: topic.topic_name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|part| ResponsePartitionData {
                    partition_index: part.partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                    ..Default::default()
                })
                .collect(),
        });
        let response = DescribeQuorumResponse {
            topics: topics.collect(),
            ..Default::default()
        };
        return request.reply(&response, DescribeQuorumResponse::encode);
    }
    let end = shard.ask(METADATA_SHARD, MetadataEnd).await;
    let has_nodes = request.version() >= NODES_SINCE;
    let response = DescribeQuorumResponse {
        topics: vec![ResponseTopicData {
            topic_name: Cow::Borrowed(topic_name::CLUSTER_METADATA),
            partitions: vec![partition(&shard, end, request.version())],
        }],
        nodes: match has_nodes {
            true => vec![node(&shard)],
            false => Vec::new(),
        },
        ..Default::default()
    };
    request.reply(&response, DescribeQuorumResponse::encode)
}

fn partition(
    shard: &Shard,
    end: Option<(LeaderEpoch, Offset)>,
    version: i16,
) -> ResponsePartitionData<'static> {
    let Some((epoch, end)) = end else {
        return ResponsePartitionData {
            error_code: ErrorCode::NotLeaderOrFollower.code(),
            ..Default::default()
        };
    };
    let me = shard.node.broker_id.0;
    let now = if version == 0 { -1 } else { clock::now_ms().0 };
    ResponsePartitionData {
        leader_id: me,
        leader_epoch: epoch.0,
        // Each record is on disk, on the only voter, before it is applied.
        high_watermark: end.0,
        current_voters: vec![ReplicaState {
            replica_id: me,
            log_end_offset: end.0,
            last_fetch_timestamp: now,
            last_caught_up_timestamp: now,
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn node(shard: &Shard) -> Node<'_> {
    let listeners = shard.config.advertised_listeners.iter();
    let listeners = listeners.map(|listener| Listener {
        name: Cow::Borrowed(&listener.name),
        host: Cow::Borrowed(&listener.host),
        port: listener.port,
    });
    Node {
        node_id: shard.node.broker_id.0,
        listeners: listeners.collect(),
    }
}
