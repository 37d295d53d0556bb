//! Failures that tests inject: into the next write of the ring's path (`inject`), or into any call
//! of `disk` (`watch`). Absent outside tests.
//!
//! Per thread. While a disk is watched, every call is counted; one of them fails once, or is the
//! last that happens. What a power loss would leave is kept track of: a file's content and a
//! directory's names as of their last sync.

use bytes::Bytes;
use ring::file::File;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::panic::Location;
use std::path::{Path, PathBuf};

/// How the next write fails.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// How many bytes of it still reach the file.
    pub(crate) bytes_written: usize,
    /// The error number of the write.
    pub(crate) errno: i32,
    /// The error number of cutting the file back, if that fails too.
    pub(crate) truncate_errno: Option<i32>,
}

/// What happens at one of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It fails with this error number.
    Error(i32),
    /// It and everything after it does not happen; of a write, a part may.
    Crash,
}

/// A disk whose calls are counted.
#[derive(Debug, Default)]
struct Watched {
    calls: u64,
    strike: Option<(u64, Strike)>,
    crashed: bool,
    sites: BTreeSet<Site>,
    struck: Option<Site>,
    contents: HashMap<u64, Vec<u8>>,
    names: HashMap<PathBuf, BTreeMap<String, u64>>,
}

/// Where in the source a call is made: file and line.
pub(crate) type Site = (&'static str, u32);

/// What a watch saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// How many calls there were.
    pub(crate) calls: u64,
    /// Where they are made.
    pub(crate) sites: BTreeSet<Site>,
    /// What a power loss leaves.
    pub(crate) durable: Durable,
}

/// What was durable when the disk stopped.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    contents: HashMap<u64, Vec<u8>>,
    names: HashMap<PathBuf, BTreeMap<String, u64>>,
}

thread_local! {
    static WRITE: Cell<Option<Fault>> = const { Cell::new(None) };
    static TRUNCATE: Cell<Option<i32>> = const { Cell::new(None) };
    static COLD: Cell<bool> = const { Cell::new(false) };
    static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
    static PLACES_TAKEN: Cell<bool> = const { Cell::new(false) };
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
}

/// Makes the next write of this thread fail.
pub(crate) fn inject(fault: Fault) {
    WRITE.set(Some(fault));
}

/// From now on nothing is in the page cache, as this thread sees it.
pub(crate) fn set_cold(cold: bool) {
    COLD.set(cold);
}

/// Whether what is read must be taken for not cached.
pub(crate) fn is_cold() -> bool {
    COLD.get()
}

/// What happens elsewhere before the next renaming of this thread.
pub(crate) fn before_next_rename(call: impl FnOnce() + 'static) {
    MEANWHILE.set(Some(Box::new(call)));
}

/// From now on too many segments wait for a flush, as this thread sees it.
pub(crate) fn take_places(taken: bool) {
    PLACES_TAKEN.set(taken);
}

/// Whether a segment that is closed has to be synced first.
pub(crate) fn are_places_taken() -> bool {
    PLACES_TAKEN.get()
}

/// Takes back a failure that has not struck.
pub(crate) fn clear() {
    WRITE.set(None);
}

/// Counts this thread's calls from now on; the call with that number is struck.
pub(crate) fn watch(strike: Option<(u64, Strike)>) {
    WATCHED.set(Some(Watched {
        strike,
        ..Watched::default()
    }));
}

/// Whether the crash has struck: nothing happens on this thread's disk any more.
pub(crate) fn has_crashed() -> bool {
    WATCHED.with_borrow(|watched| watched.as_ref().is_some_and(|watched| watched.crashed))
}

/// Where the call that was struck is made, if it has been.
pub(crate) fn struck() -> Option<Site> {
    WATCHED.with_borrow(|watched| watched.as_ref()?.struck)
}

/// Ends the watch of a test that unwinds.
pub(crate) fn give_up() {
    WATCHED.take();
}

/// Ends the watch.
pub(crate) fn unwatch() -> Seen {
    let watched = WATCHED.take().expect("the disk is watched");
    let durable = Durable {
        contents: watched.contents,
        names: watched.names,
    };
    Seen {
        calls: watched.calls,
        sites: watched.sites,
        durable,
    }
}

/// Runs a call that blocks: on this thread while its disk is watched, as the watch is the thread's.
pub(crate) fn offload<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let watched = WATCHED.with_borrow(Option::is_some);
    let (here, elsewhere) = match watched {
        true => (Some(call()), None),
        false => (None, Some(ring::offload(call))),
    };
    async move {
        match elsewhere {
            Some(outcome) => outcome.await,
            None => here.expect("it was run here"),
        }
    }
}

