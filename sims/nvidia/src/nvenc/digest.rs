//! A quick checksum of bytes, to tell pictures and files apart. It withstands accidents, not intent.

/// The sum of nothing.
pub(super) const START: u64 = 0xcbf2_9ce4_8422_2325;

/// The sum with these bytes added. Four words at once, each with a sum of its own: with one, every word would wait for the
/// multiplication of the one before, and what is measured is not to be this.
pub(super) fn fold(mut sum: u64, bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    if !blocks.is_empty() {
        let mut lanes = [sum, sum.rotate_left(16), sum.rotate_left(32), sum.rotate_left(48)];
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = step(*lane, u64::from_le_bytes(*word));
            }
        }
        sum = lanes.into_iter().fold(START, step);
    }
    rest.iter().fold(sum, |sum, byte| step(sum, u64::from(*byte)))
}

/// For each sum another result for each word, and for each word another for each sum: nothing that differs is lost. The
/// multiplication carries a difference up, and the shift brings it down again.
fn step(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_anywhere_makes_another_sum() {
        for length in [1, 7, 8, 31, 32, 33, 64, 100] {
            let mut bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let whole = fold(START, &bytes);
            let mut sums = vec![whole, fold(!START, &bytes), fold(START, &bytes[1..])];
            for at in 0..length {
                for bit in 0..8 {
                    bytes[at] ^= 1 << bit;
                    sums.push(fold(START, &bytes));
                    bytes[at] ^= 1 << bit;
                }
            }
            let count = sums.len();
            sums.sort_unstable();
            sums.dedup();
            assert_eq!(sums.len(), count, "{length} bytes");
        }
    }

    #[test]
    fn words_that_change_places_make_another_sum() {
        let bytes: Vec<u8> = (0..96).collect();
        for (first, second) in [(0, 8), (0, 32), (8, 48), (16, 24), (64, 88)] {
            let mut swapped = bytes.clone();
            for n in 0..8 {
                swapped.swap(first + n, second + n);
            }
            assert_ne!(fold(START, &bytes), fold(START, &swapped), "{first} and {second}");
        }
    }
}
