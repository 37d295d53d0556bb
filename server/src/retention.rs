//! Every shard looks at its partitions from time to time and deletes old segments
//! (`log.retention.check.interval.ms`).

use std::rc::Rc;

use crate::shard::Shard;

/// Looks until the node stops.
pub async fn enforce_forever(shard: Rc<Shard>) {
    ring::timer::sleep(shard.config.log_initial_task_delay).await;
    while !shard.is_stopping() {
        for partition in shard.partitions() {
            partition.drop_expired().await;
        }
        ring::timer::sleep(shard.config.log_retention_check_interval).await;
    }
}
