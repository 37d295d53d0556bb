//! From a frame to its handler: the header is read, key and version are checked before anything
//! else of the request is touched.
//!
//! What Kafka answers with a closed connection closes it here too: an unknown or disabled API, an
//! unsupported version (but for ApiVersions), a header that does not decode.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::messages::header::RequestHeader;
use protocol::wire::Decoder;
use ring::event::{First, Giver, first_of};

use crate::connection::Connection;
use crate::handle;
use crate::reply_queue::{Outcome, Slot};
use crate::request::{self, Request};
use crate::room::Place;
use crate::shard::Shard;

/// Frames below this are not worth a look at what their answers may take.
const WEIGHED_BYTES_MIN: usize = 16 * 1024;
/// What serving and answering one element of a request's arrays takes at most, but for long texts.
const BYTES_PER_ELEMENT: usize = 128;
/// What a frame takes that is decoded whole, for each of its bytes, if these are its smallest
/// elements, strings of no bytes.
const BYTES_PER_BYTE_DECODED: usize = 240;

/// What a request takes in memory beyond its frame, estimated from the number of its elements. 0 if
/// that is little, or the frame is not a request.
pub fn weight_bytes(frame: &Bytes) -> usize {
    if frame.len() < WEIGHED_BYTES_MIN {
        return 0;
    }
    let Ok((api, version, _)) = api_of(frame) else {
        return 0;
    };
    let mut decoder = Decoder::new(frame);
    let header_version = api.spec().request_header_version(version);
    if RequestHeader::decode(&mut decoder, header_version).is_err() {
        return 0;
    }
    match handle::count_elements(api, decoder, version) {
        Some(elements) => elements.saturating_mul(BYTES_PER_ELEMENT),
        None => (frame.len() * BYTES_PER_BYTE_DECODED).min(request::budget_bytes(frame.len())),
    }
}

/// How a request stands to the others of its connection. Kafka serves them one after another; here
/// they overlap, but for what a client could notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// It may overlap with all others.
    Free,
    /// It appends to logs. Others that do need not wait for it.
    Appends,
    /// The same, but the next request begins when this one says so. A produce request of a
    /// transaction may have to be verified first, and the producer's next request must not overtake
    /// it meanwhile: its sequence numbers would be out of order, which the producer takes as a loss of
    /// records.
    AppendsAndHoldsNext,
    /// It changes what a request that [`Order::Reads`] tells of.
    Changes,
    /// It begins when all requests before it that change something are answered: a consumer that
    /// commits and asks at once what is committed is told of its commit.
    Reads,
    /// It begins when those that append something are answered, too: it tells of logs.
    ReadsLogs,
    /// It begins as those do, and changes what they tell.
    ChangesLogs,
}

/// How the request in a frame stands to the others.
pub fn order_of(frame: &Bytes) -> Order {
    let Ok((api, version, _)) = api_of(frame) else {
        return Order::Free;
    };
    match api {
        ApiKey::Produce if is_transactional_produce(frame, version) => Order::AppendsAndHoldsNext,
        ApiKey::Produce => Order::Appends,
        ApiKey::OffsetCommit
        | ApiKey::TxnOffsetCommit
        | ApiKey::OffsetDelete
        | ApiKey::LeaveGroup
        | ApiKey::DeleteGroups
        | ApiKey::EndTxn
        | ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::CreatePartitions
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs => Order::Changes,
        ApiKey::OffsetFetch
        | ApiKey::ListGroups
        | ApiKey::DescribeGroups
        | ApiKey::ListTransactions
        | ApiKey::DescribeTransactions
        | ApiKey::Metadata
        | ApiKey::DescribeTopicPartitions
        | ApiKey::DescribeConfigs => Order::Reads,
        ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::OffsetForLeaderEpoch
        | ApiKey::DescribeProducers
        | ApiKey::DescribeLogDirs => Order::ReadsLogs,
        ApiKey::DeleteRecords => Order::ChangesLogs,
        _ => Order::Free,
    }
}

fn is_transactional_produce(frame: &Bytes, version: i16) -> bool {
    let mut decoder = Decoder::new(frame);
    let header_version = ApiKey::Produce.spec().request_header_version(version);
    if RequestHeader::decode(&mut decoder, header_version).is_err() {
        return false;
    }
    let body = &frame[frame.len() - decoder.remaining()..];
    // The body begins with the transactional id, which is null for other producers.
    match version {
        ..3 => false,
        3..9 => body.first().is_some_and(|length| *length != 0xff),
        9.. => body.first().is_some_and(|length| *length != 0),
    }
}

/// What a request was let in with.
#[derive(Default)]
pub struct Admission {
    /// Its place among the large requests.
    pub place: Option<Place>,
    /// Given, or dropped, when the connection's next request may begin, if that waits.
    pub next: Option<Giver<()>>,
}

/// Begins to serve a frame; its outcome will be in `slot`.
pub fn begin(
    shard: &Rc<Shard>,
    connection: &Rc<Connection>,
    frame: Bytes,
    admission: Admission,
    slot: Slot,
) {
    match parse(frame, admission, connection) {
        Err(reason) => slot.fill(Outcome::Close(reason)),
        Ok((request, handler)) => {
            let may_wait_long = matches!(
                request.api,
                ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup
            );
            let outcome = handler(shard.clone(), request);
            if may_wait_long {
                let connection = connection.clone();
                ring::spawn(async move {
                    if let First::A(outcome) = first_of(outcome, connection.ended.wait()).await {
                        slot.fill(outcome);
                    }
                });
            } else {
                ring::spawn(async move { slot.fill(outcome.await) });
            }
        }
    }
}

/// The API of a frame, its version, and its handler.
fn api_of(frame: &Bytes) -> Result<(ApiKey, i16, handle::Handler), String> {
    let &[key_high, key_low, version_high, version_low] = frame
        .first_chunk()
        .ok_or_else(|| format!("a request of {} bytes has no header", frame.len()))?;
    let key = i16::from_be_bytes([key_high, key_low]);
    let version = i16::from_be_bytes([version_high, version_low]);
    let api = ApiKey::from_code(key).ok_or_else(|| format!("unknown API key {key}"))?;
    let mut handler =
        handle::of(api).ok_or_else(|| format!("API key {key} ({api:?}) is not enabled"))?;
    if !api.spec().has_version(version) {
        if api != ApiKey::ApiVersions {
            return Err(format!("{api:?} version {version} is not supported"));
        }
        handler = handle::api_versions_unsupported;
    }
    Ok((api, version, handler))
}

fn parse(
    frame: Bytes,
    admission: Admission,
    connection: &Connection,
) -> Result<(Request, handle::Handler), String> {
    let (api, version, handler) = api_of(&frame)?;
    let mut decoder = Decoder::new(&frame);
    let header = RequestHeader::decode(&mut decoder, api.spec().request_header_version(version))
        .map_err(|error| format!("the header of {api:?} does not decode: {error}"))?;
    let body_at = frame.len() - decoder.remaining();
    let request = Request {
        body_at,
        api,
        api_version: version,
        correlation_id: header.correlation_id,
        peer: connection.peer,
        listener: connection.listener,
        frame: frame.clone(),
        place: Cell::new(admission.place),
        next: Cell::new(admission.next),
    };
    Ok((request, handler))
}
