//! Makes all memory of a virtual machine real before anything is measured.
//!
//! A hypervisor gives a guest its memory page by page, when the guest first writes to it. On the
//! development machine that costs 3 CPU-seconds per GB, on whoever happens to write: a broker that
//! fills fresh page cache pays five times what the same write costs later. So all free memory is
//! written to and given back to the guest's kernel, which then hands it to everybody: all of it once,
//! and before each turn as much as the turn will use.

use std::fs;

/// Left free, so that nobody is pushed out.
const LEAVE_KIB: u64 = 1024 * 1024;
/// Allocated at once.
const CHUNK_BYTES: usize = 64 * 1024 * 1024;

/// Writes to all free memory but a little, and frees it again.
pub fn touch_free() {
    let bytes = free_bytes();
    eprintln!("touching {} MiB of free memory", bytes / 1024 / 1024);
    touch(bytes);
}

/// Writes to this much of the free memory, if there is so much: a guest that reports free pages
/// gives them back to its hypervisor within seconds.
pub fn touch_again(bytes_max: u64) {
    touch(free_bytes().min(bytes_max));
}

fn touch(bytes: u64) {
    let touched: Vec<Vec<u8>> = (0..bytes / CHUNK_BYTES as u64)
        .map(|_| vec![1; CHUNK_BYTES])
        .collect();
    // The compiler must not find out that nobody reads it.
    std::hint::black_box(&touched);
}

fn free_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free_kib = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemFree:")?
            .split_ascii_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    free_kib.unwrap_or(0).saturating_sub(LEAVE_KIB) * 1024
}
