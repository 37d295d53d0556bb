//! The group coordinator under random schedules: members that join, sync, commit, fall silent,
//! crash and come back, appends that complete late or fail, and a node that crashes and reads its
//! log again. What must hold is named in `invariants` and `watch`.
//!
//! A failing seed is played again with `CHIPLOG_COORDINATOR_SEED=<seed> cargo test -p
//! chiplog-coordinator --test groups`; `CHIPLOG_COORDINATOR_SEEDS=<n>` plays that many.

mod answers;
mod chance;
mod client;
mod invariants;
mod log;
mod requests;
mod watch;
mod world;

use world::World;

/// Schedules of an ordinary run.
const SEEDS: u64 = 2000;
/// Steps of one schedule.
const STEPS: usize = 250;

#[test]
fn what_must_hold_holds_under_random_schedules() {
    let seeds = match number("CHIPLOG_COORDINATOR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHIPLOG_COORDINATOR_SEEDS").unwrap_or(SEEDS),
    };
    let mut seen = world::Seen::default();
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.end()
        });
        match played {
            Ok(world) => seen.add(&world),
            Err(panic) => {
                eprintln!(
                    "seed {seed} failed: CHIPLOG_COORDINATOR_SEED={seed} cargo test -p \
                     chiplog-coordinator --test groups"
                );
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{seen:?}");
    seen.assert_all_happened();
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}
