//! One idempotent or transactional producer, as one log knows it, and what it may write next.
//!
//! Pure. The rules are Kafka 3.9's: the last five batches are remembered, so that a repeated
//! request is recognised; a producer that the log does not know may start at any sequence number.

use crate::append::AppendError;
use protocol::batch::sequence_after;
use protocol::ids::{Offset, ProducerEpoch, ProducerId, TimestampMs};

/// How many batches of a producer are remembered.
pub(crate) const BATCHES_REMEMBERED: usize = 5;

/// A batch that a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RememberedBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: Offset,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: TimestampMs,
}

impl RememberedBatch {
    pub(crate) fn first_sequence(&self) -> i32 {
        sequence_after(self.last_sequence, -self.offset_delta)
    }

    pub(crate) fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// What a producer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    pub(crate) epoch: ProducerEpoch,
    /// Of the transaction coordinator that wrote the last marker, -1 if none did.
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: TimestampMs,
    /// Where its open transaction began.
    pub(crate) transaction_start: Option<Offset>,
    batches: [RememberedBatch; BATCHES_REMEMBERED],
    batches_count: u8,
}

/// What the rules need to know of a batch of data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataBatch {
    pub(crate) producer: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) first_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: TimestampMs,
    pub(crate) transactional: bool,
}

/// The end of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) producer: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    pub(crate) coordinator_epoch: i32,
    pub(crate) offset: Offset,
    pub(crate) timestamp: TimestampMs,
    pub(crate) aborts: bool,
}

/// How strictly a producer is held to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Epoch and sequence numbers.
    Client,
    /// The epoch alone.
    Coordinator,
    /// It is in the leader's log already: take it as it is.
    Replica,
}

const NO_BATCH: RememberedBatch = RememberedBatch {
    last_sequence: -1,
    last_offset: Offset(-1),
    offset_delta: 0,
    timestamp: TimestampMs::NONE,
};

impl ProducerEntry {
    /// A producer that the log does not know.
    pub(crate) const UNKNOWN: Self = Self {
        epoch: ProducerEpoch::NONE,
        coordinator_epoch: -1,
        last_timestamp: TimestampMs::NONE,
        transaction_start: None,
        batches: [NO_BATCH; BATCHES_REMEMBERED],
        batches_count: 0,
    };

    /// Takes a batch of data, or says why the producer may not write it now.
    pub(crate) fn take_data(&mut self, batch: &DataBatch, rules: Rules) -> Result<(), AppendError> {
        self.check_epoch(batch.producer, batch.epoch, rules)?;
        if rules == Rules::Client {
            self.check_sequence(batch)?;
        }
        if self.transaction_start.is_some() && !batch.transactional && rules != Rules::Replica {
            return Err(AppendError::InvalidTransaction(
                "a batch outside the producer's open transaction",
            ));
        }
        self.set_epoch(batch.epoch);
        self.remember(RememberedBatch {
            last_sequence: batch.last_sequence,
            last_offset: batch.last_offset,
            offset_delta: (batch.last_offset - batch.first_offset) as i32,
            timestamp: batch.max_timestamp,
        });
        self.last_timestamp = batch.max_timestamp;
        if batch.transactional {
            self.transaction_start.get_or_insert(batch.first_offset);
        }
        Ok(())
    }

    /// Takes the end of the producer's transaction. Returns where that began, if it wrote
    /// anything.
    pub(crate) fn take_marker(
        &mut self,
        marker: &Marker,
        rules: Rules,
    ) -> Result<Option<Offset>, AppendError> {
        self.check_epoch(marker.producer, marker.epoch, rules)?;
        let (found, current) = (marker.coordinator_epoch, self.coordinator_epoch);
        if rules != Rules::Replica && current > found {
            return Err(AppendError::CoordinatorFenced { found, current });
        }
        self.set_epoch(marker.epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = marker.timestamp;
        Ok(self.transaction_start.take())
    }

    /// Adds a batch to those remembered; the oldest gives way.
    pub(crate) fn remember(&mut self, batch: RememberedBatch) {
        let count = usize::from(self.batches_count);
        if count < BATCHES_REMEMBERED {
            self.batches[count] = batch;
            self.batches_count += 1;
        } else {
            self.batches.rotate_left(1);
            self.batches[BATCHES_REMEMBERED - 1] = batch;
        }
    }

    /// The batch with exactly these sequence numbers, if it was written lately.
    pub(crate) fn duplicate_of(
        &self,
        epoch: ProducerEpoch,
        first_sequence: i32,
        last_sequence: i32,
    ) -> Option<&RememberedBatch> {
        if epoch != self.epoch {
            return None;
        }
        self.batches()
            .iter()
            .find(|b| b.first_sequence() == first_sequence && b.last_sequence == last_sequence)
    }

    /// The batches remembered, oldest first.
    pub(crate) fn batches(&self) -> &[RememberedBatch] {
        &self.batches[..usize::from(self.batches_count)]
    }

    /// The last sequence number, -1 if none is known.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(-1, |b| b.last_sequence)
    }

    fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches_count = 0;
        }
    }

    fn check_epoch(
        &self,
        producer: ProducerId,
        found: ProducerEpoch,
        rules: Rules,
    ) -> Result<(), AppendError> {
        let current = self.epoch;
        if found < current && rules != Rules::Replica {
            return Err(AppendError::InvalidProducerEpoch {
                producer,
                found,
                current,
            });
        }
        Ok(())
    }

    fn check_sequence(&self, batch: &DataBatch) -> Result<(), AppendError> {
        let (found, last) = (batch.first_sequence, self.last_sequence());
        let follows = if self.epoch == ProducerEpoch::NONE {
            true
        } else if batch.epoch != self.epoch {
            found == 0
        } else {
            i64::from(found) == i64::from(last) + 1 || (found == 0 && last == i32::MAX)
        };
        if follows {
            return Ok(());
        }
        Err(AppendError::OutOfOrderSequence {
            producer: batch.producer,
            found,
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: ProducerId = ProducerId(7);

    fn data(epoch: i16, first_sequence: i32, count: i32, first_offset: i64) -> DataBatch {
        DataBatch {
            producer: P,
            epoch: ProducerEpoch(epoch),
            first_sequence,
            last_sequence: sequence_after(first_sequence, count - 1),
            first_offset: Offset(first_offset),
            last_offset: Offset(first_offset) + i64::from(count - 1),
            max_timestamp: TimestampMs(first_offset * 10),
            transactional: false,
        }
    }

    fn out_of_order(found: i32, last: i32) -> AppendError {
        AppendError::OutOfOrderSequence {
            producer: P,
            found,
            last,
        }
    }

    #[test]
    fn sequences_go_on_without_gaps_and_wrap() {
        let mut entry = ProducerEntry::UNKNOWN;
        let client = Rules::Client;
        assert_eq!(
            entry.take_data(&data(0, 41, 3, 0), client),
            Ok(()),
            "unknown: any start"
        );
        assert_eq!(entry.take_data(&data(0, 44, 1, 3), client), Ok(()));
        assert_eq!(
            entry.take_data(&data(0, 46, 1, 4), client),
            Err(out_of_order(46, 44))
        );
        assert_eq!(
            entry.take_data(&data(0, 44, 1, 4), client),
            Err(out_of_order(44, 44))
        );
        assert_eq!(
            entry.take_data(&data(0, 99, 1, 4), Rules::Coordinator),
            Ok(())
        );
        let mut wrapping = ProducerEntry::UNKNOWN;
        assert_eq!(
            wrapping.take_data(&data(0, i32::MAX - 1, 2, 0), client),
            Ok(())
        );
        assert_eq!(wrapping.take_data(&data(0, 0, 1, 2), client), Ok(()));
        let mut across = ProducerEntry::UNKNOWN;
        assert_eq!(across.take_data(&data(0, i32::MAX, 3, 0), client), Ok(()));
        assert_eq!(across.last_sequence(), 1);
        assert_eq!(across.batches()[0].first_sequence(), i32::MAX);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut entry = ProducerEntry::UNKNOWN;
        entry.take_data(&data(3, 0, 5, 0), Rules::Client).unwrap();
        assert_eq!(
            entry.take_data(&data(4, 5, 1, 5), Rules::Client),
            Err(out_of_order(5, 4))
        );
        entry.take_data(&data(4, 0, 1, 5), Rules::Client).unwrap();
        assert_eq!(
            entry.batches().len(),
            1,
            "batches of the old epoch are forgotten"
        );
        let fenced = AppendError::InvalidProducerEpoch {
            producer: P,
            found: ProducerEpoch(3),
            current: ProducerEpoch(4),
        };
        assert_eq!(
            entry.take_data(&data(3, 5, 1, 6), Rules::Client),
            Err(fenced.clone())
        );
        assert_eq!(
            entry.take_data(&data(3, 5, 1, 6), Rules::Coordinator),
            Err(fenced)
        );
        assert_eq!(entry.take_data(&data(3, 5, 1, 6), Rules::Replica), Ok(()));
    }

    #[test]
    fn five_batches_are_recognised() {
        let mut entry = ProducerEntry::UNKNOWN;
        for at in 0..6 {
            entry
                .take_data(&data(0, at * 10, 10, i64::from(at) * 10), Rules::Client)
                .unwrap();
        }
        let duplicate = |epoch, first, last| entry.duplicate_of(ProducerEpoch(epoch), first, last);
        assert_eq!(duplicate(0, 0, 9), None, "forgotten");
        for at in 1..6 {
            let found = duplicate(0, at * 10, at * 10 + 9).unwrap();
            assert_eq!(found.first_offset(), Offset(i64::from(at) * 10));
        }
        assert_eq!(duplicate(0, 10, 18), None, "another batch");
        assert_eq!(duplicate(1, 10, 19), None, "another epoch");
    }

    #[test]
    fn a_transaction_spans_its_batches_up_to_the_marker() {
        let mut entry = ProducerEntry::UNKNOWN;
        let transactional = |b: DataBatch| DataBatch {
            transactional: true,
            ..b
        };
        entry
            .take_data(&transactional(data(0, 0, 2, 100)), Rules::Client)
            .unwrap();
        entry
            .take_data(&transactional(data(0, 2, 2, 102)), Rules::Client)
            .unwrap();
        assert_eq!(entry.transaction_start, Some(Offset(100)));
        let plain = entry.take_data(&data(0, 4, 1, 104), Rules::Client);
        assert!(matches!(plain, Err(AppendError::InvalidTransaction(_))));
        let mut marker = Marker {
            producer: P,
            epoch: ProducerEpoch(0),
            coordinator_epoch: 5,
            offset: Offset(104),
            timestamp: TimestampMs(1),
            aborts: false,
        };
        assert_eq!(
            entry.take_marker(&marker, Rules::Coordinator),
            Ok(Some(Offset(100)))
        );
        assert_eq!(entry.take_marker(&marker, Rules::Coordinator), Ok(None));
        assert_eq!(entry.last_sequence(), 3, "sequences go on after the marker");
        marker.coordinator_epoch = 4;
        assert_eq!(
            entry.take_marker(&marker, Rules::Coordinator),
            Err(AppendError::CoordinatorFenced {
                found: 4,
                current: 5
            })
        );
        assert_eq!(entry.take_marker(&marker, Rules::Replica), Ok(None));
    }
}
