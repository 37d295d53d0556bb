//! Pins the calling thread to one core.
//!
//! A shard's ring, its buffers and its partitions' hot data stay in one core's caches only if the
//! scheduler may not move the thread.

use std::io;
use std::sync::OnceLock;

/// The cores that the process might run on before any thread was pinned.
static PROCESS_CORES: OnceLock<Vec<usize>> = OnceLock::new();

/// Pins the calling thread to the `n`th of the cores this process may run on (wrapping around), so
/// that shard 0, 1, 2... land on different cores also where a container allows only cores 4-7.
/// Returns the core's number.
pub fn pin_to_core(n: usize) -> io::Result<usize> {
    process_cores()?;
    let cores = allowed_cores()?;
    let core = cores[n % cores.len()];
    allow(&[core]).map(|()| core)
}

/// Lets the calling thread run on all cores that the process might run on before a thread was
/// pinned: a thread that a pinned one starts is pinned too.
pub fn unpin() -> io::Result<()> {
    allow(process_cores()?)
}

/// The numbers of the cores that the process might run on when this was first asked, which pinning
/// a thread does; in order, never empty.
pub fn process_cores() -> io::Result<&'static [usize]> {
    if PROCESS_CORES.get().is_none() {
        let cores = allowed_cores()?;
        PROCESS_CORES.get_or_init(|| cores);
    }
    Ok(PROCESS_CORES.get().expect("it has just been set"))
}

fn allow(cores: &[usize]) -> io::Result<()> {
    // SAFETY: cpu_set_t is plain data for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores {
        // SAFETY: `core` came out of a cpu_set_t, so it is within its bounds.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: `set` is valid for its size; 0 is the calling thread.
    let rc = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The numbers of the cores the calling thread may run on, in order; never empty.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: cpu_set_t is plain data for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writes of its size; 0 is the calling thread.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every index is below CPU_SETSIZE, the bound of the set.
    let is_in = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_in).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_thread_may_run_on_one_core_only() {
        std::thread::spawn(|| {
            let all = allowed_cores().unwrap();
            let core = pin_to_core(all.len() + 1).unwrap();
            assert_eq!(core, all[1 % all.len()]);
            assert_eq!(allowed_cores().unwrap(), vec![core]);
            unpin().unwrap();
            assert_eq!(allowed_cores().unwrap(), all);
        })
        .join()
        .unwrap();
    }
}
