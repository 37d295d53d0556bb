//! The line of a batch.

use std::io::Write;

use protocol::batch::{Attributes, BatchHeader, BatchView, TimestampType};

use super::fatal::Fatal;
use super::legacy;
use super::segment_file::RawBatch;

/// The format of batches; below it are the old formats.
const MAGIC_BATCH: i8 = 2;

/// The names of codecs by their number in the attributes.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Prints the line of a batch and gives what the lines of its records need.
pub fn print(batch: &RawBatch, out: &mut dyn Write) -> Result<Kind, Fatal> {
    let size = batch.bytes.len();
    if batch.magic < MAGIC_BATCH {
        let message = legacy::Message::parse(&batch.bytes)?;
        let timestamp_type = message.timestamp_type_name();
        writeln!(
            out,
            "offset: {} position: {} {timestamp_type}: {} size: {size} magic: {} \
             compresscodec: {} crc: {} isvalid: {}",
            message.offset,
            batch.position,
            message.timestamp,
            message.magic,
            codec_name(message.attributes)?,
            message.crc,
            message.is_valid,
        )?;
        return Ok(Kind::Legacy { timestamp_type });
    }
    let header = header(batch)?;
    let attributes = header.attributes;
    let timestamp_type = timestamp_type_name(attributes.timestamp_type());
    let horizon = match header.delete_horizon() {
        Some(horizon) => format!("OptionalLong[{horizon}]"),
        None => "OptionalLong.empty".into(),
    };
    let computed = view(batch)?.computed_crc();
    writeln!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} \
         producerId: {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} \
         isControl: {} deleteHorizonMs: {horizon} position: {} {timestamp_type}: {} \
         size: {size} magic: {} compresscodec: {} crc: {} isvalid: {}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.leader_epoch,
        attributes.is_transactional(),
        attributes.is_control(),
        batch.position,
        header.max_timestamp,
        batch.magic,
        codec_name(attributes)?,
        header.crc,
        computed == header.crc,
    )?;
    Ok(Kind::Batch {
        timestamp_type,
        header: Box::new(header),
    })
}

/// What the lines of a batch's records need to know of it.
pub enum Kind {
    /// A message of the old formats.
    Legacy {
        /// As it is printed.
        timestamp_type: &'static str,
    },
    /// A batch.
    Batch {
        /// As it is printed.
        timestamp_type: &'static str,
        /// Its header.
        header: Box<BatchHeader>,
    },
}

/// The header of a batch.
pub fn header(batch: &RawBatch) -> Result<BatchHeader, Fatal> {
    BatchHeader::parse(&batch.bytes).map_err(|error| Fatal::corrupt_record(error.to_string()))
}

/// The batch itself.
pub fn view(batch: &RawBatch) -> Result<BatchView<'_>, Fatal> {
    BatchView::first_of(&batch.bytes).map_err(|error| Fatal::corrupt_record(error.to_string()))
}

/// The last offset of a batch of any format.
pub fn last_offset(batch: &RawBatch) -> Result<i64, Fatal> {
    match batch.magic < MAGIC_BATCH {
        true => Ok(legacy::Message::parse(&batch.bytes)?.offset),
        false => Ok(header(batch)?.last_offset().0),
    }
}

/// Kafka's name of who set a timestamp.
pub fn timestamp_type_name(of: TimestampType) -> &'static str {
    match of {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn codec_name(attributes: Attributes) -> Result<&'static str, Fatal> {
    let id = usize::from(attributes.0.unsigned_abs() & 7);
    CODECS.get(id).copied().ok_or_else(|| {
        Fatal::new(
            "java.lang.IllegalArgumentException",
            format!("Unknown compression type id: {id}"),
        )
    })
}
