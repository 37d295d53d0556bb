//! Kafka's wire format by hand: just enough to say things to a node that no client would say,
//! and to do so without the codec that is under test.
//!
//! Requests are written in old versions without tagged fields, which any broker still takes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use crate::batch::{Batch, Record};

/// An answer that takes longer than this never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request body under construction: big-endian, as everything on the wire.
#[derive(Clone, Debug, Default)]
pub struct Body(pub Vec<u8>);

impl Body {
    /// An empty body.
    pub fn new() -> Body {
        Body::default()
    }

    /// Adds an 8-bit integer.
    pub fn i8(mut self, value: i8) -> Body {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a 16-bit integer.
    pub fn i16(mut self, value: i16) -> Body {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a 32-bit integer.
    pub fn i32(mut self, value: i32) -> Body {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a 64-bit integer.
    pub fn i64(mut self, value: i64) -> Body {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a string with its length as 16 bits.
    pub fn string(self, value: &str) -> Body {
        let length = i16::try_from(value.len()).expect("test strings are short");
        self.i16(length).raw(value.as_bytes())
    }

    /// Adds bytes with their length as 32 bits.
    pub fn bytes(self, value: &[u8]) -> Body {
        let length = i32::try_from(value.len()).expect("test frames are below 2 GiB");
        self.i32(length).raw(value)
    }

    /// Adds an unsigned variable-length integer.
    pub fn varint_unsigned(mut self, mut value: u32) -> Body {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// Adds a zigzag variable-length integer, as record fields have.
    pub fn varint(self, value: i32) -> Body {
        self.varint_unsigned(((value << 1) ^ (value >> 31)) as u32)
    }

    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Body {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A connection to a node, on which requests are sent one by one.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation: i32,
}

impl Connection {
    /// Connects to the node that listens on `port`.
    pub fn open(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            correlation: 0,
        })
    }

    /// Sends `bytes` as they are, without a length.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `bytes`, or as many of them as the node takes before it stops for longer than
    /// `pause`; says whether it took all.
    pub fn send_bytes_within(&mut self, bytes: &[u8], pause: Duration) -> io::Result<bool> {
        self.stream.set_write_timeout(Some(pause))?;
        let sent = self.stream.write_all(bytes);
        self.stream.set_write_timeout(Some(PATIENCE))?;
        match sent {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The same connection once more, for a thread that sends while another receives.
    pub fn second_handle(&self) -> io::Result<Connection> {
        Ok(Connection {
            stream: self.stream.try_clone()?,
            correlation: self.correlation,
        })
    }

    /// Sends a frame: a length, then `payload`.
    pub fn send_frame(&mut self, payload: &[u8]) -> io::Result<()> {
        let frame = Body::new().bytes(payload);
        self.stream.write_all(&frame.0)
    }

    /// Sends a request with a header of version 1, and gives its correlation id.
    pub fn send(&mut self, api_key: i16, version: i16, body: &Body) -> io::Result<i32> {
        self.correlation += 1;
        let header = header(api_key, version, self.correlation);
        self.send_frame(&header.raw(&body.0).0)?;
        Ok(self.correlation)
    }

    /// Sends requests in one piece, so that the node takes them in together, and gives their
    /// correlation ids.
    pub fn send_together(&mut self, requests: &[(i16, i16, &Body)]) -> io::Result<Vec<i32>> {
        let (mut frames, mut correlations) = (Body::new(), Vec::new());
        for (api_key, version, body) in requests {
            self.correlation += 1;
            let header = header(*api_key, *version, self.correlation);
            frames = frames.bytes(&header.raw(&body.0).0);
            correlations.push(self.correlation);
        }
        self.stream.write_all(&frames.0)?;
        Ok(correlations)
    }

    /// Waits this long for an answer, where a minute may be too short.
    pub fn be_patient(&mut self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Closes this side for sending; the node sees the end of the stream.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads one frame, or `None` when the node has closed the connection.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if is_closed(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length is not negative");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(Some(frame))
    }

    /// Sends a request and gives what follows the correlation id in its answer.
    ///
    /// Panics when the node closes the connection instead.
    pub fn ask(&mut self, api_key: i16, version: i16, body: &Body) -> Answer {
        self.try_ask(api_key, version, body)
            .expect("the node answers")
    }

    /// As [`Connection::ask`], with a closed connection as an error.
    pub fn try_ask(&mut self, api_key: i16, version: i16, body: &Body) -> io::Result<Answer> {
        let correlation = self.send(api_key, version, body)?;
        self.receive_answer(correlation)
    }

    /// Reads the answer to the request that was sent with `correlation`, which must be the next.
    pub fn receive_answer(&mut self, correlation: i32) -> io::Result<Answer> {
        let frame = self.receive()?.ok_or(ErrorKind::ConnectionReset)?;
        let mut answer = Answer { frame, at: 0 };
        assert_eq!(
            answer.i32(),
            correlation,
            "answers come in the order of requests"
        );
        Ok(answer)
    }

    /// Whether the node closes this connection, without another byte before.
    pub fn is_closed_by_node(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => is_closed(&error),
        }
    }
}

/// The fields of an answer, read one after another.
#[derive(Debug)]
pub struct Answer {
    frame: Vec<u8>,
    at: usize,
}

impl Answer {
    /// Reads an 8-bit integer.
    pub fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.take())
    }

    /// Reads a 16-bit integer.
    pub fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    /// Reads a 32-bit integer.
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    /// Reads a 64-bit integer.
    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    /// Reads a string that may be null.
    pub fn string(&mut self) -> Option<String> {
        let length = usize::try_from(self.i16()).ok()?;
        let text = self.frame[self.at..self.at + length].to_vec();
        self.at += length;
        Some(String::from_utf8(text).expect("strings are UTF-8"))
    }

    /// Reads an unsigned variable-length integer.
    pub fn varint_unsigned(&mut self) -> u32 {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.i8().cast_unsigned();
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    /// Reads a string with a compact length, that may be null.
    pub fn compact_string(&mut self) -> Option<String> {
        let length = self.varint_unsigned().checked_sub(1)? as usize;
        self.at += length;
        let text = self.frame[self.at - length..self.at].to_vec();
        Some(String::from_utf8(text).expect("strings are UTF-8"))
    }

    /// Reads bytes with their length as 32 bits; null gives none.
    pub fn bytes(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.i32()).unwrap_or(0);
        self.at += length;
        self.frame[self.at - length..self.at].to_vec()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &[u8] {
        &self.frame[self.at..]
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.frame[self.at..self.at + N]
            .try_into()
            .expect("the length is N");
        self.at += N;
        bytes
    }
}

/// A request header of version 1.
pub fn header(api_key: i16, version: i16, correlation: i32) -> Body {
    Body::new()
        .i16(api_key)
        .i16(version)
        .i32(correlation)
        .string("chiplog-tests")
}

/// A record batch v2 of records without keys, uncompressed, by no idempotent producer.
pub fn batch(values: &[&[u8]]) -> Vec<u8> {
    batch_by(-1, -1, -1, values)
}

/// A record batch v2 by the producer and from the sequence number given.
pub fn batch_by(producer: i64, epoch: i16, sequence: i32, values: &[&[u8]]) -> Vec<u8> {
    let batch = Batch {
        producer,
        epoch,
        sequence,
        ..Batch::PLAIN
    };
    let records: Vec<_> = values.iter().map(|value| Record::of_now(value)).collect();
    batch.of(&records)
}

/// The body of a Produce request of version 3 or 7, for partition 0 of `topic`.
pub fn produce(topic: &str, acks: i16, records: &[u8]) -> Body {
    let one = Body::new()
        .i16(-1)
        .i16(acks)
        .i32(30_000)
        .i32(1)
        .string(topic)
        .i32(1);
    one.i32(0).bytes(records)
}

/// Sends `records` to partition 0 of `topic` with acks=all; gives the error code and the offset.
pub fn produce_to(node: &mut Connection, topic: &str, records: &[u8]) -> io::Result<(i16, i64)> {
    let mut answer = node.try_ask(PRODUCE, 7, &produce(topic, -1, records))?;
    assert_eq!(answer.i32(), 1, "one topic");
    assert_eq!(answer.string().as_deref(), Some(topic));
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    Ok((answer.i16(), answer.i64()))
}

/// The first offset of partition 0 of `topic` that nothing was written to yet.
pub fn end_offset(node: &mut Connection, topic: &str) -> i64 {
    try_end_offset(node, topic, 0).expect("ListOffsets has no error")
}

/// The first offset of `partition` of `topic` that nothing was written to, or the error code.
pub fn try_end_offset(node: &mut Connection, topic: &str, partition: i32) -> Result<i64, i16> {
    let one = Body::new().i32(-1).i8(0).i32(1).string(topic);
    let mut answer = node.ask(LIST_OFFSETS, 2, &one.i32(1).i32(partition).i64(-1));
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!(
        (answer.i32(), answer.i32()),
        (1, partition),
        "one partition"
    );
    let error = answer.i16();
    answer.i64(); // timestamp
    if error == 0 {
        Ok(answer.i64())
    } else {
        Err(error)
    }
}

/// The key of the API Produce.
pub const PRODUCE: i16 = 0;
/// The key of the API Fetch.
pub const FETCH: i16 = 1;
/// The key of the API ListOffsets.
pub const LIST_OFFSETS: i16 = 2;
/// The key of the API Metadata.
pub const METADATA: i16 = 3;
/// The key of the API FindCoordinator.
pub const FIND_COORDINATOR: i16 = 10;
/// The key of the API ApiVersions.
pub const API_VERSIONS: i16 = 18;
/// The key of the API CreateTopics.
pub const CREATE_TOPICS: i16 = 19;
/// The key of the API DeleteTopics.
pub const DELETE_TOPICS: i16 = 20;
/// The key of the API OffsetForLeaderEpoch.
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// The key of the API InitProducerId.
pub const INIT_PRODUCER_ID: i16 = 22;

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
    )
}
