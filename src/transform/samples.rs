//! One component of a picture as plain 16-bit samples, whatever its layout in memory.

use bytes::Bytes;

use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{HostSurface, Plane};
use crate::memory;
use crate::pixel::{PixelFormat, PlaneLayout};

/// Rows of samples without padding, in the low bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    pub(super) data: Vec<u16>,
    pub(super) width: usize,
    pub(super) rows: usize,
}

/// Width and rows of component 0 (luma), 1 or 2 (chroma) of a YUV format; nothing for chroma of gray.
pub(super) fn component_size(format: PixelFormat, size: Dimensions, component: usize) -> (usize, usize) {
    let (w, h) = (size.width() as usize, size.height() as usize);
    match format.chroma() {
        _ if component == 0 => (w, h),
        Some(crate::pixel::Chroma::Monochrome) | None => (0, 0),
        Some(chroma) => {
            let (sx, sy) = chroma.shifts();
            (w.div_ceil(1 << sx), h.div_ceil(1 << sy))
        }
    }
}

/// Bits below the sample in its 16-bit word.
const fn padding(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::P010 => 6,
        PixelFormat::P016 => 4,
        _ => 0,
    }
}

/// Reads a component.
pub(super) fn load(host: &HostSurface, component: usize) -> Result<Samples> {
    let format = host.format();
    let (width, rows) = component_size(format, host.dimensions(), component);
    if width == 0 {
        return Ok(Samples::default());
    }
    let semi = format.layout() == PlaneLayout::SemiPlanar && component > 0;
    let (index, step, first) = if semi { (1, 2, component - 1) } else { (component, 1, 0) };
    let plane = plane(host, index)?;
    let mut data = memory::room(width * rows)?;
    let shift = padding(format);
    // Rounded where the low bits hold something (genuine 16-bit samples), and never past the top.
    let half = if format == PixelFormat::P016 { 1_u32 << (shift - 1) } else { 0 };
    let top = if shift == 0 { u32::from(u16::MAX) } else { (1 << (16 - shift)) - 1 };
    for row in plane.iter_rows() {
        if format.bytes_per_sample() == 1 {
            data.extend(row.iter().skip(first).step_by(step).map(|&v| u16::from(v)));
        } else {
            let (words, _) = row.as_chunks::<2>();
            let values = words.iter().skip(first).step_by(step).map(|&w| u16::from_le_bytes(w));
            if shift == 0 {
                data.extend(values);
            } else {
                data.extend(values.map(|v| ((u32::from(v) + half) >> shift).min(top) as u16));
            }
        }
    }
    Ok(Samples { data, width, rows })
}

pub(super) fn plane(host: &HostSurface, index: usize) -> Result<&Plane> {
    host.plane(index)
        .ok_or_else(|| Error::invalid(format!("the {} picture has no plane {index}", host.format())))
}

/// Builds a picture from its components.
pub(super) fn store(format: PixelFormat, size: Dimensions, components: &[Samples]) -> Result<HostSurface> {
    let [luma, chroma @ ..] = components else {
        return Err(Error::invalid("a picture needs at least luma"));
    };
    let mut planes = vec![encode(format, luma.data.len(), luma.data.iter().copied(), luma.width)?];
    match (format.layout(), chroma) {
        (PlaneLayout::SemiPlanar, [cb, cr]) => {
            let pairs = cb.data.iter().zip(&cr.data).flat_map(|(&cb, &cr)| [cb, cr]);
            planes.push(encode(format, cb.data.len() * 2, pairs, cb.width * 2)?);
        }
        _ => {
            for c in chroma.iter().filter(|c| c.width > 0) {
                planes.push(encode(format, c.data.len(), c.data.iter().copied(), c.width)?);
            }
        }
    }
    HostSurface::new(format, size, planes)
}

fn encode(
    format: PixelFormat,
    count: usize,
    samples: impl Iterator<Item = u16>,
    width: usize,
) -> Result<(Bytes, usize)> {
    let bytes = format.bytes_per_sample();
    let data: Vec<u8> = if bytes == 1 {
        memory::collected(count, samples.map(|v| v as u8))?
    } else {
        let shift = padding(format);
        let mut out = memory::room(count * 2)?;
        samples.for_each(|v| out.extend_from_slice(&(v << shift).to_le_bytes()));
        out
    };
    Ok((data.into(), width * bytes))
}
