//! Y'CbCr to Y'CbCr: layout, bit depth and chroma subsampling. The colour stays what it is.

use crate::color::ColorRange;
use crate::error::Result;
use crate::frame::HostSurface;
use crate::pixel::{Chroma, PixelFormat};

use super::matrix::Quantiser;
use super::meaning::{Meaning, depth};
use super::samples::{Samples, component_size, load, plane, store};

/// Converts between two Y'CbCr formats.
pub(super) fn repack(host: &HostSurface, to: PixelFormat, meaning: &Meaning) -> Result<HostSurface> {
    match (host.format(), to) {
        (PixelFormat::I420, PixelFormat::Nv12) => return interleave(host),
        (PixelFormat::Nv12, PixelFormat::I420) => return deinterleave(host),
        _ => {}
    }
    let (from_depth, to_depth) = (depth(host.format()), depth(to));
    let mut components = Vec::with_capacity(3);
    for index in 0..3 {
        let (width, rows) = component_size(to, host.dimensions(), index);
        if width == 0 {
            break;
        }
        let source = load(host, index)?;
        if source.width == 0 {
            // No colour: the code of zero.
            let [_, chroma] = Quantiser::pair(to_depth, meaning.range, meaning.matrix.identity);
            components.push(Samples { data: vec![chroma.code(0.0); width * rows], width, rows });
            continue;
        }
        let resampled = resample(&source, host, to, index);
        let source = resampled.unwrap_or(source);
        let as_luma = index == 0 || meaning.matrix.identity;
        components.push(change_depth(source, from_depth, to_depth, meaning.range, as_luma));
    }
    store(to, host.dimensions(), &components)
}

/// Codes at one depth to codes at another, rounded to the nearest. Limited range codes are multiples of each
/// other; full range ones fill both scales (H.273 equations 26 to 33).
fn change_depth(mut samples: Samples, from: u8, to: u8, range: ColorRange, luma: bool) -> Samples {
    if from == to {
        return samples;
    }
    let max = (1_u32 << to) - 1;
    match range {
        ColorRange::Limited if to > from => {
            samples.data.iter_mut().for_each(|v| *v <<= to - from);
        }
        ColorRange::Limited => {
            let shift = from - to;
            let half = 1_u32 << (shift - 1);
            samples.data.iter_mut().for_each(|v| *v = ((u32::from(*v) + half) >> shift).min(max) as u16);
        }
        ColorRange::Full => {
            let table: Vec<u16> = {
                let [from_luma, from_chroma] = Quantiser::pair(from, range, false);
                let [to_luma, to_chroma] = Quantiser::pair(to, range, false);
                let (from_q, to_q) = if luma { (from_luma, to_luma) } else { (from_chroma, to_chroma) };
                (0..1_u32 << from).map(|code| to_q.code(from_q.value(f64::from(code)))).collect()
            };
            let last = table.len() - 1;
            samples.data.iter_mut().for_each(|v| *v = table[usize::from(*v).min(last)]);
        }
    }
    samples
}

/// The mean of the source samples at the luma positions that each new chroma sample covers: repetition when
/// chroma grows, a box filter when it shrinks. `None` when nothing changes.
fn resample(source: &Samples, host: &HostSurface, to: PixelFormat, index: usize) -> Option<Samples> {
    let from_chroma = host.format().chroma().unwrap_or(Chroma::Monochrome);
    let to_chroma = to.chroma().unwrap_or(Chroma::Monochrome);
    if index == 0 || from_chroma == to_chroma {
        return None;
    }
    let ((from_x, from_y), (to_x, to_y)) = (from_chroma.shifts(), to_chroma.shifts());
    let (width, rows) = component_size(to, host.dimensions(), index);
    let (across, down) = (1 << to_x.saturating_sub(from_x), 1 << to_y.saturating_sub(from_y));
    let (repeat_x, repeat_y) = (from_x.saturating_sub(to_x), from_y.saturating_sub(to_y));
    let count = across * down;
    let mut data = Vec::with_capacity(width * rows);
    for y in 0..rows {
        for x in 0..width {
            let mut sum = count as u32 / 2;
            for dy in 0..down {
                // Past the last row or column of an odd picture, the last one stands in: the same mean.
                let row = ((y * down + dy) >> repeat_y).min(source.rows - 1) * source.width;
                for dx in 0..across {
                    sum +=
                        u32::from(source.data[row + ((x * across + dx) >> repeat_x).min(source.width - 1)]);
                }
            }
            data.push((sum / count as u32) as u16);
        }
    }
    Some(Samples { data, width, rows })
}

fn interleave(host: &HostSurface) -> Result<HostSurface> {
    let (luma, cb, cr) = (plane(host, 0)?, plane(host, 1)?, plane(host, 2)?);
    let mut pairs = Vec::with_capacity(cb.row_bytes() * cb.rows() * 2);
    for (cb, cr) in cb.iter_rows().zip(cr.iter_rows()) {
        pairs.extend(cb.iter().zip(cr).flat_map(|(&cb, &cr)| [cb, cr]));
    }
    // Luma is shared, padding and all.
    let planes = [(luma.data().clone(), luma.stride()), (pairs.into(), cb.row_bytes() * 2)];
    HostSurface::new(PixelFormat::Nv12, host.dimensions(), planes)
}

fn deinterleave(host: &HostSurface) -> Result<HostSurface> {
    let (luma, chroma) = (plane(host, 0)?, plane(host, 1)?);
    let mut cb = Vec::with_capacity(chroma.row_bytes() / 2 * chroma.rows());
    let mut cr = Vec::with_capacity(cb.capacity());
    for row in chroma.iter_rows() {
        split_pairs(row, &mut cb, &mut cr);
    }
    let stride = chroma.row_bytes() / 2;
    let planes = [(luma.data().clone(), luma.stride()), (cb.into(), stride), (cr.into(), stride)];
    HostSurface::new(PixelFormat::I420, host.dimensions(), planes)
}

/// Appends the first bytes of the pairs in `row` to `first` and the second ones to `second`.
pub(crate) fn split_pairs(row: &[u8], first: &mut Vec<u8>, second: &mut Vec<u8>) {
    let (pairs, _) = row.as_chunks::<2>();
    first.extend(pairs.iter().map(|pair| pair[0]));
    second.extend(pairs.iter().map(|pair| pair[1]));
}
