//! Incremental fetch sessions (KIP-227): the client names only what changed since its last fetch,
//! the server answers only what is new.
//!
//! One cache a shard: a client that comes back by another shard finds its session unknown and
//! begins a new one, as after an eviction. Session ids say which shard made them.
//! Invariant: a session's epoch counts its fetches; one that does not match is refused.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};

use crate::read::PartRead;

/// A session that was used this recently is evicted for a larger one only.
const EVICTION_AFTER: Duration = Duration::from_secs(120);
/// The partitions that all sessions of a shard remember together, about 250 bytes each: beyond it
/// there are no new sessions, and one that grows is forgotten, so that its client begins anew.
const PARTS_MAX: usize = 256 * 1024;
/// Epoch of a request that asks for a new session.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request that wants no session, or ends one.
const FINAL_EPOCH: i32 = -1;

/// A partition as a fetch names it: by topic id from version 13 on, else by name.
///
/// Two with an id are the same if the ids are: the name behind an id comes and goes with the topic.
#[derive(Debug, Clone)]
pub struct FetchTarget {
    /// The topic's name; empty if only an unknown id was given.
    pub topic: Arc<str>,
    /// The topic's id; zero below version 13.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: PartitionIndex,
}

impl FetchTarget {
    fn identity(&self) -> (&str, Uuid, PartitionIndex) {
        let name = match self.topic_id.is_zero() {
            true => &*self.topic,
            false => "",
        };
        (name, self.topic_id, self.partition)
    }
}

impl PartialEq for FetchTarget {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for FetchTarget {}

impl Hash for FetchTarget {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// One partition of a fetch and what is asked of it.
#[derive(Debug, Clone)]
pub struct FetchPart {
    /// Which one.
    pub target: FetchTarget,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// Byte limit.
    pub max_bytes: i32,
    /// See [`crate::read::ReadPart`].
    pub current_leader_epoch: LeaderEpoch,
    /// See [`crate::read::ReadPart`].
    pub last_fetched_epoch: LeaderEpoch,
}

/// Whether a request names topics by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Versions 0 to 12.
    ByName,
    /// Versions from 13.
    ById,
}

/// What the request says of its session.
#[derive(Debug, Clone, Copy)]
pub struct SessionClaim {
    /// The session's id, 0 for none.
    pub id: i32,
    /// The number of this fetch in it.
    pub epoch: i32,
    /// How it names topics.
    pub naming: Naming,
}

impl SessionClaim {
    /// Whether it goes on with a session, and names only what is new in it.
    pub fn is_incremental(&self) -> bool {
        self.epoch != INITIAL_EPOCH && self.epoch != FINAL_EPOCH
    }
}

/// How this fetch stands to sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No session.
    Sessionless,
    /// The first fetch of a session to be made.
    New(Naming),
    /// A further fetch of session `id`.
    Incremental {
        /// The session.
        id: i32,
        /// Its epoch after this request.
        epoch: i32,
    },
}

/// A partition, and what its client was told of it last; None if it is to be told whatever it is.
struct Cached {
    part: FetchPart,
    high_watermark: Option<Offset>,
    log_start_offset: Option<Offset>,
}

struct Session {
    epoch: i32,
    naming: Naming,
    last_used: Instant,
    /// In the order in which they are served next: what gave data goes to the back.
    parts: BTreeMap<u64, Cached>,
    places: HashMap<FetchTarget, u64>,
    next_place: u64,
}

/// See the module. Owned by one shard.
pub struct FetchSessions {
    sessions: HashMap<i32, Session>,
    /// How many partitions all sessions remember.
    parts: usize,
    slots_max: usize,
    first_id: i32,
    ids: i32,
    given: i32,
}

impl FetchSessions {
    /// A cache of at most `slots_max` sessions for shard `shard` of `shards`.
    pub fn new(slots_max: usize, shard: usize, shards: usize) -> FetchSessions {
        let ids = i32::MAX / shards as i32 - 1;
        let first_id = shard as i32 * ids + 1;
        FetchSessions {
            sessions: HashMap::new(),
            parts: 0,
            slots_max,
            first_id,
            ids,
            given: 0,
        }
    }

