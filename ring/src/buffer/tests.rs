//! Buffers: growth, splitting, what returns to the pool and when.

use super::*;
use std::thread;

/// Each test gets a thread, and so a pool, of its own.
fn with_own_pool(test: impl FnOnce() + Send + 'static) {
    thread::spawn(test).join().unwrap();
}

#[test]
fn a_buffer_grows_from_class_to_class_and_keeps_its_contents() {
    with_own_pool(|| {
        let mut buffer = Buffer::new();
        assert_eq!(buffer.capacity(), 0);
        let mut written = 0u32;
        let mut capacities = Vec::new();
        while buffer.len() < 20 << 20 {
            buffer.make_room();
            if capacities.last() != Some(&buffer.capacity()) {
                capacities.push(buffer.capacity());
            }
            let part = buffer.spare_bytes().min(100_003 * 4);
            for word in buffer.spare_mut()[..part].chunks_mut(4) {
                word.copy_from_slice(&written.to_le_bytes()[..word.len()]);
                written += 1;
            }
            buffer.advance(part);
        }
        assert_eq!(capacities[..8], CLASS_BYTES);
        assert_eq!(capacities[8..], [16 << 20, 32 << 20]);
        assert_eq!(pool().in_use_bytes(), 32 << 20);
        // Each stretch began at a multiple of four bytes, so the words follow each other.
        for (i, word) in buffer.chunks_exact(4).enumerate() {
            assert_eq!(u32::from_le_bytes(word.try_into().unwrap()), i as u32);
        }
        drop(buffer);
        assert_eq!(pool().in_use_bytes(), 0);
    });
}

#[test]
fn growth_is_never_more_than_four_times_what_has_arrived() {
    let mut last = CLASS_BYTES[0];
    for class in CLASS_BYTES {
        assert!(class <= last * 4);
        last = class;
    }
    assert_eq!(class_at_least(0), 4 << 10);
    assert_eq!(class_at_least((8 << 20) + 1), 16 << 20);
}

#[test]
fn memory_is_used_again() {
    with_own_pool(|| {
        let first = Buffer::with_capacity(60_000);
        let address = first.0.as_ref().unwrap().memory.bytes().as_ptr();
        drop(first);
        let second = Buffer::with_capacity(60_000);
        assert_eq!(second.0.as_ref().unwrap().memory.bytes().as_ptr(), address);
    });
}

#[test]
fn frozen_bytes_return_to_the_pool_they_came_from() {
    with_own_pool(|| {
        let mut buffer = Buffer::with_capacity(1);
        buffer.extend_from_slice(b"across threads");
        let address = buffer.as_ptr();
        let bytes = buffer.freeze();
        let slice = bytes.slice(7..);
        assert_eq!(pool().in_use_bytes(), 4096);
        thread::spawn(move || {
            drop(bytes);
            assert_eq!(&slice[..], b"threads");
            drop(slice);
            assert_eq!(pool().in_use_bytes(), 0, "another thread's account");
        })
        .join()
        .unwrap();
        assert_eq!(pool().in_use_bytes(), 0);
        assert_eq!(Buffer::with_capacity(1).spare_mut().as_ptr(), address);
    });
}

#[test]
fn buffers_may_outlive_the_thread_that_took_them() {
    let bytes = thread::spawn(|| {
        let mut buffer = Buffer::new();
        buffer.extend_from_slice(&[1; 5000]);
        buffer.freeze()
    })
    .join()
    .unwrap();
    assert_eq!(&bytes[..], &[1; 5000]);
}

#[test]
fn the_pool_keeps_no_more_than_it_may() {
    with_own_pool(|| {
        pool().limit_to(1 << 20, 64 << 10);
        let buffers: Vec<_> = (0..32).map(|_| Buffer::with_capacity(4096)).collect();
        assert!(!pool().is_over_limit());
        let large = Buffer::with_capacity(1 << 20);
        assert!(pool().is_over_limit());
        drop(buffers);
        drop(large);
        assert_eq!(pool().cached_bytes(), 64 << 10);
    });
}

#[test]
fn split_keeps_the_rest() {
    with_own_pool(|| {
        let mut buffer = Buffer::new();
        buffer.extend_from_slice(b"frame one, frame two");
        let one = buffer.split_frozen(10);
        assert_eq!(
            (&one[..], &buffer[..]),
            (&b"frame one,"[..], &b" frame two"[..])
        );
        buffer.consume(1);
        let two = buffer.split_frozen(9);
        assert_eq!(
            (&two[..], buffer.len(), buffer.capacity()),
            (&b"frame two"[..], 0, 0)
        );
    });
}

#[test]
fn consumed_room_is_reclaimed_before_the_buffer_grows() {
    with_own_pool(|| {
        let mut buffer = Buffer::with_capacity(4096);
        buffer.extend_from_slice(&[1; 4000]);
        buffer.consume(3999);
        buffer.extend_from_slice(&[2; 1000]);
        assert_eq!((buffer.capacity(), buffer[0], buffer[1000]), (4096, 1, 2));
        buffer.truncate(1);
        assert_eq!(&buffer[..], [1]);
        buffer.consume(1);
        assert_eq!(buffer.spare_bytes(), 4096);
    });
}

#[test]
#[cfg(debug_assertions)]
fn released_memory_is_poisoned() {
    with_own_pool(|| {
        let mut buffer = Buffer::with_capacity(4096);
        buffer.extend_from_slice(&[1; 4096]);
        drop(buffer);
        assert!(
            Buffer::with_capacity(4096)
                .spare_mut()
                .iter()
                .all(|&byte| byte == POISON)
        );
    });
}
