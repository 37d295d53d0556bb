//! What is set at run time: which keys may be, and the configuration that then holds (KIP-226).
//!
//! It must not know the wire, nor where the settings are kept. Precedence: this broker's settings,
//! those of all brokers, the file, the built-in defaults. The texts of refusals are Kafka's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use controller::Image;
use controller::config_key::{ConfigKey, UpdateMode};
use controller::config_source::{broker_synonyms, dynamic_overrides};
use controller::image::Overrides;

use super::{ConfigError, Listener, ServerConfig, keys};

/// The TLS settings of single listeners, which may not be set for all at once.
const PER_LISTENER_ONLY: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// What a listener may have of its own although all brokers may have it too.
const CLUSTER_LEVEL_OF_LISTENERS: [&str; 3] = [
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
];

/// Counts of threads: they may at most double or halve in one step.
const THREADS: [&str; 5] = [
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
];

/// Whom a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// This broker.
    Broker,
    /// All brokers that have no setting of their own.
    ClusterDefault,
}

impl Level {
    /// Of a resource's name: empty for all brokers.
    pub fn of_resource(name: &str) -> Level {
        match name.is_empty() {
            true => Level::ClusterDefault,
            false => Level::Broker,
        }
    }
}

impl ServerConfig {
    /// The configuration that holds with what an image sets at run time. A setting that may not
    /// be made, or no longer parses, is left out; if the rest does not fit together, none holds.
    pub fn with_dynamic(&self, image: &Image) -> ServerConfig {
        let (own, all) = dynamic_overrides(image, self.node_id);
        let usable = |settings: &Overrides, level| {
            let mut usable = settings.clone();
            usable.retain(|name, text| {
                let one = Overrides::from([(name.clone(), text.clone())]);
                check_keys(&one, level).is_ok()
            });
            usable
        };
        let all = usable(&all, Level::ClusterDefault);
        let own = usable(&own, Level::Broker);
        if own.is_empty() && all.is_empty() {
            return self.clone();
        }
        self.merged(&[&all, &own]).unwrap_or_else(|error| {
            tracing::error!("the settings made at run time do not hold: {error}");
            self.clone()
        })
    }

    /// Whether `settings` may be all that is set at run time at this level; or else why not.
    pub fn check_dynamic(
        &self,
        image: &Image,
        level: Level,
        settings: &Overrides,
    ) -> Result<(), String> {
        check_keys(settings, level)?;
        let (own, all) = dynamic_overrides(image, self.node_id);
        let layers: [&Overrides; 2] = match level {
            Level::Broker => [&all, settings],
            Level::ClusterDefault => [settings, &own],
        };
        let next = self.merged(&layers).map_err(|error| match error {
            ConfigError::Refused(reason) => format!("requirement failed: {reason}"),
            other => other.to_string(),
        })?;
        check_steps(&self.with_dynamic(image), &next).map_err(|reason| {
            format!(
                "Invalid value org.apache.kafka.common.config.ConfigException: {reason} \
                 for configuration Invalid dynamic configuration"
            )
        })
    }

    /// The file's settings with others above them, the last ones on top.
    fn merged(&self, layers: &[&Overrides]) -> Result<ServerConfig, ConfigError> {
        let mut given: BTreeMap<String, String> = self.values.given().clone();
        for (name, text) in layers.iter().copied().flatten() {
            // Another unit's setting would win over this one.
            for synonym in broker_synonyms(name) {
                given.remove(synonym);
            }
            given.insert(name.clone(), text.clone());
        }
        Self::from_given(given)
    }
}

/// The row of a key as far as it can be set at run time: the node's keys, and those that no file
/// may have.
pub fn find(name: &str) -> Option<&'static ConfigKey> {
    keys::find(name).or_else(|| keys::find_dynamic_only(name))
}

/// The rules that hold for each key by itself.
fn check_keys(settings: &Overrides, level: Level) -> Result<(), String> {
    // Kafka's texts show the class of a Scala collection.
    let refuse = |text: &str, set: &str, which: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = settings
            .keys()
            .map(|name| &**name)
            .filter(|name| which(name))
            .collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(format!("{text}: {set}({})", names.join(", "))),
        }
    };
    let update = |name: &str| find(name).map(|key| key.update);
    refuse("Cannot update these configs dynamically", "Set", &|name| {
        update(name) == Some(UpdateMode::ReadOnly)
    })?;
    refuse(
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        "HashSet",
        &|name| PER_LISTENER_ONLY.contains(&name),
    )?;
    for (name, text) in settings {
        if let Some(key) = find(name) {
            key.parse(text).map_err(|invalid| invalid.message)?;
        }
    }
    if level == Level::ClusterDefault {
        refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            "Set",
            &|name| {
                let is_of_listener = name
                    .strip_prefix("listener.name.")
                    .and_then(|rest| rest.split_once('.'));
                match is_of_listener {
                    Some((_, base)) => !CLUSTER_LEVEL_OF_LISTENERS.contains(&base),
                    None => update(name) == Some(UpdateMode::PerBroker),
                }
            },
        )?;
    }
    Ok(())
}

