//! A shared file descriptor: closed when the last file, stream or operation in flight lets it go.
//!
//! An operation that has been queued names its descriptor by number. If the number could be closed
//! and used again before the kernel takes the operation, it would act on somebody else's file;
//! so every operation in flight holds a `Descriptor`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Descriptor(Arc<OwnedFd>);

impl Descriptor {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// The descriptor as the ring's operations name it.
    pub(crate) fn in_ring(&self) -> io_uring::types::Fd {
        io_uring::types::Fd(self.raw())
    }

    pub(crate) fn owned(&self) -> &OwnedFd {
        &self.0
    }
}

/// Takes what a system call returned: a new descriptor, or -1 and errno.
pub(crate) fn owned_or_errno(returned: libc::c_int) -> io::Result<OwnedFd> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor, so it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(returned) })
}
