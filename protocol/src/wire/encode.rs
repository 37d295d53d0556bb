//! Writes the primitives of the wire format into one buffer.
//!
//! Record batches that are not in memory leave a hole: their length is written, and where they
//! belong is noted as a [`Splice`], so that they can go from a file to a socket without ever
//! being copied into the frame.

use super::varint::{unsigned_varint_len, zigzag32, zigzag64};
use super::{EncodeError, Layout, Records};
use crate::ids::Uuid;

/// Writes one frame. Errors stick: see the module's head.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
    splices: Vec<Splice>,
    layout: Layout,
    error: Option<EncodeError>,
}

/// A written frame, perhaps with holes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    /// The frame without what belongs into its holes.
    pub bytes: Vec<u8>,
    /// The holes, in ascending order.
    pub splices: Vec<Splice>,
}

/// A hole in a frame: before `bytes[at]`, `len` bytes named by `token` are to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Splice {
    /// Where the hole is, as an index into [`Encoded::bytes`].
    pub at: usize,
    /// Names the bytes, as in [`Records::External`].
    pub token: u64,
    /// How many bytes they are.
    pub len: u32,
}

impl Encoded {
    /// How many bytes the frame has on the wire, holes filled.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.bytes.len()
            + self
                .splices
                .iter()
                .map(|splice| splice.len as usize)
                .sum::<usize>()
    }
}

/// The tagged fields of a struct being written.
#[derive(Debug)]
#[must_use]
pub struct OpenTags {
    /// Where their count stands.
    at: usize,
    count: u8,
}

/// A tagged field being written.
#[derive(Debug)]
#[must_use]
pub struct OpenTag {
    /// Where its size will stand, and for now its value begins.
    at: usize,
}

