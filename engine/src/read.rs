//! Reading: from an offset to a slice of a segment's file.
//!
//! Near the end of the log, and where an earlier read ended, the answer is in memory
//! ([`Read::Ready`]). Otherwise the read becomes a plan that owns what it needs: the segment's
//! index gives a place before the batch, and a walk over headers finds it, without blocking while
//! the pages are cached and through the ring when they are not. Never more than one segment, and
//! never beyond the upper bound.

use crate::active_segment::Start;
use crate::batch_walk::{BLOCK_BYTES, Located, Step, Walk};
use crate::disk;
use crate::index_entry::{Floor, boundary_before, floor, relative_to_search};
use crate::index_map::IndexMap;
use crate::index_repair;
use crate::log::Log;
use crate::log_slice::LogSlice;
use crate::read_ends::{ReadEnd, ReadEnds};
use crate::sealed_segment::SealedSegment;
use protocol::batch::BATCH_OVERHEAD;
use protocol::error::ErrorCode;
use protocol::ids::{Offset, Position};
use ring::buffer::Buffer;
use ring::file::File;
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Keeps the sum of a position and a length within 32 bits.
const REACH_MAX: u32 = u32::MAX >> 1;

/// What is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFrom {
    /// The first record wanted. The slice begins with the batch that holds it.
    pub offset: Offset,
    /// Records from here on are not for this reader: the high watermark, the last stable offset or
    /// the log's end.
    pub upper_bound: Offset,
    /// How many bytes at most.
    pub bytes_max: u32,
    /// The first batch is given even if it is larger than that.
    pub min_one_batch: bool,
}

/// Why a read is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log.
    #[error("offset {offset} is not within the log, [{log_start}, {log_end}]")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The log's first offset.
        log_start: Offset,
        /// The log's end.
        log_end: Offset,
    },
}

impl ReadError {
    /// The code a client is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        }
    }
}

/// A read that was accepted.
#[derive(Debug)]
pub enum Read {
    /// Answered from memory.
    Ready(LogSlice),
    /// To be found in the file.
    Pending(Box<PendingRead>),
}

/// A read that has to look into the file.
#[derive(Debug)]
pub struct PendingRead {
    from: ReadFrom,
    log_end: Offset,
    sealed: Arc<Vec<Arc<SealedSegment>>>,
    /// The place of the segment to begin with; beyond the last sealed one, it is the active one.
    at: usize,
    active: ActiveView,
    ends: Arc<ReadEnds>,
}

/// The active segment as it was when the read was accepted.
#[derive(Debug)]
struct ActiveView {
    base_offset: Offset,
    file: File,
    end: Position,
    offset_index: PathBuf,
    index_in_file: Arc<IndexMap>,
    index_doubt: Arc<AtomicBool>,
    start: Start,
    /// Where to begin looking for the upper bound.
    bound: Start,
    /// A batch begins here, at most `bytes_max` after `start`.
    boundary: Option<Position>,
}

/// One segment, on the way to an answer.
struct Place {
    base: Offset,
    /// Where the next segment begins, or the log ends.
    next_base: Offset,
    file: File,
    end: Position,
    boundary: Option<Position>,
}

impl Log {
    /// Finds what there is to read.
    pub fn read(&self, from: ReadFrom) -> Result<Read, ReadError> {
        let (offset, log_start, log_end) = (from.offset, self.log_start, self.log_end);
        if offset < log_start || offset > log_end {
            return Err(ReadError::OffsetOutOfRange {
                offset,
                log_start,
                log_end,
            });
        }
        let from = ReadFrom {
            upper_bound: from.upper_bound.min(log_end),
            ..from
        };
        if offset >= from.upper_bound {
            return Ok(Read::Ready(LogSlice::empty(
                self.segments.active.file.clone(),
            )));
        }
        if let Some(slice) = self.read_tail(&from).or_else(|| self.read_on(&from)) {
            return Ok(Read::Ready(slice));
        }
        Ok(Read::Pending(Box::new(self.plan_read(from))))
    }

