//! Broker keys: Transactions and idempotent producers.

use controller::config_key::Check::{Any, AtLeast};
use controller::config_key::ConfigKey;
use controller::config_key::ConfigType::{Boolean, Int, Short};

use super::{CLUSTER_WIDE, READ_ONLY, row};

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    row("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1), READ_ONLY,
        "How long an unused transactional id is remembered."),
    row("transaction.max.timeout.ms", Int, Some("900000"), AtLeast(1), READ_ONLY,
        "The longest transaction time-out a producer may ask for."),
    row("transaction.state.log.num.partitions", Int, Some("50"), AtLeast(1), READ_ONLY,
        "How many partitions the transaction topic has."),
    row("transaction.state.log.replication.factor", Short, Some("3"), AtLeast(1), READ_ONLY,
        "How many replicas the transaction topic has."),
    row("transaction.state.log.min.isr", Int, Some("2"), AtLeast(1), READ_ONLY,
        "How many of them must be in sync."),
    row("transaction.state.log.segment.bytes", Int, Some("104857600"), AtLeast(1), READ_ONLY,
        "The size of a segment of the transaction topic."),
    row("transaction.state.log.load.buffer.size", Int, Some("5242880"), AtLeast(1), READ_ONLY,
        "How much is read at once when transactions are loaded."),
    row("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Some("10000"), AtLeast(1), READ_ONLY,
        "How often transactions are checked for being out of time."),
    row("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Some("3600000"), AtLeast(1), READ_ONLY,
        "How often transactional ids are checked for being unused."),
    row("transaction.partition.verification.enable", Boolean, Some("true"), Any, CLUSTER_WIDE,
        "Whether a partition must be known to be part of the transaction before it takes its records."),
    row("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1), CLUSTER_WIDE,
        "How long an idle producer's sequence numbers are remembered."),
    row("producer.id.expiration.check.interval.ms", Int, Some("600000"), AtLeast(1), READ_ONLY,
        "How often producers are checked for being idle."),
];
