//! DescribeConfigs: what holds, where it comes from, and what else could have held.
//!
//! It must not know the wire. Passwords are never given out.

use std::sync::Arc;

use controller::Image;
use controller::config_key::{ConfigValue, UpdateMode};
use controller::config_source::{
    ConfigEntry, ConfigSource, Doc, Sources, broker_synonyms, dynamic_overrides, value_text,
};
use controller::image::Overrides;

use super::{ServerConfig, dynamic, keys};

/// The configuration of this node as it stands in one image.
pub struct BrokerConfig<'a> {
    config: &'a ServerConfig,
    own: Arc<Overrides>,
    all: Arc<Overrides>,
}

fn default_of(name: &str) -> Option<&'static str> {
    let key = keys::find(name).filter(|key| key.name == name);
    key.and_then(|key| key.default)
}

impl<'a> BrokerConfig<'a> {
    /// With the dynamic settings of an image.
    pub fn new(config: &'a ServerConfig, image: &Image) -> Self {
        let (own, all) = dynamic_overrides(image, config.node_id);
        Self { config, own, all }
    }

    /// For what is decided about topics.
    pub fn sources(&self) -> Sources<'_> {
        Sources {
            dynamic_broker: &self.own,
            dynamic_default: &self.all,
            fixed: self.config.values.given(),
            default: &default_of,
        }
    }

    /// The node's configuration without what is set at run time.
    pub fn fixed(&self) -> &ServerConfig {
        self.config
    }

    /// The value that holds for a key which has no stand-ins.
    pub fn value(&self, name: &str) -> ConfigValue {
        let key = keys::find(name).unwrap_or_else(|| panic!("no table has the key {name}"));
        let set = [&*self.own, &*self.all];
        let mut set = set
            .into_iter()
            .filter_map(|place| key.parse(place.get(name)?).ok());
        set.next().unwrap_or_else(|| self.config.values.value(name))
    }

    /// Every key of this node, by name; `live` is the configuration that holds.
    pub fn describe_broker(&self, live: &ServerConfig) -> Vec<ConfigEntry> {
        let shown = keys::all()
            .iter()
            .map(|key| key.name)
            .filter(|name| !keys::is_hidden(name) || self.config.values.is_given(name));
        let given = [&*self.own, &*self.all, self.config.values.given()];
        let given = given
            .into_iter()
            .flat_map(|place| place.keys())
            .map(|name| &**name);
        let names: std::collections::BTreeSet<&str> = shown.chain(given).collect();
        let values = names
            .into_iter()
            .map(|name| (name, shown_value(live, name)));
        values
            .map(|(name, value)| self.entry(name, value))
            .collect()
    }

    /// The settings that hold for all nodes unless they have their own.
    pub fn describe_cluster_default(&self) -> Vec<ConfigEntry> {
        let entries = self.all.iter().map(|(name, value)| {
            let mut entry = self.entry(name, Some(value.clone()));
            entry
                .synonyms
                .retain(|each| each.source == ConfigSource::DynamicDefaultBroker);
            entry.source = entry
                .synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source);
            entry
        });
        entries.collect()
    }

    fn entry(&self, name: &str, value: Option<String>) -> ConfigEntry {
        let replaced = replaced_by(name);
        let key = replaced.map_or(dynamic::find(name), dynamic::find);
        // What nobody knows may be a password.
        let sensitive = key.is_none_or(|key| key.is_sensitive());
        let names = match replaced {
            Some(replaced) => vec![name, replaced],
            None => broker_synonyms(name),
        };
        let synonyms = self.sources().synonyms(name, &names, sensitive);
        // Of a listener's own settings no more is told.
        let file_key = keys::find(name).filter(|key| key.name == name);
        ConfigEntry {
            name: name.into(),
            value: value.filter(|_| !sensitive),
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source),
            read_only: file_key.is_none_or(|key| key.update == UpdateMode::ReadOnly),
            sensitive,
            synonyms,
            kind: key.map(|key| key.kind),
            doc: file_key.map_or(Doc::Unknown, |key| Doc::Text(key.doc)),
        }
    }
}

/// The setting that a listener's own one replaces.
fn replaced_by(name: &str) -> Option<&str> {
    const OF_MECHANISMS: [&str; 5] = [
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    let (_, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let of_mechanism = OF_MECHANISMS.into_iter().find(|key| rest.ends_with(key));
    Some(of_mechanism.unwrap_or(rest))
}

/// What holds for a key, as DescribeConfigs shows it.
fn shown_value(live: &ServerConfig, name: &str) -> Option<String> {
    match keys::find(name) {
        Some(key) if key.name == name => value_text(&live.values.value(name)),
        _ => live
            .values
            .given()
            .get(name)
            .map(|text| text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_unknown_keys_are_not_shown() {
        let given = [
            ("ssl.key.password", "secret"),
            ("my.plugin.token", "secret"),
        ];
        let config = ServerConfig::local(given).unwrap();
        let entries = BrokerConfig::new(&config, &Image::new("c")).describe_broker(&config);
        for entry in &entries {
            assert_ne!(entry.value.as_deref(), Some("secret"), "{}", entry.name);
            assert!(
                entry
                    .synonyms
                    .iter()
                    .all(|each| each.value.as_deref() != Some("secret"))
            );
        }
        assert!(
            entries
                .iter()
                .any(|entry| entry.name == "my.plugin.token" && entry.sensitive)
        );
    }

    #[test]
    fn sources_and_synonyms() {
        let config = ServerConfig::local([("log.retention.hours", "2")]).unwrap();
        let entries = BrokerConfig::new(&config, &Image::new("c")).describe_broker(&config);
        let find = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        let hours = find("log.retention.hours");
        assert_eq!(
            (hours.value.as_deref(), hours.source),
            (Some("2"), ConfigSource::StaticBroker)
        );
        assert!(hours.read_only && !find("log.retention.ms").read_only);
        assert_eq!(hours.synonyms.len(), 2);
        assert_eq!(find("log.retention.bytes").source, ConfigSource::Default);
        assert!(
            !entries
                .iter()
                .any(|entry| entry.name == "log.initial.task.delay.ms")
        );
    }
}
