//! Keys that ask for what this version does not have, where to start without it would be unsafe:
//! they refuse to start. Must not know what the values are used for.

use super::load::refuse;
use super::{ConfigError, Values};

/// Refuses what would be unsafe to ignore.
pub(super) fn check(values: &Values) -> Result<(), ConfigError> {
    if let Some(connect) = values.text("zookeeper.connect") {
        return refuse(format!(
            "zookeeper.connect={connect}: this version keeps its metadata itself and cannot join \
             a ZooKeeper cluster yet; remove the key to start a standalone node"
        ));
    }
    check_stands_alone(values)?;
    if let Some(class) = values.text("authorizer.class.name") {
        return refuse(format!(
            "authorizer.class.name={class}: this version has no authorizer yet and would let \
             every client do everything; remove the key if that is meant"
        ));
    }
    if values.flag("remote.log.storage.system.enable") {
        return refuse("remote.log.storage.system.enable: tiered storage is not supported");
    }
    for key in [
        "create.topic.policy.class.name",
        "alter.config.policy.class.name",
    ] {
        if let Some(class) = values.text(key) {
            return refuse(format!("{key}={class}: Java policies cannot be loaded"));
        }
    }
    Ok(())
}

/// Refuses a role in a cluster of several nodes: the node would start beside them as a cluster of
/// its own, over a directory that belongs to theirs.
fn check_stands_alone(values: &Values) -> Result<(), ConfigError> {
    let roles = values.words("process.roles");
    if !roles.is_empty() && !roles.iter().any(|role| role == "broker") {
        return refuse(format!(
            "process.roles={}: this version is broker and controller in one and cannot be a \
             controller alone yet; add broker to start a standalone node",
            roles.join(",")
        ));
    }
    let voters = values.words("controller.quorum.voters");
    let this = values.whole("node.id").to_string();
    let is_this = |voter: &String| voter.split('@').next() == Some(this.as_str());
    if !voters.iter().all(is_this) {
        return refuse(format!(
            "controller.quorum.voters={}: this version keeps its metadata itself and cannot join \
             a quorum of other nodes yet; name node {this} alone, or remove the key, to start a \
             standalone node",
            voters.join(",")
        ));
    }
    Ok(())
}
