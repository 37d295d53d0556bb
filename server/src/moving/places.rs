//! How many moves go on at once: `num.replica.alter.log.dirs.threads`, or as many as there are log
//! directories. All shards share them.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ring::event::first_of;

use crate::shard::Shard;

/// Other shards are looked at this often for a place that has become free.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct Places {
    count: usize,
    free: AtomicUsize,
}

/// The place of one move. Free again when this is dropped.
#[must_use]
pub(super) struct Place(Rc<Shard>);

impl Places {
    /// All free.
    pub fn new(count: usize) -> Places {
        Places {
            count,
            free: AtomicUsize::new(count),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    fn try_take(&self) -> bool {
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let taken = self
            .free
            .fetch_update(set, fetch, |free| free.checked_sub(1));
        taken.is_ok()
    }
}

/// Waits for a place.
pub(super) async fn take(shard: &Rc<Shard>) -> Place {
    while !shard.node.move_places.try_take() {
        let here = shard.moves.place_free.wait();
        first_of(here, ring::timer::sleep(LOOK_INTERVAL)).await;
    }
    Place(shard.clone())
}

impl Drop for Place {
    fn drop(&mut self) {
        let Place(shard) = self;
        shard.node.move_places.free.fetch_add(1, Ordering::Relaxed);
        shard.moves.place_free.notify();
    }
}
