//! What the coordinator wants done is done, late, or not at all: appends, producer ids, markers.

use super::*;

impl World {
    pub(super) fn end_an_append(&mut self) {
        let Some(append) = self.appends.pop_front() else {
            return;
        };
        let offset = Offset(self.log.len() as i64);
        let result = match self.chance.below(10) {
            0 if self.faults => {
                self.note(Event::AppendRefused);
                let errors = [
                    ErrorCode::NotEnoughReplicas,
                    ErrorCode::KafkaStorageError,
                    ErrorCode::NotLeaderOrFollower,
                ];
                Err(self.chance.one_of(&errors))
            }
            1 if self.faults => {
                self.note(Event::AppendInDoubt);
                if self.chance.percent(50) {
                    self.store(append.records);
                }
                Err(ErrorCode::RequestTimedOut)
            }
            _ => {
                self.store(append.records);
                Ok(offset)
            }
        };
        let now = self.now;
        self.call(|machine, out| machine.on_appended(now, append.write, result, out));
    }

    pub(super) fn store(&mut self, records: Vec<Record>) {
        for record in records {
            self.learn(&record);
            self.log.push(record);
        }
    }

    pub(super) fn give_a_producer_id(&mut self) {
        let Some(token) = self.producer_ids.pop_front() else {
            return;
        };
        let given = if self.faults && self.chance.percent(10) {
            Err(ErrorCode::CoordinatorLoadInProgress)
        } else {
            self.next_producer_id += 1;
            Ok(ProducerId(self.next_producer_id))
        };
        let now = self.now;
        self.call(|machine, out| machine.on_producer_id(now, token, given, out));
    }

    pub(super) fn answer_markers(&mut self) {
        if self.markers.is_empty() {
            return;
        }
        let at = self.chance.below(self.markers.len());
        let (markers, _) = self.markers.swap_remove(at);
        let mut results = Vec::new();
        for to in &markers.partitions {
            let error = match self.chance.below(10) {
                0 if self.faults => {
                    self.note(Event::MarkerFailed);
                    ErrorCode::NotLeaderOrFollower
                }
                1 if self.faults => {
                    self.note(Event::MarkerFailed);
                    self.mark(&markers, to);
                    ErrorCode::RequestTimedOut
                }
                _ => self.mark(&markers, to),
            };
            results.push((to.clone(), error));
        }
        let now = self.now;
        self.call(|machine, out| machine.on_markers(now, markers.id, results, out));
    }

    pub(super) fn mark(&mut self, markers: &Markers, to: &TopicPartition) -> ErrorCode {
        let partition = &mut self.partitions[to.partition.0 as usize];
        let error = partition.mark(markers.producer, markers.result, markers.coordinator_epoch);
        let of_its_own = markers.coordinator_epoch.0 == self.coordinator_epoch;
        let settled = matches!(error, ErrorCode::None | ErrorCode::UnknownTopicOrPartition);
        assert!(
            settled || !of_its_own,
            "markers are never older than what a partition has seen: {markers:?} {error:?}"
        );
        error
    }

    pub(super) fn deliver_a_stray_marker(&mut self) {
        if self.stray_markers.is_empty() {
            return;
        }
        let at = self.chance.below(self.stray_markers.len());
        let markers = &self.stray_markers[at];
        let to_at = self.chance.below(markers.partitions.len());
        let to = &markers.partitions[to_at];
        let producer = markers.producer;
        let partition = &self.partitions[to.partition.0 as usize];
        let is_open = partition.has_open_transaction_of(producer.id);
        if !is_open && self.chance.percent(80) {
            return; // It comes later, when it may do harm.
        }
        let markers = self.stray_markers.swap_remove(at);
        let to = &markers.partitions[to_at];
        let mut ongoing = self.recorded.values();
        let is_ongoing = ongoing.any(|of| of.producer == producer && of.state == State::Ongoing);
        let error = self.mark(&markers, to);
        assert!(
            error != ErrorCode::None || !is_open || !is_ongoing,
            "a marker of another time ended the transaction that is under way: {markers:?}"
        );
        self.note(Event::MarkerOfAnotherTime);
    }
}
