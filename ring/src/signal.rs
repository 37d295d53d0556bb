//! SIGTERM and SIGINT as a future: read from a signalfd by the ring.
//!
//! A signal reaches a signalfd only while every thread blocks it. Threads inherit the mask, so
//! [`block`] comes first in `main`, before the process has a second thread.

use crate::buffer::Buffer;
use crate::descriptor::owned_or_errno;
use crate::file::File;
use std::io;

/// A request to end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: someone pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: an orderly stop is asked for.
    Terminate,
}

/// Blocks SIGTERM and SIGINT in the calling thread and those it will start.
pub fn block() -> io::Result<()> {
    let set = signals();
    // SAFETY: the set is valid for the call; no old set is asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Waits for SIGTERM or SIGINT, which [`block`] must have blocked in all threads.
pub async fn terminated() -> io::Result<Signal> {
    let set = signals();
    // SAFETY: the set is valid for the call.
    let made = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC) };
    let signals = File::from_std(owned_or_errno(made)?.into());
    // Signalfd knows no positions: all ones means the current one.
    let (read, info) = signals.read_at(Buffer::with_capacity(1), u64::MAX).await;
    read?;
    let number = info
        .first_chunk::<4>()
        .map(|number| u32::from_ne_bytes(*number) as i32);
    Ok(if number == Some(libc::SIGINT) {
        Signal::Interrupt
    } else {
        Signal::Terminate
    })
}

fn signals() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data, and is initialised by sigemptyset.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        set
    }
}
