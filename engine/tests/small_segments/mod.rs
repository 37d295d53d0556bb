//! Segments of one record each, for tests that want many of them.

use std::sync::Arc;

use engine::FlushTo;
use engine::config::LogConfig;
use engine::log::Log;
use protocol::batch::{BatchBuilder, BatchOptions, NewRecord};

use crate::append::{NOW, append};

/// A log of this configuration begins a segment with every [`append_record`].
pub fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes_max: 200,
        ..LogConfig::default()
    })
}

pub fn append_record(runtime: &mut ring::Runtime, log: &mut Log) {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(&NewRecord {
        timestamp: NOW,
        value: Some(&[7; 120]),
        ..NewRecord::default()
    });
    append(runtime, log, batch.finish().into());
}

/// Makes durable what the closed segments have.
pub fn flush(runtime: &mut ring::Runtime, log: &mut Log) {
    let flush = log.start_flush(FlushTo::ActiveSegment).unwrap();
    let flushed = runtime.block_on(flush.run());
    log.finish_flush(flushed).unwrap();
}
