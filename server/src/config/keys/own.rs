//! Broker keys of our own, which Kafka does not have.

use controller::config_key::Check::{AtLeast, OneOf};
use controller::config_key::ConfigKey;
use controller::config_key::ConfigType::{Int, String as Text};

use super::{READ_ONLY, row};

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    row("num.shards", Int, None, AtLeast(1), READ_ONLY,
        "How many shards the node runs, each on a thread with its own partitions and connections. Not set: one for every core."),
    row("chiplog.validation", Text, Some("relaxed"), OneOf(&["none", "relaxed", "strict"]), READ_ONLY,
        "How much of a produced batch is checked: none (lengths only), relaxed (header, CRC, counts) or strict (every record as well)."),
];
