//! Sets the ring up in the best mode the kernel has, and says in one line what it lacks.
//!
//! Must not know tasks or operations. Nothing here runs after start.

use io_uring::{IoUring, Probe, opcode, squeue};
use std::fmt;
use std::io;

/// Why no ring could be set up. `Display` is one line for the operator: what is missing and what
/// to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetupError {
    /// `io_uring_setup` was refused by a policy: `kernel.io_uring_disabled` or a seccomp profile.
    Forbidden {
        /// The value of `kernel.io_uring_disabled`, if the kernel has that switch.
        sysctl: Option<u8>,
    },
    /// The kernel does not have the system call, or a sandbox hides it.
    Absent {
        /// The kernel's release, as `uname -r` prints it.
        release: String,
    },
    /// There is io_uring, but without these operations or features.
    TooOld {
        /// The kernel's release, as `uname -r` prints it.
        release: String,
        /// The missing operations and features.
        missing: Vec<&'static str>,
    },
    /// A limit of the process is in the way.
    Limit {
        /// The error of `io_uring_setup` or of a helper descriptor.
        error: io::Error,
    },
    /// Anything else the kernel answered.
    Other {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden {
                sysctl: Some(value @ 1..),
            } => write!(
                f,
                "io_uring is forbidden on this machine: kernel.io_uring_disabled is {value}; \
                 run `sysctl -w kernel.io_uring_disabled=0`{}",
                if *value == 1 {
                    " or add this user's group to kernel.io_uring_group"
                } else {
                    ""
                }
            ),
            Self::Forbidden { .. } => f.write_str(
                "io_uring is forbidden in this sandbox (EPERM): its seccomp profile must allow \
                 io_uring_setup, io_uring_enter and io_uring_register (Docker and Podman: \
                 --security-opt seccomp=<profile that allows them>; Kubernetes: a Localhost \
                 seccompProfile)",
            ),
            Self::Absent { release } => write!(
                f,
                "there is no io_uring here (ENOSYS, kernel {release}): run on Linux 5.15 or newer \
                 built with CONFIG_IO_URING, outside sandboxes that hide it such as gVisor"
            ),
            Self::TooOld { release, missing } => write!(
                f,
                "io_uring of kernel {release} lacks {}: run on Linux 5.15 or newer",
                missing.join(", ")
            ),
            Self::Limit { error } => write!(
                f,
                "io_uring could not be set up ({error}): raise the limits on locked memory \
                 (ulimit -l) and on open files (ulimit -n)"
            ),
            Self::Other { step, error } => write!(f, "io_uring: {step} failed: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// When the kernel runs the second half of an operation (its task work).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskWork {
    /// Only inside `io_uring_enter`, when we ask for completions (6.1 and newer).
    Deferred,
    /// At any entry into the kernel, without interrupting us (5.19 and newer).
    Cooperative,
    /// By interrupting the thread.
    Interrupting,
}

impl TaskWork {
    pub(crate) const BEST_FIRST: [Self; 3] =
        [Self::Deferred, Self::Cooperative, Self::Interrupting];
}

/// A ring and what its kernel can do.
pub(crate) struct Set {
    pub(crate) ring: IoUring,
    pub(crate) task_work: TaskWork,
}

/// The operations that `ring` uses; each has been in every kernel since 5.6.
const OPERATIONS: [(u8, &str); 11] = [
    (opcode::Accept::CODE, "IORING_OP_ACCEPT"),
    (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
    (opcode::Connect::CODE, "IORING_OP_CONNECT"),
    (opcode::Fallocate::CODE, "IORING_OP_FALLOCATE"),
    (opcode::Fsync::CODE, "IORING_OP_FSYNC"),
    (opcode::OpenAt::CODE, "IORING_OP_OPENAT"),
    (opcode::PollAdd::CODE, "IORING_OP_POLL_ADD"),
    (opcode::Read::CODE, "IORING_OP_READ"),
    (opcode::Recv::CODE, "IORING_OP_RECV"),
    (opcode::SyncFileRange::CODE, "IORING_OP_SYNC_FILE_RANGE"),
    (opcode::Writev::CODE, "IORING_OP_WRITEV"),
];

/// Sets up a ring with room for `entries` submissions a turn, in the mode `best` or the next best
/// that the kernel has.
pub(crate) fn set_up(entries: u32, completions: u32, best: TaskWork) -> Result<Set, SetupError> {
    set_up_with(best, |task_work| {
        let mut builder = IoUring::<squeue::Entry>::builder();
        builder.setup_clamp().setup_cqsize(completions);
        match task_work {
            TaskWork::Deferred => {
                builder
                    .setup_single_issuer()
                    .setup_defer_taskrun()
                    .setup_submit_all();
            }
            TaskWork::Cooperative => {
                builder.setup_coop_taskrun().setup_submit_all();
            }
            TaskWork::Interrupting => {}
        }
        builder.build(entries)
    })
}

fn set_up_with(
    best: TaskWork,
    mut build: impl FnMut(TaskWork) -> io::Result<IoUring>,
) -> Result<Set, SetupError> {
    let mut refusal = io::Error::from_raw_os_error(libc::EINVAL);
    for task_work in TaskWork::BEST_FIRST
        .into_iter()
        .skip_while(|mode| *mode != best)
    {
        match build(task_work) {
            Ok(ring) => {
                let mut probe = Probe::new();
                ring.submitter()
                    .register_probe(&mut probe)
                    .map_err(|error| SetupError::Other {
                        step: "probing operations",
                        error,
                    })?;
                check_features(&ring, |code| probe.is_supported(code))?;
                return Ok(Set { ring, task_work });
            }
            // EINVAL is how a kernel says that it does not know a set-up flag.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = error,
            Err(error) => return Err(explain(error)),
        }
    }
    Err(explain(refusal))
}

fn check_features(ring: &IoUring, has: impl Fn(u8) -> bool) -> Result<(), SetupError> {
    let mut missing = missing_operations(has);
    for (has, name) in [
        (ring.params().is_feature_ext_arg(), "IORING_FEAT_EXT_ARG"),
        (ring.params().is_feature_nodrop(), "IORING_FEAT_NODROP"),
        (
            ring.params().is_feature_submit_stable(),
            "IORING_FEAT_SUBMIT_STABLE",
        ),
        (
            ring.params().is_feature_fast_poll(),
            "IORING_FEAT_FAST_POLL",
        ),
    ] {
        if !has {
            missing.push(name);
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(SetupError::TooOld {
            release: kernel_release(),
            missing,
        })
    }
}

fn missing_operations(has: impl Fn(u8) -> bool) -> Vec<&'static str> {
    OPERATIONS
        .iter()
        .filter(|(code, _)| !has(*code))
        .map(|(_, name)| *name)
        .collect()
}

fn explain(error: io::Error) -> SetupError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => SetupError::Forbidden { sysctl: sysctl() },
        Some(libc::ENOSYS) => SetupError::Absent {
            release: kernel_release(),
        },
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => SetupError::Limit { error },
        _ => SetupError::Other {
            step: "io_uring_setup",
            error,
        },
    }
}

