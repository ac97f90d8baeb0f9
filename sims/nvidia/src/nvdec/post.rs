//! Post-processing: from a decoded picture to a mapped frame. Crop, scaling, the letterbox, and the output formats.

use super::abi::surface_format;
use super::caps::HISTOGRAM_BINS;
use crate::codec::decoder::{Picture, plane_size};
use crate::policy;

/// A rectangle with its right and lower edges outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) right: u32,
    pub(super) bottom: u32,
}

impl Rect {
    fn width(self) -> usize {
        (self.right - self.left) as usize
    }

    fn height(self) -> usize {
        (self.bottom - self.top) as usize
    }

    /// As the hardware begins it, as large as it is.
    pub(super) fn beginning(self) -> Self {
        let step = policy::NVDEC_BEGINNING;
        let (across, down) = (self.left % step, self.top % step);
        Self {
            left: self.left - across,
            top: self.top - down,
            right: self.right - across,
            bottom: self.bottom - down,
        }
    }

    /// The same rectangle in a plane with `x` by `y` luma samples to one of its own.
    fn shrunk(self, x: u32, y: u32) -> Self {
        Self {
            left: self.left / x,
            top: self.top / y,
            right: self.right.div_ceil(x).max(self.left / x + 1),
            bottom: self.bottom.div_ceil(y).max(self.top / y + 1),
        }
    }
}

/// What is shown where: part `source` of the picture in part `target` of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) source: Rect,
    pub(super) target: Rect,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// How a frame lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: u32,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bytes from row to row.
    pub(super) pitch: usize,
    /// Rows of the first plane: where the next begins.
    rows: usize,
    /// Luma samples to one chroma sample, across and down.
    chroma: (u32, u32),
    /// Bytes of a sample.
    sample: usize,
    /// Chroma samples lie as pairs in one plane.
    interleaved: bool,
}

impl Layout {
    pub(super) fn new(format: u32, width: u32, height: u32) -> Self {
        let (chroma, sample, interleaved) = match format {
            surface_format::P016 => ((2, 2), 2, true),
            surface_format::NV16 => ((2, 1), 1, true),
            surface_format::P216 => ((2, 1), 2, true),
            surface_format::YUV444 => ((1, 1), 1, false),
            surface_format::YUV444_16BIT => ((1, 1), 2, false),
            _ => ((2, 2), 1, true),
        };
        let (width, height) = (width as usize, height as usize);
        Self {
            format,
            width,
            height,
            // Never the width itself: a client that takes the one for the other is caught.
            pitch: (width * sample + 1).next_multiple_of(policy::NVDEC_PITCH),
            rows: height.next_multiple_of(2),
            chroma,
            sample,
            interleaved,
        }
    }

    /// Bytes of a frame.
    pub(super) fn bytes(&self) -> usize {
        let chroma = self.rows.div_ceil(self.chroma.1 as usize);
        self.pitch * (self.rows + if self.interleaved { chroma } else { 2 * chroma })
    }

    /// Place of the first sample of component `component` (Y, U, V), and the bytes to its next sample.
    fn component(&self, component: usize) -> (usize, usize) {
        match (component, self.interleaved) {
            (0, _) => (0, self.sample),
            (_, true) => (self.pitch * self.rows + (component - 1) * self.sample, 2 * self.sample),
            (_, false) => (self.pitch * self.rows * component, self.sample),
        }
    }
}

