//! Frames that Kafka's own code wrote: see ../golden/README.md.

use crate::any_message::recode;
use crate::layout;
use std::collections::BTreeSet;

const MESSAGES: &str = include_str!("../golden/messages.txt");

pub fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .map(|b| (b as char).to_digit(16).expect("a hex digit") as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn what_kafka_writes_is_read_and_written_again() {
    let mut seen = BTreeSet::new();
    for line in MESSAGES.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, key, version, hex] = words[..] else {
            panic!("not a message: {line}")
        };
        let name = key
            .strip_suffix("Data")
            .filter(|_| key.ends_with("HeaderData"))
            .unwrap_or(key);
        let key: i16 = key.parse().unwrap_or(-1);
        let version: i16 = version.parse().unwrap();
        let frame = from_hex(hex);
        let again = recode(kind, name, key, version, &frame);
        assert!(
            again.as_ref() == Ok(&frame),
            "{kind} {name} version {version}:\n{frame:02x?}\n{again:02x?}"
        );
        seen.insert((kind, name, version));
    }
    let versions: usize = layout::all()
        .iter()
        .map(|layout| usize::try_from(layout.versions.high - layout.versions.low + 1).unwrap())
        .sum();
    assert_eq!(
        seen.len(),
        versions,
        "every version of every message is there"
    );
}
