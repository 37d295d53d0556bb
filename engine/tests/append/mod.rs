//! An append that a test waits for, at one moment of time.

use bytes::Bytes;
use engine::append::{Append, Origin};
use engine::log::Log;
use protocol::ids::{LeaderEpoch, TimestampMs};

/// When all of a test happens.
pub const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

/// Appends one batch as a client's, and has it written.
pub fn append(runtime: &mut ring::Runtime, log: &mut Log, batch: Bytes) {
    log.enqueue(Append {
        token: 0,
        batches: batch,
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
    })
    .unwrap();
    let write = log.start_write(NOW).unwrap();
    let mut done = Vec::new();
    log.finish_write(runtime.block_on(write.run()), &mut done);
    assert!(matches!(done[..], [(0, Ok(_))]), "{done:?}");
}
