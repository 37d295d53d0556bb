//! Moves of partitions' logs between the directories of `log.dirs` (KIP-113), while they are read and
//! written: a copy is filled beside the log, and takes its place when it has all of it.
//!
//! A shard moves its own partitions; `request` begins and ends moves as clients ask, `copying` carries
//! them out, `partition/exchanging` puts the copy in place, `places` says how many at once, `pace` how
//! fast.
//! Invariants: a partition has one move at most; whoever works on a copy has taken it out of its
//! [`Move`], and puts it back before it waits for anything but the disk.

mod copying;
mod pace;
mod places;
mod request;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use engine::log::Log;
use protocol::ids::{Offset, Uuid};
use ring::Helpers;
use ring::event::Event;

use crate::checkpoints;
use crate::directories::LogCheckpoint;
use crate::node::Node;
use crate::partition::{Partition, PartitionKey};
use crate::shard::Shard;

pub use pace::Pace;
pub use places::Places;
pub use request::{MoveQuestion, Wanted, give_up};

/// The moves of one shard.
#[derive(Default)]
pub struct Moves {
    all: RefCell<HashMap<PartitionKey, Rc<Move>>>,
    /// Notified when a move of this shard has given up its place.
    place_free: Event,
    /// Started with the first move.
    helpers: OnceCell<Helpers>,
}

/// One partition on its way to another directory.
pub struct Move {
    partition: Rc<Partition>,
    to: Uuid,
    /// Here while nobody works on it.
    copy: RefCell<Option<Log>>,
    seen: RefCell<Seen>,
    is_stopped: Cell<bool>,
    /// The copy is the partition's log now, or cannot be used any more.
    is_done: Cell<bool>,
    /// Notified when the copy is back, or the move is done.
    returned: Event,
}

/// What the copy was when it was last put back.
#[derive(Clone)]
pub struct Seen {
    /// What its directory's checkpoints are to say of it.
    pub checkpoint: LogCheckpoint,
    /// Its size.
    pub bytes: u64,
    /// Where it ends.
    pub end: Offset,
}

impl Seen {
    fn of(shard: &Shard, copy: &Log) -> Seen {
        let end = copy.log_end_offset();
        Seen {
            checkpoint: checkpoints::of_log(&shard.node.directories, copy, end),
            bytes: copy.size_bytes(),
            end,
        }
    }
}

impl Moves {
    /// What there is to say of every move, with its partition.
    pub fn seen(&self) -> Vec<(Rc<Partition>, Seen)> {
        let moves = self.all.borrow();
        let seen = |one: &Rc<Move>| (one.partition.clone(), one.seen.borrow().clone());
        moves.values().map(seen).collect()
    }

    /// Ends a move. Answers its copy, unless that has become the log or is lost.
    pub async fn give_up(&self, key: &PartitionKey) -> Option<Log> {
        let one = self.all.borrow().get(key).cloned()?;
        let copy = one.stop().await;
        self.forget(&one);
        copy
    }

    fn find(&self, key: &PartitionKey) -> Option<Rc<Move>> {
        self.all.borrow().get(key).cloned()
    }

    fn forget(&self, gone: &Rc<Move>) {
        let mut moves = self.all.borrow_mut();
        let key = gone.partition.key;
        if moves.get(&key).is_some_and(|one| Rc::ptr_eq(one, gone)) {
            moves.remove(&key);
            gone.partition.set_moving(false);
        }
    }

    fn helpers(&self, node: &Node) -> &Helpers {
        let threads = node.move_places.count().div_ceil(node.shards);
        let start = || Helpers::start("log-mover", threads);
        self.helpers.get_or_init(start)
    }
}

/// Goes on with a move that an earlier process began, before anything is written to the partition.
pub fn resume(shard: &Rc<Shard>, partition: &Rc<Partition>, copy: Log, to: Uuid) {
    let Ok(end) = partition.log().map(|log| log.log_end_offset()) else {
        return; // The copy stays for the next start.
    };
    begin(shard, partition, copy, to, Some(end));
}

/// `found_end` is where the log ended when an earlier process's copy was found.
fn begin(
    shard: &Rc<Shard>,
    partition: &Rc<Partition>,
    copy: Log,
    to: Uuid,
    found_end: Option<Offset>,
) {
    let one = Rc::new(Move {
        partition: partition.clone(),
        to,
        seen: RefCell::new(Seen::of(shard, &copy)),
        copy: RefCell::new(Some(copy)),
        is_stopped: Cell::new(false),
        is_done: Cell::new(false),
        returned: Event::new(),
    });
    partition.set_moving(true);
    let mut moves = shard.moves.all.borrow_mut();
    let former = moves.insert(partition.key, one.clone());
    assert!(former.is_none(), "a partition has one move at most");
    drop(moves);
    ring::spawn(copying::carry_out(shard.clone(), one, found_end));
}

impl Move {
    /// The copy, to work on it; `None` if the move is over.
    fn take(&self) -> Option<Log> {
        match self.is_over() {
            true => None,
            false => self.copy.borrow_mut().take(),
        }
    }

    fn put_back(&self, shard: &Shard, copy: Log) {
        *self.seen.borrow_mut() = Seen::of(shard, &copy);
        *self.copy.borrow_mut() = Some(copy);
        self.returned.notify();
    }

    /// What a start after a crash has to know of the log is said in the directory it goes to, before it
    /// is there: the log may begin within a batch, and may have been compacted.
    async fn write_checkpoint(&self, shard: &Shard) -> io::Result<()> {
        let Some(mut copy) = self.take() else {
            return Ok(());
        };
        if let Ok(log) = self.partition.log() {
            copy.advance_log_start(log.log_start_offset().min(copy.log_end_offset()));
        }
        self.put_back(shard, copy);
        let (directories, said) = (shard.node.directories.clone(), self.seen.borrow().clone());
        // Behind checkpoints that may be on their way.
        ring::offload_slow(move || directories.write_checkpoint_of(&said.checkpoint)).await
    }

    fn done(&self) {
        self.is_done.set(true);
        self.returned.notify();
    }

    async fn stop(&self) -> Option<Log> {
        self.is_stopped.set(true);
        loop {
            if let Some(copy) = self.copy.borrow_mut().take() {
                return Some(copy);
            }
            if self.is_done.get() {
                return None;
            }
            self.returned.wait().await;
        }
    }

    fn is_over(&self) -> bool {
        self.is_stopped.get() || self.is_done.get()
    }
}
