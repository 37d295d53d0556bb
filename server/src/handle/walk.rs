//! A request's topics and partitions one after another, planned, asked for and answered so many at
//! a time: what is held for a request does not grow with how many it names.

use std::rc::Rc;

use protocol::wire::Elements;

use crate::mail::Question;
use crate::scatter::Scatter;
use crate::shard::Shard;

/// Steps that are planned together, and that one turn of the shard may take.
pub const STEPS_MAX: usize = 4096;

/// What comes next in a request.
pub enum Step<T, P> {
    /// A topic.
    Topic(T),
    /// A partition of it.
    Part(P),
    /// No more partitions of it.
    End,
}

/// Lets others work after so many steps.
pub async fn breathe(step: usize) {
    if step % STEPS_MAX == STEPS_MAX - 1 {
        ring::yield_now().await;
    }
}

/// See the module.
pub struct Walk<'a, T, P> {
    topics: protocol::wire::Iter<'a, T>,
    parts_of: fn(&T) -> Elements<'a, P>,
    parts: Option<protocol::wire::Iter<'a, P>>,
}

impl<'a, T, P> Walk<'a, T, P> {
    /// Through `topics`, each with its partitions.
    pub fn new(topics: &Elements<'a, T>, parts_of: fn(&T) -> Elements<'a, P>) -> Self {
        Walk {
            topics: topics.iter(),
            parts_of,
            parts: None,
        }
    }

    /// Asks the shards that own the partitions, and writes what they answer. `plan` puts one part or
    /// one answer into the scatter for each partition; `write` gets the same steps again, each
    /// partition with its answer.
    pub async fn ask<S, A, Q>(
        self,
        shard: &Rc<Shard>,
        plan: impl FnMut(Step<T, P>, &mut Scatter<S, A>),
        mut question: impl FnMut(Vec<S>) -> Q,
        write: impl FnMut(Step<T, (P, A)>),
    ) where
        Q: Question<Answer = Vec<A>>,
    {
        let gather = async |scatter: Scatter<S, A>| scatter.gather(shard, &mut question).await;
        self.ask_by(shard, plan, gather, write).await;
    }

    /// The same, where `gather` does the asking.
    pub async fn ask_by<S, A>(
        mut self,
        shard: &Rc<Shard>,
        mut plan: impl FnMut(Step<T, P>, &mut Scatter<S, A>),
        mut gather: impl AsyncFnMut(Scatter<S, A>) -> Vec<A>,
        mut write: impl FnMut(Step<T, (P, A)>),
    ) {
        let mut written = self.clone();
        loop {
            let mut scatter = Scatter::new(shard.count());
            let mut steps = 0;
            for step in self.by_ref().take(STEPS_MAX) {
                plan(step, &mut scatter);
                steps += 1;
            }
            let mut answers = gather(scatter).await.into_iter();
            for step in written.by_ref().take(steps) {
                write(match step {
                    Step::Topic(topic) => Step::Topic(topic),
                    Step::Part(part) => {
                        Step::Part((part, answers.next().expect("an answer a partition")))
                    }
                    Step::End => Step::End,
                });
            }
            if steps < STEPS_MAX {
                return;
            }
            ring::yield_now().await;
        }
    }
}

impl<T, P> Clone for Walk<'_, T, P> {
    fn clone(&self) -> Self {
        Walk {
            topics: self.topics.clone(),
            parts_of: self.parts_of,
            parts: self.parts.clone(),
        }
    }
}

impl<T, P> Iterator for Walk<'_, T, P> {
    type Item = Step<T, P>;

    fn next(&mut self) -> Option<Step<T, P>> {
        if let Some(parts) = &mut self.parts {
            let part = parts.next();
            if part.is_none() {
                self.parts = None;
            }
            return Some(part.map_or(Step::End, Step::Part));
        }
        let topic = self.topics.next()?;
        self.parts = Some((self.parts_of)(&topic).iter());
        Some(Step::Topic(topic))
    }
}
