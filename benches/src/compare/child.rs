//! A process that the comparison started, and that ends with it.
//!
//! It is ended by its own id only: SIGTERM first, SIGKILL if it does not heed that in time.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use benches::Error;
use benches::clock::Nanos;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long a process may take to end after SIGTERM.
const END_WITHIN: Nanos = Nanos(20_000_000_000);
/// How long to wait before looking again whether it has.
const LOOK_AGAIN_AFTER: Nanos = Nanos(10_000_000);

/// Where processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The kernel decides.
    Free,
    /// On this core only.
    Core(usize),
}

/// A process of ours.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command`; what it prints goes to `output`.
    pub fn start(
        name: &str,
        command: &mut Command,
        output: &Path,
        placement: Placement,
    ) -> Result<Process, Error> {
        let doing = || format!("starting {name}");
        let log = File::create(output).map_err(Error::io(doing()))?;
        let log_too = log.try_clone().map_err(Error::io(doing()))?;
        command.stdin(Stdio::null()).stdout(log).stderr(log_too);
        // A child inherits the affinity of the thread that starts it, from its first instruction.
        let own = sched_getaffinity(None).map_err(|errno| Error::io(doing())(errno.into()))?;
        place(placement)?;
        let child = command.spawn();
        sched_setaffinity(None, &own).map_err(|errno| Error::io(doing())(errno.into()))?;
        Ok(Process {
            child: child.map_err(Error::io(doing()))?,
            name: name.to_owned(),
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if the process has ended by itself.
    pub fn require_alive(&mut self) -> Result<(), Error> {
        match self
            .child
            .try_wait()
            .map_err(Error::io(format!("watching {}", self.name)))?
        {
            None => Ok(()),
            Some(status) => Err(Error::Unusable(format!("{} ended: {status}", self.name))),
        }
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), pid) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Nanos::now().plus(END_WITHIN);
        while let Ok(None) = self.child.try_wait() {
            if Nanos::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            LOOK_AGAIN_AFTER.pause();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Moves the calling thread, and what it starts from now on.
pub fn place(placement: Placement) -> Result<(), Error> {
    let Placement::Core(core) = placement else {
        return Ok(());
    };
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
        .map_err(|errno| Error::io(format!("moving to core {core}"))(errno.into()))
}
