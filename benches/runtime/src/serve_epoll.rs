//! The controls: append servers on epoll, one loop each.
//!
//! The plain one handles each ready connection by itself: read, `pwritev`, answer. The gathering one
//! reads every ready connection once, writes all complete frames with one `pwritev`, then answers:
//! the least that system calls can do.

use crate::ServeOptions;
use crate::append_frame::check_complete;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const EVENTS_MAX: usize = 1024;
const LISTENER: u64 = u64::MAX;
/// `IOV_MAX`.
const VECTORS_MAX: usize = 1024;

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// The bytes at the start of the buffer that are complete frames.
    complete: usize,
    answers: Vec<u8>,
}

/// When frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// Each connection's by themselves.
    No,
    /// All that a wake-up has brought together.
    WakeUp,
}

pub fn serve(
    options: &ServeOptions,
    gather: Gather,
    announce: fn(SocketAddr),
) -> Result<(), Box<dyn Error>> {
    let file = File::create(&options.file)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?);
    // SAFETY: epoll_create1 takes no pointers.
    let made = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if made < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the kernel just made it for us.
    let epoll = unsafe { OwnedFd::from_raw_fd(made) };
    watch(&epoll, &listener, LISTENER)?;
    let mut connections = HashMap::<u64, Connection>::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
    let mut ready = Vec::new();
    let mut position = 0;
    let receive_bytes = (options.frame_bytes * 4).max(4096);
    loop {
        for key in wait(&epoll, &mut events)? {
            if key == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let key = stream.as_raw_fd() as u64;
                watch(&epoll, &stream, key)?;
                connections.insert(key, Connection::new(stream, receive_bytes));
                continue;
            }
            let connection = connections
                .get_mut(&key)
                .expect("watched connections are known");
            match connection.read() {
                Ok(true) => ready.push(key),
                Ok(false) => {}
                Err(_) => drop(connections.remove(&key)),
            }
            if gather == Gather::No {
                position += write_and_answer(&file, &mut connections, &mut ready, position)?;
            }
        }
        position += write_and_answer(&file, &mut connections, &mut ready, position)?;
    }
}

fn write_and_answer(
    file: &File,
    connections: &mut HashMap<u64, Connection>,
    ready: &mut Vec<u64>,
    position: u64,
) -> io::Result<u64> {
    let written = write_frames(file, connections, ready, position)?;
    for key in ready.drain(..) {
        connections
            .get_mut(&key)
            .expect("it was just read from")
            .answer()?;
    }
    Ok(written)
}

impl Connection {
    fn new(stream: TcpStream, receive_bytes: usize) -> Self {
        let buffer = vec![0; receive_bytes];
        Self {
            stream,
            buffer,
            filled: 0,
            complete: 0,
            answers: Vec::new(),
        }
    }

    /// Reads once. Whether there are complete frames; an error if the peer is gone.
    fn read(&mut self) -> io::Result<bool> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => self.filled += bytes,
        }
        self.complete = check_complete(&self.buffer[..self.filled], &mut self.answers);
        Ok(self.complete > 0)
    }

    fn answer(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.complete..self.filled, 0);
        self.filled -= self.complete;
        self.complete = 0;
        // The send buffer has room for answers that the client waits for.
        self.stream.write_all(&self.answers)?;
        self.answers.clear();
        Ok(())
    }
}

fn write_frames(
    file: &File,
    connections: &HashMap<u64, Connection>,
    ready: &[u64],
    position: u64,
) -> io::Result<u64> {
    let mut written = 0;
    for keys in ready.chunks(VECTORS_MAX) {
        let complete = keys.iter().map(|key| {
            let connection = &connections[key];
            &connection.buffer[..connection.complete]
        });
        let vectors: Vec<libc::iovec> = complete
            .map(|frames| libc::iovec {
                iov_base: frames.as_ptr().cast_mut().cast(),
                iov_len: frames.len(),
            })
            .collect();
        let at = (position + written) as libc::off_t;
        // SAFETY: the vectors describe buffers that are borrowed through the call.
        let rc = unsafe {
            libc::pwritev(
                file.as_raw_fd(),
                vectors.as_ptr(),
                vectors.len() as libc::c_int,
                at,
            )
        };
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        let all: usize = vectors.iter().map(|vector| vector.iov_len).sum();
        assert_eq!(rc as usize, all, "the disk has room");
        written += all as u64;
    }
    Ok(written)
}

fn watch(epoll: &OwnedFd, fd: &impl AsRawFd, key: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: key,
    };
    // SAFETY: the event is read during the call.
    let rc = unsafe {
        libc::epoll_ctl(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            fd.as_raw_fd(),
            &mut event,
        )
    };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn wait(
    epoll: &OwnedFd,
    events: &mut [libc::epoll_event; EVENTS_MAX],
) -> io::Result<impl Iterator<Item = u64>> {
    // SAFETY: the array is valid for writes of its length.
    let rc = unsafe {
        libc::epoll_wait(
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            EVENTS_MAX as libc::c_int,
            -1,
        )
    };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(events[..rc as usize].iter().map(|event| event.u64))
}
