//! Opening a log: settle leftovers, recover what may be damaged, find the log's end, and load what
//! is kept in memory.
//!
//! Blocking: start-up code and `ring::offload`. After a clean stop no batch is read but those after
//! the last index entry; after an unclean one every segment from the recovery point on is checked
//! (`repair`).

use crate::active_index::ActiveIndex;
use crate::active_segment::{ActiveSegment, Age, Start};
use crate::atomic_file;
use crate::checkpoint;
use crate::config::LogConfig;
use crate::directory_health::DirectoryHealth;
use crate::disk;
use crate::file_name::{self, FileName, Kind, Stage};
use crate::hot_tail::HotTail;
use crate::index_entry::{OffsetEntry, floor_position};
use crate::index_map::IndexMap;
use crate::index_repair::Batches;
use crate::index_rule::IndexRule;
use crate::last_batch::{first_timestamp, last_batch};
use crate::leader_epochs::LeaderEpochs;
use crate::leftovers;
use crate::log::{FlushState, Log, Segments, Snapshots};
use crate::open_error::OpenError;
use crate::partition_files;
use crate::partition_name::TopicPartition;
use crate::producer_load::Replay;
use crate::removal::Removal;
use crate::repair::Extent;
use crate::reserve::Reserve;
use crate::roll;
use crate::sealed_segment::{Lengths, SealedSegment};
use protocol::ids::{Offset, Position, TimestampMs};
use ring::file::File;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a log is, and what the log directory's checkpoints say of it.
#[derive(Clone, Debug)]
pub(crate) struct LoadFrom {
    pub(crate) directory: PathBuf,
    pub(crate) topic_partition: TopicPartition,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) log_start: Offset,
    pub(crate) recovery_point: Offset,
    /// The log was closed properly.
    pub(crate) clean: bool,
    /// Offsets may be missing between segments: the log is or was compacted, or nobody knows.
    pub(crate) may_have_gaps: bool,
    pub(crate) now: TimestampMs,
    /// Of the log directory.
    pub(crate) health: Arc<DirectoryHealth>,
}

/// A segment's files on disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnDisk {
    pub(crate) log: Option<u64>,
    pub(crate) offset_index: Option<u64>,
    pub(crate) time_index: Option<u64>,
    pub(crate) txn_index: u64,
}

/// A log on its way to being open.
pub(crate) struct Loader {
    pub(crate) from: LoadFrom,
    pub(crate) directory: Arc<Path>,
    pub(crate) segments: BTreeMap<Offset, OnDisk>,
    pub(crate) snapshots: Vec<Offset>,
    pub(crate) epochs: LeaderEpochs,
    /// Checked from here on: not known to be durable.
    pub(crate) recovered_from: Option<Offset>,
    /// Transactions end in what was checked.
    pub(crate) recovered_markers: bool,
    /// The files of segments that were taken out of the log.
    pub(crate) set_aside: Vec<PathBuf>,
    /// A segment was made.
    made_files: bool,
}

impl Log {
    /// Opens the log in a directory, or begins one there.
    pub(crate) fn load(from: LoadFrom) -> Result<Self, OpenError> {
        let directory: Arc<Path> = from.directory.as_path().into();
        disk::make_directories(&directory).map_err(OpenError::at(&directory))?;
        let files = leftovers::settle(&directory).map_err(OpenError::at(&directory))?;
        let epochs_path = directory.join(partition_files::EPOCHS);
        let stored =
            checkpoint::read_sound_epochs(&epochs_path).map_err(OpenError::at(&epochs_path))?;
        let entries = stored.clone().unwrap_or_default();
        let mut loader = Loader {
            from,
            directory,
            segments: BTreeMap::new(),
            snapshots: Vec::new(),
            epochs: LeaderEpochs::from_checkpoint(&entries),
            recovered_from: None,
            recovered_markers: false,
            set_aside: Vec::new(),
            made_files: false,
        };
        loader.take_stock(files, Offset(i64::MIN))?;
        loader.repair_indexes()?;
        loader.check_txn_indexes()?;
        if stored.is_none() {
            loader.recover_from(Offset::ZERO, Extent::ToLogEnd, Offset::ZERO)?;
        } else if !loader.from.clean {
            loader.recover()?;
        }
        let mut log = loader.finish()?;
        log.epochs_dirty = log.epochs.entries() != entries;
        Ok(log)
    }
}

