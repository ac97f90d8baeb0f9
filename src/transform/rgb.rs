//! Y'CbCr of any format to R, G, B, as [`super::linear`] defines it. Rows of plain loops, which compilers turn into whatever
//! vectors the processor has: the arithmetic leaves them no choice of results.

use bytes::Bytes;
use wide::u8x16;

use crate::error::Result;
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};

use super::color_plan::ColorPlan;
use super::linear::Linear;
use super::packed::{Channels, channels};
use super::samples::{component_size, plane};

/// Added to a value of at most 21 bits, it leaves the nearest whole number (ties to even) in the low bits.
const ROUND: f32 = 12_582_912.0;

/// How the samples of a component lie in a row.
#[derive(Clone, Copy)]
struct Lie {
    plane: usize,
    wide: bool,
    /// Bits below a sample.
    shift: u32,
    first: usize,
    step: usize,
    offset: f32,
}

/// The part of the sum that chroma makes, for a row of luma.
struct Tint {
    cb: Vec<f32>,
    cr: Vec<f32>,
    /// Of each channel.
    sums: [Vec<f32>; 3],
}

/// Converts to an R, G, B format.
pub(super) fn from_yuv(host: &HostSurface, to: PixelFormat, plan: &ColorPlan) -> Result<HostSurface> {
    let linear = Linear::new(host.format(), &plan.matrix, plan.range, to);
    match channels(to) {
        Some(layout) => packed(host, to, layout, &linear),
        None => floats(host, to, &linear),
    }
}

fn lie(format: PixelFormat, component: usize, linear: &Linear) -> Lie {
    let pairs = format.layout() == PlaneLayout::SemiPlanar && component > 0;
    Lie {
        plane: if pairs { 1 } else { component },
        wide: format.bytes_per_sample() == 2,
        shift: if format == PixelFormat::P010 { 6 } else { 0 },
        first: if pairs { component - 1 } else { 0 },
        step: if pairs { 2 } else { 1 },
        offset: linear.offset[usize::from(component > 0)],
    }
}

impl Lie {
    /// The samples of a row less their offset.
    fn read(self, row: &[u8], to: &mut [f32]) {
        let Self { offset, shift, first, step, .. } = self;
        if self.wide {
            let words = row.as_chunks::<2>().0;
            let value = |word: [u8; 2]| f32::from(u16::from_le_bytes(word) >> shift) - offset;
            if step == 1 {
                to.iter_mut().zip(words).for_each(|(to, &word)| *to = value(word));
            } else {
                let pairs = words.as_chunks::<2>().0;
                to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = value(pair[first & 1]));
            }
        } else if step == 1 {
            to.iter_mut().zip(row).for_each(|(to, &byte)| *to = f32::from(byte) - offset);
        } else {
            let pairs = row.as_chunks::<2>().0;
            to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = f32::from(pair[first & 1]) - offset);
        }
    }
}

/// Goes through a picture row by row: gives luma and the tint of each.
fn rows(host: &HostSurface, linear: &Linear, mut row: impl FnMut(&[f32], &Tint)) -> Result<()> {
    let (format, size) = (host.format(), host.dimensions());
    let (width, height) = (size.width() as usize, size.height() as usize);
    let (chroma_width, _) = component_size(format, size, 1);
    let (shift_x, shift_y) = format.chroma().map_or((0, 0), Chroma::shifts);
    let line = |width| memory::filled(0.0, width);
    let mut luma = line(width)?;
    let mut tint = Tint {
        cb: line(chroma_width)?,
        cr: line(chroma_width)?,
        sums: [line(width)?, line(width)?, line(width)?],
    };
    let mut tinted = usize::MAX;
    let [y, cb, cr] = [0, 1, 2].map(|component| lie(format, component, linear));
    for line in 0..height {
        y.read(plane(host, y.plane)?.row(line), &mut luma);
        if chroma_width > 0 && tinted != line >> shift_y {
            tinted = line >> shift_y;
            cb.read(plane(host, cb.plane)?.row(tinted), &mut tint.cb);
            cr.read(plane(host, cr.plane)?.row(tinted), &mut tint.cr);
            tint.mix(linear, shift_x);
        }
        row(&luma, &tint);
    }
    Ok(())
}

