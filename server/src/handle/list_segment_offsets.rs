//! ListOffsets version 0: where the segments begin that are old enough, several of them. Clients
//! before 0.10.1 know no other way to find an offset.

use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::Offset;
use protocol::messages::list_offsets::in_frame::{ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use protocol::wire::Encoder;

use super::list_offsets::{Twice, target};
use super::walk::{Step, Walk};
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::scatter::Scatter;
use crate::segment_offsets::{SegmentsPart, SegmentsQuestion};
use crate::shard::Shard;

type Found = Result<Vec<Offset>, ErrorCode>;

/// Answers a ListOffsets request of version 0. What it names `twice` is refused: answered each time,
/// it would make the answer larger than any multiple of the request.
pub async fn list_segment_offsets(
    shard: Rc<Shard>,
    request: &Request,
    body: &ListOffsetsRequest<'_>,
    twice: &Twice,
) -> Outcome {
    let image = shard.image();
    let mut encoder = request.begin_reply();
    let response = ListOffsetsResponse::default();
    response.begin(&mut encoder, 0, body.topics.len());
    let walk = Walk::new(&body.topics, |topic| topic.partitions);
    let (mut known, mut place) = (None, 0);
    walk.ask(
        &shard,
        |step, scatter: &mut Scatter<_, _>| match step {
            Step::Topic(topic) => known = image.topic(&topic.name),
            Step::End => {}
            Step::Part(part) => {
                let is_twice = twice.contains(place);
                place += 1;
                match target(known, &part, 0, is_twice) {
                    Err(error) => scatter.answered(Err(error)),
                    Ok((key, query)) => {
                        let count_max = usize::try_from(part.max_num_offsets).unwrap_or(0);
                        let part = SegmentsPart {
                            key,
                            query,
                            count_max,
                        };
                        scatter.ask(shard.owner(&key), part);
                    }
                }
            }
        },
        |parts| SegmentsQuestion { parts },
        |step| write(step, &mut encoder),
    )
    .await;
    response.end_topics(&mut encoder, 0);
    request.finish_reply(encoder)
}

fn write(step: Step<ListOffsetsTopic<'_>, (ListOffsetsPartition, Found)>, encoder: &mut Encoder) {
    match step {
        Step::Topic(topic) => {
            let response = ListOffsetsTopicResponse {
                name: topic.name,
                ..Default::default()
            };
            response.begin_partitions(encoder, 0, topic.partitions.len());
        }
        Step::Part((part, found)) => {
            let error = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
            let offsets = found.unwrap_or_default().into_iter();
            let answer = ListOffsetsPartitionResponse {
                partition_index: part.partition_index,
                error_code: error.code(),
                old_style_offsets: offsets.map(|offset| offset.0).collect(),
                ..Default::default()
            };
            answer.write(encoder, 0);
        }
        Step::End => ListOffsetsTopicResponse::default().end_partitions(encoder, 0),
    }
}
