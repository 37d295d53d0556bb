//! Reads and writes single elements of arrays, in the shape that the array functions take.

use super::{Decoder, Encoder};
use crate::ids::Uuid;
use std::borrow::Cow;

pub(crate) fn read_i8(d: &mut Decoder<'_>, _version: i16) -> i8 {
    d.i8()
}

pub(crate) fn write_i8(value: &i8, e: &mut Encoder, _version: i16) {
    e.i8(*value);
}

pub(crate) fn read_i32(d: &mut Decoder<'_>, _version: i16) -> i32 {
    d.i32()
}

pub(crate) fn write_i32(value: &i32, e: &mut Encoder, _version: i16) {
    e.i32(*value);
}

pub(crate) fn read_i64(d: &mut Decoder<'_>, _version: i16) -> i64 {
    d.i64()
}

pub(crate) fn write_i64(value: &i64, e: &mut Encoder, _version: i16) {
    e.i64(*value);
}

pub(crate) fn read_uuid(d: &mut Decoder<'_>, _version: i16) -> Uuid {
    d.uuid()
}

pub(crate) fn write_uuid(value: &Uuid, e: &mut Encoder, _version: i16) {
    e.uuid(*value);
}

pub(crate) fn read_string<'a>(d: &mut Decoder<'a>, _version: i16) -> Cow<'a, str> {
    d.string()
}

#[expect(clippy::ptr_arg, reason = "the element of the array is a Cow")]
pub(crate) fn write_string(value: &Cow<'_, str>, e: &mut Encoder, _version: i16) {
    e.string(value);
}
