//! Reads the primitives of the wire format from a frame, without copying.
//!
//! The frame comes from the network and nothing in it is believed. Invariants:
//! - strings and byte strings borrow from the frame;
//! - an array is allocated only if `count x least size of an element <= what is left of the
//!   frame`, and only within the budget, which is a small multiple of the frame's size;
//! - unknown tagged fields are skipped, never stored, and there may be only so many;
//! - after the first error nothing is left to read, and nothing more is allocated.

mod budget;
mod tagged;

pub use tagged::Tags;

use super::varint::{unzigzag32, unzigzag64};
use super::{DecodeError, Elements, Layout, Records};
use crate::ids::Uuid;
use budget::Budget;
use std::borrow::Cow;

/// What a frame's arrays may take in memory, for each byte of the frame.
const BUDGET_PER_FRAME_BYTE: usize = 4;
/// The same for a frame from a broker of our own cluster.
const BUDGET_PER_PEER_FRAME_BYTE: usize = 16;
/// What a frame's arrays may take in memory beyond that, so that small frames never fall short.
const BUDGET_BASE_BYTES: usize = 64 * 1024;
/// Reads one frame from its beginning.
///
/// Errors stick: see the module's head. Ask [`Decoder::status`] once, after reading.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    budget: Budget,
    elements: usize,
    unknown_tags: u32,
    layout: Layout,
    error: Option<DecodeError>,
}

