//! Full queues, full disks, closed peers: errors come back as they are, and nothing is lost.

use bytes::Bytes;
use ring::buffer::Buffer;
use ring::event::{Event, once};
use ring::file::{File, OpenOptions, WritePath};
use ring::net::{self, Listener, Piece, ReusePort, Stream};
use ring::{Options, Runtime, spawn, timer};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

fn run<F: Future>(future: F) -> F::Output {
    Runtime::new(Options::default()).unwrap().block_on(future)
}

fn local() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn pair() -> (Stream, Stream) {
    let listener = Listener::bind(local(), ReusePort::No, 16).unwrap();
    let client = net::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

#[test]
fn more_operations_than_the_rings_have_room_for() {
    const TASKS: u64 = 2000;
    let contents: Vec<u8> = (0..TASKS).flat_map(|i| (i as u32).to_le_bytes()).collect();
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, &contents).unwrap();
    // Room for 4 submissions and 32 completions.
    let mut runtime = Runtime::new(Options {
        entries: 4,
        ..Options::default()
    })
    .unwrap();
    runtime.block_on(async {
        let file = File::from_std(file);
        let (done, all) = (Rc::new(Event::new()), Rc::new(Cell::new(0)));
        for i in 0..TASKS {
            let (file, done, all) = (file.clone(), done.clone(), all.clone());
            spawn(async move {
                let (read, buffer) = file.read_exact_at(Buffer::new(), 4, i * 4).await;
                read.unwrap();
                assert_eq!(buffer[..], (i as u32).to_le_bytes());
                all.set(all.get() + 1);
                done.notify();
            });
        }
        while all.get() < TASKS {
            done.wait().await;
        }
    });
}

#[test]
fn a_full_disk_is_said_as_it_is() {
    run(async {
        let options = OpenOptions::new().write(true);
        let full = File::open("/dev/full", &options).await.unwrap();
        for write_path in [WritePath::Ring, WritePath::Inline] {
            let file = full.clone().with_write_path(write_path);
            let pieces = vec![Bytes::from_static(b"more"), Bytes::from_static(b"data")];
            let error = file.write_vectored_all_at(pieces, 0).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    });
}

#[test]
fn a_file_that_is_not_open_for_writing_says_so() {
    run(async {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let read_only = File::open(path, &OpenOptions::new().read(true))
            .await
            .unwrap();
        for write_path in [WritePath::Ring, WritePath::Inline] {
            let file = read_only.clone().with_write_path(write_path);
            let error = file
                .write_vectored_all_at(vec![Bytes::from_static(b"x")], 0)
                .await;
            assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::EBADF));
            file.write_vectored_all_at(vec![Bytes::new()], 0)
                .await
                .unwrap();
        }
        assert_eq!(
            read_only.truncate(0).await.unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
    });
}

#[test]
fn a_slice_beyond_the_end_of_the_file_fails_the_stream() {
    run(async {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"short").unwrap();
        let (server, _client) = pair().await;
        let piece = Piece::File {
            file: File::from_std(file),
            position: 2,
            len: 10,
        };
        let error = server.send_pieces(vec![piece]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn sending_to_a_peer_that_is_gone_is_an_error_not_a_signal() {
    run(async {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let slice = Piece::File {
            file: File::from_std(file),
            position: 0,
            len: 1 << 20,
        };
        for piece in [Piece::Bytes(Bytes::from(vec![1; 1 << 20])), slice] {
            let (server, client) = pair().await;
            drop(client);
            let mut sent = Ok(());
            for _ in 0..100 {
                sent = server.send_pieces(vec![piece.clone()]).await;
                if sent.is_err() {
                    break;
                }
            }
            let kind = sent.unwrap_err().kind();
            assert!(
                matches!(
                    kind,
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ),
                "{kind}"
            );
        }
    });
}

#[test]
fn a_slow_reader_makes_the_sender_wait_not_the_thread() {
    run(async {
        let (server, client) = pair().await;
        server.set_send_buffer_bytes(256 << 10).unwrap();
        let data = Bytes::from((0..4 << 20).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
        let (sent, all_sent) = once();
        let sending = data.clone();
        spawn(async move {
            let half = sending.len() / 2;
            let pieces = vec![sending.slice(..half), sending.slice(half..)];
            let pieces = pieces.into_iter().map(Piece::Bytes).collect();
            server.send_pieces(pieces).await.unwrap();
            sent.give(());
        });
        // This thread goes on while the sender is stuck.
        timer::sleep(Duration::from_millis(2)).await;
        let mut at = 0;
        while at < data.len() {
            let (received, buffer) = client.recv(Buffer::with_capacity(64 << 10)).await;
            assert_ne!(received.unwrap(), 0);
            assert_eq!(buffer[..], data[at..at + buffer.len()]);
            at += buffer.len();
        }
        assert_eq!(all_sent.await, Some(()));
    });
}

#[test]
fn shutdown_ends_a_receive_in_flight() {
    run(async {
        let (server, client) = pair().await;
        let (ended, end) = once();
        let receiving = server.clone();
        spawn(async move { ended.give(receiving.recv(Buffer::new()).await.0.unwrap()) });
        ring::yield_to_end_of_turn().await;
        server.shutdown();
        assert_eq!(end.await, Some(0));
        assert_eq!(client.recv(Buffer::new()).await.0.unwrap(), 0);
    });
}

#[test]
fn a_connection_that_nobody_accepts_any_more_is_closed() {
    run(async {
        let unused = Listener::bind(local(), ReusePort::No, 16).unwrap();
        let accepting = timer::timeout(Duration::from_micros(200), unused.accept());
        assert!(accepting.await.is_err(), "nobody connects");
        let listener = Listener::bind(local(), ReusePort::No, 16).unwrap();
        // Dropped after the kernel has answered, before the future has been polled again.
        let mut accepting = Box::pin(listener.accept());
        std::future::poll_fn(|cx| {
            assert!(accepting.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        let client = net::connect(listener.local_addr().unwrap()).await.unwrap();
        timer::sleep(Duration::from_micros(200)).await;
        drop(accepting);
        drop(listener);
        let (received, _) = client.recv(Buffer::new()).await;
        assert!(
            matches!(received, Ok(0) | Err(_)),
            "the accepted socket was closed"
        );
    });
}

#[test]
fn connecting_where_nobody_listens_is_refused() {
    run(async {
        let listener = Listener::bind(local(), ReusePort::No, 1).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(
            Listener::bind(address, ReusePort::No, 1)
                .unwrap_err()
                .kind(),
            io::ErrorKind::AddrInUse
        );
        drop(listener);
        let refused = net::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn several_shards_listen_on_one_address() {
    run(async {
        let first = Listener::bind(local(), ReusePort::Yes, 16).unwrap();
        let address = first.local_addr().unwrap();
        let second = Listener::bind(address, ReusePort::Yes, 16).unwrap();
        let accepted = Rc::new(Cell::new(0));
        let all = Rc::new(Event::new());
        for listener in [first, second] {
            let (accepted, all) = (accepted.clone(), all.clone());
            spawn(async move {
                loop {
                    listener.accept().await.unwrap();
                    accepted.set(accepted.get() + 1);
                    all.notify();
                }
            });
        }
        for _ in 0..16 {
            net::connect(address).await.unwrap();
        }
        while accepted.get() < 16 {
            all.wait().await;
        }
    });
}
