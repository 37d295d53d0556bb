//! An array that stays in the frame: it was walked once, to find its end and every error in it, and
//! its elements are read again whenever they are asked for.
//!
//! A client may send millions of elements of two bytes each, which would be forty bytes each in
//! memory; here all of them together are forty. Invariant: reading them a second time cannot fail.

use super::{Decoder, Layout};
use std::fmt;

type Read<'a, T> = fn(&mut Decoder<'a>, i16) -> T;

/// See the module. `T` is an element.
pub struct Elements<'a, T> {
    bytes: &'a [u8],
    count: usize,
    version: i16,
    layout: Layout,
    read: Read<'a, T>,
}

impl<'a, T> Elements<'a, T> {
    /// No elements.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            bytes: &[],
            count: 0,
            version: 0,
            layout: Layout::Fixed,
            read: |_, _| unreachable!("an array without elements is not read"),
        }
    }

    /// The `count` elements that `bytes` are.
    pub(super) fn new(
        bytes: &'a [u8],
        count: usize,
        version: i16,
        layout: Layout,
        read: Read<'a, T>,
    ) -> Self {
        Self {
            bytes,
            count,
            version,
            layout,
            read,
        }
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements, read one after another.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'a, T> {
        let mut decoder = Decoder::new(self.bytes);
        decoder.set_layout(self.layout);
        Iter {
            decoder,
            left: self.count,
            version: self.version,
            read: self.read,
        }
    }

    /// The element before which [`Iter::bytes_left`] was `bytes_left`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(&self, bytes_left: u32) -> T {
        let mut iter = self.iter();
        iter.decoder.take(self.bytes.len() - bytes_left as usize);
        iter.next().expect("an element is there")
    }
}

impl<T> Clone for Elements<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Elements<'_, T> {}

/// As a `Vec` of the same elements is shown.
impl<T: fmt::Debug> fmt::Debug for Elements<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T> IntoIterator for &Elements<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The elements of an array, read one after another.
pub struct Iter<'a, T> {
    decoder: Decoder<'a>,
    left: usize,
    version: i16,
    read: Read<'a, T>,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self {
            decoder: self.decoder.clone(),
            ..*self
        }
    }
}

impl<T> Iter<'_, T> {
    /// How many bytes are behind what was read: names the next element. Frames are below 2 GiB.
    #[must_use]
    pub fn bytes_left(&self) -> u32 {
        self.decoder.remaining() as u32
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        Some((self.read)(&mut self.decoder, self.version))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}
