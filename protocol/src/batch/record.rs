//! The records inside a batch, read one by one without copying.

use super::{BatchError, BatchHeader, TimestampType};
use crate::ids::{Offset, TimestampMs};
use crate::wire::Decoder;

/// The least a record takes: its length, attributes, two deltas, two lengths, a count.
pub(super) const RECORD_BYTES_MIN: usize = 7;

/// One record, borrowed from its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordView<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp: the batch's largest one if the broker sets them.
    pub timestamp: TimestampMs,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value; none makes it a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// The headers of a record, already checked: names with values that may be absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Headers<'a> {
    left: i32,
    bytes: &'a [u8],
}

impl Headers<'_> {
    /// How many are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.left as usize
    }

    /// Whether none is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut decoder = Decoder::new(self.bytes);
        let header = read_header(&mut decoder).expect("headers are checked with their record");
        self.left -= 1;
        self.bytes = decoder.rest();
        Some(header)
    }
}

/// Walks the records of a batch, decompressed. It ends after the header's count, or an error.
///
/// Offsets must ascend and stay within the batch; nothing may follow the last record.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    index: i32,
    count: i32,
    offset_delta_last: i32,
    offset_delta_max: i32,
    base_offset: Offset,
    base_timestamp: TimestampMs,
    append_time: Option<TimestampMs>,
}

impl<'a> RecordIter<'a> {
    pub(super) fn new(header: &BatchHeader, records: &'a [u8]) -> Self {
        let append_time = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Self {
            rest: records,
            index: 0,
            count: header.records_count,
            offset_delta_last: -1,
            offset_delta_max: header.last_offset_delta,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
        }
    }

    fn read(&mut self) -> Result<RecordView<'a>, &'static str> {
        let mut decoder = Decoder::new(self.rest);
        let len = usize::try_from(decoder.varint()).map_err(|_| "its length is negative")?;
        let body = decoder.take(len);
        if decoder.status().is_err() {
            return Err("it is cut short");
        }
        self.rest = decoder.rest();

        let mut decoder = Decoder::new(body);
        decoder.i8();
        let timestamp_delta = decoder.varlong();
        let offset_delta = decoder.varint();
        if offset_delta <= self.offset_delta_last || offset_delta > self.offset_delta_max {
            return Err("its offset is out of order, or beyond the batch");
        }
        self.offset_delta_last = offset_delta;
        let key = read_bytes(&mut decoder);
        let value = read_bytes(&mut decoder);
        let count = decoder.varint();
        if decoder.status().is_err() || count < 0 || count as usize > decoder.remaining() / 2 {
            return Err("its fields do not fit in it");
        }
        let headers = Headers {
            left: count,
            bytes: decoder.rest(),
        };
        for _ in 0..count {
            read_header(&mut decoder)?;
        }
        if decoder.remaining() > 0 {
            return Err("it is longer than its fields");
        }
        Ok(RecordView {
            offset: Offset(self.base_offset.0.wrapping_add(i64::from(offset_delta))),
            timestamp: self.append_time.unwrap_or(TimestampMs(
                self.base_timestamp.0.wrapping_add(timestamp_delta),
            )),
            key,
            value,
            headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.index;
        let fail = |what| Some(Err(BatchError::InvalidRecord { index, what }));
        if index >= self.count {
            if !self.rest.is_empty() {
                self.rest = &[];
                return fail("there is something after the last record");
            }
            return None;
        }
        self.index += 1;
        match self.read() {
            Ok(record) => Some(Ok(record)),
            Err(what) => {
                self.index = self.count;
                self.rest = &[];
                fail(what)
            }
        }
    }
}

fn read_bytes<'a>(decoder: &mut Decoder<'a>) -> Option<&'a [u8]> {
    let len = usize::try_from(decoder.varint()).ok()?;
    Some(decoder.take(len))
}

fn read_header<'a>(decoder: &mut Decoder<'a>) -> Result<(&'a str, Option<&'a [u8]>), &'static str> {
    let name = read_bytes(decoder).ok_or("a header has no name")?;
    let value = read_bytes(decoder);
    if decoder.status().is_err() {
        return Err("a header is cut short");
    }
    let name = std::str::from_utf8(name).map_err(|_| "a header's name is not UTF-8")?;
    Ok((name, value))
}
