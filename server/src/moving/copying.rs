//! One move: the copy is filled until it is close behind its log, the metadata learns where the replica
//! will be, and with the writers held back for a moment the copy gets the rest and the log's place.
//!
//! The bytes are read and written on a thread of the lowest priority, one step at a time; the shard
//! only says what comes next. What fails is tried again later, as a follower's fetches are; if the
//! destination fails the move is over, if the source fails it waits.

use std::rc::Rc;
use std::time::Duration;

use controller::directories::Place;
use controller::leadership::Of;
use controller::{Refusal, directories};
use engine::append::AppendError;
use engine::log::Log;
use engine::{CopyError, CopyPiece, CopyRead, ExchangeError, Read, ReadError, ReadFrom};
use protocol::error::ErrorCode;
use protocol::ids::{Offset, Uuid};

use super::{Move, places};
use crate::clock;
use crate::metadata_log::Change;
use crate::partition::Held;
use crate::shard::{METADATA_SHARD, Shard};

/// A copy that needs no more than this is close enough for its writers to wait for it.
const CLOSE_BYTES: usize = 256 << 10;
/// While a move is held back, the rate is looked at this often.
const PACE_INTERVAL: Duration = Duration::from_millis(100);
/// What a batch's header has: two batches with the same one are the same.
const HEADER_BYTES: u32 = 61;

/// Why a move does not go on for now.
#[derive(Debug, thiserror::Error)]
enum Hitch {
    #[error("its log cannot be read: {}", .0.name())]
    Source(ErrorCode),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("its log has nothing from {0} on but a gap")]
    Gap(Offset),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the metadata cannot say where it is: {}", .0.code.name())]
    Metadata(Refusal),
}

impl From<std::io::Error> for Hitch {
    fn from(error: std::io::Error) -> Hitch {
        Hitch::Copy(error.into())
    }
}

impl From<AppendError> for Hitch {
    fn from(error: AppendError) -> Hitch {
        Hitch::Copy(error.into())
    }
}

/// How far one step has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is more.
    Behind,
    /// There was little or nothing more.
    Close,
    /// The move is over.
    Over,
}

/// What one step did to the copy.
enum Done {
    /// It has so many bytes more.
    Copied(usize),
    /// It is empty, and goes on from another offset.
    BegunAnew,
}

/// On whose threads a step runs.
#[derive(Clone, Copy)]
enum Haste {
    /// In the background, at the rate that is set.
    None,
    /// Writers wait.
    WritersWait,
}

/// Carries a move out, for as long as it is not stopped.
pub(super) async fn carry_out(shard: Rc<Shard>, one: Rc<Move>, found_end: Option<Offset>) {
    let mut unchecked = found_end;
    let mut known = String::new();
    tell(&one, "is being moved");
    one.partition.wait_for_cleaning().await;
    if found_end.is_none() {
        note_cleaned_to(&shard, &one);
    }
    while !one.is_over() && !is_lost(&shard, &one) {
        let turn = places::take(&shard).await;
        let gone_on = go_on(&shard, &one, &mut unchecked).await;
        drop(turn);
        if let Err(hitch) = gone_on {
            let text = hitch.to_string();
            if text != known {
                tracing::warn!(
                    "moving {}-{} to another directory is tried again: {text}",
                    one.partition.topic,
                    one.partition.key.partition
                );
                known = text;
            }
            ring::timer::sleep(shard.live().replica_fetch_backoff.max(PACE_INTERVAL)).await;
        }
    }
    shard.moves.forget(&one);
    settle_assignment(&shard, &one).await;
}

/// From now on the log is not compacted: what its copy will have is compacted as far as it is.
fn note_cleaned_to(shard: &Shard, one: &Move) {
    if let Ok(cleaned_to) = one.partition.log().map(|log| log.cleaned_to())
        && let Some(mut copy) = one.take()
    {
        copy.copy_cleaned_to(cleaned_to);
        one.put_back(shard, copy);
    }
}

fn tell(one: &Move, what: &str) {
    let (topic, partition) = (&one.partition.topic, one.partition.key.partition);
    tracing::info!(
        "{topic}-{partition} {what}, to the directory with id {}",
        one.to
    );
}

/// A move to a directory that has failed is over; its copy is found when the directory is back.
fn is_lost(shard: &Shard, one: &Move) -> bool {
    if !shard.node.directories.has_failed(one.to) {
        return false;
    }
    drop(one.take());
    one.done();
    tell(one, "stays where it is, for the directory has failed");
    true
}

async fn go_on(shard: &Rc<Shard>, one: &Move, unchecked: &mut Option<Offset>) -> Result<(), Hitch> {
    if let Some(end) = *unchecked {
        check_found(shard, one, end).await?;
        *unchecked = None;
    }
    copy_until_close(shard, one).await?;
    let Some(mut copy) = one.take() else {
        return Ok(());
    };
    let (copy, flushed) = shard
        .moves
        .helpers(&shard.node)
        .run(move || {
            let flushed = copy.flush_blocking();
            (copy, flushed)
        })
        .await;
    one.put_back(shard, copy);
    flushed?;
    assign(shard, one, one.to).await.map_err(Hitch::Metadata)?;
    copy_until_close(shard, one).await?;
    one.write_checkpoint(shard).await?;
    put_in_place(shard, one).await
}

