//! A quick checksum of bytes, to tell pictures and files apart. It withstands accidents, not intent.

/// The sum of nothing.
pub(super) const START: u64 = 0xcbf2_9ce4_8422_2325;

/// The sum with these bytes added, a word at a time.
pub(super) fn fold(mut sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x100_0000_01b3).rotate_left(23);
    }
    for byte in rest {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    sum
}
