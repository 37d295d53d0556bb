//! The properties of a client, by Kafka's names: those that are honoured, those that are accepted
//! without effect, and those that are refused because ignoring them would be unsafe.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Error;

/// Keys that this client honours.
const HONOURED: &[&str] = &[
    "bootstrap.servers",
    "client.id",
    "default.api.timeout.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
];

/// Keys that tune what this client does not have, such as pooled connections and metrics.
const WITHOUT_EFFECT: &[&str] = &[
    "auto.include.jmx.reporter",
    "client.dns.lookup",
    "client.rack",
    "connections.max.idle.ms",
    "enable.metrics.push",
    "metadata.max.age.ms",
    "metadata.recovery.strategy",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retries",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
];

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it calls itself.
    pub client_id: String,
    /// `request.timeout.ms`: how long one answer may take.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long a call may take with all its attempts.
    pub api_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_longest: Duration,
}

impl Settings {
    /// The settings that `properties` make, with Kafka's defaults for the rest.
    pub fn new(properties: &BTreeMap<String, String>, client_id: &str) -> Result<Settings, Error> {
        let protocol = properties.get("security.protocol").map(|text| text.trim());
        if let Some(other) = protocol.filter(|name| !name.eq_ignore_ascii_case("PLAINTEXT")) {
            return Err(Error::Settings(format!(
                "security.protocol={other} is not supported by this tool: only PLAINTEXT is"
            )));
        }
        let millis = |key: &str, default: u64| match properties.get(key) {
            None => Ok(Duration::from_millis(default)),
            Some(text) => text.trim().parse().map(Duration::from_millis).map_err(|_| {
                Error::Settings(format!(
                    "Invalid value {text} for configuration {key}: Not a number of milliseconds"
                ))
            }),
        };
        Ok(Settings {
            client_id: match properties.get("client.id") {
                Some(id) => id.clone(),
                None => client_id.to_owned(),
            },
            request_timeout: millis("request.timeout.ms", 30_000)?,
            api_timeout: millis("default.api.timeout.ms", 60_000)?,
            connect_timeout: millis("socket.connection.setup.timeout.ms", 10_000)?,
            retry_backoff: millis("retry.backoff.ms", 100)?,
            retry_backoff_longest: millis("retry.backoff.max.ms", 1_000)?,
        })
    }

    /// The keys that neither the client nor the tool, which has `others`, knows.
    pub fn unknown<'a>(
        properties: &'a BTreeMap<String, String>,
        others: &'a [&str],
    ) -> impl Iterator<Item = &'a str> {
        let keys = properties.keys().map(String::as_str);
        keys.filter(|key| {
            let known = HONOURED.contains(key) || WITHOUT_EFFECT.contains(key);
            !known && !others.contains(key) && !is_ignored(key)
        })
    }
}

/// Keys that a PLAINTEXT connection has no use for.
fn is_ignored(key: &str) -> bool {
    key.starts_with("ssl.") || key.starts_with("sasl.") || key == "security.providers"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn what_would_not_be_protected_is_refused() {
        let refused = Settings::new(&properties(&[("security.protocol", "SSL")]), "tool");
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("security.protocol=SSL")
        );
        assert!(Settings::new(&properties(&[("security.protocol", "plaintext")]), "tool").is_ok());
    }

    #[test]
    fn defaults_are_kafkas_and_unknown_keys_are_named() {
        let given = properties(&[
            ("request.timeout.ms", "5000"),
            ("retries", "3"),
            ("acks", "1"),
            ("no.such.key", "1"),
        ]);
        let settings = Settings::new(&given, "tool").unwrap();
        assert_eq!(settings.request_timeout, Duration::from_secs(5));
        assert_eq!(settings.api_timeout, Duration::from_secs(60));
        let unknown: Vec<&str> = Settings::unknown(&given, &["acks"]).collect();
        assert_eq!(unknown, ["no.such.key"]);
        let wrong = properties(&[("request.timeout.ms", "soon")]);
        assert!(Settings::new(&wrong, "tool").is_err());
    }
}
