//! The power fails at every call that touches the disk, in the scenarios in which a log is not only
//! written: what was flushed is there afterwards, however much of the rest is lost.
//!
//! Each call meets one loss, with `CHIPLOG_CRASH_RUNS` set a fiftieth of so many;
//! `CHIPLOG_POWER="<scenario>/<call>/<seed>"` replays one.

use super::model::Chance;
use super::scenarios::{ALL, Scenario};
use super::world::World;
use crate::fault::{self, Site, Strike};

/// Those in which files are not damaged on purpose, nor a log's end taken back, which no flush
/// makes durable.
const SCENARIOS: [&str; 8] = [
    "write and come back",
    "large",
    "transactions and a kill",
    "too many closed segments",
    "retention",
    "compact",
    "strays and deletion",
    "move",
];
const DEFAULT_LOSSES: u64 = 1;

/// Says how to replay when a run unwinds.
struct Context(&'static str, u64, u64, Option<Site>);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(name, at, seed, site) = self;
            eprintln!("replay with: CHIPLOG_POWER=\"{name}/{at}/{seed}\"; lost at {site:?}");
            fault::give_up();
        }
    }
}

/// Runs a scenario until the call with that number, and loses the power there. How many calls there
/// were.
fn lose(scenario: &Scenario, at: u64, seed: u64) -> u64 {
    let mut world = World::new();
    (scenario.before)(&mut world).unwrap();
    world.all_is_flushed();
    let mut context = Context(scenario.name, at, seed, None);
    fault::watch(Some((at, Strike::Crash)));
    fault::is_durable(world.root.path());
    let _ = (scenario.steps)(&mut world);
    context.3 = fault::struck();
    let seen = fault::unwatch();
    let mut chance = Chance(seed);
    world.lose_power(&seen.durable, &mut |end| chance.below(end as i64) as usize);
    world.check();
    seen.calls
}

#[test]
fn a_power_loss_at_any_call_takes_nothing_that_was_flushed() {
    if let Ok(replay) = std::env::var("CHIPLOG_POWER") {
        let words: Vec<_> = replay.split('/').collect();
        let scenario = ALL.iter().find(|s| s.name == words[0]).unwrap();
        lose(
            scenario,
            words[1].parse().unwrap(),
            words[2].parse().unwrap(),
        );
        return;
    }
    let losses = std::env::var("CHIPLOG_CRASH_RUNS").map_or(DEFAULT_LOSSES, |runs| {
        runs.parse::<u64>().unwrap().div_ceil(50)
    });
    let mut failed = Vec::new();
    for name in SCENARIOS {
        let scenario = ALL.iter().find(|scenario| scenario.name == name).unwrap();
        let calls = lose(scenario, u64::MAX, 0);
        for at in 0..calls {
            for seed in at * losses..(at + 1) * losses {
                let lost = std::panic::catch_unwind(|| lose(scenario, at, seed));
                failed.extend(lost.is_err().then_some((name, at, seed)));
            }
        }
    }
    assert_eq!(
        failed,
        [],
        "where the power was lost and what was flushed is gone"
    );
}
