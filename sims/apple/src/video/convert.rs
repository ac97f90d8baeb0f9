//! Between the planes that codecs work on and pixel buffers: layout, depth, range, size (nearest sample) and RGB. The arithmetic is plain
//! and not Apple's; a picture that needs none of it is copied exactly.

use super::pixels::{Pixels, Samples, chroma, chroma_size};

/// A picture in three planes, each sample in the low bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// In luma samples.
    pub width: usize,
    /// In luma samples.
    pub height: usize,
    /// 420, 422 or 444.
    pub chroma: u32,
    /// Bits of a sample.
    pub depth: u32,
    /// All values, and not the video range.
    pub full: bool,
    /// Code point of the matrix, for RGB.
    pub matrix: u32,
    /// Y, Cb, Cr without padding.
    pub planes: [Vec<u16>; 3],
}

impl Picture {
    /// A grey picture of a size, 4:2:0.
    pub fn new(width: usize, height: usize, depth: u32, full: bool) -> Self {
        Self::of(420, (width, height), depth, full)
    }

    /// A grey picture of a subsampling and a size.
    pub fn of(chroma: u32, (width, height): (usize, usize), depth: u32, full: bool) -> Self {
        let (columns, rows) = chroma_size(chroma, width, height);
        let grey = vec![1 << (depth - 1); columns * rows];
        let planes = [vec![0; width * height], grey.clone(), grey];
        Self { width, height, chroma, depth, full, matrix: 1, planes }
    }

    /// Samples of a row of a plane.
    pub fn stride(&self, plane: usize) -> usize {
        if plane == 0 { self.width } else { chroma_size(self.chroma, self.width, self.height).0 }
    }

    fn sample(&self, plane: usize, x: usize, y: usize) -> u16 {
        self.planes[plane].get(y * self.stride(plane) + x).copied().unwrap_or(0)
    }

    /// With other values for the same picture.
    pub fn with(self, depth: u32, full: bool) -> Self {
        if (self.depth, self.full) == (depth, full) {
            return self;
        }
        let change = |plane: usize, samples: &[u16]| {
            let change = Change { chroma: plane > 0, from: (self.depth, self.full), to: (depth, full) };
            samples.iter().map(|&sample| change.of(sample)).collect()
        };
        let planes = std::array::from_fn(|plane| change(plane, &self.planes[plane]));
        Self { depth, full, planes, ..self }
    }

    /// In another size.
    pub fn scaled(self, width: usize, height: usize) -> Self {
        let chroma = self.chroma;
        self.sampled(chroma, width, height)
    }

    /// With another subsampling.
    pub fn subsampled(self, chroma: u32) -> Self {
        let (width, height) = (self.width, self.height);
        self.sampled(chroma, width, height)
    }

    fn sampled(self, chroma: u32, width: usize, height: usize) -> Self {
        if (self.chroma, self.width, self.height) == (chroma, width, height) {
            return self;
        }
        let mut sampled =
            Self { matrix: self.matrix, ..Self::of(chroma, (width, height), self.depth, self.full) };
        for plane in 0..3 {
            let (from, to) = (self.stride(plane), sampled.stride(plane));
            let (from_rows, to_rows) = (self.planes[plane].len() / from, sampled.planes[plane].len() / to);
            sampled.planes[plane] = (0..to * to_rows)
                .map(|at| self.sample(plane, at % to * from / to, at / to * from_rows / to_rows))
                .collect();
        }
        sampled
    }

    /// Writes it into a buffer of any format and size.
    pub fn store(self, into: &Pixels) {
        let scaled = self.scaled(into.width, into.height);
        match into.samples {
            Samples::Biplanar { depth, full } => {
                scaled.subsampled(chroma(into.format)).with(depth, full).store_biplanar(into, depth);
            }
            Samples::Bgra => scaled.subsampled(420).with(8, true).store_rgb(into),
        }
    }

    fn store_biplanar(&self, into: &Pixels, depth: u32) {
        for (number, plane) in into.planes.iter().enumerate() {
            let mut row = Vec::with_capacity(plane.row);
            for y in 0..plane.height {
                row.clear();
                let mut put = |sample: u16| match depth {
                    8 => row.push(sample as u8),
                    _ => row.extend((sample << (16 - depth)).to_le_bytes()),
                };
                for x in 0..plane.width {
                    put(self.sample(number, x, y));
                    if number == 1 {
                        put(self.sample(2, x, y));
                    }
                }
                into.write(plane, y, &row);
            }
        }
    }

    fn store_rgb(&self, into: &Pixels) {
        let (red, blue) = weights(self.matrix);
        let green = 1.0 - red - blue;
        let Some(plane) = into.planes.first() else { return };
        for y in 0..into.height {
            let mut row = Vec::with_capacity(plane.row);
            for x in 0..into.width {
                let luma = f32::from(self.sample(0, x, y));
                let cb = f32::from(self.sample(1, x / 2, y / 2)) - 128.0;
                let cr = f32::from(self.sample(2, x / 2, y / 2)) - 128.0;
                let (r, b) = (luma + 2.0 * (1.0 - red) * cr, luma + 2.0 * (1.0 - blue) * cb);
                let g = (luma - red * r - blue * b) / green;
                row.extend([b, g, r].map(|value| value.round().clamp(0.0, 255.0) as u8));
                row.push(255);
            }
            into.write(plane, y, &row);
        }
    }

    /// Reads a buffer of any format, as 4:2:0.
    pub fn load(from: &Pixels) -> Self {
        match from.samples {
            Samples::Biplanar { depth, full } => Self::load_biplanar(from, depth, full).subsampled(420),
            Samples::Bgra => Self::load_rgb(from),
        }
    }

