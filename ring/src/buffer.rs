//! Buffers for what arrives: memory that is resident, reused and bounded per thread.
//!
//! A fresh page costs a fault and a clearing, about as much as copying into it twice; so memory is
//! kept and handed out again. A [`Buffer`] is uniquely owned and grows only as bytes arrive;
//! [`Buffer::freeze`] turns it into shared [`Bytes`] whose last drop, on whichever thread, gives the
//! memory back to the pool of the thread that took it.
//!
//! Invariants:
//! - `start <= filled <= capacity`; all memory up to the capacity is initialised.
//! - A pool keeps at most its limit of unused bytes; what is in use is counted, not refused: the
//!   server asks [`pool`] and stops reading from sockets while it is over its limit. What is held
//!   for a request in other memory is counted with it, by a [`Charge`].
//! - In debug builds memory is overwritten with [`POISON`] when it is given back, so a test sees
//!   it if the kernel or a slice still used it.

use bytes::Bytes;
use std::ops::{Deref, DerefMut};

mod memory;
mod pool;
#[cfg(test)]
mod tests;

use pool::Block;
pub use pool::{Charge, POISON, Pool, pool};

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

/// Uniquely owned memory that is filled from the front and may be consumed from the front.
///
/// Dereferences to the bytes that are filled and not consumed. As large as a pointer: it moves
/// through futures and the slab of operations often.
#[derive(Default)]
pub struct Buffer(Option<Box<Block>>);

impl Buffer {
    /// An empty buffer without memory; the first use takes some.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with at least `bytes` of capacity (rounded up to a pooled size).
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Some(pool::take(class_at_least(bytes))))
    }

    /// Marks `bytes` of the spare capacity as filled.
    ///
    /// # Panics
    /// If there is less spare capacity.
    pub fn advance(&mut self, bytes: usize) {
        let spare = self.spare_bytes();
        assert!(bytes <= spare, "advanced by {bytes} of {spare}");
        if let Some(block) = &mut self.0 {
            block.filled += bytes;
        }
    }

    /// Drops `bytes` from the front without moving the rest.
    ///
    /// # Panics
    /// If fewer are filled.
    pub fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.len(), "consumed {bytes} of {}", self.len());
        if let Some(block) = &mut self.0 {
            block.start += bytes;
            if block.start == block.filled {
                (block.start, block.filled) = (0, 0);
            }
        }
    }

    /// Forgets the contents, keeps the memory.
    pub fn clear(&mut self) {
        self.consume(self.len());
    }

    /// Keeps only the first `bytes` of the contents.
    pub fn truncate(&mut self, bytes: usize) {
        if let Some(block) = &mut self.0 {
            block.filled = block.filled.min(block.start.saturating_add(bytes));
        }
    }

    /// Appends `bytes`, growing as needed.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.spare_mut()[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
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
        let capacity = class_at_least(self.len() + bytes);
        match &mut self.0 {
            None => *self = Self::with_capacity(capacity),
            Some(block) if block.start > 0 && capacity <= block.memory.len() => {
                let contents = block.start..block.filled;
                block.memory.bytes_mut().copy_within(contents, 0);
                block.filled -= block.start;
                block.start = 0;
            }
            Some(block) if block.start == 0 && block.memory.is_mapped() => block.grow(capacity),
            Some(_) => {
                let mut grown = Self::with_capacity(capacity);
                grown.extend_from_slice(self);
                *self = grown;
            }
        }
    }

    /// The memory behind the contents. Initialised, though with leftovers of earlier users.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(block) => &mut block.memory.bytes_mut()[block.filled..],
            None => &mut [],
        }
    }

    /// Bytes that fit without growing.
    pub fn spare_bytes(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |block| block.memory.len() - block.filled)
    }

    /// Bytes of memory behind this buffer.
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |block| block.memory.len())
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

    /// Where the kernel may write, with the number of bytes.
    pub(crate) fn spare_pointer(&mut self) -> (*mut u8, u32) {
        let spare = self.spare_mut();
        (
            spare.as_mut_ptr(),
            u32::try_from(spare.len()).unwrap_or(u32::MAX),
        )
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Some(block) => &block.memory.bytes()[block.start..block.filled],
            None => &[],
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(block) => &mut block.memory.bytes_mut()[block.start..block.filled],
            None => &mut [],
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.len(), self.capacity())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(block) = self.0.take() {
            pool::give_back(block);
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
