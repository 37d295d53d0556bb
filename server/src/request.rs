//! One request: its frame, its header, and how its reply is put together.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::SocketAddr;

use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::messages::header::{RequestHeader, ResponseHeader};
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoded, Encoder};
use ring::buffer::Charge;
use ring::event::Giver;
use ring::net::Piece;

use crate::frame::SIZE_PREFIX_BYTES;
use crate::reply_queue::Outcome;
use crate::room::{HEAVY_BYTES, Place};
use crate::shard::Shard;

/// Texts of errors are in a reply while it is shorter than this and so many times the frame.
const TEXTS_BASE_BYTES: usize = 1024 * 1024;
const TEXTS_PER_FRAME_BYTE: usize = 4;
/// Most replies but those with records are shorter than this.
const REPLY_BYTES_USUAL: usize = 512;
/// Replies from this size on are in the shard's account of memory.
const CHARGED_BYTES_MIN: usize = 16 * 1024;
/// What a request that is decoded whole may take beyond its frame, with all that is made of it up to
/// its answer: for each byte of the frame, and beyond that.
const BUDGET_PER_FRAME_BYTE: usize = 7;
const BUDGET_BASE_BYTES: usize = 24 * 1024 * 1024;
/// What becomes of one element of its arrays: copies of it, the answer's element, the encoded answer.
/// `tests/end_to_end/hostile_counts.rs` sends what just passes. 100,000 partitions of an OffsetCommit
/// weigh 34 MB, of 35 that their frame may at least; Kafka knows no limit but its heap.
const TIMES_AN_ELEMENT: usize = 4;
const BYTES_BEYOND_AN_ELEMENT: usize = 144;

/// What a request that is decoded whole may take beyond its frame.
pub fn budget_bytes(frame_bytes: usize) -> usize {
    BUDGET_PER_FRAME_BYTE * frame_bytes + BUDGET_BASE_BYTES
}

/// A request whose header is read and whose version is supported.
pub struct Request {
    /// The frame, without the size prefix.
    pub frame: Bytes,
    /// Where the body begins in the frame.
    pub body_at: usize,
    /// Which API.
    pub api: ApiKey,
    /// Its version.
    pub api_version: i16,
    /// The client's number for the request.
    pub correlation_id: i32,
    /// Where it came from.
    pub peer: SocketAddr,
    /// The listener it came in by: which advertised address the client is told.
    pub listener: usize,
    /// Its place among the large requests, until its reply is sent.
    pub place: Cell<Option<Place>>,
    /// The connection's next request waits for this, if it waits.
    pub next: Cell<Option<Giver<()>>>,
}

impl Request {
    /// The request's version.
    pub fn version(&self) -> i16 {
        self.api_version
    }

    /// All that this request appends is on its way: what the next one appends will be behind it.
    pub fn let_next_begin(&self) {
        drop(self.next.take());
    }

    /// The client's name for itself.
    pub fn client_id(&self) -> String {
        let mut decoder = Decoder::new(&self.frame);
        let version = self.api.spec().request_header_version(self.api_version);
        let header = RequestHeader::decode(&mut decoder, version);
        let client_id = header.ok().and_then(|header| header.client_id);
        client_id.map_or_else(String::new, Cow::into_owned)
    }

    /// The client's address as Java prints it.
    pub fn client_host(&self) -> String {
        format!("/{}", self.peer.ip().to_canonical())
    }

    /// Decodes the body; a body that does not decode closes the connection, as in Kafka, and so does
    /// one that is decoded whole and has too many elements.
    pub fn body<'a, T>(
        &'a self,
        decode: impl FnOnce(&mut Decoder<'a>, i16) -> Result<T, DecodeError>,
    ) -> Result<T, Outcome> {
        let budget = budget_bytes(self.frame.len());
        let mut decoder = Decoder::with_weights(
            &self.frame[self.body_at..],
            budget,
            TIMES_AN_ELEMENT,
            BYTES_BEYOND_AN_ELEMENT,
        );
        decode(&mut decoder, self.api_version).map_err(|error| {
            Outcome::Close(format!(
                "{:?} version {} does not decode: {error}",
                self.api, self.api_version
            ))
        })
    }

    /// The reply with `body`.
    pub fn reply<T>(
        &self,
        body: &T,
        encode: impl FnOnce(&T, &mut Encoder, i16) -> Result<(), EncodeError>,
    ) -> Outcome {
        self.reply_with_slices(body, encode, |_| {
            unreachable!("this reply has no file slices")
        })
    }

