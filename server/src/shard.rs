//! One core's share of the node: its partitions, its connections, its view of the metadata.
//!
//! A shard lives on one thread and is shared there by `Rc`; other shards reach it by letters only
//! (see `mail`). What it shares with others is immutable: the configuration and the image.
//! Invariant: a partition is on the shard that `owner` says, and on no other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use controller::Image;
use controller::image::Topic;
use protocol::ids::{Offset, Uuid};
use ring::event::Event;

use crate::config::ServerConfig;
use crate::connection::Connection;
use crate::coordination::{self, Drivers, groups::Groups, transactions::Transactions};
use crate::drawn_keys::DrawnKeys;
use crate::fetch_session::{FetchSessions, FetchTarget, Naming};
use crate::fetch_waits::FetchWaits;
use crate::mail::PostOffice;
use crate::metadata_log::MetadataLog;
use crate::moving::Moves;
use crate::node::Node;
use crate::offline;
use crate::partition::{Partition, PartitionKey};
use crate::producer_ids::ProducerIds;
use crate::revival::Turns;
use crate::room::{Favour, Room};
use crate::watches::Watches;

/// Which shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub usize);

/// The shard that owns the metadata log and its changes.
pub const METADATA_SHARD: ShardId = ShardId(0);

/// How often waits that have a deadline are looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
/// A request that has begun to arrive must go on arriving, or its connection is closed.
const PARTIAL_REQUEST_IDLE_MAX: Duration = Duration::from_secs(30);
/// An answer must be taken in this time if others wait for the memory it holds.
const ANSWER_UNTAKEN_MAX: Duration = Duration::from_secs(30);
/// While this many letters wait for a full mailbox, no connection is read.
const LETTERS_WAITING_MAX: usize = 256;

/// See the module.
pub struct Shard {
    /// Which one.
    pub id: ShardId,
    /// What the node is: the same for all shards.
    pub node: Arc<Node>,
    /// The node's configuration as it was given at the start; [`Shard::live`] is what holds now.
    pub config: Arc<ServerConfig>,
    /// Letters to other shards.
    pub post_office: Rc<PostOffice>,
    /// Incremental fetch sessions of this shard's connections.
    pub fetch_sessions: RefCell<FetchSessions>,
    /// Fetches of this shard's connections that wait.
    pub fetch_waits: FetchWaits,
    /// Watches on this shard's partitions.
    pub watches: Watches,
    /// The producer ids this shard gives out.
    pub producer_ids: ProducerIds,
    /// The group coordinators of this shard's partitions.
    pub groups: Drivers<Groups>,
    /// The transaction coordinators of this shard's partitions.
    pub transactions: Drivers<Transactions>,
    /// On [`METADATA_SHARD`] only.
    pub metadata: Option<Rc<MetadataLog>>,
    /// Whose turn it is to begin a large request.
    pub room: Room,
    /// Whose turn it is to make and give up logs.
    pub turns: Turns,
    /// Logs on their way to other directories.
    pub moves: Moves,
    /// The offset of the image's last record, or of one before it: it only grows.
    pub metadata_offset: Cell<Offset>,
    /// Notified when the shard's thread may end.
    pub ended: Rc<Event>,
    image: RefCell<Arc<Image>>,
    live: RefCell<Arc<ServerConfig>>,
    partitions: RefCell<DrawnKeys<PartitionKey, Rc<Partition>>>,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    next_connection: Cell<u64>,
    stopping: Cell<bool>,
}

