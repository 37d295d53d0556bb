//! Buffers for what arrives: memory that is resident, reused and bounded per thread.
//!
//! A fresh page costs a fault and a clearing, about as much as copying into it twice; so memory is
//! kept and handed out again. A [`Buffer`] is uniquely owned and grows only as bytes arrive;
//! [`Buffer::freeze`] turns it into shared [`Bytes`] whose last drop, on whichever thread, gives the
//! memory back to the pool of the thread that took it.
//!
//! Invariants:
//! - `start <= filled <= capacity`; all memory up to `capacity` is initialised.
//! - A pool keeps at most `cached_bytes_max` unused bytes; what is in use is counted, not refused:
//!   the server asks [`pool`] and stops reading from sockets while it is over its limit.
//! - In debug builds memory is overwritten with [`POISON`] when it is given back, so a test sees
//!   it if the kernel or a slice still used it.

use bytes::Bytes;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

mod memory;
#[cfg(test)]
mod tests;

use memory::Memory;

/// What released memory is filled with in debug builds.
pub const POISON: u8 = 0xDD;

/// The sizes that pools keep. A buffer grows from one to the next, never more than four-fold, so
/// that a frame that stops half-way has cost a small multiple of what has arrived.
const CLASS_BYTES: [usize; 8] = [
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    2 << 20,
    4 << 20,
    8 << 20,
];

/// Above this, memory comes from `mmap` and grows by `mremap`: no copy, and no page is resident
/// before a byte arrives in it.
const HEAP_BYTES_MAX: usize = 1 << 20;

const DEFAULT_LIMIT_BYTES: usize = 256 << 20;
const DEFAULT_CACHED_BYTES_MAX: usize = 64 << 20;

/// A pool's account and the place where other threads return its memory. Leaked, one per thread
/// that ever used a buffer: buffers outlive threads.
struct Home {
    in_use_bytes: AtomicUsize,
    limit_bytes: AtomicUsize,
    cached_bytes_max: AtomicUsize,
    returned: Mutex<Returned>,
}

#[derive(Default)]
struct Returned {
    memory: Vec<Memory>,
    bytes: usize,
    closed: bool,
}

/// The unused memory of this thread.
struct Local {
    home: &'static Home,
    classes: [Vec<Memory>; CLASS_BYTES.len()],
    cached_bytes: usize,
}

thread_local! {
    static LOCAL: RefCell<Local> = RefCell::new(Local::new());
}

/// The account of the calling thread's pool.
#[derive(Clone, Copy)]
pub struct Pool(&'static Home);

/// The calling thread's pool.
pub fn pool() -> Pool {
    Pool(LOCAL.with_borrow(|local| local.home))
}

impl Pool {
    /// Bytes of buffers taken on this thread and not given back, frozen ones included.
    pub fn in_use_bytes(&self) -> usize {
        self.0.in_use_bytes.load(Ordering::Relaxed)
    }

    /// The budget: at or above it, stop taking on work.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes.load(Ordering::Relaxed)
    }

    /// Whether so much is in use that no new work should be read.
    pub fn is_over_limit(&self) -> bool {
        self.in_use_bytes() >= self.limit_bytes()
    }

    pub(crate) fn limit_to(&self, limit_bytes: usize, cached_bytes_max: usize) {
        self.0.limit_bytes.store(limit_bytes, Ordering::Relaxed);
        self.0
            .cached_bytes_max
            .store(cached_bytes_max, Ordering::Relaxed);
    }
}

/// Uniquely owned memory that is filled from the front and may be consumed from the front.
///
/// Dereferences to the bytes that are filled and not consumed.
pub struct Buffer {
    memory: Option<Memory>,
    home: &'static Home,
    start: usize,
    filled: usize,
}

impl Buffer {
    /// An empty buffer without memory; the first use takes some.
    pub fn new() -> Self {
        Self {
            memory: None,
            home: pool().0,
            start: 0,
            filled: 0,
        }
    }