async fn copy_until_close(shard: &Rc<Shard>, one: &Move) -> Result<(), Hitch> {
    loop {
        wait_for_pace(shard, one).await;
        match copy_step(shard, one, Haste::None).await? {
            Step::Behind => {}
            Step::Close | Step::Over => return Ok(()),
        }
    }
}

async fn wait_for_pace(shard: &Rc<Shard>, one: &Move) {
    while !one.is_over() {
        let rate = shard.live().replica_alter_log_dirs_io_max_bytes_per_second;
        let wait = shard.node.move_pace.wait(rate, ring::timer::now());
        if wait.is_zero() {
            return;
        }
        ring::timer::sleep(wait.min(PACE_INTERVAL)).await;
    }
}

/// Copies what comes next, at most `replica.fetch.max.bytes` unless one batch is larger.
async fn copy_step(shard: &Rc<Shard>, one: &Move, haste: Haste) -> Result<Step, Hitch> {
    let Some(mut copy) = one.take() else {
        return Ok(Step::Over);
    };
    let goal = one.partition.log().ok().map(|log| log.log_end_offset());
    let planned = plan(shard, one, &mut copy);
    let next = match planned {
        Ok(Next::Read(read)) => read.run().await.map(Next::Piece).map_err(Hitch::from),
        other => other,
    };
    let log_start = match one.partition.log() {
        Ok(log) => log.log_start_offset(),
        Err(error) => {
            one.put_back(shard, copy);
            return Err(Hitch::Source(error));
        }
    };
    let work = move || {
        let now = clock::now_ms();
        let done = match next {
            Err(hitch) => Err(hitch),
            Ok(Next::Piece(piece)) => match copy.copy_blocking(&piece, log_start, now) {
                Err(CopyError::DoesNotFit(at)) => {
                    tracing::warn!("a copy begins anew: it does not fit at {at}");
                    let begun = copy.begin_copy_at(log_start, now);
                    begun.map(|()| Done::BegunAnew).map_err(Hitch::from)
                }
                other => other.map(Done::Copied).map_err(Hitch::from),
            },
            Ok(Next::BeginAt(start)) => {
                let begun = copy.begin_copy_at(start, now);
                begun.map(|()| Done::BegunAnew).map_err(Hitch::from)
            }
            Ok(Next::Nothing | Next::Read(_)) => Ok(Done::Copied(0)),
        };
        (copy, done)
    };
    let (copy, done) = match haste {
        Haste::None => shard.moves.helpers(&shard.node).run(work).await,
        Haste::WritersWait => ring::offload(work).await,
    };
    one.put_back(shard, copy);
    match done? {
        Done::BegunAnew => Ok(Step::Behind),
        Done::Copied(bytes) => {
            shard.node.move_pace.took(bytes);
            // A step may be little because steps or segments are small.
            let is_there = Some(one.seen.borrow().end) >= goal;
            Ok(match bytes > CLOSE_BYTES || (bytes > 0 && !is_there) {
                true => Step::Behind,
                false => Step::Close,
            })
        }
    }
}

/// What a copy needs next.
enum Next {
    /// It has all.
    Nothing,
    /// To be found in the log's files.
    Read(CopyRead),
    /// These batches, or a gap at the log's end.
    Piece(CopyPiece),
    /// The log begins behind the copy's end.
    BeginAt(Offset),
}

fn plan(shard: &Shard, one: &Move, copy: &mut Log) -> Result<Next, Hitch> {
    let log = one.partition.log().map_err(Hitch::Source)?;
    let end = copy.log_end_offset();
    if !std::sync::Arc::ptr_eq(copy.config(), log.config()) {
        copy.set_config(log.config().clone());
    }
    if end == log.log_end_offset() {
        return Ok(Next::Nothing);
    }
    let config = log.config();
    let bytes_max = shard.live().replica_fetch_max_bytes;
    match log.read_for_copy(end, bytes_max.clamp(1, config.segment_bytes_max)) {
        Ok(read) => Ok(Next::Read(read)),
        Err(ReadError::OffsetOutOfRange { log_start, .. }) => Ok(Next::BeginAt(log_start)),
    }
}

/// A copy of an earlier process must be of what the log had when it was opened again: a power loss may
/// have taken the log's end, and the log may have been compacted without the copy's being there.
async fn check_found(shard: &Rc<Shard>, one: &Move, log_end: Offset) -> Result<(), Hitch> {
    let helpers = shard.moves.helpers(&shard.node);
    let Some(mut copy) = one.take() else {
        return Ok(());
    };
    let cut = move || {
        let cut = copy.cut_copy_at(log_end, clock::now_ms());
        (copy, cut)
    };
    let (mut copy, cut) = helpers.run(cut).await;
    let is_of_log = match cut {
        Ok(()) => is_of_log(one, &copy).await,
        Err(error) => Err(error.into()),
    };
    let start = one.partition.log().map(|log| log.log_start_offset());
    let done = match (is_of_log, start) {
        (Ok(true), _) => Ok(()),
        (Err(hitch), _) => Err(hitch),
        (Ok(false), Err(error)) => Err(Hitch::Source(error)),
        (Ok(false), Ok(start)) => {
            tell(one, "is copied from its start");
            let begin = move || {
                let begun = copy.begin_copy_at(start, clock::now_ms());
                (copy, begun.map_err(Hitch::from))
            };
            let (back, begun) = helpers.run(begin).await;
            copy = back;
            begun
        }
    };
    one.put_back(shard, copy);
    done
}

