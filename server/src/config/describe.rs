//! DescribeConfigs: what holds, where it comes from, and what else could have held.
//!
//! It must not know the wire. Passwords are never given out.

use std::sync::Arc;

use controller::Image;
use controller::config_key::UpdateMode;
use controller::config_source::{
    ConfigEntry, ConfigSource, Sources, broker_synonyms, dynamic_overrides,
};
use controller::image::Overrides;

use super::{ServerConfig, keys};

/// The configuration of this node as it stands in one image.
pub struct BrokerConfig<'a> {
    config: &'a ServerConfig,
    own: Arc<Overrides>,
    all: Arc<Overrides>,
}

fn default_of(name: &str) -> Option<&'static str> {
    keys::find(name).and_then(|key| key.default)
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

    /// Every key of this node, by name.
    pub fn describe_broker(&self) -> Vec<ConfigEntry> {
        let shown = keys::all()
            .iter()
            .map(|key| key.name)
            .filter(|name| !keys::is_hidden(name) || self.config.values.is_given(name));
        let given = self.config.values.given().keys().map(|name| &**name);
        let names: std::collections::BTreeSet<&str> = shown.chain(given).collect();
        names.into_iter().map(|name| self.entry(name)).collect()
    }

    /// The settings that hold for all nodes unless they have their own.
    pub fn describe_cluster_default(&self) -> Vec<ConfigEntry> {
        let entries = self.all.iter().map(|(name, value)| {
            let mut entry = self.entry(name);
            entry
                .synonyms
                .retain(|each| each.source == ConfigSource::DynamicDefaultBroker);
            entry.value = (!entry.sensitive).then(|| value.clone());
            entry.source = entry
                .synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source);
            entry
        });
        entries.collect()
    }

    fn entry(&self, name: &str) -> ConfigEntry {
        let key = keys::find(name);
        // What nobody knows may be a password.
        let sensitive = key.is_none_or(|key| key.is_sensitive());
        let names = broker_synonyms(name);
        let synonyms = self.sources().synonyms(name, &names, sensitive);
        let value = match sensitive {
            true => None,
            false => self.text(name),
        };
        ConfigEntry {
            name: name.into(),
            value,
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source),
            read_only: key.is_none_or(|key| key.update == UpdateMode::ReadOnly),
            sensitive,
            synonyms,
            kind: key.map(|key| key.kind),
            doc: key.map(|key| key.doc),
        }
    }

    /// The text that holds for one key.
    fn text(&self, name: &str) -> Option<String> {
        let given = [&*self.own, &*self.all, self.config.values.given()];
        let text = given.into_iter().find_map(|place| place.get(name));
        match text {
            Some(text) => Some(text.trim().to_owned()),
            None => default_of(name).map(str::to_owned),
        }
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
        let entries = BrokerConfig::new(&config, &Image::new("c")).describe_broker();
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
        let entries = BrokerConfig::new(&config, &Image::new("c")).describe_broker();
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
