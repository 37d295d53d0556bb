//! A block of initialised memory: from the heap up to 1 MiB, mapped above, where it can grow
//! without a copy.
//!
//! Must not know pools or accounts.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

const PAGE_BYTES: usize = 4096;

/// Above this, memory is mapped and grows by `mremap`: no copy, and no page is resident before a byte
/// arrives in it.
const HEAP_BYTES_MAX: usize = 1 << 20;

pub(super) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the block is uniquely owned plain bytes; the heap and munmap take it from any thread.
unsafe impl Send for Memory {}
// SAFETY: shared access only reads the bytes.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Panics
    /// If the system is out of memory, or `len` is not a multiple of the page size.
    pub(super) fn new(len: usize) -> Self {
        assert!(
            len > 0 && len.is_multiple_of(PAGE_BYTES),
            "{len} bytes is not whole pages"
        );
        let start = if len > HEAP_BYTES_MAX {
            map(len)
        } else {
            allocate(len)
        };
        Self { start, len }
    }

    /// Makes room behind a mapped block, without a copy.
    pub(super) fn grow(&mut self, len: usize) {
        assert!(
            self.is_mapped() && len > self.len,
            "from {} to {len} bytes",
            self.len
        );
        // SAFETY: start and len are those of a mapping of ours, and nothing borrows it as
        // `&mut self` is the only access.
        let moved = unsafe {
            libc::mremap(
                self.start.as_ptr().cast(),
                self.len,
                len,
                libc::MREMAP_MAYMOVE,
            )
        };
        self.start = mapped_or_panic(moved, len);
        self.len = len;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.len > HEAP_BYTES_MAX
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: start is valid for len initialised bytes (zeroed when made) as long as self is.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.is_mapped() {
            // SAFETY: start and len are those of a mapping of ours that nothing uses any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        } else {
            // SAFETY: allocated in `allocate` with the same layout.
            unsafe { dealloc(self.start.as_ptr(), layout(self.len)) };
        }
    }
}

fn layout(len: usize) -> Layout {
    Layout::from_size_align(len, PAGE_BYTES).expect("bounded by HEAP_BYTES_MAX")
}

fn allocate(len: usize) -> NonNull<u8> {
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout(len)) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout(len)))
}

fn map(len: usize) -> NonNull<u8> {
    // SAFETY: a new anonymous private mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    mapped_or_panic(start, len)
}

fn mapped_or_panic(start: *mut libc::c_void, len: usize) -> NonNull<u8> {
    assert!(
        start != libc::MAP_FAILED,
        "no memory for a buffer of {len} bytes: {}",
        std::io::Error::last_os_error()
    );
    NonNull::new(start.cast()).expect("the kernel maps nothing at address 0 unasked")
}
