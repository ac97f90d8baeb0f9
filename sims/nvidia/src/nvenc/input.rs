//! Input pictures: where their planes lie in each buffer format, and how they become the planes that are coded.

use super::abi::formats as f;
use super::digest;
use crate::codec::encoder::Chroma;
use crate::policy;

/// A picture ready for the software encoder: planes with rows without padding, samples of one byte or of two (low
/// bits, little endian).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planes {
    /// Y, U, V.
    pub data: [Vec<u8>; 3],
    /// Bytes from row to row.
    pub pitches: [usize; 3],
}

/// A picture of the client's as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// One of [`f`].
    pub format: u32,
    /// Bytes from row to row of the first plane.
    pub pitch: usize,
    /// Rows of the first plane in memory, at least those coded.
    pub rows: usize,
}

/// What is coded.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Luma size.
    pub width: usize,
    /// Luma size.
    pub height: usize,
    /// Chroma sampling.
    pub chroma: Chroma,
    /// Bits per sample.
    pub depth: u8,
    /// For RGB input: `matrix_coefficients`, if the VUI names them.
    pub matrix: Option<u8>,
    /// For RGB input.
    pub full_range: bool,
}

/// True for a format this module knows.
pub fn known(format: u32) -> bool {
    row_bytes(format, 2).is_some()
}

/// Bytes of a row of the first plane.
pub fn row_bytes(format: u32, width: usize) -> Option<usize> {
    match format {
        f::NV12 | f::YV12 | f::IYUV | f::YUV444 => Some(width),
        f::YUV420_10BIT | f::YUV444_10BIT => Some(width * 2),
        f::ARGB | f::ABGR | f::AYUV | f::ARGB10 | f::ABGR10 => Some(width * 4),
        _ => None,
    }
}

impl Layout {
    /// Bytes of the whole picture.
    pub fn bytes(&self) -> usize {
        match self.format {
            f::NV12 | f::YUV420_10BIT => self.pitch * (self.rows + self.rows.div_ceil(2)),
            f::YV12 | f::IYUV => self.pitch * self.rows + 2 * (self.pitch / 2) * self.rows.div_ceil(2),
            f::YUV444 | f::YUV444_10BIT => self.pitch * self.rows * 3,
            _ => self.pitch * self.rows,
        }
    }

    /// Checksum of the part of the picture that is coded, to notice that somebody wrote to it and to know the picture
    /// again: what lies beside the samples has no part in it. Looks at each `step`-th row of a plane only, from row
    /// `first` on; a plane of fewer rows than that is counted through again.
    pub fn checksum(
        &self,
        data: &[u8],
        (width, height): (usize, usize),
        (first, step): (usize, usize),
    ) -> u64 {
        let mut sum = digest::START;
        for (offset, pitch, bytes, rows) in self.planes(width, height) {
            let plane = data.get(offset..).unwrap_or_default();
            let skipped = first % rows.min(step).max(1);
            for row in plane.chunks(pitch.max(1)).take(rows).skip(skipped).step_by(step.max(1)) {
                sum = digest::fold(sum, &row[..bytes.min(row.len())]);
            }
        }
        sum
    }

    /// Where the planes of a picture of this size lie: offset, pitch, bytes of a row, rows.
    fn planes(&self, width: usize, height: usize) -> Vec<(usize, usize, usize, usize)> {
        let (pitch, luma, half) = (self.pitch, self.pitch * self.rows, self.pitch / 2);
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        match self.format {
            f::NV12 => vec![(0, pitch, width, height), (luma, pitch, 2 * cw, ch)],
            f::YUV420_10BIT => vec![(0, pitch, 2 * width, height), (luma, pitch, 4 * cw, ch)],
            f::YV12 | f::IYUV => {
                let second = luma + half * self.rows.div_ceil(2);
                vec![(0, pitch, width, height), (luma, half, cw, ch), (second, half, cw, ch)]
            }
            f::YUV444 => [0, 1, 2].map(|n| (n * luma, pitch, width, height)).to_vec(),
            f::YUV444_10BIT => [0, 1, 2].map(|n| (n * luma, pitch, 2 * width, height)).to_vec(),
            _ => vec![(0, pitch, 4 * width, height)],
        }
    }

