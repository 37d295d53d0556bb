//! What a partition's log is told by its topic's configuration.
//!
//! Knows neither the names of configuration keys nor where a value came from. Defaults are those
//! of Kafka 3.9. A log holds an `Arc<LogConfig>` and takes a new one whole.

use protocol::compression::Encoding;

/// Which timestamps a topic's records carry (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// What the producer wrote.
    CreateTime,
    /// The time of the append at the leader.
    LogAppendTime,
}

/// How much of a client's batch is checked before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Only what is needed to find the batches' bounds: lengths and format version. The CRC is
    /// not computed.
    None,
    /// Header, CRC-32C and counts; records are not looked at. The default.
    Relaxed,
    /// Every record as well, as Kafka does: compressed batches are decompressed.
    Strict,
}

/// How batches are compressed in the log (`compression.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredCompression {
    /// As the producer compressed them.
    Producer,
    /// All so (`compression.gzip.level`, `compression.zstd.level`); batches that come otherwise
    /// are compressed anew.
    Always(Encoding),
}

/// What is done with old data (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Old segments are deleted by age and size.
    pub delete: bool,
    /// Only the last record of each key is kept. Records without a key are refused.
    pub compact: bool,
}

/// A topic's configuration as far as its logs on disk are concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it would grow beyond this.
    pub segment_bytes_max: u32,
    /// `segment.ms`: a segment is closed when its first record is this old.
    pub segment_age_ms_max: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment_age_ms_max`, by chance, so that
    /// the segments of many partitions do not close at the same moment.
    pub segment_jitter_ms_max: i64,
    /// `segment.index.bytes`: the size at which an index is full and its segment closed.
    pub index_bytes_max: u32,
    /// `index.interval.bytes`: an index entry follows at least this many bytes after the last.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: the largest batch a client may append.
    pub batch_bytes_max: u32,
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `retention.ms`: segments whose records are all older are deleted; `None` is without limit.
    pub retention_ms_max: Option<i64>,
    /// `retention.bytes`: the oldest segments are deleted while the others have at least this
    /// much; `None` is without limit.
    pub retention_bytes_max: Option<u64>,
    /// `min.cleanable.dirty.ratio`: a log is compacted when more than this share of it is dirty.
    pub cleanable_ratio_min: f64,
    /// `min.compaction.lag.ms`: segments with younger records are not compacted.
    pub compaction_lag_ms_min: i64,
    /// `max.compaction.lag.ms`: a log is compacted whatever its dirty share is when its oldest dirty
    /// segment began so long ago.
    pub compaction_lag_ms_max: i64,
    /// `delete.retention.ms`: how long tombstones and transaction markers stay after the compaction
    /// that found nothing else to keep of them.
    pub delete_retention_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far back a client's timestamp may lie.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`: how far ahead a client's timestamp may lie.
    pub timestamp_after_ms_max: i64,
    /// How much of a batch is checked.
    pub validation: Validation,
    /// `compression.type` and the levels.
    pub compression: StoredCompression,
    /// `flush.messages`: a flush is due after this many records.
    pub flush_records: i64,
    /// `flush.ms`: a flush is due after this long; the caller keeps the time.
    pub flush_interval_ms: i64,
    /// `file.delete.delay.ms`: how long files that readers may still use stay after they were
    /// given up.
    pub file_delete_delay_ms: i64,
    /// `producer.id.expiration.ms`: a producer that wrote nothing for so long is forgotten.
    pub producer_expiration_ms: i64,
    /// How many bytes of appends may wait for the log before it pushes back.
    pub queued_bytes_max: usize,
    /// How many bytes one write takes from the queue; a single append may be larger.
    pub write_bytes_max: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        Self {
            segment_bytes_max: 1 << 30,
            segment_age_ms_max: 7 * DAY_MS,
            segment_jitter_ms_max: 0,
            index_bytes_max: 10 << 20,
            index_interval_bytes: 4096,
            batch_bytes_max: (1 << 20) + 12,
            cleanup: Cleanup {
                delete: true,
                compact: false,
            },
            retention_ms_max: Some(7 * DAY_MS),
            retention_bytes_max: None,
            cleanable_ratio_min: 0.5,
            compaction_lag_ms_min: 0,
            compaction_lag_ms_max: i64::MAX,
            delete_retention_ms: DAY_MS,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_ms_max: i64::MAX,
            timestamp_after_ms_max: i64::MAX,
            validation: Validation::Relaxed,
            compression: StoredCompression::Producer,
            flush_records: i64::MAX,
            flush_interval_ms: i64::MAX,
            file_delete_delay_ms: 60_000,
            producer_expiration_ms: DAY_MS,
            queued_bytes_max: 32 << 20,
            write_bytes_max: 4 << 20,
        }
    }
}
