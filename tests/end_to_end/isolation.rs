//! Shows: from whatever offset a read_committed consumer begins, also in the middle of a batch, it is
//! handed out what was committed and nothing else: across segments, after restarts and kills, with an
//! index of aborted transactions that was cut, and while the log is compacted. A read_uncommitted one
//! is handed out everything.

use std::collections::BTreeMap;
use std::{fs, io};

use chiplog_tests::batch::{Batch, Record};
use chiplog_tests::fetched::{Isolation, fetch};
use chiplog_tests::node::{Node, Setup};
use chiplog_tests::raw::{Body, Connection, PRODUCE, end_offset, produce_to, try_end_offset};
use chiplog_tests::state::{SOON, reach};
use chiplog_tests::transactional::TransactionalProducer;

use crate::transactions::setup;

/// Numbers that look random, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// What a record is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Plain,
    /// Of the transaction of this number.
    Of(usize),
    Marker,
}

struct Writer {
    producer: TransactionalProducer,
    sequence: i32,
    /// The transaction that is open.
    open: Option<usize>,
}

/// A topic of one partition, and what was written to it.
struct History {
    topic: &'static str,
    chance: Chance,
    writers: Vec<Writer>,
    /// What is at each offset, and the key of the record there.
    log: Vec<(Part, u8)>,
    /// How each transaction ended.
    ended: Vec<Option<bool>>,
    keys: usize,
    compressed: bool,
    /// Below, records were deleted.
    start: i64,
}

impl History {
    fn begin(node: &Node, topic: &'static str, keys: usize, compressed: bool) -> History {
        let writer = |id: usize| Writer {
            producer: TransactionalProducer::initialise(node, &format!("{topic} {id}")),
            sequence: 0,
            open: None,
        };
        History {
            topic,
            chance: Chance(7),
            writers: (0..3).map(writer).collect(),
            log: Vec::new(),
            ended: Vec::new(),
            keys,
            compressed,
            start: 0,
        }
    }

    /// Deletes the records below an offset, whatever they are part of.
    fn delete_below(&mut self, client: &mut Connection, offset: i64) {
        const DELETE_RECORDS: i16 = 21;
        let body = Body::new().i32(1).string(self.topic).i32(1);
        let body = body.i32(0).i64(offset).i32(30_000);
        let mut answer = client.ask(DELETE_RECORDS, 1, &body);
        answer.i32(); // throttle time
        assert_eq!(answer.i32(), 1, "one topic");
        answer.string();
        assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
        assert_eq!((answer.i64(), answer.i16()), (offset, 0));
        self.start = offset;
    }

    /// Waits until the partition is there after a start.
    fn find(&self, client: &mut Connection) {
        reach("the partition can be read", SOON, || {
            try_end_offset(client, self.topic, 0).ok()
        });
    }

    /// Some batches and ends of transactions.
    fn go_on(&mut self, client: &mut Connection, steps: usize) -> io::Result<()> {
        self.find(client);
        for _ in 0..steps {
            match self.chance.below(10) {
                0..=1 => self.write_plain(client)?,
                2..=6 => self.write_in_transaction(client)?,
                _ => self.end_one(client),
            }
        }
        Ok(())
    }

    /// A batch of one to five records, and their keys.
    fn records(&mut self, batch: Batch) -> (Vec<u8>, Vec<u8>) {
        let count = 1 + self.chance.below(5);
        let keys = (0..count).map(|_| self.chance.below(self.keys) as u8);
        let keys: Vec<u8> = keys.collect();
        let value = [b'v'; 40];
        let records: Vec<_> = keys
            .iter()
            .map(|key| Record {
                key: Some(std::slice::from_ref(key)),
                ..Record::of_now(&value)
            })
            .collect();
        let compressed = self.compressed && self.chance.below(2) == 0;
        (
            Batch {
                compressed,
                ..batch
            }
            .of(&records),
            keys,
        )
    }

    fn write_plain(&mut self, client: &mut Connection) -> io::Result<()> {
        let (batch, keys) = self.records(Batch::PLAIN);
        let base = i64::try_from(self.log.len()).expect("small");
        assert_eq!(produce_to(client, self.topic, &batch)?, (0, base));
        self.log.extend(keys.iter().map(|key| (Part::Plain, *key)));
        Ok(())
    }

