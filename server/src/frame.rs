//! Request frames from the bytes of a connection: four bytes of size, then the request.
//!
//! A frame's buffer grows as its bytes arrive, never ahead of them, except that a connection that
//! already sent a frame of some size is trusted with a buffer of that size class for the next one.
//! Frames that are not much larger than a connection's first buffer are received together with those
//! behind them, as many as arrive at a time.
//! Invariant: memory held for a frame is bounded by a small multiple of what has arrived of it, or
//! by that earlier frame, or of what the connection has once sent at a time.

use bytes::Bytes;
use ring::buffer::Buffer;

/// The first buffer of a connection: enough for most small requests, little enough to keep one
/// for every idle connection.
pub const FIRST_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes of the size prefix.
pub const SIZE_PREFIX_BYTES: usize = 4;

/// Why a connection's bytes cannot be a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// The size is negative.
    #[error("Invalid receive (size = {0})")]
    Negative(i32),
    /// The size is above `socket.request.max.bytes`.
    #[error("Invalid receive (size = {size} larger than socket.request.max.bytes = {max})")]
    TooLarge {
        /// The size announced.
        size: i32,
        /// The limit.
        max: usize,
    },
    /// The first bytes are those of a TLS client hello.
    #[error("a TLS client hello arrived on a PLAINTEXT listener")]
    Tls,
}

/// Cuts the bytes of one connection into frames.
pub struct FrameReader {
    buffer: Buffer,
    size_max: usize,
    /// The largest frame this connection has completed, capped: what it is trusted with.
    trusted_bytes: usize,
    /// The buffer that the connection gets when its first one is full: four times what it has filled
    /// at a time.
    together_bytes: usize,
    seen_any: bool,
}

/// How far a connection's trust goes: beyond it a buffer always grows with the bytes.
const TRUSTED_BYTES_MAX: usize = 1024 * 1024;
/// A frame up to this size is received together with what follows: the part of the next one that
/// comes with it is moved, which costs less than another receive.
const TOGETHER_FRAME_BYTES_MAX: usize = 16 * 1024;
/// The largest buffer for frames that are received together.
const TOGETHER_BYTES_MAX: usize = 64 * 1024;

impl FrameReader {
    /// A reader that refuses frames above `size_max` bytes (`socket.request.max.bytes`).
    pub fn new(size_max: usize) -> FrameReader {
        let buffer = Buffer::with_capacity(FIRST_BUFFER_BYTES);
        FrameReader {
            buffer,
            size_max,
            trusted_bytes: 0,
            together_bytes: FIRST_BUFFER_BYTES,
            seen_any: false,
        }
    }

    /// The buffer to receive into and how many bytes to receive at most: never beyond the end of
    /// a large frame, so that nothing of the next one needs to be moved.
    pub fn take_buffer(&mut self) -> (Buffer, usize) {
        let limit = match self.size_at(&self.buffer) {
            Ok(Some(size)) if SIZE_PREFIX_BYTES + size > TOGETHER_FRAME_BYTES_MAX => {
                SIZE_PREFIX_BYTES + size - self.buffer.len()
            }
            _ => usize::MAX,
        };
        (std::mem::take(&mut self.buffer), limit)
    }

    /// Puts the buffer back after receiving and appends the frames that are now complete (without
    /// their size prefix) to `frames`.
    pub fn put_buffer(
        &mut self,
        buffer: Buffer,
        frames: &mut Vec<Bytes>,
    ) -> Result<(), FrameError> {
        self.buffer = buffer;
        if self.buffer.spare_bytes() == 0 {
            let filled = self.buffer.capacity().min(TOGETHER_BYTES_MAX / 4);
            self.together_bytes = self.together_bytes.max(4 * filled);
        }
        let whole = self.whole_frames()?;
        if whole > 0 {
            let arrived = self.buffer.split_frozen(whole);
            let mut at = 0;
            while at < whole {
                let size = self.size_at(&arrived[at..])?.expect("the frame is whole");
                let body_at = at + SIZE_PREFIX_BYTES;
                frames.push(arrived.slice(body_at..body_at + size));
                at = body_at + size;
                let trusted = self.trusted_bytes.max(SIZE_PREFIX_BYTES + size);
                self.trusted_bytes = trusted.min(TRUSTED_BYTES_MAX);
            }
        }
        self.make_room()
    }

    /// Bytes held for a frame that is not complete.
    pub fn partial_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes at the front that are whole frames.
    fn whole_frames(&mut self) -> Result<usize, FrameError> {
        let mut at = 0;
        loop {
            let rest = &self.buffer[at..];
            match self.size_at(rest)? {
                Some(size) if rest.len() >= SIZE_PREFIX_BYTES + size => {
                    at += SIZE_PREFIX_BYTES + size;
                    self.seen_any = true;
                }
                _ => return Ok(at),
            }
        }
    }

