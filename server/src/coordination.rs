//! Coordinators on their shards: each partition of an internal topic has a driver beside it, which
//! holds the partition's machine and does what it decides.
//!
//! A request finds its partition by its key (`internal_topic`), crosses to the shard that owns it
//! and is answered by the machine, unless the partition is still being read (`load`). Drivers come
//! and go with the partitions of their shard. What a coordinator decides is not known here.

mod append;
mod driver;
pub mod groups;
pub mod internal_topic;
mod load;
pub mod transactions;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use coordinator::machine::Machine;
use engine::append::Origin;
use protocol::batch::Compression;
use protocol::error::ErrorCode;
use protocol::ids::PartitionIndex;

use crate::gather::Gather;
use crate::mail::{Done, Question};
use crate::partition::{Partition, PartitionKey};
use crate::scatter::Scatter;
use crate::shard::Shard;
pub use driver::Driver;
use groups::Groups;
use transactions::Transactions;

/// What a request comes to: the machine's reply, or why the machine was not asked.
pub type Answer<C> = Result<<C as Machine>::Reply, ErrorCode>;

/// A kind of machine with its place on the shards.
pub trait Coordinator: Machine<Request: Send, Reply: Send> + Sized + 'static {
    /// The internal topic whose partitions it decides for.
    const TOPIC: &'static str;

    /// The machine of one partition, before anything is replayed into it.
    fn new(shard: &Shard, partition: &Partition) -> Self;

    /// This shard's drivers.
    fn drivers(shard: &Shard) -> &Drivers<Self>;

    /// How its records are appended.
    fn append_settings(shard: &Shard) -> AppendSettings;

    /// Does what the machine wants done beside appends.
    fn carry_out(driver: &Rc<Driver<Self>>, effect: Self::Effect);
}

/// How a coordinator's records are appended.
#[derive(Clone, Copy, Debug)]
pub struct AppendSettings {
    /// How long all in-sync replicas may take.
    pub timeout: Duration,
    /// How batches are compressed.
    pub compression: Compression,
}

/// The drivers of one shard, by partition.
pub struct Drivers<C: Coordinator> {
    by_partition: RefCell<HashMap<PartitionIndex, Rc<Driver<C>>>>,
}

impl<C: Coordinator> Default for Drivers<C> {
    fn default() -> Self {
        Drivers {
            by_partition: RefCell::default(),
        }
    }
}

impl<C: Coordinator> Drivers<C> {
    /// The driver of a partition.
    pub fn of(&self, key: &PartitionKey) -> Option<Rc<Driver<C>>> {
        let drivers = self.by_partition.borrow();
        let driver = drivers.get(&key.partition)?;
        (driver.partition().key == *key).then(|| driver.clone())
    }

    fn all(&self) -> Vec<Rc<Driver<C>>> {
        self.by_partition.borrow().values().cloned().collect()
    }

    fn begin(&self, shard: &Rc<Shard>, partition: &Rc<Partition>) {
        let driver = Driver::begin(shard, partition);
        let index = partition.key.partition;
        let before = self.by_partition.borrow_mut().insert(index, driver);
        if let Some(before) = before {
            before.end();
        }
    }

    fn end(&self, key: &PartitionKey) {
        if let Some(driver) = self.of(key) {
            driver.end();
            self.by_partition.borrow_mut().remove(&key.partition);
        }
    }
}

/// Takes note of a partition that is now on this shard.
pub fn partition_came(shard: &Rc<Shard>, partition: &Rc<Partition>) {
    match &*partition.topic {
        Groups::TOPIC => shard.groups.begin(shard, partition),
        Transactions::TOPIC => shard.transactions.begin(shard, partition),
        _ => {}
    }
}

/// Takes note of a partition that leaves this shard.
pub fn partition_goes(shard: &Shard, partition: &Partition) {
    match &*partition.topic {
        Groups::TOPIC => shard.groups.end(&partition.key),
        Transactions::TOPIC => shard.transactions.end(&partition.key),
        _ => {}
    }
}

/// The node stops: requests that wait are answered, and no new ones are taken.
pub fn end_all(shard: &Shard) {
    shard.groups.all().iter().for_each(|driver| driver.end());
    let transactions = shard.transactions.all();
    transactions.iter().for_each(|driver| driver.end());
}

/// Asks the machine of a partition, on whatever shard it is.
pub async fn consult<C: Coordinator>(
    shard: &Rc<Shard>,
    key: PartitionKey,
    request: C::Request,
) -> Answer<C> {
    consult_as::<C>(shard, key, request, Origin::Coordinator).await
}

/// The same; what the machine appends in a producer's transaction is appended as of `origin`.
pub async fn consult_as<C: Coordinator>(
    shard: &Rc<Shard>,
    key: PartitionKey,
    request: C::Request,
    origin: Origin,
) -> Answer<C> {
    let parts = vec![(key, request)];
    let asked = shard.ask(shard.owner(&key), Consult::<C> { parts, origin });
    asked.await.pop().expect("one answer a part")
}

/// Asks the machines of several partitions; answered in the order of the parts.
pub async fn consult_each<C: Coordinator>(
    shard: &Rc<Shard>,
    parts: Vec<(PartitionKey, C::Request)>,
) -> Vec<Answer<C>> {
    let mut scatter = Scatter::new(shard.count());
    for (key, request) in parts {
        scatter.ask(shard.owner(&key), (key, request));
    }
    let origin = Origin::Coordinator;
    let question = |parts| Consult::<C> { parts, origin };
    scatter.gather(shard, question).await
}

/// The question to the machines of one shard's partitions.
struct Consult<C: Coordinator> {
    parts: Vec<(PartitionKey, C::Request)>,
    origin: Origin,
}

impl<C: Coordinator> Question for Consult<C> {
    type Answer = Vec<Answer<C>>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let gather = Gather::new(self.parts.len(), |answers| done.put(answers));
        for (slot, (key, request)) in self.parts.into_iter().enumerate() {
            match C::drivers(shard).of(&key) {
                Some(driver) => driver.consult(request, self.origin, gather.clone(), slot),
                None => gather.put(slot, Err(ErrorCode::NotCoordinator)),
            }
        }
    }
}
