//! Requests whose arrays stay in the frame say the same as requests that are decoded whole: on random
//! frames, on frames that are cut short, and on frames with a changed byte.

use protocol::messages as m;
use protocol::wire::Decoder;

use crate::layout::{self, Fill};
use crate::seed::Seed;

const FRAMES_OF_EACH_VERSION: u64 = 40;
const CHANGES_OF_EACH_FRAME: usize = 20;

/// Both forms of a frame as text, or that it is refused; None for an API that is always decoded whole.
fn both(api: &str, version: i16, frame: &[u8]) -> Option<[Option<String>; 2]> {
    macro_rules! both {
        ($($module:ident :: $request:ident),* $(,)?) => {
            match api {
                $(stringify!($request) => {
                    let mut whole = Decoder::with_budget(frame, usize::MAX);
                    let whole = m::$module::$request::decode(&mut whole, version);
                    let in_frame =
                        m::$module::in_frame::$request::decode(&mut Decoder::new(frame), version);
                    Some([
                        whole.ok().map(|request| format!("{request:?}")),
                        in_frame.ok().map(|request| format!("{request:?}")),
                    ])
                })*
                _ => None,
            }
        };
    }
    both!(
        produce::ProduceRequest,
        fetch::FetchRequest,
        list_offsets::ListOffsetsRequest,
        metadata::MetadataRequest,
        delete_records::DeleteRecordsRequest,
        offset_for_leader_epoch::OffsetForLeaderEpochRequest,
        describe_configs::DescribeConfigsRequest,
        find_coordinator::FindCoordinatorRequest,
        create_topics::CreateTopicsRequest,
        delete_topics::DeleteTopicsRequest,
        create_partitions::CreatePartitionsRequest,
        alter_configs::AlterConfigsRequest,
        incremental_alter_configs::IncrementalAlterConfigsRequest,
    )
}

fn assert_equal(api: &str, version: i16, frame: &[u8]) -> bool {
    let Some([whole, in_frame]) = both(api, version, frame) else {
        return false;
    };
    assert_eq!(in_frame, whole, "{api} version {version}: {frame:02x?}");
    true
}

#[test]
fn arrays_that_stay_in_the_frame_say_what_decoded_ones_say() {
    let mut versions = 0;
    for layout in layout::all() {
        for version in layout.versions.low..=layout.versions.high {
            let mut compared = false;
            for number in 0..FRAMES_OF_EACH_VERSION {
                let frame = layout.frame(version, Fill::Random, &mut Seed::new(number));
                compared |= assert_equal(&layout.name, version, &frame);
                if !compared {
                    break;
                }
                for change in 0..CHANGES_OF_EACH_FRAME {
                    let at = frame.len() * change / CHANGES_OF_EACH_FRAME;
                    assert_equal(&layout.name, version, &frame[..at]);
                    let mut changed = frame.clone();
                    changed[at] = changed[at].wrapping_add(1 + number as u8);
                    assert_equal(&layout.name, version, &changed);
                }
            }
            versions += usize::from(compared);
        }
    }
    assert!(
        versions > 60,
        "only {versions} versions of messages were compared"
    );
}
