//! Files: positioned reads, allocation and syncs on the calling thread's ring (writes: see `write`).
//!
//! Must not know segments or partitions. A [`File`] is shared and may be used on any thread that
//! runs a runtime; it keeps no position. At most one write in flight a file is the caller's duty:
//! more than one gains nothing (the kernel takes the inode's lock) and costs workers.

use crate::buffer::Buffer;
use crate::descriptor::Descriptor;
use crate::driver::Operation;
use crate::file_system;
use crate::in_flight::Held;
use crate::offload::offload;
use crate::residency;
use io_uring::{opcode, types};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use crate::file_system::WritePath;

/// Bytes that [`File::bring_in`] asks for in one operation, and operations at a time.
const BRING_IN_BYTES: u64 = 256 << 10;
const BRING_IN_DEPTH: usize = 4;

/// An open file.
#[derive(Clone, Debug)]
pub struct File {
    pub(crate) descriptor: Descriptor,
    pub(crate) write_path: WritePath,
}

/// How to open a file; as `std::fs::OpenOptions`.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    flags: i32,
}

impl OpenOptions {
    /// Nothing allowed, nothing created.
    pub fn new() -> Self {
        Self::default()
    }

    /// Open for reading.
    pub fn read(mut self, yes: bool) -> Self {
        self.read = yes;
        self
    }

    /// Open for writing.
    pub fn write(mut self, yes: bool) -> Self {
        self.write = yes;
        self
    }

    /// Create it if it does not exist.
    pub fn create(self, yes: bool) -> Self {
        self.flag(libc::O_CREAT, yes)
    }

    /// Create it, and fail if it exists.
    pub fn create_new(self, yes: bool) -> Self {
        self.flag(libc::O_CREAT | libc::O_EXCL, yes)
    }

    /// Empty it if it exists.
    pub fn truncate(self, yes: bool) -> Self {
        self.flag(libc::O_TRUNC, yes)
    }

    fn flag(mut self, flag: i32, yes: bool) -> Self {
        self.flags = if yes {
            self.flags | flag
        } else {
            self.flags & !flag
        };
        self
    }

    fn to_flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.write) {
            (true, true) => libc::O_RDWR,
            (true, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (false, false) => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
        };
        Ok(access | self.flags | libc::O_CLOEXEC)
    }
}

/// What [`File::fallocate`] does to the file's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// The range becomes part of the file, as zeroes.
    Extend,
    /// The length stays; later writes find their blocks reserved.
    KeepSize,
}

