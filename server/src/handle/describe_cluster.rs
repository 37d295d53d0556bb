//! DescribeCluster: the cluster's id, its brokers and its controller (KIP-700).

use std::borrow::Cow;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use crate::authorized_operations;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// The kind of endpoint a request asks for: brokers, not controllers (KIP-919).
const BROKERS: i8 = 1;

/// Answers a DescribeCluster request.
pub async fn describe_cluster(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeClusterRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    if body.endpoint_type != BROKERS {
        let response = DescribeClusterResponse {
            error_code: match body.endpoint_type {
                2 => ErrorCode::MismatchedEndpointType.code(),
                _ => ErrorCode::UnsupportedEndpointType.code(),
            },
            error_message: Some(Cow::Borrowed(
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
            )),
            ..Default::default()
        };
        return request.reply(&response, DescribeClusterResponse::encode);
    }
    let image = shard.image();
    let brokers = shard.node.brokers_for(&image, request.listener);
    let response = DescribeClusterResponse {
        endpoint_type: body.endpoint_type,
        cluster_id: Cow::Borrowed(image.cluster_id()),
        controller_id: shard.node.broker_id.0,
        brokers: brokers
            .iter()
            .map(|broker| DescribeClusterBroker {
                broker_id: broker.id.0,
                host: Cow::Borrowed(&broker.host),
                port: i32::from(broker.port),
                rack: broker.rack.as_deref().map(Cow::Borrowed),
            })
            .collect(),
        cluster_authorized_operations: match body.include_cluster_authorized_operations {
            true => authorized_operations::CLUSTER,
            false => authorized_operations::NOT_ASKED,
        },
        ..Default::default()
    };
    request.reply(&response, DescribeClusterResponse::encode)
}
