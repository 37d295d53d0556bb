//! The crowd: its members' processes, the records they are given, and the observer of what they
//! have committed.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use chiplog_tests::node::Node;
use chiplog_tests::state::{SOON, reach};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use journal::FENCED;

use crate::chance::Chance;
use crate::verdict::Verdict;

const PARTITIONS: i32 = 100;
const MEMBERS: usize = 20;
/// The crowd stays within these.
const MEMBERS_MIN: usize = 16;
const MEMBERS_MAX: usize = 24;
/// Records that each partition is given at a time.
const GIVEN: i64 = 5;
/// The longest time in which the whole group commits nothing: crashed members time out after 6 s.
const STANDSTILL_MAX: Duration = SOON;

/// Who stands still does so for at least so long, and for up to so many milliseconds more: around
/// the 6 s after which a member is put out, and below the 10 s after which its transaction is aborted.
const STANDS_STILL_MIN: Duration = Duration::from_millis(5_000);
const STANDS_STILL_MORE: usize = 3_000;

/// How the members commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With a commit after each batch.
    Commits,
    /// Together with copies of the records, in transactions.
    Transactions,
}

struct Member {
    process: Child,
    /// The member leaves when this is closed.
    stays: Option<ChildStdin>,
    /// It stands still until then.
    still: Option<Instant>,
    /// It did so before: twice within one transaction would be longer than that may last.
    stood_still: bool,
}

impl Member {
    /// The member does nothing for `time`, and does not know it.
    fn stand_still(&mut self, time: Duration) {
        self.signal(Signal::STOP);
        self.still = Some(Instant::now() + time);
        self.stood_still = true;
    }

    /// The member goes on where it stood.
    fn go_on(&mut self) {
        self.signal(Signal::CONT);
        self.still = None;
    }

    fn signal(&self, signal: Signal) {
        let number = i32::try_from(self.process.id()).expect("process ids are small");
        let process = Pid::from_raw(number).expect("process ids are positive");
        kill_process(process, signal).expect("the member is a child");
    }

