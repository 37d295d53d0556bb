//! What a server does with the runtime, over real sockets and files.

use bytes::Bytes;
use ring::buffer::Buffer;
use ring::file::{Allocate, File, OpenOptions, WritePath};
use ring::net::{self, Listener, Piece, ReusePort, Stream};
use ring::{Options, Runtime, spawn};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

fn run<F: Future>(future: F) -> F::Output {
    Runtime::new(Options::default()).unwrap().block_on(future)
}

fn listen() -> (Listener, SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ReusePort::No, 16).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn pair() -> (Stream, Stream) {
    let (listener, address) = listen();
    let client = net::connect(address).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (server, client)
}

async fn receive_all(stream: &Stream, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        let (received, buffer) = stream.recv(Buffer::new()).await;
        assert_ne!(
            received.unwrap(),
            0,
            "ended after {} of {len} bytes",
            all.len()
        );
        all.extend_from_slice(&buffer);
    }
    all
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed)
        .collect()
}

#[test]
fn echo_over_many_connections() {
    run(async {
        let (listener, address) = listen();
        spawn(async move {
            for _ in 0..32 {
                let (stream, _) = listener.accept().await.unwrap();
                spawn(async move {
                    loop {
                        let (received, buffer) = stream.recv(Buffer::new()).await;
                        if received.unwrap() == 0 {
                            return;
                        }
                        stream.send(buffer.freeze()).await.unwrap();
                    }
                });
            }
        });
        let done = Rc::new(ring::event::Event::new());
        let count = Rc::new(std::cell::Cell::new(0));
        for c in 0..32u8 {
            let (done, count) = (done.clone(), count.clone());
            spawn(async move {
                let stream = net::connect(address).await.unwrap();
                for i in 0..50u8 {
                    let message = pattern(1 + usize::from(i) * 97, c ^ i);
                    stream.send(Bytes::from(message.clone())).await.unwrap();
                    assert_eq!(receive_all(&stream, message.len()).await, message);
                }
                count.set(count.get() + 1);
                done.notify();
            });
        }
        while count.get() < 32 {
            done.wait().await;
        }
    });
}

#[test]
fn pieces_of_bytes_and_files_arrive_in_order() {
    run(async {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = directory.path().join("slices");
        let contents = pattern(5 << 20, 9);
        std::fs::write(&path, &contents).unwrap();
        let file = File::open(&path, &OpenOptions::new().read(true))
            .await
            .unwrap();
        let (server, client) = pair().await;
        let slice = |position: usize, len: usize| Piece::File {
            file: file.clone(),
            position: position as u64,
            len: len as u32,
        };
        let header = Bytes::from_static(b"header");
        let pieces = vec![
            Piece::Bytes(header.clone()),
            slice(100, 3 << 20),
            Piece::Bytes(header.clone()),
            Piece::Bytes(Bytes::new()),
            Piece::Bytes(header.clone()),
            slice(4 << 20, 1 << 20),
            slice(0, 0),
            Piece::Bytes(header.clone()),
            Piece::Bytes(Bytes::from(pattern(1 << 20, 3))),
        ];
        let mut expected = Vec::new();
        expected.extend_from_slice(&header);
        expected.extend_from_slice(&contents[100..100 + (3 << 20)]);
        expected.extend_from_slice(&header);
        expected.extend_from_slice(&header);
        expected.extend_from_slice(&contents[4 << 20..]);
        expected.extend_from_slice(&header);
        expected.extend_from_slice(&pattern(1 << 20, 3));
        for cold in [false, true] {
            if cold {
                drop_cache(&path);
                assert!(!file.is_cached(0, 5 << 20));
            }
            let (server, pieces) = (server.clone(), pieces.clone());
            spawn(async move { server.send_pieces(pieces).await.unwrap() });
            assert!(receive_all(&client, expected.len()).await == expected);
        }
    });
}

fn drop_cache(path: &std::path::Path) {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    // SAFETY: fadvise takes no pointers.
    let rc = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(rc, 0);
}

#[test]
fn files_are_written_read_and_synced_both_ways() {
    run(async {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        for write_path in [WritePath::Ring, WritePath::Inline] {
            let path = directory.path().join(format!("{write_path:?}"));
            let options = OpenOptions::new().read(true).write(true).create_new(true);
            let file = File::open(&path, &options)
                .await
                .unwrap()
                .with_write_path(write_path);
            // More pieces than one system call takes.
            let pieces: Vec<_> = (0..3000)
                .map(|i| Bytes::from(pattern(i % 50, i as u8)))
                .collect();
            let expected: Vec<_> = pieces.iter().flatten().copied().collect();
            file.write_vectored_all_at(pieces, 10).await.unwrap();
            file.fdatasync().await.unwrap();
            assert_eq!(file.len().unwrap(), 10 + expected.len() as u64);
            let (read, buffer) = file.read_exact_at(Buffer::new(), expected.len(), 10).await;
            read.unwrap();
            assert_eq!(&buffer[..], expected);
            let mut start = [0; 4];
            assert_eq!(file.try_read_at(&mut start, 10).unwrap(), Some(4));
            assert_eq!(start, expected[..4]);
            file.sync_range(0, 4096).await.unwrap();
            file.fallocate(Allocate::KeepSize, 0, 1 << 20)
                .await
                .unwrap();
            assert_eq!(file.len().unwrap(), 10 + expected.len() as u64);
            file.fallocate(Allocate::Extend, 0, 1 << 20).await.unwrap();
            assert_eq!(file.len().unwrap(), 1 << 20);
            file.truncate(7).await.unwrap();
            file.fsync().await.unwrap();
            let (read, buffer) = file.read_at(Buffer::with_capacity(100), 0).await;
            assert_eq!((read.unwrap(), &buffer[..]), (7, &[0; 7][..]));
            let (read, _) = file.read_exact_at(Buffer::new(), 8, 0).await;
            assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        }
        let missing = File::open("/nowhere/at/all", &OpenOptions::new().read(true)).await;
        assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    });
}
