//! Record sets of the formats before batches, as clients older than Kafka 0.11 send them: they are
//! stored as one batch of format 2, with the compression they came in unless the topic has its own.

use crate::append::{Append, AppendError};
use crate::config::LogConfig;
use crate::enqueue::require_size;
use crate::record_check::{Inspection, RecordTimes};
use bytes::Bytes;
use protocol::batch::{BatchBuilder, BatchOptions, Compression, NewRecord};
use protocol::compression::Encoding;
use protocol::ids::TimestampMs;
use protocol::legacy_record_set::{self, Entries, LegacyError, LegacyRecord};

/// A client's set of the old formats whose messages are sound; wrappers are not opened yet.
#[derive(Clone, Debug)]
pub(crate) struct OldSet {
    /// Holds nothing but whole messages.
    pub(crate) append: Append,
    /// How its messages are compressed.
    pub(crate) compression: Compression,
}

impl OldSet {
    /// Checks an append; `None` if it is of format 2.
    pub(crate) fn check(append: &Append, config: &LogConfig) -> Result<Option<Self>, AppendError> {
        let set = &append.batches;
        let Some(magic @ (0 | 1)) = legacy_record_set::magic_of(set) else {
            return Ok(None);
        };
        let mut entries = Entries::new(set);
        let (mut count, mut bytes) = (0, 0);
        let mut compression = Compression::None;
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // Old clients may send what is left of a buffer; no record is lost.
                Err(LegacyError::Truncated) => break,
                Err(error) => return Err(refused_message(error)),
            };
            require_size(entries.position() - bytes, append.origin, config)?;
            if entry.magic != magic {
                return Err(AppendError::InvalidRecord(
                    "its messages are of several formats",
                ));
            }
            match entry.compression().map_err(refused_content)? {
                Compression::None => {}
                codec => compression = codec,
            }
            count += 1;
            bytes = entries.position();
        }
        if count == 0 {
            return Err(AppendError::Corrupt("it holds no whole message"));
        }
        if compression != Compression::None && count > 1 {
            return Err(AppendError::InvalidRecord(
                "there is more than one compressed message",
            ));
        }
        let append = Append {
            batches: set.slice(..bytes),
            ..append.clone()
        };
        Ok(Some(Self {
            append,
            compression,
        }))
    }

    /// The records as a batch, as an idempotent producer's never is. Decompressed, they may take
    /// `bytes_max`.
    pub(crate) fn convert(
        &self,
        encoding: Encoding,
        config: &LogConfig,
        now: Option<TimestampMs>,
        bytes_max: usize,
    ) -> Result<(Bytes, RecordTimes), AppendError> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let mut inspection = Inspection::new(config, now);
        let mut is_negative = false;
        let mut each = |record: LegacyRecord<'_>| {
            let timestamp = record.timestamp.unwrap_or(TimestampMs::NONE);
            inspection.look(record.key, timestamp, record.timestamp_type);
            is_negative |= timestamp < TimestampMs::NONE;
            if !is_negative {
                builder.append(&NewRecord {
                    timestamp,
                    key: record.key,
                    value: record.value,
                    headers: &[],
                });
            }
        };
        legacy_record_set::read(&self.append.batches, bytes_max, &mut each)
            .map_err(refused_content)?;
        let seen = inspection.finish()?;
        if is_negative {
            return Err(AppendError::InvalidRecord("a timestamp is negative"));
        }
        Ok((builder.finish_with(encoding).into(), seen))
    }
}

/// The answer to a message that is not what it should be.
fn refused_message(error: LegacyError) -> AppendError {
    AppendError::Corrupt(match error {
        LegacyError::Truncated => "it is cut short",
        LegacyError::Damaged(what) => what,
        LegacyError::OtherMagic(_) => "there is no such format",
        LegacyError::Crc { .. } => "its CRC is wrong",
        LegacyError::TooLarge { .. } => "it is too large",
    })
}

/// The answer to a wrapper whose content is not what it should be.
fn refused_content(error: LegacyError) -> AppendError {
    match error {
        LegacyError::TooLarge { limit } => AppendError::RecordsTooLarge { bytes_max: limit },
        LegacyError::Crc { .. } => refused_message(error),
        LegacyError::Damaged(what) => AppendError::InvalidRecord(what),
        LegacyError::Truncated => AppendError::InvalidRecord("its content is cut short"),
        LegacyError::OtherMagic(_) => {
            AppendError::InvalidRecord("its content is of another format")
        }
    }
}
