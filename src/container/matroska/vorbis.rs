//! How long packets of Vorbis are (Vorbis I specification 4.2 and 4.3), which laced blocks do not say.

/// Bits of a mode in the setup header: a flag, two types that are zero, and the number of a mapping.
const MODE_BITS: usize = 1 + 16 + 16 + 8;
const MOST_MODES: usize = 64;
const MOST_MAPPINGS: u64 = 64;

/// What the headers say of the lengths of packets, and the length of the last block.
pub(super) struct BlockLengths {
    /// Samples of short and of long blocks.
    sizes: [u64; 2],
    /// Whether each mode has long blocks.
    long: Vec<bool>,
    before: Option<u64>,
}

impl BlockLengths {
    /// Out of the three headers, laced as in `CodecPrivate`.
    pub(super) fn new(headers: &[u8]) -> Option<Self> {
        let (2, mut rest) = headers.split_first().map(|(count, rest)| (*count, rest))? else { return None };
        let mut length = || {
            let mut length = 0;
            loop {
                let (byte, more) = rest.split_first()?;
                rest = more;
                length += usize::from(*byte);
                if *byte != 255 {
                    return Some(length);
                }
            }
        };
        let (first, second) = (length()?, length()?);
        let identification = rest.get(..first)?;
        let setup = rest.get(first.checked_add(second)?..)?;
        let sizes = *identification.get(28)?;
        let sizes = [1 << (sizes & 0xf), 1 << (sizes >> 4)];
        Some(Self { sizes, long: modes(setup)?, before: None })
    }

    /// Forgets the last block, behind a jump.
    pub(super) fn reset(&mut self) {
        self.before = None;
    }

    /// Samples that a packet adds to those before: a quarter of its block and of the one before.
    pub(super) fn samples(&mut self, packet: &[u8]) -> Option<u64> {
        let first = u64::from(*packet.first()?);
        // A header between packets of sound.
        if first & 1 != 0 {
            return Some(0);
        }
        let bits = usize::BITS - (self.long.len() - 1).leading_zeros();
        let mode = (first >> 1) as usize & ((1 << bits) - 1);
        let long = *self.long.get(mode)?;
        let size = self.sizes[usize::from(long)];
        // A long block says how long its neighbour is.
        let stated = long.then(|| self.sizes[(first >> (1 + bits) & 1) as usize]);
        let before = stated.or(self.before).unwrap_or(size);
        self.before = Some(size);
        Some((before + size) / 4)
    }
}

/// Whether the modes of a setup header have long blocks. They stand at its end, in front of a bit that is set: what is in front
/// of them need not be understood.
fn modes(setup: &[u8]) -> Option<Vec<bool>> {
    let bits = setup.len().checked_mul(8)?;
    let field = |from: usize, len: usize| {
        (0..len).try_fold(0_u64, |value, at| {
            let bit = from.checked_add(at)?;
            Some(value | u64::from(setup.get(bit / 8)? >> (bit % 8) & 1) << at)
        })
    };
    let framing = (0..bits).rev().take(16).find(|bit| field(*bit, 1) == Some(1))?;
    let mut found = None;
    let mut long = Vec::new();
    for count in 1..=MOST_MODES {
        let Some(at) = framing.checked_sub(count * MODE_BITS) else { break };
        if field(at + 1, 32)? != 0 || field(at + 33, 8)? >= MOST_MAPPINGS {
            break;
        }
        long.push(field(at, 1)? == 1);
        // Their number stands in front of the first one.
        if at.checked_sub(6).and_then(|at| field(at, 6)) == Some(count as u64 - 1) {
            found = Some(count);
        }
    }
    long.truncate(found?);
    long.reverse();
    Some(long)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers with a short mode of 256 samples and a long one of 2048.
    fn headers() -> Vec<u8> {
        let mut identification = [&b"\x01vorbis\0\0\0\0\x02"[..], &[0x80, 0xbb, 0, 0], &[0; 12]].concat();
        identification.extend([0xb8, 1]);
        let mut bits = Vec::new();
        let mut put = |value: u64, len: usize| bits.extend((0..len).map(|at| value >> at & 1));
        put(0x5a5a, 16);
        put(1, 6);
        for long in [0, 1] {
            put(long, 1);
            put(0, 32);
            put(long, 8);
        }
        put(1, 1);
        let setup: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().enumerate().map(|(at, bit)| (*bit as u8) << at).sum())
            .collect();
        [&[2, identification.len() as u8, 3][..], &identification, b"abc", &setup].concat()
    }

    #[test]
    fn lengths_follow_the_blocks() {
        let mut lengths = BlockLengths::new(&headers()).unwrap();
        assert_eq!((lengths.sizes, lengths.long.clone()), ([256, 2048], vec![false, true]));
        // Short, long after short, long after long, short.
        let samples = [0b0000, 0b0010, 0b0110, 0b0000].map(|packet| lengths.samples(&[packet]).unwrap());
        assert_eq!(samples, [128, 576, 1024, 576]);
    }

    #[test]
    fn cut_headers_are_refused() {
        let headers = headers();
        for end in 0..headers.len() - 1 {
            let _ = BlockLengths::new(&headers[..end]);
        }
        assert!(BlockLengths::new(&headers[..40]).is_none());
    }
}
