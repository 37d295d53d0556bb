//! Counts what a process asks of the kernel while it works: system calls, and operations that
//! io_uring hands to a worker thread. Needs `perf` and the right to trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use benches::Error;
use benches::clock::Nanos;
use rustix::process::{Pid, Signal, kill_process};

const SYSTEM_CALL: &str = "raw_syscalls:sys_enter";
const GIVEN_TO_WORKER: &str = "io_uring:io_uring_queue_async_work";
/// How long perf may take to attach to all threads.
const ATTACH_WITHIN: Nanos = Nanos(500_000_000);

/// A count that is under way.
pub struct Counter {
    perf: Child,
    output: PathBuf,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// System calls of all threads.
    pub system_calls: u64,
    /// io_uring operations that a worker thread carried out.
    pub given_to_workers: u64,
}

impl Counter {
    /// Begins to count; `dir` takes what perf writes.
    pub fn start(pid: u32, dir: &Path) -> Result<Counter, Error> {
        let output = dir.join("perf-stat.csv");
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", SYSTEM_CALL, "-e", GIVEN_TO_WORKER])
            .arg("-p")
            .arg(pid.to_string())
            .arg("-o")
            .arg(&output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("starting perf, which counts system calls"))?;
        ATTACH_WITHIN.pause();
        Ok(Counter { perf, output })
    }

    /// Ends the count.
    pub fn stop(mut self) -> Result<Counts, Error> {
        let pid = i32::try_from(self.perf.id()).ok().and_then(Pid::from_raw);
        let doing = "ending perf";
        if let Some(pid) = pid {
            kill_process(pid, Signal::INT).map_err(|errno| Error::io(doing)(errno.into()))?;
        }
        self.perf.wait().map_err(Error::io(doing))?;
        let csv = fs::read_to_string(&self.output).map_err(Error::io("reading perf's counts"))?;
        let count = |event| {
            count_of(&csv, event)
                .ok_or_else(|| Error::Unusable(format!("perf cannot count {event} here")))
        };
        Ok(Counts {
            system_calls: count(SYSTEM_CALL)?,
            given_to_workers: count(GIVEN_TO_WORKER)?,
        })
    }
}

/// The first field of the line that names the event.
fn count_of(csv: &str, event: &str) -> Option<u64> {
    let line = csv.lines().find(|line| line.contains(event))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_csv() {
        let csv = "# started on x\n\n1234,,raw_syscalls:sys_enter,5,100.00,,\n\
                   <not counted>,,io_uring:io_uring_queue_async_work,0,100.00,,\n";
        assert_eq!(count_of(csv, SYSTEM_CALL), Some(1234));
        assert_eq!(count_of(csv, GIVEN_TO_WORKER), None);
    }
}
