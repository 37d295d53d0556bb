//! How to write to which file system: one table, with the measurement that decided each row.
//!
//! The figures are from `docs/runtime.md`, which says how to repeat them.

use crate::descriptor::Descriptor;

/// How a buffered write reaches the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePath {
    /// An operation of the ring. Never blocks the thread; where the file system cannot complete it
    /// at once, a kernel worker does it.
    Ring,
    /// `pwritev(2)` on the thread: no worker. While the page cache is throttled, the thread goes over
    /// to the ring (see `write`).
    Inline,
}

struct Row {
    magic: i64,
    name: &'static str,
    write_path: WritePath,
}

const TABLE: [Row; 3] = [
    // 128 KiB appends at 50 MB/s over 6 files, inline against ring: 0.71 and 0.73 s/GB, p99.9 0.18
    // and 0.64 ms; 16 KiB: 1.8 and 2.6 s/GB. Every ring write goes through a worker.
    Row {
        magic: 0xEF53,
        name: "ext4",
        write_path: WritePath::Inline,
    },
    // The same: 0.51 and 0.76 s/GB, p99.9 0.11 and 0.35 ms; 16 KiB: 1.6 and 2.4 s/GB. All of the
    // ring's 128 KiB writes and half of its 16 KiB writes go through a worker at this rate (1% when
    // the disk is saturated).
    Row {
        magic: 0x5846_5342,
        name: "xfs",
        write_path: WritePath::Inline,
    },
    // Memory: nothing to wait for.
    Row {
        magic: 0x0102_1994,
        name: "tmpfs",
        write_path: WritePath::Inline,
    },
];

/// Not measured: let no thread of the data path block.
const UNKNOWN: Row = Row {
    magic: 0,
    name: "unknown",
    write_path: WritePath::Ring,
};

fn row(magic: i64) -> &'static Row {
    TABLE
        .iter()
        .find(|row| row.magic == magic)
        .unwrap_or(&UNKNOWN)
}

/// The row's name and way of writing for the file system that `descriptor` is on.
pub(crate) fn of(descriptor: &Descriptor) -> (&'static str, WritePath) {
    // SAFETY: statfs is plain data for which zeroes are valid.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is valid for writes of its size, and the descriptor is open.
    let rc = unsafe { libc::fstatfs(descriptor.raw(), &mut stat) };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the field's type differs between architectures"
    )]
    let row = if rc == 0 {
        row(stat.f_type as i64)
    } else {
        &UNKNOWN
    };
    (row.name, row.write_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_has_one_row() {
        for (i, a) in TABLE.iter().enumerate() {
            assert!(
                TABLE[i + 1..]
                    .iter()
                    .all(|b| a.magic != b.magic && a.name != b.name)
            );
            assert_eq!(row(a.magic).name, a.name);
        }
        assert_eq!(row(0x6969).write_path, WritePath::Ring);
    }
}
