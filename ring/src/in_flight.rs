//! The operations that the kernel has not answered yet, and the memory it may still touch for them.
//!
//! Must not know the ring. A slot is taken when an operation is queued and freed when its
//! completion has come *and* its future has taken it or is gone: until then everything the kernel
//! was given stays in the slot, whatever happens to the future.

use crate::buffer::Buffer;
use crate::descriptor::Descriptor;
use bytes::{Buf, Bytes};
use std::ffi::CString;
use std::os::fd::FromRawFd;
use std::task::Waker;

/// What the kernel may read or write until it has answered. Everything an operation points to lies
/// on the heap behind one of these, so that moving a `Held` moves nothing the kernel sees.
pub(crate) enum Held {
    /// Operations without memory: fsync, fallocate, poll.
    Descriptor(#[allow(dead_code, reason = "held, not read")] Descriptor),
    /// Receive and read.
    Buffer(
        #[allow(dead_code, reason = "held, not read")] Descriptor,
        Buffer,
    ),
    /// Vectored send and write.
    Gather(
        #[allow(dead_code, reason = "held, not read")] Descriptor,
        Box<Gather>,
    ),
    /// Connect.
    Address(
        #[allow(dead_code, reason = "held, not read")] Descriptor,
        #[allow(dead_code, reason = "held, not read")] Box<Address>,
    ),
    /// Accept, which answers with a new descriptor.
    Accept(
        #[allow(dead_code, reason = "held, not read")] Descriptor,
        Box<Address>,
    ),
    /// Open, which answers with a new descriptor.
    Path(#[allow(dead_code, reason = "held, not read")] CString),
}

/// A socket address as the kernel writes and reads it.
pub(crate) struct Address {
    pub(crate) storage: libc::sockaddr_storage,
    pub(crate) len: libc::socklen_t,
}

/// Several pieces that go out in one system call.
pub(crate) struct Gather {
    pieces: Vec<Bytes>,
    /// The first piece that is not wholly out.
    next: usize,
    vectors: Vec<libc::iovec>,
    pub(crate) header: libc::msghdr,
}

/// `IOV_MAX` of Linux: pieces in one system call.
const VECTORS_MAX: usize = 1024;

impl Gather {
    pub(crate) fn new(pieces: Vec<Bytes>) -> Box<Self> {
        // SAFETY: a msghdr is plain data for which all zeroes means: no name, no vectors.
        let header = unsafe { std::mem::zeroed() };
        let vectors = Vec::with_capacity(pieces.len().min(VECTORS_MAX));
        Box::new(Self {
            pieces,
            next: 0,
            vectors,
            header,
        })
    }

    /// Points the vectors and the header at what is not out yet, as much as one call takes but at
    /// most `bytes_max`, and returns the vectors. Both stay valid until `self` is changed or dropped.
    pub(crate) fn aim(&mut self, bytes_max: usize) -> (*const libc::iovec, u32) {
        let mut room = bytes_max;
        self.vectors.clear();
        for piece in self.pieces[self.next..].iter().take(VECTORS_MAX) {
            let iov_len = piece.len().min(room);
            self.vectors.push(libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len,
            });
            room -= iov_len;
            if room == 0 {
                break;
            }
        }
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
        (self.vectors.as_ptr(), self.vectors.len() as u32)
    }

    /// Takes note that `bytes` more are out.
    ///
    /// # Panics
    /// If there were fewer.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.pieces.get_mut(self.next) {
            if bytes < piece.len() {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            *piece = Bytes::new();
            self.next += 1;
        }
        assert_eq!(bytes, 0, "the kernel wrote more than it was given");
    }

    pub(crate) fn is_done(&self) -> bool {
        self.pieces[self.next..].iter().all(Bytes::is_empty)
    }
}

/// Names a slot, for one use of it. Travels through the kernel as `user_data`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    pub(crate) fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub(crate) fn from_user_data(user_data: u64) -> Self {
        Self {
            slot: user_data as u32,
            generation: (user_data >> 32) as u32,
        }
    }
}

/// The kernel's answer, with what it was lent.
pub(crate) struct Completion {
    /// As of the system call, but errors are negative errno.
    result: i32,
    pub(crate) held: Held,
}

