//! Record batches: the input as it is, and once more as one batch whose length, magic and CRC are
//! made right, so that what lies behind those checks is reached too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::batch::{
    BATCH_OVERHEAD, BatchBuilder, BatchOptions, BatchView, Batches, CRC_AT, CRC_COVERS_FROM,
    LENGTH_AT, LOG_OVERHEAD, MAGIC_AT, NewRecord,
};
use protocol::checksum;
use protocol::ids::{Offset, TimestampMs};

const LIMIT: usize = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    for batch in Batches::new(input) {
        let Ok(batch) = batch else { break };
        check(&batch);
    }
    if input.len() < BATCH_OVERHEAD {
        return;
    }
    let mut one = input.to_vec();
    let length = (one.len() - LOG_OVERHEAD) as u32;
    one[LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
    one[MAGIC_AT] = 2;
    let crc = checksum::crc32c(&one[CRC_COVERS_FROM..]);
    one[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    check(&BatchView::first_of(&one).expect("the header was made right"));
});

fn check(batch: &BatchView<'_>) {
    let _ = batch.validate_relaxed();
    let _ = batch.validate_from_client();
    let _ = (
        batch.header.last_offset(),
        batch.header.next_offset(),
        batch.header.last_sequence(),
    );
    if let Ok(records) = batch.records() {
        records.for_each(drop);
    }
    let mut scratch = Vec::new();
    let is_strictly_valid = batch.validate_strict(&mut scratch, LIMIT).is_ok();
    assert!(scratch.len() <= LIMIT);
    // Offsets and timestamps of damaged batches may be anything; those of ours are not so large.
    let in_range = |number: i64| (0..1 << 60).contains(&number);
    if is_strictly_valid
        && in_range(batch.header.base_offset.0)
        && in_range(batch.header.base_timestamp.0)
    {
        rebuild(batch);
    }
}

/// Builds a batch of the same records: they must read the same.
fn rebuild(batch: &BatchView<'_>) {
    let mut scratch = Vec::new();
    let records = batch
        .records_in(&mut scratch, LIMIT)
        .expect("the batch is valid");
    let records: Vec<_> = records
        .map(|record| record.expect("the batch is valid"))
        .collect();
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: batch.header.base_offset,
        delete_horizon: Some(TimestampMs(0)),
        ..BatchOptions::default()
    });
    for record in &records {
        let headers: Vec<_> = record.headers.collect();
        builder.append_at(
            record.offset,
            &NewRecord {
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: &headers,
            },
        );
    }
    builder.extend_to(Offset(batch.header.last_offset().0));
    let built = builder.finish();
    let built = BatchView::first_of(&built).expect("what was built is a batch");
    built.validate_relaxed().expect("what was built is valid");
    let again: Vec<_> = built
        .records()
        .expect("it is not compressed")
        .map(Result::unwrap)
        .collect();
    assert_eq!(again.len(), records.len());
    for (ours, theirs) in again.iter().zip(&records) {
        assert_eq!(
            (ours.offset, ours.timestamp),
            (theirs.offset, theirs.timestamp)
        );
        assert_eq!((ours.key, ours.value), (theirs.key, theirs.value));
        assert!(ours.headers.eq(theirs.headers));
    }
}
