//! Producers that wrote nothing for long are forgotten, partition by partition
//! (`producer.id.expiration.ms`, looked at every `producer.id.expiration.check.interval.ms`).

use std::rc::Rc;

use crate::clock;
use crate::shard::Shard;

/// Looks until the node stops.
pub async fn forget_forever(shard: Rc<Shard>) {
    while !shard.is_stopping() {
        let interval = shard.config.producer_id_expiration_check_interval;
        ring::timer::sleep(interval).await;
        let now = clock::now_ms();
        for partition in shard.partitions() {
            // A partition that is given up has no log to look at.
            let _ = partition.with_log(|log| log.expire_producers(now));
        }
    }
}
