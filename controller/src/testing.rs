//! What the tests of this crate share: an image with brokers, settings, a counted source of
//! entropy, and a way to apply what was decided.

use std::collections::BTreeMap;

use protocol::ids::{BrokerEpoch, BrokerId, Uuid};

use crate::bootstrap::{Registration, Stage, advance, register};
use crate::config_source::Sources;
use crate::image::{Endpoint, Image, Overrides};
use crate::record::Record;
use crate::topics::create::{Defaults, NewTopic};

/// An image with active brokers 0, 1, ...
pub fn image_with(brokers: i32) -> Image {
    let mut image = Image::new("cluster");
    for id in 0..brokers {
        let epoch = BrokerEpoch(i64::from(id));
        let endpoint = Endpoint {
            name: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
            security_protocol: 0,
        };
        let registration = Registration {
            id: BrokerId(id),
            epoch,
            incarnation: Uuid([1; 16]),
            endpoints: vec![endpoint],
            rack: Some(format!("rack-{}", id % 2)),
            log_dirs: vec![Uuid([7; 16])],
        };
        apply(
            &mut image,
            &[
                register(&registration),
                advance(BrokerId(id), epoch, Stage::Ready),
            ],
        );
    }
    image
}

/// Applies records that must fit.
pub fn apply(image: &mut Image, records: &[Record]) {
    for record in records {
        image
            .apply(record)
            .unwrap_or_else(|error| panic!("{record:?}: {error}"));
    }
}

/// Counts up, which is entropy enough.
pub fn counted() -> impl FnMut() -> u64 {
    let mut count = 0u64;
    move || {
        count += 1;
        count
    }
}

/// Runs `check` with the defaults of a broker that was told nothing.
pub fn with_defaults<T>(check: impl FnOnce(&Defaults<'_>) -> T) -> T {
    let (none, fixed) = (Overrides::new(), BTreeMap::new());
    check(&Defaults {
        partitions: 2,
        replication_factor: 1,
        sources: Sources {
            dynamic_broker: &none,
            dynamic_default: &none,
            fixed: &fixed,
            default: &|_| None,
        },
    })
}

/// A topic with so many partitions and replicas.
pub fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        partitions,
        replication_factor,
        ..NewTopic::with_defaults(name)
    }
}
