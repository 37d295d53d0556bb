//! A consumer by hand: it fetches from any offset, at either isolation level, and knows what of the
//! answer a consumer would hand out.

use std::collections::BTreeSet;

use crate::batch::Stored;
use crate::raw::{Body, Connection, FETCH};

/// What a consumer wants to see of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything.
    ReadUncommitted,
    /// What was committed, up to the last stable offset.
    ReadCommitted,
}

/// What a fetch of one partition was answered.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The error code.
    pub error: i16,
    /// The high watermark.
    pub high_watermark: i64,
    /// The last stable offset.
    pub last_stable: i64,
    /// The aborted transactions named: producer id, and first offset.
    pub aborted: Vec<(i64, i64)>,
    /// The record set.
    pub records: Vec<u8>,
}

/// Fetches partition 0 of `topic` from `offset` on: at most `bytes_max`, but one batch at least.
pub fn fetch(
    client: &mut Connection,
    topic: &str,
    offset: i64,
    isolation: Isolation,
    bytes_max: i32,
) -> Fetched {
    let isolation = i8::from(isolation == Isolation::ReadCommitted);
    let body = Body::new().i32(-1).i32(0).i32(0).i32(bytes_max);
    let body = body.i8(isolation).i32(1).string(topic).i32(1);
    let body = body.i32(0).i64(offset).i32(bytes_max);
    let mut answer = client.ask(FETCH, 4, &body);
    answer.i32(); // throttle time
    assert_eq!((answer.i32(), answer.string().as_deref()), (1, Some(topic)));
    assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
    let (error, high_watermark, last_stable) = (answer.i16(), answer.i64(), answer.i64());
    let aborted = (0..answer.i32()).map(|_| (answer.i64(), answer.i64()));
    let aborted = aborted.collect();
    Fetched {
        error,
        high_watermark,
        last_stable,
        aborted,
        records: answer.bytes(),
    }
}

impl Fetched {
    /// The offsets of the records that a read_committed consumer hands out which asked from
    /// `offset` on, and where it goes on. As in clients: a transaction named as aborted counts from
    /// its first offset on, up to its marker.
    pub fn handed_out(&self, offset: i64) -> (Vec<i64>, i64) {
        let mut named = self.aborted.clone();
        named.sort_by_key(|(_, first_offset)| *first_offset);
        let mut named = named.into_iter().peekable();
        let mut aborted = BTreeSet::new();
        let (mut offsets, mut next) = (Vec::new(), offset);
        for batch in Stored::all(&self.records) {
            while let Some((producer, _)) = named.next_if(|(_, at)| *at <= batch.last_offset()) {
                aborted.insert(producer);
            }
            next = batch.last_offset() + 1;
            if batch.is_control() {
                if batch.is_abort() {
                    aborted.remove(&batch.producer());
                }
            } else if !(batch.is_transactional() && aborted.contains(&batch.producer())) {
                offsets.extend(batch.offsets().into_iter().filter(|at| *at >= offset));
            }
        }
        (offsets, next)
    }
}
