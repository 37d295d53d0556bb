//! What must hold, each with its name.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::machine::Token;

use super::log::{Place, Value};

/// What was observed, against which what comes is checked.
#[derive(Default)]
pub struct Invariants {
    outstanding: BTreeSet<Token>,
    /// The latest generation that a member was told of, since the node started.
    told: BTreeMap<&'static str, i32>,
    /// Who was given what: by group, its life (a deleted group begins anew), and generation.
    given: BTreeMap<(&'static str, u32, i32), BTreeMap<u8, String>>,
    /// The latest generation whose assignment was handed out, in a group's life.
    handed_out: BTreeMap<(&'static str, u32), i32>,
}

impl Invariants {
    /// A request is asked.
    pub fn asked(&mut self, token: Token) {
        assert!(self.outstanding.insert(token), "tokens are used once");
    }

    /// Every token is answered exactly once.
    pub fn answered_exactly_once(&mut self, token: Token) {
        assert!(
            self.outstanding.remove(&token),
            "EXACTLY ONCE: {token:?} is answered, and nobody waits for it"
        );
    }

    /// Nobody waits for ever.
    pub fn all_answered(&self) {
        assert!(
            self.outstanding.is_empty(),
            "EXACTLY ONCE: {:?} are never answered",
            self.outstanding
        );
    }

    /// The node has crashed: who waits will not be answered.
    pub fn crashed(&mut self) {
        self.outstanding.clear();
        self.told.clear();
    }

    /// A member was told of a generation: they ascend.
    pub fn generation_told(&mut self, group: &'static str, generation: i32) {
        let latest = self.told.entry(group).or_insert(generation);
        assert!(
            *latest <= generation,
            "ONE GENERATION: {group} tells of {generation} after {latest}"
        );
        *latest = generation;
    }

    /// The group is gone: what comes has nothing to do with it.
    pub fn group_gone(&mut self, group: &'static str) {
        self.told.remove(group);
    }

    /// A request of a member was accepted: it is of the latest generation.
    pub fn accepted(&self, group: &'static str, generation: i32, what: &str) {
        if let Some(latest) = self.told.get(group) {
            assert!(
                generation >= *latest,
                "NO OLDER GENERATION: {what} of generation {generation} accepted in {group}, which \
                 has {latest}"
            );
        }
    }

    /// A member was given partitions: nobody else has them in this generation, and no later one
    /// was handed out before.
    pub fn handed_out(
        &mut self,
        group: &'static str,
        life: u32,
        generation: i32,
        member: &str,
        partitions: &[u8],
    ) {
        let latest = self.handed_out.entry((group, life)).or_insert(generation);
        assert!(
            *latest <= generation,
            "ONE GENERATION: {group} hands out {generation} after {latest}"
        );
        *latest = generation;
        let given = self.given.entry((group, life, generation)).or_default();
        for partition in partitions {
            let owner = given.entry(*partition).or_insert_with(|| member.to_owned());
            assert_eq!(
                owner, member,
                "ONE OWNER: partition {partition} of {group} in generation {generation}"
            );
        }
    }

    /// What is fetched is what the log says: so nothing acknowledged is lost, and nothing goes back
    /// but by a later commit.
    pub fn offsets_are_the_logs(said: &BTreeMap<Place, Value>, log: &BTreeMap<Place, Value>) {
        assert_eq!(said, log, "OFFSETS ARE THE LOG'S");
    }
}
