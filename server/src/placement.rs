//! Has the metadata say in which directory each replica of this node is (KIP-858), where it says
//! another or none: a directory is chosen after the partition is in the metadata, and logs may be moved
//! by hand while the node is down.
//!
//! It must not know what a move is: that one says itself where its log will be.

use std::rc::Rc;

use controller::directories::{self, Place};
use controller::image;
use controller::leadership::Of;
use engine::log::Log;
use protocol::ids::BrokerId;

use crate::directories::Directories;
use crate::metadata_log::Change;
use crate::partition::PartitionKey;
use crate::shard::{METADATA_SHARD, Shard};

/// Where a replica is, if the metadata does not say it.
pub fn untold(
    node: BrokerId,
    directories: &Directories,
    key: PartitionKey,
    said: &image::Partition,
    log: &Log,
) -> Option<Place> {
    let directory = directories.id_of(log);
    let is_told = directories::directory_of(said, node) == Some(directory);
    (!is_told && !directory.is_zero()).then_some(Place {
        of: Of {
            topic: key.topic_id,
            index: key.partition,
        },
        directory,
    })
}

/// Has the metadata say it, behind the changes that are under way. Nobody waits for that.
pub fn tell(shard: &Rc<Shard>, places: Vec<Place>) {
    if places.is_empty() {
        return;
    }
    let node = shard.node.broker_id;
    let change = Change::new(move |image| Ok(directories::assign(image, node, &places)));
    let told = shard.ask(METADATA_SHARD, change);
    ring::spawn(async move {
        if let Err(refusal) = told.await {
            let reason = refusal.code.name();
            tracing::warn!("the metadata does not say in which directories logs are: {reason}");
        }
    });
}
