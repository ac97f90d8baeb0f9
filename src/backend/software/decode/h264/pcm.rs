//! Suspects macroblocks sent as raw samples (`I_PCM`), cheaply.
//!
//! Reading the slice data tells for certain, but takes a good part of the decoding time. What the fast library
//! decoded is therefore searched first: 256 luma, 64 Cb and 64 Cr bytes of a raw macroblock stand in the slice
//! data one after another, byte-aligned (7.3.5), and the chroma loop filter changes only the two samples at an
//! edge (8.7.2.3), so that columns and rows 1, 2, 5 and 6 of the 8x8 chroma blocks come out as they were sent.
//! Where cropping leaves too little of a block, every picture is suspect that is large enough to hold one.

use crate::bitstream::annexb::nal_units;
use crate::error::Result;
use crate::memory;

/// Bytes of a raw macroblock.
const MACROBLOCK: usize = 384;
/// Where Cb and Cr begin in it.
const CHROMA: [usize; 2] = [256, 320];
/// Rows and columns of a chroma block that no filter reaches.
const UNTOUCHED: [usize; 4] = [1, 2, 5, 6];
/// Comparisons after which the answer is "yes": the data was made to be expensive.
const MAX_COMPARISONS: usize = 1 << 20;

/// A decoded chroma plane.
#[derive(Clone, Copy)]
pub(super) struct Chroma<'a> {
    pub(super) samples: &'a [u8],
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Whether the picture may hold raw macroblocks that the slices in `unit` (Annex B) brought.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub(super) fn may_hold_raw_macroblocks(unit: &[u8], planes: [Chroma<'_>; 2]) -> Result<bool> {
    let mut index: Option<Index> = None;
    let mut budget = MAX_COMPARISONS;
    let hidden = [planes[0].width, planes[0].height].iter().any(|side| matches!(side % 8, 1 | 2));
    for nal in nal_units(unit).filter(|nal| nal.len() > MACROBLOCK && matches!(nal[0] & 0x1f, 1 | 5)) {
        if hidden {
            return Ok(true);
        }
        let data = unescape(nal)?;
        let index = match &mut index {
            Some(index) => index,
            none => none.insert(Index::new(planes[0])?),
        };
        for raw in data.windows(MACROBLOCK) {
            let key = key(raw[CHROMA[0] + 9], raw[CHROMA[0] + 10]);
            for &(column, row) in index.blocks(key) {
                budget -= 1;
                if budget == 0 || matches(raw, planes, usize::from(column), usize::from(row)) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

const fn key(first: u8, second: u8) -> usize {
    (first as usize) << 8 | second as usize
}

/// Chroma blocks by two of their untouched samples.
struct Index {
    /// Where the blocks of each key begin; one more at the end.
    starts: Vec<u32>,
    blocks: Vec<(u16, u16)>,
}

impl Index {
    fn new(plane: Chroma<'_>) -> Result<Self> {
        let positions = || {
            (0..plane.height.div_ceil(8))
                .flat_map(move |row| (0..plane.width.div_ceil(8)).map(move |column| (column, row)))
        };
        let key_at = |(column, row): (usize, usize)| {
            // `hidden` blocks.
            let (x, y) = (column * 8, row * 8);
            if x + 3 > plane.width || y + 3 > plane.height {
                return None;
            }
            let at = (y + 1) * plane.width + x;
            Some(key(*plane.samples.get(at + 1)?, *plane.samples.get(at + 2)?))
        };
        let mut starts = memory::filled(0_u32, (1 << 16) + 1)?;
        for key in positions().filter_map(key_at) {
            starts[key + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = memory::collected(starts.len(), starts.iter().copied())?;
        let mut blocks = memory::filled((0, 0), sum as usize)?;
        for position in positions() {
            if let Some(key) = key_at(position) {
                blocks[next[key] as usize] = (position.0 as u16, position.1 as u16);
                next[key] += 1;
            }
        }
        Ok(Self { starts, blocks })
    }

    fn blocks(&self, key: usize) -> &[(u16, u16)] {
        &self.blocks[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

fn matches(raw: &[u8], planes: [Chroma<'_>; 2], column: usize, row: usize) -> bool {
    planes.iter().zip(CHROMA).all(|(plane, start)| {
        UNTOUCHED.iter().all(|y| {
            UNTOUCHED.iter().all(|x| {
                let (px, py) = (column * 8 + x, row * 8 + y);
                px >= plane.width
                    || py >= plane.height
                    || plane.samples.get(py * plane.width + px) == raw.get(start + y * 8 + x)
            })
        })
    })
}

/// `nal` without `emulation_prevention_three_byte`s.
fn unescape(nal: &[u8]) -> Result<Vec<u8>> {
    let mut out = memory::room(nal.len())?;
    let mut rest = nal;
    while let Some(at) = memchr::memmem::find(rest, &[0, 0, 3]) {
        out.extend_from_slice(&rest[..at + 2]);
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice whose bytes 10.. are a raw macroblock, and the picture that shows it, filtered at its edges.
    fn sample() -> (Vec<u8>, [Vec<u8>; 2]) {
        let raw: Vec<u8> = (0..MACROBLOCK).map(|i| (i * 37 % 251) as u8 | 1).collect();
        let mut unit = vec![0, 0, 1, 0x65];
        unit.extend([0x80; 10]);
        unit.extend(&raw);
        let planes = CHROMA.map(|start| {
            let mut plane = vec![128_u8; 24 * 12];
            for (i, &v) in raw[start..start + 64].iter().enumerate() {
                let (x, y) = (i % 8, i / 8);
                if 8 + y < 12 {
                    let edge = [0, 3, 4, 7].contains(&x) || [0, 3, 4, 7].contains(&y);
                    plane[(8 + y) * 24 + 8 + x] = if edge { v ^ 2 } else { v };
                }
            }
            plane
        });
        (unit, planes)
    }

    fn found(unit: &[u8], planes: &[Vec<u8>; 2]) -> bool {
        let chroma = |i: usize| Chroma { samples: &planes[i], width: 24, height: 12 };
        may_hold_raw_macroblocks(unit, [chroma(0), chroma(1)]).unwrap()
    }

    #[test]
    fn finds_a_raw_macroblock_behind_the_loop_filter_and_at_the_cropped_edge() {
        let (unit, mut planes) = sample();
        assert!(found(&unit, &planes));
        planes[1][(8 + 2) * 24 + 8 + 2] ^= 4;
        assert!(!found(&unit, &planes), "one untouched sample differs");
    }

    #[test]
    fn removes_emulation_prevention() {
        assert_eq!(unescape(&[1, 0, 0, 3, 0, 0, 3, 1, 9]).unwrap(), [1, 0, 0, 0, 0, 1, 9]);
        assert_eq!(unescape(&[0, 0, 3]).unwrap(), [0, 0]);
    }
}