    fn read_tail(&self, from: &ReadFrom) -> Option<LogSlice> {
        let active = &self.segments.active;
        let first = active.tail.batch_with(from.offset)?;
        let limit = match active.tail.batch_with(from.upper_bound) {
            Some(bound) if from.upper_bound < self.log_end => bound.position,
            _ => active.end,
        };
        let bytes = wanted_bytes(from, first.position, first.bytes, limit);
        let mut slice = LogSlice {
            file: active.file.clone(),
            position: u64::from(first.position.0),
            len: bytes,
            first_batch_incomplete: bytes > 0 && bytes < first.bytes,
            segment_end: self.log_end,
        };
        let boundary = active.tail.boundary_before(first.position + bytes);
        if let Some(boundary) = boundary.filter(|b| *b > first.position) {
            slice.len = boundary - first.position;
        }
        Some(slice)
    }

    /// Goes on where an earlier read ended, if no bound is in the way.
    fn read_on(&self, from: &ReadFrom) -> Option<LogSlice> {
        let ReadEnd {
            segment: base,
            batch: first,
            ..
        } = self.read_ends.find(from.offset)?;
        let at = self.segments.floor(from.offset);
        let next_base = self.segments.next_base(at).unwrap_or(self.log_end);
        if from.upper_bound < next_base {
            return None;
        }
        let reach = first.position + from.bytes_max.min(REACH_MAX);
        let place = match self.segments.sealed.get(at) {
            Some(segment) => Place {
                base: segment.base_offset,
                next_base,
                file: segment.open_file()?,
                end: segment.end,
                boundary: segment.boundary_before(reach),
            },
            None => Place {
                base: self.segments.active.base_offset,
                next_base,
                file: self.segments.active.file.clone(),
                end: self.segments.active.end,
                boundary: self.segments.active.boundary_before(reach),
            },
        };
        if place.base != base {
            return None;
        }
        let limit = place.end;
        Some(cut(from, place, &first, limit, &self.read_ends))
    }

    fn plan_read(&self, from: ReadFrom) -> PendingRead {
        let active = &self.segments.active;
        let start = active.start_of(from.offset);
        let boundary = match start {
            Start::At(floor) => {
                active.boundary_before(floor.position + from.bytes_max.min(REACH_MAX))
            }
            Start::InFile => None,
        };
        PendingRead {
            from,
            log_end: self.log_end,
            sealed: self.segments.sealed.clone(),
            at: self.segments.floor(from.offset),
            active: ActiveView {
                base_offset: active.base_offset,
                file: active.file.clone(),
                end: active.end,
                offset_index: self.path_of_active_index(),
                index_in_file: active.index_in_file.clone(),
                index_doubt: active.index_doubt.clone(),
                start,
                bound: active.start_of(from.upper_bound),
                boundary,
            },
            ends: self.read_ends.clone(),
        }
    }

    fn path_of_active_index(&self) -> PathBuf {
        use crate::file_name::{Kind, path};
        path(
            &self.directory,
            self.segments.active.base_offset,
            Kind::OffsetIndex,
        )
    }
}

impl Read {
    /// The slice.
    pub async fn run(self) -> io::Result<LogSlice> {
        match self {
            Self::Ready(slice) => Ok(slice),
            Self::Pending(read) => read.run().await,
        }
    }
}

impl PendingRead {
    /// Finds the slice in the file.
    pub async fn run(self) -> io::Result<LogSlice> {
        let from = &self.from;
        for at in self.at..=self.sealed.len() {
            let place = self.place(at).await?;
            let limit = self.limit(at, &place).await?;
            let Some(first) = self.find_in(at, &place, from.offset).await? else {
                continue;
            };
            let place = self.with_boundary(at, place, &first);
            return Ok(cut(from, place, &first, limit, &self.ends));
        }
        Ok(LogSlice::empty(self.active.file))
    }