impl File {
    /// Opens `path`.
    pub async fn open(path: impl AsRef<Path>, options: &OpenOptions) -> io::Result<Self> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes())?;
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
            .flags(options.to_flags()?)
            .mode(0o644);
        // SAFETY: the path is on the heap behind the CString that is held.
        let opened = unsafe { Operation::start(open.build(), Held::Path(path)) }.await;
        let raw = opened.result()?;
        // SAFETY: the kernel just opened it for us.
        Ok(Self::from_owned(unsafe {
            OwnedFd::from_raw_fd(raw as i32)
        }))
    }

    /// Takes over a file that was opened elsewhere.
    pub fn from_std(file: std::fs::File) -> Self {
        Self::from_owned(file.into())
    }

    fn from_owned(fd: OwnedFd) -> Self {
        let descriptor = Descriptor::new(fd);
        let (_, write_path) = file_system::of(&descriptor);
        Self {
            descriptor,
            write_path,
        }
    }

    /// The same file, written to in another way than the table of file systems says.
    pub fn with_write_path(mut self, write_path: WritePath) -> Self {
        self.write_path = write_path;
        self
    }

    /// How this file is written.
    pub fn write_path(&self) -> WritePath {
        self.write_path
    }

    /// Reads once into the spare capacity of `buffer`, and returns how much it has appended: 0 at
    /// the end of the file.
    pub async fn read_at(&self, buffer: Buffer, position: u64) -> (io::Result<usize>, Buffer) {
        let len = buffer.spare_bytes();
        self.read_some(buffer, len, position).await
    }

    /// Appends exactly `len` bytes to `buffer`, which grows as it must. `UnexpectedEof` if the file
    /// ends before.
    pub async fn read_exact_at(
        &self,
        mut buffer: Buffer,
        len: usize,
        position: u64,
    ) -> (io::Result<()>, Buffer) {
        buffer.reserve(len);
        let mut done = 0;
        while done < len {
            let read;
            (read, buffer) = self
                .read_some(buffer, len - done, position + done as u64)
                .await;
            match read {
                Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buffer),
                Ok(bytes) => done += bytes,
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    async fn read_some(
        &self,
        buffer: Buffer,
        len: usize,
        position: u64,
    ) -> (io::Result<usize>, Buffer) {
        let done = self.start_read(buffer, len, position).await;
        let read = done.result();
        let Held::Buffer(_, mut buffer) = done.held else {
            unreachable!("a read holds a buffer")
        };
        let read = read.map(|bytes| {
            buffer.advance(bytes as usize);
            bytes as usize
        });
        (read, buffer)
    }

    fn start_read(&self, mut buffer: Buffer, len: usize, position: u64) -> Operation {
        let (start, spare) = buffer.spare_pointer();
        let len = spare.min(u32::try_from(len).unwrap_or(u32::MAX));
        let read = opcode::Read::new(self.descriptor.in_ring(), start, len).offset(position);
        let held = Held::Buffer(self.descriptor.clone(), buffer);
        // SAFETY: the spare capacity is on the heap behind the buffer that is held.
        unsafe { Operation::start(read.build(), held) }
    }

    /// Reads what is in the page cache, without waiting. `None`: it is not there.
    pub fn try_read_at(&self, into: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        residency::read_without_waiting(&self.descriptor, into, position)
    }

    /// Whether all of the range is in the page cache, so that `sendfile` or a read of it does not
    /// wait for the disk.
    pub fn is_cached(&self, position: u64, len: u64) -> bool {
        residency::is_cached(&self.descriptor, position, len)
    }

    /// Brings the range into the page cache, without blocking the thread.
    pub async fn bring_in(&self, position: u64, len: u64) -> io::Result<()> {
        let end = position + len;
        let mut at = position;
        while at < end {
            let mut reads = Vec::with_capacity(BRING_IN_DEPTH);
            while at < end && reads.len() < BRING_IN_DEPTH {
                let bytes = BRING_IN_BYTES.min(end - at);
                let buffer = Buffer::with_capacity(bytes as usize);
                reads.push(self.start_read(buffer, bytes as usize, at));
                at += bytes;
            }
            for read in reads {
                read.await.result()?;
            }
        }
        Ok(())
    }

    /// Makes the contents durable, and of the metadata what is needed to read them.
    pub async fn fdatasync(&self) -> io::Result<()> {
        self.sync(types::FsyncFlags::DATASYNC).await
    }

    /// Makes contents and metadata durable.
    pub async fn fsync(&self) -> io::Result<()> {
        self.sync(types::FsyncFlags::empty()).await
    }

    async fn sync(&self, flags: types::FsyncFlags) -> io::Result<()> {
        let sync = opcode::Fsync::new(self.descriptor.in_ring()).flags(flags);
        self.run(sync.build()).await
    }

    /// Reserves blocks for the range.
    pub async fn fallocate(&self, mode: Allocate, offset: u64, len: u64) -> io::Result<()> {
        let mode = match mode {
            Allocate::Extend => 0,
            Allocate::KeepSize => libc::FALLOC_FL_KEEP_SIZE,
        };
        let allocate = opcode::Fallocate::new(self.descriptor.in_ring(), len)
            .offset(offset)
            .mode(mode);
        self.run(allocate.build()).await
    }

    /// Starts the writeback of the range, so that dirty pages do not pile up. Makes nothing
    /// durable.
    pub async fn sync_range(&self, offset: u64, len: u32) -> io::Result<()> {
        let sync = opcode::SyncFileRange::new(self.descriptor.in_ring(), len)
            .offset(offset)
            .flags(libc::SYNC_FILE_RANGE_WRITE);
        self.run(sync.build()).await
    }

    /// Sets the length.
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        let descriptor = self.descriptor.clone();
        offload(move || {
            let len = position_for_call(len)?;
            // SAFETY: ftruncate takes no pointers, and the descriptor is held.
            let rc = unsafe { libc::ftruncate(descriptor.raw(), len) };
            if rc == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        })
        .await
    }

    /// The file's length. Does not wait: the inode is in memory.
    pub fn len(&self) -> io::Result<u64> {
        // SAFETY: stat is plain data for which zeroes are valid.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `stat` is valid for writes of its size, and the descriptor is open.
        let rc = unsafe { libc::fstat(self.descriptor.raw(), &mut stat) };
        if rc == 0 {
            Ok(stat.st_size as u64)
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Another descriptor of the same open file, for code outside the runtime.
    pub fn try_clone_std(&self) -> io::Result<std::fs::File> {
        Ok(self.descriptor.owned().try_clone()?.into())
    }

    async fn run(&self, entry: io_uring::squeue::Entry) -> io::Result<()> {
        Operation::on_descriptor(entry, self.descriptor.clone())
            .await
            .result()
            .map(drop)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.owned().as_fd()
    }
}

pub(crate) fn position_for_call(position: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(position).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