/// Renders `picture` into `out`, which is [`Layout::bytes`] long.
pub(super) fn render(picture: &Picture, geometry: &Geometry, layout: &Layout, out: &mut [u8]) {
    let bits = 8 * layout.sample as u32;
    for component in 0..3 {
        let (x, y) = if component == 0 { (1, 1) } else { layout.chroma };
        let (width, height) = (layout.width.div_ceil(x as usize), layout.height.div_ceil(y as usize));
        let (first, step) = layout.component(component);
        let target = geometry.target.shrunk(x, y);
        let black = policy::NVDEC_BLACK[component] << (bits - 8);
        let mut source = Source::new(picture, component, geometry.source, target.width(), target.height());
        let mut line = vec![0u16; width];
        for row in 0..height {
            let inside = (target.top as usize..target.bottom as usize).contains(&row);
            line.fill(black);
            if inside && let Some(source) = &mut source {
                let right = (target.right as usize).min(width);
                source.line(row - target.top as usize, &mut line[target.left as usize..right], bits);
            }
            let at = first + row * layout.pitch;
            let row = &mut out[at..];
            if step == 1 {
                row.iter_mut().zip(&line).for_each(|(byte, value)| *byte = *value as u8);
            } else if layout.sample == 1 {
                row.iter_mut().step_by(2).zip(&line).for_each(|(byte, value)| *byte = *value as u8);
            } else {
                for (sample, value) in row.chunks_mut(step).zip(&line) {
                    sample[..2].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
    }
}

/// One component of the source, scaled line by line.
struct Source<'a> {
    plane: &'a [u8],
    /// Samples of a row, and rows.
    size: (usize, usize),
    area: Rect,
    wide: bool,
    depth: u32,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    scaled: bool,
}

/// Two neighbours and the weight of the second, of 256.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight: u32,
}

/// Where each of `wanted` samples comes from when `given` samples from `first` on are stretched over them; `limit`
/// is the number of samples there are at all.
fn taps(first: usize, given: usize, wanted: usize, limit: usize) -> Vec<Tap> {
    let last = (first + given).min(limit).max(1) - 1;
    let first = first.min(last);
    (0..wanted)
        .map(|place| {
            // Centres of samples fall on centres: (place + 1/2) * given / wanted - 1/2, in 256ths.
            let position = ((2 * place as i64 + 1) * 128 * given as i64) / wanted.max(1) as i64 - 128;
            let position = position.max(0) as usize;
            let low = (first + position / 256).min(last);
            Tap { low, high: (low + 1).min(last), weight: (position % 256) as u32 }
        })
        .collect()
}

impl<'a> Source<'a> {
    /// None when the picture has no such component.
    fn new(picture: &'a Picture, component: usize, area: Rect, width: usize, height: usize) -> Option<Self> {
        let plane = &picture.planes[component];
        let size = plane_size(picture.chroma, picture.width as usize, picture.height as usize, component);
        if plane.is_empty() || plane.len() < size.0 * size.1 * picture.sample_bytes() {
            return None;
        }
        let (x, y) = match (component, picture.chroma) {
            (0, _) | (_, 444) => (1, 1),
            (_, 422) => (2, 1),
            _ => (2, 2),
        };
        let area = area.shrunk(x, y);
        Some(Self {
            plane,
            size,
            area,
            wide: picture.sample_bytes() == 2,
            depth: u32::from(picture.depth),
            columns: taps(area.left as usize, area.width(), width, size.0),
            rows: taps(area.top as usize, area.height(), height, size.1),
            scaled: area.width() != width || area.height() != height,
        })
    }

    fn sample(&self, row: usize, column: usize) -> u32 {
        let at = row * self.size.0 + column;
        if self.wide {
            u32::from(u16::from_le_bytes([self.plane[2 * at], self.plane[2 * at + 1]]))
        } else {
            u32::from(self.plane[at])
        }
    }

    /// Writes line `row` of the scaled component with `bits` bits per sample, the value in the high bits.
    fn line(&mut self, row: usize, out: &mut [u16], bits: u32) {
        let Some(&rows) = self.rows.get(row) else { return };
        let depth = self.depth;
        let fit = |value: u32| {
            (if depth > bits { value >> (depth - bits) } else { value << (bits - depth) }) as u16
        };
        let left = self.area.left as usize;
        if !self.scaled && !self.wide && bits == 8 && left + out.len() <= self.size.0 {
            let start = rows.low * self.size.0 + left;
            out.iter_mut().zip(&self.plane[start..]).for_each(|(to, from)| *to = u16::from(*from));
            return;
        }
        for (to, columns) in out.iter_mut().zip(&self.columns) {
            *to = fit(if self.scaled {
                let across = |row| {
                    self.sample(row, columns.low) * (256 - columns.weight)
                        + self.sample(row, columns.high) * columns.weight
                };
                (across(rows.low) * (256 - rows.weight) + across(rows.high) * rows.weight + (1 << 15)) >> 16
            } else {
                self.sample(rows.low, columns.low)
            });
        }
    }
}

/// The picture with the lines of one field only; those between are averages of their neighbours.
pub(super) fn one_field(picture: &Picture, top: bool) -> Picture {
    let mut result = picture.clone();
    for plane in 0..3 {
        let (columns, rows) = picture.plane_size(plane);
        let pitch = columns * picture.sample_bytes();
        if picture.planes[plane].len() < pitch * rows || rows < 2 {
            continue;
        }
        let source = &picture.planes[plane];
        for row in (usize::from(top)..rows).step_by(2) {
            let above = if row == 0 { 1 } else { row - 1 };
            let below = if row + 1 < rows { row + 1 } else { row - 1 };
            let (above, below) = (&source[above * pitch..][..pitch], &source[below * pitch..][..pitch]);
            let target = &mut result.planes[plane][row * pitch..][..pitch];
            if picture.sample_bytes() == 2 {
                for ((to, a), b) in
                    target.chunks_exact_mut(2).zip(above.chunks_exact(2)).zip(below.chunks_exact(2))
                {
                    let sum = u32::from(u16::from_le_bytes([a[0], a[1]]))
                        + u32::from(u16::from_le_bytes([b[0], b[1]]));
                    to.copy_from_slice(&(sum.div_ceil(2) as u16).to_le_bytes());
                }
            } else {
                for ((to, a), b) in target.iter_mut().zip(above).zip(below) {
                    *to = (u16::from(*a) + u16::from(*b)).div_ceil(2) as u8;
                }
            }
        }
    }
    result
}

/// Counts the luma samples of the decoded picture.
pub(super) fn histogram(picture: &Picture) -> [u32; HISTOGRAM_BINS] {
    let mut bins = [0; HISTOGRAM_BINS];
    if picture.sample_bytes() == 2 {
        let shift = u32::from(picture.depth) - 8;
        for sample in picture.planes[0].chunks_exact(2) {
            bins[usize::from(u16::from_le_bytes([sample[0], sample[1]]) >> shift).min(HISTOGRAM_BINS - 1)] +=
                1;
        }
    } else {
        picture.planes[0].iter().for_each(|sample| bins[usize::from(*sample)] += 1);
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(left: u32, top: u32, right: u32, bottom: u32) -> Rect {
        Rect { left, top, right, bottom }
    }

    /// Every sample tells where it is from.
    fn picture(depth: u8) -> Picture {
        let plane = |columns: usize, rows: usize, step: usize| {
            let values = (0..rows).flat_map(|y| (0..columns).map(move |x| (y * 16 + x) * step));
            if depth > 8 {
                values.flat_map(|value| (value as u16).to_le_bytes()).collect()
            } else {
                values.map(|value| value as u8).collect()
            }
        };
        let planes = [plane(16, 8, 1), plane(8, 4, 1), plane(8, 4, 2)];
        Picture { width: 16, height: 8, display: (16, 8), chroma: 420, depth, planes, ..Picture::default() }
    }

    #[test]
    fn a_crop_without_scaling_is_exact() {
        let geometry = Geometry { source: rect(2, 2, 10, 6), target: rect(0, 0, 8, 4), width: 8, height: 4 };
        let layout = Layout::new(surface_format::NV12, 8, 4);
        let mut out = vec![0xEE; layout.bytes()];
        render(&picture(8), &geometry, &layout, &mut out);
        assert_eq!(out[..8], [34, 35, 36, 37, 38, 39, 40, 41]);
        assert_eq!(out[8], 0xEE, "padding is not touched");
        let chroma = layout.pitch * 4;
        assert_eq!(out[chroma..chroma + 8], [17, 34, 18, 36, 19, 38, 20, 40]);
        assert!(layout.pitch > 8 && layout.bytes() == layout.pitch * 6);
    }

    #[test]
    fn ten_bits_lie_in_the_high_bits_and_eight_are_cut_off() {
        let geometry =
            Geometry { source: rect(0, 0, 16, 8), target: rect(0, 0, 16, 8), width: 16, height: 8 };
        let layout = Layout::new(surface_format::P016, 16, 8);
        let mut out = vec![0; layout.bytes()];
        render(&picture(10), &geometry, &layout, &mut out);
        assert_eq!(u16::from_le_bytes([out[10], out[11]]), 5 << 6);
        let chroma = layout.pitch * 8;
        assert_eq!(u16::from_le_bytes([out[chroma + 6], out[chroma + 7]]), 2 << 6);
        let layout = Layout::new(surface_format::NV12, 16, 8);
        let mut out = vec![0; layout.bytes()];
        render(&picture(10), &geometry, &layout, &mut out);
        assert_eq!(out[layout.pitch * 7 + 15], 127 >> 2);
    }

    #[test]
    fn outside_of_the_target_rectangle_is_black() {
        let geometry =
            Geometry { source: rect(0, 0, 16, 8), target: rect(0, 4, 16, 12), width: 16, height: 16 };
        let layout = Layout::new(surface_format::NV12, 16, 16);
        let mut out = vec![0; layout.bytes()];
        render(&picture(8), &geometry, &layout, &mut out);
        assert_eq!(out[layout.pitch * 3..][..16], [16; 16]);
        assert_eq!(out[layout.pitch * 5 + 1], 17);
        assert_eq!(out[layout.pitch * 12..][..16], [16; 16]);
        assert_eq!(out[layout.pitch * 17..][..16], [128; 16]);
        assert_eq!(out[layout.pitch * 18..][..4], [0, 0, 1, 2]);
    }

    #[test]
    fn scaling_keeps_a_ramp_a_ramp_and_a_flat_picture_flat() {
        let geometry =
            Geometry { source: rect(0, 0, 16, 8), target: rect(0, 0, 32, 16), width: 32, height: 16 };
        let layout = Layout::new(surface_format::NV12, 32, 16);
        let mut out = vec![0; layout.bytes()];
        render(&picture(8), &geometry, &layout, &mut out);
        assert!(out[..32].is_sorted() && out[0] == 0 && out[31] == 15, "{:?}", &out[..32]);
        assert_eq!(out[layout.pitch * 15], 112);
        let mut flat = picture(8);
        flat.planes.iter_mut().for_each(|plane| plane.fill(77));
        render(&flat, &geometry, &layout, &mut out);
        assert!((0..24).all(|row| out[row * layout.pitch..][..32] == [77; 32]));
    }

    #[test]
    fn planar_output_has_three_whole_planes() {
        let geometry =
            Geometry { source: rect(0, 0, 16, 8), target: rect(0, 0, 16, 8), width: 16, height: 8 };
        let layout = Layout::new(surface_format::YUV444, 16, 8);
        let mut source = picture(8);
        source.chroma = 444;
        source.planes = [vec![1; 128], vec![2; 128], vec![3; 128]];
        let mut out = vec![0; layout.bytes()];
        render(&source, &geometry, &layout, &mut out);
        assert_eq!(layout.bytes(), layout.pitch * 24);
        assert_eq!((out[layout.pitch * 8 + 15], out[layout.pitch * 23 + 15]), (2, 3));
    }

    #[test]
    fn a_field_keeps_its_lines() {
        let top = one_field(&picture(8), true);
        assert_eq!(top.planes[0][32..34], [32, 33]);
        assert_eq!(top.planes[0][16], 16, "the average of lines 0 and 2");
        let bottom = one_field(&picture(8), false);
        assert_eq!(bottom.planes[0][0], 16, "the only neighbour of line 0");
    }

    #[test]
    fn the_histogram_counts_every_luma_sample_once() {
        assert_eq!(histogram(&picture(8))[..128], [1; 128]);
        let ten = histogram(&picture(10));
        assert_eq!((ten[0], ten[31], ten.iter().sum::<u32>()), (4, 4, 128));
    }
}
