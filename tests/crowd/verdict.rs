//! What the members' journals must say together.
//!
//! A commit whose outcome a member did not learn, because it was killed or its request timed
//! out, may have happened or not; everything else is certain.

use std::collections::BTreeMap;

use journal::{Event, Nanos, Range, read};

/// A partition in the hands of one member, from after it was told so to before it gave it up.
#[derive(Clone, Copy, Debug)]
struct Tenure {
    #[expect(dead_code, reason = "a failure shows it")]
    member: usize,
    begin: Nanos,
    end: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Committed,
    Unknown,
}

/// A commit of one partition.
#[derive(Clone, Copy, Debug)]
struct Commit {
    #[expect(dead_code, reason = "a failure shows it")]
    member: usize,
    from: i64,
    to: i64,
    begin: Nanos,
    end: Nanos,
    outcome: Outcome,
}

/// All that the members of one group wrote down.
#[derive(Debug, Default)]
pub struct Verdict {
    tenures: BTreeMap<i32, Vec<Tenure>>,
    commits: BTreeMap<i32, Vec<Commit>>,
    /// How often members learned that they had been put out of the group.
    pub losses: usize,
    /// Commits that the coordinator refused.
    pub refusals: usize,
    /// Commits that happened for sure.
    pub committed: usize,
    /// How often a partition was given to a member.
    pub assignments: usize,
}

impl Verdict {
    /// Puts the members' journals together.
    pub fn of(journals: &[String]) -> Verdict {
        let mut verdict = Verdict::default();
        for (member, journal) in journals.iter().enumerate() {
            verdict.add(member, &read(journal));
        }
        verdict
    }

    fn add(&mut self, member: usize, events: &[(Nanos, Event)]) {
        let last = events.last().map_or(0, |(time, _)| *time);
        let mut owned: BTreeMap<i32, Nanos> = BTreeMap::new();
        let mut open: Option<(Nanos, &[Range])> = None;
        let mut sure = 0;
        for (time, event) in events {
            match event {
                Event::Assigned(partitions) => {
                    self.assignments += partitions.len();
                    owned.extend(partitions.iter().map(|partition| (*partition, *time)));
                }
                Event::Revoked(partitions) => {
                    self.give_up(member, &mut owned, partitions, *time);
                }
                Event::Lost(partitions) => {
                    self.losses += 1;
                    // The member was put out at some time after it began its last commit: it may have
                    // stood still before it read the answer.
                    self.give_up(member, &mut owned, partitions, sure);
                }
                Event::Commits(ranges) => {
                    self.note(member, open.take(), *time, Outcome::Unknown);
                    open = Some((*time, ranges));
                }
                Event::Committed => {
                    self.committed += 1;
                    sure = open.map_or(sure, |(begin, _)| begin);
                    self.note(member, open.take(), *time, Outcome::Committed);
                }
                Event::Refused(_) => {
                    self.refusals += 1;
                    open = None;
                }
                Event::Left => {}
            }
        }
        self.note(member, open, Nanos::MAX, Outcome::Unknown);
        let left: Vec<i32> = owned.keys().copied().collect();
        self.give_up(member, &mut owned, &left, last);
    }

    fn give_up(
        &mut self,
        member: usize,
        owned: &mut BTreeMap<i32, Nanos>,
        partitions: &[i32],
        end: Nanos,
    ) {
        for partition in partitions {
            // A loss that no commit came before has no tenure that is certain.
            if let Some(begin) = owned.remove(partition).filter(|begin| *begin < end) {
                let tenure = Tenure { member, begin, end };
                self.tenures.entry(*partition).or_default().push(tenure);
            }
        }
    }

    fn note(
        &mut self,
        member: usize,
        open: Option<(Nanos, &[Range])>,
        end: Nanos,
        outcome: Outcome,
    ) {
        let Some((begin, ranges)) = open else {
            return;
        };
        for Range {
            partition,
            from,
            to,
        } in ranges.iter().copied()
        {
            self.commits.entry(partition).or_default().push(Commit {
                member,
                from,
                to,
                begin,
                end,
                outcome,
            });
        }
    }

    /// No partition was in the hands of two members at once.
    pub fn assert_one_owner_at_a_time(&mut self) {
        for (partition, tenures) in &mut self.tenures {
            tenures.sort_by_key(|tenure| tenure.begin);
            for pair in tenures.windows(2) {
                assert!(
                    pair[0].end <= pair[1].begin,
                    "partition {partition} had two owners: {pair:?}"
                );
            }
        }
    }

