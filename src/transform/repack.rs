//! Y'CbCr to Y'CbCr: layout, bit depth and chroma subsampling. The colour stays what it is.

use crate::color::ColorRange;
use crate::error::Result;
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::{Chroma, PixelFormat};

use super::color_plan::{ColorPlan, depth};
use super::matrix::Quantiser;
use super::samples::{Samples, component_size, load, plane, store};

/// Converts between two Y'CbCr formats.
pub(super) fn repack(host: &HostSurface, to: PixelFormat, plan: &ColorPlan) -> Result<HostSurface> {
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
            let [_, chroma] = Quantiser::pair(to_depth, plan.range, plan.matrix.identity);
            components.push(Samples { data: memory::filled(chroma.code(0.0), width * rows)?, width, rows });
            continue;
        }
        let as_luma = index == 0 || plan.matrix.identity;
        let shrinks = shifts(host.format()).0 < shifts(to).0 || shifts(host.format()).1 < shifts(to).1;
        components.push(if index > 0 && shrinks {
            // Rounded once, after averaging and the change of depth together.
            let [from, into] = [from_depth, to_depth]
                .map(|depth| Quantiser::pair(depth, plan.range, plan.matrix.identity)[1]);
            average(&source, host, to, index, |mean| into.code(from.value(mean)))?
        } else {
            repeat(change_depth(source, from_depth, to_depth, plan.range, as_luma), host, to, index)?
        });
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

fn shifts(format: PixelFormat) -> (u32, u32) {
    format.chroma().map_or((0, 0), Chroma::shifts)
}

/// Chroma where it grows or stays: each sample is repeated over the luma positions it covers.
fn repeat(source: Samples, host: &HostSurface, to: PixelFormat, index: usize) -> Result<Samples> {
    let ((from_x, from_y), (to_x, to_y)) = (shifts(host.format()), shifts(to));
    if index == 0 || (from_x, from_y) == (to_x, to_y) {
        return Ok(source);
    }
    let (width, rows) = component_size(to, host.dimensions(), index);
    let mut data = memory::room(width * rows)?;
    for y in 0..rows {
        let row = (y >> (from_y - to_y)).min(source.rows - 1) * source.width;
        data.extend((0..width).map(|x| source.data[row + (x >> (from_x - to_x)).min(source.width - 1)]));
    }
    Ok(Samples { data, width, rows })
}

/// Chroma where it shrinks: the mean of the source at the luma positions that a new sample covers.
fn average(
    source: &Samples,
    host: &HostSurface,
    to: PixelFormat,
    index: usize,
    code: impl Fn(f64) -> u16,
) -> Result<Samples> {
    let ((from_x, from_y), (to_x, to_y)) = (shifts(host.format()), shifts(to));
    let (width, rows) = component_size(to, host.dimensions(), index);
    let (across, down) = (1_usize << (to_x - from_x), 1_usize << (to_y - from_y));
    let weight = 1.0 / (across * down) as f64;
    let mut data = memory::room(width * rows)?;
    for y in 0..rows {
        for x in 0..width {
            let mut sum = 0;
            for dy in 0..down {
                // Past the last row or column of an odd picture, the last one stands in: the same mean.
                let row = (y * down + dy).min(source.rows - 1) * source.width;
                for dx in 0..across {
                    sum += u32::from(source.data[row + (x * across + dx).min(source.width - 1)]);
                }
            }
            data.push(code(f64::from(sum) * weight));
        }
    }
    Ok(Samples { data, width, rows })
}

fn interleave(host: &HostSurface) -> Result<HostSurface> {
    let (luma, cb, cr) = (plane(host, 0)?, plane(host, 1)?, plane(host, 2)?);
    let mut pairs = memory::room(cb.row_bytes() * cb.rows() * 2)?;
    for (cb, cr) in cb.iter_rows().zip(cr.iter_rows()) {
        pairs.extend(cb.iter().zip(cr).flat_map(|(&cb, &cr)| [cb, cr]));
    }
    // Luma is shared, padding and all.
    let planes = [(luma.data().clone(), luma.stride()), (pairs.into(), cb.row_bytes() * 2)];
    HostSurface::new(PixelFormat::Nv12, host.dimensions(), planes)
}

fn deinterleave(host: &HostSurface) -> Result<HostSurface> {
    let (luma, chroma) = (plane(host, 0)?, plane(host, 1)?);
    let mut cb = memory::room(chroma.row_bytes() / 2 * chroma.rows())?;
    let mut cr = memory::room(cb.capacity())?;
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
