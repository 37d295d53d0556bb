//! Primitives of the wire: round trips, limits, budgets.

use super::*;
use crate::ids::Uuid;
use proptest::prelude::*;

fn encoded(layout: Layout, write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut e = Encoder::new();
    e.set_layout(layout);
    write(&mut e);
    e.status().unwrap();
    e.finish().bytes
}

fn decoded<'a, T>(
    frame: &'a [u8],
    layout: Layout,
    read: impl FnOnce(&mut Decoder<'a>) -> T,
) -> Result<T, DecodeError> {
    let mut d = Decoder::new(frame);
    d.set_layout(layout);
    let value = read(&mut d);
    d.expect_end()?;
    Ok(value)
}

const LAYOUTS: [Layout; 2] = [Layout::Fixed, Layout::Flexible];

proptest! {
    #[test]
    fn numbers_come_back(
        (a, b, c, d) in any::<(i8, i16, i32, i64)>(),
        (e, f, g, h) in any::<(u16, u32, f64, bool)>(),
        id in any::<[u8; 16]>(),
    ) {
        let frame = encoded(Layout::Fixed, |out| {
            out.i8(a);
            out.i16(b);
            out.i32(c);
            out.i64(d);
            out.u16(e);
            out.u32(f);
            out.f64(g);
            out.bool(h);
            out.uuid(Uuid(id));
        });
        let read = decoded(&frame, Layout::Fixed, |d| {
            let ints = (d.i8(), d.i16(), d.i32(), d.i64());
            (ints, d.u16(), d.u32(), d.f64().to_bits(), d.bool(), d.uuid())
        });
        prop_assert_eq!(read, Ok(((a, b, c, d), e, f, g.to_bits(), h, Uuid(id))));
    }

    #[test]
    fn varints_come_back_in_their_length(a in any::<u32>(), b in any::<i32>(), c in any::<i64>(), shift in 0..64u32) {
        let (a, b, c) = (a >> (shift / 2), b >> (shift / 2), c >> shift);
        let unsigned = encoded(Layout::Fixed, |e| e.unsigned_varint(a));
        let short = encoded(Layout::Fixed, |e| e.varint(b));
        let long = encoded(Layout::Fixed, |e| e.varlong(c));
        prop_assert_eq!(unsigned.len(), unsigned_varint_len(a));
        prop_assert_eq!(short.len(), varint_len(b));
        prop_assert_eq!(long.len(), varlong_len(c));
        prop_assert_eq!(decoded(&unsigned, Layout::Fixed, |d| d.unsigned_varint()), Ok(a));
        prop_assert_eq!(decoded(&short, Layout::Fixed, |d| d.varint()), Ok(b));
        prop_assert_eq!(decoded(&long, Layout::Fixed, |d| d.varlong()), Ok(c));
    }

    #[test]
    fn strings_and_arrays_come_back(
        text in ".{0,300}",
        maybe in proptest::option::of(".{0,9}"),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        numbers in proptest::option::of(proptest::collection::vec(any::<i32>(), 0..200)),
    ) {
        for layout in LAYOUTS {
            let frame = encoded(layout, |e| {
                e.string(&text);
                e.nullable_string(maybe.as_deref());
                e.bytes(&bytes);
                e.nullable_bytes(maybe.as_deref().map(str::as_bytes));
                e.nullable_array(numbers.as_deref(), 0, element::write_i32);
                e.no_tags();
            });
            let read = decoded(&frame, layout, |d| {
                prop_assert_eq!(d.string(), text.as_str());
                let maybe_text = d.nullable_string();
                prop_assert_eq!(maybe_text.as_deref(), maybe.as_deref());
                prop_assert_eq!(&*d.bytes(), bytes.as_slice());
                let maybe_bytes = d.nullable_bytes();
                prop_assert_eq!(maybe_bytes.as_deref(), maybe.as_deref().map(str::as_bytes));
                prop_assert_eq!(d.nullable_array(4, 0, element::read_i32), numbers.clone());
                d.skip_tags();
                Ok(())
            });
            prop_assert!(read.is_ok());
            read.unwrap()?;
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..64), order in any::<[u8; 12]>()) {
        for layout in LAYOUTS {
            let mut d = Decoder::new(&frame);
            d.set_layout(layout);
            for step in order {
                match step % 10 {
                    0 => drop(d.string()),
                    1 => drop(d.nullable_bytes()),
                    2 => drop(d.array(1, 0, element::read_string)),
                    3 => drop(d.nullable_array(4, 0, element::read_i32)),
                    4 => d.skip_tags(),
                    5 => drop(d.varlong()),
                    6 => drop(d.varint()),
                    7 => drop(d.i64()),
                    8 => drop(d.records()),
                    _ => drop(d.nullable_tagged_struct(0, element::read_uuid)),
                }
            }
            let left = d.remaining();
            prop_assert!(d.status().is_ok() || left == 0);
        }
    }
}