impl Encoder {
    /// An encoder with nothing written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder whose buffer holds `bytes` bytes before it must grow.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Sets how what follows is laid out.
    #[inline]
    pub fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
    }

    /// Whether what follows is laid out flexibly.
    #[inline]
    #[must_use]
    pub fn is_flexible(&self) -> bool {
        self.layout == Layout::Flexible
    }

    /// Lets `write` write in the fixed layout, whatever the layout is otherwise: a request
    /// header's client id.
    pub fn in_fixed_layout(&mut self, write: impl FnOnce(&mut Self)) {
        let layout = std::mem::replace(&mut self.layout, Layout::Fixed);
        write(self);
        self.layout = layout;
    }

    /// Notes an error, unless there is one already.
    #[cold]
    pub fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// The first error, if there was one.
    #[inline]
    pub fn status(&self) -> Result<(), EncodeError> {
        match self.error {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// How many bytes are written, not counting what belongs into holes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes are written, counting what belongs into holes.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.bytes.len()
            + self
                .splices
                .iter()
                .map(|splice| splice.len as usize)
                .sum::<usize>()
    }

    /// Overwrites the four bytes at `at` with an int32: for a frame's length, which is known last.
    ///
    /// # Panics
    /// If those bytes are not written yet.
    pub fn patch_i32(&mut self, at: usize, value: i32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// The frame. Whether it is whole, [`Encoder::status`] says.
    #[must_use]
    pub fn finish(self) -> Encoded {
        Encoded {
            bytes: self.bytes,
            splices: self.splices,
        }
    }

    /// Bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// An int8.
    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// An int16.
    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// An int32.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// An int64.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// A uint16.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// A uint32.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// A float64.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// A uuid.
    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    /// An unsigned varint.
    #[inline]
    pub fn unsigned_varint(&mut self, value: u32) {
        self.unsigned_varlong(u64::from(value));
    }

    /// A zigzag varint.
    #[inline]
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varlong(u64::from(zigzag32(value)));
    }

    /// A zigzag varlong.
    #[inline]
    pub fn varlong(&mut self, value: i64) {
        self.unsigned_varlong(zigzag64(value));
    }

    fn unsigned_varlong(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A length as bytes, records and arrays have it. None is null.
    fn write_len(&mut self, len: Option<usize>) {
        let Ok(len) = len.map(i32::try_from).transpose() else {
            return self.fail(EncodeError::TooLong);
        };
        match self.layout {
            Layout::Flexible => self.unsigned_varint(len.map_or(0, |len| len as u32 + 1)),
            Layout::Fixed => self.i32(len.unwrap_or(-1)),
        }
    }

    /// A string.
    pub fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    /// A string or null.
    pub fn nullable_string(&mut self, value: Option<&str>) {
        // In either layout a string has at most 32,767 bytes.
        let Ok(len) = value.map(|text| i16::try_from(text.len())).transpose() else {
            return self.fail(EncodeError::TooLong);
        };
        match self.layout {
            Layout::Flexible => self.unsigned_varint(len.map_or(0, |len| len as u32 + 1)),
            Layout::Fixed => self.i16(len.unwrap_or(-1)),
        }
        self.raw(value.unwrap_or_default().as_bytes());
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.nullable_bytes(Some(value));
    }

    /// A byte string or null.
    pub fn nullable_bytes(&mut self, value: Option<&[u8]>) {
        self.write_len(value.map(<[u8]>::len));
        self.raw(value.unwrap_or_default());
    }

    /// A set of record batches or null.
    pub fn records(&mut self, value: Option<&Records<'_>>) {
        match value {
            None => self.nullable_bytes(None),
            Some(Records::Bytes(bytes)) => self.bytes(bytes),
            Some(&Records::External { token, len }) => {
                self.write_len(Some(len as usize));
                self.splices.push(Splice {
                    at: self.bytes.len(),
                    token,
                    len,
                });
            }
        }
    }

    /// The count of an array whose elements are written next.
    #[inline]
    pub fn array_len(&mut self, count: usize) {
        self.write_len(Some(count));
    }

    /// Corrects the count of an array from `written` to `count`, which is not larger: for elements
    /// that turn out to be told already. Its elements begin at `elements_at`.
    ///
    /// # Panics
    /// If the count is larger, or there are holes.
    pub fn recount(&mut self, elements_at: usize, written: usize, count: usize) {
        assert!(count <= written && self.splices.is_empty());
        let size = |count: usize| match self.layout {
            Layout::Fixed => 4,
            Layout::Flexible => unsigned_varint_len(count as u32 + 1),
        };
        let (before, after) = (size(written), size(count));
        let mut counted = Self {
            layout: self.layout,
            ..Self::default()
        };
        counted.array_len(count);
        let at = elements_at - before;
        self.bytes[at..at + after].copy_from_slice(&counted.bytes);
        self.bytes.drain(at + after..elements_at);
    }

    /// An array, each element of which `write` writes.
    pub fn array<T>(&mut self, elements: &[T], version: i16, write: fn(&T, &mut Encoder, i16)) {
        self.write_len(Some(elements.len()));
        for element in elements {
            write(element, self, version);
        }
    }

    /// An array or null.
    pub fn nullable_array<T>(
        &mut self,
        elements: Option<&[T]>,
        version: i16,
        write: fn(&T, &mut Encoder, i16),
    ) {
        match elements {
            Some(elements) => self.array(elements, version, write),
            None => self.write_len(None),
        }
    }

    /// A struct or null.
    pub fn nullable_struct<T>(
        &mut self,
        value: Option<&T>,
        version: i16,
        write: fn(&T, &mut Encoder, i16),
    ) {
        match value {
            None => self.i8(-1),
            Some(value) => {
                self.i8(1);
                write(value, self, version);
            }
        }
    }

    /// A struct or null as the value of a tagged field, where null is marked otherwise.
    pub fn nullable_tagged_struct<T>(
        &mut self,
        value: Option<&T>,
        version: i16,
        write: fn(&T, &mut Encoder, i16),
    ) {
        match value {
            None => self.unsigned_varint(0),
            Some(value) => {
                self.unsigned_varint(1);
                write(value, self, version);
            }
        }
    }

    /// Fails because `field` has a value that `version` cannot carry.
    #[cold]
    pub fn not_in_version(&mut self, field: &'static str, version: i16) {
        self.fail(EncodeError::NotInVersion { field, version });
    }

    /// Fails because `field` is null and may not be in `version`.
    #[cold]
    pub fn unexpected_null(&mut self, field: &'static str, version: i16) {
        self.fail(EncodeError::UnexpectedNull { field, version });
    }

    /// Ends a struct that has no tagged fields.
    #[inline]
    pub fn no_tags(&mut self) {
        if self.layout == Layout::Flexible {
            self.bytes.push(0);
        }
    }

    /// Begins the tagged fields of a struct. Only in the flexible layout.
    #[inline]
    pub fn begin_tags(&mut self) -> OpenTags {
        debug_assert_eq!(
            self.layout,
            Layout::Flexible,
            "tagged fields need the flexible layout"
        );
        let at = self.bytes.len();
        self.bytes.push(0);
        OpenTags { at, count: 0 }
    }

    /// Begins one tagged field; its value is written next. Tags must ascend.
    pub fn begin_tag(&mut self, tags: &mut OpenTags, tag: u32) -> OpenTag {
        tags.count += 1;
        self.unsigned_varint(tag);
        OpenTag {
            at: self.bytes.len(),
        }
    }

    /// Ends one tagged field, whose size is now known.
    pub fn end_tag(&mut self, tag: OpenTag) {
        let size = self.bytes.len() - tag.at;
        let Ok(size) = u32::try_from(size) else {
            return self.fail(EncodeError::TooLong);
        };
        let shift = unsigned_varint_len(size);
        self.unsigned_varint(size);
        self.bytes[tag.at..].rotate_right(shift);
        debug_assert!(
            self.splices.last().is_none_or(|splice| splice.at < tag.at),
            "records are never inside a tagged field"
        );
    }

    /// Ends the tagged fields of a struct.
    pub fn end_tags(&mut self, tags: OpenTags) {
        assert!(
            tags.count < 0x80,
            "a struct has fewer tagged fields than take two bytes to count"
        );
        self.bytes[tags.at] = tags.count;
    }
}
