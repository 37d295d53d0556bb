//! Lowers the calling thread's priority: work in the background, which otherwise takes the cores'
//! threads their turns for milliseconds at a time.

use std::io;

/// Lets the calling thread have only what others leave (SCHED_IDLE): a thread that wakes on its core
/// takes its place at once. On a core that is never idle it still gets a small share.
pub(crate) fn yield_to_all() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is valid while the call runs; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told() {
        let policy = std::thread::spawn(|| {
            yield_to_all().unwrap();
            // SAFETY: no pointers; 0 is the calling thread.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_IDLE);
    }
}
