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
use std::path::Path;

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
    durable: Durable,
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

/// What was durable when the disk stopped: contents of files and names in directories, by inode.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    contents: HashMap<u64, Vec<u8>>,
    names: HashMap<u64, Names>,
}

/// The names in a directory, with their inodes.
type Names = BTreeMap<String, u64>;

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
    Seen {
        calls: watched.calls,
        sites: watched.sites,
        durable: watched.durable,
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
        let (inode, link) = (metadata.ino(), Path::new(&link));
        match metadata.is_dir() {
            true => drop(watched.durable.names.insert(inode, names(link)?)),
            false => drop(watched.durable.contents.insert(inode, fs::read(link)?)),
        }
        Ok(true)
    })
}

/// In place of a sync of the file system that a directory is in: true if the disk is watched, and
/// took note.
pub(crate) fn sync_tree(site: &Location<'static>, directory: impl AsFd) -> io::Result<bool> {
    before(site)?;
    let link = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
    WATCHED.with_borrow_mut(|watched| match watched {
        Some(watched) => watched.durable.all_below(Path::new(&link)).map(|()| true),
        None => Ok(false),
    })
}

/// What is in a directory when the watch begins was durable before.
pub(crate) fn is_durable(directory: &Path) {
    WATCHED.with_borrow_mut(|watched| {
        let watched = watched.as_mut().expect("the disk is watched");
        let noted = watched.durable.all_below(directory);
        noted.expect("it is readable");
    });
}

fn names(directory: &Path) -> io::Result<Names> {
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
    fn all_below(&mut self, directory: &Path) -> io::Result<()> {
        self.names
            .insert(fs::metadata(directory)?.ino(), names(directory)?);
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let metadata = fs::metadata(&path)?;
            match metadata.is_dir() {
                true => self.all_below(&path)?,
                false => drop(self.contents.insert(metadata.ino(), fs::read(&path)?)),
            }
        }
        Ok(())
    }

    /// Makes of a directory, and of those in it, what a power loss may leave: what was named and not
    /// synced since has its former name, its new one, or both, and an end that was written may be short
    /// or zeroes. `below(n)` is a number below n, by chance.
    pub(crate) fn lose_power(&self, directory: &Path, below: &mut dyn FnMut(usize) -> usize) {
        if !directory.exists() {
            return; // It was not even made.
        }
        let mut last = Durable::default();
        last.all_below(directory).expect("it is readable");
        let inode = fs::metadata(directory).expect("it is readable").ino();
        for entry in fs::read_dir(directory).expect("it is readable") {
            let path = entry.expect("it is readable").path();
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.expect("it can be removed");
        }
        self.leave(inode, directory, &last, below);
    }

    fn leave(
        &self,
        inode: u64,
        directory: &Path,
        last: &Durable,
        below: &mut dyn FnMut(usize) -> usize,
    ) {
        let nothing = Names::new();
        let before = self.names.get(&inode).unwrap_or(&nothing);
        let now = last.names.get(&inode).unwrap_or(before);
        let is_directory =
            |inode: &u64| self.names.contains_key(inode) || last.names.contains_key(inode);
        for (name, inode) in names_left(before, now, &is_directory, below) {
            let path = directory.join(name);
            if is_directory(&inode) {
                fs::create_dir(&path).expect("it can be made");
                self.leave(inode, &path, last, below);
                continue;
            }
            let synced = self.contents.get(&inode).cloned().unwrap_or_default();
            let written = last.contents.get(&inode).cloned();
            let written = written.unwrap_or_else(|| synced.clone());
            fs::write(path, some_of(synced, written, below)).expect("it can be written");
        }
    }
}

/// What names a power loss leaves: of each file its former one, its latest, or both (not of a
/// directory); where two files have had a name, one of them has it, and the other has its latest.
fn names_left(
    before: &Names,
    now: &Names,
    is_directory: &dyn Fn(&u64) -> bool,
    below: &mut dyn FnMut(usize) -> usize,
) -> Names {
    let mut left = Names::new();
    let inodes: BTreeSet<u64> = before.values().chain(now.values()).copied().collect();
    let mut given_up = Vec::new();
    for inode in inodes {
        let of = |names: &Names| {
            let of = names.iter().filter(|(_, named)| **named == inode);
            of.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let (former, latest) = (of(before), of(now));
        let choice = below(if is_directory(&inode) { 2 } else { 3 });
        if choice > 0 || former == latest {
            left.extend(latest.into_iter().map(|name| (name, inode)));
        }
        if choice != 1 && before != now {
            given_up.extend(former.into_iter().map(|name| (name, inode)));
        }
    }
    for (name, inode) in given_up {
        // If its name is another's already, it was renamed or removed before.
        let is_taken = left.contains_key(&name);
        let latest = now.iter().filter(|(_, named)| **named == inode && is_taken);
        let latest: Vec<_> = latest.map(|(name, _)| (name.clone(), inode)).collect();
        left.extend(latest);
        left.entry(name).or_insert(inode);
    }
    for (name, latest) in now {
        // What was replaced is there or its replacement is.
        if let Some(former) = before.get(name) {
            let either = [*former, *latest][below(2)];
            left.entry(name.clone()).or_insert(either);
        }
    }
    left
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
