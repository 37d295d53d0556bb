//! Compaction: of each key only the newest record stays (`cleanup.policy=compact`), with the offsets
//! that the records had. The rules are those of Kafka 3.9's log cleaner.
//!
//! Step by step: `dirty` says what is there to clean; `key_map` learns the newest offset of every
//! key in the dirty part; `group` says which segments become one; `retain` decides what stays of a
//! batch, with `transactions`, and `old_format` of a message of formats 0 and 1; `rewrite` writes
//! what stays beside the segments; `swap` puts it in their place. `run` goes through this, `pace`
//! holds it back.
//!
//! All that reads or writes records runs on threads of its own, on immutable segments; the log
//! itself is touched only to begin, to put a group in place, and to end. Readers that began before
//! keep what they read. Invariant: whenever the process ends, the next start finds either the old
//! segments or their replacement.

mod dirty;
mod group;
mod key_map;
mod old_format;
mod pace;
mod retain;
mod rewrite;
mod run;
mod swap;
mod transactions;

use crate::log::Log;
use protocol::ids::Offset;

#[cfg(test)]
pub(crate) use key_map::SLOT_BYTES as KEY_BYTES;

pub use dirty::{Cleanable, DirtCheck};
pub use pace::{Brake, Throttle};
pub use run::{Cleaned, CleanedGroup, Compaction, Limits, Step};
pub use swap::{Swap, Swapped};

/// What a log knows of its compaction.
#[derive(Debug, Default)]
pub(crate) struct CompactionState {
    /// Everything below has been compacted: the cleaner checkpoint.
    cleaned_to: Option<Offset>,
    /// It failed: the log is left alone until the next start.
    failed: bool,
}

impl CompactionState {
    /// Records from here on are not those that were compacted.
    pub(crate) fn forget_from(&mut self, target: Offset) {
        self.cleaned_to = self.cleaned_to.map(|offset| offset.min(target));
    }
}

impl Log {
    /// Up to where the log was compacted; `None` if it never was.
    pub fn cleaned_to(&self) -> Option<Offset> {
        self.compaction.cleaned_to
    }

    /// What the cleaner checkpoint said at the start.
    pub(crate) fn set_cleaned_to(&mut self, offset: Option<Offset>) {
        self.compaction.cleaned_to = offset;
    }

    /// A compaction has come to its end.
    pub fn finish_compaction(&mut self, cleaned: &Cleaned) {
        self.compaction.cleaned_to = Some(cleaned.end.min(self.log_end));
        tracing::info!(
            partition = %self.topic_partition, end = %cleaned.end, keys = cleaned.keys,
            read_bytes = cleaned.read_bytes, kept_bytes = cleaned.kept_bytes, "compacted"
        );
    }

    /// The log cannot be compacted: it is left alone until the next start.
    pub fn mark_uncleanable(&mut self, why: &str) {
        tracing::error!(
            partition = %self.topic_partition, why,
            "compaction failed; the log is served as it is and not compacted until the next start"
        );
        self.compaction.failed = true;
    }
}
