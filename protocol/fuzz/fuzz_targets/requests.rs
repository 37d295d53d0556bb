//! Requests: two bytes choose API and version, the rest is the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::api::{AnyRequest, ApiKey};
use protocol::wire::{Decoder, Encoder};

fuzz_target!(|input: &[u8]| {
    let [key, version, frame @ ..] = input else {
        return;
    };
    let Some(key) = ApiKey::from_code(i16::from(*key)) else {
        return;
    };
    let version = i16::from(*version);
    let Ok(message) = AnyRequest::decode(key, &mut Decoder::new(frame), version) else {
        return;
    };
    // What was decoded can be encoded, and that is stable.
    let mut first = Encoder::new();
    message
        .encode(&mut first, version)
        .expect("what was decoded can be encoded");
    let first = first.finish().bytes;
    let again = AnyRequest::decode(key, &mut Decoder::with_budget(&first, usize::MAX), version)
        .expect("what was encoded can be decoded");
    let mut second = Encoder::new();
    again
        .into_owned()
        .encode(&mut second, version)
        .expect("what was decoded can be encoded");
    assert_eq!(first, second.finish().bytes);
});