    fn write_in_transaction(&mut self, client: &mut Connection) -> io::Result<()> {
        let at = self.chance.below(self.writers.len());
        let writer = &mut self.writers[at];
        let transaction = *writer.open.get_or_insert_with(|| {
            writer.producer.add(client, self.topic, &[0]);
            self.ended.push(None);
            self.ended.len() - 1
        });
        let unwritten = writer.producer.uncompressed(writer.sequence);
        let (batch, keys) = self.records(unwritten);
        let writer = &mut self.writers[at];
        writer.sequence += keys.len() as i32;
        let body = writer.producer.produce(self.topic, &[(0, batch)]);
        let mut answer = client.try_ask(PRODUCE, 7, &body)?;
        assert_eq!(answer.i32(), 1, "one topic");
        answer.string();
        assert_eq!((answer.i32(), answer.i32()), (1, 0), "one partition, 0");
        let base = i64::try_from(self.log.len()).expect("small");
        assert_eq!((answer.i16(), answer.i64()), (0, base));
        let part = Part::Of(transaction);
        self.log.extend(keys.iter().map(|key| (part, *key)));
        Ok(())
    }

    fn end_one(&mut self, client: &mut Connection) {
        let at = self.chance.below(self.writers.len());
        let commits = self.chance.below(2) == 0;
        let Some(transaction) = self.writers[at].open.take() else {
            return;
        };
        self.writers[at].producer.end(client, commits);
        self.ended[transaction] = Some(commits);
        self.log.push((Part::Marker, 0));
        let end = i64::try_from(self.log.len()).expect("small");
        reach("the marker is there", SOON, || {
            (end_offset(client, self.topic) == end).then_some(())
        });
    }

    /// Where the first transaction that is open begins.
    fn last_stable(&self) -> i64 {
        let is_open = |part: &Part| matches!(part, Part::Of(n) if self.ended[*n].is_none());
        let open = self.log.iter().position(|(part, _)| is_open(part));
        let open = i64::try_from(open.unwrap_or(self.log.len())).expect("small");
        open.max(self.start)
    }

    /// Whether a consumer may be handed out the record at an offset, but for the last stable one.
    fn is_visible(&self, offset: i64, isolation: Isolation) -> bool {
        match (
            self.log[usize::try_from(offset).expect("small")].0,
            isolation,
        ) {
            (Part::Marker, _) => false,
            (Part::Plain, _) | (Part::Of(_), Isolation::ReadUncommitted) => true,
            (Part::Of(transaction), Isolation::ReadCommitted) => {
                self.ended[transaction] == Some(true)
            }
        }
    }

    /// All that a consumer is handed out that begins at `offset`.
    fn consume(&self, client: &mut Connection, offset: i64, isolation: Isolation) -> Vec<i64> {
        let end = match isolation {
            Isolation::ReadCommitted => self.last_stable(),
            Isolation::ReadUncommitted => i64::try_from(self.log.len()).expect("small"),
        };
        // One batch at a time, a few, or everything.
        let bytes_max = [1, 700, 1 << 20][usize::try_from(offset % 3).expect("small")];
        let (mut next, mut all) = (offset, Vec::new());
        while next < end {
            let fetched = fetch(client, self.topic, next, isolation, bytes_max);
            assert_eq!(fetched.error, 0, "at {next}");
            assert_eq!(fetched.last_stable, self.last_stable(), "at {next}");
            let (offsets, then) = fetched.handed_out(next);
            assert!(then > next, "a consumer at {next} goes on");
            all.extend(offsets);
            next = then;
        }
        assert_eq!(next, end, "nothing beyond the end is given");
        all
    }

    /// Every offset as the place where a consumer begins.
    fn check(&self, client: &mut Connection, when: &str) {
        self.find(client);
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            let end = match isolation {
                Isolation::ReadCommitted => self.last_stable(),
                Isolation::ReadUncommitted => i64::try_from(self.log.len()).expect("small"),
            };
            for offset in self.start..end {
                let expected = (offset..end).filter(|at| self.is_visible(*at, isolation));
                assert_eq!(
                    self.consume(client, offset, isolation),
                    expected.collect::<Vec<_>>(),
                    "{when}: {isolation:?} from {offset}"
                );
            }
        }
    }
}

/// Cuts every index of aborted transactions, as a crash may leave it.
fn cut_indexes(node: &Node) -> usize {
    let indexes = node.files("txnindex");
    for index in &indexes {
        let length = fs::metadata(index).expect("it is there").len();
        let file = fs::File::options().write(true).open(index);
        file.and_then(|file| file.set_len(length / 2))
            .expect("it can be cut");
    }
    indexes.len()
}

