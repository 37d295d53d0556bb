//! The bare loop under `consume`: answers Fetch with slices of files, by sendfile(2).
//!
//! Each file holds batches of one size with consecutive offsets, so that an offset is turned into
//! a position by arithmetic: no index, and nothing is read but by the kernel.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::TcpListener;
use std::path::Path;

use protocol::api::ApiKey;
use protocol::batch::{BASE_OFFSET_AT, BATCH_OVERHEAD, BatchHeader};
use protocol::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::wire::Records;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{SendFlags, send};

use crate::Error;
use crate::batch_template::{BatchTemplate, Sender};
use crate::connection::{Connection, Received};
use crate::floor::handshake::{self, Head, Pretence};
use crate::poller::{Interest, Poller, Ready};

/// The listener's number among the sockets; connections count from 0.
const LISTENER: u64 = u64::MAX;
/// SO_SNDBUF of the sockets, as chiplog's default. Without a bound the kernel lets some MiB wait in
/// the socket, which by the time they are read are no longer in the processor's cache: 0.35 CPU-s/GB
/// against 0.23 (and the reader pays as much again); with less, the reader waits more often.
const SEND_BUFFER_BYTES: usize = 262_144;
/// The version of Fetch that is answered.
const FETCH_VERSION: i16 = 12;

/// Writes files for this loop: `batches` full batches for each of `partitions`.
pub fn prepare(
    dir: &Path,
    partitions: usize,
    batches: u64,
    template: &BatchTemplate,
) -> Result<(), Error> {
    for partition in 0..partitions {
        let path = dir.join(format!("{partition}.batches"));
        let doing = || format!("writing {}", path.display());
        let mut out = BufWriter::new(File::create(&path).map_err(Error::io(doing()))?);
        for at in 0..batches {
            let records = template.records_max();
            let mut batch = template.batch(records, &mut Sender::plain(), partition);
            let base_offset = (at * u64::from(records)) as i64;
            batch.header[BASE_OFFSET_AT..][..8].copy_from_slice(&base_offset.to_be_bytes());
            out.write_all(&batch.header).map_err(Error::io(doing()))?;
            let records = &batch.records[..batch.records_bytes];
            out.write_all(records).map_err(Error::io(doing()))?;
        }
        out.flush().map_err(Error::io(doing()))?;
    }
    Ok(())
}

/// A bare loop that answers Fetch requests.
pub struct Sendfile {
    listener: TcpListener,
    pretence: Pretence,
    poller: Poller,
    clients: Vec<Option<Client>>,
    files: Vec<BatchFile>,
}

/// Batches of one size.
struct BatchFile {
    file: File,
    bytes: u64,
    batch_bytes: u64,
    batch_records: u64,
}

struct Client {
    connection: Connection,
    unsent: VecDeque<Part>,
    watches_for: Interest,
}

/// Part of an answer that is not sent yet.
enum Part {
    Bytes(Vec<u8>, usize),
    Slice {
        file: usize,
        position: u64,
        left: usize,
    },
}

impl Sendfile {
    /// A loop over the files that `prepare` has written into `dir`.
    pub fn new(listener: TcpListener, dir: &Path) -> Result<Sendfile, Error> {
        let listening = || "listening".to_owned();
        let address = listener.local_addr().map_err(Error::io(listening()))?;
        listener
            .set_nonblocking(true)
            .map_err(Error::io(listening()))?;
        let poller = Poller::new().map_err(Error::io(listening()))?;
        poller
            .add(&listener, LISTENER, Interest::Read)
            .map_err(Error::io(listening()))?;
        let mut files = Vec::new();
        while let Ok(file) = File::open(dir.join(format!("{}.batches", files.len()))) {
            files.push(BatchFile::new(file)?);
        }
        let records = files.iter().map(BatchFile::records).collect();
        let pretence = Pretence { address, records };
        Ok(Sendfile {
            listener,
            pretence,
            poller,
            clients: Vec::new(),
            files,
        })
    }

