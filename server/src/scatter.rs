//! One request's parts dealt out to the shards that own them, and the answers gathered in order.

use std::rc::Rc;

use crate::mail::{Asked, Question};
use crate::shard::{Shard, ShardId};

/// Parts by owning shard. Each part has a place in the request; some places may be answered
/// without asking anybody.
pub struct Scatter<P, A> {
    by_shard: Vec<Vec<P>>,
    places: Vec<Place<A>>,
}

/// Where the answer of one place comes from.
enum Place<A> {
    Answered(A),
    /// It is the next of those that this shard gives.
    AskedOf(ShardId),
}

impl<P, A> Scatter<P, A> {
    /// Nothing yet, for a node of `shards` shards.
    pub fn new(shards: usize) -> Scatter<P, A> {
        Scatter {
            by_shard: (0..shards).map(|_| Vec::new()).collect(),
            places: Vec::new(),
        }
    }

    /// The next place is answered already.
    pub fn answered(&mut self, answer: A) {
        self.places.push(Place::Answered(answer));
    }

    /// The next place is for `owner` to answer.
    pub fn ask(&mut self, owner: ShardId, part: P) {
        self.by_shard[owner.0].push(part);
        self.places.push(Place::AskedOf(owner));
    }

    /// The same with other answers in the places that are answered already.
    pub fn map_answers<B>(self, map: impl Fn(A) -> B) -> Scatter<P, B> {
        let places = self.places.into_iter().map(|place| match place {
            Place::Answered(answer) => Place::Answered(map(answer)),
            Place::AskedOf(shard) => Place::AskedOf(shard),
        });
        Scatter {
            by_shard: self.by_shard,
            places: places.collect(),
        }
    }

    /// How many shards are to be asked.
    pub fn shards_asked(&self) -> usize {
        self.by_shard
            .iter()
            .filter(|parts| !parts.is_empty())
            .count()
    }

    /// Asks each shard its question and answers one answer a place, in order.
    pub async fn gather<Q>(self, shard: &Rc<Shard>, question: impl FnMut(Vec<P>) -> Q) -> Vec<A>
    where
        Q: Question<Answer = Vec<A>>,
    {
        self.ask_all(shard, question).answers().await
    }

    /// Asks each shard its question: all are under way when this returns.
    pub fn ask_all<Q>(self, shard: &Rc<Shard>, mut question: impl FnMut(Vec<P>) -> Q) -> AllAsked<A>
    where
        Q: Question<Answer = Vec<A>>,
    {
        let shards = self.by_shard.into_iter().enumerate();
        let asked = shards.map(|(to, parts)| match parts.is_empty() {
            true => None,
            false => Some(shard.ask(ShardId(to), question(parts))),
        });
        AllAsked {
            asked: asked.collect(),
            places: self.places,
        }
    }
}

/// Parts that have been dealt out, and whose answers are to come.
pub struct AllAsked<A> {
    asked: Vec<Option<Asked<Vec<A>>>>,
    places: Vec<Place<A>>,
}

impl<A> AllAsked<A> {
    /// One answer a place, in order.
    pub async fn answers(self) -> Vec<A> {
        let mut answers = Vec::with_capacity(self.asked.len());
        for asked in self.asked {
            answers.push(match asked {
                Some(asked) => asked.await.into_iter(),
                None => Vec::new().into_iter(),
            });
        }
        let places = self.places.into_iter().map(|place| match place {
            Place::Answered(answer) => answer,
            Place::AskedOf(shard) => answers[shard.0].next().expect("every part is answered"),
        });
        places.collect()
    }
}
