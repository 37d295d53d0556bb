//! Listeners: `NAME://host:port`, with the security protocol that the name stands for.
//!
//! It must not bind or resolve anything.

use std::collections::BTreeMap;
use std::fmt;

/// How a listener's connections are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext = 0,
    /// TLS.
    Ssl = 1,
    /// SASL without encryption.
    SaslPlaintext = 2,
    /// SASL over TLS.
    SaslSsl = 3,
}

impl SecurityProtocol {
    const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::Ssl,
        Self::SaslPlaintext,
        Self::SaslSsl,
    ];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in metadata records.
    pub fn wire_id(self) -> i16 {
        self as i16
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// Host name or address; empty is all addresses. IPv6 without brackets.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// What its name stands for.
    pub protocol: SecurityProtocol,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, port) = (&self.name, self.port);
        match self.host.contains(':') {
            true => write!(f, "{name}://[{}]:{port}", self.host),
            false => write!(f, "{name}://{}:{port}", self.host),
        }
    }
}

/// `NAME:PROTOCOL` pairs, as in `listener.security.protocol.map`.
pub type ProtocolMap = BTreeMap<String, SecurityProtocol>;

/// Reads `listener.security.protocol.map`.
pub fn parse_protocol_map(text: &str) -> Result<ProtocolMap, String> {
    let mut map = ProtocolMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let Some((name, protocol)) = pair.rsplit_once(':') else {
            return Err(format!("{pair} is not NAME:PROTOCOL"));
        };
        let Some(protocol) = SecurityProtocol::from_name(protocol.trim()) else {
            return Err(format!(
                "Invalid security protocol `{protocol}` for listener {name}"
            ));
        };
        map.insert(name.trim().to_uppercase(), protocol);
    }
    Ok(map)
}

/// Reads a list of listeners.
pub fn parse(text: &str, protocols: &ProtocolMap) -> Result<Vec<Listener>, String> {
    let mut listeners: Vec<Listener> = Vec::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let listener = parse_one(one, protocols)?;
        if listeners.iter().any(|other| other.name == listener.name) {
            return Err(format!(
                "Each listener must have a different name, listeners: {text}"
            ));
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

fn parse_one(text: &str, protocols: &ProtocolMap) -> Result<Listener, String> {
    let malformed = || format!("Unable to parse {text} to a broker endpoint");
    let (name, address) = text.split_once("://").ok_or_else(malformed)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(malformed)?,
        None if host.contains(':') => return Err(malformed()),
        None => host,
    };
    let port = port.parse().map_err(|_| malformed())?;
    let is_name =
        |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.');
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(malformed());
    }
    let name = name.to_uppercase();
    let Some(protocol) = protocols.get(&name).copied() else {
        return Err(format!("No security protocol defined for listener {name}"));
    };
    Ok(Listener {
        name,
        host: host.to_owned(),
        port,
        protocol,
    })
}

/// Two listeners may share a port only on different addresses. Port 0 is a free one each time.
pub fn check_ports(listeners: &[Listener], text: &str) -> Result<(), String> {
    for (at, one) in listeners.iter().enumerate() {
        let clash = listeners[..at].iter().any(|other| {
            let either_is_all = other.host.is_empty() || one.host.is_empty();
            one.port != 0 && one.port == other.port && (either_is_all || other.host == one.host)
        });
        if clash {
            return Err(format!(
                "Each listener must have a different port, listeners: {text}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocols() -> ProtocolMap {
        parse_protocol_map("PLAINTEXT:PLAINTEXT,internal:SASL_SSL").unwrap()
    }

    #[test]
    fn listeners_and_their_protocols() {
        let listeners = parse("PLAINTEXT://:9092, internal://[::1]:9094", &protocols()).unwrap();
        assert_eq!(listeners[0].to_string(), "PLAINTEXT://:9092");
        assert_eq!(listeners[1].to_string(), "INTERNAL://[::1]:9094");
        assert_eq!(listeners[1].protocol, SecurityProtocol::SaslSsl);
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| parse(text, &protocols()).unwrap_err();
        assert_eq!(
            refused("OTHER://:1"),
            "No security protocol defined for listener OTHER"
        );
        assert_eq!(
            refused("PLAINTEXT://:x"),
            "Unable to parse PLAINTEXT://:x to a broker endpoint"
        );
        assert_eq!(
            refused("localhost:9092"),
            "Unable to parse localhost:9092 to a broker endpoint"
        );
        let twice = "PLAINTEXT://:1,PLAINTEXT://:2";
        assert_eq!(
            refused(twice),
            format!("Each listener must have a different name, listeners: {twice}")
        );
        let same = "PLAINTEXT://a:1,INTERNAL://a:1";
        assert!(check_ports(&parse(same, &protocols()).unwrap(), same).is_err());
        let other = "PLAINTEXT://a:1,INTERNAL://b:1";
        assert!(check_ports(&parse(other, &protocols()).unwrap(), other).is_ok());
        assert!(parse_protocol_map("A:NONE").is_err());
    }
}
