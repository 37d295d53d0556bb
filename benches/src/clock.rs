//! The one clock of the harness: CLOCK_MONOTONIC in nanoseconds.
//!
//! Every latency is a difference of two readings of it. It is the same for all threads and
//! processes of a machine, so that a time written into a record by a producer can be compared with
//! the time at which a consumer sees it.

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// A point in time or a span of it, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The current time of CLOCK_MONOTONIC.
    pub fn now() -> Nanos {
        let now = clock_gettime(ClockId::Monotonic);
        Nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
    }

    /// A span given in seconds.
    pub fn from_seconds(seconds: f64) -> Nanos {
        Nanos((seconds * 1e9) as u64)
    }

    /// A span given in milliseconds.
    pub fn from_millis(millis: f64) -> Nanos {
        Nanos((millis * 1e6) as u64)
    }

    /// This span in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time `span` after this one.
    pub fn plus(self, span: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(span.0))
    }

    /// Does nothing for this long: the process that measures has nothing else to do than to wait.
    pub fn pause(self) {
        std::thread::sleep(std::time::Duration::from_nanos(self.0));
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}