impl Shard {
    /// A shard without partitions and connections.
    pub fn new(
        id: ShardId,
        node: Arc<Node>,
        post_office: Rc<PostOffice>,
        image: Arc<Image>,
        metadata: Option<Rc<MetadataLog>>,
        ended: Rc<Event>,
    ) -> Rc<Shard> {
        let config = node.config.clone();
        let slots = config
            .max_incremental_fetch_session_cache_slots
            .div_ceil(node.shards);
        let registered_at = node.broker_epoch(&image).0;
        Rc::new(Shard {
            id,
            fetch_sessions: RefCell::new(FetchSessions::new(slots, id.0, node.shards)),
            node,
            config: config.clone(),
            post_office,
            fetch_waits: FetchWaits::default(),
            watches: Watches::default(),
            producer_ids: ProducerIds::default(),
            groups: Drivers::default(),
            transactions: Drivers::default(),
            metadata,
            room: Room::default(),
            turns: Turns::default(),
            moves: Moves::default(),
            metadata_offset: Cell::new(Offset(registered_at)),
            ended,
            live: RefCell::new(Arc::new(config.with_dynamic(&image))),
            image: RefCell::new(image),
            partitions: RefCell::default(),
            connections: RefCell::new(HashMap::new()),
            next_connection: Cell::new(0),
            stopping: Cell::new(false),
        })
    }

    /// Takes over a partition.
    pub fn add_partition(self: &Rc<Self>, partition: Rc<Partition>) {
        self.partitions
            .borrow_mut()
            .insert(partition.key, partition.clone());
        coordination::partition_came(self, &partition);
    }

    /// Gives up a partition.
    pub fn remove_partition(&self, key: &PartitionKey) -> Option<Rc<Partition>> {
        let partition = self.partitions.borrow_mut().remove(key)?;
        coordination::partition_goes(self, &partition);
        Some(partition)
    }

    /// From now on the shard answers from this image, in which `live` is the configuration.
    pub fn set_image(&self, image: Arc<Image>, live: Arc<ServerConfig>) {
        *self.image.borrow_mut() = image;
        *self.live.borrow_mut() = live;
    }

    /// Serves a new connection until it ends.
    pub async fn serve_connection(
        self: Rc<Self>,
        listener: usize,
        peer: std::net::SocketAddr,
        stream: ring::net::Stream,
    ) {
        let Some(_place) = self.node.connection_limits.admit(peer.ip()) else {
            tracing::info!("connection from {peer} refused: too many connections");
            return;
        };
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        let connection = Connection::new(listener, peer, stream);
        self.connections
            .borrow_mut()
            .insert(number, connection.clone());
        connection.run(self.clone()).await;
        self.connections.borrow_mut().remove(&number);
    }

    /// No connection is read any more; those without a request under way are closed.
    pub fn stop_serving(&self) {
        self.stopping.set(true);
        for connection in self.connections.borrow().values() {
            if connection.is_idle() {
                connection.close("the server is shutting down");
            }
        }
    }

    /// Closes what connections are left.
    pub fn close_connections(&self) {
        for connection in self.connections.borrow().values() {
            connection.close("the server is shutting down");
        }
    }

    /// Closes the connections that came in by the listener with this number.
    pub fn close_connections_of(&self, listener: usize) {
        let connections = self.connections.borrow();
        let its = connections.values().filter(|one| one.listener == listener);
        its.for_each(|connection| connection.close("its listener is closed"));
    }

    /// Runs `work` on shard `to`: here at once, elsewhere when its mailbox is drained.
    pub fn post_to(self: &Rc<Self>, to: ShardId, work: impl FnOnce(&Rc<Shard>) + Send + 'static) {
        if to == self.id {
            work(self);
        } else {
            self.post_office.post(to, Box::new(work));
        }
    }

    /// Ends waits and connections whose time has come, for as long as the shard lives.
    pub async fn expire_forever(self: Rc<Self>) {
        let mut failed_directories = 0;
        loop {
            ring::timer::sleep(EXPIRY_INTERVAL).await;
            let now = ring::timer::now();
            offline::look_after_directories(&self, &mut failed_directories);
            let partitions: Vec<_> = self.partitions.borrow().values().cloned().collect();
            partitions
                .iter()
                .for_each(|partition| partition.expire(now));
            self.close_idle_connections(now);
        }
    }

