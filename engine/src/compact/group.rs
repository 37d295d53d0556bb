//! Which segments become one: neighbours, as long as the result cannot be too large for a segment,
//! its indexes too large, or its offsets too far from its base.
//!
//! Pure. What is left of compacted segments would otherwise be many small files.

use crate::sealed_segment::SealedSegment;
use protocol::ids::Offset;
use std::sync::Arc;

/// What of a segment decides where it goes.
#[derive(Clone, Copy, Debug)]
struct Size {
    base: Offset,
    bytes: u64,
    offset_index_bytes: u64,
    time_index_bytes: u64,
}

/// Puts segments into groups, in order. `end` is the offset after the last one.
pub(crate) fn groups(
    segments: &[Arc<SealedSegment>],
    segment_bytes_max: u32,
    index_bytes_max: u32,
    end: Offset,
) -> Vec<Vec<Arc<SealedSegment>>> {
    let sizes: Vec<Size> = segments
        .iter()
        .map(|segment| {
            let (offset_index_bytes, time_index_bytes) = segment.index_bytes();
            Size {
                base: segment.base_offset,
                bytes: u64::from(segment.end.0),
                offset_index_bytes: offset_index_bytes as u64,
                time_index_bytes: time_index_bytes as u64,
            }
        })
        .collect();
    let limits = (u64::from(segment_bytes_max), u64::from(index_bytes_max));
    let mut rest = segments;
    lengths(&sizes, limits, end)
        .into_iter()
        .map(|length| {
            let (group, others) = rest.split_at(length);
            rest = others;
            group.to_vec()
        })
        .collect()
}

fn lengths(sizes: &[Size], (bytes_max, index_bytes_max): (u64, u64), end: Offset) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut group: Option<Size> = None;
    for (at, next) in sizes.iter().enumerate() {
        let last = sizes.get(at + 1).map_or(end, |after| after.base);
        if let Some(sum) = &mut group {
            let in_reach = next.bytes == 0 || last - sum.base <= i64::from(i32::MAX) + 1;
            let grown = Size {
                base: sum.base,
                bytes: sum.bytes + next.bytes,
                offset_index_bytes: sum.offset_index_bytes + next.offset_index_bytes,
                time_index_bytes: sum.time_index_bytes + next.time_index_bytes,
            };
            let fits = grown.bytes <= bytes_max
                && grown.offset_index_bytes <= index_bytes_max
                && grown.time_index_bytes <= index_bytes_max;
            if in_reach && fits {
                *sum = grown;
                *lengths.last_mut().expect("a group has begun") += 1;
                continue;
            }
        }
        group = Some(*next);
        lengths.push(1);
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(segments: &[(i64, u64, u64)]) -> Vec<Size> {
        let size = |&(base, bytes, index)| Size {
            base: Offset(base),
            bytes,
            offset_index_bytes: index,
            time_index_bytes: 0,
        };
        segments.iter().map(size).collect()
    }

    #[test]
    fn groups_stay_within_a_segments_bounds() {
        let end = Offset(100);
        let small = sizes(&[
            (0, 40, 8),
            (10, 50, 8),
            (20, 10, 8),
            (30, 1, 8),
            (40, 200, 8),
            (50, 1, 8),
        ]);
        assert_eq!(lengths(&small, (100, 100), end), [3, 1, 1, 1]);
        assert_eq!(lengths(&small, (1000, 16), end), [2, 2, 2]);
        assert_eq!(lengths(&[], (1, 1), end), []);
    }

    #[test]
    fn offsets_stay_within_32_bits_of_the_base() {
        let far = i64::from(i32::MAX);
        let segments = sizes(&[(0, 1, 0), (10, 1, 0), (far + 1, 1, 0)]);
        assert_eq!(lengths(&segments, (100, 100), Offset(far + 50)), [2, 1]);
        let empty = sizes(&[(0, 1, 0), (10, 1, 0), (far + 2, 0, 0)]);
        assert_eq!(lengths(&empty, (100, 100), Offset(far + 50)), [1, 2]);
    }
}
