//! Every call that touches the disk fails in turn, in every scenario: with a full disk, with a disk that
//! is broken, without descriptors, and by the end of the process.
//!
//! Nobody lists the calls: a run in which nothing fails counts them, and in the source is read where
//! there are any, so that none is left out. With `CHIPLOG_CRASH_RUNS` set each call meets every
//! failure, otherwise one of them. `CHIPLOG_FAULT="<scenario>/<call>/<failure>"` replays one.

use super::scenarios::{ALL, Scenario};
use super::world::World;
use crate::fault::{self, Seen, Site, Strike};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

const STRIKES: [Strike; 4] = [
    Strike::Error(Errno::NOSPC.raw_os_error()),
    Strike::Error(Errno::IO.raw_os_error()),
    Strike::Error(Errno::MFILE.raw_os_error()),
    Strike::Crash,
];

/// Says what was struck when a run unwinds.
struct Context(&'static str, u64, usize);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let struck = fault::struck();
            let Self(name, at, strike) = self;
            eprintln!(
                "replay with: CHIPLOG_FAULT=\"{name}/{at}/{strike}\"; struck was {struck:?} with {:?}",
                STRIKES[*strike]
            );
            fault::give_up();
        }
    }
}

fn strike(scenario: &Scenario, struck: Option<(u64, usize)>) -> Seen {
    let mut world = World::new();
    (scenario.before)(&mut world).unwrap();
    let _context = struck.map(|(at, strike)| Context(scenario.name, at, strike));
    fault::watch(struck.map(|(at, strike)| (at, STRIKES[strike])));
    let outcome = (scenario.steps)(&mut world);
    if struck.is_none() {
        outcome.unwrap();
        assert_eq!(world.errors, [] as [&str; 0]);
    }
    world.directory = None;
    world.second = None;
    let seen = fault::unwatch();
    world.check();
    seen
}

/// Where the engine makes calls to the disk, by its source.
fn sites_in_source() -> BTreeSet<(String, u32)> {
    let mut sites = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if !name.ends_with(".rs") || ["disk.rs", "fault.rs", "tests.rs"].contains(&&*name) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for (line, code) in code.lines().enumerate() {
                let code = code.split("//").next().unwrap();
                let calls = code.matches("disk::").count()
                    - code.matches("disk::offload").count()
                    - code.matches("disk::invalid").count()
                    - code.matches("crate::disk::").count();
                if calls > 0 {
                    sites.insert((name.clone(), line as u32 + 1));
                }
            }
        }
    }
    sites
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost_and_the_error_says_what_failed() {
    if let Ok(replay) = std::env::var("CHIPLOG_FAULT") {
        let words: Vec<_> = replay.split('/').collect();
        let scenario = ALL.iter().find(|s| s.name == words[0]).unwrap();
        strike(
            scenario,
            Some((words[1].parse().unwrap(), words[2].parse().unwrap())),
        );
        return;
    }
    let thorough = std::env::var_os("CHIPLOG_CRASH_RUNS").is_some();
    let mut work = Vec::new();
    let mut reached: BTreeSet<Site> = BTreeSet::new();
    for scenario in ALL {
        let seen = strike(scenario, None);
        reached.extend(seen.sites);
        for at in 0..seen.calls {
            let struck =
                (0..STRIKES.len()).filter(|s| thorough || at as usize % STRIKES.len() == *s);
            work.extend(struck.map(|strike| (scenario, at, strike)));
        }
    }
    let (work, reached) = (Mutex::new(work.into_iter()), Mutex::new(reached));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap().next();
                    let Some((scenario, at, which)) = next else {
                        break;
                    };
                    let struck = std::panic::catch_unwind(|| strike(scenario, Some((at, which))));
                    match struck {
                        Ok(seen) => reached.lock().unwrap().extend(seen.sites),
                        Err(_) => failed.lock().unwrap().push((scenario.name, at, which)),
                    }
                }
            });
        }
    });
    assert_eq!(*failed.lock().unwrap(), [], "what was struck so went wrong");
    let reached = reached.into_inner().unwrap();
    let is_reached = |name: &str, line: u32| {
        reached
            .iter()
            .any(|(file, at)| *at == line && file.ends_with(&format!("engine/src/{name}")))
    };
    let left_out: Vec<_> = sites_in_source()
        .into_iter()
        .filter(|(name, line)| !is_reached(name, *line))
        .collect();
    assert!(left_out.is_empty(), "no scenario comes by {left_out:?}");
}
