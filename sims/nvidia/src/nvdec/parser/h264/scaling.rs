//! Scaling lists of H.264 and their fall-back rules (7.3.2.1.1.1, table 7-2), to the raster order that the hardware
//! is given.

use super::super::bits::Bits;
use super::sets::{Pps, Sps};

/// One list as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    /// Not sent: the fall-back applies.
    Absent,
    /// The standard's default.
    Default,
    /// In zigzag order, 16 or 64 values.
    Values(Vec<u8>),
}

/// Six lists of 4x4 and up to six of 8x8.
pub(super) type Lists = Vec<List>;

/// Reads `count` lists.
pub(super) fn read_lists(bits: &mut Bits, count: usize) -> Lists {
    (0..count)
        .map(|index| {
            if !bits.flag() {
                return List::Absent;
            }
            let size = if index < 6 { 16 } else { 64 };
            let (mut last, mut next) = (8i32, 8i32);
            let mut values = Vec::with_capacity(size);
            for position in 0..size {
                if next != 0 {
                    next = last.wrapping_add(bits.se()).rem_euclid(256);
                    if position == 0 && next == 0 {
                        return List::Default;
                    }
                }
                if next != 0 {
                    last = next;
                }
                values.push(last as u8);
            }
            List::Values(values)
        })
        .collect()
}

const DEFAULT_4X4: [[u8; 16]; 2] = [
    [6, 13, 13, 20, 20, 20, 28, 28, 28, 28, 32, 32, 32, 37, 37, 42],
    [10, 14, 14, 20, 20, 20, 24, 24, 24, 24, 27, 27, 27, 30, 30, 34],
];

const DEFAULT_8X8: [[u8; 64]; 2] = [
    [
        6, 10, 10, 13, 11, 13, 16, 16, 16, 16, 18, 18, 18, 18, 18, 23, 23, 23, 23, 23, 23, 25, 25, 25, 25,
        25, 25, 25, 27, 27, 27, 27, 27, 27, 27, 27, 29, 29, 29, 29, 29, 29, 29, 31, 31, 31, 31, 31, 31, 33,
        33, 33, 33, 33, 36, 36, 36, 36, 38, 38, 38, 40, 40, 42,
    ],
    [
        9, 13, 13, 15, 13, 15, 17, 17, 17, 17, 19, 19, 19, 19, 19, 21, 21, 21, 21, 21, 21, 22, 22, 22, 22,
        22, 22, 22, 24, 24, 24, 24, 24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 25, 27, 27, 27, 27, 27, 27, 28,
        28, 28, 28, 28, 30, 30, 30, 30, 32, 32, 32, 33, 33, 35,
    ],
];

/// The lists in force, in zigzag order: six of 4x4, and the intra and inter luma list of 8x8.
fn resolve(lists: &Lists, fallback: (&[Vec<u8>], &[Vec<u8>])) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut fours: Vec<Vec<u8>> = Vec::new();
    for index in 0..6 {
        fours.push(match lists.get(index) {
            Some(List::Values(values)) => values.clone(),
            Some(List::Default) => DEFAULT_4X4[index / 3].to_vec(),
            _ if index % 3 == 0 => fallback.0[index].clone(),
            _ => fours[index - 1].clone(),
        });
    }
    let eights = (0..2)
        .map(|index| match lists.get(6 + index) {
            Some(List::Values(values)) => values.clone(),
            Some(List::Default) => DEFAULT_8X8[index].to_vec(),
            _ => fallback.1[index].clone(),
        })
        .collect();
    (fours, eights)
}

/// The matrices that a picture is decoded with, in raster order.
pub(super) fn matrices(sps: &Sps, pps: &Pps) -> ([[u8; 16]; 6], [[u8; 64]; 2]) {
    let flat = (vec![vec![16; 16]; 6], vec![vec![16; 64]; 2]);
    let default: (Vec<Vec<u8>>, Vec<Vec<u8>>) = (
        (0..6).map(|index| DEFAULT_4X4[index / 3].to_vec()).collect(),
        DEFAULT_8X8.iter().map(|list| list.to_vec()).collect(),
    );
    let sequence = sps.scaling.as_ref().map(|lists| resolve(lists, (&default.0, &default.1)));
    let picture = pps.scaling.as_ref().map(|lists| {
        let base = sequence.as_ref().unwrap_or(&default);
        resolve(lists, (&base.0, &base.1))
    });
    let (fours, eights) = picture.or(sequence).unwrap_or(flat);
    let mut small = [[16; 16]; 6];
    for (matrix, list) in small.iter_mut().zip(&fours) {
        for (&place, &value) in zigzag(4).iter().zip(list) {
            matrix[place] = value;
        }
    }
    let mut large = [[16; 64]; 2];
    for (matrix, list) in large.iter_mut().zip(&eights) {
        for (&place, &value) in zigzag(8).iter().zip(list) {
            matrix[place] = value;
        }
    }
    (small, large)
}

/// Raster places in zigzag order of a square of side `n`.
pub(in crate::nvdec::parser) fn zigzag(n: usize) -> Vec<usize> {
    let mut places = Vec::with_capacity(n * n);
    for diagonal in 0..2 * n - 1 {
        let rows = diagonal.saturating_sub(n - 1)..=diagonal.min(n - 1);
        // Even diagonals go up to the right, odd ones down to the left.
        let mut line: Vec<_> = rows.map(|row| row * n + diagonal - row).collect();
        if diagonal % 2 == 0 {
            line.reverse();
        }
        places.extend(line);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_begins_and_ends_as_it_must() {
        assert_eq!(zigzag(4), [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15]);
        assert_eq!(zigzag(8)[..6], [0, 1, 8, 16, 9, 2]);
    }

    #[test]
    fn nothing_sent_is_flat_and_an_empty_set_is_the_default() {
        let flat = matrices(&Sps::default(), &Pps::default());
        assert_eq!(flat.0, [[16; 16]; 6]);
        let sps = Sps { scaling: Some(vec![List::Absent; 8]), ..Sps::default() };
        let (fours, eights) = matrices(&sps, &Pps::default());
        assert_eq!((fours[0][0], fours[2][15], fours[3][0]), (6, 42, 10));
        assert_eq!((eights[0][63], eights[1][0]), (42, 9));
    }
}
