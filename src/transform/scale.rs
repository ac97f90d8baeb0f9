//! Picture size.

use bytes::Bytes;

use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::{Frame, HostSurface, Plane, Surface};
use crate::memory;
use crate::pixel::{PixelFormat, PlaneLayout};
use crate::time::Rational;

use super::color_plan::depth;
use super::convert::host;
use super::resample::resample;
use super::samples::{Samples, component_size, load, plane, store};

/// The interpolation kernel. When a picture shrinks, the kernel is widened by the same factor, so that nothing
/// aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ScaleFilter {
    /// Triangle: soft, cheap.
    Bilinear,
    /// Catmull-Rom cubic.
    #[default]
    Bicubic,
    /// Windowed sinc over three lobes: sharpest, may ring.
    Lanczos3,
}

/// Changes the size of a picture; the format stays. The sample aspect ratio is changed so that the shape of the
/// displayed picture stays (an unstated one counts as 1:1). Planes and channels, alpha too, are scaled each for
/// itself, with their outer edges aligned.
///
/// # Errors
/// [`crate::Error::InvalidInput`] when the picture is not in host memory.
pub fn scale(frame: &Frame, to: Dimensions, filter: ScaleFilter) -> Result<Frame> {
    let source = host(frame)?;
    if source.dimensions() == to {
        return Ok(frame.clone());
    }
    let (format, from) = (source.format(), source.dimensions());
    let surface = match format.layout() {
        PlaneLayout::PackedRgb(3) => {
            HostSurface::new(format, to, [scale_bytes::<3>(plane(source, 0)?, from, to, filter)?])?
        }
        PlaneLayout::PackedRgb(_) => {
            HostSurface::new(format, to, [scale_bytes::<4>(plane(source, 0)?, from, to, filter)?])?
        }
        PlaneLayout::PlanarRgbF32 => HostSurface::new(
            format,
            to,
            source
                .planes()
                .iter()
                .map(|plane| scale_floats(plane, from, to, filter))
                .collect::<Result<Vec<_>>>()?,
        )?,
        _ if format.bytes_per_sample() == 1 => {
            let planes = source.planes().iter().enumerate().map(|(i, plane)| {
                let (from, to) = (plane_size(format, from, i), plane_size(format, to, i));
                if format == PixelFormat::Nv12 && i == 1 {
                    scale_bytes::<2>(plane, from, to, filter)
                } else {
                    scale_bytes::<1>(plane, from, to, filter)
                }
            });
            HostSurface::new(format, to, planes.collect::<Result<Vec<_>>>()?)?
        }
        _ => {
            let components = (0..3).map(|index| scale_words(source, index, to, filter));
            store(format, to, &components.collect::<Result<Vec<_>>>()?)?
        }
    };
    Ok(Frame {
        dimensions: to,
        sample_aspect_ratio: aspect_ratio(frame.sample_aspect_ratio, source.dimensions(), to),
        surface: Surface::Host(surface),
        user_sei: frame.user_sei.clone(),
        ..*frame
    })
}

/// Width and height of a plane in its own samples (pairs, where chroma is interleaved).
fn plane_size(format: PixelFormat, size: Dimensions, index: usize) -> Dimensions {
    let (width, rows) = component_size(format, size, index);
    // Not larger than `size`, and not zero: chroma of gray is never asked for.
    Dimensions::new(width as u32, rows as u32).unwrap_or(size)
}

/// The sample aspect ratio that keeps the shape of the displayed picture.
pub(crate) fn aspect_ratio(old: Option<Rational>, from: Dimensions, to: Dimensions) -> Option<Rational> {
    let sar = old.unwrap_or(Rational::ONE);
    let wide = |a: u32, b: u32, c: u32| u128::from(a) * u128::from(b) * u128::from(c);
    let mut num = wide(sar.num(), from.width(), to.height());
    let mut den = wide(sar.den(), from.height(), to.width());
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (num, den) = (num / a, den / a);
    while num.max(den) > u128::from(u32::MAX) {
        (num, den) = (num >> 1, den >> 1);
    }
    let ratio = Rational::new(num as u32, den as u32);
    // Square samples that nobody spoke of need no word now.
    ratio.filter(|&ratio| old.is_some() || ratio != Rational::ONE)
}

fn sides(size: Dimensions) -> (usize, usize) {
    (size.width() as usize, size.height() as usize)
}

fn scale_bytes<const N: usize>(
    plane: &Plane,
    from: Dimensions,
    to: Dimensions,
    filter: ScaleFilter,
) -> Result<(Bytes, usize)> {
    let out = resample::<u8, N>(|y| plane.row(y), sides(from), sides(to), filter, 255.0)?;
    Ok((out.into(), to.width() as usize * N))
}

fn scale_floats(
    plane: &Plane,
    from: Dimensions,
    to: Dimensions,
    filter: ScaleFilter,
) -> Result<(Bytes, usize)> {
    let width = from.width() as usize;
    let mut floats = memory::room(from.pixels() as usize)?;
    for row in plane.iter_rows() {
        floats.extend(row.as_chunks::<4>().0.iter().map(|&w| f32::from_le_bytes(w)));
    }
    let row = |y: usize| floats.get(y * width..(y + 1) * width).unwrap_or(&[]);
    let out = resample::<f32, 1>(row, sides(from), sides(to), filter, 1.0)?;
    let bytes = memory::collected(out.len() * 4, out.iter().flat_map(|v| v.to_le_bytes()))?;
    Ok((bytes.into(), to.width() as usize * 4))
}

fn scale_words(host: &HostSurface, index: usize, to: Dimensions, filter: ScaleFilter) -> Result<Samples> {
    let samples = load(host, index)?;
    if samples.width == 0 {
        return Ok(samples);
    }
    let format = host.format();
    let (width, rows) = component_size(format, to, index);
    let max = f32::from((1_u16 << depth(format)) - 1);
    let row = |y: usize| samples.data.get(y * samples.width..(y + 1) * samples.width).unwrap_or(&[]);
    let data = resample::<u16, 1>(row, (samples.width, samples.rows), (width, rows), filter, max)?;
    Ok(Samples { data, width, rows })
}
