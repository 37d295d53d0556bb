//! CPU time of a process, its kernel workers included, and of the machine.

use std::io;
use std::time::Duration;

/// User and system time of all threads of process `pid`, ended ones included, in nanoseconds'
/// resolution. The kernel's io_uring workers are threads of the process that caused them.
pub fn of_process(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is valid for writes.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Time that all cores together have been busy since the machine was started, in hundredths of a
/// second.
pub fn of_machine() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all_cores = stat.lines().next().unwrap_or("").split_whitespace().skip(1);
    let ticks: Vec<u64> = all_cores.map(|field| field.parse().unwrap_or(0)).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user.
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&i| ticks.get(i)).sum();
    // SAFETY: sysconf takes no pointers.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Ok(Duration::from_nanos(
        busy * (1_000_000_000 / ticks_per_second),
    ))
}