    /// An empty buffer with at least `bytes` of capacity (rounded up to a pooled size).
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Self::new();
        buffer.set_memory(take(class_at_least(bytes)));
        buffer
    }

    /// Marks `bytes` of the spare capacity as filled.
    ///
    /// # Panics
    /// If there is less spare capacity.
    pub fn advance(&mut self, bytes: usize) {
        assert!(
            bytes <= self.spare_bytes(),
            "advanced by {bytes} of {}",
            self.spare_bytes()
        );
        self.filled += bytes;
    }

    /// Drops `bytes` from the front without moving the rest.
    ///
    /// # Panics
    /// If fewer are filled.
    pub fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.len(), "consumed {bytes} of {}", self.len());
        self.start += bytes;
        if self.start == self.filled {
            self.clear();
        }
    }

    /// Forgets the contents, keeps the memory.
    pub fn clear(&mut self) {
        self.start = 0;
        self.filled = 0;
    }

    /// Keeps only the first `bytes` of the contents.
    pub fn truncate(&mut self, bytes: usize) {
        self.filled = self.filled.min(self.start + bytes);
    }

    /// Appends `bytes`, growing as needed.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.spare_mut()[..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// Grows to the next size if there is no room left. What has been consumed from the front is
    /// reclaimed first.
    pub fn make_room(&mut self) {
        if self.spare_bytes() == 0 {
            self.reserve(1);
        }
    }

    /// Makes room for `bytes` more. For lengths that are trusted: for a length read from a socket
    /// use [`make_room`](Self::make_room) and let the bytes come first.
    pub fn reserve(&mut self, bytes: usize) {
        if self.spare_bytes() >= bytes {
            return;
        }
        if self.start > 0 && self.len() + bytes <= self.capacity() {
            let (start, filled) = (self.start, self.filled);
            self.whole_mut().copy_within(start..filled, 0);
            self.filled -= self.start;
            self.start = 0;
            return;
        }
        self.grow_to(class_at_least(self.len() + bytes));
    }

    /// The memory behind the contents. Initialised, though with leftovers of earlier users.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        &mut self.whole_mut()[filled..]
    }

    /// Bytes that fit without growing.
    pub fn spare_bytes(&self) -> usize {
        self.capacity() - self.filled
    }

    /// Bytes of memory behind this buffer.
    pub fn capacity(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::len)
    }

    /// Shares the contents. The memory returns to its pool with the last clone or slice.
    pub fn freeze(self) -> Bytes {
        if self.is_empty() {
            Bytes::new()
        } else {
            Bytes::from_owner(Frozen(self))
        }
    }

    /// Shares the first `bytes` and keeps the rest in a buffer of its own: the rest is copied, so
    /// call it when a frame is complete and little of the next one has arrived.
    ///
    /// # Panics
    /// If fewer are filled.
    pub fn split_frozen(&mut self, bytes: usize) -> Bytes {
        assert!(bytes <= self.len(), "split at {bytes} of {}", self.len());
        let rest = &self[bytes..];
        let mut next = Self::new();
        if !rest.is_empty() {
            next.extend_from_slice(rest);
        }
        let mut front = std::mem::replace(self, next);
        front.truncate(bytes);
        front.freeze()
    }

    fn grow_to(&mut self, capacity: usize) {
        let contents = self.len();
        let grown = match self.memory.take() {
            Some(memory) if self.start == 0 && memory.is_mapped() => {
                self.account(-(memory.len() as isize));
                memory.grown(capacity)
            }
            old => {
                let mut grown = take(capacity);
                if let Some(old) = old {
                    let filled = &old.bytes()[self.start..self.filled];
                    grown.bytes_mut()[..contents].copy_from_slice(filled);
                    self.account(-(old.len() as isize));
                    give_back(self.home, old);
                }
                grown
            }
        };
        self.start = 0;
        self.filled = contents;
        self.set_memory(grown);
    }

    fn set_memory(&mut self, memory: Memory) {
        self.account(memory.len() as isize);
        self.memory = Some(memory);
    }

    fn account(&self, bytes: isize) {
        self.home
            .in_use_bytes
            .fetch_add(bytes as usize, Ordering::Relaxed);
    }

    fn whole_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().map_or(&mut [], Memory::bytes_mut)
    }

    /// Where the kernel may write, with the number of bytes.
    pub(crate) fn spare_pointer(&mut self) -> (*mut u8, u32) {
        let spare = self.spare_mut();
        (
            spare.as_mut_ptr(),
            u32::try_from(spare.len()).unwrap_or(u32::MAX),
        )
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory
            .as_ref()
            .map_or(&[], |memory| &memory.bytes()[self.start..self.filled])
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, filled) = (self.start, self.filled);
        &mut self.whole_mut()[start..filled]
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.len(), self.capacity())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.account(-(memory.len() as isize));
            give_back(self.home, memory);
        }
    }
}

