//! Tasks and their wakers.
//!
//! A waker is no pointer but a name: (runtime, slot, generation) packed into the 64 bits of a
//! `RawWaker`'s data. So cloning and dropping one costs nothing, a wake from the task's own thread
//! touches no atomic, and a waker that outlives its task or its runtime is harmless: at worst it
//! polls another task once for nothing, which every future must bear.

use crate::cross_thread;
use crate::executor;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// Names a task: 12 bits of runtime, 26 of slot, 26 of generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskId(u64);

const SLOT_BITS: u32 = 26;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
/// Runtimes that can live at once in a process.
pub(crate) const RUNTIMES_MAX: usize = 1 << 12;
/// Tasks that can live at once in a runtime; the last slot number stands for `block_on`'s future.
pub(crate) const TASKS_MAX: usize = SLOT_MASK as usize;
const MAIN_SLOT: u32 = SLOT_MASK as u32;

const _: () = assert!(SLOT_BITS * 2 + RUNTIMES_MAX.ilog2() == u64::BITS);

impl TaskId {
    fn new(runtime: u16, slot: u32, generation: u32) -> Self {
        let generation = u64::from(generation) & SLOT_MASK;
        Self(u64::from(runtime) << (2 * SLOT_BITS) | u64::from(slot) << SLOT_BITS | generation)
    }

    /// The future that `block_on` runs.
    pub(crate) fn main(runtime: u16) -> Self {
        Self::new(runtime, MAIN_SLOT, 0)
    }

    pub(crate) fn is_main(self) -> bool {
        self.slot() == MAIN_SLOT
    }

    pub(crate) fn runtime(self) -> u16 {
        (self.0 >> (2 * SLOT_BITS)) as u16
    }

    fn slot(self) -> u32 {
        (self.0 >> SLOT_BITS & SLOT_MASK) as u32
    }

    fn generation(self) -> u32 {
        (self.0 & SLOT_MASK) as u32
    }

    pub(crate) fn waker(self) -> Waker {
        // SAFETY: the functions of VTABLE take the data for the number it is, never dereference
        // it, and may be called from any thread.
        unsafe { Waker::from_raw(raw_waker(self.0)) }
    }
}

fn raw_waker(id: u64) -> RawWaker {
    RawWaker::new(ptr::without_provenance(id as usize), &VTABLE)
}

static VTABLE: RawWakerVTable =
    RawWakerVTable::new(|data| raw_waker(data.addr() as u64), wake, wake, |_| {});

fn wake(data: *const ()) {
    let id = TaskId(data.addr() as u64);
    if !executor::wake_if_local(id) {
        cross_thread::wake(id);
    }
}

pub(crate) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of one runtime. Each is boxed once, when it is spawned.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    /// Whether the slot is in the run queue (and its task is to be polled).
    queued: bool,
    /// Absent while the task is being polled, and when the slot is free.
    future: Option<LocalFuture>,
}

impl Tasks {
    /// Adds a task that is ready, and returns its slot, which belongs into the run queue.
    pub(crate) fn insert(&mut self, future: LocalFuture) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            assert!(
                self.slots.len() < TASKS_MAX,
                "more than {TASKS_MAX} tasks on one runtime"
            );
            self.slots.push(Slot {
                generation: 0,
                queued: false,
                future: None,
            });
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        place.future = Some(future);
        place.queued = true;
        slot
    }

    /// Marks the task as ready. Returns its slot if it has to be put into the run queue.
    pub(crate) fn mark_ready(&mut self, id: TaskId) -> Option<u32> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
        if slot.queued || slot.generation & SLOT_MASK as u32 != id.generation() {
            return None;
        }
        slot.queued = true;
        Some(id.slot())
    }

    /// Takes the task out to be polled. `None` if the entry of the run queue was stale.
    pub(crate) fn take(&mut self, runtime: u16, slot: u32) -> Option<(TaskId, LocalFuture)> {
        let place = &mut self.slots[slot as usize];
        if !std::mem::take(&mut place.queued) {
            return None;
        }
        let future = place.future.take()?;
        Some((TaskId::new(runtime, slot, place.generation), future))
    }

    /// Puts a task back that is not done.
    pub(crate) fn put_back(&mut self, slot: u32, future: LocalFuture) {
        self.slots[slot as usize].future = Some(future);
    }

    /// Frees the slot of a task that is done: wakers that still name it miss.
    pub(crate) fn remove(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
    }

    /// Takes all tasks out, so that they can be dropped while nothing is borrowed.
    pub(crate) fn take_all(&mut self) -> Vec<LocalFuture> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.future.take())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_parts_apart() {
        let id = TaskId::new(0xabc, 0x123_4567, 0x2bc_def0);
        assert_eq!((id.runtime(), id.slot()), (0xabc, 0x123_4567));
        assert_eq!(id.generation(), 0x2bc_def0);
        assert!(TaskId::main(7).is_main());
    }

    #[test]
    fn a_waker_of_a_finished_task_misses_its_successor() {
        let mut tasks = Tasks::default();
        let slot = tasks.insert(Box::pin(async {}));
        let (old, _) = tasks.take(1, slot).expect("spawned tasks are ready");
        tasks.remove(slot);
        assert_eq!(tasks.insert(Box::pin(async {})), slot);
        let (new, future) = tasks.take(1, slot).expect("spawned tasks are ready");
        tasks.put_back(slot, future);
        assert_eq!(tasks.mark_ready(old), None);
        assert_eq!(tasks.mark_ready(new), Some(slot));
        assert_eq!(tasks.mark_ready(new), None, "once in the queue is enough");
    }
}