    /// The reply with `body`, whose record sets that are external are filled from files: `slice`
    /// gives the piece for a token.
    pub fn reply_with_slices<T>(
        &self,
        body: &T,
        encode: impl FnOnce(&T, &mut Encoder, i16) -> Result<(), EncodeError>,
        slice: impl FnMut(u64) -> Piece,
    ) -> Outcome {
        let mut encoder = self.begin_reply();
        // An error sticks to the encoder.
        let _ = encode(body, &mut encoder, self.api_version);
        self.finish_reply_with_slices(encoder, slice)
    }

    /// A reply with its header and no body yet: for bodies that are written piece by piece, so that
    /// they are never held in another form.
    pub fn begin_reply(&self) -> Encoder {
        let mut encoder = Encoder::with_capacity(REPLY_BYTES_USUAL);
        encoder.i32(0); // The size, filled in at the end.
        let header = ResponseHeader {
            correlation_id: self.correlation_id,
        };
        let header_version = self.api.spec().response_header_version(self.api_version);
        // An error sticks to the encoder.
        let _ = header.encode(&mut encoder, header_version);
        encoder
    }

    /// The reply whose body is written.
    pub fn finish_reply(&self, encoder: Encoder) -> Outcome {
        self.finish_reply_with_slices(encoder, |_| unreachable!("this reply has no file slices"))
    }

    /// The same with record sets from files.
    pub fn finish_reply_with_slices(
        &self,
        encoder: Encoder,
        slice: impl FnMut(u64) -> Piece,
    ) -> Outcome {
        let fits = i32::try_from(encoder.wire_len()).map_err(|_| EncodeError::TooLong);
        match encoder.status().and(fits.map(drop)) {
            Ok(()) => Outcome::Reply(pieces(encoder.finish(), slice, self.place.take())),
            Err(error) => {
                let version = self.api_version;
                tracing::error!(
                    "the reply to {:?} version {version} cannot be encoded: {error}",
                    self.api
                );
                Outcome::Close(format!("{:?} version {version} reply: {error}", self.api))
            }
        }
    }

    /// Whether a reply that is this long already has room for the texts of errors, which clients
    /// only show: they may be many times as long as what is wrong.
    pub fn has_room_for_texts(&self, encoder: &Encoder) -> bool {
        encoder.len() < TEXTS_BASE_BYTES + TEXTS_PER_FRAME_BYTE * self.frame.len()
    }

    /// Waits until the shard has room for a reply of `bytes`, which is much larger than the request.
    pub async fn wait_for_room(&self, shard: &Shard, bytes: usize) {
        let mut place = self.place.take();
        if place.is_none() && bytes >= HEAVY_BYTES {
            place = Some(shard.room.admit(bytes).await);
        }
        self.place.set(place);
    }
}

/// The bytes of a reply, in the shard's account until they are sent.
struct Held {
    bytes: Vec<u8>,
    _place: Option<Place>,
    _charge: Option<Charge>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes of a reply; what is small is not worth an account.
fn held(bytes: Vec<u8>, mut place: Option<Place>) -> Bytes {
    if bytes.capacity() < CHARGED_BYTES_MIN && place.is_none() {
        return Bytes::from(bytes);
    }
    let charge = match &mut place {
        Some(place) => {
            place.resize(bytes.capacity());
            None
        }
        None => Some(Charge::new(bytes.capacity())),
    };
    Bytes::from_owner(Held {
        bytes,
        _place: place,
        _charge: charge,
    })
}

fn pieces(
    encoded: Encoded,
    mut slice: impl FnMut(u64) -> Piece,
    place: Option<Place>,
) -> Vec<Piece> {
    let Encoded { mut bytes, splices } = encoded;
    let external: usize = splices.iter().map(|splice| splice.len as usize).sum();
    let size = (bytes.len() + external - SIZE_PREFIX_BYTES) as i32;
    bytes[..SIZE_PREFIX_BYTES].copy_from_slice(&size.to_be_bytes());
    let bytes = held(bytes, place);
    let mut pieces = Vec::with_capacity(2 * splices.len() + 1);
    let mut at = 0;
    for splice in splices {
        if splice.at > at {
            pieces.push(Piece::Bytes(bytes.slice(at..splice.at)));
            at = splice.at;
        }
        pieces.push(slice(splice.token));
    }
    if at < bytes.len() {
        pieces.push(Piece::Bytes(bytes.slice(at..)));
    }
    pieces
}
