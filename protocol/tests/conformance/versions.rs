//! The table of APIs is what a broker of Kafka 3.9 with ZooKeeper advertises.

use protocol::api::{API_TABLE, ApiKey};

/// Key, first and last version of what `kafka-broker-api-versions` prints for such a broker.
const ADVERTISED: [(i16, i16, i16); 61] = [
    (0, 0, 11),
    (1, 0, 17),
    (2, 0, 9),
    (3, 0, 12),
    (4, 0, 7),
    (5, 0, 4),
    (6, 0, 8),
    (7, 0, 3),
    (8, 0, 9),
    (9, 0, 9),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 5),
    (16, 0, 5),
    (17, 0, 1),
    (18, 0, 4),
    (19, 0, 7),
    (20, 0, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 0, 4),
    (24, 0, 5),
    (25, 0, 4),
    (26, 0, 4),
    (27, 0, 1),
    (28, 0, 4),
    (29, 0, 3),
    (30, 0, 3),
    (31, 0, 3),
    (32, 0, 4),
    (33, 0, 2),
    (34, 0, 2),
    (35, 0, 4),
    (36, 0, 2),
    (37, 0, 3),
    (38, 0, 3),
    (39, 0, 2),
    (40, 0, 2),
    (41, 0, 3),
    (42, 0, 2),
    (43, 0, 2),
    (44, 0, 1),
    (45, 0, 0),
    (46, 0, 0),
    (47, 0, 0),
    (48, 0, 1),
    (49, 0, 1),
    (50, 0, 0),
    (51, 0, 0),
    (56, 0, 3),
    (57, 0, 1),
    (58, 0, 0),
    (60, 0, 1),
    (61, 0, 0),
    (65, 0, 0),
    (66, 0, 1),
    (67, 0, 0),
    (68, 0, 0),
];

#[test]
fn the_table_is_that_of_kafka_3_9_with_zookeeper() {
    let table: Vec<(i16, i16, i16)> = API_TABLE
        .iter()
        .filter(|spec| spec.on_zookeeper_broker)
        .map(|spec| (spec.key.code(), spec.version_min, spec.version_max))
        .collect();
    assert_eq!(table[..61], ADVERTISED);
    assert_eq!(table[61..], [(69, 0, 0)]);
}

#[test]
fn keys_are_found_by_their_numbers() {
    for (at, spec) in API_TABLE.iter().enumerate() {
        let code = i16::try_from(at).unwrap();
        assert_eq!(spec.key.code(), code);
        assert_eq!(ApiKey::from_code(code), Some(spec.key));
        assert_eq!(spec.key.spec(), spec);
        assert_eq!(format!("{:?}", spec.key), spec.key.name());
    }
    assert_eq!(ApiKey::from_code(-1), None);
    assert_eq!(ApiKey::from_code(API_TABLE.len() as i16), None);
}

#[test]
fn headers_have_the_versions_that_clients_expect() {
    let versions = |key: ApiKey, version| {
        let spec = key.spec();
        (
            spec.request_header_version(version),
            spec.response_header_version(version),
        )
    };
    assert_eq!(versions(ApiKey::Produce, 8), (1, 0));
    assert_eq!(versions(ApiKey::Produce, 9), (2, 1));
    assert_eq!(versions(ApiKey::ApiVersions, 2), (1, 0));
    assert_eq!(versions(ApiKey::ApiVersions, 3), (2, 0));
    assert_eq!(versions(ApiKey::ControlledShutdown, 0), (0, 0));
    assert_eq!(versions(ApiKey::ControlledShutdown, 1), (1, 0));
    assert_eq!(versions(ApiKey::ControlledShutdown, 3), (2, 1));
    assert_eq!(versions(ApiKey::SaslHandshake, 1), (1, 0));
    assert_eq!(versions(ApiKey::BrokerHeartbeat, 0), (2, 1));
}
