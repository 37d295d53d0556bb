//! The crate `kafka-protocol` as a second opinion: what it makes of a frame and writes again, we
//! make of it too. It is not asked about records, whose timestamps it codes wrongly.

use crate::any_message::recode;
use crate::layout::{self, Fill, Layout};
use crate::seed::Seed;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use protocol::api::API_TABLE;

const FRAMES_OF_EACH_VERSION: u64 = 20;

/// What the other implementation writes after reading the frame.
fn recode_theirs(layout: &Layout, version: i16, frame: &[u8]) -> Result<Vec<u8>, String> {
    let key = ApiKey::try_from(layout.key).expect("both know the key");
    let mut input = Bytes::copy_from_slice(frame);
    let mut output = BytesMut::new();
    let result = if layout.kind == "request" {
        RequestKind::decode(key, &mut input, version)
            .and_then(|request| request.encode(&mut output, version))
    } else {
        ResponseKind::decode(key, &mut input, version)
            .and_then(|response| response.encode(&mut output, version))
    };
    match result {
        Err(error) => Err(error.to_string()),
        Ok(()) if !input.is_empty() => Err(format!("{} bytes are left", input.len())),
        Ok(()) => Ok(output.to_vec()),
    }
}

#[test]
fn both_read_and_write_the_same_frames() {
    let mut versions = 0;
    let layouts = layout::all();
    for layout in layouts
        .iter()
        .filter(|l| l.kind == "request" || l.kind == "response")
    {
        let Ok(key) = ApiKey::try_from(layout.key) else {
            continue;
        };
        let theirs = key.valid_versions();
        for version in layout.versions.low.max(theirs.min)..=layout.versions.high.min(theirs.max) {
            for number in 0..FRAMES_OF_EACH_VERSION {
                let fill = if number == 0 {
                    Fill::Default
                } else {
                    Fill::Random
                };
                let seed = &mut Seed::new(1_000_000 + number);
                let frame = layout.frame(version, fill, seed);
                let what = || format!("{} version {version}, frame {number}", layout.name);
                let by_them = recode_theirs(layout, version, &frame)
                    .unwrap_or_else(|error| panic!("{}: {error}", what()));
                let by_us = recode(&layout.kind, &layout.name, layout.key, version, &by_them);
                assert!(by_us.as_ref() == Ok(&by_them), "{}: we differ", what());
                assert!(
                    by_them == frame,
                    "{}:\n{by_them:02x?}\n{frame:02x?}",
                    what()
                );
            }
            versions += 1;
        }
    }
    assert!(
        versions > 400,
        "{versions} versions are not all that both know"
    );
}

#[test]
fn both_know_the_same_headers() {
    for spec in &API_TABLE {
        let Ok(key) = ApiKey::try_from(spec.key.code()) else {
            continue;
        };
        for version in spec.version_min..=spec.version_max {
            let ours = (
                spec.request_header_version(version),
                spec.response_header_version(version),
            );
            let theirs = (
                key.request_header_version(version),
                key.response_header_version(version),
            );
            assert_eq!(ours, theirs, "{} version {version}", spec.name);
        }
    }
}
