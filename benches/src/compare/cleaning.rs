//! The open loop while the broker's cleaner compacts another topic, and without: what compaction
//! costs whoever produces.
//!
//! A pair a run, first with the cleaner at work and then without or the other way round. The topic
//! for the cleaner is filled beforehand and kept from it by its dirty ratio; it has more to compact
//! than the measured time takes. The cleaner's CPU time is measured as well: it shows that it was
//! at work.

use std::fs;

use benches::Error;
use benches::clock::Nanos;
use benches::produce;

use crate::contestant::Contestant;
use crate::loads::{self, Figures};
use crate::options::{Options, Scenario};

/// Keys of the topic to be compacted: of a partition's records a tenth at most is the newest of a key.
const KEYS: u64 = 60_000;
const RECORD_BYTES: usize = 1000;
const SEGMENT_BYTES: usize = 64 << 20;
/// Nothing is dirtier than this.
const NEVER: &str = "1.0";
/// Everything is.
const AT_ONCE: &str = "0.001";
/// With what the names of the cleaner's threads begin, both brokers'; the kernel keeps 15 bytes.
const CLEANER_THREADS: [&str; 2] = ["log-cleaner", "kafka-log-clean"];
const CLEANER_WITHIN: Nanos = Nanos(60_000_000_000);
/// When the files of a deleted topic are gone: brokers wait a second.
const REMOVED_AFTER: Nanos = Nanos(3_000_000_000);
const LOOK_AGAIN_AFTER: Nanos = Nanos(20_000_000);
const TICKS_PER_SECOND: f64 = 100.0;

/// One pair; nothing for the bare loops, which clean nothing.
pub fn measure(options: &Options, who: &Contestant, run: usize) -> Result<Option<Figures>, Error> {
    let Some(pid) = who.pid() else {
        return Ok(None);
    };
    let garbage = format!("garbage-{run}");
    who.produce(&garbage, filling(options))?;
    rustix::fs::sync();
    let (without, with) = if run.is_multiple_of(2) {
        let without = load(options, who, pid, &format!("without-{run}"))?;
        (without, beside_cleaner(options, who, pid, &garbage, run)?)
    } else {
        let with = beside_cleaner(options, who, pid, &garbage, run)?;
        wait_for_idle(pid)?;
        rustix::fs::sync();
        (load(options, who, pid, &format!("without-{run}"))?, with)
    };
    wait_for_idle(pid)?;
    who.delete(&garbage)?;
    REMOVED_AFTER.pause();
    Ok(Some(figures(&without, &with)))
}

/// What one half of a pair has given.
struct Half {
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    cleaner_cores: f64,
}

fn figures(without: &Half, with: &Half) -> Figures {
    vec![
        ("p50 without, ms", without.p50_ms),
        ("p50 beside the cleaner, ms", with.p50_ms),
        ("p99 without, ms", without.p99_ms),
        ("p99 beside the cleaner, ms", with.p99_ms),
        ("p99 beside it / without", with.p99_ms / without.p99_ms),
        ("p99.9 without, ms", without.p999_ms),
        ("p99.9 beside the cleaner, ms", with.p999_ms),
        ("max without, ms", without.max_ms),
        ("max beside the cleaner, ms", with.max_ms),
        ("cleaner without, cores", without.cleaner_cores),
        ("cleaner, cores", with.cleaner_cores),
    ]
}

fn filling(options: &Options) -> produce::Options {
    let settings = [
        "cleanup.policy=compact".to_owned(),
        format!("segment.bytes={SEGMENT_BYTES}"),
        format!("min.cleanable.dirty.ratio={NEVER}"),
    ];
    produce::Options {
        topic_config: settings.to_vec(),
        record_size: RECORD_BYTES,
        keys: KEYS,
        records: Some((options.garbage_gb * 1e9 / RECORD_BYTES as f64) as u64),
        ..produce::Options::default()
    }
}

fn beside_cleaner(
    options: &Options,
    who: &Contestant,
    pid: u32,
    garbage: &str,
    run: usize,
) -> Result<Half, Error> {
    let before = cleaner_seconds(pid)?;
    who.set(garbage, "min.cleanable.dirty.ratio", AT_ONCE)?;
    let begun = Nanos::now();
    // Three ticks: to look whether there is something to do takes less.
    while cleaner_seconds(pid)? < before + 0.03 {
        if Nanos::now().since(begun) > CLEANER_WITHIN {
            return Err(Error::TimedOut {
                doing: "waiting for the cleaner to begin".to_owned(),
                seconds: CLEANER_WITHIN.seconds(),
            });
        }
        LOOK_AGAIN_AFTER.pause();
    }
    load(options, who, pid, &format!("beside-{run}"))
}

fn load(options: &Options, who: &Contestant, pid: u32, topic: &str) -> Result<Half, Error> {
    let (began, before) = (Nanos::now(), cleaner_seconds(pid)?);
    let load = loads::load(Scenario::OpenLoop, options, options.seconds);
    let report = who.produce(topic, load)?;
    let cleaner_cores = (cleaner_seconds(pid)? - before) / Nanos::now().since(began).seconds();
    who.delete(topic)?;
    REMOVED_AFTER.pause();
    let Some(latency) = report.latency_from_intended else {
        return Err(Error::Unusable("no record was acknowledged".to_owned()));
    };
    let ms = |ns: Nanos| ns.0 as f64 / 1e6;
    Ok(Half {
        p50_ms: ms(latency.p50_ns),
        p99_ms: ms(latency.p99_ns),
        p999_ms: ms(latency.p99_9_ns),
        max_ms: ms(latency.max_ns),
        cleaner_cores,
    })
}

/// Waits until the cleaner has nothing left to do.
fn wait_for_idle(pid: u32) -> Result<(), Error> {
    let begun = Nanos::now();
    loop {
        let before = cleaner_seconds(pid)?;
        Nanos(1_000_000_000).pause();
        if cleaner_seconds(pid)? < before + 0.05 {
            return Ok(());
        }
        if Nanos::now().since(begun) > CLEANER_WITHIN {
            return Err(Error::TimedOut {
                doing: "waiting for the cleaner to end".to_owned(),
                seconds: CLEANER_WITHIN.seconds(),
            });
        }
    }
}

/// CPU time that the cleaner's threads have used so far.
fn cleaner_seconds(pid: u32) -> Result<f64, Error> {
    let reading = || Error::io(format!("reading the threads of the process {pid}"));
    let mut ticks = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(reading())? {
        let path = thread.map_err(reading())?.path();
        // A thread may end while we look.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        let Some((front, fields)) = stat.rsplit_once(") ") else {
            continue;
        };
        let name = front.split_once('(').map_or("", |(_, name)| name);
        if CLEANER_THREADS.iter().any(|known| name.starts_with(known)) {
            // User and system time are the 14th and 15th field; two are gone.
            let times = fields.split(' ').skip(11).take(2);
            ticks += times.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}
