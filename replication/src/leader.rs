//! What the leader of one partition knows: its epoch, the in-sync replicas and their progress.
//!
//! Must not know: files, sockets, time. The caller tells it of appends and of followers' fetches.
//! Invariant: `high_watermark <= log end of every in-sync replica`.

use protocol::ids::{BrokerId, LeaderEpoch, Offset};

use crate::high_watermark::high_watermark;

/// Fewer replicas are in sync than `min.insync.replicas` asks for a write with acks=all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotEnoughReplicas {
    /// How many replicas are in sync now.
    pub in_sync: usize,
    /// How many have to be.
    pub required: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Follower {
    broker: BrokerId,
    log_end: Offset,
    in_sync: bool,
}

/// The leader's view of one partition. Lives on the shard that owns the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    epoch: LeaderEpoch,
    log_end: Offset,
    high_watermark: Offset,
    followers: Vec<Follower>,
}

impl Leader {
    /// Takes office in `epoch` with the given log end; `replicas` are all that the partition is
    /// assigned to and `isr` those in sync, the leader `me` among them. `high_watermark` is the last
    /// one known (from the checkpoint).
    pub fn new(
        epoch: LeaderEpoch,
        me: BrokerId,
        replicas: &[BrokerId],
        isr: &[BrokerId],
        high_watermark: Offset,
        log_end: Offset,
    ) -> Leader {
        let followers = replicas
            .iter()
            .filter(|broker| **broker != me)
            .map(|broker| Follower {
                broker: *broker,
                log_end: Offset(0),
                in_sync: isr.contains(broker),
            })
            .collect();
        let mut leader = Leader {
            epoch,
            log_end,
            high_watermark: high_watermark.min(log_end),
            followers,
        };
        leader.advance();
        leader
    }

    /// The leader's own log grew to `log_end`. Answers the new high watermark if it moved.
    pub fn on_append(&mut self, log_end: Offset) -> Option<Offset> {
        assert!(
            log_end >= self.log_end,
            "a leader's log only grows: {:?} after {:?}",
            log_end,
            self.log_end
        );
        self.log_end = log_end;
        self.advance()
    }

    /// A follower fetched from `log_end`, so it has everything below it. Answers the new high
    /// watermark if it moved.
    pub fn on_follower_fetch(&mut self, broker: BrokerId, log_end: Offset) -> Option<Offset> {
        let follower = self.followers.iter_mut().find(|f| f.broker == broker)?;
        follower.log_end = log_end.min(self.log_end);
        self.advance()
    }

    /// Refuses a write with acks=all while fewer than `required` replicas are in sync, or than there
    /// are: a setting above the replication factor does not make a topic unwritable.
    pub fn require_in_sync(&self, required: usize) -> Result<(), NotEnoughReplicas> {
        let required = required.min(1 + self.followers.len());
        let in_sync = 1 + self.followers.iter().filter(|f| f.in_sync).count();
        if in_sync < required {
            Err(NotEnoughReplicas { in_sync, required })
        } else {
            Ok(())
        }
    }

    /// The epoch this leader was elected in.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Everything below is committed and may be read by consumers.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    fn advance(&mut self) -> Option<Offset> {
        let in_sync = self
            .followers
            .iter()
            .filter(|f| f.in_sync)
            .map(|f| f.log_end);
        let next = high_watermark(self.high_watermark, in_sync.chain([self.log_end]));
        assert!(
            next <= self.log_end,
            "high watermark {next:?} above log end {:?}",
            self.log_end
        );
        let moved = next > self.high_watermark;
        self.high_watermark = next;
        moved.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: BrokerId = BrokerId(0);

    #[test]
    fn alone_in_the_isr_every_append_is_committed() {
        let mut leader = Leader::new(LeaderEpoch(0), ME, &[ME], &[ME], Offset(0), Offset(5));
        assert_eq!(leader.high_watermark(), Offset(5));
        assert_eq!(leader.on_append(Offset(8)), Some(Offset(8)));
        assert_eq!(leader.on_append(Offset(8)), None);
        assert_eq!(leader.require_in_sync(1), Ok(()));
        assert_eq!(leader.require_in_sync(2), Ok(()), "there is no other");
    }

    #[test]
    fn what_is_required_counts_those_in_sync_and_is_no_more_than_there_are() {
        let replicas = [ME, BrokerId(1), BrokerId(2)];
        let isr = [ME, BrokerId(1)];
        let leader = Leader::new(LeaderEpoch(0), ME, &replicas, &isr, Offset(0), Offset(0));
        assert_eq!(leader.require_in_sync(2), Ok(()));
        let refused = NotEnoughReplicas {
            in_sync: 2,
            required: 3,
        };
        assert_eq!(leader.require_in_sync(3), Err(refused));
        assert_eq!(leader.require_in_sync(9), Err(refused));
    }

    #[test]
    fn a_follower_holds_the_high_watermark_back_until_it_fetches() {
        let isr = [ME, BrokerId(1)];
        let mut leader = Leader::new(LeaderEpoch(3), ME, &isr, &isr, Offset(2), Offset(5));
        assert_eq!(leader.high_watermark(), Offset(2));
        assert_eq!(leader.on_append(Offset(9)), None);
        assert_eq!(
            leader.on_follower_fetch(BrokerId(1), Offset(7)),
            Some(Offset(7))
        );
        assert_eq!(leader.on_follower_fetch(BrokerId(7), Offset(9)), None);
        assert_eq!(
            leader.on_follower_fetch(BrokerId(1), Offset(9)),
            Some(Offset(9))
        );
    }
}
