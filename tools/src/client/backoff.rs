//! Pauses between attempts: from `retry.backoff.ms`, doubled each time, to `retry.backoff.max.ms`.

use std::thread;
use std::time::{Duration, Instant};

use super::config::Settings;

/// How long to pause next.
pub struct Backoff {
    next: Duration,
    longest: Duration,
    pauses: u32,
}

impl Backoff {
    /// No pause was made yet.
    pub fn new(settings: &Settings) -> Backoff {
        Backoff {
            next: settings.retry_backoff,
            longest: settings.retry_backoff_longest,
            pauses: 0,
        }
    }

    /// How many pauses were made.
    pub fn pauses(&self) -> u32 {
        self.pauses
    }

    /// Pauses, unless the deadline would pass meanwhile: then false.
    pub fn pause_before(&mut self, deadline: Instant) -> bool {
        if Instant::now() + self.next >= deadline {
            return false;
        }
        pause(self.next);
        self.pauses += 1;
        self.next = (self.next * 2).min(self.longest);
        true
    }
}

/// Rests for as long as that.
pub fn pause(how_long: Duration) {
    let end = Instant::now() + how_long;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if left.is_zero() {
            break;
        }
        thread::park_timeout(left);
    }
}
