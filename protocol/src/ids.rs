//! The numbers of Kafka's world, each with its own type, so that an offset cannot be added to a
//! position and a broker's epoch cannot stand where a leader's is wanted.
//!
//! Knows nothing of messages, files or sockets. Messages carry raw integers as they are on the
//! wire; whoever takes a value out of a message wraps it here.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $raw);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$raw> for $name {
            fn from(raw: $raw) -> Self {
                Self(raw)
            }
        }
    };
}

/// A point on a scale: a distance can be added, and two points give a distance.
macro_rules! scale {
    ($name:ident, $raw:ty) => {
        impl Add<$raw> for $name {
            type Output = Self;
            fn add(self, distance: $raw) -> Self {
                Self(self.0 + distance)
            }
        }

        impl AddAssign<$raw> for $name {
            fn add_assign(&mut self, distance: $raw) {
                self.0 += distance;
            }
        }

        impl Sub<$name> for $name {
            type Output = $raw;
            fn sub(self, from: Self) -> $raw {
                self.0 - from.0
            }
        }

        impl Sub<$raw> for $name {
            type Output = Self;
            fn sub(self, distance: $raw) -> Self {
                Self(self.0 - distance)
            }
        }
    };
}

number!(
    /// A record's place in its partition's log, counted in records from 0.
    Offset(i64)
);
scale!(Offset, i64);

number!(
    /// A byte position in one segment file.
    Position(u32)
);
scale!(Position, u32);

number!(
    /// Which leader of a partition, in order of election; -1 is "not known".
    LeaderEpoch(i32)
);

number!(
    /// A broker's configured id; -1 is "none".
    BrokerId(i32)
);

number!(
    /// Which registration of a broker: the czxid of its znode with ZooKeeper; -1 is "not known".
    BrokerEpoch(i64)
);

number!(
    /// An idempotent or transactional producer; -1 is "none".
    ProducerId(i64)
);

number!(
    /// Which incarnation of a producer id; -1 is "none".
    ProducerEpoch(i16)
);

number!(
    /// A partition's number within its topic, from 0.
    PartitionIndex(i32)
);

number!(
    /// Milliseconds since 1970-01-01T00:00Z; -1 is "none".
    TimestampMs(i64)
);
scale!(TimestampMs, i64);

impl Offset {
    /// The first offset of a log that never lost a record.
    pub const ZERO: Self = Self(0);

    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Position {
    /// The start of a segment file.
    pub const ZERO: Self = Self(0);
}

impl LeaderEpoch {
    /// No epoch is known: as in batches that a client sends.
    pub const NONE: Self = Self(-1);

    /// The epoch of the next leader.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl BrokerId {
    /// Stands for "no broker".
    pub const NONE: Self = Self(-1);
}

impl BrokerEpoch {
    /// Stands for "not known".
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// Stands for "this batch's producer is not idempotent".
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// Stands for "this batch's producer is not idempotent".
    pub const NONE: Self = Self(-1);
}

impl TimestampMs {
    /// Stands for "no timestamp".
    pub const NONE: Self = Self(-1);
}

/// A 128-bit id, of a topic or a log directory. As text it is URL-safe base64 without padding,
/// 22 characters, as Kafka prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// The text is not 22 characters of URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected an id of 22 characters of URL-safe base64")]
pub struct InvalidUuid;

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// Stands for "no id".
    pub const ZERO: Self = Self([0; 16]);

    /// The id of the topic `__cluster_metadata`.
    pub const METADATA_TOPIC: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Whether this is [`Uuid::ZERO`].
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; 22];
        for (at, letter) in text.iter_mut().enumerate().take(21) {
            *letter = BASE64_URL[(bits >> (122 - 6 * at)) as usize & 63];
        }
        text[21] = BASE64_URL[(bits << 4) as usize & 63];
        f.pad(std::str::from_utf8(&text).expect("base64 is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        if text.len() != 22 {
            return Err(InvalidUuid);
        }
        let mut bits = 0u128;
        for (at, letter) in text.bytes().enumerate() {
            let six = BASE64_URL
                .iter()
                .position(|&b| b == letter)
                .ok_or(InvalidUuid)? as u128;
            bits = if at < 21 {
                bits << 6 | six
            } else {
                bits << 2 | six >> 4
            };
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_printed_and_read_as_kafka_does() {
        // Printed by Kafka's own Uuid class.
        let known = [
            (Uuid::ZERO, "AAAAAAAAAAAAAAAAAAAAAA"),
            (Uuid::METADATA_TOPIC, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (
                Uuid(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10"),
                "ASNFZ4mrze_-3LqYdlQyEA",
            ),
        ];
        for (id, text) in known {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
        assert_eq!("AAAA".parse::<Uuid>(), Err(InvalidUuid));
        assert_eq!("AAAAAAAAAAAAAAAAAAAA+/".parse::<Uuid>(), Err(InvalidUuid));
    }

    #[test]
    fn a_scale_gives_points_and_distances() {
        assert_eq!(Offset(5) + 3, Offset(8));
        assert_eq!(Offset(8) - Offset(5), 3);
        assert_eq!(Offset(8).next(), Offset(9));
        assert_eq!(Position(7) - 7, Position::ZERO);
    }
}
