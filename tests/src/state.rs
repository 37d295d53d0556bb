//! Waiting for a state, with a deadline: the only place of the tests in which a thread rests.

use std::thread::park_timeout;
use std::time::{Duration, Instant};

/// How long a state may take that needs no more than a few round trips, on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Asks `probe` until it answers with the state, and gives that back.
///
/// Panics when `deadline` passes first, and says which state did not come: `what`.
pub fn reach<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(state) = probe() {
            return state;
        }
        assert!(
            begin.elapsed() < deadline,
            "not reached within {deadline:?}: {what}"
        );
        park_timeout(Duration::from_millis(5));
    }
}
