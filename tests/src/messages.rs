//! Messages of the formats before batches (magic 0 and 1), by hand, and changes to batches that no
//! client makes.

use crate::raw::Body;

/// One message of magic 0 or 1.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// 0 or 1.
    pub magic: i8,
    /// Its offset; in a wrapper of magic 1, counted from the first.
    pub offset: i64,
    /// Compression, and in magic 1 the timestamp's type.
    pub attributes: i8,
    /// Written in magic 1 only.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; of a wrapper, a compressed set.
    pub value: Option<&'a [u8]>,
}

impl Message<'_> {
    /// As it stands in a set.
    pub fn encode(&self) -> Vec<u8> {
        let mut covered = Body::new().i8(self.magic).i8(self.attributes);
        if self.magic == 1 {
            covered = covered.i64(self.timestamp_ms);
        }
        for field in [self.key, self.value] {
            covered = match field {
                Some(bytes) => covered.bytes(bytes),
                None => covered.i32(-1),
            };
        }
        let length = i32::try_from(covered.0.len() + 4).expect("test messages are small");
        Body::new()
            .i64(self.offset)
            .i32(length)
            .i32(crc32(&covered.0).cast_signed())
            .raw(&covered.0)
            .0
    }
}

/// Compression type gzip, in the attributes of a message or batch.
pub const GZIP: i8 = 1;
/// The attribute that says that the broker set the timestamps.
pub const LOG_APPEND_TIME: i8 = 8;

/// `content` as gzip, which has to be under 64 KiB: one block that is stored as it is.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("one block holds it");
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend_from_slice(content);
    out.extend(crc32(content).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

/// A batch v2 with `bytes` from `at` on, and the CRC that it then has.
pub fn changed(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = batch.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&changed[21..]);
    changed[17..21].copy_from_slice(&crc.to_be_bytes());
    changed
}

/// A batch v2 whose records all have this timestamp.
pub fn at_time(batch: &[u8], timestamp_ms: i64) -> Vec<u8> {
    let twice = [timestamp_ms.to_be_bytes(), timestamp_ms.to_be_bytes()].concat();
    changed(batch, 27, &twice)
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}
