//! Sends a list of bytes and file slices over a stream, in order.
//!
//! Bytes go out as operations of the ring, several in one. A slice goes out by non-blocking
//! `sendfile(2)`, which copies nothing; bytes right before a slice are sent by system call with
//! MSG_MORE, so that they share a segment with it. A slice that is not in the page cache is brought
//! in through the ring first, so that `sendfile` does not stop the thread.
//!
//! Invariants: one slice sends at most [`BYTES_PER_POLL`] before other tasks run. A stream on which
//! this failed has sent an unknown part and must be closed.

use crate::driver::Operation;
use crate::executor::yield_now;
use crate::file::File;
use crate::in_flight::{Gather, Held};
use crate::net::Stream;
use bytes::{Buf, Bytes};
use io_uring::opcode;
use std::io;

/// What one stream may send from files before the others have their turn.
const BYTES_PER_POLL: u64 = 1 << 20;

/// A part of what is to be sent.
#[derive(Clone, Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// A slice of a file, which must have it all.
    File {
        /// The file.
        file: File,
        /// Where in the file the slice begins.
        position: u64,
        /// Its length in bytes.
        len: u32,
    },
}

impl Stream {
    /// Sends all `pieces`, one behind the other. One caller at a time.
    pub async fn send_pieces(&self, pieces: Vec<Piece>) -> io::Result<()> {
        let mut run = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => run.push(bytes),
                Piece::File {
                    file,
                    position,
                    len,
                } => {
                    self.send_before_slice(std::mem::take(&mut run)).await?;
                    self.send_slice(&file, position, u64::from(len)).await?;
                }
            }
        }
        match run.len() {
            0 => Ok(()),
            1 => self.send(run.swap_remove(0)).await,
            _ => self.send_gathered(run).await,
        }
    }

    /// Sends all of `bytes`.
    pub async fn send(&self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let send = opcode::Send::new(self.descriptor().in_ring(), bytes.as_ptr(), len)
                .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
            let held = Held::Bytes(self.descriptor().clone(), bytes);
            // SAFETY: the contents of a Bytes do not move with it, and it is held.
            let done = unsafe { Operation::start(send.build(), held) }.await;
            let sent = done.result();
            let Held::Bytes(_, returned) = done.held else {
                unreachable!("a send")
            };
            bytes = returned;
            bytes.advance(self.sent_or_wait(sent.map(|bytes| bytes as usize)).await?);
        }
        Ok(())
    }

    async fn send_gathered(&self, pieces: Vec<Bytes>) -> io::Result<()> {
        let mut gather = Gather::new(pieces);
        while !gather.is_done() {
            gather.aim();
            let send = opcode::SendMsg::new(self.descriptor().in_ring(), &raw const gather.header)
                .flags((libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32);
            let held = Held::Gather(self.descriptor().clone(), gather);
            // SAFETY: header, vectors and pieces are on the heap behind the gather that is held.
            let done = unsafe { Operation::start(send.build(), held) }.await;
            let sent = done.result();
            let Held::Gather(_, returned) = done.held else {
                unreachable!("a gathered send")
            };
            gather = returned;
            gather.advance(self.sent_or_wait(sent.map(|bytes| bytes as usize)).await?);
        }
        Ok(())
    }

    /// Sends by system call, without blocking, and leaves the last segment open for the slice that
    /// follows.
    async fn send_before_slice(&self, pieces: Vec<Bytes>) -> io::Result<()> {
        if pieces.is_empty() {
            return Ok(());
        }
        let mut gather = Gather::new(pieces);
        while !gather.is_done() {
            gather.aim();
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_MORE;
            // SAFETY: header, vectors and pieces are behind the gather, which lives through it.
            let sent = unsafe { libc::sendmsg(self.descriptor().raw(), &gather.header, flags) };
            gather.advance(self.sent_or_wait(bytes_or_errno(sent)).await?);
        }
        Ok(())
    }

    async fn send_slice(&self, file: &File, mut position: u64, len: u64) -> io::Result<()> {
        let end = position + len;
        while position < end {
            let bytes = BYTES_PER_POLL.min(end - position);
            if !file.is_cached(position, bytes) {
                file.bring_in(position, bytes).await?;
            }
            let piece_end = position + bytes;
            while position < piece_end {
                let sent = self.sendfile(file, position, piece_end - position);
                if let Ok(0) = sent {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                position += self.sent_or_wait(sent).await? as u64;
            }
            if position < end {
                yield_now().await;
            }
        }
        Ok(())
    }

    fn sendfile(&self, file: &File, position: u64, bytes: u64) -> io::Result<usize> {
        let mut offset = libc::off_t::try_from(position)
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let (to, from) = (self.descriptor().raw(), file.descriptor.raw());
        // SAFETY: the offset lives through the call; the socket does not block.
        bytes_or_errno(unsafe { libc::sendfile(to, from, &mut offset, bytes as usize) })
    }

    /// How much went out. If the socket was full: nothing, after waiting until it has room.
    async fn sent_or_wait(&self, sent: io::Result<usize>) -> io::Result<usize> {
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready(libc::POLLOUT).await?;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            sent => sent,
        }
    }
}

fn bytes_or_errno(returned: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}
