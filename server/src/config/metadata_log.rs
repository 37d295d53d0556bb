//! What holds for the metadata log and its snapshots.

use std::time::Duration;

use engine::config::{Cleanup, LogConfig, Validation};

use super::Values;

/// The metadata log's batches are the node's own; KRaft bounds them at this.
const BATCH_BYTES_MAX: u32 = 8 << 20;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataLogSettings {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub bytes_between_snapshots_max: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` is without limit.
    pub snapshot_interval_max: Option<Duration>,
    /// `metadata.max.retention.bytes`; `None` is without limit.
    pub retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`; `None` is without limit.
    pub retention: Option<Duration>,
    /// `metadata.log.segment.bytes`.
    pub segment_bytes_max: u32,
    /// `metadata.log.segment.ms`.
    pub segment_age_ms_max: i64,
}

impl MetadataLogSettings {
    pub(super) fn of(values: &Values) -> Self {
        let interval = values.millis("metadata.log.max.snapshot.interval.ms");
        let limit = |name| u64::try_from(values.whole(name)).ok();
        Self {
            bytes_between_snapshots_max: values
                .count("metadata.log.max.record.bytes.between.snapshots")
                as u64,
            snapshot_interval_max: (!interval.is_zero()).then_some(interval),
            retention_bytes: limit("metadata.max.retention.bytes"),
            retention: limit("metadata.max.retention.ms").map(Duration::from_millis),
            segment_bytes_max: values.count("metadata.log.segment.bytes") as u32,
            segment_age_ms_max: values.whole("metadata.log.segment.ms"),
        }
    }

    /// What the log is told: its cleaning follows its snapshots, not its age.
    pub fn log_config(&self) -> LogConfig {
        LogConfig {
            segment_bytes_max: self.segment_bytes_max,
            segment_age_ms_max: self.segment_age_ms_max,
            cleanup: Cleanup {
                delete: false,
                compact: false,
            },
            validation: Validation::Relaxed,
            batch_bytes_max: BATCH_BYTES_MAX,
            ..LogConfig::default()
        }
    }
}
