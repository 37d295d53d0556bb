//! A non-blocking connection that sends pieces without joining them and cuts what it receives into
//! frames (four bytes of length, then the frame).
//!
//! It knows nothing of what is in a frame. Pieces leave in the order they were queued.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// Pieces given to the kernel in one call.
const PIECES_PER_WRITE_MAX: usize = 64;
/// What is read at once if no larger frame is under way.
const RECEIVE_BYTES: usize = 64 * 1024;
/// The largest frame that is believed to be one.
const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes to send: built for this one occasion, or a part of a template that many share.
pub enum Piece {
    /// Built for this occasion.
    Owned(Vec<u8>),
    /// Part of a template.
    Shared(Arc<[u8]>, Range<usize>),
}

impl Piece {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Piece::Owned(bytes) => bytes,
            Piece::Shared(bytes, range) => &bytes[range.clone()],
        }
    }
}

/// Whether all that was queued could be handed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left.
    All,
    /// The socket takes no more at present.
    Partly,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Some bytes.
    Some,
    /// Nothing at present.
    Nothing,
    /// The peer has closed the connection.
    Closed,
}

/// A connection to a broker, or to a client of one of the bare loops.
pub struct Connection {
    stream: TcpStream,
    unsent: VecDeque<Piece>,
    unsent_at: usize,
    inbox: Vec<u8>,
    inbox_used: Range<usize>,
}

impl Connection {
    /// Connects and switches to non-blocking.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        Self::over(TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?)
    }

    /// Takes over an established stream.
    pub fn over(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            unsent: VecDeque::new(),
            unsent_at: 0,
            inbox: vec![0; RECEIVE_BYTES],
            inbox_used: 0..0,
        })
    }

    /// Queues a piece; `flush` sends it.
    pub fn queue(&mut self, piece: Piece) {
        if !piece.bytes().is_empty() {
            self.unsent.push_back(piece);
        }
    }

    /// Sends as much of the queued pieces as the socket takes.
    pub fn flush(&mut self) -> io::Result<Flushed> {
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE_MAX];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.unsent) {
                let from = if count == 0 { self.unsent_at } else { 0 };
                *slice = IoSlice::new(&piece.bytes()[from..]);
                count += 1;
            }
            match self.stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => self.drop_sent(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Partly),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }

    /// Reads once.
    pub fn receive(&mut self) -> io::Result<Received> {
        self.make_room();
        loop {
            match self.stream.read(&mut self.inbox[self.inbox_used.end..]) {
                Ok(0) => return Ok(Received::Closed),
                Ok(count) => {
                    self.inbox_used.end += count;
                    return Ok(Received::Some);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Received::Nothing);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next whole frame, without its length, if there is one.
    pub fn next_frame(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(length) = self.frame_length()? else {
            return Ok(None);
        };
        let start = self.inbox_used.start + 4;
        if self.inbox_used.end < start + length {
            return Ok(None);
        }
        self.inbox_used.start = start + length;
        Ok(Some(&self.inbox[start..start + length]))
    }

    /// The socket itself, for calls that send past this connection's queue.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The length of the frame that the inbox begins with, if that much has come.
    fn frame_length(&self) -> io::Result<Option<usize>> {
        let used = &self.inbox[self.inbox_used.clone()];
        let Some(prefix) = used.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > FRAME_BYTES_MAX {
            let message = format!("a frame of {length} bytes was announced");
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        Ok(Some(length))
    }

    /// Sees to it that the rest of the frame under way, or any bytes at all, can be read.
    fn make_room(&mut self) {
        if self.inbox_used.is_empty() {
            self.inbox_used = 0..0;
        }
        let frame = self
            .frame_length()
            .ok()
            .flatten()
            .map_or(0, |length| length + 4);
        let wanted = frame.max(self.inbox_used.len() + 1);
        if self.inbox.len() - self.inbox_used.start >= wanted {
            return;
        }
        self.inbox.copy_within(self.inbox_used.clone(), 0);
        self.inbox_used = 0..self.inbox_used.len();
        if self.inbox.len() < wanted {
            self.inbox.resize(wanted.next_power_of_two(), 0);
        }
    }

    fn drop_sent(&mut self, mut sent: usize) {
        while let Some(piece) = self.unsent.front() {
            let left = piece.bytes().len() - self.unsent_at;
            if sent < left {
                self.unsent_at += sent;
                return;
            }
            sent -= left;
            self.unsent_at = 0;
            self.unsent.pop_front();
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let near = Connection::open(listener.local_addr().expect("address")).expect("connect");
        (near, listener.accept().expect("accept").0)
    }

    /// Frames of all sizes, sent in odd pieces through a peer that echoes, come back whole.
    #[test]
    fn frames_survive_partial_writes_and_reads() {
        let (mut near, mut far) = pair();
        let echo = std::thread::spawn(move || {
            let mut bytes = vec![0; 70_001];
            while let Ok(count @ 1..) = far.read(&mut bytes) {
                far.write_all(&bytes[..count]).expect("echo");
            }
        });
        let template: Arc<[u8]> = (0..3_000_000u32).map(|n| n as u8).collect();
        let lengths = [0, 1, 5, 65_532, 65_536, 200_000, 3_000_000, 7];
        for length in lengths {
            near.queue(Piece::Owned((length as u32).to_be_bytes().to_vec()));
            near.queue(Piece::Shared(template.clone(), 0..length / 2));
            near.queue(Piece::Shared(template.clone(), length / 2..length));
        }
        let mut expected = lengths.iter();
        while expected.len() > 0 {
            near.flush().expect("flush");
            assert_ne!(near.receive().expect("receive"), Received::Closed);
            while let Some(frame) = near.next_frame().expect("frame") {
                let length = *expected.next().expect("no more frames than were sent");
                assert!(frame == &template[..length], "frame of {length} bytes");
            }
        }
        drop(near);
        echo.join().expect("echo");
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let (mut near, mut far) = pair();
        far.write_all(&[0xff, 0, 0, 0, 1]).expect("write");
        while near.receive().expect("receive") == Received::Nothing {}
        while near.inbox_used.len() < 4 {
            near.receive().expect("receive");
        }
        assert!(near.next_frame().is_err());
    }
}
