//! The log cleaner: compacts the node's dirtiest log, one on each of `log.cleaner.threads`, for as
//! long as there is one that is dirty enough; then looks again every `log.cleaner.backoff.ms`.
//!
//! Lives on the metadata shard and asks the others: which logs are dirty, and to compact one of
//! theirs. Looking at files and the compaction itself are for threads of their own. Where its
//! settings change at run time a new cleaner takes over, with what is under way left to the old.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::compact::{Brake, Cleanable, DirtCheck, Limits, Throttle};
use ring::Helpers;

use crate::clock;
use crate::config::ServerConfig;
use crate::mail::{Done, Question};
use crate::partition::PartitionKey;
use crate::shard::{Shard, ShardId};

/// The key map of one thread takes at most this much, as Kafka's.
const KEY_MAP_BYTES_MAX: usize = i32::MAX as usize;

/// How often the settings are looked at.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(1);

/// What all cleaner threads share.
struct Cleaner {
    settings: Settings,
    helpers: Arc<Helpers>,
    throttle: Arc<Throttle>,
    /// What is being compacted, by this cleaner or one before.
    busy: Rc<RefCell<HashSet<PartitionKey>>>,
    /// Another cleaner has taken over.
    is_replaced: Cell<bool>,
}

/// What a cleaner is made for; the limit on bytes a second can change beneath it.
#[derive(Clone, Copy, PartialEq)]
struct Settings {
    threads: usize,
    backoff: Duration,
    dedupe_buffer_bytes: usize,
    io_buffer_bytes: usize,
    load_factor: f64,
}

impl Settings {
    fn of(config: &ServerConfig) -> Settings {
        Settings {
            threads: config.log_cleaner_threads.max(1),
            backoff: config.log_cleaner_backoff,
            dedupe_buffer_bytes: config.log_cleaner_dedupe_buffer_size,
            io_buffer_bytes: config.log_cleaner_io_buffer_size,
            load_factor: config.log_cleaner_io_buffer_load_factor,
        }
    }
}

/// Which partitions of a shard could be compacted.
struct DirtQuestion;

/// One partition that could be compacted, before anybody has looked at its files.
struct Candidate {
    key: PartitionKey,
    check: DirtCheck,
}

impl Question for DirtQuestion {
    type Answer = Vec<Candidate>;

    fn serve(self, shard: &Rc<Shard>, done: Done<Self::Answer>) {
        let partitions = shard.partitions();
        let candidates = partitions.iter().filter_map(|partition| {
            Some(Candidate {
                key: partition.key,
                check: partition.check_dirt()?,
            })
        });
        done.put(candidates.collect());
    }
}

/// Compact this partition; answered when that has ended.
struct CompactQuestion {
    key: PartitionKey,
    cleanable: Cleanable,
    limits: Limits,
    helpers: Arc<Helpers>,
}

impl Question for CompactQuestion {
    type Answer = ();

    fn serve(self, shard: &Rc<Shard>, done: Done<()>) {
        let partition = shard.partition(&self.key).filter(|_| !shard.is_stopping());
        ring::spawn(async move {
            if let Some(partition) = partition {
                let Self {
                    cleanable,
                    limits,
                    helpers,
                    ..
                } = self;
                partition.compact(&helpers, cleanable, limits).await;
            }
            done.put(());
        });
    }
}

/// Starts the cleaner, if there is to be one.
pub fn start(shard: &Rc<Shard>) {
    if shard.config.log_cleaner_enable {
        ring::spawn(supervise(shard.clone()));
    }
}

/// Keeps a cleaner at work that has the settings of the moment.
async fn supervise(shard: Rc<Shard>) {
    let live = shard.live();
    let throttle = Arc::new(Throttle::new(live.log_cleaner_io_max_bytes_per_second));
    let busy = Rc::default();
    let mut cleaner = Cleaner::start(&shard, Settings::of(&live), &throttle, &busy);
    while !shard.is_stopping() {
        ring::timer::sleep(SETTINGS_INTERVAL).await;
        let live = shard.live();
        throttle.set_rate(live.log_cleaner_io_max_bytes_per_second);
        let settings = Settings::of(&live);
        if settings != cleaner.settings {
            cleaner.is_replaced.set(true);
            cleaner = Cleaner::start(&shard, settings, &throttle, &busy);
        }
    }
}

async fn clean_forever(shard: Rc<Shard>, cleaner: Rc<Cleaner>) {
    while !shard.is_stopping() && !cleaner.is_replaced.get() {
        match cleaner.dirtiest(&shard).await {
            Some((key, cleanable)) => cleaner.compact(&shard, key, cleanable).await,
            None => ring::timer::sleep(cleaner.settings.backoff).await,
        }
    }
}

impl Cleaner {
    fn start(
        shard: &Rc<Shard>,
        settings: Settings,
        throttle: &Arc<Throttle>,
        busy: &Rc<RefCell<HashSet<PartitionKey>>>,
    ) -> Rc<Cleaner> {
        let cleaner = Rc::new(Cleaner {
            settings,
            helpers: Arc::new(Helpers::start("log-cleaner", settings.threads)),
            throttle: throttle.clone(),
            busy: busy.clone(),
            is_replaced: Cell::new(false),
        });
        for _ in 0..settings.threads {
            ring::spawn(clean_forever(shard.clone(), cleaner.clone()));
        }
        cleaner
    }

    /// The log with the largest share of dirt among those that are due.
    async fn dirtiest(&self, shard: &Rc<Shard>) -> Option<(PartitionKey, Cleanable)> {
        let asked: Vec<_> = (0..shard.count())
            .map(|to| shard.ask(ShardId(to), DirtQuestion))
            .collect();
        let mut candidates = Vec::new();
        for answer in asked {
            candidates.extend(answer.await);
        }
        if candidates.is_empty() {
            return None;
        }
        let looked = self.helpers.run(move || {
            let now = clock::now_ms();
            let look = |candidate: Candidate| (candidate.key, candidate.check.run_blocking(now));
            candidates.into_iter().map(look).collect::<Vec<_>>()
        });
        let mut dirtiest: Option<(PartitionKey, Cleanable)> = None;
        for (key, looked) in looked.await {
            let cleanable = match looked {
                Ok(Some(cleanable)) if cleanable.is_due => cleanable,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(?key, "looking for what is to be compacted failed: {error}");
                    continue;
                }
            };
            let is_dirtier = dirtiest.is_none_or(|(_, best)| cleanable.ratio > best.ratio);
            if is_dirtier && !self.busy.borrow().contains(&key) {
                dirtiest = Some((key, cleanable));
            }
        }
        dirtiest
    }

    async fn compact(&self, shard: &Rc<Shard>, key: PartitionKey, cleanable: Cleanable) {
        if !self.busy.borrow_mut().insert(key) {
            return;
        }
        let question = CompactQuestion {
            key,
            cleanable,
            limits: self.limits(),
            helpers: self.helpers.clone(),
        };
        shard.ask(shard.owner(&key), question).await;
        self.busy.borrow_mut().remove(&key);
    }

    fn limits(&self) -> Limits {
        let settings = &self.settings;
        let key_map_bytes = settings.dedupe_buffer_bytes / settings.threads;
        Limits {
            key_map_bytes: key_map_bytes.min(KEY_MAP_BYTES_MAX),
            load_factor: settings.load_factor,
            io_buffer_bytes: settings.io_buffer_bytes / settings.threads,
            throttle: self.throttle.clone(),
            brake: Arc::new(Brake::default()),
        }
    }
}
