//! `.txnindex`: the aborted transactions of a segment.

use std::io::Write;
use std::path::Path;

use super::fatal::Fatal;

/// Version, producer id and three offsets.
const ENTRY_BYTES: usize = 34;
const VERSION_MAX: i8 = 0;

/// Prints a transaction index.
pub fn dump(path: &Path, out: &mut dyn Write) -> Result<(), Fatal> {
    super::base_offset(path)?;
    // Kafka's tool takes a file that is not there for an empty one.
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| Fatal::file(path, &error))?,
    };
    let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
    for entry in entries {
        // Only the first of the two bytes is looked at, as in Kafka's tool.
        let version = entry[0] as i8;
        if version > VERSION_MAX {
            return Err(Fatal::new(
                "org.apache.kafka.common.KafkaException",
                format!(
                    "Unexpected aborted transaction version {version} in transaction index {}, \
                     current version is {VERSION_MAX}",
                    super::absolute(path).display()
                ),
            ));
        }
        let number = |at: usize| {
            let bytes = entry[at..].first_chunk().expect("within the entry");
            i64::from_be_bytes(*bytes)
        };
        writeln!(
            out,
            "version: {version} producerId: {} firstOffset: {} lastOffset: {} \
             lastStableOffset: {}",
            number(2),
            number(10),
            number(18),
            number(26)
        )?;
    }
    Ok(())
}
