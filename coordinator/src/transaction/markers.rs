//! From the decision how a transaction ends to its end: every partition gets its marker, then the
//! end is recorded.

use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::ids::TimestampMs;

use super::metadata::Pending;
use super::transactional_ids::{Coordinator, Move, Out, Then};
use super::{Effect, Markers, MarkersId, TopicPartition};
use crate::machine::Action;

/// What a partition's answer to its marker means.
enum Answered {
    /// It has the marker, or needs none.
    Settled,
    /// The marker has to be sent again.
    Again,
    /// It has heard of a later producer or coordinator.
    Superseded,
}

impl Coordinator {
    /// Sends the markers that are missing, or records the end if none is.
    pub(super) fn send_markers(&mut self, now: TimestampMs, id: &Arc<str>, out: &mut Out) {
        let markers = MarkersId(self.next_id());
        let transaction = self.transactions.get_mut(id).expect("it is known");
        let standing = &transaction.standing;
        let result = standing.result().expect("its end is decided");
        if standing.partitions.is_empty() {
            let to_make = Move {
                to: standing.completed(now),
                transactional_id: id.clone(),
                then: Then::Completed,
            };
            return self.record(to_make, out);
        }
        transaction.pending = Some(Pending::Markers);
        self.marking.insert(markers, id.clone());
        out.push(Action::Effect(Effect::WriteMarkers(Markers {
            id: markers,
            producer: standing.producer,
            result,
            coordinator_epoch: self.settings.coordinator_epoch,
            partitions: standing.partitions.iter().cloned().collect(),
        })));
    }

    /// What became of the markers that [`Effect::WriteMarkers`] asked for: NONE, or why there is
    /// no marker; UNKNOWN_TOPIC_OR_PARTITION if the partition is gone for good.
    pub fn on_markers(
        &mut self,
        now: TimestampMs,
        markers: MarkersId,
        results: Vec<(TopicPartition, ErrorCode)>,
        out: &mut Out,
    ) {
        let Some(id) = self.marking.remove(&markers) else {
            return; // The partition was unloaded meanwhile; whoever loads it begins anew.
        };
        let transaction = self.transactions.get_mut(&id).expect("it is known");
        assert_eq!(transaction.pending, Some(Pending::Markers));
        let mut superseded = false;
        for (partition, error) in results {
            match answered(error) {
                Answered::Settled => {
                    transaction.standing.partitions.remove(&partition);
                }
                Answered::Again => {}
                Answered::Superseded => superseded = true,
            }
        }
        if superseded {
            transaction.pending = Some(Pending::Superseded);
        } else if transaction.standing.partitions.is_empty() {
            self.send_markers(now, &id, out);
        } else {
            self.timers.send_later(now, id);
        }
    }
}

fn answered(error: ErrorCode) -> Answered {
    match error {
        // Where batches have no producer ids, or where there is no partition, nothing waits.
        ErrorCode::None
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnsupportedForMessageFormat
        | ErrorCode::UnsupportedVersion => Answered::Settled,
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => {
            Answered::Superseded
        }
        _ => Answered::Again,
    }
}
