//! The memory budget of a frame refuses no message that means well: long lists of small things, as
//! large clusters make them. The 64 KiB that come on top are not even needed.

use crate::layout::{self, Fill};
use crate::seed::Seed;
use protocol::api::{AnyRequest, AnyResponse, ApiKey};
use protocol::wire::{DecodeError, Decoder};

const MANY: usize = 1_000;

/// What only brokers send each other, which is read with a peer's budget.
const BETWEEN_BROKERS: [ApiKey; 5] = [
    ApiKey::LeaderAndIsr,
    ApiKey::StopReplica,
    ApiKey::UpdateMetadata,
    ApiKey::AlterPartition,
    ApiKey::WriteTxnMarkers,
];

#[test]
fn long_lists_are_within_the_budget() {
    for layout in layout::all() {
        let Some(key) = ApiKey::from_code(layout.key) else {
            continue;
        };
        for version in layout.versions.low..=layout.versions.high {
            let frame = layout.frame(version, Fill::Many(MANY), &mut Seed::new(1));
            let is_from_peer = layout.kind == "response" || BETWEEN_BROKERS.contains(&key);
            let budget_bytes = frame.len() * if is_from_peer { 16 } else { 4 };
            let mut d = Decoder::with_budget(&frame, budget_bytes);
            let result: Result<(), DecodeError> = match layout.kind.as_str() {
                "request" => AnyRequest::decode(key, &mut d, version).map(drop),
                "response" => AnyResponse::decode(key, &mut d, version).map(drop),
                _ => continue,
            };
            assert_eq!(
                result,
                Ok(()),
                "{} version {version}, {}",
                layout.name,
                frame.len()
            );
        }
    }
}