    fn size_at(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = bytes.first_chunk::<SIZE_PREFIX_BYTES>() else {
            return Ok(None);
        };
        if !self.seen_any && prefix[0] == 0x16 && prefix[1] == 0x03 {
            return Err(FrameError::Tls);
        }
        let size = i32::from_be_bytes(*prefix);
        if size < 0 {
            return Err(FrameError::Negative(size));
        }
        if size as usize > self.size_max {
            return Err(FrameError::TooLarge {
                size,
                max: self.size_max,
            });
        }
        Ok(Some(size as usize))
    }

    fn make_room(&mut self) -> Result<(), FrameError> {
        if self.buffer.capacity() == 0 {
            self.buffer = Buffer::with_capacity(FIRST_BUFFER_BYTES);
        }
        let frame = self
            .size_at(&self.buffer)?
            .map_or(0, |size| SIZE_PREFIX_BYTES + size);
        if frame > self.buffer.capacity() && frame <= self.trusted_bytes {
            let wanted = match frame <= TOGETHER_FRAME_BYTES_MAX {
                true => frame.max(self.together_bytes),
                false => frame,
            };
            self.buffer.reserve(wanted - self.buffer.len());
        }
        self.buffer.make_room();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in chunks of `chunk` and collects the frames.
    fn feed(reader: &mut FrameReader, bytes: &[u8], chunk: usize) -> Vec<Bytes> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (mut buffer, limit) = reader.take_buffer();
            let n = rest.len().min(chunk).min(limit).min(buffer.spare_bytes());
            assert!(n > 0, "there is always room for a byte");
            buffer.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            reader.put_buffer(buffer, &mut frames).unwrap();
        }
        frames
    }

    fn frame(size: usize, fill: u8) -> Vec<u8> {
        let mut bytes = (size as i32).to_be_bytes().to_vec();
        bytes.resize(SIZE_PREFIX_BYTES + size, fill);
        bytes
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let sizes = [0, 1, 3000, 4092, 4093, 70_000, 2_000_000, 10];
        let mut bytes = Vec::new();
        sizes
            .iter()
            .enumerate()
            .for_each(|(n, size)| bytes.extend(frame(*size, n as u8)));
        for chunk in [7, 4096, 100_000, usize::MAX] {
            let frames = feed(&mut FrameReader::new(4_000_000), &bytes, chunk);
            assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), sizes);
            for (n, frame) in frames.iter().enumerate() {
                assert!(frame.iter().all(|byte| *byte == n as u8));
            }
        }
    }

    #[test]
    fn frames_a_little_larger_than_the_first_buffer_are_received_together() {
        let mut reader = FrameReader::new(1_000_000);
        let burst: Vec<u8> = (0..10).flat_map(|n| frame(6_000, n)).collect();
        let receives = |reader: &mut FrameReader| {
            let (mut rest, mut count, mut frames) = (&burst[..], 0, Vec::new());
            while !rest.is_empty() {
                let (mut buffer, limit) = reader.take_buffer();
                let n = rest.len().min(limit).min(buffer.spare_bytes());
                buffer.extend_from_slice(&rest[..n]);
                rest = &rest[n..];
                reader.put_buffer(buffer, &mut frames).unwrap();
                count += 1;
            }
            assert_eq!(frames.len(), 10);
            count
        };
        receives(&mut reader);
        // The first buffer, and the rest at once.
        assert_eq!(receives(&mut reader), 2);
        let idle = reader.take_buffer().0.capacity();
        assert!(
            idle <= FIRST_BUFFER_BYTES,
            "an idle connection holds {idle}"
        );
    }

    #[test]
    fn a_large_announced_size_holds_no_memory_before_its_bytes_come() {
        let mut reader = FrameReader::new(100 << 20);
        feed(&mut reader, &(100i32 << 20).to_be_bytes(), 4);
        feed(&mut reader, &[1; 100], 100);
        assert!(reader.take_buffer().0.capacity() <= FIRST_BUFFER_BYTES);
    }

    #[test]
    fn impossible_sizes_and_tls_are_refused() {
        let refused = |bytes: &[u8]| {
            let mut reader = FrameReader::new(1000);
            let (mut buffer, _) = reader.take_buffer();
            buffer.extend_from_slice(bytes);
            reader.put_buffer(buffer, &mut Vec::new()).unwrap_err()
        };
        assert_eq!(refused(&[0xFF, 0xFF, 0xFF, 0xFF]), FrameError::Negative(-1));
        assert_eq!(
            refused(&[0, 0, 4, 0]),
            FrameError::TooLarge {
                size: 1024,
                max: 1000
            }
        );
        assert_eq!(refused(&[0x16, 0x03, 0x01, 0x02]), FrameError::Tls);
    }
}
