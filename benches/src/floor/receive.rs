//! The bare loop under `produce`: receive, CRC-32C, buffered write, answer.

use std::convert::Infallible;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::api::ApiKey;
use protocol::checksum::crc32c;

use crate::Error;
use crate::connection::{Connection, Flushed, Piece, Received};
use crate::floor::handshake::{self, Head, Pretence};
use crate::poller::{Interest, Poller, Ready};

/// The listener's number among the sockets; connections count from 0.
const LISTENER: u64 = u64::MAX;

/// A bare loop that takes Produce requests.
pub struct Receive {
    listener: TcpListener,
    pretence: Pretence,
    poller: Poller,
    clients: Vec<Option<Connection>>,
    files: Vec<(File, u64)>,
    file_next: usize,
    /// So that the CRCs cannot be left out.
    crc_sum: u32,
}

impl Receive {
    /// A loop that appends to one file for each partition, created in `dir`.
    pub fn new(listener: TcpListener, dir: &Path, partitions: usize) -> Result<Receive, Error> {
        let listening = || "listening".to_owned();
        let address = listener.local_addr().map_err(Error::io(listening()))?;
        listener
            .set_nonblocking(true)
            .map_err(Error::io(listening()))?;
        let poller = Poller::new().map_err(Error::io(listening()))?;
        poller
            .add(&listener, LISTENER, Interest::Read)
            .map_err(Error::io(listening()))?;
        let create = |at: usize| {
            let path = dir.join(format!("{at}.frames"));
            let file = File::create(&path).map_err(Error::io(format!("creating {path:?}")))?;
            Ok((file, 0))
        };
        let files = (0..partitions).map(create).collect::<Result<_, Error>>()?;
        let pretence = Pretence {
            address,
            records: vec![0; partitions],
        };
        let (clients, file_next, crc_sum) = (Vec::new(), 0, 0);
        Ok(Receive {
            listener,
            pretence,
            poller,
            clients,
            files,
            file_next,
            crc_sum,
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
        let connection = Connection::over(stream).map_err(Error::io("accepting"))?;
        let token = self.clients.len() as u64;
        self.poller
            .add(&connection, token, Interest::Read)
            .map_err(Error::io("accepting"))?;
        self.clients.push(Some(connection));
        Ok(())
    }

    /// A client that breaks off is gone; anything else that fails ends the loop.
    fn attend(&mut self, event: Ready) -> Result<(), Error> {
        let at = event.token as usize;
        let Some(client) = self.clients[at].as_mut() else {
            return Ok(());
        };
        if event.readable && !matches!(client.receive(), Ok(Received::Some | Received::Nothing)) {
            self.clients[at] = None;
            return Ok(());
        }
        let mut answers = Vec::new();
        while let Some(frame) = client.next_frame().map_err(Error::io("receiving"))? {
            let head = Head::of(frame)?;
            if !head.is(ApiKey::Produce) {
                answers.extend(handshake::answer(frame, &self.pretence)?);
                continue;
            }
            self.crc_sum ^= crc32c(frame);
            let (file, end) = &mut self.files[self.file_next];
            file.write_all_at(frame, *end)
                .map_err(Error::io("writing"))?;
            *end += frame.len() as u64;
            self.file_next = (self.file_next + 1) % self.files.len();
            // Length, correlation id, no tagged fields; no body.
            answers.extend(5u32.to_be_bytes());
            answers.extend(head.correlation.to_be_bytes());
            answers.push(0);
        }
        client.queue(Piece::Owned(answers));
        match client.flush() {
            Ok(Flushed::All) => {}
            // Answers are a few bytes: a client that leaves so many unread is not one of ours.
            Ok(Flushed::Partly) | Err(_) => self.clients[at] = None,
        }
        Ok(())
    }
}