/// Whether the copy's last batch is in the log as well, and both were compacted as far.
async fn is_of_log(one: &Move, copy: &Log) -> Result<bool, Hitch> {
    let last = copy.log_end_offset() - 1;
    let there = header_of(copy, last);
    let here = {
        let log = one.partition.log().map_err(Hitch::Source)?;
        let same = copy.cleaned_to() == log.cleaned_to();
        header_of(&log, last).filter(|_| same)
    };
    let (Some(there), Some(here)) = (there, here) else {
        return Ok(false);
    };
    let there = there.run().await?.bytes().await?;
    let here = here.run().await?.bytes().await?;
    Ok(there.len() == HEADER_BYTES as usize && there[..] == here[..])
}

fn header_of(log: &Log, offset: Offset) -> Option<Read> {
    let from = ReadFrom {
        offset,
        upper_bound: log.log_end_offset(),
        bytes_max: HEADER_BYTES,
        min_one_batch: false,
    };
    log.read(from).ok()
}

/// Holds the writers back, and puts the copy in the log's place.
async fn put_in_place(shard: &Rc<Shard>, one: &Move) -> Result<(), Hitch> {
    let Some(held) = one.partition.hold().await else {
        return Ok(()); // The partition is given up, and so will be the move.
    };
    let began = ring::timer::now();
    let end = held.log().log_end_offset();
    loop {
        let copied_to = one.seen.borrow().end;
        if copied_to == end {
            break;
        }
        if copy_step(shard, one, Haste::WritersWait).await? == Step::Over {
            return Ok(());
        }
        if one.seen.borrow().end == copied_to {
            return Err(Hitch::Gap(copied_to));
        }
    }
    let Some(copy) = one.take() else {
        return Ok(());
    };
    let (copy, durable) = make_durable(&held, copy).await;
    if let Err(error) = durable {
        one.put_back(shard, copy);
        return Err(error.into());
    }
    let from = shard.node.directories.id_of(&held.log());
    let exchange = held.log().start_exchange(&copy);
    match ring::offload(move || exchange.run_blocking()).await {
        Ok(exchanged) => {
            let (old, removal) = held.put_in_place(copy, exchanged);
            one.done();
            let held_ms = (ring::timer::now() - began).as_secs_f64() * 1000.0;
            tell(
                one,
                &format!("has moved (writers were held back for {held_ms:.1} ms)"),
            );
            shard.node.directories.forget(from);
            ring::spawn(async move {
                ring::offload_unhurried(move || drop(old)).await;
                removal.run().await;
            });
            Ok(())
        }
        Err(error) => {
            if matches!(error, ExchangeError::HalfDone(_)) {
                held.log().lost_its_name(&error);
            }
            one.put_back(shard, copy);
            Err(error.into())
        }
    }
}

/// What is durable of the log has to be durable of the copy.
async fn make_durable(held: &Held, mut copy: Log) -> (Log, Result<(), AppendError>) {
    if copy.recovery_point() >= held.log().recovery_point() {
        return (copy, Ok(()));
    }
    ring::offload_slow(move || {
        let flushed = copy.flush_blocking();
        (copy, flushed)
    })
    .await
}

/// The metadata says from now on that the replica is in `directory`.
async fn assign(shard: &Rc<Shard>, one: &Move, directory: Uuid) -> Result<(), Refusal> {
    let broker = shard.node.broker_id;
    let of = Of {
        topic: one.partition.key.topic_id,
        index: one.partition.key.partition,
    };
    let place = [Place { of, directory }];
    let change = Change::new(move |image| Ok(directories::assign(image, broker, &place)));
    shard.ask(METADATA_SHARD, change).await
}

/// A move that ended before its time may have said where the replica would be.
async fn settle_assignment(shard: &Rc<Shard>, one: &Move) {
    let key = one.partition.key;
    let image = shard.image();
    let topic = image.topic_by_id(key.topic_id);
    let partition = topic.and_then(|topic| topic.partition(key.partition));
    let said = partition.and_then(|found| directories::directory_of(found, shard.node.broker_id));
    let is_in = match one.partition.log() {
        Ok(log) => shard.node.directories.id_of(&log),
        Err(_) => return,
    };
    let is_moving_on = shard.moves.find(&key).is_some();
    if (said == Some(one.to) || is_in == one.to)
        && said != Some(is_in)
        && !is_moving_on
        && let Err(refusal) = assign(shard, one, is_in).await
    {
        let reason = refusal.code.name();
        tracing::warn!("the metadata does not say in which directory a log is: {reason}");
    }
}
