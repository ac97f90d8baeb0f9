//! Scaling lists of HEVC (7.3.4): values in coding (diagonal) order, as NVIDIA's structure takes them.

use super::super::bits::Bits;

/// All lists of a set, in the shape of the picture parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScalingLists {
    pub(super) four: [[u8; 16]; 6],
    pub(super) eight: [[u8; 64]; 6],
    pub(super) sixteen: [[u8; 64]; 6],
    pub(super) thirty_two: [[u8; 64]; 6],
    pub(super) dc_sixteen: [u8; 6],
    pub(super) dc_thirty_two: [u8; 6],
}

const INTRA: [u8; 64] = [
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 17, 16, 17, 16, 17, 18, 17, 18, 18, 17, 18, 21, 19, 20, 21, 20,
    19, 21, 24, 22, 22, 24, 24, 22, 22, 24, 25, 25, 27, 30, 27, 25, 25, 29, 31, 35, 35, 31, 29, 36, 41, 44,
    41, 36, 47, 54, 54, 47, 65, 70, 65, 88, 88, 115,
];
const INTER: [u8; 64] = [
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18, 20, 20, 20, 20, 20,
    20, 20, 24, 24, 24, 24, 24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 25, 28, 28, 28, 28, 28, 28, 33, 33, 33,
    33, 33, 41, 41, 41, 41, 54, 54, 54, 71, 71, 91,
];

impl Default for ScalingLists {
    fn default() -> Self {
        let large = std::array::from_fn(|matrix| if matrix < 3 { INTRA } else { INTER });
        Self {
            four: [[16; 16]; 6],
            eight: large,
            sixteen: large,
            thirty_two: large,
            dc_sixteen: [16; 6],
            dc_thirty_two: [16; 6],
        }
    }
}

impl ScalingLists {
    /// Without scaling lists every factor is 16.
    pub(super) fn flat() -> Self {
        let large = [[16; 64]; 6];
        Self { four: [[16; 16]; 6], eight: large, sixteen: large, thirty_two: large, ..Self::default() }
    }

    fn set(&mut self, size: usize, matrix: usize, values: &[u8; 64], dc: u8) {
        match size {
            0 => self.four[matrix].copy_from_slice(&values[..16]),
            1 => self.eight[matrix] = *values,
            2 => (self.sixteen[matrix], self.dc_sixteen[matrix]) = (*values, dc),
            _ => (self.thirty_two[matrix], self.dc_thirty_two[matrix]) = (*values, dc),
        }
    }

    fn get(&self, size: usize, matrix: usize) -> ([u8; 64], u8) {
        match size {
            0 => {
                let mut values = [16; 64];
                values[..16].copy_from_slice(&self.four[matrix]);
                (values, 16)
            }
            1 => (self.eight[matrix], 16),
            2 => (self.sixteen[matrix], self.dc_sixteen[matrix]),
            _ => (self.thirty_two[matrix], self.dc_thirty_two[matrix]),
        }
    }
}

/// Reads `scaling_list_data`.
pub(super) fn read(bits: &mut Bits, chroma_444: bool) -> Option<ScalingLists> {
    let default = ScalingLists::default();
    let mut lists = ScalingLists::default();
    for size in 0..4 {
        let step = if size == 3 { 3 } else { 1 };
        for matrix in (0..6).step_by(step) {
            if !bits.flag() {
                let back = bits.ue() as usize * step;
                let (values, dc) = if back == 0 {
                    default.get(size, matrix)
                } else {
                    lists.get(size, matrix.checked_sub(back)?)
                };
                lists.set(size, matrix, &values, dc);
                continue;
            }
            let mut values = [16; 64];
            let (mut next, mut dc) = (8i32, 16u8);
            if size > 1 {
                next = bits.se().clamp(-7, 247) + 8;
                dc = next as u8;
            }
            for value in values.iter_mut().take(if size == 0 { 16 } else { 64 }) {
                next = next.wrapping_add(bits.se()).rem_euclid(256);
                *value = next as u8;
            }
            lists.set(size, matrix, &values, dc);
        }
    }
    if chroma_444 {
        for matrix in [1, 2, 4, 5] {
            lists.thirty_two[matrix] = lists.sixteen[matrix];
            lists.dc_thirty_two[matrix] = lists.dc_sixteen[matrix];
        }
    }
    (!bits.overrun()).then_some(lists)
}
