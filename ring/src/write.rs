//! Vectored writes to files: through the ring, or inline where the table of file systems says that
//! this is cheaper.
//!
//! An inline write stops the thread while the page cache has no room for it. That cannot be known
//! before, but it comes in spells, when the disk does not keep up: so after an inline write that took
//! long, the thread writes through the ring for a while. A spell then stops it about once in
//! [`SPELL`], and otherwise only the file that is written waits.

use crate::driver::Operation;
use crate::executor::yield_now;
use crate::file::{File, WritePath, position_for_call};
use crate::in_flight::{Gather, Held};
use bytes::Bytes;
use io_uring::opcode;
use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

/// Linux writes at most this much in one call.
const BYTES_PER_CALL_MAX: usize = 0x7fff_f000;
/// What one file may write inline before the other tasks have their turn.
const BYTES_PER_POLL: usize = 1 << 20;
/// An inline write that takes longer was stopped by the page cache, not by another thread that had
/// its turn on this core: those are over sooner.
const STALL: Duration = Duration::from_millis(5);
/// How long inline writes rest after a stall.
const SPELL: Duration = Duration::from_millis(100);

thread_local! {
    /// Until when this thread does not write inline.
    static REST_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl File {
    /// Writes all `pieces`, one behind the other, from `position` on. An error leaves an unknown
    /// part of them written.
    pub async fn write_vectored_all_at(
        &self,
        pieces: Vec<Bytes>,
        mut position: u64,
    ) -> io::Result<()> {
        let mut gather = Gather::new(pieces);
        while !gather.is_done() {
            let written;
            if self.write_path == WritePath::Inline && may_write_inline() {
                written = self.write_inline(&mut gather, position);
            } else {
                (written, gather) = self.write_in_ring(gather, position).await;
            }
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    gather.advance(bytes);
                    position += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !gather.is_done() {
                yield_now().await;
            }
        }
        Ok(())
    }

    async fn write_in_ring(
        &self,
        mut gather: Box<Gather>,
        position: u64,
    ) -> (io::Result<usize>, Box<Gather>) {
        let (vectors, count) = gather.aim(BYTES_PER_CALL_MAX);
        let write = opcode::Writev::new(self.descriptor.in_ring(), vectors, count).offset(position);
        let held = Held::Gather(self.descriptor.clone(), gather);
        // SAFETY: vectors and pieces are on the heap behind the gather that is held.
        let done = unsafe { Operation::start(write.build(), held) }.await;
        let written = done.result().map(|bytes| bytes as usize);
        let Held::Gather(_, gather) = done.held else {
            unreachable!("a vectored write")
        };
        (written, gather)
    }

    fn write_inline(&self, gather: &mut Gather, position: u64) -> io::Result<usize> {
        let (vectors, count) = gather.aim(BYTES_PER_POLL);
        let (count, position) = (count as libc::c_int, position_for_call(position)?);
        let began = Instant::now();
        // SAFETY: vectors and pieces are behind `gather`, which is borrowed through the call.
        let written = unsafe { libc::pwritev(self.descriptor.raw(), vectors, count, position) };
        let result = usize::try_from(written).map_err(|_| io::Error::last_os_error());
        let took = began.elapsed();
        if took > STALL {
            REST_UNTIL.set(Some(began + took + SPELL));
        }
        result
    }
}

fn may_write_inline() -> bool {
    match REST_UNTIL.get() {
        Some(until) if Instant::now() < until => false,
        Some(_) => {
            REST_UNTIL.set(None);
            true
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Runtime};

    #[test]
    fn inline_writes_rest_after_a_stall_and_come_back() {
        let file = tempfile::tempfile().expect("a file");
        let written = File::from_std(file.try_clone().expect("the same"));
        let written = written.with_write_path(WritePath::Inline);
        Runtime::new(Options::default())
            .expect("a ring")
            .block_on(async {
                let began = Instant::now();
                for (position, rest_until) in [
                    (0, None),
                    (3, Some(began + Duration::from_secs(3600))),
                    (6, Some(began)),
                ] {
                    REST_UNTIL.set(rest_until);
                    let pieces = vec![Bytes::from_static(b"on"), Bytes::from_static(b"e")];
                    written
                        .write_vectored_all_at(pieces, position)
                        .await
                        .expect("room");
                }
            });
        let mut contents = [0; 9];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut contents, 0).expect("nine bytes");
        assert_eq!(&contents, b"oneoneone");
    }
}
