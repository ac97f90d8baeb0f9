//! Sums over blocks of 4x4 samples, from which both metrics are made.
//!
//! For samples `a` and `b` of the two pictures a block keeps the sums of `a`, `b`, `a*a + b*b` and `a*b`. Four blocks
//! are an SSIM window, and `(a - b)^2 = a*a + b*b - 2*a*b` gives the squared error: one pass over the memory serves
//! both. Samples outside the picture count as zero in both pictures, and so add nothing.

use wide::{i16x8, i32x4, u8x16};

/// Samples that are loaded at once.
const CHUNK: usize = 16;
/// Side of a block.
pub(super) const SIDE: usize = 4;
/// Blocks in a chunk.
const BLOCKS: usize = CHUNK / SIDE;

/// The sums of one row of blocks, each kind in a row of its own. With 12 bit, none reaches 2^30.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) a: Vec<i32>,
    pub(super) b: Vec<i32>,
    /// Of `a*a + b*b`.
    pub(super) squares: Vec<i32>,
    /// Of `a*b`.
    pub(super) products: Vec<i32>,
}

impl Sums {
    /// For rows of `width` samples. There is room for whole chunks; what lies behind the picture stays zero.
    pub(super) fn new(width: usize) -> Self {
        let zeros = vec![0; width.div_ceil(CHUNK) * BLOCKS];
        Self { a: zeros.clone(), b: zeros.clone(), squares: zeros.clone(), products: zeros }
    }

    /// The sum of squared differences.
    pub(super) fn squared_error(&self) -> u64 {
        let blocks = self.squares.iter().zip(&self.products);
        // A sum of squares: never negative.
        blocks.map(|(squares, products)| u64::from((squares - 2 * products) as u32)).sum()
    }
}

/// How samples lie in memory.
pub(super) trait Sample {
    /// A chunk's bytes.
    type Chunk: Copy;

    /// The whole chunks of a row, and what is left.
    fn split(row: &[u8]) -> (&[Self::Chunk], &[u8]);

    /// A chunk of the first samples of `row`, zeros behind them.
    fn pad(row: &[u8]) -> Self::Chunk;

    /// The samples of a chunk. Bits outside `mask` are ignored: no bytes of a file can make a sum overflow.
    fn load(chunk: &Self::Chunk, mask: i16x8) -> [i16x8; 2];
}

/// 8 bit.
pub(super) struct Bytes;

impl Sample for Bytes {
    type Chunk = [u8; CHUNK];

    fn split(row: &[u8]) -> (&[Self::Chunk], &[u8]) {
        row.as_chunks()
    }

    fn pad(row: &[u8]) -> Self::Chunk {
        padded(row)
    }

    #[inline]
    fn load(chunk: &Self::Chunk, _: i16x8) -> [i16x8; 2] {
        let bytes = u8x16::from(*chunk);
        [i16x8::from_u8x16_low(bytes), i16x8::from_u8x16_high(bytes)]
    }
}

/// Up to 12 bit in the low bits of little-endian words.
pub(super) struct Words;

impl Sample for Words {
    type Chunk = [u8; 2 * CHUNK];

    fn split(row: &[u8]) -> (&[Self::Chunk], &[u8]) {
        row.as_chunks()
    }

    fn pad(row: &[u8]) -> Self::Chunk {
        padded(row)
    }

    #[inline]
    fn load(chunk: &Self::Chunk, mask: i16x8) -> [i16x8; 2] {
        let half = |from: usize| {
            let word = |i| {
                let at = 2 * (from + i);
                i16::from_le_bytes([chunk[at], chunk[at + 1]])
            };
            i16x8::new(std::array::from_fn(word)) & mask
        };
        [half(0), half(CHUNK / 2)]
    }
}

fn padded<const N: usize>(row: &[u8]) -> [u8; N] {
    let mut chunk = [0; N];
    let len = row.len().min(N);
    chunk[..len].copy_from_slice(&row[..len]);
    chunk
}

/// Sums up four rows of both pictures, which are all of the same length.
pub(super) fn sum_rows<S: Sample>(a: [&[u8]; SIDE], b: [&[u8]; SIDE], mask: i16, out: &mut Sums) {
    let mask = i16x8::splat(mask);
    let split_a = a.map(S::split);
    let split_b = b.map(S::split);
    let whole = split_a.iter().chain(&split_b).map(|(chunks, _)| chunks.len()).min().unwrap_or(0);
    let whole = whole.min(out.a.len() / BLOCKS);
    // Cut to one length, so that the compiler sees that nothing is out of bounds.
    let chunks_a = split_a.map(|(chunks, _)| &chunks[..whole]);
    let chunks_b = split_b.map(|(chunks, _)| &chunks[..whole]);
    {
        let out_a = &mut out.a.as_chunks_mut::<BLOCKS>().0[..whole];
        let out_b = &mut out.b.as_chunks_mut::<BLOCKS>().0[..whole];
        let squares = &mut out.squares.as_chunks_mut::<BLOCKS>().0[..whole];
        let products = &mut out.products.as_chunks_mut::<BLOCKS>().0[..whole];
        for i in 0..whole {
            let four_a = chunks_a.each_ref().map(|chunks| &chunks[i]);
            let four_b = chunks_b.each_ref().map(|chunks| &chunks[i]);
            [out_a[i], out_b[i], squares[i], products[i]] = sum_chunk::<S>(four_a, four_b, mask);
        }
    }
    let from = whole * BLOCKS;
    if from < out.a.len() {
        let tail_a = split_a.map(|(_, rest)| S::pad(rest));
        let tail_b = split_b.map(|(_, rest)| S::pad(rest));
        let sums = sum_chunk::<S>(tail_a.each_ref(), tail_b.each_ref(), mask);
        let rows = [&mut out.a, &mut out.b, &mut out.squares, &mut out.products];
        for (row, sums) in rows.into_iter().zip(sums) {
            row[from..from + BLOCKS].copy_from_slice(&sums);
        }
    }
}