fn sysctl() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(errno: i32) -> String {
        let refused = set_up_with(TaskWork::Deferred, |_| {
            Err(io::Error::from_raw_os_error(errno))
        });
        refused.err().expect("set-up must fail").to_string()
    }

    #[test]
    fn a_refusal_is_one_line_that_says_what_to_do() {
        for (errno, must_say) in [
            (libc::EPERM, "seccomp profile must allow io_uring_setup"),
            (libc::EACCES, "io_uring is forbidden"),
            (libc::ENOSYS, "run on Linux 5.15 or newer"),
            (libc::ENOMEM, "ulimit -l"),
            (libc::EMFILE, "ulimit -n"),
            (libc::EINVAL, "io_uring_setup failed"),
        ] {
            let line = refused_with(errno);
            assert!(!line.contains('\n'), "{line}");
            // Where the sysctl is set, EPERM names the sysctl instead of the sandbox.
            assert!(
                line.contains(must_say) || line.contains("io_uring_disabled is"),
                "{line}"
            );
        }
        let sysctl = SetupError::Forbidden { sysctl: Some(2) }.to_string();
        assert!(
            sysctl.contains("sysctl -w kernel.io_uring_disabled=0"),
            "{sysctl}"
        );
    }

    #[test]
    fn missing_operations_are_named() {
        let lacking = missing_operations(|code| code != opcode::SyncFileRange::CODE);
        assert_eq!(lacking, ["IORING_OP_SYNC_FILE_RANGE"]);
        let error = SetupError::TooOld {
            release: "5.4.0".into(),
            missing: lacking,
        };
        assert_eq!(
            error.to_string(),
            "io_uring of kernel 5.4.0 lacks IORING_OP_SYNC_FILE_RANGE: run on Linux 5.15 or newer"
        );
    }

    #[test]
    fn an_older_kernel_gets_the_next_best_mode() {
        let mut tried = Vec::new();
        let set = set_up_with(TaskWork::Deferred, |task_work| {
            tried.push(task_work);
            match task_work {
                TaskWork::Deferred => Err(io::Error::from_raw_os_error(libc::EINVAL)),
                _ => IoUring::new(8),
            }
        });
        assert_eq!(
            set.map(|set| set.task_work).expect("plain rings work"),
            TaskWork::Cooperative
        );
        assert_eq!(tried, [TaskWork::Deferred, TaskWork::Cooperative]);
    }
}
