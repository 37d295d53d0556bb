//! A connection is killed at every await it has, while the kernel may hold its memory.
//!
//! In debug builds released memory is filled with a poison that no test data contains: if the kernel
//! still read from a released buffer, the poison would be on the wire or in the file; if it still
//! wrote into one, the poison in the pool would be damaged.

use bytes::Bytes;
use ring::buffer::{Buffer, POISON, pool};
use ring::event::once;
use ring::file::{File, OpenOptions, WritePath};
use ring::net::{self, Listener, Piece, ReusePort, Stream};
use ring::{Options, Runtime, spawn, timer, yield_now};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

const MESSAGE_BYTES: usize = 24 << 10;
const MESSAGES: usize = 2;

/// Bytes that never are the poison and say where they belong.
fn message(number: usize) -> Vec<u8> {
    (0..MESSAGE_BYTES)
        .map(|i| ((i / 7 + number * 31) % 200) as u8)
        .collect()
}

/// When a future is dropped after its last poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// In the same turn: its operation is in the queue, the kernel has not seen it.
    Unsubmitted,
    /// When it is woken: its operation has been answered.
    Answered,
    /// A turn later: the kernel or a worker has it.
    Submitted,
}

/// Polls `future` `polls` times, then drops it. Whether it was done before. To be run as a task.
async fn killed_after(polls: usize, kill: Kill, future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    let mut polled = 0;
    let done = poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if polled == polls && kill != Kill::Answered => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if !done && kill == Kill::Submitted {
        timer::sleep(Duration::from_nanos(1)).await;
    }
    done
}

/// Receives messages, appends them to the file, and sends back each, twice: from memory and from
/// the file.
async fn serve(stream: Stream, file: File) {
    let mut buffer = Buffer::new();
    let mut position = 0;
    loop {
        while buffer.len() < MESSAGE_BYTES {
            let received;
            (received, buffer) = stream.recv(buffer).await;
            if !matches!(received, Ok(1..)) {
                return;
            }
        }
        let message = buffer.split_frozen(MESSAGE_BYTES);
        let pieces = vec![message.slice(..100), message.slice(100..)];
        file.write_vectored_all_at(pieces, position).await.unwrap();
        let (read, from_file) = file
            .read_exact_at(Buffer::new(), MESSAGE_BYTES / 2, position)
            .await;
        read.unwrap();
        let len = (MESSAGE_BYTES / 2) as u32;
        let rest = position + u64::from(len);
        let answer = vec![
            Piece::Bytes(message),
            Piece::Bytes(from_file.freeze()),
            Piece::File {
                file: file.clone(),
                position: rest,
                len,
            },
        ];
        if stream.send_pieces(answer).await.is_err() {
            return;
        }
        position += MESSAGE_BYTES as u64;
    }
}

/// Sends the messages and checks as much of the answers as comes.
async fn client(address: SocketAddr) {
    let stream = net::connect(address).await.unwrap();
    let sending = stream.clone();
    let (sent, all_sent) = once();
    spawn(async move {
        for number in 0..MESSAGES {
            if sending.send(Bytes::from(message(number))).await.is_err() {
                break;
            }
        }
        sending.shutdown_send();
        sent.give(());
    });
    let expected = (0..MESSAGES).flat_map(|number| [message(number), message(number)].concat());
    let expected: Vec<u8> = expected.collect();
    let mut at = 0;
    loop {
        let (received, buffer) = stream.recv(Buffer::new()).await;
        if !matches!(received, Ok(1..)) {
            break;
        }
        assert_eq!(
            buffer[..],
            expected[at..at + buffer.len()],
            "wrong answer at {at}"
        );
        at += buffer.len();
    }
    all_sent.await;
}

/// Takes everything out of the pool and looks whether somebody wrote into released memory.
fn check_pool() {
    if cfg!(debug_assertions) {
        for class in [4 << 10, 16 << 10, 64 << 10, 256 << 10] {
            let mut buffers: Vec<_> = (0..4).map(|_| Buffer::with_capacity(class)).collect();
            for buffer in &mut buffers {
                // Memory that was never used is zero.
                let spare = buffer.spare_mut();
                let first = spare[0];
                assert!(
                    first == POISON || first == 0,
                    "the kernel wrote into released memory"
                );
                assert!(
                    spare.iter().all(|&byte| byte == first),
                    "the kernel wrote late"
                );
            }
        }
    }
}

fn kill_after(polls: usize, kill: Kill) -> bool {
    let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let path = directory.path().join("appended");
    let mut runtime = Runtime::new(Options::default()).unwrap();
    let was_done = runtime.block_on(async {
        let options = OpenOptions::new().read(true).write(true).create(true);
        let file = File::open(&path, &options)
            .await
            .unwrap()
            .with_write_path(WritePath::Ring);
        let local = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(local, ReusePort::No, 4).unwrap();
        let (finished, client_finished) = once();
        let address = listener.local_addr().unwrap();
        spawn(async move {
            client(address).await;
            finished.give(());
        });
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_send_buffer_bytes(16 << 10).unwrap();
        let (killed, was_killed) = once();
        let serving = serve(stream.clone(), file);
        spawn(async move {
            let was_done = killed_after(polls, kill, serving).await;
            check_pool();
            killed.give(was_done);
        });
        let was_done = was_killed.await.unwrap();
        stream.shutdown();
        client_finished.await;
        // Let the cancelled operations come back.
        for _ in 0..8 {
            yield_now().await;
            timer::sleep(Duration::from_micros(50)).await;
        }
        check_pool();
        was_done
    });
    drop(runtime);
    assert_eq!(pool().in_use_bytes(), 0, "a buffer was lost");
    let appended = std::fs::read(&path).unwrap();
    let expected: Vec<u8> = (0..MESSAGES).flat_map(message).collect();
    assert!(
        appended == expected[..appended.len()],
        "something else was written"
    );
    was_done
}

#[test]
fn no_released_memory_reaches_the_wire_or_the_file() {
    for kill in [Kill::Unsubmitted, Kill::Submitted, Kill::Answered] {
        let mut polls = 0;
        while !kill_after(polls, kill) {
            polls += 1;
            assert!(polls < 1000, "the connection ends by itself at some time");
        }
        assert!(
            polls > 10,
            "it was killed at many places, not only at {polls}"
        );
    }
}

#[test]
fn a_runtime_that_ends_gets_its_buffers_back_from_the_kernel() {
    let mut runtime = Runtime::new(Options::default()).unwrap();
    runtime.block_on(async {
        let local = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(local, ReusePort::No, 4).unwrap();
        let client = net::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        for stream in [client, server] {
            spawn(async move {
                drop(stream.recv(Buffer::with_capacity(1 << 20)).await);
                panic!("nothing is sent");
            });
        }
        spawn(async move { drop(listener.accept().await) });
        ring::yield_to_end_of_turn().await;
        timer::sleep(Duration::from_micros(100)).await;
        assert_eq!(pool().in_use_bytes(), 2 << 20);
    });
    drop(runtime);
    assert_eq!(pool().in_use_bytes(), 0);
}
