//! Broker keys: Replication, elections, shutdown.

use controller::config_key::Check::{Any, AtLeast};
use controller::config_key::ConfigKey;
use controller::config_key::ConfigType::{Boolean, Int, Long, String as Text};

use super::{CLUSTER_WIDE, READ_ONLY, row};

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    row("num.replica.fetchers", Int, Some("1"), Any, CLUSTER_WIDE,
        "How many links to each leader fetch from it."),
    row("num.replica.alter.log.dirs.threads", Int, None, Any, READ_ONLY,
        "How many threads move replicas between directories; no effect, each shard moves one at a time."),
    row("replica.lag.time.max.ms", Long, Some("30000"), Any, READ_ONLY,
        "A follower that has not caught up for this long leaves the ISR."),
    row("replica.fetch.max.bytes", Int, Some("1048576"), AtLeast(0), READ_ONLY,
        "How much of one partition a follower fetches at once."),
    row("replica.fetch.response.max.bytes", Int, Some("10485760"), AtLeast(0), READ_ONLY,
        "How much a follower fetches at once."),
    row("replica.fetch.min.bytes", Int, Some("1"), Any, READ_ONLY,
        "How little a leader's answer to a follower may hold."),
    row("replica.fetch.wait.max.ms", Int, Some("500"), Any, READ_ONLY,
        "How long a follower's fetch waits for data."),
    row("replica.fetch.backoff.ms", Int, Some("1000"), AtLeast(0), READ_ONLY,
        "The pause after a failed fetch of a follower."),
    row("replica.socket.timeout.ms", Int, Some("30000"), Any, READ_ONLY,
        "How long a follower waits for its leader."),
    row("replica.socket.receive.buffer.bytes", Int, Some("65536"), Any, READ_ONLY,
        "SO_RCVBUF of a follower's link."),
    row("replica.high.watermark.checkpoint.interval.ms", Long, Some("5000"), Any, READ_ONLY,
        "How often high watermarks are written down."),
    row("replica.selector.class", Text, None, Any, READ_ONLY,
        "The Java class that chooses a replica for a consumer; the rack-aware one is built in."),
    row("unclean.leader.election.enable", Boolean, Some("false"), Any, CLUSTER_WIDE,
        "Whether a replica that is not in sync may lead as the last resort."),
    row("unclean.leader.election.interval.ms", Long, Some("300000"), AtLeast(1), READ_ONLY,
        "How often partitions are checked for such an election."),
    row("auto.leader.rebalance.enable", Boolean, Some("true"), Any, READ_ONLY,
        "Whether leadership returns to preferred replicas by itself."),
    row("leader.imbalance.check.interval.seconds", Long, Some("300"), AtLeast(1), READ_ONLY,
        "How often that balance is checked."),
    row("leader.imbalance.per.broker.percentage", Int, Some("10"), Any, READ_ONLY,
        "How unbalanced a broker may be."),
    row("controlled.shutdown.enable", Boolean, Some("true"), Any, READ_ONLY,
        "Whether a broker hands its leaderships over before it stops."),
    row("controlled.shutdown.max.retries", Int, Some("3"), Any, READ_ONLY,
        "How often it tries to."),
    row("controlled.shutdown.retry.backoff.ms", Long, Some("5000"), Any, READ_ONLY,
        "The pause between the tries."),
    row("controller.socket.timeout.ms", Int, Some("30000"), Any, READ_ONLY,
        "How long the controller waits for a broker's answer."),
];
