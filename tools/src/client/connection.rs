//! One connection: frames there and back, in the newest version that both sides know.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use protocol::messages::api_versions::{ApiVersion, ApiVersionsRequest};
use protocol::messages::header::{RequestHeader, ResponseHeader};
use protocol::wire::{Decoder, Encoder};

use super::{Error, Exchange, Settings};

/// The version of ApiVersions that is asked for: every broker since 2.4 knows it.
const API_VERSIONS_VERSION: i16 = 3;
/// No answer is longer than that.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// A connection whose broker has said which versions it knows.
pub struct Connection {
    stream: TcpStream,
    address: String,
    client_id: String,
    versions: Vec<ApiVersion>,
    correlation: i32,
}

impl Connection {
    /// Connects to `host:port` and asks for the versions.
    pub fn open(address: &str, settings: &Settings) -> Result<Connection, Error> {
        let failed = |source| Error::Connection {
            address: address.to_owned(),
            source,
        };
        let mut connection = Connection {
            stream: connect(address, settings).map_err(failed)?,
            address: address.to_owned(),
            client_id: settings.client_id.clone(),
            versions: Vec::new(),
            correlation: 0,
        };
        let request = ApiVersionsRequest {
            client_software_name: "chiplog".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let answer = connection.ask_in(&request, API_VERSIONS_VERSION)?;
        Error::check(answer.error_code, None)?;
        connection.versions = answer.api_keys;
        Ok(connection)
    }

    /// The newest version that both sides know, which must be at least `oldest`.
    pub fn version_of<E: Exchange>(&self, oldest: i16) -> Result<i16, Error> {
        let oldest = oldest.max(E::OLDEST);
        let key = E::KEY.code();
        let offered = self.versions.iter().find(|api| api.api_key == key);
        let agreed = offered.and_then(|api| {
            let newest = api.max_version.min(E::NEWEST);
            (newest >= api.min_version.max(oldest)).then_some(newest)
        });
        agreed.ok_or_else(|| Error::Unsupported {
            address: self.address.clone(),
            key: E::KEY,
            oldest,
            newest: E::NEWEST,
        })
    }

    /// Asks, and waits for the answer.
    pub fn ask<E: Exchange>(&mut self, request: &E, oldest: i16) -> Result<E::Response, Error> {
        let version = self.version_of::<E>(oldest)?;
        self.ask_in(request, version)
    }

    fn ask_in<E: Exchange>(&mut self, request: &E, version: i16) -> Result<E::Response, Error> {
        self.correlation += 1;
        let frame = self.frame(request, version)?;
        self.stream
            .write_all(&frame)
            .map_err(|error| self.failed(error))?;
        if !request.is_answered() {
            return Ok(E::Response::default());
        }
        let answer = self.receive().map_err(|error| self.failed(error))?;
        let unreadable = |source| Error::Decode {
            address: self.address.clone(),
            key: E::KEY,
            source,
        };
        let mut decoder = Decoder::from_peer(&answer);
        let header_version = E::KEY.spec().response_header_version(version);
        let header = ResponseHeader::decode(&mut decoder, header_version).map_err(unreadable)?;
        if header.correlation_id != self.correlation {
            return Err(self.failed(io::Error::new(
                ErrorKind::InvalidData,
                "an answer to another request came",
            )));
        }
        E::decode(&mut decoder, version).map_err(unreadable)
    }

    fn frame<E: Exchange>(&self, request: &E, version: i16) -> Result<Vec<u8>, Error> {
        let unsayable = |source| Error::Encode {
            key: E::KEY,
            source,
        };
        let mut encoder = Encoder::with_capacity(256);
        encoder.i32(0);
        let header = RequestHeader {
            request_api_key: E::KEY.code(),
            request_api_version: version,
            correlation_id: self.correlation,
            client_id: Some(self.client_id.as_str().into()),
        };
        let header_version = E::KEY.spec().request_header_version(version);
        header
            .encode(&mut encoder, header_version)
            .map_err(unsayable)?;
        request.encode(&mut encoder, version).map_err(unsayable)?;
        let length = encoder.wire_len() - 4;
        encoder.patch_i32(0, length as i32);
        Ok(encoder.finish().bytes)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u64::from(u32::from_be_bytes(length));
        if length > ANSWER_BYTES_MAX {
            let text = format!("an answer of {length} bytes is announced");
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        let mut answer = Vec::new();
        let read = (&mut self.stream).take(length).read_to_end(&mut answer)?;
        match read as u64 == length {
            true => Ok(answer),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        let source = match source.kind() {
            ErrorKind::WouldBlock => io::Error::new(
                ErrorKind::TimedOut,
                "no answer came within request.timeout.ms",
            ),
            _ => source,
        };
        Error::Connection {
            address: self.address.clone(),
            source,
        }
    }
}

fn connect(address: &str, settings: &Settings) -> io::Result<TcpStream> {
    let mut last = None;
    let mut addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    // A broker that advertises "localhost" mostly listens on 127.0.0.1.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    for address in addresses {
        match TcpStream::connect_timeout(&address, settings.connect_timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(settings.request_timeout))?;
                stream.set_write_timeout(Some(settings.request_timeout))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address")))
}
