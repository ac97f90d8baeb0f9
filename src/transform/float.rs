//! The general path from R, G, B: any format through planes in 32-bit floats. Everything that the SIMD path
//! does not cover goes here.

use bytes::Bytes;

use crate::color::ColorRange;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::{PixelFormat, PlaneLayout};

use super::color_plan::depth;
use super::matrix::{Matrix, Quantiser};
use super::packed::channels;
use super::samples::{Samples, component_size, plane, store};

/// R, G and B in 0.0..=1.0, full size, without padding.
pub(super) type Rgb = [Vec<f32>; 3];

fn planes(pixels: usize) -> Result<Rgb> {
    Ok([memory::room(pixels)?, memory::room(pixels)?, memory::room(pixels)?])
}

/// From an R, G, B format.
pub(super) fn from_rgb(host: &HostSurface) -> Result<Rgb> {
    let pixels = host.dimensions().pixels() as usize;
    let mut out: Rgb = planes(pixels)?;
    if let Some(layout) = channels(host.format()) {
        for row in plane(host, 0)?.iter_rows() {
            for (plane, at) in out.iter_mut().zip(layout.rgb) {
                plane.extend(row.iter().skip(at).step_by(layout.step).map(|&v| f32::from(v) / 255.0));
            }
        }
    } else {
        for (index, out) in out.iter_mut().enumerate() {
            for row in plane(host, index)?.iter_rows() {
                let (words, _) = row.as_chunks::<4>();
                out.extend(words.iter().map(|&w| unit(f32::from_le_bytes(w))));
            }
        }
    }
    Ok(out)
}

/// A float within 0.0..=1.0; NaN, which has no colour, is black.
pub(super) fn unit(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// To an R, G, B format.
pub(super) fn to_rgb(rgb: &Rgb, format: PixelFormat, size: Dimensions) -> Result<HostSurface> {
    let width = size.width() as usize;
    if let Some(layout) = channels(format) {
        let mut out = memory::filled(255_u8, rgb[0].len() * layout.step)?;
        for (plane, at) in rgb.iter().zip(layout.rgb) {
            for (pixel, &v) in out.chunks_exact_mut(layout.step).zip(plane) {
                pixel[at] = (v * 255.0 + 0.5) as u8;
            }
        }
        return HostSurface::new(format, size, [(out.into(), width * layout.step)]);
    }
    let planes = rgb.iter().map(|plane| {
        let bytes = memory::collected(plane.len() * 4, plane.iter().flat_map(|v| v.to_le_bytes()))?;
        Ok((Bytes::from(bytes), width * 4))
    });
    HostSurface::new(format, size, planes.collect::<Result<Vec<_>>>()?)
}

/// To a Y'CbCr format; chroma is the mean over the luma positions that it covers.
pub(super) fn to_yuv(
    rgb: &Rgb,
    matrix: &Matrix,
    range: ColorRange,
    format: PixelFormat,
    size: Dimensions,
) -> Result<HostSurface> {
    let (width, rows) = (size.width() as usize, size.height() as usize);
    let quantisers = Quantiser::pair(depth(format), range, matrix.identity);
    let (shift_x, shift_y) = match format.layout() {
        PlaneLayout::SemiPlanar => (1, 1),
        PlaneLayout::Planar(chroma) => chroma.shifts(),
        PlaneLayout::PackedRgb(_) | PlaneLayout::PlanarRgbF32 => (0, 0),
    };
    let mut components = Vec::with_capacity(3);
    for index in 0..3 {
        let (out_width, out_rows) = component_size(format, size, index);
        if out_width == 0 {
            break;
        }
        let quantiser = quantisers[usize::from(index > 0)];
        let (scale, offset, max) = (quantiser.scale as f32, quantiser.offset as f32, quantiser.max as f32);
        let m = matrix.to_yuv[index].map(|v| v as f32);
        let code = |r: f32, g: f32, b: f32| {
            ((m[0] * r + m[1] * g + m[2] * b) * scale + offset + 0.5).floor().clamp(0.0, max) as u16
        };
        let mut data = memory::room(out_width * out_rows)?;
        if index == 0 || (shift_x, shift_y) == (0, 0) {
            let [r, g, b] = rgb;
            data.extend(r.iter().zip(g).zip(b).map(|((&r, &g), &b)| code(r, g, b)));
        } else {
            let (across, down) = (1 << shift_x, 1 << shift_y);
            let weight = 1.0 / (across * down) as f32;
            for y in 0..out_rows {
                for x in 0..out_width {
                    let mut sum = [0.0_f32; 3];
                    for dy in 0..down {
                        let row = (y * down + dy).min(rows - 1) * width;
                        for dx in 0..across {
                            let at = row + (x * across + dx).min(width - 1);
                            sum.iter_mut().zip(rgb).for_each(|(sum, plane)| *sum += plane[at]);
                        }
                    }
                    data.push(code(sum[0] * weight, sum[1] * weight, sum[2] * weight));
                }
            }
        }
        components.push(Samples { data, width: out_width, rows: out_rows });
    }
    store(format, size, &components)
}