    async fn place(&self, at: usize) -> io::Result<Place> {
        let Some(segment) = self.sealed.get(at) else {
            let active = &self.active;
            return Ok(Place {
                base: active.base_offset,
                next_base: self.log_end,
                file: active.file.clone(),
                end: active.end,
                boundary: active.boundary,
            });
        };
        let next = self.sealed.get(at + 1);
        Ok(Place {
            base: segment.base_offset,
            next_base: next.map_or(self.active.base_offset, |next| next.base_offset),
            file: segment.file().await?,
            end: segment.end,
            boundary: None,
        })
    }

    /// The first batch of a segment that ends at or after an offset. If the index is wrong about
    /// where to begin, it is repaired first.
    async fn find_in(
        &self,
        at: usize,
        place: &Place,
        offset: Offset,
    ) -> io::Result<Option<Located>> {
        let floor = self.floor(at, offset).await?;
        match find_from(&floor, place, offset).await? {
            Found::Batch(batch) => return Ok(batch),
            Found::OtherThanIndexed => {}
        }
        let anew = match self.sealed.get(at) {
            Some(segment) => {
                let segment = segment.clone();
                disk::offload(move || segment.floor_anew_blocking(offset, &floor)).await?
            }
            None => {
                index_repair::doubt(&self.active.index_doubt, &self.active.offset_index);
                Floor::BEGINNING
            }
        };
        let walk = Walk::new(anew.position, place.end);
        find(&place.file, walk, |b| b.last_offset >= offset).await
    }

    async fn floor(&self, at: usize, offset: Offset) -> io::Result<Floor> {
        match self.sealed.get(at) {
            Some(segment) => segment.floor(offset).await,
            None if offset == self.from.offset => self.resolve(&self.active.start, offset).await,
            None => self.resolve(&self.active.bound, offset).await,
        }
    }

    /// Knows the first batch, so knows better up to where whole batches can be given.
    fn with_boundary(&self, at: usize, place: Place, first: &Located) -> Place {
        let reach = first.position + self.from.bytes_max.min(REACH_MAX);
        match self.sealed.get(at) {
            Some(segment) => Place {
                boundary: segment.boundary_before(reach),
                ..place
            },
            None => {
                let mapped = self.active.index_in_file.entries();
                let known = mapped.and_then(|entries| boundary_before(&entries, reach));
                let boundary = place.boundary.max(known);
                Place { boundary, ..place }
            }
        }
    }

    /// Up to where the segment may be read.
    async fn limit(&self, at: usize, place: &Place) -> io::Result<Position> {
        let bound = self.from.upper_bound;
        if bound >= place.next_base {
            return Ok(place.end);
        }
        let beyond = self.find_in(at, place, bound).await?;
        Ok(beyond.map_or(place.end, |batch| batch.position))
    }

    /// Where a look-up in the active segment begins.
    async fn resolve(&self, start: &Start, offset: Offset) -> io::Result<Floor> {
        if let Start::At(floor) = start {
            return Ok(*floor);
        }
        let index = &self.active.index_in_file;
        if index.entries().is_none() {
            let (index, path) = (index.clone(), self.active.offset_index.clone());
            disk::offload(move || map_index(&index, &path)).await?;
        }
        let target = relative_to_search(offset, self.active.base_offset);
        let entries = index.entries();
        Ok(entries.map_or(Floor::BEGINNING, |entries| floor(&entries, target)))
    }
}

/// Maps the part of the active segment's index that is not in memory. If the file is not what was
/// written there, or is gone because the log went to another directory, the walk begins at the
/// segment's start: slow, and right.
fn map_index(index: &IndexMap, path: &Path) -> io::Result<()> {
    let mapped = match index.map::<crate::index_entry::OffsetEntry>(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        mapped => mapped?,
    };
    if mapped.is_none() {
        tracing::warn!(index = %path.display(), "index is damaged; reading without it");
        index.set_rebuilt(Vec::new());
    }
    Ok(())
}

