//! One request: its frame, its header, and how its reply is put together.

use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::messages::header::ResponseHeader;
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoded, Encoder};
use ring::net::Piece;

use crate::frame::SIZE_PREFIX_BYTES;
use crate::reply_queue::Outcome;

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
    /// The listener it came in by: which advertised address the client is told.
    pub listener: usize,
}

impl Request {
    /// The request's version.
    pub fn version(&self) -> i16 {
        self.api_version
    }

    /// Decodes the body; a body that does not decode closes the connection, as in Kafka.
    pub fn body<'a, T>(
        &'a self,
        decode: impl FnOnce(&mut Decoder<'a>, i16) -> Result<T, DecodeError>,
    ) -> Result<T, Outcome> {
        let mut decoder = Decoder::new(&self.frame[self.body_at..]);
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
        let mut encoder = Encoder::new();
        encoder.i32(0); // The size, filled in below.
        let header = ResponseHeader {
            correlation_id: self.correlation_id,
        };
        let header_version = self.api.spec().response_header_version(self.api_version);
        let encoded = header
            .encode(&mut encoder, header_version)
            .and_then(|()| encode(body, &mut encoder, self.api_version));
        match encoded {
            Ok(()) => Outcome::Reply(pieces(encoder.finish(), slice)),
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
}

fn pieces(encoded: Encoded, mut slice: impl FnMut(u64) -> Piece) -> Vec<Piece> {
    let Encoded { mut bytes, splices } = encoded;
    let external: usize = splices.iter().map(|splice| splice.len as usize).sum();
    let size = (bytes.len() + external - SIZE_PREFIX_BYTES) as i32;
    bytes[..SIZE_PREFIX_BYTES].copy_from_slice(&size.to_be_bytes());
    let bytes = Bytes::from(bytes);
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
