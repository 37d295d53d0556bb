//! The frames of the benchmark: a big-endian length, a body, and the body's CRC-32C (counted in the
//! length). The answer to a frame is its CRC, once the frame has been written to the file.

/// Bytes of the length in front.
pub const LENGTH_BYTES: usize = 4;
/// Bytes of an answer.
pub const ANSWER_BYTES: usize = 4;

/// One frame with `bytes` behind the length.
pub fn build(bytes: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..bytes - 4)
        .map(|i| (i as u8).wrapping_mul(167) ^ (i >> 8) as u8)
        .collect();
    let mut frame = (bytes as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    frame
}

/// The length of the complete frames at the start of `bytes`, after checking each CRC; their CRCs
/// are appended to `answers`.
///
/// # Panics
/// If a CRC is wrong: loopback does not damage bytes, a server that mixes up buffers does.
pub fn check_complete(bytes: &[u8], answers: &mut Vec<u8>) -> usize {
    let mut done = 0;
    while let Some((length, rest)) = bytes[done..].split_first_chunk::<LENGTH_BYTES>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some(frame) = rest.get(..length) else {
            break;
        };
        let (body, crc) = frame.split_at(length - 4);
        assert_eq!(
            crc32c::crc32c(body).to_be_bytes(),
            crc,
            "frame was damaged on its way"
        );
        answers.extend_from_slice(crc);
        done += LENGTH_BYTES + length;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_frames_count() {
        let mut two = build(100);
        two.extend(build(50));
        let mut answers = Vec::new();
        assert_eq!(check_complete(&two[..two.len() - 1], &mut answers), 104);
        assert_eq!(answers.len(), 4);
        assert_eq!(check_complete(&two, &mut answers), two.len());
    }
}
