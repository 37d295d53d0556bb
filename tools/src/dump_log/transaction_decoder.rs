//! The records of `__transaction_state`.

use protocol::records::transaction::{TransactionLogKey, TransactionLogValue};
use protocol::wire::Decoder;

use super::decoder::{Decoded, LogRecord};
use super::fatal::Fatal;

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
    let mut partitions = ScalaSet::default();
    if *state != "Empty" {
        for topic in value.transaction_partitions.iter().flatten() {
            partitions.make_room(topic.partition_ids.len());
            for partition in &topic.partition_ids {
                partitions.insert(&topic.topic, *partition);
            }
        }
    }
    Ok(format!(
        "producerId:{},producerEpoch:{},state={state},partitions=[{}],\
         txnLastUpdateTimestamp={},txnTimeoutMs={}",
        value.producer_id,
        value.producer_epoch,
        partitions.in_order().join(","),
        value.transaction_last_update_timestamp_ms,
        value.transaction_timeout_ms,
    ))
}

/// A set of partitions in the order in which Scala's hash set gives them out: by bucket, and
/// within a bucket by hash.
struct ScalaSet {
    buckets: usize,
    entries: Vec<(i32, String)>,
}

impl Default for ScalaSet {
    fn default() -> Self {
        Self {
            buckets: 16,
            entries: Vec::new(),
        }
    }
}

impl ScalaSet {
    /// A table is grown once it is three quarters full.
    fn is_full_at(&self, count: usize) -> bool {
        count >= self.buckets * 3 / 4
    }

    fn make_room(&mut self, more: usize) {
        let wanted = (more + 1) * 4 / 3;
        let buckets = ((wanted.max(1) - 1).max(4).ilog2() + 1) as usize;
        self.buckets = self.buckets.max(1 << buckets);
    }

    fn insert(&mut self, topic: &str, partition: i32) {
        if self.is_full_at(self.entries.len() + 1) {
            self.buckets *= 2;
        }
        let mut name_hash = 0i32;
        for unit in topic.encode_utf16() {
            name_hash = name_hash.wrapping_mul(31).wrapping_add(unit.into());
        }
        let hash = 31i32
            .wrapping_add(partition)
            .wrapping_mul(31)
            .wrapping_add(name_hash);
        let hash = hash ^ (hash as u32 >> 16) as i32;
        let entry = (hash, format!("{topic}-{partition}"));
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    fn in_order(mut self) -> Vec<String> {
        let mask = self.buckets as i32 - 1;
        self.entries.sort_by_key(|(hash, _)| (hash & mask, *hash));
        self.entries.into_iter().map(|(_, name)| name).collect()
    }
}
