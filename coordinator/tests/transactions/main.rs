//! Transactions under seeded schedules: producers that replace each other, time-outs, appends and
//! markers that fail or come late, crashes and reloads at any record.
//!
//! Each schedule ends without faults, and everything must come to its end. What must hold is in
//! `world/promises` and `partition`. A seed that fails is played again with
//! `CHIPLOG_COORDINATOR_SEED=<seed> cargo test -p chiplog-coordinator --test transactions`;
//! `CHIPLOG_COORDINATOR_SEEDS=<n>` plays that many.

mod chance;
mod partition;
mod producer;
mod world;

use std::collections::BTreeMap;

use world::{Event, World};

const SEEDS: u64 = 2_000;
const STEPS: u32 = 600;

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn transactions_keep_their_promises() {
    let seeds = match number("CHIPLOG_COORDINATOR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CHIPLOG_COORDINATOR_SEEDS").unwrap_or(SEEDS),
    };
    let mut seen: BTreeMap<Event, u64> = BTreeMap::new();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run(STEPS);
            world.come_to_an_end();
            world.seen
        });
        match played {
            Ok(events) => {
                for (event, times) in events {
                    *seen.entry(event).or_default() += times;
                }
            }
            Err(_) => panic!(
                "seed {seed} failed: CHIPLOG_COORDINATOR_SEED={seed} cargo test -p \
                 chiplog-coordinator --test transactions"
            ),
        }
    }
    println!("{seen:?}");
    // A schedule in which nothing happens would pass, too.
    if count >= SEEDS {
        for event in Event::ALL {
            let times = seen.get(&event).copied().unwrap_or(0);
            assert!(times >= count / 20, "{event:?} happened {times} times");
        }
    }
}
