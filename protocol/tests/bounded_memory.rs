//! Memory for a frame is bounded by its size, whatever the frame says: at most four times the
//! frame and 64 KiB, and an answer at once. The frames are those that brought other brokers down
//! (CVE-2022-34917 and its like), and one of each array of each message.

use protocol::api::{API_TABLE, AnyRequest, AnyResponse, ApiKey};
use protocol::batch::{BatchBuilder, BatchOptions, Batches, Compression, NewRecord};
use protocol::legacy_record_set;
use protocol::messages::header::RequestHeader;
use protocol::messages::metadata::MetadataRequest;
use protocol::wire::{DecodeError, Decoder};
use std::time::{Duration, Instant};

/// The most bytes that were live at once during `work`, beyond those that were before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let mut value = None;
    let measured = allocation_counter::measure(|| value = Some(work()));
    (
        value.expect("the work was done"),
        measured.bytes_max as usize,
    )
}

fn assert_bounded<T>(what: &str, frame: &[u8], work: impl FnOnce() -> T) -> T {
    let (value, peak) = peak_of(work);
    let most = 4 * frame.len() + 64 * 1024;
    assert!(
        peak <= most,
        "{what}: {peak} bytes for a frame of {}",
        frame.len()
    );
    value
}

#[test]
fn an_array_of_two_billion_is_refused() {
    // Metadata v12: a compact array of 2^31 - 2 topics, and nothing of them.
    let frame = [0xff, 0xff, 0xff, 0xff, 0x07];
    let result = assert_bounded("metadata", &frame, || {
        MetadataRequest::decode(&mut Decoder::new(&frame), 12).map(drop)
    });
    assert_eq!(result, Err(DecodeError::Truncated));
    // In the fixed layout.
    let frame = [0x7f, 0xff, 0xff, 0xff];
    let result = assert_bounded("metadata", &frame, || {
        MetadataRequest::decode(&mut Decoder::new(&frame), 4).map(drop)
    });
    assert_eq!(result, Err(DecodeError::Truncated));
}

/// Unsigned, as lengths and tags are.
fn varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[test]
fn twenty_million_tagged_fields_cost_nothing() {
    // A request header, as it comes before authentication, with as many tagged fields.
    let mut frame = vec![0, 18, 0, 4, 0, 0, 0, 1, 0xff, 0xff];
    varint(20_000_000, &mut frame);
    for tag in 0..20_000_000 {
        varint(tag, &mut frame);
        frame.push(0);
    }
    let mut fastest = Duration::MAX;
    // The fastest of a few: a machine may have something else to do.
    for _ in 0..5 {
        let begin = Instant::now();
        let (result, peak) =
            peak_of(|| RequestHeader::decode(&mut Decoder::new(&frame), 2).map(drop));
        fastest = fastest.min(begin.elapsed());
        assert_eq!(result, Err(DecodeError::TooManyTags));
        assert_eq!(peak, 0);
    }
    assert!(fastest < Duration::from_millis(10), "{fastest:?}");
}

#[test]
fn frames_of_zeros_and_ones_are_bounded_for_every_api() {
    // A frame of zeros is an array of nothing in the fixed layout; one of ones is a nest of the
    // smallest elements in the flexible one; the rest are counts of all sizes.
    let mut frames: Vec<Vec<u8>> = [0, 1, 2, 3, 0x7f, 0xff]
        .map(|byte| vec![byte; 100_000])
        .into();
    for count in [3u32, 1000, 20_000, 99_999, 0x7fff_ffff] {
        for lead in 0..40 {
            let mut frame = vec![0; lead];
            frame.extend_from_slice(&count.to_be_bytes());
            frame.resize(100_000, 0);
            frames.push(frame);
            let mut frame = vec![1; lead];
            varint(count, &mut frame);
            frame.resize(100_000, 1);
            frames.push(frame);
        }
    }
    for spec in &API_TABLE {
        for version in spec.version_min..=spec.version_max {
            for frame in &frames {
                let what = format!("{} version {version}", spec.name);
                assert_bounded(&what, frame, || {
                    drop(AnyRequest::decode(
                        spec.key,
                        &mut Decoder::new(frame),
                        version,
                    ));
                });
                assert_bounded(&what, frame, || {
                    drop(AnyResponse::decode(
                        spec.key,
                        &mut Decoder::new(frame),
                        version,
                    ));
                });
            }
        }
    }
}

