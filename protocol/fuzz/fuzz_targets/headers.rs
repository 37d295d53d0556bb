//! Headers of requests and responses: one byte chooses kind and version, the rest is the header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::messages::header::{RequestHeader, ResponseHeader};
use protocol::wire::{Decoder, Encoder};

fuzz_target!(|input: &[u8]| {
    let [choice, frame @ ..] = input else { return };
    let version = i16::from(choice >> 1);
    let mut d = Decoder::new(frame);
    let mut e = Encoder::new();
    if choice & 1 == 0 {
        if let Ok(header) = RequestHeader::decode(&mut d, version) {
            header
                .encode(&mut e, version)
                .expect("what was decoded can be encoded");
            let bytes = e.finish().bytes;
            assert_eq!(
                RequestHeader::decode(&mut Decoder::new(&bytes), version),
                Ok(header)
            );
        }
    } else if let Ok(header) = ResponseHeader::decode(&mut d, version) {
        header
            .encode(&mut e, version)
            .expect("what was decoded can be encoded");
        let bytes = e.finish().bytes;
        assert_eq!(
            ResponseHeader::decode(&mut Decoder::new(&bytes), version),
            Ok(header)
        );
    }
});