impl Tint {
    fn mix(&mut self, linear: &Linear, shift_x: u32) {
        for (sums, [_, by_cb, by_cr]) in self.sums.iter_mut().zip(linear.rows) {
            let sum = |cb: f32, cr: f32| by_cb * cb + by_cr * cr;
            if shift_x == 0 {
                let chroma = self.cb.iter().zip(&self.cr);
                sums.iter_mut().zip(chroma).for_each(|(to, (&cb, &cr))| *to = sum(cb, cr));
                continue;
            }
            let (pairs, last) = sums.as_chunks_mut::<2>();
            let chroma = self.cb.iter().zip(&self.cr);
            pairs.iter_mut().zip(chroma).for_each(|(to, (&cb, &cr))| *to = [sum(cb, cr); 2]);
            // The last one of an odd row has one pixel.
            if let ([last], Some((&cb, &cr))) = (last, self.cb.last().zip(self.cr.last())) {
                *last = sum(cb, cr);
            }
        }
    }
}

fn packed(host: &HostSurface, to: PixelFormat, layout: Channels, linear: &Linear) -> Result<HostSurface> {
    let width = host.dimensions().width() as usize;
    let mut out = memory::room(host.dimensions().pixels() as usize * layout.step)?;
    // Channels in the order of memory.
    let alpha_first = layout.alpha == Some(0);
    let order = if layout.rgb[0] < layout.rgb[2] { [0, 1, 2] } else { [2, 1, 0] };
    let by = order.map(|channel| linear.rows[channel][0]);
    let mut words = memory::filled(0_u32, width)?;
    rows(host, linear, |luma, tint| {
        let [first, second, third] = order.map(|channel| tint.sums[channel].as_slice());
        mix(&mut words, luma, [first, second, third], by);
        let target = next_row(&mut out, width * layout.step);
        if layout.step == 3 {
            store3(&words, target);
        } else {
            let turn = if alpha_first { 8 } else { 0 };
            for (pixel, word) in target.as_chunks_mut::<4>().0.iter_mut().zip(&words) {
                *pixel = word.rotate_left(turn).to_le_bytes();
            }
        }
    })?;
    HostSurface::new(to, host.dimensions(), [(out.into(), width * layout.step)])
}

/// The next row of a plane, whose memory is there already. Row by row, so that zeros are written to the cache and not to memory.
fn next_row(plane: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    let start = plane.len();
    plane.resize(start + bytes, 0);
    &mut plane[start..]
}

/// Bytes of the channels, the first one lowest, below an opaque alpha. A loop over one index: of five slices side by side
/// compilers make no vectors otherwise.
#[allow(clippy::needless_range_loop, reason = "see above")]
fn mix(words: &mut [u32], luma: &[f32], tints: [&[f32]; 3], by: [f32; 3]) {
    let count = words.len();
    let (luma, [first, second, third]) = (&luma[..count], tints.map(|tint| &tint[..count]));
    for at in 0..count {
        let y = luma[at];
        let first = code(by[0] * y + first[at]);
        let second = code(by[1] * y + second[at]);
        let third = code(by[2] * y + third[at]);
        words[at] = first | second << 8 | third << 16 | 0xff00_0000;
    }
}

/// The nearest byte.
fn code(value: f32) -> u32 {
    ((value + ROUND).to_bits() as i32 - ROUND.to_bits() as i32).clamp(0, 255) as u32
}

/// The lower three bytes of each word.
fn store3(words: &[u32], target: &mut [u8]) {
    let gather = u8x16::from([0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255]);
    let (fours, rest) = words.as_chunks::<4>();
    let (whole, last) = target.split_at_mut(fours.len() * 12);
    for (four, to) in fours.iter().zip(whole.as_chunks_mut::<12>().0) {
        let mut bytes = [0; 16];
        for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(four) {
            *to = word.to_le_bytes();
        }
        let packed = u8x16::from(bytes).swizzle_relaxed(gather).to_array();
        to.copy_from_slice(&packed[..12]);
    }
    for (word, to) in rest.iter().zip(last.as_chunks_mut::<3>().0) {
        to.copy_from_slice(&word.to_le_bytes()[..3]);
    }
}

fn floats(host: &HostSurface, to: PixelFormat, linear: &Linear) -> Result<HostSurface> {
    let (width, pixels) = (host.dimensions().width() as usize, host.dimensions().pixels() as usize);
    let plane = || memory::room(pixels * 4);
    let mut planes = [plane()?, plane()?, plane()?];
    rows(host, linear, |luma, tint| {
        for ((plane, [by, ..]), sums) in planes.iter_mut().zip(linear.rows).zip(&tint.sums) {
            let target = next_row(plane, width * 4);
            for ((to, &y), &sum) in target.as_chunks_mut::<4>().0.iter_mut().zip(luma).zip(sums) {
                *to = (by * y + sum).clamp(0.0, 1.0).to_le_bytes();
            }
        }
    })?;
    HostSurface::new(to, host.dimensions(), planes.map(|plane| (Bytes::from(plane), width * 4)))
}