    /// Waits while this shard has more in hand than it may. A connection that `holds` nothing, neither
    /// part of a request nor one that is not answered, may always receive the first bytes of one, and
    /// one of those that hold a part, the favoured, the rest.
    pub async fn wait_for_room(
        &self,
        is_partial: bool,
        holds: impl Fn() -> bool,
        favour: &mut Option<Favour>,
    ) {
        if !is_partial {
            *favour = None;
        }
        let pool = ring::buffer::pool();
        loop {
            let letters = self.post_office.backlog() >= LETTERS_WAITING_MAX;
            if !letters && (!pool.is_over_limit() || !holds()) {
                return;
            }
            if !letters && is_partial {
                *favour = favour.take().or_else(|| self.room.favour());
                if favour.is_some() {
                    return;
                }
            }
            ring::timer::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The metadata as this shard knows it.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// The configuration that holds, with what is set at run time.
    pub fn live(&self) -> Arc<ServerConfig> {
        self.live.borrow().clone()
    }

    /// How many shards the node has.
    pub fn count(&self) -> usize {
        self.node.shards
    }

    /// The shard that owns a partition: the partitions of a topic are dealt out in turn, from a
    /// shard that its id chooses.
    pub fn owner(&self, key: &PartitionKey) -> ShardId {
        owner(key, self.node.shards)
    }

    /// A partition of this shard.
    pub fn partition(&self, key: &PartitionKey) -> Option<Rc<Partition>> {
        self.partitions.borrow().get(key).cloned()
    }

    /// All partitions of this shard.
    pub fn partitions(&self) -> Vec<Rc<Partition>> {
        self.partitions.borrow().values().cloned().collect()
    }

    /// Whether all connections are gone.
    pub fn has_no_connections(&self) -> bool {
        self.connections.borrow().is_empty()
    }

    /// Whether the shard takes no new work.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// The topic that a fetch names, by name or by id: its name (empty if the id is unknown) and
    /// its id (zero if named by name).
    pub fn topic_of_fetch(&self, name: &str, id: Uuid, naming: Naming) -> (Arc<str>, Uuid) {
        let image = self.image.borrow();
        let known: Option<&Arc<Topic>> = match naming {
            Naming::ByName => image.topic(name),
            Naming::ById => image.topic_by_id(id),
        };
        match naming {
            Naming::ByName => (
                known.map_or_else(|| name.into(), |topic| topic.name.clone()),
                Uuid::ZERO,
            ),
            Naming::ById => (
                known.map_or_else(|| "".into(), |topic| topic.name.clone()),
                id,
            ),
        }
    }

    /// The key of the partition that a fetch names.
    pub fn key_of(&self, target: &FetchTarget) -> Option<PartitionKey> {
        let image = self.image.borrow();
        let topic_id = image.topic(&target.topic)?.id;
        Some(PartitionKey {
            topic_id,
            partition: target.partition,
        })
    }

    fn close_idle_connections(&self, now: Instant) {
        let idle_max = self.config.connections_max_idle;
        for connection in self.connections.borrow().values() {
            let idle = now.saturating_duration_since(connection.last_active());
            let stalls_others = self.room.is_full() && connection.is_sending();
            if connection.is_partial() && idle > PARTIAL_REQUEST_IDLE_MAX {
                connection.close("a request stopped arriving half way");
            } else if stalls_others && idle > ANSWER_UNTAKEN_MAX {
                connection.close("its answers are not taken, and others wait for the memory");
            } else if idle_max.is_some_and(|max| idle > max) && connection.is_idle() {
                connection.close("idle for longer than connections.max.idle.ms");
            }
        }
    }
}

/// See [`Shard::owner`].
pub fn owner(key: &PartitionKey, shards: usize) -> ShardId {
    let turn = key.topic_number().wrapping_add(key.partition.0 as u64);
    ShardId((turn % shards as u64) as usize)
}