impl Completion {
    pub(crate) fn result(&self) -> std::io::Result<u32> {
        u32::try_from(self.result).map_err(|_| std::io::Error::from_raw_os_error(-self.result))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Free,
    /// The kernel has it, and a future waits for it.
    Waiting,
    /// The kernel has answered; the future has not taken it yet.
    Done,
    /// The kernel has it and nobody waits.
    Abandoned,
}

struct Slot {
    generation: u32,
    phase: Phase,
    /// Once done.
    result: i32,
    /// Of the task that waits, once it has polled.
    waker: Option<Waker>,
    /// Unless free.
    held: Option<Held>,
}

/// The slab.
#[derive(Default)]
pub(crate) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
    at_kernel: usize,
}

/// What a completion means for the thread: done after the slab is no longer borrowed.
pub(crate) enum Answered {
    Wake(Waker),
    /// Nobody waits: drop it.
    Release(Completion),
    Nothing,
}

impl InFlight {
    /// Operations that the kernel has not answered.
    pub(crate) fn at_kernel(&self) -> usize {
        self.at_kernel
    }

    pub(crate) fn insert(&mut self, held: Held) -> Key {
        self.at_kernel += 1;
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.phase = Phase::Waiting;
            place.held = Some(held);
            return Key {
                slot,
                generation: place.generation,
            };
        }
        let (phase, held) = (Phase::Waiting, Some(held));
        self.slots.push(Slot {
            generation: 0,
            phase,
            result: 0,
            waker: None,
            held,
        });
        Key {
            slot: (self.slots.len() - 1) as u32,
            generation: 0,
        }
    }

    /// The kernel has answered `key`.
    pub(crate) fn complete(&mut self, key: Key, result: i32) -> Answered {
        let place = self.place(key);
        match place.phase {
            Phase::Waiting => {
                place.phase = Phase::Done;
                place.result = result;
                let waker = place.waker.take();
                self.at_kernel -= 1;
                waker.map_or(Answered::Nothing, Answered::Wake)
            }
            Phase::Abandoned => {
                place.result = result;
                self.at_kernel -= 1;
                Answered::Release(self.release(key))
            }
            phase @ (Phase::Free | Phase::Done) => panic!("completion of {key:?}, {phase:?}"),
        }
    }

    /// Takes the completion if it has come; else `waker` will be woken.
    pub(crate) fn take(&mut self, key: Key, waker: &Waker) -> Option<Completion> {
        let place = self.place(key);
        match place.phase {
            Phase::Waiting => {
                match &mut place.waker {
                    Some(stored) => stored.clone_from(waker),
                    None => place.waker = Some(waker.clone()),
                }
                None
            }
            Phase::Done => Some(self.release(key)),
            phase @ (Phase::Free | Phase::Abandoned) => panic!("poll of {key:?}, {phase:?}"),
        }
    }

    /// The future is gone. Returns the completion if it had come; `None` means that the kernel
    /// still has the operation, and should be asked to cancel it.
    pub(crate) fn abandon(&mut self, key: Key) -> Option<Completion> {
        let place = self.place(key);
        match place.phase {
            Phase::Waiting => {
                place.phase = Phase::Abandoned;
                place.waker = None;
                None
            }
            Phase::Done => Some(self.release(key)),
            phase @ (Phase::Free | Phase::Abandoned) => panic!("drop of {key:?}, {phase:?}"),
        }
    }

    /// The keys of all operations that the kernel has.
    pub(crate) fn keys_at_kernel(&self) -> Vec<Key> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| matches!(slot.phase, Phase::Waiting | Phase::Abandoned))
            .map(|(i, slot)| Key {
                slot: i as u32,
                generation: slot.generation,
            })
            .collect()
    }

    fn place(&mut self, key: Key) -> &mut Slot {
        let place = &mut self.slots[key.slot as usize];
        assert_eq!(place.generation, key.generation, "{key:?} was used up");
        place
    }

    fn release(&mut self, key: Key) -> Completion {
        let place = &mut self.slots[key.slot as usize];
        place.phase = Phase::Free;
        place.generation = place.generation.wrapping_add(1);
        let held = place.held.take().expect("a slot in use holds something");
        let result = place.result;
        self.free.push(key.slot);
        Completion { result, held }
    }
}

/// Drops what an operation held whose future is gone, and closes the descriptor it may have
/// brought, which nobody will ever see.
pub(crate) fn discard(completion: Completion) {
    if matches!(completion.held, Held::Accept(..) | Held::Path(_)) && completion.result >= 0 {
        // SAFETY: these operations answer with a new descriptor, and the only one who could have
        // taken it was the future that is gone.
        drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(completion.result) });
    }
}
