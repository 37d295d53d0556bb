//! ListClientMetricsResources: the names of the subscriptions to client metrics (KIP-714). Nothing
//! here takes metrics from clients: as Kafka without a telemetry receiver, this node does not
//! advertise the requests that bring them.

use std::borrow::Cow;
use std::rc::Rc;

use controller::image::ResourceType;
use protocol::messages::list_client_metrics_resources::{
    ClientMetricsResource, ListClientMetricsResourcesRequest, ListClientMetricsResourcesResponse,
};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers a ListClientMetricsResources request.
pub async fn list_client_metrics_resources(shard: Rc<Shard>, request: Request) -> Outcome {
    if let Err(outcome) = request.body(ListClientMetricsResourcesRequest::decode) {
        return outcome;
    }
    let image = shard.image();
    let names = image.resources_with_overrides(ResourceType::ClientMetrics);
    let response = ListClientMetricsResourcesResponse {
        client_metrics_resources: names
            .map(|name| ClientMetricsResource {
                name: Cow::Borrowed(name),
            })
            .collect(),
        ..Default::default()
    };
    request.reply(&response, ListClientMetricsResourcesResponse::encode)
}
