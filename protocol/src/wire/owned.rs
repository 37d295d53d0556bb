//! Turns what borrows from a frame into what does not.

use std::borrow::Cow;

pub(crate) fn string(value: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(value.into_owned())
}

pub(crate) fn nullable_string(value: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
    value.map(string)
}

pub(crate) fn bytes(value: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
    Cow::Owned(value.into_owned())
}

pub(crate) fn nullable_bytes(value: Option<Cow<'_, [u8]>>) -> Option<Cow<'static, [u8]>> {
    value.map(bytes)
}

pub(crate) fn array<T, U>(values: Vec<T>, owned: fn(T) -> U) -> Vec<U> {
    let mut out = Vec::with_capacity(values.len());
    for value in values {
        out.push(owned(value));
    }
    out
}

pub(crate) fn nullable_array<T, U>(values: Option<Vec<T>>, owned: fn(T) -> U) -> Option<Vec<U>> {
    values.map(|values| array(values, owned))
}
