//! What a member writes down while it works, one line an event, and how it is read again.
//!
//! Times are of the machine's monotonic clock, so that those of different processes compare.

use std::fmt;
use std::str::FromStr;

/// Nanoseconds of the monotonic clock.
pub type Nanos = u64;

/// The status with which a member ends whose producer was fenced.
pub const FENCED: i32 = 3;

/// The time now.
pub fn now() -> Nanos {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).expect("the clock is positive");
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).expect("the clock is positive")
}

/// Offsets `from..to` of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last.
    pub to: i64,
}

/// One event of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The member owns these partitions from now on.
    Assigned(Vec<i32>),
    /// The member gives these partitions up.
    Revoked(Vec<i32>),
    /// The member learns that these partitions are no longer its own.
    Lost(Vec<i32>),
    /// It begins to commit what it took.
    Commits(Vec<Range>),
    /// What it began to commit is committed.
    Committed,
    /// What it began to commit is not committed, for sure.
    Refused(String),
    /// It left the group in order.
    Left,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, partitions: &[i32]| {
            f.write_str(name)?;
            partitions.iter().try_for_each(|p| write!(f, " {p}"))
        };
        match self {
            Event::Assigned(partitions) => list(f, "assigned", partitions),
            Event::Revoked(partitions) => list(f, "revoked", partitions),
            Event::Lost(partitions) => list(f, "lost", partitions),
            Event::Commits(ranges) => {
                f.write_str("commits")?;
                ranges
                    .iter()
                    .try_for_each(|r| write!(f, " {}:{}:{}", r.partition, r.from, r.to))
            }
            Event::Committed => f.write_str("committed"),
            Event::Refused(why) => write!(f, "refused {why}"),
            Event::Left => f.write_str("left"),
        }
    }
}

impl Event {
    /// Its first word.
    fn name(&self) -> String {
        let text = self.to_string();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Event, String> {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let words = || rest.split(' ').filter(|word| !word.is_empty());
        let fault = |_| format!("no event: {text}");
        let partitions = || words().map(str::parse).collect::<Result<Vec<i32>, _>>();
        Ok(match name {
            "assigned" => Event::Assigned(partitions().map_err(fault)?),
            "revoked" => Event::Revoked(partitions().map_err(fault)?),
            "lost" => Event::Lost(partitions().map_err(fault)?),
            "commits" => Event::Commits(words().map(range).collect::<Result<_, _>>()?),
            "committed" => Event::Committed,
            "refused" => Event::Refused(rest.into()),
            "left" => Event::Left,
            _ => return Err(format!("no event: {text}")),
        })
    }
}

fn range(text: &str) -> Result<Range, String> {
    let numbers: Vec<i64> = text.split(':').filter_map(|n| n.parse().ok()).collect();
    let [partition, from, to] = numbers[..] else {
        return Err(format!("no range: {text}"));
    };
    let partition = i32::try_from(partition).map_err(|e| format!("{text}: {e}"))?;
    Ok(Range {
        partition,
        from,
        to,
    })
}

/// The events of a member, each with its time. A last line that was cut off by the member's end
/// is left out: what it says did not happen before the end.
pub fn read(text: &str) -> Vec<(Nanos, Event)> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| {
            let (time, event) = line.split_once(' ').expect("a time and an event");
            let time = time.parse().expect("a time");
            (time, event.parse().unwrap_or_else(|e| panic!("{e}")))
        })
        .collect()
}

/// What the members wrote down of `partition`, in the order of time: a line for each event, with the
/// member's number.
pub fn history(journals: &[String], partition: i32) -> String {
    let mut lines = Vec::new();
    for (member, journal) in journals.iter().enumerate() {
        let mut commits = false;
        for (time, event) in read(journal) {
            let told = match &event {
                Event::Assigned(of) | Event::Revoked(of) | Event::Lost(of) => {
                    of.contains(&partition).then(|| event.name())
                }
                Event::Commits(ranges) => {
                    let range = ranges.iter().find(|range| range.partition == partition);
                    commits = range.is_some();
                    range.map(|range| format!("commits {}..{}", range.from, range.to))
                }
                Event::Committed | Event::Refused(_) => {
                    std::mem::take(&mut commits).then(|| event.to_string())
                }
                Event::Left => None,
            };
            lines.extend(told.map(|told| (time, member, told)));
        }
    }
    lines.sort();
    lines
        .iter()
        .map(|(time, member, told)| {
            format!(
                "{}.{:06} s member-{member} {told}\n",
                time / 1_000_000_000,
                time / 1_000 % 1_000_000
            )
        })
        .collect()
}