    /// Each record was taken and committed by one member: the commits of a partition cover its
    /// offsets from 0 to its end, each once.
    pub fn assert_each_record_committed_once(&mut self, ends: &[i64]) {
        for (partition, end) in ends.iter().enumerate() {
            let partition = i32::try_from(partition).expect("few partitions");
            let commits = self.commits.entry(partition).or_default();
            commits.sort_by_key(|commit| commit.from);
            let mut covered = 0;
            while covered < *end {
                let next = next(commits, covered);
                let Some(next) = next else {
                    panic!("partition {partition}: nobody took {covered}: {commits:?}");
                };
                covered = next.to;
            }
            assert_eq!(
                covered, *end,
                "partition {partition} was committed past its end"
            );
            assert_disjoint(partition, commits);
        }
    }

    /// A commit that began after another had ended is of a later place.
    pub fn assert_commits_go_forward(&mut self) {
        for (partition, commits) in &mut self.commits {
            let mut sure: Vec<Commit> = commits
                .iter()
                .copied()
                .filter(|commit| commit.outcome == Outcome::Committed)
                .collect();
            sure.sort_by_key(|commit| commit.end);
            for pair in sure.windows(2) {
                let goes_back = pair[0].end < pair[1].begin && pair[1].from < pair[0].to;
                assert!(!goes_back, "partition {partition} went back: {pair:?}");
            }
        }
    }
}

/// The commit that goes on at `from`: a certain one if there is one.
fn next(commits: &[Commit], from: i64) -> Option<Commit> {
    let at = |outcome| {
        commits
            .iter()
            .copied()
            .filter(move |commit| commit.from == from && commit.outcome == outcome)
            .max_by_key(|commit| commit.to)
    };
    at(Outcome::Committed).or_else(|| at(Outcome::Unknown))
}

/// No record is in two commits that both happened for sure.
fn assert_disjoint(partition: i32, commits: &[Commit]) {
    let mut reached = 0;
    for commit in commits {
        if commit.outcome == Outcome::Committed {
            assert!(
                commit.from >= reached,
                "partition {partition}: committed twice: {commit:?} after {reached}"
            );
            reached = commit.to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(journals: &[&str]) -> Verdict {
        let journals: Vec<String> = journals
            .iter()
            .map(|text| text.replace('|', "\n"))
            .collect();
        Verdict::of(&journals)
    }

    #[test]
    fn a_group_in_order_is_accepted() {
        let mut both = verdict(&[
            "1 assigned 0 1|2 commits 0:0:5 1:0:3|3 committed|4 revoked 1|9 commits 0:5:8|",
            "5 assigned 1|6 commits 1:3:4|7 committed|8 revoked 1|",
        ]);
        both.assert_one_owner_at_a_time();
        both.assert_commits_go_forward();
        both.assert_each_record_committed_once(&[8, 4]);
    }

    #[test]
    #[should_panic(expected = "had two owners")]
    fn two_owners_at_once_are_found() {
        verdict(&["1 assigned 0|5 revoked 0|", "4 assigned 0|6 revoked 0|"])
            .assert_one_owner_at_a_time();
    }

    #[test]
    #[should_panic(expected = "committed twice")]
    fn a_record_committed_twice_is_found() {
        verdict(&[
            "1 assigned 0|2 commits 0:0:5|3 committed|",
            "4 assigned 0|5 commits 0:4:6|6 committed|7 commits 0:5:6|8 committed|",
        ])
        .assert_each_record_committed_once(&[6]);
    }

    #[test]
    #[should_panic(expected = "nobody took 5")]
    fn a_record_left_out_is_found() {
        verdict(&["1 assigned 0|2 commits 0:0:5|3 committed|4 commits 0:6:9|5 committed|"])
            .assert_each_record_committed_once(&[9]);
    }

    #[test]
    #[should_panic(expected = "went back")]
    fn a_commit_that_goes_back_is_found() {
        verdict(&[
            "1 assigned 0|2 commits 0:0:5|3 committed|",
            "4 assigned 0|5 commits 0:0:5|6 committed|",
        ])
        .assert_commits_go_forward();
    }
}
