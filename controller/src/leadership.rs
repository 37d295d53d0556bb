//! Changes of one partition: its replicas, who is in sync, who leads.
//!
//! It must not know why it changes; [`crate::elections`], [`crate::reassignments`] and
//! [`crate::brokers`] do. Invariants: a leader is active and, unless elected uncleanly, in sync; a
//! record says only what changes.

use protocol::ids::{BrokerId, PartitionIndex, Uuid};

use crate::image::{DIRECTORY_UNASSIGNED, Image, Partition, RecoveryState};
use crate::record::{PartitionChangeRecord, Record};

/// Which partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// Its topic.
    pub topic: Uuid,
    /// Its index.
    pub index: PartitionIndex,
}

/// What a partition is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// All replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Those in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas that go once others are in sync.
    pub removing: Vec<BrokerId>,
    /// Replicas that are not in sync yet.
    pub adding: Vec<BrokerId>,
    /// Who leads.
    pub leader: Option<BrokerId>,
    /// Whether the leader has to recover.
    pub recovery: RecoveryState,
}

impl Target {
    /// What the partition is now.
    pub fn unchanged(partition: &Partition) -> Target {
        Target {
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            removing: partition.removing.clone(),
            adding: partition.adding.clone(),
            leader: partition.leader,
            recovery: partition.recovery,
        }
    }

    /// Keeps the leader if it may still lead, or else takes the first replica that may.
    pub fn elect(&mut self, image: &Image) {
        let may_lead = |id: &BrokerId| self.isr.contains(id) && is_active(image, *id);
        let stays = self
            .leader
            .filter(|id| self.replicas.contains(id) && may_lead(id));
        self.leader = stays.or_else(|| self.replicas.iter().copied().find(may_lead));
    }

    /// The record that makes the partition so, if anything changes.
    pub fn record(self, image: &Image, of: Of, now: &Partition) -> Option<Record> {
        if self == Target::unchanged(now) {
            return None;
        }
        let raw = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
        let changed = |next: &[BrokerId], now: &[BrokerId]| (next != now).then(|| raw(next));
        // The epoch rises with every leader, and where a replica goes that might think it leads.
        let loses_one = now.replicas.iter().any(|id| !self.replicas.contains(id));
        let leads_anew = self.leader != now.leader || loses_one;
        let directories =
            (self.replicas != now.replicas).then(|| directories(image, &self.replicas, now));
        let mut record = PartitionChangeRecord {
            partition_id: of.index.0,
            topic_id: of.topic,
            isr: changed(&self.isr, &now.isr),
            replicas: changed(&self.replicas, &now.replicas),
            removing_replicas: changed(&self.removing, &now.removing),
            adding_replicas: changed(&self.adding, &now.adding),
            directories,
            ..PartitionChangeRecord::default()
        };
        if leads_anew {
            record.leader = self.leader.map_or(-1, |leader| leader.0);
        }
        if self.recovery != now.recovery {
            record.leader_recovery_state = self.recovery as i8;
        }
        Some(Record::PartitionChange(record))
    }
}

/// Whether a broker may lead.
pub fn is_active(image: &Image, id: BrokerId) -> bool {
    image.broker(id).is_some_and(|broker| broker.is_active())
}

/// Each replica stays in its directory; a new one goes where its broker puts new ones.
fn directories(image: &Image, replicas: &[BrokerId], now: &Partition) -> Vec<Uuid> {
    let directory = |id: &BrokerId| {
        let before = now.replicas.iter().zip(&now.directories);
        match before.into_iter().find(|(replica, _)| *replica == id) {
            Some((_, directory)) => *directory,
            None => image
                .broker(*id)
                .map_or(DIRECTORY_UNASSIGNED, |broker| broker.default_directory()),
        }
    };
    replicas.iter().map(directory).collect()
}
