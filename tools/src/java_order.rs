//! The order in which Java's hash maps give out what is in them, which Kafka's tools print in.

use crate::client::TopicPartition;

/// The order of a `java.util.HashMap` made with room for `capacity` entries (16 by default), into
/// which `entries` were put one by one.
pub fn map_order<T>(entries: Vec<T>, capacity: usize, hash: impl Fn(&T) -> i32) -> Vec<T> {
    let mut buckets = capacity.max(1).next_power_of_two();
    // A table grows when it is more than three quarters full.
    while entries.len() > buckets * 3 / 4 {
        buckets *= 2;
    }
    let mask = buckets as i32 - 1;
    let mut entries = entries;
    // Entries of one bucket stay in the order in which they came.
    entries.sort_by_key(|entry| {
        let hash = hash(entry);
        (hash ^ (hash as u32 >> 16) as i32) & mask
    });
    entries
}

/// Java's hash code of a text.
pub fn java_hash(text: &str) -> i32 {
    let units = text.encode_utf16();
    units.fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    })
}

/// Java's hash code of a partition.
pub fn partition_hash(at: &TopicPartition) -> i32 {
    let number = 31i32.wrapping_add(at.partition);
    number.wrapping_mul(31).wrapping_add(java_hash(&at.topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_as_from_javas_map() {
        // As jshell prints the keys of a HashMap with these put in.
        let names = vec!["retention.ms", "cleanup.policy", "segment.bytes"];
        let ordered = map_order(names, 16, |name| java_hash(name));
        assert_eq!(ordered, ["cleanup.policy", "retention.ms", "segment.bytes"]);
    }
}