    /// Serves until something fails that concerns more than one client.
    pub fn serve(mut self) -> Result<Infallible, Error> {
        let mut ready = Vec::new();
        loop {
            self.poller
                .wait(None, &mut ready)
                .map_err(Error::io("waiting for clients"))?;
            for event in &ready {
                if event.token == LISTENER {
                    self.accept()?;
                } else {
                    self.attend(*event)?;
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), Error> {
        let Ok((stream, _)) = self.listener.accept() else {
            return Ok(());
        };
        set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)
            .map_err(|errno| Error::io("accepting")(errno.into()))?;
        let connection = Connection::over(stream).map_err(Error::io("accepting"))?;
        let token = self.clients.len() as u64;
        self.poller
            .add(&connection, token, Interest::Read)
            .map_err(Error::io("accepting"))?;
        let (unsent, watches_for) = (VecDeque::new(), Interest::Read);
        self.clients.push(Some(Client {
            connection,
            unsent,
            watches_for,
        }));
        Ok(())
    }

    /// A client that breaks off is gone; anything else that fails ends the loop.
    fn attend(&mut self, event: Ready) -> Result<(), Error> {
        let at = event.token as usize;
        let Some(client) = self.clients[at].as_mut() else {
            return Ok(());
        };
        let connection = &mut client.connection;
        let heard = !event.readable
            || matches!(connection.receive(), Ok(Received::Some | Received::Nothing));
        while let Some(frame) = connection.next_frame().map_err(Error::io("receiving"))? {
            answer(frame, &self.pretence, &self.files, &mut client.unsent)?;
        }
        let sent = client.send(&self.files);
        let Ok(wants) = sent.and_then(|wants| heard.then_some(wants).ok_or(Errno::CONNRESET))
        else {
            self.clients[at] = None;
            return Ok(());
        };
        if wants != client.watches_for {
            client.watches_for = wants;
            let changed = self.poller.change(&client.connection, event.token, wants);
            changed.map_err(Error::io("changing what is waited for"))?;
        }
        Ok(())
    }
}

impl Client {
    /// Sends as much as the socket takes, and says what to wait for next.
    fn send(&mut self, files: &[BatchFile]) -> Result<Interest, Errno> {
        let socket = self.connection.socket();
        loop {
            // What is not the end of an answer goes into one segment with what follows it.
            let flags = match self.unsent.len() {
                0 => return Ok(Interest::Read),
                1 => SendFlags::empty(),
                _ => SendFlags::MORE,
            };
            let part = &mut self.unsent[0];
            let sent = match part {
                Part::Bytes(bytes, at) => {
                    send(socket, &bytes[*at..], flags).inspect(|count| *at += count)
                }
                Part::Slice {
                    file,
                    position,
                    left,
                } => sendfile(socket, &files[*file].file, Some(position), *left)
                    .inspect(|count| *left -= count),
            };
            match sent {
                Ok(0) => return Err(Errno::IO),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(Interest::ReadWrite),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            let done = match part {
                Part::Bytes(bytes, at) => *at == bytes.len(),
                Part::Slice { left, .. } => *left == 0,
            };
            if done {
                self.unsent.pop_front();
            }
        }
    }
}

impl BatchFile {
    fn new(file: File) -> Result<BatchFile, Error> {
        let doing = || "reading a file of batches".to_owned();
        let mut header = [0; BATCH_OVERHEAD];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut header, 0)
            .map_err(Error::io(doing()))?;
        let header = BatchHeader::parse(&header)
            .map_err(|error| Error::io(doing())(io::Error::other(error.to_string())))?;
        let bytes = file.metadata().map_err(Error::io(doing()))?.len();
        let (batch_bytes, batch_records) = (header.size() as u64, header.records_count as u64);
        Ok(BatchFile {
            file,
            bytes,
            batch_bytes,
            batch_records,
        })
    }

    fn records(&self) -> i64 {
        (self.bytes / self.batch_bytes * self.batch_records) as i64
    }

    /// Where the batch with an offset begins, and how much of at most `max_bytes` follows.
    fn slice(&self, offset: i64, max_bytes: usize) -> (u64, usize) {
        let position = (offset as u64 / self.batch_records * self.batch_bytes).min(self.bytes);
        let there = (self.bytes - position) as usize;
        (
            position,
            there.min(max_bytes.max(self.batch_bytes as usize)),
        )
    }
}

fn answer(
    frame: &[u8],
    pretence: &Pretence,
    files: &[BatchFile],
    unsent: &mut VecDeque<Part>,
) -> Result<(), Error> {
    let head = Head::of(frame)?;
    if !head.is(ApiKey::Fetch) {
        unsent.push_back(Part::Bytes(handshake::answer(frame, pretence)?, 0));
        return Ok(());
    }
    let request = handshake::body(frame, ApiKey::Fetch, FETCH_VERSION, |decoder| {
        FetchRequest::decode(decoder, FETCH_VERSION)
    })?;
    let mut slices = Vec::new();
    let mut room = request.max_bytes as usize;
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let file = asked.partition as usize;
            let max_bytes = room.min(asked.partition_max_bytes as usize);
            let (position, left) = files[file].slice(asked.fetch_offset, max_bytes);
            room = room.saturating_sub(left);
            let (token, len) = (slices.len() as u64, left as u32);
            slices.push(Part::Slice {
                file,
                position,
                left,
            });
            partitions.push(PartitionData {
                partition_index: asked.partition,
                high_watermark: files[file].records(),
                last_stable_offset: files[file].records(),
                records: Some(Records::External { token, len }),
                ..PartitionData::default()
            });
        }
        let topic = topic.topic.clone();
        topics.push(FetchableTopicResponse {
            topic,
            partitions,
            ..Default::default()
        });
    }
    let response = FetchResponse {
        responses: topics,
        ..FetchResponse::default()
    };
    let encoded = handshake::write(ApiKey::Fetch, head, |out| {
        response.encode(out, FETCH_VERSION)
    })?;
    let mut written = 0;
    for (splice, slice) in encoded.splices.iter().zip(slices) {
        unsent.push_back(Part::Bytes(encoded.bytes[written..splice.at].to_vec(), 0));
        written = splice.at;
        if splice.len > 0 {
            unsent.push_back(slice);
        }
    }
    // A frame ends with tagged fields, so there are always some bytes after the last slice.
    unsent.push_back(Part::Bytes(encoded.bytes[written..].to_vec(), 0));
    Ok(())
}
