//! Limited-range luma below black.
//!
//! The SIMD library takes luma codes under 16 for 16. They mean negative light (H.273 does not clip them), which
//! coloured, as coding noise around dark edges makes them, is up to 19 codes darker than what the library
//! gives. These pixels are done again here, exactly; they are few.

use crate::error::Result;
use crate::frame::HostSurface;
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};

use super::matrix::{Matrix, Quantiser};
use super::packed::Channels;
use super::samples::{Samples, plane};

struct Exact {
    luma: Quantiser,
    chroma: Quantiser,
    to_rgb: [[f64; 3]; 3],
    out: Channels,
}

impl Exact {
    fn new(matrix: &Matrix, depth: u8, out: Channels) -> Self {
        let [luma, chroma] = Quantiser::pair(depth, crate::color::ColorRange::Limited, false);
        Self { luma, chroma, to_rgb: matrix.to_rgb, out }
    }

    fn row<T: Copy + Into<f64> + PartialOrd>(
        &self,
        y: &[T],
        chroma: impl Fn(usize) -> (T, T),
        out: &mut [u8],
    ) {
        let needed = |v: T| v.into() < self.luma.offset;
        if !y.iter().any(|&v| needed(v)) {
            return;
        }
        let zero = self.chroma.offset;
        for (x, (&y, pixel)) in y.iter().zip(out.chunks_exact_mut(self.out.step)).enumerate() {
            if !needed(y) {
                continue;
            }
            let (cb, cr) = chroma(x);
            let (cb, cr): (f64, f64) = (cb.into(), cr.into());
            // Without colour, both are black.
            if (cb - zero).abs() < 0.5 && (cr - zero).abs() < 0.5 {
                continue;
            }
            let yuv = [self.luma.value(y.into()), self.chroma.value(cb), self.chroma.value(cr)];
            for (value, at) in super::matrix::apply(&self.to_rgb, yuv).into_iter().zip(self.out.rgb) {
                pixel[at] = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
            }
        }
    }
}

/// Corrects `out`, packed rows of `channels` converted from an 8-bit picture.
pub(super) fn correct8(
    host: &HostSurface,
    matrix: &Matrix,
    channels: Channels,
    out: &mut [u8],
) -> Result<()> {
    let (shift_x, shift_y) = match host.format().chroma() {
        Some(Chroma::Monochrome) | None => return Ok(()),
        Some(chroma) => chroma.shifts(),
    };
    let exact = Exact::new(matrix, 8, channels);
    let row_bytes = host.dimensions().width() as usize * channels.step;
    let luma = plane(host, 0)?;
    let semi = host.format().layout() == PlaneLayout::SemiPlanar;
    let (first, second) = (plane(host, 1)?, plane(host, if semi { 1 } else { 2 })?);
    let (step, cr_at) = if semi { (2, 1) } else { (1, 0) };
    for (line, (row, out)) in luma.iter_rows().zip(out.chunks_exact_mut(row_bytes)).enumerate() {
        let (cb, cr) = (first.row(line >> shift_y), second.row(line >> shift_y));
        exact.row(row, |x| (cb[(x >> shift_x) * step], cr[(x >> shift_x) * step + cr_at]), out);
    }
    Ok(())
}

/// The same for a 4:2:0 picture of 10 or 12 bit.
pub(super) fn correct16(
    [y, cb, cr]: [&Samples; 3],
    format: PixelFormat,
    matrix: &Matrix,
    channels: Channels,
    out: &mut [u8],
) {
    let exact = Exact::new(matrix, super::meaning::depth(format), channels);
    let rows = y.data.chunks_exact(y.width).zip(out.chunks_exact_mut(y.width * channels.step));
    for (line, (row, out)) in rows.enumerate() {
        let start = line / 2 * cb.width;
        exact.row(row, |x| (cb.data[start + x / 2], cr.data[start + x / 2]), out);
    }
}