    /// The member is gone at once.
    fn crash(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The member leaves the group in order.
    fn leave(mut self) {
        self.go_on();
        drop(self.stays.take());
        let status = reach("the member ends", SOON, || {
            self.process.try_wait().expect("the member is a child")
        });
        let fenced = status.code() == Some(FENCED);
        assert!(fenced || status.success(), "a member ended with {status}");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The group, and all that happened to it.
pub struct Crowd<'a> {
    node: &'a Node,
    how: How,
    /// Whether members also stand still, long enough to be put out.
    stand_still: bool,
    chance: Chance,
    journals: TempDir,
    joined: usize,
    crashed: usize,
    /// Members whose transaction was aborted over their heads, as on a machine with much else to do.
    fenced: usize,
    members: Vec<Member>,
    producer: BaseProducer,
    given: i64,
    observer: BaseConsumer,
    /// What was committed of each partition when the observer last asked.
    committed: Vec<i64>,
}

impl<'a> Crowd<'a> {
    /// Twenty members that own all partitions.
    pub fn gather(node: &'a Node, how: How, seed: u64) -> Crowd<'a> {
        node.create_topic("crowd", PARTITIONS);
        node.create_topic("copies", PARTITIONS);
        let client = |settings: &[(&str, &str)]| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", node.bootstrap());
            for (key, value) in settings {
                config.set(*key, *value);
            }
            config
        };
        let producer = client(&[("enable.idempotence", "true")]).create();
        // Only what is committed counts: pending offsets of transactions do not hold it up.
        let isolation = ("isolation.level", "read_uncommitted");
        let observer = client(&[("group.id", "crowd"), isolation]).create();
        let mut crowd = Crowd {
            node,
            how,
            stand_still: false,
            chance: Chance::new(seed),
            journals: TempDir::new().expect("a temporary directory can be made"),
            joined: 0,
            crashed: 0,
            fenced: 0,
            members: Vec::new(),
            producer: producer.expect("valid settings"),
            given: 0,
            observer: observer.expect("valid settings"),
            committed: vec![0; usize::try_from(PARTITIONS).expect("not negative")],
        };
        for _ in 0..MEMBERS {
            crowd.join();
        }
        crowd.give();
        crowd.reach_committed(crowd.given * i64::from(PARTITIONS));
        crowd
    }

    /// Members will also stand still, and find when they go on that they were put out meanwhile.
    pub fn let_members_stand_still(&mut self) {
        self.stand_still = true;
    }

    /// Members join, leave and crash for `time`, while the group takes what it is given.
    pub fn come_and_go(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            self.give();
            self.someone_comes_or_goes();
            let wanted = i64::try_from(self.chance.below(400)).expect("few records");
            self.reach_committed(self.committed.iter().sum::<i64>() + wanted + 1);
        }
    }

    fn someone_comes_or_goes(&mut self) {
        let present = self.members.len();
        if self.stand_still && self.chance.below(4) == 0 {
            let more = u64::try_from(self.chance.below(STANDS_STILL_MORE)).expect("few");
            let who = self.chance.below(present);
            let member = &mut self.members[who];
            if !member.stood_still {
                member.stand_still(STANDS_STILL_MIN + Duration::from_millis(more));
            }
            return;
        }
        match self.chance.below(4) {
            _ if present <= MEMBERS_MIN => self.join(),
            0 | 1 if present < MEMBERS_MAX => self.join(),
            2 => {
                let leaving = self.chance.below(present);
                self.members.swap_remove(leaving).leave();
            }
            _ => {
                let crashing = self.chance.below(present);
                self.members.swap_remove(crashing).crash();
                self.crashed += 1;
            }
        }
    }

    /// Everything that was given is committed; then all members leave.
    pub fn catch_up_and_leave(&mut self) {
        self.reach_committed(self.given * i64::from(PARTITIONS));
        for member in self.members.drain(..) {
            member.leave();
        }
    }

    /// Judges what the members wrote down, and what they left behind.
    pub fn judge(&self) {
        let journals = read_journals(&self.journals, self.joined);
        let mut verdict = Verdict::of(&journals);
        println!(
            "{} members joined, {} crashed, {} fenced; {} records in {} commits; partitions assigned {} times; \
             {} commits refused, {} members put out",
            self.joined,
            self.crashed,
            self.fenced,
            self.given * i64::from(PARTITIONS),
            verdict.committed,
            verdict.assignments,
            verdict.refusals,
            verdict.losses
        );
        // Who stands still gives its partitions up later than it loses them.
        if !self.stand_still {
            verdict.assert_one_owner_at_a_time();
        }
        verdict.assert_commits_go_forward();
        verdict.assert_each_record_committed_once(&vec![self.given; self.committed.len()]);
        if self.how == How::Transactions {
            self.assert_each_record_copied_once();
        }
    }

    fn join(&mut self) {
        let how = match self.how {
            How::Commits => "commits",
            How::Transactions => "transactions",
        };
        let journal = File::create(journal_of(&self.journals, self.joined))
            .expect("the directory is writable");
        let mut process = Command::new(env!("CARGO_BIN_EXE_crowd-member"))
            .args([&self.node.bootstrap(), "crowd"])
            .args([&format!("member-{}", self.joined), how])
            .stdin(Stdio::piped())
            .stdout(journal)
            .spawn()
            .expect("the member is built with the test");
        let stays = process.stdin.take();
        self.joined += 1;
        self.members.push(Member {
            process,
            stays,
            still: None,
            stood_still: false,
        });
    }

    /// Gives each partition more records: value `partition:offset`.
    fn give(&mut self) {
        for offset in self.given..self.given + GIVEN {
            for partition in 0..PARTITIONS {
                let value = format!("{partition}:{offset}");
                let record = BaseRecord::<(), str>::to("crowd");
                self.producer
                    .send(record.partition(partition).payload(&value))
                    .map_err(|(error, _)| error)
                    .expect("the queue has room");
            }
        }
        self.producer.flush(SOON).expect("everything is delivered");
        self.given += GIVEN;
    }

    /// Waits until so many records are committed.
    fn reach_committed(&mut self, wanted: i64) {
        reach("the group goes on", STANDSTILL_MAX, || {
            self.observe();
            (self.committed.iter().sum::<i64>() >= wanted).then_some(())
        });
    }

    /// Asks for the committed offsets, none of which may ever go back.
    fn observe(&mut self) {
        self.members.retain_mut(|member| {
            if member.still.is_some_and(|until| until <= Instant::now()) {
                member.go_on();
            }
            let ended = member.process.try_wait().expect("the member is a child");
            let fenced = ended.is_some_and(|status| status.code() == Some(FENCED));
            assert!(fenced || ended.is_none(), "a member ended: {ended:?}");
            self.fenced += usize::from(fenced);
            !fenced
        });
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range("crowd", 0, PARTITIONS - 1);
        let told = match self.observer.committed_offsets(asked, SOON) {
            Ok(told) => told,
            // A coordinator may be on its way, and whoever waits here has limited patience.
            Err(error) if is_on_its_way(&error) => return,
            Err(error) => panic!("the coordinator's answer: {error}"),
        };
        for (last, element) in self.committed.iter_mut().zip(told.elements()) {
            let now = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => 0,
            };
            let partition = element.partition();
            assert!(
                now >= *last,
                "partition {partition}: committed {now} after {last}; what its members wrote down:\n{}",
                journal::history(&read_journals(&self.journals, self.joined), partition)
            );
            assert!(
                now <= self.given,
                "partition {partition}: committed {now} past the end"
            );
            *last = now;
        }
    }

    /// A reader of committed records finds each record once and in order.
    fn assert_each_record_copied_once(&self) {
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.node.bootstrap())
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .expect("valid settings");
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset("copies", partition, Offset::Beginning)
                .expect("a valid offset");
        }
        reader.assign(&all).expect("the assignment is valid");
        let mut found = vec![0; self.committed.len()];
        let mut ended = vec![false; self.committed.len()];
        let index = |partition| usize::try_from(partition).expect("not negative");
        while ended.contains(&false) {
            match reader
                .poll(SOON)
                .expect("a record or an end within a minute")
            {
                Ok(message) => {
                    let next: &mut i64 = &mut found[index(message.partition())];
                    let wanted = format!("{}:{next}", message.partition());
                    let value = message.payload().expect("a value");
                    assert_eq!(String::from_utf8_lossy(value), wanted, "the next copy");
                    *next += 1;
                }
                Err(KafkaError::PartitionEOF(partition)) => ended[index(partition)] = true,
                Err(error) => panic!("copies: {error}"),
            }
        }
        assert_eq!(
            found,
            vec![self.given; found.len()],
            "copies of each partition"
        );
    }
}

fn journal_of(journals: &TempDir, member: usize) -> PathBuf {
    journals.path().join(format!("member-{member}"))
}

fn read_journals(journals: &TempDir, joined: usize) -> Vec<String> {
    let read = |member| fs::read_to_string(journal_of(journals, member));
    (0..joined)
        .map(|member| read(member).expect("journals are text"))
        .collect()
}

/// Whether the answer was that the coordinator is not there yet, which clients ask again after.
fn is_on_its_way(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}
