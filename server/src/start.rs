//! From a configuration to a node that serves: directories, metadata, logs, one thread a shard.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use controller::bootstrap::Registration;
use controller::directories::{Place, directory_of};
use controller::image::{Endpoint, Image};
use controller::topic_name;
use engine::OpenError;
use engine::TopicPartition;
use engine::log::Log;
use protocol::ids::{BrokerEpoch, BrokerId, PartitionIndex, Uuid};
use ring::event::Event;
use ring::mailbox::Receiver;
use ring::net::Listener;
use ring::signal::Signal;

use crate::acceptors::{self, ListenerNames};
use crate::config::ServerConfig;
use crate::config::describe::BrokerConfig;
use crate::config::topic_log::topic_settings;
use crate::connection_limits::ConnectionLimits;
use crate::directories::{Directories, DirectoriesError};
use crate::entropy::random_uuid;
use crate::install;
use crate::listen::{self, BindError};
use crate::mail::{Letter, MAILBOX_LETTERS_MAX, PostOffice};
use crate::metadata_log::MetadataLog;
use crate::moving::{self, Pace, Places};
use crate::node::Node;
use crate::offline::OfflinePartitions;
use crate::partition::{Partition, PartitionKey};
use crate::placement;
use crate::quorum::{self, LedLog, QuorumError};
use crate::replay::{ReplayFailure, replay};
use crate::shard::{METADATA_SHARD, Shard, ShardId, owner};
use crate::{checkpoints, cleaner, producer_expiry, retention, revival, stop};

/// Unused buffer memory that all shards together keep for re-use.
const BUFFER_BYTES_CACHED_MAX: usize = 64 << 20;
/// What the shards together may hold of requests and what they wait for, unless
/// `queued.max.request.bytes` says otherwise.
const BUFFER_BYTES_MAX: usize = 512 << 20;

