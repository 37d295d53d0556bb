//! What a subscription to client metrics may say (KIP-714): which metrics, how often, of whom.
//!
//! It must not know where subscriptions are kept. The texts of refusals are Kafka's.

use protocol::error::ErrorCode;

use crate::decision::Refusal;
use crate::image::Overrides;

const INTERVAL_MS: &str = "interval.ms";
const MATCH: &str = "match";
const METRICS: &str = "metrics";

/// What a pattern may be about.
const MATCHED: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Whether words can be added to a key's value.
pub fn is_list(name: &str) -> bool {
    [MATCH, METRICS].contains(&name)
}

/// Whether a subscription of this name may say this.
pub fn validate(subscription: &str, settings: &Overrides) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    if subscription.is_empty() {
        return invalid("Subscription name can't be empty".to_owned());
    }
    let known = |name: &&String| [INTERVAL_MS, MATCH, METRICS].contains(&&***name);
    if let Some(name) = settings.keys().find(|name| !known(name)) {
        return invalid(format!("Unknown client metrics configuration: {name}"));
    }
    if let Some(text) = settings.get(INTERVAL_MS) {
        let Ok(interval) = text.parse::<i32>() else {
            let text = format!("For input string: \"{text}\"");
            return Err(Refusal::new(ErrorCode::UnknownServerError, text));
        };
        if !(100..=3_600_000).contains(&interval) {
            return invalid(format!(
                "Invalid value {interval} for {INTERVAL_MS}, \
                 interval must be between 100 and 3600000 (1 hour)"
            ));
        }
    }
    let patterns = settings
        .get(MATCH)
        .into_iter()
        .flat_map(|text| text.split(','));
    for pattern in patterns {
        let parts: Vec<&str> = pattern.split('=').collect();
        let is_legal = matches!(&parts[..], [what, value]
            if MATCHED.contains(&what.trim()) && !value.is_empty());
        if !is_legal {
            let text = format!("Illegal client matching pattern: {pattern}");
            return Err(Refusal::new(ErrorCode::InvalidConfig, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_subscription_may_say() {
        let check = |name: &str, key: &str, value: &str| {
            let settings = Overrides::from([(key.to_owned(), value.to_owned())]);
            validate(name, &settings).map_err(|refusal| refusal.code)
        };
        assert_eq!(check("s", "interval.ms", "100"), Ok(()));
        assert_eq!(
            check("s", "match", "client_id=a.*, client_source_port=1"),
            Ok(())
        );
        assert_eq!(check("s", "metrics", "*"), Ok(()));
        for (name, key, value, code) in [
            ("", "metrics", "*", ErrorCode::InvalidRequest),
            ("s", "retention.ms", "1", ErrorCode::InvalidRequest),
            ("s", "interval.ms", "99", ErrorCode::InvalidRequest),
            ("s", "interval.ms", "x", ErrorCode::UnknownServerError),
            ("s", "match", "client_name=a", ErrorCode::InvalidConfig),
            ("s", "match", "client_id", ErrorCode::InvalidConfig),
        ] {
            assert_eq!(check(name, key, value), Err(code), "{name} {key} {value}");
        }
    }
}
