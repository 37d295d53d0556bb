//! Sends a list of bytes and file slices over a stream, in order.
//!
//! Bytes go out by non-blocking `sendmsg(2)`, slices by non-blocking `sendfile(2)`, which copies
//! nothing; bytes right before a slice are marked MSG_MORE, so that they share a segment with it. If
//! the socket is full, the ring says when it has room. A slice that is not in the page cache is
//! brought in through the ring first, so that `sendfile` does not stop the thread.
//!
//! Small answers go out by system call too, not as operations of the ring: measured, that is
//! cheaper (`docs/runtime.md`). The kernel's work is the same, the entry costs less than an
//! operation's completion and the second poll of its task, and the peer's next request comes sooner,
//! so that the receive behind it often finds it there.
//!
//! Invariants: one stream sends at most [`BYTES_PER_POLL`] before other tasks run. A stream on which
//! this failed has sent an unknown part and must be closed.

use crate::executor::yield_now;
use crate::file::File;
use crate::in_flight::Gather;
use crate::net::Stream;
use bytes::{Buf, Bytes};
use std::io;

/// What one stream may send before the others have their turn.
const BYTES_PER_POLL: usize = 1 << 20;

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

/// What follows some bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nothing,
    Slice,
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
                    self.send_gathered(std::mem::take(&mut run), Behind::Slice)
                        .await?;
                    self.send_slice(&file, position, u64::from(len)).await?;
                }
            }
        }
        match run.len() {
            0 => Ok(()),
            1 => self.send(run.swap_remove(0)).await,
            _ => self.send_gathered(run, Behind::Nothing).await,
        }
    }

    /// Sends all of `bytes`.
    pub async fn send(&self, mut bytes: Bytes) -> io::Result<()> {
        loop {
            let len = bytes.len().min(BYTES_PER_POLL);
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
            // SAFETY: the bytes are borrowed through the call.
            let sent =
                unsafe { libc::send(self.descriptor().raw(), bytes.as_ptr().cast(), len, flags) };
            bytes.advance(self.sent_or_wait(bytes_or_errno(sent)).await?);
            if bytes.is_empty() {
                return Ok(());
            }
            yield_now().await;
        }
    }

    /// Sends all of `pieces`, in few system calls.
    async fn send_gathered(&self, pieces: Vec<Bytes>, behind: Behind) -> io::Result<()> {
        let mut gather = Gather::new(pieces);
        let more = if behind == Behind::Slice {
            libc::MSG_MORE
        } else {
            0
        };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | more;
        while !gather.is_done() {
            gather.aim(BYTES_PER_POLL);
            // SAFETY: header, vectors and pieces are behind the gather, which lives through it.
            let sent = unsafe { libc::sendmsg(self.descriptor().raw(), &gather.header, flags) };
            gather.advance(self.sent_or_wait(bytes_or_errno(sent)).await?);
            if !gather.is_done() {
                yield_now().await;
            }
        }
        Ok(())
    }

    async fn send_slice(&self, file: &File, mut position: u64, len: u64) -> io::Result<()> {
        let end = position + len;
        while position < end {
            let bytes = (BYTES_PER_POLL as u64).min(end - position);
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

    /// A peer that is gone is an error here: Rust programs ignore SIGPIPE.
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
