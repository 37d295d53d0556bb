//! Commits of very many partitions. In Kafka all are one batch: what may not be committed when it
//! comes, or is too large for one batch, is refused whole, and what is known to fit into one is one here
//! too. Whether it fits is not known where batches are compressed.
//!
//! What is refused, or is not known to fit, is dealt with so many partitions at a time, so that others
//! are heard between. Each portion is checked and appended as a commit of its own, and the request is
//! answered when the last one is done.
//! Invariant: a commit is `coming` until all of its portions have begun, and `open` until it is
//! answered; some portion of an open one is under way or coming.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::TimestampMs;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponseTopic,
};

use super::alarm::Alarm;
use super::commit::{NOT_SAID, fail, is_longer, told, topics_of};
use super::record::{BATCH_OVERHEAD_BYTES, offset_record_bytes};
use super::request::{CommitOffsets, Reply};
use super::work::Timer;
use super::write::{CommitTopic, Fate, Share};
use super::{Actions, Groups};
use crate::machine::{Action, Token};

/// See the module.
#[derive(Default)]
pub struct LargeCommits {
    open: HashMap<Token, Large>,
    coming: VecDeque<Token>,
    /// When the next portion begins.
    alarm: Alarm,
}

struct Large {
    request: Rc<OffsetCommitRequest<'static>>,
    fate: Fate,
    at: Place,
    /// How many portions have begun.
    begun: usize,
    /// What became of them, by number.
    answered: BTreeMap<usize, Vec<OffsetCommitResponseTopic<'static>>>,
}

/// Which of a request's partitions is next.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Place {
    /// The topic's place in the request.
    pub topic: usize,
    /// The partition's place in the topic.
    pub partition: usize,
}

impl LargeCommits {
    /// One portion more is done; gives the whole answer, in the request's order, after the last one.
    pub fn done(
        &mut self,
        (token, number): (Token, usize),
        topics: Vec<OffsetCommitResponseTopic<'static>>,
    ) -> Option<Vec<OffsetCommitResponseTopic<'static>>> {
        let large = self.open.get_mut(&token).expect("it is open");
        large.answered.insert(number, topics);
        let is_under_way = large.answered.len() < large.begun;
        if is_under_way || large.at.topic < large.request.topics.len() {
            return None;
        }
        let large = self.open.remove(&token)?;
        Some(large.answered.into_values().flatten().collect())
    }

    /// Begins the next portion.
    fn next(&mut self, now: TimestampMs, partitions_max: usize) -> Option<Portion> {
        let token = *self.coming.front()?;
        let large = self.open.get_mut(&token).expect("what is coming is open");
        let portion = Portion {
            token,
            number: large.begun,
            fate: large.fate,
            topics: topics_of(&large.request, &mut large.at, partitions_max, now),
            request: large.request.clone(),
        };
        large.begun += 1;
        if large.at.topic == large.request.topics.len() {
            self.coming.pop_front();
        }
        Some(portion)
    }
}

/// Some partitions of a large commit.
struct Portion {
    token: Token,
    number: usize,
    fate: Fate,
    topics: Vec<CommitTopic>,
    request: Rc<OffsetCommitRequest<'static>>,
}

impl Groups {
    /// Begins a commit of more partitions than are dealt with in one go.
    pub(super) fn begin_large_commit(
        &mut self,
        now: TimestampMs,
        token: Token,
        commit: CommitOffsets,
        out: &mut Actions,
    ) {
        let request = &commit.request;
        let partitions = request.topics.iter().flat_map(|topic| {
            let each = topic.partitions.iter();
            each.map(|one| (&*topic.name, one.committed_metadata.as_deref()))
        });
        let expires = request.retention_time_ms != NOT_SAID;
        let metadata_max = self.settings.offset_metadata_max;
        let bytes = batch_bytes(&request.group_id, partitions, expires, metadata_max);
        let is_too_large = commit.batch_bytes_max.is_some_and(|max| bytes > max);
        let may_commit = self.may_commit(&commit.request);
        if may_commit.is_ok() && !is_too_large && commit.batch_bytes_max.is_some() {
            return self.commit_whole(now, token, &commit.request, out);
        }
        let large = Large {
            fate: match may_commit {
                Err(error) => Fate::Refused(error),
                Ok(()) if is_too_large => Fate::TooLarge,
                Ok(()) => Fate::Accepted,
            },
            request: Rc::new(commit.request),
            at: Place::default(),
            begun: 0,
            answered: BTreeMap::new(),
        };
        self.large_commits.open.insert(token, large);
        self.large_commits.coming.push_back(token);
        if self.large_commits.coming.len() == 1 {
            self.next_portion(now, out);
        }
    }

    /// The next portion's time has come.
    pub(super) fn on_large_commit_alarm(
        &mut self,
        entry: TimestampMs,
        now: TimestampMs,
        out: &mut Actions,
    ) {
        let alarm = &mut self.large_commits.alarm;
        if self.alarms.rings(alarm, entry, now, Timer::LargeCommit) {
            self.next_portion(now, out);
        }
    }

    fn next_portion(&mut self, now: TimestampMs, out: &mut Actions) {
        let Some(portion) = self.large_commits.next(now, self.settings.steps_max) else {
            return;
        };
        let share = Share::Portion {
            number: portion.number,
            fate: portion.fate,
        };
        let (request, topics) = (&portion.request, portion.topics);
        self.commit_topics(now, (portion.token, share), request, topics, out);
        if !self.large_commits.coming.is_empty() {
            let alarm = &mut self.large_commits.alarm;
            self.alarms.set(alarm, now + 1, Timer::LargeCommit);
        }
    }

    /// The partition goes: what has not begun is refused.
    pub(super) fn give_up_large_commits(&mut self, out: &mut Actions) {
        let large_commits = &mut self.large_commits;
        while let Some(mut portion) = large_commits.next(TimestampMs::NONE, usize::MAX) {
            fail(&mut portion.topics, ErrorCode::NotCoordinator);
            let (token, number) = (portion.token, portion.number);
            if let Some(topics) = large_commits.done((token, number), told(portion.topics)) {
                let response = OffsetCommitResponse {
                    topics,
                    ..Default::default()
                };
                out.push(Action::Reply(token, Reply::Commit(response)));
            }
        }
    }
}

/// What the batch of all records takes, if it is not compressed. Each partition is named by its topic
/// and metadata.
pub(super) fn batch_bytes<'a>(
    group: &str,
    partitions: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    expires: bool,
    metadata_max: usize,
) -> usize {
    let metadata = partitions.map(|(topic, metadata)| (topic, metadata.unwrap_or_default()));
    // Longer ones are refused one by one.
    let kept = metadata.filter(|(_, metadata)| !is_longer(metadata, metadata_max));
    let of_record =
        |(delta, (topic, metadata))| offset_record_bytes(delta, [group, topic, metadata], expires);
    BATCH_OVERHEAD_BYTES + kept.enumerate().map(of_record).sum::<usize>()
}
