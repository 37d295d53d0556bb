//! How a compaction is held back and stopped: a limit on bytes a second that all cleaner threads
//! share (`log.cleaner.io.max.bytes.per.second`), and a brake for each run.

use std::io;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Stops one compaction from another thread.
#[derive(Debug, Default)]
pub struct Brake {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// How many bytes a second all compactions together may read and write.
#[derive(Debug)]
pub struct Throttle {
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    bytes_per_second: f64,
    /// When what was taken so far is paid for.
    free_at: Option<Instant>,
}

impl Brake {
    /// The compaction ends as soon as it looks.
    pub fn stop(&self) {
        *self.stopped.lock().expect("nobody panics with it") = true;
        self.changed.notify_all();
    }

    /// An error of kind `Interrupted` once it was stopped.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.wait(Duration::ZERO)
    }

    fn wait(&self, at_most: Duration) -> io::Result<()> {
        let stopped = self.stopped.lock().expect("nobody panics with it");
        let waited = self
            .changed
            .wait_timeout_while(stopped, at_most, |stopped| !*stopped);
        match *waited.expect("nobody panics with it").0 {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }
}

impl Throttle {
    /// Of a rate in bytes a second.
    pub fn new(bytes_per_second: f64) -> Self {
        let pace = Pace {
            bytes_per_second,
            free_at: None,
        };
        Self {
            pace: Mutex::new(pace),
        }
    }

    /// From now on this rate holds, also for compactions under way.
    pub fn set_rate(&self, bytes_per_second: f64) {
        let mut pace = self.pace.lock().expect("nobody panics with it");
        pace.bytes_per_second = bytes_per_second;
    }

    /// Takes so many bytes, and waits until they are paid for.
    pub(crate) fn take(&self, bytes: usize, brake: &Brake) -> io::Result<()> {
        let wait = self.owe(bytes, Instant::now());
        brake.wait(wait)
    }

    fn owe(&self, bytes: usize, now: Instant) -> Duration {
        let mut pace = self.pace.lock().expect("nobody panics with it");
        let cost = bytes as f64 / pace.bytes_per_second;
        let cost = Duration::try_from_secs_f64(cost).unwrap_or(Duration::MAX);
        if cost.is_zero() {
            return cost;
        }
        let from = pace.free_at.map_or(now, |at| at.max(now));
        let until = from.checked_add(cost).unwrap_or(from);
        pace.free_at = Some(until);
        until - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_what_was_not_used_is_not_saved_up() {
        let throttle = Throttle::new(1000.0);
        let now = Instant::now();
        let ms = Duration::from_millis;
        assert_eq!(throttle.owe(500, now), ms(500));
        assert_eq!(throttle.owe(500, now), ms(1000));
        assert_eq!(throttle.owe(500, now + ms(400)), ms(1100));
        assert_eq!(throttle.owe(100, now + ms(9000)), ms(100));
        throttle.set_rate(100.0);
        assert_eq!(throttle.owe(100, now + ms(9000)), ms(1100));
        assert_eq!(Throttle::new(f64::MAX).owe(1 << 30, now), Duration::ZERO);
    }

    #[test]
    fn a_stop_ends_a_wait() {
        let brake = Brake::default();
        let throttle = Throttle::new(1e-3);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| throttle.take(1_000_000, &brake));
            brake.stop();
            assert!(waiting.join().unwrap().is_err());
        });
    }
}
