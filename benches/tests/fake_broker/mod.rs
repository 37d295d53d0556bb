//! A broker in this process that keeps everything in memory: a thread for each connection, every
//! batch checked. It can be told to be wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use benches::floor::handshake::{self, Head, Pretence};
use protocol::api::ApiKey;
use protocol::batch::{BASE_OFFSET_AT, Batches};
use protocol::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use protocol::wire::Records;

/// How the broker is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every batch is refused with this error code.
    Refuse(i16),
    /// Every batch is said to begin at offset 0.
    SameOffsetTwice,
    /// One offset is left out between batches.
    SkipOffset,
    /// Answers name one partition less than was produced to.
    LeaveOut,
    /// The connection is closed instead of an answer.
    HangUp,
}

pub struct FakeBroker {
    address: SocketAddr,
}

struct Partitions {
    fault: Fault,
    logs: Mutex<Vec<Log>>,
    grown: Condvar,
}

/// Batches with the offset after each.
#[derive(Default)]
struct Log {
    batches: Vec<(i64, Vec<u8>)>,
    end: i64,
}

impl FakeBroker {
    pub fn start(partitions: usize, fault: Fault) -> FakeBroker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let logs = Mutex::new((0..partitions).map(|_| Log::default()).collect());
        let partitions = Arc::new(Partitions {
            fault,
            logs,
            grown: Condvar::new(),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let partitions = partitions.clone();
                thread::spawn(move || attend(stream, address, &partitions));
            }
        });
        FakeBroker { address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn attend(mut stream: TcpStream, address: SocketAddr, partitions: &Partitions) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).expect("the rest of a frame");
        let head = Head::of(&frame).expect("a header");
        let answer = if head.is(ApiKey::Produce) {
            if partitions.fault == Fault::HangUp {
                return;
            }
            produce(&frame, head, partitions)
        } else if head.is(ApiKey::Fetch) {
            fetch(&frame, head, partitions)
        } else {
            let logs = partitions.logs.lock().expect("logs");
            let records = logs.iter().map(|log| log.end).collect();
            handshake::answer(&frame, &Pretence { address, records }).expect("handshake")
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn produce(frame: &[u8], head: Head, partitions: &Partitions) -> Vec<u8> {
    let request = handshake::body(frame, ApiKey::Produce, head.version, |decoder| {
        ProduceRequest::decode(decoder, head.version)
    });
    let mut logs = partitions.logs.lock().expect("logs");
    let mut responses = Vec::new();
    for topic in &request.expect("a Produce request").topic_data {
        let mut answers = Vec::new();
        for data in &topic.partition_data {
            let Some(Records::Bytes(bytes)) = &data.records else {
                panic!("a partition without records");
            };
            let log = &mut logs[data.index as usize];
            let (error_code, base_offset) = match partitions.fault {
                Fault::Refuse(code) => (code, -1),
                Fault::SameOffsetTwice => (0, 0),
                _ => (0, log.end),
            };
            for batch in Batches::new(bytes) {
                log.append(batch.expect("a batch"), partitions.fault);
            }
            let index = data.index;
            answers.push(PartitionProduceResponse {
                index,
                error_code,
                base_offset,
                ..PartitionProduceResponse::default()
            });
        }
        if partitions.fault == Fault::LeaveOut {
            answers.pop();
        }
        let name = topic.name.clone();
        responses.push(TopicProduceResponse {
            name,
            partition_responses: answers,
        });
    }
    partitions.grown.notify_all();
    let response = ProduceResponse {
        responses,
        ..ProduceResponse::default()
    };
    let written = handshake::write(ApiKey::Produce, head, |out| {
        response.encode(out, head.version)
    });
    written.expect("an answer").bytes
}

impl Log {
    fn append(&mut self, batch: protocol::batch::BatchView<'_>, fault: Fault) {
        batch.validate_relaxed().expect("a valid batch");
        batch.validate_from_client().expect("a client's batch");
        let mut bytes = batch.bytes.to_vec();
        bytes[BASE_OFFSET_AT..][..8].copy_from_slice(&self.end.to_be_bytes());
        self.end += i64::from(batch.header.records_count);
        self.batches.push((self.end, bytes));
        self.end += i64::from(fault == Fault::SkipOffset);
    }

    /// Batches from the one with `offset` on, at least one if there is any; the last one cut at
    /// `bytes_max`, as Kafka does it.
    fn read(&self, offset: i64, bytes_max: usize) -> Vec<u8> {
        let mut read = Vec::new();
        for (_, batch) in self.batches.iter().skip_while(|(end, _)| *end <= offset) {
            read.extend_from_slice(batch);
            if read.len() >= bytes_max {
                read.truncate(bytes_max.max(batch.len()));
                break;
            }
        }
        read
    }
}

/// Waits until one partition has something, and gives what all have.
fn fetch(frame: &[u8], head: Head, partitions: &Partitions) -> Vec<u8> {
    let request = handshake::body(frame, ApiKey::Fetch, head.version, |decoder| {
        FetchRequest::decode(decoder, head.version)
    });
    let request = request.expect("a Fetch request");
    let asked = || request.topics.iter().flat_map(|topic| &topic.partitions);
    let nothing_new = |logs: &mut Vec<Log>| {
        asked().all(|asked| logs[asked.partition as usize].end <= asked.fetch_offset)
    };
    let logs = partitions.logs.lock().expect("logs");
    let wait = Duration::from_millis(request.max_wait_ms as u64);
    let (logs, _) = partitions
        .grown
        .wait_timeout_while(logs, wait, nothing_new)
        .expect("logs");
    let mut room = request.max_bytes as usize;
    let mut responses = Vec::new();
    for topic in &request.topics {
        let mut answers = Vec::new();
        for asked in &topic.partitions {
            let log = &logs[asked.partition as usize];
            let bytes_max = room.min(asked.partition_max_bytes as usize);
            let bytes = match room {
                0 => Vec::new(),
                _ => log.read(asked.fetch_offset, bytes_max),
            };
            room = room.saturating_sub(bytes.len());
            answers.push(PartitionData {
                partition_index: asked.partition,
                high_watermark: log.end,
                last_stable_offset: log.end,
                records: Some(Records::Bytes(bytes.into())),
                ..PartitionData::default()
            });
        }
        let topic = topic.topic.clone();
        responses.push(FetchableTopicResponse {
            topic,
            partitions: answers,
            ..Default::default()
        });
    }
    let response = FetchResponse {
        responses,
        ..FetchResponse::default()
    };
    let written = handshake::write(ApiKey::Fetch, head, |out| {
        response.encode(out, head.version)
    });
    written.expect("an answer").bytes
}
