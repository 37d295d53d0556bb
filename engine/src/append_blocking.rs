//! An append that is written and synced on this thread: the few records of start-up.

use crate::append::{Append, AppendError};
use crate::flush::FlushTo;
use crate::log::Log;
use protocol::ids::TimestampMs;

impl Log {
    /// Appends and syncs.
    ///
    /// # Panics
    /// If a write or a flush is in flight.
    pub fn append_durably_blocking(
        &mut self,
        append: Append,
        now: TimestampMs,
    ) -> Result<(), AppendError> {
        self.enqueue(append)?;
        let write = self.start_write(now).expect("an append is queued");
        let written = write.run_blocking();
        let mut done = Vec::new();
        self.finish_write(written, &mut done);
        for (_, result) in done {
            result?;
        }
        match self.start_flush(FlushTo::LogEnd) {
            Some(flush) => self.finish_flush(flush.run_blocking()),
            None => Ok(()),
        }
    }
}
