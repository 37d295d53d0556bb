//! What one write consists of, piece by piece: batches as they came, but for the bytes in front
//! that the log sets.
//!
//! Of a large batch nothing else is copied. Small ones are, side by side into one piece. Must not
//! know the log.

use bytes::Bytes;
use protocol::batch::RECORDS_AT;
use ring::buffer::Buffer;
use std::ops::Range;

/// A batch below this is copied: that costs less than two pieces that stay where they are, each with
/// a share in the frame that holds it, and of which the kernel has to take one after the other.
const COPY_BELOW_BYTES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pieces {
    copies: Buffer,
    cuts: Vec<Cut>,
}

#[derive(Debug)]
enum Cut {
    /// So many of the bytes that were copied.
    Copied(usize),
    /// What a client sent.
    Kept(Bytes),
}

/// About how many bytes of a batch of this size are copied.
pub(crate) fn copied_bytes(batch_bytes: usize) -> usize {
    match batch_bytes {
        small @ ..COPY_BELOW_BYTES => small,
        _ => RECORDS_AT,
    }
}

impl Pieces {
    /// Nothing yet, with room for so many bytes that are copied.
    pub(crate) fn with_room(copied_bytes: usize) -> Self {
        Self {
            copies: Buffer::with_capacity(copied_bytes),
            cuts: Vec::new(),
        }
    }

    /// Adds the batch at `place` of a frame, with `head` instead of as many of its own first bytes.
    pub(crate) fn batch(&mut self, head: &[u8], frame: &Bytes, place: Range<usize>) {
        let body = place.start + head.len()..place.end;
        self.copies.extend_from_slice(head);
        if place.len() < COPY_BELOW_BYTES {
            self.copies.extend_from_slice(&frame[body]);
            self.copied(place.len());
        } else {
            self.copied(head.len());
            self.cuts.push(Cut::Kept(frame.slice(body)));
        }
    }

    /// Adds batches that are stored as they are.
    pub(crate) fn unchanged(&mut self, batches: Bytes) {
        self.cuts.push(Cut::Kept(batches));
    }

    /// The pieces, in order.
    pub(crate) fn finish(self) -> Vec<Bytes> {
        let mut copies = self.copies.freeze();
        let piece = |cut| match cut {
            Cut::Copied(bytes) => copies.split_to(bytes),
            Cut::Kept(bytes) => bytes,
        };
        self.cuts.into_iter().map(piece).collect()
    }

    fn copied(&mut self, bytes: usize) {
        match self.cuts.last_mut() {
            Some(Cut::Copied(before)) => *before += bytes,
            _ => self.cuts.push(Cut::Copied(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batches_are_one_piece_and_large_ones_stay_where_they_are() {
        let frame: Bytes = (0..20_000u32).map(|n| n as u8).collect();
        let places = [0..100, 100..300, 300..8_000, 8_000..8_100, 8_100..20_000];
        let mut pieces = Pieces::with_room(0);
        for (head, place) in [[1; 17], [2; 17], [3; 17], [4; 17], [5; 17]]
            .iter()
            .zip(places)
        {
            pieces.batch(head, &frame, place);
        }
        pieces.unchanged(frame.slice(..10));
        let pieces = pieces.finish();
        let expected = [
            [
                &[1; 17],
                &frame[17..100],
                &[2; 17],
                &frame[117..300],
                &[3; 17],
            ]
            .concat(),
            frame[317..8_000].to_vec(),
            [&[4; 17], &frame[8_017..8_100], &[5; 17]].concat(),
            frame[8_117..].to_vec(),
            frame[..10].to_vec(),
        ];
        assert_eq!(pieces, expected);
        assert_eq!(pieces[1].as_ptr(), frame[317..].as_ptr());
    }
}
