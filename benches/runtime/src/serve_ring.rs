//! The append server on `ring`, as the product is built: a task a connection, one writer that
//! gathers what a turn has brought.

use crate::ServeOptions;
use crate::append_frame::{ANSWER_BYTES, check_complete};
use bytes::Bytes;
use ring::buffer::Buffer;
use ring::event::Event;
use ring::file::{File, WritePath};
use ring::net::{Listener, ReusePort, Stream};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;

/// What connections leave for the writer, and what it has done.
#[derive(Default)]
struct Appends {
    queue: RefCell<Vec<Bytes>>,
    queued: Cell<u64>,
    written: Cell<u64>,
    wake_writer: Event,
    wake_writers_clients: Event,
}

pub fn serve(options: &ServeOptions, announce: fn(SocketAddr)) -> Result<(), Box<dyn Error>> {
    let mut runtime = ring::Runtime::new(ring::Options::default())?;
    let mut file = File::from_std(std::fs::File::create(&options.file)?);
    match options.write_path.as_str() {
        "ring" => file = file.with_write_path(WritePath::Ring),
        "inline" => file = file.with_write_path(WritePath::Inline),
        _ => {}
    }
    let receive_bytes = (options.frame_bytes * 4).max(4096);
    runtime.block_on(async move {
        let listener = Listener::bind("127.0.0.1:0".parse()?, ReusePort::No, 1024)?;
        announce(listener.local_addr()?);
        let appends = Rc::new(Appends::default());
        ring::spawn(write(file, appends.clone()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay()?;
            ring::spawn(connection(stream, appends.clone(), receive_bytes));
        }
    })
}

async fn connection(stream: Stream, appends: Rc<Appends>, receive_bytes: usize) {
    let mut buffer = Buffer::with_capacity(receive_bytes);
    loop {
        let received;
        (received, buffer) = stream.recv(buffer).await;
        if !matches!(received, Ok(1..)) {
            return;
        }
        let mut answers = Vec::with_capacity(ANSWER_BYTES);
        let complete = check_complete(&buffer, &mut answers);
        if complete == 0 {
            continue;
        }
        let rest = Buffer::with_capacity(receive_bytes);
        let mut full = std::mem::replace(&mut buffer, rest);
        buffer.extend_from_slice(&full[complete..]);
        full.truncate(complete);
        appends.append(full.freeze()).await;
        if stream.send(Bytes::from(answers)).await.is_err() {
            return;
        }
    }
}

impl Appends {
    async fn append(&self, frames: Bytes) {
        self.queue.borrow_mut().push(frames);
        let ticket = self.queued.get() + 1;
        self.queued.set(ticket);
        if self.queue.borrow().len() == 1 {
            self.wake_writer.notify();
        }
        while self.written.get() < ticket {
            self.wake_writers_clients.wait().await;
        }
    }
}

async fn write(file: File, appends: Rc<Appends>) {
    let mut position = 0;
    loop {
        appends.wake_writer.wait().await;
        ring::yield_to_end_of_turn().await;
        let count = appends.queue.borrow().len();
        let pieces = appends.queue.replace(Vec::with_capacity(count));
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        file.write_vectored_all_at(pieces, position)
            .await
            .expect("the disk has room");
        position += bytes as u64;
        appends.written.set(appends.written.get() + count as u64);
        appends.wake_writers_clients.notify();
    }
}
