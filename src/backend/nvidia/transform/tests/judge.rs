//! How far a result is from the exact one.

use super::Machine;
use super::cases::Case;
use crate::dimensions::Dimensions;
use crate::frame::Frame;
use crate::pixel::{Chroma, PixelFormat};
use crate::transform::{Linear, ScaleFilter, convert, reference};

/// Largest errors, in codes for bytes and in units of 1 for floats.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Errors {
    pub(super) bytes: u8,
    pub(super) floats: f64,
}

impl Errors {
    pub(super) fn merge(&mut self, other: Self) {
        self.bytes = self.bytes.max(other.bytes);
        self.floats = self.floats.max(other.floats);
    }

    pub(super) fn check(self, what: &str) {
        assert!(self.bytes <= 1 && self.floats <= 1e-5, "{what}: {self:?}");
    }
}

/// Runs a case and compares it with the exact result. Bytes between the rows of the target must be as before.
pub(super) fn judge(machine: &dyn Machine, case: &Case) -> Errors {
    let (source, mut target) = (case.source(), case.target());
    let before = target.bytes.clone();
    target.bytes = machine.convert(case, &source, &target);
    let frame = case.frame(&source);
    let same_size = case.to_size == case.from.dimensions;
    let expected = if same_size {
        reference::convert(&frame, case.to).unwrap().frame.as_host().unwrap().to_packed()
    } else {
        scaled(&frame, case)
    };
    let got: Vec<u8> = target.rows().flatten().copied().collect();
    assert_eq!(got.len(), expected.len(), "{case:?}");
    let mut rest = before;
    for plane in &target.planes {
        for y in 0..plane.rows {
            let start = plane.address as usize + y * plane.pitch;
            rest[start..start + plane.row_bytes]
                .copy_from_slice(&target.bytes[start..start + plane.row_bytes]);
        }
    }
    assert!(rest == target.bytes, "{case:?}: wrote outside the picture");
    if same_size {
        let cpu = convert(&frame, case.to).unwrap().frame.as_host().unwrap().to_packed();
        assert!(got == cpu, "{case:?}: not the bytes of the CPU's conversion");
    }
    let errors = compare(case.to, &got, &expected);
    errors.check(&format!("{case:?}"));
    errors
}

fn compare(format: PixelFormat, got: &[u8], expected: &[u8]) -> Errors {
    let mut errors = Errors::default();
    match format {
        PixelFormat::RgbF32Planar => {
            for (a, b) in got.as_chunks().0.iter().zip(expected.as_chunks().0) {
                let off = f64::from(f32::from_le_bytes(*a)) - f64::from(f32::from_le_bytes(*b));
                errors.floats = errors.floats.max(if off.is_nan() { f64::INFINITY } else { off.abs() });
            }
        }
        format if format.is_rgb() => {
            errors.bytes = got.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        }
        // Samples that only move are exact.
        _ => assert!(got == expected, "samples were changed"),
    }
    errors
}

/// Weights of source samples along an axis.
fn taps(at: usize, from: usize, to: usize) -> Vec<(usize, f64)> {
    let step = from as f64 / to as f64;
    let center = (at as f64 + 0.5) * step - 0.5;
    let all: Vec<_> = (-(from as i64)..2 * from as i64)
        .map(|tap| {
            let weight = (1.0 - (tap as f64 - center).abs() / step.max(1.0)).max(0.0);
            (tap.clamp(0, from as i64 - 1) as usize, weight)
        })
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    all.into_iter().map(|(tap, weight)| (tap, weight / sum)).collect()
}

