//! One request's parts dealt out to the shards that own them, and the answers gathered in order.

use std::rc::Rc;

use crate::mail::{Asked, Question};
use crate::shard::{Shard, ShardId};

/// Parts by owning shard. Each part has a place in the request; some places may be answered
/// without asking anybody.
pub struct Scatter<P, A> {
    by_shard: Vec<(Vec<usize>, Vec<P>)>,
    answers: Vec<Option<A>>,
}

impl<P, A> Scatter<P, A> {
    /// Nothing yet, for a node of `shards` shards.
    pub fn new(shards: usize) -> Scatter<P, A> {
        let by_shard = (0..shards).map(|_| (Vec::new(), Vec::new())).collect();
        Scatter {
            by_shard,
            answers: Vec::new(),
        }
    }

    /// The next place is answered already.
    pub fn answered(&mut self, answer: A) {
        self.answers.push(Some(answer));
    }

    /// The next place is for `owner` to answer.
    pub fn ask(&mut self, owner: ShardId, part: P) {
        let (places, parts) = &mut self.by_shard[owner.0];
        places.push(self.answers.len());
        parts.push(part);
        self.answers.push(None);
    }

    /// The same with other answers in the places that are answered already.
    pub fn map_answers<B>(self, map: impl Fn(A) -> B) -> Scatter<P, B> {
        let answers = self.answers.into_iter();
        Scatter {
            by_shard: self.by_shard,
            answers: answers.map(|answer| answer.map(&map)).collect(),
        }
    }

    /// How many shards are to be asked.
    pub fn shards_asked(&self) -> usize {
        self.by_shard
            .iter()
            .filter(|(places, _)| !places.is_empty())
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
        let mut asked = Vec::with_capacity(self.by_shard.len());
        for (to, (places, parts)) in self.by_shard.into_iter().enumerate() {
            if !parts.is_empty() {
                asked.push((places, shard.ask(ShardId(to), question(parts))));
            }
        }
        AllAsked {
            asked,
            answers: self.answers,
        }
    }
}

/// Parts that have been dealt out, and whose answers are to come.
pub struct AllAsked<A> {
    asked: Vec<(Vec<usize>, Asked<Vec<A>>)>,
    answers: Vec<Option<A>>,
}

impl<A> AllAsked<A> {
    /// One answer a place, in order.
    pub async fn answers(mut self) -> Vec<A> {
        for (places, answer) in self.asked {
            for (place, answer) in places.into_iter().zip(answer.await) {
                self.answers[place] = Some(answer);
            }
        }
        self.answers
            .into_iter()
            .map(|answer| answer.expect("every part is answered"))
            .collect()
    }
}