fn isolated_at_every_offset(compressed: bool) -> io::Result<()> {
    let mut node = Node::start_with(setup());
    // Some segments have several transactions, and some transactions several segments.
    node.create_topic_with("isolated", 1, &[("segment.bytes", "1500")]);
    let mut history = History::begin(&node, "isolated", 5, compressed);
    history.go_on(&mut node.connect(), 90)?;
    history.check(&mut node.connect(), "as written");
    node.kill();
    assert!(
        cut_indexes(&node) > 2,
        "there are several segments with aborted transactions"
    );
    node.start_again();
    history.check(&mut node.connect(), "after a kill and a cut");
    history.go_on(&mut node.connect(), 60)?;
    node.stop();
    node.start_again();
    history.go_on(&mut node.connect(), 30)?;
    history.check(&mut node.connect(), "after a stop");
    let aborted = history.ended.iter().filter(|ended| **ended == Some(false));
    assert!(aborted.count() > 5, "the history has aborted transactions");
    Ok(())
}

#[test]
fn consumers_begin_anywhere_among_transactions() -> io::Result<()> {
    isolated_at_every_offset(false)
}

#[test]
fn consumers_begin_anywhere_among_compressed_transactions() -> io::Result<()> {
    isolated_at_every_offset(true)
}

#[test]
fn consumers_begin_anywhere_behind_records_that_were_deleted() -> io::Result<()> {
    let mut node = Node::start_with(
        setup()
            .set("log.retention.check.interval.ms", "100")
            .set("log.initial.task.delay.ms", "100"),
    );
    node.create_topic_with("shortened", 1, &[("segment.bytes", "1500")]);
    let mut history = History::begin(&node, "shortened", 5, false);
    for _ in 0..3 {
        history.go_on(&mut node.connect(), 30)?;
        // In the midst of transactions, some of them open, and of a batch.
        let middle = (history.start + history.log.len() as i64) / 2;
        history.delete_below(&mut node.connect(), middle);
        history.check(&mut node.connect(), "after a deletion");
        node.kill();
        node.start_again();
        history.check(&mut node.connect(), "after a deletion and a kill");
    }
    node.stop();
    node.start_again();
    history.check(&mut node.connect(), "after a deletion and a stop");
    reach("segments are gone", SOON, || {
        let first = node.files("log").into_iter().find(|path| {
            let path = path.to_string_lossy();
            path.contains("/shortened-0/") && path.ends_with("/00000000000000000000.log")
        });
        first.is_none().then_some(())
    });
    history.check(&mut node.connect(), "without the segments");
    Ok(())
}

#[test]
fn what_was_aborted_is_not_seen_while_a_log_is_compacted_nor_afterwards() -> io::Result<()> {
    let cleaner = |setup: Setup| {
        setup
            .set("log.cleaner.backoff.ms", "50")
            .set("log.cleaner.dedupe.buffer.size", "2000000")
            .set("log.segment.delete.delay.ms", "100")
    };
    let mut node = Node::start_with(cleaner(setup()));
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1500"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
    ];
    node.create_topic_with("compacted", 1, &settings);
    let mut history = History::begin(&node, "compacted", 8, false);
    for round in 0..4 {
        history.go_on(&mut node.connect(), 60)?;
        assert_only_committed(&history, &mut node.connect());
        if round == 2 {
            node.kill();
            node.start_again();
        }
    }
    let left = reach("the log is compacted", 2 * SOON, || {
        let left = assert_only_committed(&history, &mut node.connect());
        (left < history.log.len() / 4).then_some(left)
    });
    node.kill();
    node.start_again();
    assert!(assert_only_committed(&history, &mut node.connect()) <= left);
    node.stop();
    node.start_again();
    assert!(assert_only_committed(&history, &mut node.connect()) <= left);
    Ok(())
}

/// From every seventh offset on a consumer is handed out nothing but what was committed, and the
/// newest of that for each key. Gives how many records there are from the beginning on.
fn assert_only_committed(history: &History, client: &mut Connection) -> usize {
    history.find(client);
    let isolation = Isolation::ReadCommitted;
    let end = history.last_stable();
    let mut newest = BTreeMap::new();
    for offset in 0..end {
        if history.is_visible(offset, isolation) {
            newest.insert(
                history.log[usize::try_from(offset).expect("small")].1,
                offset,
            );
        }
    }
    let mut count = None;
    for offset in (0..end).step_by(7) {
        let seen = history.consume(client, offset, isolation);
        let aborted = seen.iter().find(|at| !history.is_visible(**at, isolation));
        assert_eq!(aborted, None, "seen from {offset} on");
        for at in newest.values().filter(|at| **at >= offset) {
            assert!(seen.contains(at), "{at} is the newest of its key, and lost");
        }
        count.get_or_insert(seen.len());
    }
    count.unwrap_or(0)
}