/// The rules for a step from one configuration to another.
fn check_steps(now: &ServerConfig, next: &ServerConfig) -> Result<(), String> {
    check_listeners(now, next)?;
    if now.values.words("metric.reporters") != next.values.words("metric.reporters") {
        return Err(
            "Validation of dynamic config update of Set(metric.reporters) failed with class \
             class kafka.server.DynamicMetricsReporters"
                .to_owned(),
        );
    }
    for name in THREADS {
        check_threads(name, now.values.whole(name), next.values.whole(name))?;
    }
    let (before, after) = (now.log_cleaner_threads, next.log_cleaner_threads);
    let mut reason = String::new();
    if after < 1 {
        reason.push_str("Log cleaner threads should be at least 1");
    } else if after < before / 2 {
        let _ = write!(
            reason,
            "Log cleaner threads cannot be reduced to less than half the current value {before}"
        );
    } else if after > before * 2 {
        let _ = write!(
            reason,
            "Log cleaner threads cannot be increased to more than double the current value {before}"
        );
    }
    match reason.is_empty() {
        true => Ok(()),
        false => Err(reason),
    }
}

/// Listeners may come and go, but not those that clients are told of: the registration has them.
fn check_listeners(now: &ServerConfig, next: &ServerConfig) -> Result<(), String> {
    for listener in &next.listeners {
        let name = &listener.name;
        let was = now.listeners.iter().find(|was| was.name == *name);
        if was.is_some_and(|was| was.protocol != listener.protocol) {
            return Err(format!(
                "Security protocol cannot be updated for existing listener ListenerName({name})"
            ));
        }
    }
    let told = |config: &ServerConfig| {
        let listeners = config.advertised_listeners.iter();
        listeners.map(Listener::to_string).collect::<BTreeSet<_>>()
    };
    match told(now) == told(next) {
        true => Ok(()),
        false => Err(
            "Advertised listeners cannot be altered when using a Raft-based metadata quorum."
                .to_owned(),
        ),
    }
}

fn check_threads(name: &str, now: i64, next: i64) -> Result<(), String> {
    let bound = match next {
        _ if next == now => return Ok(()),
        ..=0 => "value should be at least 1".to_owned(),
        _ if next < now / 2 => format!("value should be at least half the current value {now}"),
        _ if next > now * 2 => {
            format!("value should not be greater than double the current value {now}")
        }
        _ => return Ok(()),
    };
    Err(format!(
        "Dynamic thread count update validation failed for {name}={next}, {bound}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use controller::image::ResourceType;
    use controller::record::ConfigRecord;

    fn config() -> ServerConfig {
        ServerConfig::local([("log.retention.hours", "2")]).unwrap()
    }

    fn image(settings: &[(&'static str, &'static str, &'static str)]) -> Image {
        let mut image = Image::new("c");
        for (broker, name, value) in settings {
            let record = Record::Config(ConfigRecord {
                resource_type: ResourceType::Broker as i8,
                resource_name: (*broker).into(),
                name: (*name).into(),
                value: Some((*value).into()),
            });
            image.apply(&record).unwrap();
        }
        image
    }

    #[test]
    fn the_brokers_own_settings_win_and_bad_ones_are_left_out() {
        let image = image(&[
            ("", "log.cleaner.backoff.ms", "1"),
            ("", "log.cleaner.threads", "2"),
            ("0", "log.cleaner.threads", "3"),
            ("1", "log.cleaner.backoff.ms", "7"),
            ("0", "log.retention.ms", "60000"),
            ("0", "max.connections", "many"),
            ("0", "log.dirs", "/elsewhere"),
        ]);
        let live = config().with_dynamic(&image);
        assert_eq!(live.log_cleaner_threads, 3);
        assert_eq!(live.log_cleaner_backoff.as_millis(), 1);
        assert_eq!(live.values.whole("log.retention.ms"), 60_000);
        assert_eq!(live.max_connections, config().max_connections);
        assert_eq!(live.log_dirs, config().log_dirs);
    }

    #[test]
    fn refusals_read_as_kafkas() {
        let nothing = image(&[]);
        let check = |level, name: &str, value: &str| {
            let settings = Overrides::from([(name.to_owned(), value.to_owned())]);
            config().check_dynamic(&nothing, level, &settings)
        };
        let broker = Level::Broker;
        for (name, value) in [
            ("log.retention.ms", "1000"),
            ("leader.replication.throttled.rate", "1000"),
            ("of.a.plugin", "x"),
            ("num.io.threads", "16"),
            ("listener.name.internal.ssl.keystore.location", "/k"),
        ] {
            assert_eq!(check(broker, name, value), Ok(()), "{name}");
        }
        let refused = |level, name, value| check(level, name, value).unwrap_err();
        assert_eq!(
            refused(broker, "log.dirs", "/x"),
            "Cannot update these configs dynamically: Set(log.dirs)"
        );
        assert_eq!(
            refused(broker, "ssl.keystore.location", "/x"),
            "These security configs can be dynamically updated only per-listener using the \
             listener prefix: HashSet(ssl.keystore.location)"
        );
        assert_eq!(
            refused(broker, "log.retention.ms", "x"),
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refused(Level::ClusterDefault, "listeners", "PLAINTEXT://:1"),
            "Cannot update these configs at default cluster level, broker id must be specified: \
             Set(listeners)"
        );
        assert_eq!(
            refused(broker, "num.io.threads", "17"),
            "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count \
             update validation failed for num.io.threads=17, value should not be greater than \
             double the current value 8 for configuration Invalid dynamic configuration"
        );
        assert_eq!(
            refused(broker, "log.retention.ms", "0"),
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or \
             equal to 1"
        );
        let told = "Invalid value org.apache.kafka.common.config.ConfigException: Advertised \
                    listeners cannot be altered when using a Raft-based metadata quorum. for \
                    configuration Invalid dynamic configuration";
        assert_eq!(
            refused(broker, "listeners", "PLAINTEXT://127.0.0.1:1"),
            told
        );
        assert_eq!(
            refused(broker, "advertised.listeners", "PLAINTEXT://elsewhere:1"),
            told
        );
    }
}
