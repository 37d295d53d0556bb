//! Random frames of every message and version: decoded and encoded again they are the same, and
//! cut short they are errors.

use crate::any_message::recode;
use crate::layout::{self, Fill};
use crate::seed::Seed;

const FRAMES_OF_EACH_VERSION: u64 = 40;

#[test]
fn every_message_in_every_version_comes_back_the_same() {
    let mut frames = 0;
    for layout in layout::all() {
        for version in layout.versions.low..=layout.versions.high {
            for number in 0..FRAMES_OF_EACH_VERSION {
                let fill = if number == 0 {
                    Fill::Default
                } else {
                    Fill::Random
                };
                let frame = layout.frame(version, fill, &mut Seed::new(number));
                let again = recode(&layout.kind, &layout.name, layout.key, version, &frame);
                assert!(
                    again.as_ref() == Ok(&frame),
                    "{} {} version {version}, frame {number}:\n{frame:02x?}\n{again:02x?}",
                    layout.kind,
                    layout.name
                );
                frames += 1;
            }
        }
    }
    assert_eq!(
        frames,
        736 * FRAMES_OF_EACH_VERSION,
        "not all messages and versions are there"
    );
}

#[test]
fn a_frame_cut_short_or_too_long_is_an_error() {
    for layout in layout::all() {
        for version in layout.versions.low..=layout.versions.high {
            for number in 1..4 {
                let mut frame = layout.frame(version, Fill::Random, &mut Seed::new(number));
                let step = frame.len() / 50 + 1;
                for len in (0..frame.len()).step_by(step) {
                    let cut = recode(
                        &layout.kind,
                        &layout.name,
                        layout.key,
                        version,
                        &frame[..len],
                    );
                    assert!(
                        cut.is_err(),
                        "{} version {version} cut at {len}",
                        layout.name
                    );
                }
                frame.push(0);
                let long = recode(&layout.kind, &layout.name, layout.key, version, &frame);
                assert!(
                    long.is_err(),
                    "{} version {version} and a byte more",
                    layout.name
                );
            }
        }
    }
}
