//! The append server on tokio-uring 0.5: a task a connection, one writer that gathers; writes by
//! `pwritev` on the thread, which is cheaper there than its write operation.

use crate::ServeOptions;
use crate::append_frame::check_complete;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tokio::sync::Notify;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Appends {
    queue: RefCell<Vec<Vec<u8>>>,
    queued: Cell<u64>,
    written: Cell<u64>,
    wake_writer: Notify,
    wake_clients: Notify,
    /// Written buffers, to be used again.
    spare: RefCell<Vec<Vec<u8>>>,
}

pub fn serve(options: &ServeOptions, announce: fn(SocketAddr)) -> Result<(), Box<dyn Error>> {
    let file = File::create(&options.file)?;
    let receive_bytes = (options.frame_bytes * 4).max(4096);
    tokio_uring::start(async move {
        let listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
        announce(listener.local_addr()?);
        let appends = Rc::new(Appends::default());
        tokio_uring::spawn(write(file, appends.clone()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio_uring::spawn(connection(stream, appends.clone(), receive_bytes));
        }
    })
}

async fn connection(stream: TcpStream, appends: Rc<Appends>, receive_bytes: usize) {
    let mut buffer = Vec::with_capacity(receive_bytes);
    let mut answers = Vec::new();
    loop {
        let filled = buffer.len();
        if filled == buffer.capacity() {
            buffer.reserve(filled);
        }
        let (received, slice) = stream.read(buffer.slice(filled..)).await;
        buffer = slice.into_inner();
        if !matches!(received, Ok(1..)) {
            return;
        }
        let complete = check_complete(&buffer, &mut answers);
        if complete == 0 {
            continue;
        }
        let spare = appends.spare.borrow_mut().pop();
        let mut next = spare.unwrap_or_else(|| Vec::with_capacity(receive_bytes));
        next.extend_from_slice(&buffer[complete..]);
        buffer.truncate(complete);
        appends.append(buffer).await;
        buffer = next;
        let (sent, mut returned) = stream.write_all(answers).await;
        if sent.is_err() {
            return;
        }
        returned.clear();
        answers = returned;
    }
}

impl Appends {
    async fn append(&self, frames: Vec<u8>) {
        self.queue.borrow_mut().push(frames);
        let ticket = self.queued.get() + 1;
        self.queued.set(ticket);
        if self.queue.borrow().len() == 1 {
            self.wake_writer.notify_one();
        }
        while self.written.get() < ticket {
            self.wake_clients.notified().await;
        }
    }
}

async fn write(file: File, appends: Rc<Appends>) {
    let mut position = 0;
    loop {
        appends.wake_writer.notified().await;
        tokio::task::yield_now().await;
        let pieces = std::mem::take(&mut *appends.queue.borrow_mut());
        for some in pieces.chunks(1024) {
            let vectors: Vec<libc::iovec> = some
                .iter()
                .map(|piece| libc::iovec {
                    iov_base: piece.as_ptr().cast_mut().cast(),
                    iov_len: piece.len(),
                })
                .collect();
            let count = vectors.len() as libc::c_int;
            // SAFETY: the vectors describe buffers that are borrowed through the call.
            let rc = unsafe { libc::pwritev(file.as_raw_fd(), vectors.as_ptr(), count, position) };
            let all: usize = some.iter().map(Vec::len).sum();
            assert_eq!(rc, all as isize, "the disk has room");
            position += all as libc::off_t;
        }
        appends
            .written
            .set(appends.written.get() + pieces.len() as u64);
        appends
            .spare
            .borrow_mut()
            .extend(pieces.into_iter().map(|mut piece| {
                piece.clear();
                piece
            }));
        appends.wake_clients.notify_waiters();
    }
}
