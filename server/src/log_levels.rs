//! The levels of log lines, by logger, changed while the node runs (KIP-412). They are this
//! process's: not kept, and gone at the next start.
//!
//! A logger is one of the program's crates, or `root` for all that have no level of their own. It
//! must not know who writes the lines: [`on_change`] is told by whoever does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

use controller::Refusal;
use controller::alter_configs::Change;
use protocol::error::ErrorCode;

/// All that have no level of their own.
const ROOT: &str = "root";
/// The loggers besides it.
const LOGGERS: [&str; 7] = [
    "controller",
    "coordinator",
    "engine",
    "protocol",
    "replication",
    "ring",
    "server",
];
/// Kafka's levels, and the ones of our log lines.
const LEVELS: [(&str, &str); 6] = [
    ("DEBUG", "debug"),
    ("ERROR", "error"),
    ("FATAL", "error"),
    ("INFO", "info"),
    ("TRACE", "trace"),
    ("WARN", "warn"),
];

type Apply = Box<dyn Fn(&str) + Send + Sync>;

static SET: Mutex<BTreeMap<&'static str, &'static str>> = Mutex::new(BTreeMap::new());
static LINES: OnceLock<(String, Apply)> = OnceLock::new();

/// From now on `apply` is told of changed levels, as `<level>,<logger>=<level>,...`; `given` says in
/// the same way what holds until then.
pub fn on_change(given: &str, apply: impl Fn(&str) + Send + Sync + 'static) {
    // A process has its log lines once.
    let _ = LINES.set((given.to_owned(), Box::new(apply)));
}

fn set() -> MutexGuard<'static, BTreeMap<&'static str, &'static str>> {
    SET.lock().expect("nobody panics with it")
}

fn given() -> &'static str {
    LINES.get().map_or("info", |(given, _)| given)
}

/// All loggers with their levels.
pub fn all() -> Vec<(&'static str, &'static str)> {
    levels(given(), &set())
}

/// Changes levels, all or none; or only says whether they could be.
pub fn alter(changes: &[(String, Change)], validate_only: bool) -> Result<(), Refusal> {
    let mut set = set();
    let next = altered(&set, changes)?;
    if !validate_only {
        let directives = directives(given(), &next);
        *set = next;
        tracing::warn!("log levels are now {directives}");
        if let Some((_, apply)) = LINES.get() {
            apply(&directives);
        }
    }
    Ok(())
}

type Set = BTreeMap<&'static str, &'static str>;

fn levels(given: &str, set: &Set) -> Vec<(&'static str, &'static str)> {
    let plain = given.split(',').find_map(|directive| {
        let level = LEVELS
            .iter()
            .find(|(_, ours)| directive.trim().eq_ignore_ascii_case(ours));
        level.map(|(name, _)| *name)
    });
    let root = set.get(ROOT).copied().or(plain).unwrap_or("INFO");
    let loggers = LOGGERS
        .iter()
        .map(|name| (*name, set.get(name).copied().unwrap_or(root)));
    loggers.chain([(ROOT, root)]).collect()
}

fn altered(set: &Set, changes: &[(String, Change)]) -> Result<Set, Refusal> {
    let mut next = set.clone();
    for (name, change) in changes {
        let refuse = |code, text: String| Err(Refusal::new(code, text));
        let verb = match change {
            Change::Append(_) => "APPEND",
            Change::Subtract(_) => "SUBTRACT",
            Change::Set(_) | Change::Delete => "",
        };
        if !verb.is_empty() {
            let text = format!("{verb} operation is not allowed for the BROKER_LOGGER resource");
            return refuse(ErrorCode::InvalidRequest, text);
        }
        let Some(logger) = LOGGERS
            .into_iter()
            .chain([ROOT])
            .find(|logger| logger == name)
        else {
            let text = format!("Logger {name} does not exist!");
            return refuse(ErrorCode::InvalidConfig, text);
        };
        match change {
            Change::Set(wanted) => {
                let Some((level, _)) = LEVELS.iter().find(|(level, _)| level == wanted) else {
                    let valid: Vec<&str> = LEVELS.iter().map(|(level, _)| *level).collect();
                    let text = format!(
                        "Cannot set the log level of {name} to {wanted} as it is not a supported \
                         log level. Valid log levels are {}",
                        valid.join(", ")
                    );
                    return refuse(ErrorCode::InvalidConfig, text);
                };
                next.insert(logger, level);
            }
            _ if logger == ROOT => {
                let text = "Removing the log level of the root logger is not allowed";
                return refuse(ErrorCode::InvalidRequest, text.to_owned());
            }
            _ => drop(next.remove(logger)),
        }
    }
    Ok(next)
}

fn directives(given: &str, set: &Set) -> String {
    let ours = |level: &str| {
        let found = LEVELS.iter().find(|(name, _)| *name == level);
        found.map_or("info", |(_, ours)| *ours)
    };
    let root = set.get(ROOT).map_or(given, |level| ours(level));
    let own = set.iter().filter(|(logger, _)| **logger != ROOT);
    let own = own.map(|(logger, level)| format!(",{logger}={}", ours(level)));
    own.fold(root.to_owned(), |text, directive| text + &directive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_set_taken_away_and_told() {
        let change = |name: &str, change| (name.to_owned(), change);
        let to = |level: &str| Change::Set(level.to_owned());
        let none = Set::new();
        let set = altered(
            &none,
            &[change("engine", to("TRACE")), change("root", to("FATAL"))],
        )
        .unwrap();
        assert_eq!(directives("info,ring=warn", &set), "error,engine=trace");
        assert_eq!(directives("info,ring=warn", &none), "info,ring=warn");
        let shown = levels("ring=warn,debug", &set);
        assert!(shown.contains(&("engine", "TRACE")) && shown.contains(&("server", "FATAL")));
        assert_eq!(
            levels("ring=warn,debug", &none).last(),
            Some(&("root", "DEBUG"))
        );
        let set = altered(&set, &[change("engine", Change::Delete)]).unwrap();
        assert_eq!(directives("info", &set), "error");
        for (name, wrong, code) in [
            ("kafka", to("INFO"), ErrorCode::InvalidConfig),
            ("engine", to("info"), ErrorCode::InvalidConfig),
            ("root", Change::Delete, ErrorCode::InvalidRequest),
            (
                "engine",
                Change::Append("INFO".to_owned()),
                ErrorCode::InvalidRequest,
            ),
        ] {
            let refused = altered(&none, &[change(name, wrong)]).unwrap_err();
            assert_eq!(refused.code, code, "{name}");
        }
    }
}
