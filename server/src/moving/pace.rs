//! How fast logs are copied between directories: `replica.alter.log.dirs.io.max.bytes.per.second`, which
//! all shards share and which may change at any time.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub struct Pace {
    owed: Mutex<Owed>,
}

#[derive(Debug, Default)]
struct Owed {
    /// Copied, and not paid for at `at`.
    bytes: f64,
    at: Option<Instant>,
}

impl Pace {
    /// So many bytes were copied.
    pub fn took(&self, bytes: usize) {
        self.owed.lock().expect("nobody panics with it").bytes += bytes as f64;
    }

    /// How long what was copied is not paid for, at this rate.
    pub fn wait(&self, bytes_per_second: u64, now: Instant) -> Duration {
        let mut owed = self.owed.lock().expect("nobody panics with it");
        let passed = owed.at.map_or(Duration::ZERO, |at| now - at.min(now));
        let rate = bytes_per_second as f64;
        owed.bytes = (owed.bytes - passed.as_secs_f64() * rate).max(0.0);
        owed.at = Some(now);
        match owed.bytes {
            0.0 => Duration::ZERO,
            bytes => Duration::try_from_secs_f64(bytes / rate).unwrap_or(Duration::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_follows_changes_and_is_not_saved_up() {
        let (pace, now, second) = (Pace::default(), Instant::now(), Duration::from_secs(1));
        assert_eq!(pace.wait(1000, now), Duration::ZERO);
        pace.took(3000);
        assert_eq!(pace.wait(1000, now), 3 * second);
        assert_eq!(pace.wait(1000, now + second), 2 * second);
        assert_eq!(pace.wait(500, now + second), 4 * second);
        assert_eq!(pace.wait(0, now + second), Duration::MAX);
        assert_eq!(pace.wait(1000, now + 9 * second), Duration::ZERO);
        pace.took(1000);
        assert_eq!(pace.wait(1000, now + 9 * second), second);
    }
}