struct Frozen(Buffer);

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The pooled size for `bytes`; above the largest, the next power of two.
fn class_at_least(bytes: usize) -> usize {
    let class = CLASS_BYTES.iter().find(|&&class| class >= bytes);
    class.copied().unwrap_or_else(|| bytes.next_power_of_two())
}

fn class_index(capacity: usize) -> Option<usize> {
    CLASS_BYTES.iter().position(|&class| class == capacity)
}

fn take(capacity: usize) -> Memory {
    LOCAL
        .try_with(|local| local.borrow_mut().take(capacity))
        .ok()
        .flatten()
        .unwrap_or_else(|| Memory::new(capacity))
}

/// Gives memory back to the pool it came from, or frees it where that pool is full or gone.
fn give_back(home: &'static Home, mut memory: Memory) {
    if cfg!(debug_assertions) {
        memory.bytes_mut().fill(POISON);
    }
    if class_index(memory.len()).is_none() {
        return;
    }
    // If this thread is ending, its pool is gone and the memory is freed with the closure.
    let _ = LOCAL.try_with(|local| {
        let mut local = local.borrow_mut();
        if std::ptr::eq(local.home, home) {
            local.keep(memory)
        } else {
            home.accept(memory)
        }
    });
}

impl Home {
    fn accept(&self, memory: Memory) {
        let mut returned = self
            .returned
            .lock()
            .expect("nothing panics while it is locked");
        let bytes = returned.bytes + memory.len();
        if !returned.closed && bytes <= self.cached_bytes_max.load(Ordering::Relaxed) {
            returned.bytes = bytes;
            returned.memory.push(memory);
        }
    }
}

impl Local {
    fn new() -> Self {
        let home = Box::leak(Box::new(Home {
            in_use_bytes: AtomicUsize::new(0),
            limit_bytes: AtomicUsize::new(DEFAULT_LIMIT_BYTES),
            cached_bytes_max: AtomicUsize::new(DEFAULT_CACHED_BYTES_MAX),
            returned: Mutex::default(),
        }));
        Self {
            home,
            classes: Default::default(),
            cached_bytes: 0,
        }
    }

    fn take(&mut self, capacity: usize) -> Option<Memory> {
        let class = class_index(capacity)?;
        if self.classes[class].is_empty() {
            self.collect_returned();
        }
        let memory = self.classes[class].pop()?;
        self.cached_bytes -= capacity;
        Some(memory)
    }

    fn keep(&mut self, memory: Memory) {
        let bytes = self.cached_bytes + memory.len();
        if let Some(class) = class_index(memory.len())
            && bytes <= self.home.cached_bytes_max.load(Ordering::Relaxed)
        {
            self.cached_bytes = bytes;
            self.classes[class].push(memory);
        }
    }

    fn collect_returned(&mut self) {
        let memory = {
            let mut returned = self
                .home
                .returned
                .lock()
                .expect("nothing panics while locked");
            returned.bytes = 0;
            std::mem::take(&mut returned.memory)
        };
        memory.into_iter().for_each(|memory| self.keep(memory));
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let mut returned = self
            .home
            .returned
            .lock()
            .expect("nothing panics while it is locked");
        returned.closed = true;
        returned.memory.clear();
    }
}