/// Component `index` at a pixel of the new size, in codes.
fn component(frame: &Frame, index: usize, (x, y): (usize, usize), to: Dimensions) -> f64 {
    let host = frame.as_host().unwrap();
    let format = frame.format;
    let half = format.chroma() == Some(Chroma::Yuv420) && index > 0;
    let side = |v: u32| if half { v.div_ceil(2) as usize } else { v as usize };
    let (x, y) = if half { (x / 2, y / 2) } else { (x, y) };
    let across = taps(x, side(frame.dimensions.width()), side(to.width()));
    let down = taps(y, side(frame.dimensions.height()), side(to.height()));
    let plane = host.plane(if half { 1 } else { index }).unwrap();
    let mut sum = 0.0;
    for (y, by_row) in down {
        let row = plane.row(y);
        for &(x, by_column) in &across {
            let at = if half { 2 * x + index - 1 } else { x };
            let code = match format {
                _ if format.bytes_per_sample() == 1 => f64::from(row[at]),
                _ => {
                    let word = u16::from_le_bytes([row[2 * at], row[2 * at + 1]]);
                    match format {
                        PixelFormat::P010 => f64::from(word >> 6),
                        _ => f64::from(word),
                    }
                }
            };
            sum += by_row * by_column * code;
        }
    }
    sum
}

/// The picture of another size, converted without rounding in between.
fn scaled(frame: &Frame, case: &Case) -> Vec<u8> {
    let to = PixelFormat::RgbF32Planar;
    let linear = Linear::to_rgb(frame.format, case.color, frame.dimensions, to).unwrap();
    let (rows, offset) = (linear.rows.map(|row| row.map(f64::from)), linear.offset.map(f64::from));
    let (width, height) = (case.to_size.width() as usize, case.to_size.height() as usize);
    let mut planes = [Vec::new(), Vec::new(), Vec::new()];
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let codes = [0, 1, 2].map(|index| component(frame, index, (x, y), case.to_size));
        for (plane, row) in planes.iter_mut().zip(rows) {
            let [luma, chroma] = offset;
            let value =
                row[0] * (codes[0] - luma) + row[1] * (codes[1] - chroma) + row[2] * (codes[2] - chroma);
            plane.push(value.clamp(0.0, 1.0));
        }
    }
    if case.to == PixelFormat::RgbF32Planar {
        return planes.iter().flatten().flat_map(|&v| (v as f32).to_le_bytes()).collect();
    }
    let order: &[Option<usize>] = match case.to {
        PixelFormat::Rgb24 => &[Some(0), Some(1), Some(2)],
        PixelFormat::Bgra => &[Some(2), Some(1), Some(0), None],
        PixelFormat::Abgr => &[None, Some(2), Some(1), Some(0)],
        other => panic!("no case scales to {other}"),
    };
    let byte = |pixel: usize, channel: &Option<usize>| {
        channel.map_or(255, |channel| (planes[channel][pixel] * 255.0 + 0.5).floor() as u8)
    };
    (0..width * height).flat_map(|pixel| order.iter().map(move |channel| byte(pixel, channel))).collect()
}

/// The way that the CPU takes, which rounds to codes between scaling and converting, must come out close by: a smooth
/// picture, where rounding is all that differs.
pub(super) fn near_the_cpu(machine: &dyn Machine, case: &Case) -> u8 {
    let smooth = |x: usize, y: usize| (60 + x / 2 + y) as u16;
    // Bits from the lowest of the word to the highest of the sample.
    let bits = match case.from.format {
        PixelFormat::P010 => 16,
        format => u32::from(format.bit_depth()) + case.from.shift,
    };
    let mut source = case.source();
    for plane in source.planes.clone() {
        for y in 0..plane.rows {
            let start = plane.address as usize + y * plane.pitch;
            let row = &mut source.bytes[start..start + plane.row_bytes];
            if bits == 8 {
                row.iter_mut().enumerate().for_each(|(x, byte)| *byte = smooth(x, y) as u8);
            } else {
                for (x, word) in row.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    *word = (smooth(x, y) << (bits - 8)).to_le_bytes();
                }
            }
        }
    }
    let mut target = case.target();
    target.bytes = machine.convert(case, &source, &target);
    let smaller = crate::transform::scale(&case.frame(&source), case.to_size, ScaleFilter::Bilinear).unwrap();
    let expected = reference::convert(&smaller, case.to).unwrap().frame.as_host().unwrap().to_packed();
    let got: Vec<u8> = target.rows().flatten().copied().collect();
    compare(case.to, &got, &expected).bytes
}