/// The slice from `first` on, and a note of where it ends.
fn cut(
    from: &ReadFrom,
    place: Place,
    first: &Located,
    limit: Position,
    ends: &ReadEnds,
) -> LogSlice {
    let bytes = wanted_bytes(from, first.position, first.bytes, limit);
    let mut slice = LogSlice {
        file: place.file,
        position: u64::from(first.position.0),
        len: bytes,
        first_batch_incomplete: bytes > 0 && bytes < first.bytes,
        segment_end: place.next_base,
    };
    let end = first.position + bytes;
    // End with a whole batch where that costs little: the reader throws the rest away.
    let boundary = place.boundary.filter(|b| *b >= first.end() && *b <= end);
    if let Some(boundary) = boundary.filter(|b| end < limit && end - *b <= bytes / 8) {
        slice.len = boundary - first.position;
        ends.note(&slice.file, place.base, boundary);
    }
    slice
}

/// How many bytes from a batch on are wanted and allowed.
fn wanted_bytes(from: &ReadFrom, first: Position, first_bytes: u32, limit: Position) -> u32 {
    let least = if from.min_one_batch { first_bytes } else { 0 };
    let allowed = limit.0.saturating_sub(first.0);
    from.bytes_max.max(least).min(allowed)
}

/// What a look-up that began at an entry of the index has found.
enum Found {
    /// The batch that was looked for, if there is one.
    Batch(Option<Located>),
    /// Not the batch that the entry means.
    OtherThanIndexed,
}

/// Walks from a floor to the first batch that ends at or after an offset.
async fn find_from(floor: &Floor, place: &Place, offset: Offset) -> io::Result<Found> {
    let first = Cell::new(None);
    let is_borne_out = |batch: &Located| floor.is_borne_out(batch.last_offset, place.base);
    let is_wanted = |batch: &Located| {
        if first.get().is_none() {
            first.set(Some(*batch));
            return !is_borne_out(batch) || batch.last_offset >= offset;
        }
        batch.last_offset >= offset
    };
    let walk = Walk::new(floor.position, place.end);
    let found = find(&place.file, walk, is_wanted).await;
    let is_damaged = found
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
    let is_other = match first.get() {
        None => is_damaged || found.is_ok(),
        // Much looks like a message of the old formats; hardly two of them in a row.
        Some(batch) => !is_borne_out(&batch) || (is_damaged && batch.header.is_none()),
    };
    match is_other && *floor != Floor::BEGINNING {
        true => Ok(Found::OtherThanIndexed),
        false => found.map(Found::Batch),
    }
}

/// Walks to the first batch that `wanted` accepts, reading without blocking where it can.
async fn find(
    file: &File,
    mut walk: Walk,
    wanted: impl Fn(&Located) -> bool,
) -> io::Result<Option<Located>> {
    let mut step = walk.begin();
    loop {
        step = match find_cached(file, &mut walk, step, &wanted)? {
            Step::Found(batch) => return Ok(Some(batch)),
            Step::End => return Ok(None),
            Step::Want(position, bytes) => {
                let buffer = Buffer::with_capacity(bytes);
                let position = u64::from(position.0);
                let block = disk::read_in_ring(file, buffer, bytes, position).await?;
                walk.look(&block, &wanted)
                    .map_err(|what| disk::invalid(file, what))?
            }
        }
    }
}

/// The part of the walk that needs no waiting: up to the answer, or to what is not cached.
fn find_cached(
    file: &File,
    walk: &mut Walk,
    mut step: Step,
    wanted: impl Fn(&Located) -> bool,
) -> io::Result<Step> {
    let mut block = [0; BLOCK_BYTES];
    while let Step::Want(position, bytes) = step {
        let read = disk::try_read_at(file, &mut block[..bytes], u64::from(position.0))?;
        match read {
            Some(read) if read >= bytes.min(BATCH_OVERHEAD) => {
                let looked = walk.look(&block[..read], &wanted);
                step = looked.map_err(|what| disk::invalid(file, what))?;
            }
            _ => return Ok(step),
        }
    }
    Ok(step)
}