#[test]
fn nested_arrays_share_one_budget() {
    // Produce v9: topics without names, each with partitions without records; as small as an
    // element can be on the wire, and as large as it can be in memory.
    let mut frame = vec![0, 0, 0, 0, 0, 0, 0];
    varint(20_001, &mut frame);
    for _ in 0..20_000 {
        frame.extend_from_slice(&[1, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
    let result = assert_bounded("produce", &frame, || {
        AnyRequest::decode(ApiKey::Produce, &mut Decoder::new(&frame), 9).map(drop)
    });
    assert_eq!(result, Err(DecodeError::OverBudget));
}

#[test]
fn a_batch_that_claims_two_billion_records_allocates_nothing() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(&NewRecord::default());
    let mut bytes = builder.finish();
    bytes[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
    let crc = protocol::checksum::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let ((), peak) = peak_of(|| {
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        assert!(batch.validate_relaxed().is_err());
        assert!(batch.records().unwrap().any(|record| record.is_err()));
    });
    assert_eq!(peak, 0);
}

#[test]
fn a_record_that_claims_two_billion_headers_allocates_nothing() {
    // Length 12, no attributes, deltas, null key and value, 2^31 - 1 headers.
    let mut record = vec![22, 0, 0, 0, 1, 1];
    record.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(&NewRecord::default());
    let mut bytes = builder.finish();
    bytes.truncate(61);
    bytes.extend_from_slice(&record);
    let length = (bytes.len() - 12) as u32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let ((), peak) = peak_of(|| {
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let mut records = batch.records().unwrap();
        assert!(records.next().unwrap().is_err());
        assert!(records.next().is_none());
    });
    assert_eq!(peak, 0);
}

#[test]
fn decompression_takes_what_the_limit_says() {
    const LIMIT: usize = 8 << 20;
    // What a decompressor needs for itself: Zstandard's tables are the largest.
    const OWN_BYTES: usize = 1 << 20;
    let zeros = vec![0; 64 << 20];
    for compression in Compression::ALL {
        let mut builder = BatchBuilder::new(BatchOptions {
            compression,
            ..BatchOptions::default()
        });
        builder.append(&NewRecord {
            value: Some(&zeros),
            ..NewRecord::default()
        });
        let bytes = builder.finish();
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let mut scratch = Vec::new();
        let (result, peak) = peak_of(|| batch.validate_strict(&mut scratch, LIMIT));
        if compression == Compression::None {
            assert!(result.is_ok() && peak == 0);
        } else {
            assert!(result.is_err());
            assert!(
                peak <= 2 * LIMIT + OWN_BYTES,
                "{}: {peak}",
                compression.name()
            );
        }
    }
}

#[test]
fn an_old_wrapper_takes_what_the_limit_says() {
    use legacy_record_set::{LegacyBuilder, LegacyMagic};
    use protocol::ids::{Offset, TimestampMs};
    const LIMIT: usize = 1 << 20;
    let zeros = vec![0; 16 << 20];
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
        let mut builder = LegacyBuilder::new(LegacyMagic::V1, compression, None);
        builder.append(Offset(0), TimestampMs(0), None, Some(&zeros));
        let set = builder.finish();
        let (result, peak) = peak_of(|| legacy_record_set::read(&set, LIMIT, &mut |_| {}));
        assert_eq!(
            result,
            Err(legacy_record_set::LegacyError::TooLarge { limit: LIMIT })
        );
        assert!(
            peak <= 2 * LIMIT + (1 << 20),
            "{}: {peak}",
            compression.name()
        );
    }
}
