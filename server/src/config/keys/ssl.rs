//! Broker keys: TLS.

use controller::config_key::Check::{Any, OneOf};
use controller::config_key::ConfigKey;
use controller::config_key::ConfigType::{Boolean, Class, List, Password, String as Text};

use super::{PER_BROKER, READ_ONLY, row};

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    row("ssl.keystore.location", Text, None, Any, PER_BROKER,
        "The key store, or a PEM file with key and certificates."),
    row("ssl.keystore.password", Password, None, Any, PER_BROKER,
        "The password of the key store."),
    row("ssl.keystore.type", Text, Some("JKS"), Any, PER_BROKER,
        "The format of the key store: JKS, PKCS12 or PEM."),
    row("ssl.keystore.key", Password, None, Any, PER_BROKER,
        "The private key as PEM text."),
    row("ssl.keystore.certificate.chain", Password, None, Any, PER_BROKER,
        "The certificates as PEM text."),
    row("ssl.key.password", Password, None, Any, PER_BROKER,
        "The password of the private key."),
    row("ssl.truststore.location", Text, None, Any, PER_BROKER,
        "The trust store, or a PEM file with certificates."),
    row("ssl.truststore.password", Password, None, Any, PER_BROKER,
        "The password of the trust store."),
    row("ssl.truststore.type", Text, Some("JKS"), Any, PER_BROKER,
        "The format of the trust store: JKS, PKCS12 or PEM."),
    row("ssl.truststore.certificates", Password, None, Any, PER_BROKER,
        "The trusted certificates as PEM text."),
    row("ssl.client.auth", Text, Some("none"), OneOf(&["required", "requested", "none"]), PER_BROKER,
        "Whether clients must show a certificate: required, requested or none."),
    row("ssl.protocol", Text, Some("TLSv1.3"), Any, PER_BROKER,
        "The TLS version to prefer."),
    row("ssl.enabled.protocols", List, Some("TLSv1.2,TLSv1.3"), Any, PER_BROKER,
        "The TLS versions that are offered."),
    row("ssl.cipher.suites", List, Some(""), Any, PER_BROKER,
        "The cipher suites that are offered."),
    row("ssl.provider", Text, None, Any, PER_BROKER,
        "A Java security provider; not supported."),
    row("ssl.keymanager.algorithm", Text, Some("SunX509"), Any, PER_BROKER,
        "A Java key manager; has no effect."),
    row("ssl.trustmanager.algorithm", Text, Some("PKIX"), Any, PER_BROKER,
        "A Java trust manager; has no effect."),
    row("ssl.endpoint.identification.algorithm", Text, Some("https"), Any, PER_BROKER,
        "Whether a server's host name is checked against its certificate: https, or empty for not."),
    row("ssl.secure.random.implementation", Text, None, Any, PER_BROKER,
        "A Java random generator; has no effect."),
    row("ssl.principal.mapping.rules", Text, Some("DEFAULT"), Any, READ_ONLY,
        "How a certificate's name becomes a principal."),
    row("ssl.engine.factory.class", Class, None, Any, PER_BROKER,
        "A Java class; not supported."),
    row("ssl.allow.dn.changes", Boolean, Some("false"), Any, READ_ONLY,
        "Whether a new key store may have another name."),
    row("ssl.allow.san.changes", Boolean, Some("false"), Any, READ_ONLY,
        "Whether a new key store may have other alternative names."),
];
