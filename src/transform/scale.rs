//! Picture size.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use pic_scale::{
    BufferStore, ImageSize, ImageStore, ImageStoreMut, PicScaleError, Resampling, ResamplingFunction, Scaler,
    WorkloadStrategy,
};

use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface, Plane, Surface};
use crate::pixel::{PixelFormat, PlaneLayout};
use crate::time::Rational;

use super::convert::host;
use super::meaning::depth;
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

impl ScaleFilter {
    const fn kernel(self) -> ResamplingFunction {
        match self {
            Self::Bilinear => ResamplingFunction::Bilinear,
            Self::Bicubic => ResamplingFunction::CatmullRom,
            Self::Lanczos3 => ResamplingFunction::Lanczos3,
        }
    }
}

/// Changes the size of a picture; the format stays. The sample aspect ratio is changed so that the shape of the
/// displayed picture stays (an unstated one counts as 1:1). Planes and channels, alpha too, are scaled each for
/// itself, with their outer edges aligned.
///
/// # Errors
/// [`Error::InvalidInput`] when the picture is not in host memory or is too large to be scaled.
pub fn scale(frame: &Frame, to: Dimensions, filter: ScaleFilter) -> Result<Frame> {
    let source = host(frame)?;
    if source.dimensions() == to {
        return Ok(frame.clone());
    }
    let mut scaler = Scaler::new(filter.kernel());
    let scaler = scaler.set_workload_strategy(WorkloadStrategy::PreferQuality);
    let format = source.format();
    let surface = match format.layout() {
        PlaneLayout::PackedRgb(3) => {
            let plane = plane(source, 0)?;
            let row =
                scale_bytes::<3>(plane, source.dimensions(), to, |a, b| scaler.plan_rgb_resampling(a, b))?;
            HostSurface::new(format, to, [row])?
        }
        PlaneLayout::PackedRgb(_) => {
            let plane = plane(source, 0)?;
            let row = scale_bytes::<4>(plane, source.dimensions(), to, |a, b| {
                scaler.plan_rgba_resampling(a, b, false)
            })?;
            HostSurface::new(format, to, [row])?
        }
        PlaneLayout::PlanarRgbF32 => {
            let planes = source.planes().iter().map(|p| scale_floats(&scaler, p, source.dimensions(), to));
            HostSurface::new(format, to, planes.collect::<Result<Vec<_>>>()?)?
        }
        _ if format.bytes_per_sample() == 1 => {
            let planes = source.planes().iter().enumerate().map(|(i, plane)| {
                let (from, into) = (plane_size(format, source.dimensions(), i), plane_size(format, to, i));
                if format == PixelFormat::Nv12 && i == 1 {
                    scale_bytes::<2>(plane, from, into, |a, b| scaler.plan_cbcr_resampling(a, b))
                } else {
                    scale_bytes::<1>(plane, from, into, |a, b| scaler.plan_planar_resampling(a, b))
                }
            });
            HostSurface::new(format, to, planes.collect::<Result<Vec<_>>>()?)?
        }
        _ => {
            let components = (0..3).map(|index| scale_words(&scaler, source, index, to));
            store(format, to, &components.collect::<Result<Vec<_>>>()?)?
        }
    };
    Ok(Frame {
        dimensions: to,
        sample_aspect_ratio: aspect_ratio(frame.sample_aspect_ratio, source.dimensions(), to),
        surface: Surface::Host(surface),
        ..*frame
    })
}

/// Width and height of a plane in its own samples (pairs, where chroma is interleaved).
fn plane_size(format: PixelFormat, size: Dimensions, index: usize) -> Dimensions {
    let (width, rows) = component_size(format, size, index);
    // Not larger than `size`, and not zero: chroma of gray is never asked for.
    Dimensions::new(width as u32, rows as u32).unwrap_or(size)
}

fn aspect_ratio(old: Option<Rational>, from: Dimensions, to: Dimensions) -> Option<Rational> {
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

fn image_size(size: Dimensions) -> ImageSize {
    ImageSize::new(size.width() as usize, size.height() as usize)
}

fn refused(error: &PicScaleError, from: Dimensions, to: Dimensions) -> Error {
    Error::invalid(format!("scaling {from} to {to}: {error}"))
}

type Plan<T, const N: usize> = Result<Arc<Resampling<T, N>>, PicScaleError>;

fn resample<T: Copy + Default + Debug, const N: usize>(
    source: &[T],
    stride: usize,
    depth: usize,
    from: Dimensions,
    to: Dimensions,
    plan: Plan<T, N>,
) -> Result<Vec<T>> {
    let plan = plan.map_err(|e| refused(&e, from, to))?;
    let store = ImageStore::<T, N> {
        buffer: Cow::Borrowed(source),
        channels: N,
        width: from.width() as usize,
        height: from.height() as usize,
        stride,
        bit_depth: depth,
    };
    let mut out = vec![T::default(); to.pixels() as usize * N];
    let mut target = ImageStoreMut::<T, N> {
        buffer: BufferStore::Borrowed(&mut out),
        channels: N,
        width: to.width() as usize,
        height: to.height() as usize,
        stride: to.width() as usize * N,
        bit_depth: depth,
    };
    plan.resample(&store, &mut target).map_err(|e| refused(&e, from, to))?;
    Ok(out)
}

fn scale_bytes<const N: usize>(
    plane: &Plane,
    from: Dimensions,
    to: Dimensions,
    plan: impl Fn(ImageSize, ImageSize) -> Plan<u8, N>,
) -> Result<(Bytes, usize)> {
    let plan = plan(image_size(from), image_size(to));
    let out = resample::<u8, N>(plane.data(), plane.stride(), 8, from, to, plan)?;
    Ok((out.into(), to.width() as usize * N))
}

fn scale_floats(scaler: &Scaler, plane: &Plane, from: Dimensions, to: Dimensions) -> Result<(Bytes, usize)> {
    let mut floats = Vec::with_capacity(from.pixels() as usize);
    for row in plane.iter_rows() {
        floats.extend(row.as_chunks::<4>().0.iter().map(|&w| f32::from_le_bytes(w)));
    }
    let plan = scaler.plan_planar_resampling_f32(image_size(from), image_size(to));
    let out = resample::<f32, 1>(&floats, from.width() as usize, 0, from, to, plan)?;
    // The kernels with negative lobes overshoot; the format's range is 0.0..=1.0.
    let bytes: Vec<u8> = out.iter().flat_map(|v| v.max(0.0).min(1.0).to_le_bytes()).collect();
    Ok((bytes.into(), to.width() as usize * 4))
}

fn scale_words(scaler: &Scaler, host: &HostSurface, index: usize, to: Dimensions) -> Result<Samples> {
    let samples = load(host, index)?;
    if samples.width == 0 {
        return Ok(samples);
    }
    let format = host.format();
    let (from, to) = (plane_size(format, host.dimensions(), index), plane_size(format, to, index));
    if from == to {
        return Ok(samples);
    }
    let depth = usize::from(depth(format));
    let plan = scaler.plan_planar_resampling16(image_size(from), image_size(to), depth);
    let data = resample::<u16, 1>(&samples.data, samples.width, depth, from, to, plan)?;
    Ok(Samples { data, width: to.width() as usize, rows: to.height() as usize })
}