    /// Copies a picture out, converting as needed. `data` holds at least [`Layout::bytes`].
    pub fn gather(&self, data: &[u8], target: &Target) -> Planes {
        let (width, height) = (target.width, target.height);
        let chroma_rows = self.rows.div_ceil(2);
        let luma = self.pitch * self.rows;
        let half = self.pitch / 2;
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        let at = |offset: usize| data.get(offset..).unwrap_or_default();
        let plain =
            |offset: usize, pitch: usize, w: usize, h: usize| Samples::bytes(at(offset), pitch, 1, w, h);
        let deep = |offset: usize, step: usize, w: usize, h: usize| {
            Samples::words(at(offset), self.pitch, step, w, h)
        };
        let (planes, chroma, depth) = match self.format {
            f::NV12 => {
                let uv = |offset| Samples::bytes(at(luma + offset), self.pitch, 2, cw, ch);
                ([plain(0, self.pitch, width, height), uv(0), uv(1)], Chroma::Yuv420, 8)
            }
            f::IYUV | f::YV12 => {
                let first = plain(luma, half, cw, ch);
                let second = plain(luma + half * chroma_rows, half, cw, ch);
                let (u, v) = if self.format == f::IYUV { (first, second) } else { (second, first) };
                ([plain(0, self.pitch, width, height), u, v], Chroma::Yuv420, 8)
            }
            f::YUV444 => ([0, 1, 2].map(|n| plain(n * luma, self.pitch, width, height)), Chroma::Yuv444, 8),
            f::YUV420_10BIT => (
                [deep(0, 1, width, height), deep(luma, 2, cw, ch), deep(luma + 2, 2, cw, ch)],
                Chroma::Yuv420,
                10,
            ),
            f::YUV444_10BIT => ([0, 1, 2].map(|n| deep(n * luma, 1, width, height)), Chroma::Yuv444, 10),
            _ => (
                self.packed(data, target),
                Chroma::Yuv444,
                if matches!(self.format, f::ARGB10 | f::ABGR10) { 10 } else { 8 },
            ),
        };
        finish(planes, chroma, depth, target)
    }

    /// Packed formats: words of alpha and three components.
    fn packed(&self, data: &[u8], target: &Target) -> [Samples; 3] {
        let (rgb8, rgb10) = (Rgb::new(8, target), Rgb::new(10, target));
        let byte = |word: u32, shift: u32| (word >> shift) & 0xff;
        let ten = |word: u32, shift: u32| (word >> shift) & 0x3ff;
        match self.format {
            f::ARGB => self.words(data, target, |w| rgb8.yuv(byte(w, 16), byte(w, 8), byte(w, 0))),
            f::ABGR => self.words(data, target, |w| rgb8.yuv(byte(w, 0), byte(w, 8), byte(w, 16))),
            f::ARGB10 => self.words(data, target, |w| rgb10.yuv(ten(w, 20), ten(w, 10), ten(w, 0))),
            f::ABGR10 => self.words(data, target, |w| rgb10.yuv(ten(w, 0), ten(w, 10), ten(w, 20))),
            _ => self.words(data, target, |w| [16, 8, 0].map(|shift| byte(w, shift) as u16)),
        }
    }

    /// Each word of a packed picture as three samples. Generic, so that what is done to a word is part of the loop: a
    /// picture has millions of them.
    fn words(&self, data: &[u8], target: &Target, samples: impl Fn(u32) -> [u16; 3]) -> [Samples; 3] {
        let (width, height) = (target.width, target.height);
        let mut planes = [(); 3].map(|()| Samples { values: vec![0; width * height], width, height });
        let [first, second, third] = &mut planes;
        for (y, row) in data.chunks(self.pitch.max(1)).take(height).enumerate() {
            let line = y * width..(y + 1) * width;
            let second = second.values[line.clone()].iter_mut().zip(&mut third.values[line.clone()]);
            let samples_of = first.values[line].iter_mut().zip(second);
            for (bytes, (first, (second, third))) in row.as_chunks::<4>().0.iter().zip(samples_of) {
                [*first, *second, *third] = samples(u32::from_le_bytes(*bytes));
            }
        }
        planes
    }
}

/// One plane on the way.
struct Samples {
    values: Vec<u16>,
    width: usize,
    height: usize,
}

impl Samples {
    fn bytes(data: &[u8], pitch: usize, step: usize, width: usize, height: usize) -> Self {
        let mut values = Vec::with_capacity(width * height);
        for row in data.chunks(pitch.max(1)).take(height) {
            values.extend(row.iter().step_by(step).take(width).map(|value| u16::from(*value)));
        }
        values.resize(width * height, 0);
        Self { values, width, height }
    }

    /// Ten bits at the top of sixteen.
    fn words(data: &[u8], pitch: usize, step: usize, width: usize, height: usize) -> Self {
        let mut values = Vec::with_capacity(width * height);
        for row in data.chunks(pitch.max(1)).take(height) {
            let samples = row.as_chunks::<2>().0;
            values.extend(
                samples.iter().step_by(step).take(width).map(|value| u16::from_le_bytes(*value) >> 6),
            );
        }
        values.resize(width * height, 0);
        Self { values, width, height }
    }