    fn load_biplanar(from: &Pixels, depth: u32, full: bool) -> Self {
        let mut picture = Self::of(chroma(from.format), (from.width, from.height), depth, full);
        let mut row = Vec::new();
        for (number, plane) in from.planes.iter().enumerate() {
            for y in 0..plane.height {
                from.read(plane, y, &mut row);
                let samples: Vec<u16> = match depth {
                    8 => row.iter().map(|&byte| byte.into()).collect(),
                    _ => row
                        .chunks_exact(2)
                        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]) >> (16 - depth))
                        .collect(),
                };
                let at = y * plane.width;
                if number == 0 {
                    picture.planes[0][at..at + plane.width].copy_from_slice(&samples);
                } else {
                    for (x, pair) in samples.chunks_exact(2).enumerate() {
                        (picture.planes[1][at + x], picture.planes[2][at + x]) = (pair[0], pair[1]);
                    }
                }
            }
        }
        picture
    }

    /// By the matrix of BT.709, to the video range; chroma is that of the first pixel of four.
    fn load_rgb(from: &Pixels) -> Self {
        let (red, blue) = weights(1);
        let mut picture = Self::new(from.width, from.height, 8, true);
        let Some(plane) = from.planes.first() else { return picture };
        let (mut row, half) = (Vec::new(), from.width.div_ceil(2));
        for y in 0..from.height {
            from.read(plane, y, &mut row);
            for (x, pixel) in row.chunks_exact(4).enumerate() {
                let [b, g, r] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
                let luma = red * r + (1.0 - red - blue) * g + blue * b;
                let value = |value: f32| value.round().clamp(0.0, 255.0) as u16;
                picture.planes[0][y * from.width + x] = value(luma);
                if x % 2 == 0 && y % 2 == 0 {
                    let at = y / 2 * half + x / 2;
                    picture.planes[1][at] = value(128.0 + (b - luma) / (2.0 * (1.0 - blue)));
                    picture.planes[2][at] = value(128.0 + (r - luma) / (2.0 * (1.0 - red)));
                }
            }
        }
        picture.with(8, false)
    }
}

/// Weights of red and blue in luma.
fn weights(matrix: u32) -> (f32, f32) {
    match matrix {
        5 | 6 => (0.299, 0.114),
        9 => (0.2627, 0.0593),
        _ => (0.2126, 0.0722),
    }
}

/// From one depth and range to another.
struct Change {
    chroma: bool,
    from: (u32, bool),
    to: (u32, bool),
}

impl Change {
    fn of(&self, sample: u16) -> u16 {
        let ((from, was_full), (to, full)) = (self.from, self.to);
        let top = (1u32 << to) - 1;
        let sample = u32::from(sample);
        if was_full == full && !full {
            let value = if to >= from {
                sample << (to - from)
            } else {
                (sample + (1 << (from - to - 1))) >> (from - to)
            };
            return value.min(top) as u16;
        }
        let scale = |depth: u32, full: bool| -> (f64, f64) {
            let unit = f64::from(1u32 << (depth - 8));
            match (full, self.chroma) {
                (true, false) => (0.0, f64::from((1u32 << depth) - 1)),
                (true, true) => (128.0 * unit, f64::from((1u32 << depth) - 1)),
                (false, false) => (16.0 * unit, 219.0 * unit),
                (false, true) => (128.0 * unit, 224.0 * unit),
            }
        };
        let ((zero, span), (new_zero, new_span)) = (scale(from, was_full), scale(to, full));
        ((f64::from(sample) - zero) / span * new_span + new_zero).round().clamp(0.0, top.into()) as u16
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::pixels::{Attributes, FORMATS};
    use super::*;

    fn wavy(chroma: u32, depth: u32, full: bool) -> Picture {
        let mut picture = Picture::of(chroma, (35, 17), depth, full);
        for (plane, samples) in picture.planes.iter_mut().enumerate() {
            for (at, sample) in samples.iter_mut().enumerate() {
                *sample = (((at * 7 + plane * 31) % 200 + 20) as u16) << (depth - 8);
            }
        }
        picture
    }

    #[test]
    fn every_biplanar_format_gives_back_what_was_stored() {
        for (format, samples) in FORMATS {
            let Samples::Biplanar { depth, full } = samples else { continue };
            let buffer = Pixels::new(35, 17, format, &Attributes::default(), None).unwrap();
            let picture = wavy(chroma(format), depth, full);
            picture.clone().store(&buffer);
            assert_eq!(Picture::load_biplanar(&buffer, depth, full), picture);
        }
    }

    #[test]
    fn ranges_and_depths_are_changed_by_value() {
        let black_and_white = |depth, full| {
            let change = Change { chroma: false, from: (8, false), to: (depth, full) };
            (change.of(16), change.of(235))
        };
        assert_eq!(black_and_white(8, true), (0, 255));
        assert_eq!(black_and_white(10, false), (64, 940));
        assert_eq!(black_and_white(10, true), (0, 1023));
        let grey = Change { chroma: true, from: (10, true), to: (8, false) };
        assert_eq!(grey.of(512), 128);
    }

    #[test]
    fn grey_stays_grey_through_rgb() {
        let (format, _) = FORMATS[4];
        let buffer = Pixels::new(8, 8, format, &Attributes::default(), None).unwrap();
        let mut picture = Picture::new(8, 8, 8, false);
        picture.planes[0].fill(126);
        picture.clone().store(&buffer);
        assert_eq!(Picture::load(&buffer), picture);
    }
}
