//! UpdateFeatures: the finalized levels of features, above all metadata.version (KIP-584, 778).

use protocol::error::ErrorCode;
use protocol::ids::BrokerId;

use crate::bootstrap::{METADATA_VERSION_LEVEL, METADATA_VERSION_LEVEL_MIN};
use crate::decision::{Decision, Messages, Refusal};
use crate::image::{Image, METADATA_VERSION};
use crate::record::{FeatureLevelRecord, Record};
use crate::topics::Mode;

/// The features that a 3.9 node can work with: name, lowest and highest level.
pub const SUPPORTED: [(&str, i16, i16); 2] = [
    ("kraft.version", 0, 1),
    (
        METADATA_VERSION,
        METADATA_VERSION_LEVEL_MIN,
        METADATA_VERSION_LEVEL,
    ),
];

/// The lowest metadata.version that can be set: 3.3-IV0 brought the record that says it.
const METADATA_VERSION_SET_MIN: i16 = 4;

/// The levels of metadata.version whose records differ from those of the level before, up to the
/// highest known.
const METADATA_CHANGES: [i16; 11] = [1, 3, 5, 6, 7, 8, 11, 13, 14, 15, 17];

/// What a level is changed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    /// No kind that is known.
    Unknown,
    /// Up.
    Upgrade,
    /// Down, if nothing gets lost.
    SafeDowngrade,
    /// Down, whatever gets lost.
    UnsafeDowngrade,
}

impl UpgradeType {
    /// The type of a wire value.
    pub fn from_wire(value: i8) -> UpgradeType {
        match value {
            1 => UpgradeType::Upgrade,
            2 => UpgradeType::SafeDowngrade,
            3 => UpgradeType::UnsafeDowngrade,
            _ => UpgradeType::Unknown,
        }
    }
}

/// One feature that is to have another level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The feature.
    pub feature: String,
    /// Its level from now on; 0 turns it off.
    pub level: i16,
    /// What for.
    pub upgrade_type: UpgradeType,
}

/// One result for every feature, by name.
pub type Results = Vec<(String, Result<(), Refusal>)>;

/// Decides on all updates of one request; `me` is the controller.
pub fn update(image: &Image, me: BrokerId, updates: &[Update], mode: Mode) -> Decision<Results> {
    let mut records = Vec::new();
    let mut messages = Messages::default();
    let mut outcome: Results = updates
        .iter()
        .map(|update| {
            let result = check(image, me, update).map(|()| {
                records.push(Record::FeatureLevel(FeatureLevelRecord {
                    name: update.feature.clone().into(),
                    feature_level: update.level,
                }));
            });
            (update.feature.clone(), messages.admit(result))
        })
        .collect();
    outcome.sort_by(|one, other| one.0.cmp(&other.0));
    if mode == Mode::ValidateOnly {
        records.clear();
    }
    Decision { records, outcome }
}

fn check(image: &Image, me: BrokerId, update: &Update) -> Result<(), Refusal> {
    let Update {
        feature,
        level,
        upgrade_type,
    } = update;
    let refuse = |reason: String| {
        let text = format!("Invalid update version {level} for feature {feature}. {reason}");
        Err(Refusal::new(ErrorCode::InvalidUpdateVersion, text))
    };
    if *upgrade_type == UpgradeType::Unknown {
        return refuse("The controller does not support the given upgrade type.".into());
    }
    if *level < 0 {
        return refuse("A feature version cannot be less than 0.".into());
    }
    let known = SUPPORTED.iter().find(|(name, ..)| name == feature);
    match known {
        None if *level != 0 => {
            return refuse(format!(
                "Local controller {me} does not support this feature."
            ));
        }
        Some((_, min, max)) if !(min..=max).contains(&level) => {
            let versions = format!("{min}-{max}");
            return refuse(format!(
                "Local controller {me} only supports versions {versions}"
            ));
        }
        _ => {}
    }
    let now = image.feature(feature).unwrap_or(0);
    let is_upgrade = *upgrade_type == UpgradeType::Upgrade;
    if *level < now && is_upgrade {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to \
             either safe or unsafe downgrade."
                .into(),
        );
    }
    if *level > now && !is_upgrade {
        return refuse("Can't downgrade to a newer version.".into());
    }
    match feature == METADATA_VERSION {
        true => check_metadata_version(image, now, update),
        false => Ok(()),
    }
}

fn check_metadata_version(image: &Image, now: i16, update: &Update) -> Result<(), Refusal> {
    let level = update.level;
    let refuse = |reason: &str| {
        let text = format!("Invalid metadata.version {level}. {reason}");
        Err(Refusal::new(ErrorCode::InvalidUpdateVersion, text))
    };
    const PRE_MIGRATION: i8 = 1;
    const MIGRATION: i8 = 2;
    if [PRE_MIGRATION, MIGRATION].contains(&image.migration_state()) {
        return refuse("Unable to modify metadata.version while a ZK migration is in progress.");
    }
    if level < METADATA_VERSION_SET_MIN {
        return refuse("Unable to set a metadata.version less than 3.3-IV0");
    }
    let is_lossy = METADATA_CHANGES
        .iter()
        .any(|change| level < *change && *change <= now);
    match update.upgrade_type {
        _ if !is_lossy => Ok(()),
        UpgradeType::UnsafeDowngrade => {
            refuse("Unsafe metadata downgrade is not supported in this version.")
        }
        _ => refuse(
            "Refusing to perform the requested downgrade because it might delete metadata \
             information.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::first_records;
    use crate::testing::apply;

    #[test]
    fn levels_go_up_and_as_far_down_as_nothing_is_lost() {
        let mut image = Image::new("c");
        let records = first_records(&image);
        apply(&mut image, &records);
        let ask = |image: &Image, level, upgrade_type| {
            let feature = METADATA_VERSION.to_owned();
            let update_one = Update {
                feature,
                level,
                upgrade_type,
            };
            let decision = update(image, BrokerId(1), &[update_one], Mode::Commit);
            match decision.outcome[0].1.clone() {
                Ok(()) => Ok(decision.records),
                Err(refusal) => Err(refusal.message.unwrap()),
            }
        };
        use UpgradeType::{SafeDowngrade, UnsafeDowngrade, Upgrade};
        assert!(ask(&image, 17, SafeDowngrade).is_ok());
        for (level, upgrade_type, reason) in [
            (16, SafeDowngrade, "might delete metadata information"),
            (
                16,
                UnsafeDowngrade,
                "Unsafe metadata downgrade is not supported",
            ),
            (20, Upgrade, "without setting the upgrade type"),
            (
                22,
                Upgrade,
                "Local controller 1 only supports versions 1-21",
            ),
            (3, SafeDowngrade, "less than 3.3-IV0"),
            (-1, Upgrade, "cannot be less than 0"),
        ] {
            let refused = ask(&image, level, upgrade_type).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let records = ask(&image, 19, SafeDowngrade).unwrap();
        apply(&mut image, &records);
        assert_eq!(image.feature(METADATA_VERSION), Some(19));
        assert!(
            ask(&image, 20, SafeDowngrade)
                .unwrap_err()
                .contains("newer")
        );
        assert!(ask(&image, 21, Upgrade).is_ok());
    }

    #[test]
    fn other_features_are_unknown() {
        let update_one = Update {
            feature: "group.version".to_owned(),
            level: 1,
            upgrade_type: UpgradeType::Upgrade,
        };
        let decision = update(&Image::new("c"), BrokerId(1), &[update_one], Mode::Commit);
        let refusal = decision.outcome[0].1.clone().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::InvalidUpdateVersion);
        assert!(decision.records.is_empty());
    }
}
