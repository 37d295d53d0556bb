//! The values of one start: what the file and the command line gave, checked against the table.
//!
//! Answers by key, typed. Invariant: every value of a known key parses.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::config_key::{ConfigValue, InvalidConfig};

use super::keys;

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    given: BTreeMap<String, String>,
}

impl Values {
    /// Checks every value of a known key. Unknown keys stay: they are reported, not refused.
    pub fn new(given: BTreeMap<String, String>) -> Result<Self, InvalidConfig> {
        for (name, text) in &given {
            if let Some(key) = keys::find(name) {
                key.parse(text)?;
            }
        }
        Ok(Self { given })
    }

    /// What was given, known or not.
    pub fn given(&self) -> &BTreeMap<String, String> {
        &self.given
    }

    /// True if the key was given.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Keys that are in no table.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.given
            .keys()
            .map(|name| &**name)
            .filter(|name| keys::find(name).is_none())
    }

    /// The value of a key: given, or its default.
    ///
    /// # Panics
    /// When no table has the key, which is our own mistake.
    pub fn value(&self, name: &str) -> ConfigValue {
        let key = keys::find(name).unwrap_or_else(|| panic!("no table has the key {name}"));
        match self.given.get(name) {
            Some(text) => key.parse(text).expect("values were checked"),
            None => key.default_value(),
        }
    }

    /// A whole number; `None` for null.
    pub fn whole_if_set(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            ConfigValue::Whole(number) => Some(number),
            ConfigValue::Absent => None,
            other => panic!("{name} is no whole number but {other}"),
        }
    }

    /// A whole number.
    pub fn whole(&self, name: &str) -> i64 {
        self.whole_if_set(name)
            .unwrap_or_else(|| panic!("{name} has no default"))
    }

    /// A whole number that counts something; negative counts as none.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.whole(name)).unwrap_or(0)
    }

    /// Milliseconds; negative counts as none.
    pub fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.whole(name)).unwrap_or(0))
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> bool {
        match self.value(name) {
            ConfigValue::Boolean(flag) => flag,
            other => panic!("{name} is no flag but {other}"),
        }
    }

    /// A number with a fraction.
    pub fn ratio(&self, name: &str) -> f64 {
        match self.value(name) {
            ConfigValue::Double(number) => number,
            other => panic!("{name} is no ratio but {other}"),
        }
    }

    /// Text; `None` for null and for nothing at all.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            ConfigValue::Text(text) => Some(text).filter(|text| !text.is_empty()),
            ConfigValue::Absent => None,
            other => panic!("{name} is no text but {other}"),
        }
    }

    /// Words; none for null.
    pub fn words(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            ConfigValue::List(words) => words,
            ConfigValue::Absent => Vec::new(),
            other => panic!("{name} is no list but {other}"),
        }
    }
}
