//! The unused memory of a thread, and the account of what it has in use.
//!
//! A block that is given back on another thread than it was taken on returns to its own: otherwise
//! memory would pile up where data is written, and be taken fresh where it arrives.

use super::CLASS_BYTES;
use super::memory::Memory;
use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// What released memory is filled with in debug builds.
pub const POISON: u8 = 0xDD;

const DEFAULT_LIMIT_BYTES: usize = 256 << 20;
const DEFAULT_CACHED_BYTES_MAX: usize = 64 << 20;

/// Memory with what a buffer knows of it. Boxed once, and kept together in the pool.
pub(super) struct Block {
    pub(super) memory: Memory,
    /// The contents are from here...
    pub(super) start: usize,
    /// ...to here.
    pub(super) filled: usize,
    home: &'static Home,
}

/// A pool's account and the place where other threads return its memory. Leaked, one per thread
/// that ever used a buffer: buffers outlive threads.
struct Home {
    /// Changed by the thread itself only, so without a locked instruction.
    in_use_here_bytes: AtomicUsize,
    /// What other threads have given back, modulo 2^64: added to the above, it makes what is in
    /// use.
    in_use_elsewhere_bytes: AtomicUsize,
    limit_bytes: AtomicUsize,
    cached_bytes_max: AtomicUsize,
    returned: Mutex<Returned>,
}

#[derive(Default)]
struct Returned {
    #[allow(
        clippy::vec_box,
        reason = "blocks move between lists, buffers and operations"
    )]
    blocks: Vec<Box<Block>>,
    bytes: usize,
    closed: bool,
}

/// The unused memory of this thread.
struct Local {
    home: &'static Home,
    #[allow(
        clippy::vec_box,
        reason = "blocks move between lists, buffers and operations"
    )]
    classes: [Vec<Box<Block>>; CLASS_BYTES.len()],
    cached_bytes: usize,
}

thread_local! {
    /// This thread's, once it has one.
    static HOME: Cell<*const Home> = const { Cell::new(ptr::null()) };
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
        let here = self.0.in_use_here_bytes.load(Ordering::Relaxed);
        here.wrapping_add(self.0.in_use_elsewhere_bytes.load(Ordering::Relaxed))
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

    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        LOCAL.with_borrow(|local| local.cached_bytes)
    }
}

/// Memory of another kind, such as an answer in a `Vec`, in the account of the thread that made
/// this, until it is dropped on whichever thread.
pub struct Charge {
    home: &'static Home,
    bytes: usize,
}

impl Charge {
    /// `bytes` more are in use.
    pub fn new(bytes: usize) -> Self {
        let Pool(home) = pool();
        home.account(bytes);
        Self { home, bytes }
    }

    /// It is `bytes` now.
    pub fn resize(&mut self, bytes: usize) {
        self.home.account(bytes.wrapping_sub(self.bytes));
        self.bytes = bytes;
    }

    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// An empty block of `capacity` bytes: an unused one of this thread, or a new one.
pub(super) fn take(capacity: usize) -> Box<Block> {
    LOCAL.with_borrow_mut(|local| {
        local.home.account(capacity);
        let home = local.home;
        local.take(capacity).unwrap_or_else(|| {
            Box::new(Block {
                memory: Memory::new(capacity),
                start: 0,
                filled: 0,
                home,
            })
        })
    })
}

/// Gives memory back to the pool it came from, or frees it where that pool is full or gone.
pub(super) fn give_back(mut block: Box<Block>) {
    let home = block.home;
    home.account(block.memory.len().wrapping_neg());
    (block.start, block.filled) = (0, 0);
    if cfg!(debug_assertions) {
        block.memory.bytes_mut().fill(POISON);
    }
    if !ptr::eq(HOME.get(), home) {
        return home.accept(block);
    }
    // If this thread is ending, its pool is gone and the memory is freed with the closure.
    let _ = LOCAL.try_with(|local| local.borrow_mut().keep(block));
}

impl Block {
    /// Grows mapped memory in place.
    pub(super) fn grow(&mut self, capacity: usize) {
        self.home.account(capacity - self.memory.len());
        self.memory.grow(capacity);
    }
}

fn class_index(capacity: usize) -> Option<usize> {
    CLASS_BYTES.iter().position(|&class| class == capacity)
}

impl Home {
    /// Adds `bytes`, modulo 2^64, to what is in use.
    fn account(&self, bytes: usize) {
        if ptr::eq(HOME.get(), self) {
            let here = self.in_use_here_bytes.load(Ordering::Relaxed);
            self.in_use_here_bytes
                .store(here.wrapping_add(bytes), Ordering::Relaxed);
        } else {
            self.in_use_elsewhere_bytes
                .fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn accept(&self, block: Box<Block>) {
        let mut returned = self.returned();
        let bytes = returned.bytes + block.memory.len();
        let fits = bytes <= self.cached_bytes_max.load(Ordering::Relaxed);
        if !returned.closed && fits && class_index(block.memory.len()).is_some() {
            returned.bytes = bytes;
            returned.blocks.push(block);
        }
    }

    fn returned(&self) -> MutexGuard<'_, Returned> {
        self.returned
            .lock()
            .expect("nothing panics while it is locked")
    }
}

impl Local {
    fn new() -> Self {
        let home = Box::leak(Box::new(Home {
            in_use_here_bytes: AtomicUsize::new(0),
            in_use_elsewhere_bytes: AtomicUsize::new(0),
            limit_bytes: AtomicUsize::new(DEFAULT_LIMIT_BYTES),
            cached_bytes_max: AtomicUsize::new(DEFAULT_CACHED_BYTES_MAX),
            returned: Mutex::default(),
        }));
        HOME.set(home);
        Self {
            home,
            classes: Default::default(),
            cached_bytes: 0,
        }
    }

    fn take(&mut self, capacity: usize) -> Option<Box<Block>> {
        let class = class_index(capacity)?;
        if self.classes[class].is_empty() {
            self.collect_returned();
        }
        let block = self.classes[class].pop()?;
        self.cached_bytes -= capacity;
        Some(block)
    }

    fn keep(&mut self, block: Box<Block>) {
        let bytes = self.cached_bytes + block.memory.len();
        if let Some(class) = class_index(block.memory.len())
            && bytes <= self.home.cached_bytes_max.load(Ordering::Relaxed)
        {
            self.cached_bytes = bytes;
            self.classes[class].push(block);
        }
    }

    fn collect_returned(&mut self) {
        let blocks = {
            let mut returned = self.home.returned();
            returned.bytes = 0;
            std::mem::take(&mut returned.blocks)
        };
        blocks.into_iter().for_each(|block| self.keep(block));
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let mut returned = self.home.returned();
        returned.closed = true;
        returned.blocks.clear();
    }
}