/// Why the node does not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// io_uring is not to be had.
    #[error(transparent)]
    Ring(#[from] ring::SetupError),
    /// An address is not to be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A log directory cannot be used.
    #[error(transparent)]
    Directories(#[from] DirectoriesError),
    /// The metadata log cannot be opened.
    #[error("the metadata log cannot be opened: {0}")]
    MetadataLog(#[from] OpenError),
    /// The metadata log cannot be understood.
    #[error("the metadata log cannot be replayed: {0}")]
    Replay(#[from] ReplayFailure),
    /// The metadata log cannot be led.
    #[error("the metadata log cannot be led: {0}")]
    Quorum(#[from] QuorumError),
    /// Signals or threads are not to be had.
    #[error("{what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// A log for the shard that owns its partition.
struct Dealt {
    key: PartitionKey,
    log: Log,
    /// Its copy in another directory, and the id of that.
    copy: Option<(Log, Uuid)>,
}

/// What the directories had.
struct Found {
    logs: HashMap<TopicPartition, Log>,
    copies: HashMap<TopicPartition, (Log, Uuid)>,
}

/// What a shard's thread is given at its birth.
struct ShardSeed {
    id: ShardId,
    node: Arc<Node>,
    image: Arc<Image>,
    logs: Vec<Dealt>,
    senders: Vec<ring::mailbox::Sender<Letter>>,
    mailbox: Receiver<Letter>,
    metadata: Option<LedLog>,
}

/// Runs a node until SIGTERM or SIGINT ends it.
pub fn serve(config: ServerConfig) -> Result<(), ServeError> {
    let began = Instant::now();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    ring::signal::block().map_err(|source| ServeError::System {
        what: "SIGTERM cannot be handled",
        source,
    })?;
    abort_on_panic();
    share_out_descriptors();
    let listeners = listen::bind(&config)?;
    let directories = Arc::new(Directories::open(&config)?);
    let metadata_partition = TopicPartition::new(topic_name::CLUSTER_METADATA, PartitionIndex(0));
    let log_config = Arc::new(config.metadata_log.log_config());
    let mut log = directories.open_metadata_log(&metadata_partition, log_config)?;
    let replayed = replay(directories.cluster_id(), &mut log)?;
    let registration = registration(&config, &directories);
    let mut metadata_log = quorum::lead(log, replayed, registration)?;
    if let Some(found) = directories.of_zookeeper_broker()? {
        metadata_log.adopt(config.node_id, &found, &config.internal_topics)?;
    }
    let image = metadata_log.image().clone();
    let cores = thread::available_parallelism().map_or(1, |n| n.get());
    let shards = config.num_shards.unwrap_or(cores);
    let found = load_logs(&config, &directories, &image)?;
    let config = Arc::new(config);
    let node = Arc::new(Node {
        shards,
        broker_id: config.node_id,
        directories,
        offline: OfflinePartitions::default(),
        listener_names: ListenerNames::new(&config),
        move_pace: Pace::default(),
        move_places: Places::new(config.num_replica_alter_log_dirs_threads),
        connection_limits: ConnectionLimits::new(&config.with_dynamic(&image)),
        config,
    });
    let logs = deal_out(&node, &image, found);
    metadata_log.assign(node.broker_id, &untold_places(&node, &image, &logs))?;
    let image = Arc::new(metadata_log.image().clone());
    let seeds = seeds(&node, &image, logs, metadata_log);
    run_shards(seeds, listeners, began)
}

fn seeds(
    node: &Arc<Node>,
    image: &Arc<Image>,
    logs: Vec<Vec<Dealt>>,
    metadata_log: LedLog,
) -> Vec<ShardSeed> {
    let (senders, mailboxes): (Vec<_>, Vec<_>) = (0..node.shards)
        .map(|_| ring::mailbox::channel(MAILBOX_LETTERS_MAX))
        .unzip();
    let mut metadata = Some(metadata_log);
    let seeds = mailboxes.into_iter().zip(logs).enumerate();
    seeds
        .map(|(n, (mailbox, logs))| ShardSeed {
            id: ShardId(n),
            node: node.clone(),
            image: image.clone(),
            logs,
            senders: senders.clone(),
            mailbox,
            metadata: metadata.take_if(|_| ShardId(n) == METADATA_SHARD),
        })
        .collect()
}

/// Runs a thread a shard until all have ended, or one has failed.
fn run_shards(
    seeds: Vec<ShardSeed>,
    listeners: Vec<Listener>,
    began: Instant,
) -> Result<(), ServeError> {
    let listeners = Arc::new(Mutex::new(Some(listeners)));
    let (ended, ends) = mpsc::channel();
    let mut threads = Vec::new();
    for seed in seeds {
        let (ended, listeners) = (ended.clone(), listeners.clone());
        let thread = thread::Builder::new()
            .name(format!("shard-{}", seed.id.0))
            .spawn(move || {
                let result = run_shard(seed, &listeners, began);
                let _ = ended.send(result); // The main thread may have left with an error.
            })
            .map_err(|source| ServeError::System {
                what: "a shard's thread cannot be started",
                source,
            })?;
        threads.push(thread);
    }
    drop(ended);
    ends.into_iter().collect::<Result<(), ServeError>>()?;
    for thread in threads {
        thread.join().expect("a panic ends the process");
    }
    Ok(())
}

/// A quarter of the files that the process may have open is for closed segments, up to a number
/// whose maps stay within what the kernel allows a process; the rest is for the segments that are
/// written, and for connections.
fn share_out_descriptors() {
    const OPEN_SEGMENTS_MAX: u64 = 16_384;
    const OPEN_SEGMENTS_MIN: u64 = 16;
    match ring::file_limit::raise() {
        Ok(files) => {
            let segments = (files / 4).clamp(OPEN_SEGMENTS_MIN, OPEN_SEGMENTS_MAX);
            engine::set_open_segments_max(segments as usize);
            tracing::debug!(
                files,
                segments,
                "limits on open files and closed segments kept open"
            );
        }
        Err(error) => tracing::warn!("the limit on open files cannot be raised: {error}"),
    }
}

/// A broken invariant must not leave half a node behind.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

fn load_logs(
    config: &ServerConfig,
    directories: &Directories,
    image: &Image,
) -> Result<Found, DirectoriesError> {
    if !directories.were_clean() && image.topics().len() > 0 {
        tracing::info!("the last stop was not clean: recovering the logs");
    }
    let broker = BrokerConfig::new(config, image);
    let log_config = |topic: &str| {
        let overrides = image.topic_overrides(topic);
        Arc::new(topic_settings(&broker, &overrides).log)
    };
    let is_stray = |partition: &TopicPartition, topic_id: Option<Uuid>| {
        !is_of_image(image, config.node_id, partition, topic_id)
    };
    let said = |partition: &TopicPartition| {
        let topic = image.topic(&partition.topic)?;
        directory_of(topic.partition(partition.partition)?, config.node_id)
    };
    let copies = directories.settle_futures(&is_stray, &said);
    let live = config.with_dynamic(image);
    let threads = live.num_recovery_threads_per_data_dir.max(1);
    let logs = directories.load(threads, &is_stray, &log_config)?;
    let copies = directories.open_futures(copies, &log_config);
    let by_partition = |copy: (Log, Uuid)| (copy.0.topic_partition().clone(), copy);
    Ok(Found {
        logs,
        copies: copies.into_iter().map(by_partition).collect(),
    })
}

/// Gives each shard the logs of its partitions; creates those that are missing.
fn deal_out(node: &Node, image: &Image, mut found: Found) -> Vec<Vec<Dealt>> {
    let mut dealt: Vec<Vec<Dealt>> = Vec::new();
    dealt.resize_with(node.shards, Vec::new);
    for topic in image.topics() {
        for (index, state) in &topic.partitions {
            if !state.replicas.contains(&node.broker_id) {
                continue;
            }
            let key = PartitionKey {
                topic_id: topic.id,
                partition: *index,
            };
            let partition = TopicPartition::new(&topic.name, *index);
            let log = found.logs.remove(&partition).map_or_else(
                || {
                    let settings = node.topic_settings(image, &topic.name);
                    let config = Arc::new(settings.log);
                    node.directories
                        .create_missing_log(&partition, topic.id, config)
                },
                Ok,
            );
            match log {
                Ok(mut log) => {
                    node.directories.restore_topic_id(&mut log, topic.id);
                    let copy = found.copies.remove(&partition);
                    dealt[owner(&key, node.shards).0].push(Dealt { key, log, copy });
                }
                Err(error) => {
                    tracing::error!("{partition} is offline: {error}");
                    node.offline.add(key);
                }
            }
        }
    }
    dealt
}

/// Where logs are of which the metadata says something else, unless they are on their way there.
fn untold_places(node: &Node, image: &Image, dealt: &[Vec<Dealt>]) -> Vec<Place> {
    let of_log = |dealt: &Dealt| {
        let said = image.topic_by_id(dealt.key.topic_id)?;
        let said = said.partition(dealt.key.partition)?;
        let going_to = dealt.copy.as_ref().map(|(_, to)| *to);
        if going_to.is_some() && directory_of(said, node.broker_id) == going_to {
            return None;
        }
        let directories = &node.directories;
        placement::untold(node.broker_id, directories, dealt.key, said, &dealt.log)
    };
    dealt.iter().flatten().filter_map(of_log).collect()
}

/// Whether a directory is the log of one of this node's partitions. One without a topic id counts
/// by its name: Kafka before 2.8 wrote none, and a crash may have lost it.
fn is_of_image(
    image: &Image,
    me: BrokerId,
    partition: &TopicPartition,
    topic_id: Option<Uuid>,
) -> bool {
    let topic = image.topic(&partition.topic);
    topic.is_some_and(|topic| {
        let state = topic.partition(partition.partition);
        topic_id.is_none_or(|id| id == topic.id)
            && state.is_some_and(|state| state.replicas.contains(&me))
    })
}

fn run_shard(
    seed: ShardSeed,
    listeners: &Mutex<Option<Vec<Listener>>>,
    began: Instant,
) -> Result<(), ServeError> {
    let budget = seed
        .node
        .config
        .queued_max_request_bytes
        .unwrap_or(BUFFER_BYTES_MAX);
    let mut runtime = ring::Runtime::new(ring::Options {
        buffer_bytes_max: budget / seed.node.shards,
        buffer_bytes_cached_max: BUFFER_BYTES_CACHED_MAX / seed.node.shards,
        ..ring::Options::default()
    })?;
    runtime.block_on(async move {
        let ended = Rc::new(Event::new());
        let (shard, mailbox) = build(seed, &ended);
        ring::spawn(drain(shard.clone(), mailbox));
        ring::spawn(shard.clone().expire_forever());
        ring::spawn(producer_expiry::forget_forever(shard.clone()));
        ring::spawn(retention::enforce_forever(shard.clone()));
        ring::spawn(revival::revive_forever(shard.clone()));
        if shard.id == METADATA_SHARD {
            let listeners = listeners
                .lock()
                .expect("taken once")
                .take()
                .expect("taken once");
            run_node(&shard, listeners, began).await?;
            end_all(&shard);
        }
        ended.wait().await;
        Ok(())
    })
}

fn build(seed: ShardSeed, ended: &Rc<Event>) -> (Rc<Shard>, Receiver<Letter>) {
    let office = PostOffice::new(seed.id, seed.senders);
    let metadata = seed
        .metadata
        .map(|led| MetadataLog::new(led, seed.node.config.metadata_log.clone()));
    let image = seed.image.clone();
    let shard = Shard::new(
        seed.id,
        seed.node,
        office,
        seed.image,
        metadata,
        ended.clone(),
    );
    for Dealt { key, mut log, copy } in seed.logs {
        let topic = image
            .topic_by_id(key.topic_id)
            .expect("logs are of the image's topics");
        let state = topic
            .partition(key.partition)
            .expect("logs are of the image's partitions");
        let settings = shard.node.topic_settings(&image, &topic.name);
        let leader = install::leader(shard.node.broker_id, state, &mut log);
        let partition = Partition::new(topic.name.clone(), key, log, leader, &settings);
        shard.add_partition(partition.clone());
        if let Some((copy, to)) = copy {
            moving::resume(&shard, &partition, copy, to);
        }
    }
    (shard, seed.mailbox)
}

async fn drain(shard: Rc<Shard>, mut mailbox: Receiver<Letter>) {
    let mut letters = Vec::new();
    loop {
        mailbox.recv_batch(&mut letters).await;
        for letter in letters.drain(..) {
            letter(&shard);
        }
    }
}

/// The metadata shard registers the node, serves until a signal comes, and ends the node.
async fn run_node(
    shard: &Rc<Shard>,
    listeners: Vec<Listener>,
    began: Instant,
) -> Result<(), ServeError> {
    ring::spawn(checkpoints::write_forever(shard.clone()));
    cleaner::start(shard);
    acceptors::start(shard, listeners);
    tracing::info!(
        "[KafkaServer id={}] started ({} shards, {} topics, {:.0} ms)",
        shard.node.broker_id.0,
        shard.count(),
        shard.image().topics().len(),
        began.elapsed().as_secs_f64() * 1000.0
    );
    match ring::signal::terminated().await {
        Ok(Signal::Terminate) => tracing::info!("SIGTERM: shutting down"),
        Ok(Signal::Interrupt) => tracing::info!("Ctrl-C: shutting down"),
        Err(error) => tracing::error!("signals cannot be waited for, shutting down: {error}"),
    }
    stop::stop_node(shard).await;
    tracing::info!(
        "[KafkaServer id={}] shut down completed",
        shard.node.broker_id.0
    );
    Ok(())
}

/// What the node tells about itself.
fn registration(config: &ServerConfig, directories: &Directories) -> Registration {
    let endpoints = config.advertised_listeners.iter().map(|listener| Endpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.protocol.wire_id(),
    });
    Registration {
        id: config.node_id,
        epoch: BrokerEpoch::NONE, // The offset that the record will have.
        incarnation: random_uuid(),
        endpoints: endpoints.collect(),
        rack: config.rack.clone(),
        log_dirs: directories.ids(),
    }
}

fn end_all(shard: &Rc<Shard>) {
    for to in 0..shard.count() {
        shard.post_to(ShardId(to), |there| there.ended.notify());
    }
}