    /// Half the size in both directions, by the mean of four.
    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let row = |y: usize| &self.values[y * self.width..(y + 1) * self.width];
            let (upper, lower) = (row(2 * y), row((2 * y + 1).min(self.height - 1)));
            // The last of an odd number of columns stands for two.
            let sum = |pair: &[u16]| u32::from(pair[0]) + u32::from(pair[pair.len() - 1]);
            let pairs = upper.chunks(2).zip(lower.chunks(2));
            values.extend(pairs.map(|(upper, lower)| ((sum(upper) + sum(lower) + 2) / 4) as u16));
        }
        Self { values, width, height }
    }

    /// Twice the size in both directions, by repetition.
    fn doubled(&self, width: usize, height: usize) -> Self {
        let values = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| self.values[(y / 2) * self.width + x / 2])
            .collect();
        Self { values, width, height }
    }
}

/// Brings sampling and depth to what is coded.
fn finish(mut planes: [Samples; 3], chroma: Chroma, depth: u8, target: &Target) -> Planes {
    if target.width == 0 || target.height == 0 {
        return Planes { data: Default::default(), pitches: [0; 3] };
    }
    for plane in &mut planes[1..] {
        match (chroma, target.chroma) {
            (Chroma::Yuv444, Chroma::Yuv420) => *plane = plane.halved(),
            (Chroma::Yuv420, Chroma::Yuv444) => *plane = plane.doubled(target.width, target.height),
            _ => {}
        }
    }
    let scale = |value: u16| match (depth, target.depth) {
        (8, 10) => value << 2,
        (10, 8) => value >> 2,
        _ => value,
    };
    let wide = target.depth > 8;
    let pitches = [0, 1, 2].map(|n: usize| planes[n].width * if wide { 2 } else { 1 });
    let data = planes.map(|plane| {
        let values = plane.values.into_iter().map(scale);
        if wide {
            values.flat_map(u16::to_le_bytes).collect()
        } else {
            values.map(|value| value as u8).collect()
        }
    });
    Planes { data, pitches }
}

/// Luma weights of red and blue for a matrix code.
fn weights(matrix: u8) -> (f32, f32) {
    match matrix {
        1 => (0.2126, 0.0722),
        9 | 10 => (0.2627, 0.0593),
        _ => (0.299, 0.114),
    }
}

/// RGB of some depth to YUV of the same.
struct Rgb {
    /// Luma weights of red, green and blue.
    weights: [f32; 3],
    /// Largest value of a sample.
    top: f32,
    /// Range and least value of luma, range and middle of chroma.
    luma: [f32; 2],
    chroma: [f32; 2],
}

impl Rgb {
    fn new(depth: u32, target: &Target) -> Self {
        let (kr, kb) = weights(target.matrix.unwrap_or(policy::RGB_DEFAULT_MATRIX));
        let top = ((1u32 << depth) - 1) as f32;
        let unit = (1u32 << (depth - 8)) as f32;
        let (luma, offset, chroma) =
            if target.full_range { (top, 0.0, top) } else { (219.0 * unit, 16.0 * unit, 224.0 * unit) };
        Self { weights: [kr, 1.0 - kr - kb, kb], top, luma: [luma, offset], chroma: [chroma, 128.0 * unit] }
    }