impl Loader {
    pub(crate) fn path(&self, base_offset: Offset, kind: Kind) -> PathBuf {
        file_name::path(&self.directory, base_offset, kind)
    }

    /// Looks again which files there are from an offset on: of very many segments, most have not
    /// changed.
    pub(crate) fn list_from(&mut self, first: Offset) -> Result<(), OpenError> {
        let files = leftovers::list(&self.directory).map_err(OpenError::at(&self.directory))?;
        self.take_stock(files, first)
    }

    fn take_stock(&mut self, files: Vec<FileName>, first: Offset) -> Result<(), OpenError> {
        self.segments.split_off(&first);
        self.snapshots.retain(|at| *at < first);
        for FileName {
            base_offset,
            kind,
            stage,
        } in files
        {
            if stage != Stage::Settled || base_offset < first {
                continue;
            }
            if kind == Kind::Snapshot {
                self.snapshots.push(base_offset);
                continue;
            }
            let path = self.path(base_offset, kind);
            let bytes = disk::metadata(&path).map_err(OpenError::at(&path))?.len();
            let segment = self.segments.entry(base_offset).or_default();
            match kind {
                Kind::Log => segment.log = Some(bytes),
                Kind::OffsetIndex => segment.offset_index = Some(bytes),
                Kind::TimeIndex => segment.time_index = Some(bytes),
                Kind::TxnIndex => segment.txn_index = bytes,
                Kind::Snapshot => unreachable!("it is no file of the segment's"),
            }
        }
        let orphans = self.segments.extract_if(.., |_, s| s.log.is_none());
        for (base_offset, _) in orphans.collect::<Vec<_>>() {
            for kind in [Kind::OffsetIndex, Kind::TimeIndex, Kind::TxnIndex] {
                let path = self.path(base_offset, kind);
                atomic_file::remove(&path).map_err(OpenError::at(&path))?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Log, OpenError> {
        let (mut active, log_end) = self.open_end()?;
        let (&first_base, _) = self.segments.first_key_value().expect("one is open");
        let log_start = self.from.log_start.max(first_base);
        self.epochs.truncate_from_end(log_end);
        self.epochs.truncate_from_start(self.from.log_start);
        let in_directory = OpenError::at(&self.directory);
        let (snapshots, producers) = self
            .load_producers(&active, (log_start, log_end))
            .map_err(in_directory)?;
        if self.recovered_markers {
            self.list_from(self.recovered_from.unwrap_or(Offset(i64::MIN)))?;
            active.txn_index_bytes = self.segments[&active.base_offset].txn_index as usize;
        }
        let sealed = self.sealed()?;
        let recovery_point = match self.from.clean {
            true => log_end,
            false => self.from.recovery_point.min(log_end),
        };
        let flush = self.flush_state(&sealed);
        let delay_ms = self.from.config.file_delete_delay_ms;
        let set_aside = Some(self.set_aside).filter(|files| !files.is_empty());
        let set_aside = set_aside.map(|files| Removal::of_files(files, delay_ms));
        let topic_id = partition_files::read_topic_id(&self.directory)
            .map_err(OpenError::at(&self.directory))?;
        Ok(Log {
            topic_partition: self.from.topic_partition,
            topic_id,
            directory: self.directory,
            config: self.from.config,
            segments: Segments {
                sealed: Arc::new(sealed),
                active,
            },
            log_start,
            log_end,
            recovery_point: recovery_point.max(log_start),
            epochs: self.epochs,
            epochs_dirty: false,
            producers,
            snapshots,
            queue: Default::default(),
            in_flight: None,
            spare: Default::default(),
            flush,
            read_ends: Arc::default(),
            compaction: Default::default(),
            set_aside,
            health: self.from.health,
        })
    }

    /// Opens the last segment, once it is known that the log does not end before it begins.
    fn open_end(&mut self) -> Result<(ActiveSegment, Offset), OpenError> {
        let (active, log_end) = self.open_last()?;
        let from = &self.from;
        if from.clean && log_end < from.recovery_point {
            tracing::warn!(
                file = %self.path(active.base_offset, Kind::Log).display(), %log_end,
                recovery_point = %from.recovery_point,
                "damaged: the end of the log is missing though the last stop was clean"
            );
        }
        if log_end >= from.log_start {
            return Ok((active, log_end));
        }
        tracing::warn!(
            partition = %from.topic_partition, %log_end, log_start = %from.log_start,
            "the log ends before its start offset; beginning it anew there"
        );
        let bases: Vec<Offset> = self.segments.keys().copied().collect();
        self.set_aside(&bases, "before the log's start")?;
        self.epochs.clear();
        self.open_last()
    }

    /// What the first flush has to make durable: all that was recovered, and new names.
    fn flush_state(&self, sealed: &[Arc<SealedSegment>]) -> FlushState {
        let unsynced = self.recovered_from.map(|first| {
            let recovered = sealed.iter().filter(|s| s.base_offset >= first);
            recovered.cloned().collect()
        });
        FlushState {
            in_flight: None,
            unsynced: unsynced.unwrap_or_default(),
            new_names: self.made_files || self.recovered_from.is_some(),
        }
    }

    fn load_producers(
        &self,
        active: &ActiveSegment,
        (log_start, log_end): (Offset, Offset),
    ) -> std::io::Result<(Snapshots, crate::producer_table::ProducerTable)> {
        let length = |on_disk: &OnDisk| u32::try_from(on_disk.log.unwrap_or(0)).unwrap_or(u32::MAX);
        let mut segments: Vec<_> = self
            .segments
            .iter()
            .map(|(base, s)| (*base, Position(length(s))))
            .collect();
        *segments.last_mut().expect("there is a segment") = (active.base_offset, active.end);
        let bases: Vec<Offset> = segments.iter().map(|(base, _)| *base).collect();
        let found = self.snapshots.iter().copied();
        let mut snapshots = Snapshots::without_strays(&self.directory, found, &bases)?;
        let replay = Replay {
            directory: &self.directory,
            segments: &segments,
            log_start,
            log_end,
            now: self.from.now,
            expiration_ms: self.from.config.producer_expiration_ms,
            rebuild_from: self.recovered_from.filter(|_| self.recovered_markers),
        };
        let producers = replay.load(&mut snapshots, self.from.clean && !self.recovered_markers)?;
        Ok((snapshots, producers))
    }

    /// Opens the last segment for writing, and finds the log's end. Makes a segment if there is
    /// none.
    fn open_last(&mut self) -> Result<(ActiveSegment, Offset), OpenError> {
        let Some((&base, _)) = self.segments.last_key_value() else {
            let base = self.from.log_start;
            let file = roll::make_segment(&self.directory, base)
                .map_err(OpenError::at(&self.path(base, Kind::Log)))?;
            self.segments.insert(
                base,
                OnDisk {
                    log: Some(0),
                    ..OnDisk::default()
                },
            );
            self.made_files = true;
            let file = File::from_std(file);
            return Ok((
                ActiveSegment::new(base, file, self.from.now, &self.from.config),
                base,
            ));
        };
        let path = self.path(base, Kind::Log);
        if let Some(opened) = open_active(&self.directory, base, &self.from.config, self.from.now)?
            && is_last_time_right(&opened.0, &self.path(base, Kind::OffsetIndex))
                .map_err(OpenError::at(&path))?
        {
            return Ok(opened);
        }
        tracing::warn!(segment = %path.display(), "the last segment is damaged; checking it");
        self.recover_from(base, Extent::OneSegment, Offset::ZERO)?;
        open_active(&self.directory, base, &self.from.config, self.from.now)?.ok_or_else(|| {
            OpenError::at(&path)(std::io::Error::other("still damaged after its recovery"))
        })
    }

    fn sealed(&self) -> Result<Vec<Arc<SealedSegment>>, OpenError> {
        let count = self.segments.len() - 1;
        let sealed = self.segments.iter().take(count).map(|(base, on_disk)| {
            let log = on_disk.log.unwrap_or(0);
            let log = u32::try_from(log).map_err(|_| {
                let error = std::io::Error::other("a segment of more than 4 GiB");
                OpenError::at(&self.path(*base, Kind::Log))(error)
            })?;
            let lengths = Lengths {
                log: Position(log),
                offset_index: on_disk.offset_index.unwrap_or(0) as usize,
                time_index: on_disk.time_index.unwrap_or(0) as usize,
                txn_index: on_disk.txn_index as usize,
            };
            let interval = self.from.config.index_interval_bytes;
            Ok(Arc::new(SealedSegment::new(
                self.directory.clone(),
                *base,
                lengths,
                interval,
            )))
        });
        sealed.collect()
    }
}

/// Whether the last time entry is borne out by its batch: all that is written later builds on it, and
/// retention goes by it.
fn is_last_time_right(active: &ActiveSegment, offset_index: &Path) -> io::Result<bool> {
    let Some(last) = active.time_index.last() else {
        return Ok(true);
    };
    let offset = active.base_offset + i64::from(last.relative_offset);
    let start = match active.start_of(offset) {
        Start::At(floor) => floor.position,
        Start::InFile => match active.index_in_file.map::<OffsetEntry>(offset_index)? {
            Some(entries) => floor_position(&entries, last.relative_offset),
            None => return Ok(false),
        },
    };
    let batches = Batches {
        file: &active.file,
        base_offset: active.base_offset,
        end: active.end,
    };
    batches.bear_out_time(&last, start)
}

/// Opens a segment for writing; also gives the offset after its last batch. `None` if its indexes
/// or its last batches are not sound.
pub(crate) fn open_active(
    directory: &Path,
    base: Offset,
    config: &LogConfig,
    now: TimestampMs,
) -> Result<Option<(ActiveSegment, Offset)>, OpenError> {
    let path = file_name::path(directory, base, Kind::Log);
    let read_index = |kind| {
        let path = file_name::path(directory, base, kind);
        disk::read(&path).map_err(OpenError::at(&path))
    };
    let bytes_max = config.index_bytes_max;
    let offsets = read_index(Kind::OffsetIndex)?;
    let times = read_index(Kind::TimeIndex)?;
    let indexes =
        ActiveIndex::from_file(&offsets, bytes_max).zip(ActiveIndex::from_file(&times, bytes_max));
    let Some((offset_index, time_index)) = indexes else {
        return Ok(None);
    };
    let file = disk::open(OpenOptions::new().read(true).write(true), &path)
        .map_err(OpenError::at(&path))?;
    let length = disk::length(&file).map_err(OpenError::at(&path))?;
    let Ok(length) = u32::try_from(length) else {
        return Ok(None);
    };
    let newest = offset_index.last();
    let Some(last) =
        last_batch(&file, newest, base, Position(length)).map_err(OpenError::at(&path))?
    else {
        return Ok(None);
    };
    let txn_index = file_name::path(directory, base, Kind::TxnIndex);
    // To take one that cannot be looked at for none would be to serve what was aborted.
    let txn_index_bytes = match disk::metadata(&txn_index) {
        Ok(found) => found.len() as usize,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(OpenError::at(&txn_index)(error)),
    };
    let first = first_timestamp(&file, Position(length)).map_err(OpenError::at(&path))?;
    let rule = IndexRule::new(base, config.index_interval_bytes).resume(time_index.last());
    let active = ActiveSegment {
        base_offset: base,
        file: File::from_std(file),
        end: Position(length),
        index_in_file: Arc::new(IndexMap::new(offset_index.bytes_only_in_file())),
        index_doubt: Arc::default(),
        offset_index,
        time_index,
        rule,
        age: Age {
            first_timestamp: first,
            ..Age::new(now, config)
        },
        txn_index_bytes,
        tail: HotTail::default(),
        reserve: Reserve::new(u64::from(length)),
    };
    let next = last.map_or(base, |batch| batch.last_offset.next());
    Ok(Some((active, next)))
}