    /// Begins a fetch: what it stands to sessions, and all partitions to read for it.
    pub fn begin(
        &mut self,
        claim: SessionClaim,
        named: Vec<FetchPart>,
        forgotten: &[FetchTarget],
        now: Instant,
    ) -> Result<(Standing, Vec<FetchPart>), ErrorCode> {
        if !claim.is_incremental() {
            self.forget(claim.id);
            let standing = match claim.epoch {
                INITIAL_EPOCH => Standing::New(claim.naming),
                _ => Standing::Sessionless,
            };
            return Ok((standing, named));
        }
        let session = self
            .sessions
            .get_mut(&claim.id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != claim.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.naming != claim.naming {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.parts.len();
        session.update(named, forgotten);
        let after = session.parts.len();
        self.parts = self.parts - before + after;
        if after == 0 {
            self.forget(claim.id);
            return Ok((Standing::Sessionless, Vec::new()));
        }
        if after > before && self.parts > PARTS_MAX {
            self.forget(claim.id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        let standing = Standing::Incremental {
            id: claim.id,
            epoch: session.epoch,
        };
        Ok((
            standing,
            session
                .parts
                .values()
                .map(|cached| cached.part.clone())
                .collect(),
        ))
    }

    /// Forgets a session: its client begins anew.
    pub fn forget(&mut self, id: i32) -> bool {
        let session = self.sessions.remove(&id);
        self.parts -= session.as_ref().map_or(0, |session| session.parts.len());
        session.is_some()
    }

    /// Ends a fetch: the session id for the reply, and which of `reads` (in the order of the
    /// parts) the reply names.
    pub fn end(
        &mut self,
        standing: Standing,
        parts: &[FetchPart],
        reads: &[PartRead],
        now: Instant,
    ) -> Result<(i32, Vec<bool>), ErrorCode> {
        match standing {
            Standing::Sessionless => Ok((0, vec![true; reads.len()])),
            Standing::New(naming) => {
                let id = self.create(naming, parts, reads, now).unwrap_or(0);
                Ok((id, vec![true; reads.len()]))
            }
            Standing::Incremental { id, epoch } => {
                let session = self
                    .sessions
                    .get_mut(&id)
                    .ok_or(ErrorCode::FetchSessionIdNotFound)?;
                if session.epoch != epoch {
                    return Err(ErrorCode::InvalidFetchSessionEpoch);
                }
                let named = parts
                    .iter()
                    .zip(reads)
                    .map(|(part, read)| session.saw(part, read));
                Ok((id, named.collect()))
            }
        }
    }

    fn create(
        &mut self,
        naming: Naming,
        parts: &[FetchPart],
        reads: &[PartRead],
        now: Instant,
    ) -> Option<i32> {
        let is_many = self.parts + parts.len() > PARTS_MAX;
        if parts.is_empty() || is_many || !self.make_room(parts.len(), now) {
            return None;
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            naming,
            last_used: now,
            parts: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        for (part, read) in parts.iter().zip(reads) {
            session.add(
                part.clone(),
                Some(read.high_watermark),
                Some(read.log_start_offset),
            );
        }
        let id = loop {
            let id = self.first_id + self.given;
            self.given = (self.given + 1) % self.ids;
            if !self.sessions.contains_key(&id) {
                break id;
            }
        };
        self.parts += session.parts.len();
        self.sessions.insert(id, session);
        Some(id)
    }

    /// Evicts a session that is old or smaller than `parts` partitions, if the cache is full.
    fn make_room(&mut self, parts: usize, now: Instant) -> bool {
        if self.sessions.len() < self.slots_max {
            return true;
        }
        let stale = self
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.last_used)
            .filter(|(_, session)| now.duration_since(session.last_used) >= EVICTION_AFTER);
        let smaller = || {
            let smallest = self
                .sessions
                .iter()
                .min_by_key(|(_, session)| session.parts.len());
            smallest.filter(|(_, session)| session.parts.len() < parts)
        };
        match stale.or_else(smaller).map(|(id, _)| *id) {
            Some(id) => self.forget(id),
            None => false,
        }
    }
}

impl Session {
    fn update(&mut self, named: Vec<FetchPart>, forgotten: &[FetchTarget]) {
        for part in named {
            match self.places.get(&part.target) {
                Some(place) => {
                    self.parts
                        .get_mut(place)
                        .expect("a place has its partition")
                        .part = part;
                }
                None => self.add(part, None, None),
            }
        }
        for target in forgotten {
            if let Some(place) = self.places.remove(target) {
                self.parts.remove(&place);
            }
        }
    }

    fn add(
        &mut self,
        part: FetchPart,
        high_watermark: Option<Offset>,
        log_start_offset: Option<Offset>,
    ) {
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(part.target.clone(), place);
        self.parts.insert(
            place,
            Cached {
                part,
                high_watermark,
                log_start_offset,
            },
        );
    }

    /// Remembers what the client is told of a partition. Answers whether there is anything new.
    fn saw(&mut self, part: &FetchPart, read: &PartRead) -> bool {
        let Some(place) = self.places.get(&part.target).copied() else {
            return true;
        };
        let cached = self
            .parts
            .get_mut(&place)
            .expect("a place has its partition");
        let news = read.bytes() > 0
            || read.is_urgent()
            || cached.high_watermark != Some(read.high_watermark)
            || cached.log_start_offset != Some(read.log_start_offset);
        cached.log_start_offset = Some(read.log_start_offset);
        // After an error the partition is told again when it goes away.
        let succeeded = read.error == ErrorCode::None;
        cached.high_watermark = succeeded.then_some(read.high_watermark);
        if read.bytes() > 0 {
            let cached = self.parts.remove(&place).expect("just seen");
            self.add(cached.part, cached.high_watermark, cached.log_start_offset);
        }
        news
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(partition: i32, fetch_offset: i64) -> FetchPart {
        FetchPart {
            target: FetchTarget {
                topic: "t".into(),
                topic_id: Uuid::ZERO,
                partition: PartitionIndex(partition),
            },
            fetch_offset: Offset(fetch_offset),
            max_bytes: 1,
            current_leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
        }
    }

    #[test]
    fn a_topic_named_by_id_stays_the_same_when_it_is_gone() {
        let named = |topic: &str, topic_id| FetchTarget {
            topic: topic.into(),
            topic_id,
            partition: PartitionIndex(0),
        };
        let id = Uuid([1; 16]);
        let targets = HashMap::from([(named("t", id), ())]);
        assert!(targets.contains_key(&named("", id)));
        assert!(!targets.contains_key(&named("t", Uuid([2; 16]))));
        assert_ne!(named("t", Uuid::ZERO), named("u", Uuid::ZERO));
    }

    fn read(high_watermark: i64) -> PartRead {
        PartRead {
            error: ErrorCode::None,
            high_watermark: Offset(high_watermark),
            last_stable_offset: Offset(high_watermark),
            log_start_offset: Offset(0),
            diverging: None,
            aborted: None,
            slice: None,
            converted: None,
        }
    }

    fn claim(id: i32, epoch: i32) -> SessionClaim {
        SessionClaim {
            id,
            epoch,
            naming: Naming::ByName,
        }
    }

    #[test]
    fn an_incremental_fetch_names_only_what_changed() {
        let now = Instant::now();
        let mut sessions = FetchSessions::new(10, 1, 2);
        let (standing, parts) = sessions
            .begin(claim(0, 0), vec![part(0, 0), part(1, 0)], &[], now)
            .unwrap();
        let (id, named) = sessions
            .end(standing, &parts, &[read(5), read(5)], now)
            .unwrap();
        assert!(id > 0);
        assert_eq!(named, [true, true]);

        let (standing, parts) = sessions
            .begin(claim(id, 1), vec![part(0, 5)], &[], now)
            .unwrap();
        assert_eq!(parts.len(), 2, "the session remembers partition 1");
        let (same, named) = sessions
            .end(standing, &parts, &[read(5), read(6)], now)
            .unwrap();
        assert_eq!((same, named), (id, vec![false, true]));

        let forgotten = [part(0, 0).target, part(1, 0).target];
        let (standing, parts) = sessions
            .begin(claim(id, 2), vec![], &forgotten, now)
            .unwrap();
        assert_eq!(
            (standing, parts.len(), sessions.sessions.len()),
            (Standing::Sessionless, 0, 0)
        );
    }

    #[test]
    fn wrong_claims_are_refused() {
        let now = Instant::now();
        let mut sessions = FetchSessions::new(10, 0, 1);
        let unknown = sessions.begin(claim(7, 1), vec![], &[], now);
        assert_eq!(unknown.unwrap_err(), ErrorCode::FetchSessionIdNotFound);
        let (standing, parts) = sessions
            .begin(claim(0, 0), vec![part(0, 0)], &[], now)
            .unwrap();
        let (id, _) = sessions.end(standing, &parts, &[read(0)], now).unwrap();
        let skipped = sessions.begin(claim(id, 2), vec![], &[], now);
        assert_eq!(skipped.unwrap_err(), ErrorCode::InvalidFetchSessionEpoch);
        let by_id = SessionClaim {
            naming: Naming::ById,
            ..claim(id, 1)
        };
        let mixed = sessions.begin(by_id, vec![], &[], now);
        assert_eq!(mixed.unwrap_err(), ErrorCode::FetchSessionTopicIdError);
    }

    #[test]
    fn a_full_cache_gives_way_to_larger_or_after_two_minutes_only() {
        let now = Instant::now();
        let mut sessions = FetchSessions::new(1, 0, 1);
        let mut open = |parts: Vec<FetchPart>, now| {
            let reads: Vec<_> = parts.iter().map(|_| read(0)).collect();
            let (standing, parts) = sessions.begin(claim(0, 0), parts, &[], now).unwrap();
            sessions.end(standing, &parts, &reads, now).unwrap().0
        };
        assert!(open(vec![part(0, 0)], now) > 0);
        assert_eq!(open(vec![part(0, 0)], now), 0);
        assert!(open(vec![part(0, 0), part(1, 0)], now) > 0);
        assert!(open(vec![part(0, 0)], now + EVICTION_AFTER) > 0);
    }
}