impl<'a> Decoder<'a> {
    /// A decoder with the default budget for arrays, four times the frame and 64 KiB: for
    /// whatever a client sends.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        let bytes = frame.len().saturating_mul(BUDGET_PER_FRAME_BYTE);
        Self::with_budget(frame, bytes.saturating_add(BUDGET_BASE_BYTES))
    }

    /// A decoder with four times that budget: for what a broker of our own cluster sends. Some of
    /// its messages are lists of tens of thousands of small things, such as the states of
    /// partitions.
    #[must_use]
    pub fn from_peer(frame: &'a [u8]) -> Self {
        let bytes = frame.len().saturating_mul(BUDGET_PER_PEER_FRAME_BYTE);
        Self::with_budget(frame, bytes.saturating_add(BUDGET_BASE_BYTES))
    }

    /// A decoder whose arrays may take `budget_bytes` in memory.
    #[must_use]
    pub fn with_budget(frame: &'a [u8], budget_bytes: usize) -> Self {
        Self {
            rest: frame,
            budget: Budget::new(budget_bytes),
            elements: 0,
            unknown_tags: 0,
            layout: Layout::Fixed,
            error: None,
        }
    }

    /// The same, where each element takes not only its own size out of the budget, but `times` that
    /// and `beyond` bytes: what becomes of it later.
    #[must_use]
    pub fn with_weights(frame: &'a [u8], budget_bytes: usize, times: usize, beyond: usize) -> Self {
        let mut decoder = Self::with_budget(frame, budget_bytes);
        decoder.budget.weigh(times, beyond);
        decoder
    }

    /// Sets how what follows is laid out.
    #[inline]
    pub fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
    }

    /// What `read` reads in the fixed layout, whatever the layout is otherwise: a request header's
    /// client id.
    pub fn in_fixed_layout<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let layout = std::mem::replace(&mut self.layout, Layout::Fixed);
        let value = read(self);
        self.layout = layout;
        value
    }

    /// Notes an error, unless there is one already, and gives up the rest of the frame.
    #[cold]
    pub fn fail(&mut self, error: DecodeError) {
        self.error.get_or_insert(error);
        self.rest = &[];
    }

    /// The first error, if there was one.
    #[inline]
    pub fn status(&self) -> Result<(), DecodeError> {
        match self.error {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// `value`, if all went well until now.
    #[inline]
    pub fn finish<T>(&self, value: T) -> Result<T, DecodeError> {
        match self.error {
            None => Ok(value),
            Some(error) => Err(error),
        }
    }

    /// An error if something is left of the frame, or went wrong before.
    pub fn expect_end(&self) -> Result<(), DecodeError> {
        self.status()?;
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }

    /// How many bytes of the frame are not read yet.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes of the frame that are not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `N` bytes, or zeros.
    #[inline]
    fn fixed<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                *bytes
            }
            None => {
                self.fail(DecodeError::Truncated);
                [0; N]
            }
        }
    }

    /// The next `len` bytes, or none.
    #[inline]
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => {
                self.fail(DecodeError::Truncated);
                &[]
            }
        }
    }

    /// One byte: zero is false, all else is true.
    #[inline]
    pub fn bool(&mut self) -> bool {
        self.fixed::<1>()[0] != 0
    }

    /// An int8.
    #[inline]
    pub fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.fixed())
    }

    /// An int16.
    #[inline]
    pub fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.fixed())
    }

    /// An int32.
    #[inline]
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.fixed())
    }

    /// An int64.
    #[inline]
    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.fixed())
    }

    /// A uint16.
    #[inline]
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.fixed())
    }

    /// A uint32.
    #[inline]
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.fixed())
    }

    /// A float64.
    #[inline]
    pub fn f64(&mut self) -> f64 {
        f64::from_be_bytes(self.fixed())
    }

    /// A uuid.
    #[inline]
    pub fn uuid(&mut self) -> Uuid {
        Uuid(self.fixed())
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> u32 {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                u32::from(*first)
            }
            _ => {
                let value = self.long_unsigned_varint(32);
                value as u32
            }
        }
    }

    /// A zigzag varint of at most 32 bits.
    #[inline]
    pub fn varint(&mut self) -> i32 {
        unzigzag32(self.unsigned_varint())
    }

    /// A zigzag varlong of at most 64 bits.
    #[inline]
    pub fn varlong(&mut self) -> i64 {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                unzigzag64(u64::from(*first))
            }
            _ => unzigzag64(self.long_unsigned_varint(64)),
        }
    }

    fn long_unsigned_varint(&mut self, bits: u32) -> u64 {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate() {
            let shift = 7 * at as u32;
            let piece = u64::from(byte & 0x7f);
            if shift >= bits || piece > (u64::MAX >> (64 - bits)) >> shift {
                self.fail(DecodeError::VarintTooLong);
                return 0;
            }
            value |= piece << shift;
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return value;
            }
        }
        self.fail(DecodeError::Truncated);
        0
    }

    /// A length as a string has it: 16 bits in the fixed layout. None is null.
    #[inline]
    fn string_len(&mut self) -> Option<usize> {
        match self.layout {
            Layout::Flexible => self.compact_len(),
            Layout::Fixed => {
                let len = self.i16();
                self.signed_len(i32::from(len))
            }
        }
    }

    /// A length as bytes, records and arrays have it: 32 bits in the fixed layout. None is null.
    #[inline]
    fn len(&mut self) -> Option<usize> {
        match self.layout {
            Layout::Flexible => self.compact_len(),
            Layout::Fixed => {
                let len = self.i32();
                self.signed_len(len)
            }
        }
    }

    #[inline]
    fn compact_len(&mut self) -> Option<usize> {
        let len = self.unsigned_varint();
        // An error reads as empty, not as null, so that the first error stays the reported one.
        if self.error.is_some() {
            Some(0)
        } else {
            (len as usize).checked_sub(1)
        }
    }

    #[inline]
    fn signed_len(&mut self, len: i32) -> Option<usize> {
        if len < -1 {
            self.fail(DecodeError::NegativeLength);
            return Some(0);
        }
        usize::try_from(len).ok()
    }

    #[inline]
    fn not_null<T: Default>(&mut self, value: Option<T>) -> T {
        value.unwrap_or_else(|| {
            self.fail(DecodeError::UnexpectedNull);
            T::default()
        })
    }

    /// A string.
    pub fn string(&mut self) -> Cow<'a, str> {
        let value = self.nullable_string();
        self.not_null(value)
    }

    /// A string or null.
    pub fn nullable_string(&mut self) -> Option<Cow<'a, str>> {
        let len = self.string_len()?;
        if len > i16::MAX as usize {
            self.fail(DecodeError::StringTooLong);
        }
        match std::str::from_utf8(self.take(len)) {
            Ok(text) => Some(Cow::Borrowed(text)),
            Err(_) => {
                self.fail(DecodeError::InvalidUtf8);
                Some(Cow::Borrowed(""))
            }
        }
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Cow<'a, [u8]> {
        let value = self.nullable_bytes();
        self.not_null(value)
    }

    /// A byte string or null.
    pub fn nullable_bytes(&mut self) -> Option<Cow<'a, [u8]>> {
        let len = self.len()?;
        Some(Cow::Borrowed(self.take(len)))
    }

    /// A set of record batches or null.
    pub fn records(&mut self) -> Option<Records<'a>> {
        self.nullable_bytes().map(Records::Bytes)
    }

    /// An array, each element of which takes at least `least` bytes and is read by `read`.
    pub fn array<T>(
        &mut self,
        least: usize,
        version: i16,
        read: fn(&mut Decoder<'a>, i16) -> T,
    ) -> Vec<T> {
        let value = self.nullable_array(least, version, read);
        self.not_null(value)
    }

    /// An array or null.
    pub fn nullable_array<T>(
        &mut self,
        least: usize,
        version: i16,
        read: fn(&mut Decoder<'a>, i16) -> T,
    ) -> Option<Vec<T>> {
        let count = self.len()?;
        if !self.admit(count, least, size_of::<T>()) {
            return Some(Vec::new());
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            let element = read(self, version);
            if self.error.is_some() {
                break;
            }
            elements.push(element);
        }
        Some(elements)
    }

    /// An array as [`array`](Self::array) reads it, that is left in the frame.
    pub fn elements<T>(
        &mut self,
        least: usize,
        version: i16,
        read: fn(&mut Decoder<'a>, i16) -> T,
    ) -> Elements<'a, T> {
        self.nullable_elements(least, version, read)
            .unwrap_or_else(|| {
                self.fail(DecodeError::UnexpectedNull);
                Elements::empty()
            })
    }

    /// Such an array or null.
    pub fn nullable_elements<T>(
        &mut self,
        least: usize,
        version: i16,
        read: fn(&mut Decoder<'a>, i16) -> T,
    ) -> Option<Elements<'a, T>> {
        let count = self.len()?;
        if !self.fits(count, least) {
            return Some(Elements::empty());
        }
        self.elements += count;
        let bytes = self.rest;
        for _ in 0..count {
            drop(read(self, version));
            if self.error.is_some() {
                return Some(Elements::empty());
            }
        }
        let bytes = &bytes[..bytes.len() - self.rest.len()];
        Some(Elements::new(bytes, count, version, self.layout, read))
    }

    /// How many elements all arrays had that were left in the frame.
    #[must_use]
    pub fn elements_seen(&self) -> usize {
        self.elements
    }

    /// A struct or null.
    pub fn nullable_struct<T>(
        &mut self,
        version: i16,
        read: fn(&mut Decoder<'a>, i16) -> T,
    ) -> Option<T> {
        if self.i8() < 0 {
            None
        } else {
            Some(read(self, version))
        }
    }

    /// A struct or null as the value of a tagged field, where null is marked otherwise.
    pub fn nullable_tagged_struct<T>(
        &mut self,
        version: i16,
        read: fn(&mut Decoder<'a>, i16) -> T,
    ) -> Option<T> {
        if self.unsigned_varint() == 0 {
            None
        } else {
            Some(read(self, version))
        }
    }

    /// Fails because a field is null that may not be in this version.
    #[cold]
    pub fn refuse_null(&mut self) {
        self.fail(DecodeError::UnexpectedNull);
    }

    /// Whether the frame can hold so many elements; fails if not.
    fn fits(&mut self, count: usize, least: usize) -> bool {
        let fits = count.saturating_mul(least) <= self.rest.len();
        if !fits {
            self.fail(DecodeError::Truncated);
        }
        fits
    }

    /// Takes the memory of an array out of the budget, or fails.
    fn admit(&mut self, count: usize, least: usize, element_bytes: usize) -> bool {
        if !self.fits(count, least) {
            return false;
        }
        let admitted = self.budget.admit(count, element_bytes);
        if !admitted {
            self.fail(DecodeError::OverBudget);
        }
        admitted
    }
}