    fn yuv(&self, r: u32, g: u32, b: u32) -> [u16; 3] {
        let [kr, kg, kb] = self.weights;
        let (r, g, b) = (r as f32 / self.top, g as f32 / self.top, b as f32 / self.top);
        let y = kr * r + kg * g + kb * b;
        let u = (b - y) / (2.0 * (1.0 - kb));
        let v = (r - y) / (2.0 * (1.0 - kr));
        // To the nearest: nothing is below zero, and `round` would be a call for each sample.
        let clip = |value: f32| (value.clamp(0.0, self.top) + 0.5) as u16;
        let ([luma, least], [chroma, middle]) = (self.luma, self.chroma);
        [clip(y * luma + least), clip(u * chroma + middle), clip(v * chroma + middle)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target =
        Target { width: 4, height: 2, chroma: Chroma::Yuv420, depth: 8, matrix: None, full_range: false };

    #[test]
    fn nv12_and_planar_give_the_same_planes() {
        // Pitch 8, two spare bytes that must not be seen.
        let nv12 = [1, 2, 3, 4, 99, 99, 99, 99, 5, 6, 7, 8, 99, 99, 99, 99, 10, 20, 11, 21, 99, 99, 99, 99];
        let layout = Layout { format: f::NV12, pitch: 8, rows: 2 };
        assert_eq!(layout.bytes(), nv12.len());
        let planes = layout.gather(&nv12, &TARGET);
        assert_eq!(planes.data, [vec![1, 2, 3, 4, 5, 6, 7, 8], vec![10, 11], vec![20, 21]]);
        let yv12 = [1, 2, 3, 4, 99, 99, 99, 99, 5, 6, 7, 8, 99, 99, 99, 99, 20, 21, 99, 99, 10, 11, 99, 99];
        let layout = Layout { format: f::YV12, pitch: 8, rows: 2 };
        assert_eq!(layout.bytes(), yv12.len());
        assert_eq!(layout.gather(&yv12, &TARGET), planes);
    }

    #[test]
    fn ten_bits_come_from_the_top() {
        let mut data = vec![0u8; 4 * 2 * 3];
        data[0..2].copy_from_slice(&(1023u16 << 6).to_le_bytes());
        let layout = Layout { format: f::YUV420_10BIT, pitch: 8, rows: 2 };
        let planes = layout.gather(&data, &Target { depth: 10, ..TARGET });
        assert_eq!(planes.data[0][..2], 1023u16.to_le_bytes());
        assert_eq!(layout.gather(&data, &TARGET).data[0][0], 255);
    }

    #[test]
    fn argb_is_blue_first_in_memory() {
        let layout = Layout { format: f::ARGB, pitch: 16, rows: 2 };
        let blue: Vec<u8> = [255, 0, 0, 255].repeat(8);
        let planes = layout.gather(&blue, &TARGET);
        // BT.601 limited range: blue is (41, 240, 110).
        assert_eq!((planes.data[0][0], planes.data[1][0], planes.data[2][0]), (41, 240, 110));
        let layout = Layout { format: f::ABGR, ..layout };
        assert_eq!(layout.gather(&blue, &TARGET).data[2][0], 240, "the same bytes are red there");
        let white = Layout { format: f::ABGR10, ..layout }.gather(&[0xff; 32], &TARGET);
        assert_eq!((white.data[0][0], white.data[1][0]), (235, 128));
    }

    #[test]
    fn a_changed_sample_changes_the_checksum_and_nothing_else_does() {
        // What of the planes of 4x2 samples lies in rows of 16 bytes, of which there are 3.
        let planar: &[_] = &[(0, 4), (16, 4), (48, 2), (64, 2)];
        let cases: [(u32, &[(usize, usize)]); 6] = [
            (f::NV12, &[(0, 4), (16, 4), (48, 4)]),
            (f::YUV420_10BIT, &[(0, 8), (16, 8), (48, 8)]),
            (f::IYUV, planar),
            (f::YV12, planar),
            (f::YUV444, &[(0, 4), (16, 4), (48, 4), (64, 4), (96, 4), (112, 4)]),
            (f::ARGB, &[(0, 16), (16, 16)]),
        ];
        for (format, coded) in cases {
            let layout = Layout { format, pitch: 16, rows: 3 };
            let mut data = vec![7u8; layout.bytes()];
            let before = layout.checksum(&data, (4, 2), (0, 1));
            for at in 0..data.len() {
                data[at] ^= 1;
                let seen = before != layout.checksum(&data, (4, 2), (0, 1));
                let is_sample = coded.iter().any(|&(from, bytes)| (from..from + bytes).contains(&at));
                assert_eq!(seen, is_sample, "format {format:#x}, byte {at}");
                data[at] ^= 1;
            }
        }
    }

    #[test]
    fn some_rows_are_looked_at_from_the_first_one_on() {
        // 8 rows of luma behind which lie 4 of chroma.
        let layout = Layout { format: f::NV12, pitch: 16, rows: 8 };
        for (first, step, looked_at) in
            [(0, 3, &[0, 3, 6, 8, 11][..]), (2, 3, &[2, 5, 10]), (5, 6, &[5, 9]), (63, 64, &[7, 11])]
        {
            let mut data = vec![7u8; layout.bytes()];
            let before = layout.checksum(&data, (16, 8), (first, step));
            for row in 0..12 {
                data[row * 16] ^= 1;
                let seen = before != layout.checksum(&data, (16, 8), (first, step));
                assert_eq!(seen, looked_at.contains(&row), "row {row}, from {first} on each {step}th");
                data[row * 16] ^= 1;
            }
        }
    }

    #[test]
    fn halving_takes_the_mean_and_repeats_the_last_of_an_odd_number() {
        let values = vec![1, 3, 10, 5, 8, 20, 100, 102, 200];
        let half = Samples { values, width: 3, height: 3 }.halved();
        assert_eq!((half.width, half.height), (2, 2));
        // (1 + 3 + 5 + 8) / 4, (10 + 10 + 20 + 20) / 4, and so on, to the nearest and up.
        assert_eq!(half.values, [4, 15, 101, 200]);
    }

    #[test]
    fn short_data_does_not_panic() {
        for format in [f::NV12, f::IYUV, f::YUV444, f::YUV420_10BIT, f::ARGB] {
            Layout { format, pitch: 8, rows: 2 }.gather(&[1, 2, 3], &TARGET);
        }
    }
}
