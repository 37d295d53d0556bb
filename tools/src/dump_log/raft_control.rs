//! What a control record says: the end of a transaction, or KRaft's own.

use std::io::Write;

use protocol::batch::control::{ControlType, EndMarker, TransactionResult};

use super::decoder::LogRecord;
use super::fatal::Fatal;
use super::json::message_json;

/// Prints the tail of a control record's line.
pub fn print(record: &LogRecord<'_>, out: &mut dyn Write) -> Result<(), Fatal> {
    let key = record.key.unwrap_or_default();
    let [_, _, high, low, ..] = key else {
        return Err(Fatal::invalid_record(format!(
            "Invalid value size found for end control record key. Must have at least 4 bytes, \
             but found only {}",
            key.len()
        )));
    };
    let id = i16::from_be_bytes([*high, *low]);
    let message = match ControlType::from_key(key) {
        Some(ControlType::Abort | ControlType::Commit) => return print_marker(record, out),
        Some(ControlType::SnapshotHeader) => ("SnapshotHeader", "SnapshotHeaderRecord"),
        Some(ControlType::SnapshotFooter) => ("SnapshotFooter", "SnapshotFooterRecord"),
        Some(ControlType::KraftVersion) => ("KRaftVersion", "KRaftVersionRecord"),
        Some(ControlType::KraftVoters) => ("KRaftVoters", "VotersRecord"),
        Some(ControlType::LeaderChange) => {
            write!(out, " controlType: LEADER_CHANGE({id})")?;
            return Ok(());
        }
        None => {
            write!(out, " controlType: UNKNOWN({id})")?;
            return Ok(());
        }
    };
    let (label, schema) = message;
    let value = record.value.unwrap_or_default();
    // All of these begin with their version.
    let version = value
        .first_chunk()
        .map_or(0, |bytes| i16::from_be_bytes(*bytes));
    let json = message_json(schema, value, version)
        .map_err(|error| Fatal::new("java.lang.IllegalArgumentException", error))?;
    write!(out, " {label} {json}")?;
    Ok(())
}

fn print_marker(record: &LogRecord<'_>, out: &mut dyn Write) -> Result<(), Fatal> {
    let marker = EndMarker::parse(record.key.unwrap_or_default(), record.value);
    let Some(marker) = marker else {
        return Err(Fatal::invalid_record("Invalid end transaction marker"));
    };
    let result = match marker.result {
        TransactionResult::Abort => "ABORT",
        TransactionResult::Commit => "COMMIT",
    };
    write!(
        out,
        " endTxnMarker: {result} coordinatorEpoch: {}",
        marker.coordinator_epoch
    )?;
    Ok(())
}