#[test]
fn known_varints_have_known_bytes() {
    let known: [(i32, &[u8]); 8] = [
        (0, &[0]),
        (-1, &[1]),
        (1, &[2]),
        (63, &[0x7e]),
        (-64, &[0x7f]),
        (64, &[0x80, 0x01]),
        (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in known {
        assert_eq!(encoded(Layout::Fixed, |e| e.varint(value)), bytes);
        assert_eq!(decoded(bytes, Layout::Fixed, |d| d.varint()), Ok(value));
        assert_eq!(
            decoded(bytes, Layout::Fixed, |d| d.varlong()),
            Ok(i64::from(value))
        );
    }
}

#[test]
fn varints_that_are_too_long_are_refused() {
    let read = |bytes: &[u8]| decoded(bytes, Layout::Fixed, |d| d.unsigned_varint());
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
    assert_eq!(
        read(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
        Err(DecodeError::VarintTooLong)
    );
    assert_eq!(
        read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]),
        Err(DecodeError::VarintTooLong)
    );
    assert_eq!(read(&[0x80]), Err(DecodeError::Truncated));
    let long = |bytes: &[u8]| decoded(bytes, Layout::Fixed, |d| d.varlong());
    let mut most = [0xff; 10];
    most[9] = 1;
    assert_eq!(long(&most), Ok(i64::MIN));
    most[9] = 2;
    assert_eq!(long(&most), Err(DecodeError::VarintTooLong));
    assert_eq!(long(&[0x80; 11]), Err(DecodeError::VarintTooLong));
}

#[test]
fn the_first_error_sticks() {
    let mut d = Decoder::new(&[0, 5, b'a', 1, 2, 3]);
    assert_eq!(d.string(), "");
    assert_eq!(d.i32(), 0);
    assert_eq!(d.array(4, 0, element::read_i32), []);
    assert_eq!(d.status(), Err(DecodeError::Truncated));
    d.fail(DecodeError::TagOrder);
    assert_eq!(d.finish(()), Err(DecodeError::Truncated));
}

#[test]
fn lengths_are_checked() {
    let fixed = |bytes: &[u8]| decoded(bytes, Layout::Fixed, |d| d.string().len());
    assert_eq!(fixed(&[0xff, 0xff]), Err(DecodeError::UnexpectedNull));
    assert_eq!(fixed(&[0xff, 0xfe]), Err(DecodeError::NegativeLength));
    assert_eq!(fixed(&[0, 1, 0xff]), Err(DecodeError::InvalidUtf8));
    let mut long = vec![0x81, 0x80, 0x02];
    long.resize(3 + 0x8000, b'a');
    let flexible = |bytes: &[u8]| decoded(bytes, Layout::Flexible, |d| d.string().len());
    assert_eq!(flexible(&long), Err(DecodeError::StringTooLong));
    assert_eq!(flexible(&[0]), Err(DecodeError::UnexpectedNull));

    let mut e = Encoder::new();
    e.string(&"a".repeat(0x8000));
    assert_eq!(e.status(), Err(EncodeError::TooLong));
}

#[test]
fn an_array_is_bounded_by_the_frame_and_the_budget() {
    let frame = encoded(Layout::Fixed, |e| e.i32(1000));
    let read = |budget: usize, len: usize| {
        let mut frame = frame.clone();
        frame.resize(4 + len, 0);
        let mut d = Decoder::with_budget(&frame, budget);
        let array = d.array(2, 0, |d, _| d.i16());
        d.finish(array.len())
    };
    assert_eq!(read(2000, 2000), Ok(1000));
    assert_eq!(read(2000, 1999), Err(DecodeError::Truncated));
    assert_eq!(read(1999, 2000), Err(DecodeError::OverBudget));
}

#[test]
fn tagged_fields_ascend_and_keep_their_sizes() {
    fn read(frame: &[u8]) -> Result<i32, DecodeError> {
        decoded(frame, Layout::Flexible, |d| {
            let mut value = 0;
            let mut tags = d.tags();
            while let Some(tag) = d.next_tag(&mut tags) {
                match tag {
                    3 => value = d.i32(),
                    _ => d.skip_tag(&tags),
                }
            }
            value
        })
    }
    assert_eq!(read(&[0]), Ok(0));
    assert_eq!(read(&[1, 3, 4, 0, 0, 0, 9]), Ok(9));
    assert_eq!(read(&[3, 1, 1, 7, 3, 4, 0, 0, 0, 9, 5, 0]), Ok(9));
    assert_eq!(
        read(&[2, 3, 4, 0, 0, 0, 9, 3, 4, 0, 0, 0, 9]),
        Err(DecodeError::TagOrder)
    );
    assert_eq!(
        read(&[2, 5, 0, 3, 4, 0, 0, 0, 9]),
        Err(DecodeError::TagOrder)
    );
    assert_eq!(read(&[1, 3, 5, 0, 0, 0, 9, 0]), Err(DecodeError::TagSize));
    assert_eq!(read(&[1, 3, 3, 0, 0, 0, 9]), Err(DecodeError::TagSize));
    assert_eq!(read(&[1, 4, 9, 0]), Err(DecodeError::Truncated));
    assert_eq!(read(&[2, 4, 0]), Err(DecodeError::Truncated));
}

#[test]
fn long_tagged_values_get_long_sizes() {
    for len in [0, 1, 126, 127, 128, 16_383, 16_384] {
        let value = vec![7; len];
        let frame = encoded(Layout::Flexible, |e| {
            let mut tags = e.begin_tags();
            for number in [0, 200] {
                let tag = e.begin_tag(&mut tags, number);
                e.raw(&value);
                e.end_tag(tag);
            }
            e.end_tags(tags);
        });
        let mut d = Decoder::new(&frame);
        d.set_layout(Layout::Flexible);
        let mut tags = d.tags();
        for number in [0, 200] {
            assert_eq!(d.next_tag(&mut tags), Some(number));
            assert_eq!(d.take(len), value);
        }
        assert_eq!(d.next_tag(&mut tags), None);
        d.expect_end().unwrap();
    }
}

#[test]
fn records_elsewhere_leave_a_hole() {
    for layout in LAYOUTS {
        let whole = encoded(layout, |e| {
            e.i32(1);
            e.records(Some(&Records::Bytes(Cow::Borrowed(&[9; 300]))));
            e.i32(2);
        });
        let mut e = Encoder::new();
        e.set_layout(layout);
        e.i32(1);
        e.records(Some(&Records::External {
            token: 77,
            len: 300,
        }));
        e.i32(2);
        assert_eq!(e.wire_len(), whole.len());
        let frame = e.finish();
        assert_eq!(frame.wire_len(), whole.len());
        let [splice] = frame.splices[..] else {
            panic!("one hole, not {:?}", frame.splices)
        };
        assert_eq!((splice.token, splice.len), (77, 300));
        let (front, back) = frame.bytes.split_at(splice.at);
        assert_eq!([front, &[9; 300], back].concat(), whole);
    }
}
