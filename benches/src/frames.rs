//! Requests and answers as frames: length, header, body. What a message says is protocol's.

use protocol::api::ApiKey;
use protocol::messages::header::{RequestHeader, ResponseHeader};
use protocol::wire::{DecodeError, Decoder, EncodeError, Encoded, Encoder};

use crate::Error;

/// What the harness calls itself.
pub const CLIENT_ID: &str = "chiplog-bench";

/// Writes a whole frame: four bytes of length, the header, and what `body` writes.
pub fn write_request(
    key: ApiKey,
    version: i16,
    correlation: i32,
    body: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
) -> Result<Encoded, Error> {
    let doing = || format!("writing {key:?} v{version}");
    let wrap = |source| Error::Encode {
        doing: doing(),
        source,
    };
    let mut encoder = Encoder::with_capacity(256);
    encoder.i32(0);
    let header = RequestHeader {
        request_api_key: key.code(),
        request_api_version: version,
        correlation_id: correlation,
        client_id: Some(CLIENT_ID.into()),
    };
    header
        .encode(&mut encoder, key.spec().request_header_version(version))
        .map_err(wrap)?;
    body(&mut encoder).map_err(wrap)?;
    let length = encoder.wire_len() - 4;
    encoder.patch_i32(0, length as i32);
    Ok(encoder.finish())
}

/// Reads the header of an answer, which must be the one to `correlation`, and its body.
pub fn read_answer<'a, T>(
    frame: &'a [u8],
    key: ApiKey,
    version: i16,
    correlation: i32,
    body: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    let wrap = |source| Error::Decode {
        doing: format!("reading {key:?} v{version}"),
        source,
    };
    let mut decoder = Decoder::new(frame);
    let header_version = key.spec().response_header_version(version);
    let header = ResponseHeader::decode(&mut decoder, header_version).map_err(wrap)?;
    if header.correlation_id != correlation {
        return Err(Error::Broken(format!(
            "a {key:?} answer has correlation id {}, and {correlation} was next",
            header.correlation_id
        )));
    }
    body(&mut decoder).map_err(wrap)
}
