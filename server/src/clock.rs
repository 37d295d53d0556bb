//! The wall clock, in the unit of record timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::ids::TimestampMs;

/// Milliseconds since 1970.
pub fn now_ms() -> TimestampMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimestampMs(since.as_millis() as i64)
}
