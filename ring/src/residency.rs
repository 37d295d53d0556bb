//! Which parts of a file are in the page cache: a `sendfile` of cold pages would block the thread.
//!
//! `cachestat(2)` (6.5 and newer) counts the pages of a range. Older kernels are asked by
//! non-blocking reads of single bytes, one in each stretch that readahead brings in as a whole:
//! good enough to find a range that was never read or has been evicted, though one evicted page
//! within a stretch can hide.

use crate::descriptor::Descriptor;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

const PAGE_BYTES: u64 = 4096;
/// The kernel's default readahead window.
const STRETCH_BYTES: u64 = 128 << 10;

#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct CacheStat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// cachestat's number, the same on all architectures.
const SYS_CACHESTAT: libc::c_long = 451;
/// Set when the kernel or a sandbox has refused cachestat.
static NO_CACHESTAT: AtomicBool = AtomicBool::new(false);

/// Whether all of the range is in the page cache.
pub(crate) fn is_cached(descriptor: &Descriptor, position: u64, len: u64) -> bool {
    if len == 0 {
        return true;
    }
    if !NO_CACHESTAT.load(Ordering::Relaxed) {
        match cached_pages(descriptor, position, len) {
            Some(pages) => {
                let first = position / PAGE_BYTES;
                let last = (position + len - 1) / PAGE_BYTES;
                return pages > last - first;
            }
            None => NO_CACHESTAT.store(true, Ordering::Relaxed),
        }
    }
    is_cached_by_probing(descriptor, position, len)
}

fn cached_pages(descriptor: &Descriptor, position: u64, len: u64) -> Option<u64> {
    let range = Range {
        offset: position,
        len,
    };
    let mut stat = CacheStat::default();
    // SAFETY: both structures are laid out as the kernel's and live through the call.
    let rc = unsafe { libc::syscall(SYS_CACHESTAT, descriptor.raw(), &range, &mut stat, 0) };
    (rc == 0).then_some(stat.cached)
}

fn is_cached_by_probing(descriptor: &Descriptor, position: u64, len: u64) -> bool {
    let last = position + len - 1;
    let mut at = position;
    loop {
        let mut byte = [0];
        if !matches!(read_without_waiting(descriptor, &mut byte, at), Ok(Some(_))) {
            return false;
        }
        if at == last {
            return true;
        }
        at = last.min((at / STRETCH_BYTES + 1) * STRETCH_BYTES);
    }
}

/// Reads what is in the page cache; `None` if that would be nothing although there is something in
/// the file.
pub(crate) fn read_without_waiting(
    descriptor: &Descriptor,
    into: &mut [u8],
    position: u64,
) -> io::Result<Option<usize>> {
    let vector = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let position =
        libc::off_t::try_from(position).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the vector describes `into`, which is borrowed for writing through the call.
    let read = unsafe { libc::preadv2(descriptor.raw(), &vector, 1, position, libc::RWF_NOWAIT) };
    match usize::try_from(read) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
            // A file system without non-blocking reads: everything might block.
            error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn both_ways_tell_cached_from_cold() {
        let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        io::Write::write_all(&mut file, &vec![7; 1 << 20]).unwrap();
        file.as_file().sync_all().unwrap();
        let fd = file.as_file().as_raw_fd();
        let descriptor = Descriptor::new(file.reopen().unwrap().into());
        for probe in [is_cached, is_cached_by_probing] {
            let mut whole = vec![0; 1 << 20];
            io::Read::read_exact(&mut file.reopen().unwrap(), &mut whole).unwrap();
            assert!(probe(&descriptor, 0, 1 << 20));
            assert!(probe(&descriptor, (1 << 20) - 1, 1));
            // SAFETY: fadvise takes no pointers.
            let rc = unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
            assert_eq!(rc, 0);
            assert!(!probe(&descriptor, 0, 1 << 20));
        }
    }
}