/// Before a write of the ring's path: one that is struck gets half-way.
pub(crate) fn before_write(
    site: &Location<'static>,
    file: &File,
    pieces: &[Bytes],
    position: u64,
) -> io::Result<()> {
    let Some(fault) = WRITE.take() else {
        let bytes = || pieces.concat();
        return before_some(site, || {
            let file = file.try_clone_std().expect("a descriptor is left");
            let bytes = bytes();
            let _ = file.write_all_at(&bytes[..bytes.len() / 2], position);
        });
    };
    TRUNCATE.set(fault.truncate_errno);
    let mut bytes = pieces.concat();
    bytes.truncate(fault.bytes_written);
    file.try_clone_std()?.write_all_at(&bytes, position)?;
    Err(io::Error::from_raw_os_error(fault.errno))
}

/// Before a file of the ring's path is cut.
pub(crate) fn before_cut(site: &Location<'static>) -> io::Result<()> {
    match TRUNCATE.take() {
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => before(site),
    }
}

/// Before a file is renamed.
pub(crate) fn before_rename(site: &Location<'static>) -> io::Result<()> {
    if let Some(call) = MEANWHILE.take() {
        call();
    }
    before(site)
}

/// Before a call of `disk`.
pub(crate) fn before(site: &Location<'static>) -> io::Result<()> {
    WATCHED.with_borrow_mut(|watched| match watched {
        Some(watched) => watched.count((site.file(), site.line())),
        None => Ok(()),
    })
}

/// Before a write of `disk`: one that is struck gets half-way.
pub(crate) fn before_bytes(
    site: &Location<'static>,
    file: &fs::File,
    bytes: &[u8],
    position: u64,
) -> io::Result<()> {
    before_some(site, || {
        let _ = file.write_all_at(&bytes[..bytes.len() / 2], position);
    })
}

/// Before a call that may get half-way when it is struck.
fn before_some(site: &Location<'static>, half_way: impl FnOnce()) -> io::Result<()> {
    let was_crashed = has_crashed();
    before(site).inspect_err(|_| {
        if !was_crashed {
            half_way();
        }
    })
}

/// In place of a sync: true if the disk is watched, and took note.
pub(crate) fn sync(site: &Location<'static>, file: impl AsFd) -> io::Result<bool> {
    before(site)?;
    WATCHED.with_borrow_mut(|watched| {
        let Some(watched) = watched else {
            return Ok(false);
        };
        let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let metadata = fs::metadata(&link)?;
        if metadata.is_dir() {
            watched
                .names
                .insert(fs::read_link(&link)?, names(Path::new(&link))?);
        } else {
            watched.contents.insert(metadata.ino(), fs::read(&link)?);
        }
        Ok(true)
    })
}

fn names(directory: &Path) -> io::Result<BTreeMap<String, u64>> {
    let entries = fs::read_dir(directory)?;
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((
            entry.file_name().to_string_lossy().into_owned(),
            entry.ino(),
        ))
    };
    entries.map(entry).collect()
}

impl Watched {
    fn count(&mut self, site: Site) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        self.sites.insert(site);
        let struck = self.strike.filter(|(at, _)| *at == number);
        if struck.is_some() {
            self.struck = Some(site);
        }
        match struck {
            _ if self.crashed => Err(io::Error::other("after the crash")),
            None => Ok(()),
            Some((_, Strike::Error(errno))) => Err(io::Error::from_raw_os_error(errno)),
            Some((_, Strike::Crash)) => {
                self.crashed = true;
                Err(io::Error::other("crash"))
            }
        }
    }
}

impl Durable {
    /// Makes of a directory what a power loss may leave: of names and contents that were not
    /// synced, each may be as before or as after, and an end that was written may be short or
    /// zeroes. `below(n)` is a number below n, by chance.
    pub(crate) fn lose_power(&self, directory: &Path, below: &mut dyn FnMut(usize) -> usize) {
        let Ok(now) = names(directory) else {
            return; // It was not even made.
        };
        let nothing = BTreeMap::new();
        let before = self.names.get(directory).unwrap_or(&nothing);
        let mut left = BTreeMap::new();
        for name in now.keys().chain(before.keys()) {
            let (now, before) = (now.get(name), before.get(name));
            let kept = if below(2) == 0 { now } else { before };
            left.insert(name.clone(), kept.copied());
        }
        let found: HashMap<u64, Vec<u8>> = now
            .iter()
            .map(|(name, inode)| (*inode, fs::read(directory.join(name)).unwrap()))
            .collect();
        for name in now.keys() {
            fs::remove_file(directory.join(name)).unwrap();
        }
        for (name, inode) in left {
            let Some(inode) = inode else { continue };
            let synced = self.contents.get(&inode).cloned().unwrap_or_default();
            let last = found.get(&inode).cloned().unwrap_or_else(|| synced.clone());
            fs::write(directory.join(name), some_of(synced, last, below)).unwrap();
        }
    }
}

fn some_of(synced: Vec<u8>, mut last: Vec<u8>, below: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let grown = last.len().saturating_sub(synced.len());
    match below(4) {
        0 => synced,
        1 if grown > 0 => {
            last.truncate(synced.len() + below(grown));
            last
        }
        2 if grown > 0 => {
            let from = synced.len() + below(grown);
            last[from..].fill(0);
            last
        }
        _ => last,
    }
}
