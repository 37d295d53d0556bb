//! A member of a group as the simulation sees it: what it believes, from the answers it got.

use protocol::ids::Uuid;

use super::world::TOPICS;

/// What a client does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It is to join.
    Outside,
    /// Its JoinGroup is under way.
    Joining,
    /// It is to sync.
    Joined,
    /// Its SyncGroup is under way.
    Syncing,
    /// It consumes.
    Consuming,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its group.
    pub group: &'static str,
    /// Its name, if it is a static member.
    pub instance: Option<String>,
    /// The version of JoinGroup it speaks.
    pub join_version: i16,
    /// The id it was given; empty before.
    pub id: String,
    /// The generation it belongs to.
    pub generation: i32,
    /// What it believes of itself.
    pub phase: Phase,
    /// If it is the leader, the members.
    pub leads: Option<Vec<String>>,
    /// What it joins with; changes from time to time.
    pub metadata: u8,
    /// Which protocols it knows.
    pub protocols: &'static [&'static str],
    /// The partitions it was given.
    pub owned: Vec<u8>,
    /// Distinguishes what it commits.
    pub commits: i64,
    /// It is alive, and never asks for its assignment.
    pub is_stuck: bool,
    /// Which incarnation: answers to a former one are not for it.
    pub life: u32,
}

impl Client {
    /// One that has not joined.
    pub fn new(group: &'static str, instance: Option<String>, join_version: i16) -> Client {
        Client {
            group,
            instance,
            join_version,
            id: String::new(),
            generation: -1,
            phase: Phase::Outside,
            leads: None,
            metadata: 0,
            protocols: &["range", "sticky"],
            owned: Vec::new(),
            commits: 0,
            is_stuck: false,
            life: 0,
        }
    }

    /// It forgets everything, as after a crash.
    pub fn crash(&mut self) {
        let life = self.life + 1;
        let fresh = Client::new(self.group, self.instance.clone(), self.join_version);
        *self = Client {
            life,
            commits: self.commits,
            ..fresh
        };
    }

    /// It joins anew; `id` is what it keeps of its id.
    pub fn rejoin(&mut self, id: String) {
        self.id = id;
        self.phase = Phase::Outside;
        self.is_stuck = false;
        self.leads = None;
        self.owned.clear();
    }
}

/// Half of a member's id.
pub fn random_id(bits: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&bits.to_be_bytes());
    Uuid(bytes)
}

/// What a member joins with: a subscription in the format of consumers, to one topic or to both, and
/// who it is.
pub fn subscription(n: usize, metadata: u8) -> Vec<u8> {
    let topics = match metadata {
        0 => &TOPICS[..1],
        1 => &TOPICS[1..],
        _ => &TOPICS[..],
    };
    let mut bytes = vec![0, 0]; // version
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend(2_i32.to_be_bytes());
    bytes.extend([n as u8, metadata]);
    bytes
}

/// The topics of a subscription.
pub fn topics_of(subscription: &[u8]) -> Vec<String> {
    let all = TOPICS.map(str::to_owned);
    match subscription.last() {
        Some(0) => all[..1].to_vec(),
        Some(1) => all[1..].to_vec(),
        _ => all.to_vec(),
    }
}
