//! One Produce request: written as pieces around the shared records, and its answer read.

use protocol::api::ApiKey;
use protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use protocol::wire::Records;

use crate::Error;
use crate::batch_template::{BatchTemplate, ReadyBatch};
use crate::connection::{Connection, Piece};
use crate::frames;
use crate::produce::feed::Portion;
use crate::produce::load::Producer;

/// Records of a batch that are shorter than this are copied into the frame instead of being sent
/// from the template: a copy is cheaper than one more piece.
const COPY_BELOW_BYTES: usize = 4096;

/// How requests are written.
pub struct Wire {
    /// The topic.
    pub topic: String,
    /// -1, 0 or 1.
    pub acks: i16,
    /// How long the broker may wait for acks, in milliseconds.
    pub timeout_ms: i32,
    /// The version of Produce.
    pub version: i16,
    /// What answers are like.
    pub answers: Answers,
    /// Whether values begin with the time at which they ought to be sent.
    pub stamps: Stamps,
}

/// Whether answers say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// A broker's: every partition with its base offset.
    Full,
    /// A bare loop's: nothing but the correlation id.
    Bare,
}

/// Whether values carry a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// They are the template's.
    None,
    /// They begin with the intended time of the record.
    Intended,
}

/// What the broker says of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Which partition.
    pub partition: usize,
    /// 0, or why not.
    pub error_code: i16,
    /// The offset of the batch's first record.
    pub base_offset: i64,
}

impl Wire {
    /// Whether it is a bare loop that answers.
    pub fn is_raw(&self) -> bool {
        self.answers == Answers::Bare
    }
}

/// Queues a request on a connection; gives its size on the wire.
pub fn queue(
    connection: &mut Connection,
    wire: &Wire,
    template: &BatchTemplate,
    producer: &mut Producer,
    portions: &[Portion],
    correlation: i32,
) -> Result<usize, Error> {
    let Producer { feed, sender } = producer;
    let mut batches: Vec<ReadyBatch> = Vec::with_capacity(portions.len());
    for portion in portions {
        let (records, partition) = (portion.records, portion.partition);
        batches.push(match wire.stamps {
            Stamps::None => template.batch(records, sender, partition),
            Stamps::Intended => template.stamped_batch(records, sender, partition, |record| {
                let local = portion.first_local + record * portion.stride;
                feed.intended(local).unwrap_or_default()
            }),
        });
    }
    let partition_data =
        portions
            .iter()
            .zip(&batches)
            .enumerate()
            .map(|(token, (portion, batch))| {
                let (token, len) = (token as u64, batch.bytes() as u32);
                PartitionProduceData {
                    index: portion.partition as i32,
                    records: Some(Records::External { token, len }),
                }
            });
    let request = ProduceRequest {
        acks: wire.acks,
        timeout_ms: wire.timeout_ms,
        topic_data: vec![TopicProduceData {
            name: wire.topic.as_str().into(),
            partition_data: partition_data.collect(),
        }],
        ..ProduceRequest::default()
    };
    let version = wire.version;
    let frame = frames::write_request(ApiKey::Produce, version, correlation, |encoder| {
        request.encode(encoder, version)
    })?;
    let wire_bytes = frame.wire_len();
    let mut piece = Vec::with_capacity(frame.bytes.len() + 64 * batches.len() + COPY_BELOW_BYTES);
    let mut written = 0;
    for splice in &frame.splices {
        piece.extend_from_slice(&frame.bytes[written..splice.at]);
        written = splice.at;
        let batch = &batches[splice.token as usize];
        piece.extend_from_slice(&batch.header);
        if batch.records_bytes < COPY_BELOW_BYTES {
            piece.extend_from_slice(&batch.records[..batch.records_bytes]);
        } else {
            connection.queue(Piece::Owned(std::mem::take(&mut piece)));
            connection.queue(Piece::Shared(batch.records.clone(), 0..batch.records_bytes));
        }
    }
    piece.extend_from_slice(&frame.bytes[written..]);
    connection.queue(Piece::Owned(piece));
    Ok(wire_bytes)
}

/// Reads the answer to the request `correlation` into `answers`, which is cleared.
pub fn read_answer(
    frame: &[u8],
    wire: &Wire,
    correlation: i32,
    answers: &mut Vec<Answer>,
) -> Result<(), Error> {
    answers.clear();
    let version = wire.version;
    frames::read_answer(frame, ApiKey::Produce, version, correlation, |decoder| {
        if wire.answers == Answers::Bare {
            return Ok(());
        }
        let response = ProduceResponse::decode(decoder, version)?;
        for partition in response
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
        {
            answers.push(Answer {
                partition: partition.index as usize,
                error_code: partition.error_code,
                base_offset: partition.base_offset,
            });
        }
        Ok(())
    })
}
