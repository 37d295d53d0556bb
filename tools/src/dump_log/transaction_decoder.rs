//! The records of `__transaction_state`.

use protocol::records::transaction::{TransactionLogKey, TransactionLogValue};
use protocol::wire::Decoder;

use super::decoder::{Decoded, LogRecord};
use super::fatal::Fatal;
use super::scala_order::ScalaOrder;
use crate::java_order::java_hash;

const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// The transactional id and what is known of it.
pub fn decode(record: &LogRecord<'_>) -> Result<Decoded, Fatal> {
    let Some(key) = record.key else {
        return Err(Fatal::bare("java.lang.NullPointerException"));
    };
    let (version, key) = versioned(key)?;
    if !(TransactionLogKey::VERSION_MIN..=TransactionLogKey::VERSION_MAX).contains(&version) {
        return Ok(Decoded {
            key: Some(format!("unknown::version={version}")),
            payload: None,
        });
    }
    let key = TransactionLogKey::decode(&mut Decoder::new(key), version)
        .map_err(|error| damaged(&error.to_string()))?;
    let payload = match record.value {
        None => "<DELETE>".into(),
        Some(value) => value_text(value)?,
    };
    let key = format!(
        "transaction_metadata::transactionalId={}",
        key.transactional_id
    );
    Ok(Decoded {
        key: Some(key),
        payload: Some(payload),
    })
}

fn versioned(bytes: &[u8]) -> Result<(i16, &[u8]), Fatal> {
    match bytes.split_first_chunk() {
        Some((version, rest)) => Ok((i16::from_be_bytes(*version), rest)),
        None => Err(Fatal::bare("java.nio.BufferUnderflowException")),
    }
}

fn damaged(reason: &str) -> Fatal {
    Fatal::new("java.lang.RuntimeException", reason)
}

fn value_text(bytes: &[u8]) -> Result<String, Fatal> {
    let (version, bytes) = versioned(bytes)?;
    let versions = TransactionLogValue::VERSION_MIN..=TransactionLogValue::VERSION_MAX;
    if !versions.contains(&version) {
        return Err(Fatal::new(
            "java.lang.IllegalStateException",
            format!("Unknown version {version} from the transaction log message value"),
        ));
    }
    let value = TransactionLogValue::decode(&mut Decoder::new(bytes), version)
        .map_err(|error| damaged(&error.to_string()))?;
    let status = value.transaction_status;
    let Some(state) = usize::try_from(status).ok().and_then(|at| STATES.get(at)) else {
        return Err(Fatal::new(
            "java.lang.IllegalStateException",
            format!("Unknown transaction state id {status} from the transaction status message"),
        ));
    };
    let mut partitions = ScalaOrder::default();
    if *state != "Empty" {
        for topic in value.transaction_partitions.iter().flatten() {
            partitions.make_room(topic.partition_ids.len());
            for partition in &topic.partition_ids {
                let hash = 31i32.wrapping_add(*partition).wrapping_mul(31);
                let hash = hash.wrapping_add(java_hash(&topic.topic));
                partitions.insert(hash, format!("{}-{partition}", topic.topic));
            }
        }
    }
    Ok(format!(
        "producerId:{},producerEpoch:{},state={state},partitions=[{}],\
         txnLastUpdateTimestamp={},txnTimeoutMs={}",
        value.producer_id,
        value.producer_epoch,
        partitions.into_entries().collect::<Vec<_>>().join(","),
        value.transaction_last_update_timestamp_ms,
        value.transaction_timeout_ms,
    ))
}
