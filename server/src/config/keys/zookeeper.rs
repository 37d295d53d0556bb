//! Broker keys: ZooKeeper.

use controller::config_key::Check::{Any, AtLeast};
use controller::config_key::ConfigKey;
use controller::config_key::ConfigType::{Boolean, Int, List, Password, String as Text};

use super::{READ_ONLY, row};

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    row("zookeeper.connect", Text, None, Any, READ_ONLY,
        "ZooKeeper's servers as host:port,host:port/chroot. Not set: the node keeps its metadata itself."),
    row("zookeeper.connection.timeout.ms", Int, None, Any, READ_ONLY,
        "How long to wait for a connection to ZooKeeper; the session time-out if not set."),
    row("zookeeper.session.timeout.ms", Int, Some("18000"), Any, READ_ONLY,
        "The session time-out with ZooKeeper: without contact for this long the broker counts as gone."),
    row("zookeeper.max.in.flight.requests", Int, Some("10"), AtLeast(1), READ_ONLY,
        "How many requests to ZooKeeper may be unanswered at once."),
    row("zookeeper.set.acl", Boolean, Some("false"), Any, READ_ONLY,
        "Whether znodes are protected so that only brokers may change them."),
    row("zookeeper.clientCnxnSocket", Text, None, Any, READ_ONLY,
        "The Java socket class for TLS to ZooKeeper."),
    row("zookeeper.metadata.migration.enable", Boolean, Some("false"), Any, READ_ONLY,
        "Whether the node takes part in a migration from ZooKeeper to KRaft."),
    row("zookeeper.metadata.migration.min.batch.size", Int, Some("200"), AtLeast(1), READ_ONLY,
        "How many records a batch of that migration has at least."),
    row("zookeeper.ssl.client.enable", Boolean, Some("false"), Any, READ_ONLY,
        "Whether ZooKeeper is spoken to over TLS."),
    row("zookeeper.ssl.cipher.suites", List, None, Any, READ_ONLY,
        "Cipher suites for TLS to ZooKeeper."),
    row("zookeeper.ssl.crl.enable", Boolean, Some("false"), Any, READ_ONLY,
        "Whether certificate revocation lists are checked for ZooKeeper."),
    row("zookeeper.ssl.enabled.protocols", List, None, Any, READ_ONLY,
        "TLS versions for ZooKeeper."),
    row("zookeeper.ssl.endpoint.identification.algorithm", Text, Some("HTTPS"), Any, READ_ONLY,
        "Whether ZooKeeper's host name is checked against its certificate: https, or empty for not."),
    row("zookeeper.ssl.keystore.location", Text, None, Any, READ_ONLY,
        "The key store for TLS to ZooKeeper."),
    row("zookeeper.ssl.keystore.password", Password, None, Any, READ_ONLY,
        "The password of the key store for ZooKeeper."),
    row("zookeeper.ssl.keystore.type", Text, None, Any, READ_ONLY,
        "The format of the key store for ZooKeeper."),
    row("zookeeper.ssl.ocsp.enable", Boolean, Some("false"), Any, READ_ONLY,
        "Whether OCSP is asked about ZooKeeper's certificate."),
    row("zookeeper.ssl.protocol", Text, Some("TLSv1.2"), Any, READ_ONLY,
        "The TLS version for ZooKeeper."),
    row("zookeeper.ssl.truststore.location", Text, None, Any, READ_ONLY,
        "The trust store for TLS to ZooKeeper."),
    row("zookeeper.ssl.truststore.password", Password, None, Any, READ_ONLY,
        "The password of the trust store for ZooKeeper."),
    row("zookeeper.ssl.truststore.type", Text, None, Any, READ_ONLY,
        "The format of the trust store for ZooKeeper."),
];
