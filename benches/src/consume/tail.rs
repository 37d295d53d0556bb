//! A consumer that follows a topic while it is produced to, for end-to-end latencies: each value
//! begins with the time at which its record ought to have been sent.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::api::ApiKey;
use protocol::batch::BatchView;

use crate::Error;
use crate::clock::Nanos;
use crate::cluster::{Cluster, Topic};
use crate::consume::load::{Load, Plan};
use crate::consume::request::{Crc, Cursor, Session, Wire};
use crate::latency::Latencies;
use crate::window::Window;

/// Consumes from `first_offsets` on until `expected` records have come; counts those that were to
/// be sent at `opens_at` or later.
pub fn follow(
    topic: &Topic,
    first_offsets: &[i64],
    opens_at: Nanos,
    expected: &AtomicU64,
    timeout: Nanos,
) -> Result<Latencies, Error> {
    let lanes = topic.by_leader();
    let any = lanes.first().map(|(address, _)| *address);
    let any = any.ok_or_else(|| Error::Unusable(format!("{} has no partition", topic.name)))?;
    let wire = Wire {
        topic: topic.clone(),
        version: Cluster::connect_to(any)?.version_of(ApiKey::Fetch, 4, 17)?,
        max_bytes: 52_428_800,
        partition_max_bytes: 1_048_576,
        max_wait_ms: 500,
        min_bytes: 1,
        crc: Crc::Ignore,
    };
    let window = Window::new(opens_at, None);
    let so_far = AtomicU64::new(0);
    let plan = Plan {
        wire,
        window: &window,
        timeout,
        enough: expected,
        so_far: &so_far,
    };
    let mut load = Load::new(&plan)?;
    for (leader, partitions) in lanes {
        let cursor = |partition| Cursor {
            partition,
            next: first_offsets[partition],
            end: i64::MAX,
        };
        let cursors = partitions.into_iter().map(cursor).collect();
        let session = Session::Open {
            id: 0,
            epoch: 0,
            known: Vec::new(),
        };
        load.add(leader, cursors, session)?;
    }
    let mut latencies = Latencies::default();
    load.run(|batch, now| count(batch, now, opens_at, &mut latencies))?;
    let (came, wanted) = (
        so_far.load(Ordering::Acquire),
        expected.load(Ordering::Acquire),
    );
    if came > wanted && wanted > 0 {
        return Err(Error::Broken(format!(
            "{came} records came where {wanted} were sent"
        )));
    }
    Ok(latencies)
}

fn count(
    batch: &BatchView<'_>,
    now: Nanos,
    opens_at: Nanos,
    latencies: &mut Latencies,
) -> Result<(), Error> {
    let broken = |said: String| Error::Broken(format!("a batch that was fetched: {said}"));
    for record in batch.records().map_err(|error| broken(error.to_string()))? {
        let record = record.map_err(|error| broken(error.to_string()))?;
        let stamp = record.value.and_then(|value| value.first_chunk::<8>());
        let stamp = stamp.ok_or_else(|| broken("a value has no time in it".to_owned()))?;
        let intended = Nanos(u64::from_be_bytes(*stamp));
        if intended >= opens_at {
            latencies.record(now.since(intended));
        }
    }
    Ok(())
}
