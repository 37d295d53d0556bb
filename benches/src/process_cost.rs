//! What a process has cost so far, read from /proc.
//!
//! CPU time is user plus system time of the whole thread group as /proc/PID/stat counts it: all
//! threads, ended ones included, and the kernel's io-wq and SQPOLL workers of an io_uring process,
//! which are threads of it. Work that the kernel does on nobody's account (writeback, interrupts)
//! is not in it. The resolution is one clock tick, 10 ms.

use std::fmt;
use std::fs;
use std::io;

use serde::Serialize;

/// Clock ticks a second in /proc/PID/stat: Linux fixes it at 100 for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// A reading of one process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessCost {
    /// User and system time of all threads since the process began, in seconds.
    pub cpu_seconds: f64,
    /// The most memory that was ever resident, in KiB.
    pub rss_peak_kib: u64,
    /// The memory that is resident now, in KiB.
    pub rss_kib: u64,
    /// How many threads there are now.
    pub threads: u64,
}

impl ProcessCost {
    /// Reads the process with this id.
    pub fn of(pid: u32) -> io::Result<ProcessCost> {
        Self::at(&format!("/proc/{pid}"))
    }

    /// Reads the calling process.
    pub fn of_self() -> io::Result<ProcessCost> {
        Self::at("/proc/self")
    }

    fn at(dir: &str) -> io::Result<ProcessCost> {
        let stat = fs::read_to_string(format!("{dir}/stat"))?;
        let status = fs::read_to_string(format!("{dir}/status"))?;
        let ticks = cpu_ticks(&stat).ok_or_else(|| malformed(dir, "stat"))?;
        let field = |name| status_number(&status, name).ok_or_else(|| malformed(dir, "status"));
        Ok(ProcessCost {
            cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
            rss_peak_kib: field("VmHWM:")?,
            rss_kib: field("VmRSS:")?,
            threads: field("Threads:")?,
        })
    }
}

/// What a process spent on a known amount of work.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WorkCost {
    /// CPU-seconds within the measured window.
    pub cpu_seconds: f64,
    /// CPU-seconds per 10^9 payload bytes.
    pub cpu_seconds_per_gb: f64,
    /// CPU-microseconds per record.
    pub cpu_us_per_record: f64,
    /// Average number of cores kept busy.
    pub cores: f64,
    /// The most memory that was ever resident, in MiB.
    pub rss_peak_mib: f64,
    /// The memory that was resident at the end, in MiB.
    pub rss_mib: f64,
}

impl WorkCost {
    /// The cost of `records` with `payload_bytes` that took `seconds`, between two readings.
    pub fn between(
        before: ProcessCost,
        after: ProcessCost,
        seconds: f64,
        records: u64,
        payload_bytes: u64,
    ) -> WorkCost {
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        WorkCost {
            cpu_seconds,
            cpu_seconds_per_gb: cpu_seconds / (payload_bytes as f64 / 1e9),
            cpu_us_per_record: cpu_seconds * 1e6 / records as f64,
            cores: cpu_seconds / seconds,
            rss_peak_mib: after.rss_peak_kib as f64 / 1024.0,
            rss_mib: after.rss_kib as f64 / 1024.0,
        }
    }
}

impl fmt::Display for WorkCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} CPU-s ({:.2} cores), {:.3} CPU-s/GB, {:.2} us/record, rss {:.0} MiB, peak {:.0} MiB",
            self.cpu_seconds,
            self.cores,
            self.cpu_seconds_per_gb,
            self.cpu_us_per_record,
            self.rss_mib,
            self.rss_peak_mib
        )
    }
}

/// utime + stime. The command name before them may hold blanks and brackets, so count from the
/// last closing bracket: state is the first field after it, utime and stime the 12th and 13th.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn malformed(dir: &str, file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{dir}/{file} is not as Linux writes it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 300 45 6 7 20 0 1 0";
        assert_eq!(cpu_ticks(stat), Some(345));
    }

    #[test]
    fn the_own_process_can_be_read() {
        let cost = ProcessCost::of_self().expect("own process");
        assert!(cost.rss_peak_kib >= cost.rss_kib && cost.threads >= 1);
    }
}