/// The four sums of the four blocks of a chunk.
#[inline]
fn sum_chunk<S: Sample>(a: [&S::Chunk; SIDE], b: [&S::Chunk; SIDE], mask: i16x8) -> [[i32; BLOCKS]; 4] {
    let (zero, ones) = (i16x8::splat(0), i16x8::splat(1));
    let mut sum_a = [zero; 2];
    let mut sum_b = [zero; 2];
    let mut squares = [i32x4::splat(0); 2];
    let mut products = [i32x4::splat(0); 2];
    for (a, b) in a.into_iter().zip(b) {
        let (a, b) = (S::load(a, mask), S::load(b, mask));
        for half in 0..2 {
            let (a, b) = (a[half], b[half]);
            // Four samples of 12 bit still fit into 16.
            sum_a[half] += a;
            sum_b[half] += b;
            squares[half] += a.dot(a) + b.dot(b);
            products[half] += a.dot(b);
        }
    }
    let pairs = |sums: [i16x8; 2]| sums.map(|sum| sum.dot(ones));
    [pairs(sum_a), pairs(sum_b), squares, products].map(join)
}

/// Adds neighbours: each lane holds the sum of two columns, a block has four.
#[inline]
fn join(halves: [i32x4; 2]) -> [i32; BLOCKS] {
    let [low, high] = halves.map(i32x4::to_array);
    [low[0] + low[1], low[2] + low[3], high[0] + high[1], high[2] + high[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums as they are defined, sample by sample.
    fn plain(a: &[Vec<i32>], b: &[Vec<i32>], width: usize) -> Sums {
        let mut sums = Sums::new(width);
        for y in 0..SIDE {
            for x in 0..width {
                let (a, b) = (a[y][x], b[y][x]);
                sums.a[x / SIDE] += a;
                sums.b[x / SIDE] += b;
                sums.squares[x / SIDE] += a * a + b * b;
                sums.products[x / SIDE] += a * b;
            }
        }
        sums
    }

    fn check<S: Sample>(width: usize, top: i32, bytes: impl Fn(i32) -> Vec<u8>) {
        let value = |seed: usize, x: usize, y: usize| {
            let mixed = (x * 2_654_435 + y * 40_503 + seed * 97) ^ (x * y * 31);
            if (x + y + seed).is_multiple_of(5) { top } else { (mixed % (top as usize + 1)) as i32 }
        };
        let picture = |seed| {
            (0..SIDE).map(|y| (0..width).map(|x| value(seed, x, y)).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let (a, b) = (picture(1), picture(2));
        let encode = |rows: &[Vec<i32>]| -> Vec<Vec<u8>> {
            rows.iter().map(|row| row.iter().flat_map(|&v| bytes(v)).collect()).collect()
        };
        let (bytes_a, bytes_b) = (encode(&a), encode(&b));
        let mut sums = Sums::new(width);
        let rows = |rows: &'_ [Vec<u8>]| -> [Vec<u8>; SIDE] { std::array::from_fn(|i| rows[i].clone()) };
        let (rows_a, rows_b) = (rows(&bytes_a), rows(&bytes_b));
        sum_rows::<S>(
            rows_a.each_ref().map(|r| &r[..]),
            rows_b.each_ref().map(|r| &r[..]),
            top as i16,
            &mut sums,
        );
        let expected = plain(&a, &b, width);
        assert_eq!(sums.a, expected.a, "{width}");
        assert_eq!(sums.b, expected.b, "{width}");
        assert_eq!(sums.squares, expected.squares, "{width}");
        assert_eq!(sums.products, expected.products, "{width}");
        let error: i64 = a.concat().iter().zip(b.concat()).map(|(a, b)| i64::from(a - b).pow(2)).sum();
        assert_eq!(sums.squared_error(), error as u64, "{width}");
    }

    #[test]
    fn sums_are_exact_at_every_width() {
        for width in 1..70 {
            check::<Bytes>(width, 255, |v| vec![v as u8]);
            check::<Words>(width, 1023, |v| (v as u16).to_le_bytes().to_vec());
            check::<Words>(width, 4095, |v| (v as u16).to_le_bytes().to_vec());
        }
    }

    #[test]
    fn words_out_of_range_are_masked_and_overflow_nothing() {
        let (all, none) = ([0xff; 64], [0; 64]);
        let mut sums = Sums::new(32);
        sum_rows::<Words>([&all; SIDE], [&none; SIDE], 4095, &mut sums);
        assert_eq!(sums.squared_error(), 4095 * 4095 * 32 * 4);
    }
}
