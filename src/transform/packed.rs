//! Packed 8-bit R, G, B: channel orders, and the SIMD conversions to 8-bit Y'CbCr.

use std::borrow::Cow;

use yuv::{
    BufferStoreMut, YuvBiPlanarImageMut, YuvConversionMode, YuvError, YuvGrayImageMut, YuvPlanarImageMut,
    YuvRange, YuvStandardMatrix,
};

use crate::color::ColorRange;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::PixelFormat;

use super::color_plan::ColorPlan;
use super::samples::plane;

/// Where the channels of a packed format are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    /// Byte of R, G and B.
    pub(super) rgb: [usize; 3],
    /// Byte of A.
    pub(super) alpha: Option<usize>,
    /// Bytes of a pixel.
    pub(super) step: usize,
}

pub(super) const fn channels(format: PixelFormat) -> Option<Channels> {
    let (rgb, alpha, step) = match format {
        PixelFormat::Rgb24 => ([0, 1, 2], None, 3),
        PixelFormat::Bgr24 => ([2, 1, 0], None, 3),
        PixelFormat::Rgba => ([0, 1, 2], Some(3), 4),
        PixelFormat::Bgra => ([2, 1, 0], Some(3), 4),
        PixelFormat::Argb => ([1, 2, 3], Some(0), 4),
        PixelFormat::Abgr => ([3, 2, 1], Some(0), 4),
        _ => return None,
    };
    Some(Channels { rgb, alpha, step })
}

/// Reorders channels. New alpha is opaque.
pub(super) fn reorder(
    host: &HostSurface,
    from: Channels,
    to: Channels,
    format: PixelFormat,
) -> Result<HostSurface> {
    let width = host.dimensions().width() as usize;
    let mut out = memory::filled(255_u8, host.dimensions().pixels() as usize * to.step)?;
    for (row, target) in plane(host, 0)?.iter_rows().zip(out.chunks_exact_mut(width * to.step)) {
        for (pixel, target) in row.chunks_exact(from.step).zip(target.chunks_exact_mut(to.step)) {
            for (from, to) in from.rgb.into_iter().zip(to.rgb) {
                target[to] = pixel[from];
            }
            if let (Some(from), Some(to)) = (from.alpha, to.alpha) {
                target[to] = pixel[from];
            }
        }
    }
    HostSurface::new(format, host.dimensions(), [(out.into(), width * to.step)])
}

struct Numbers {
    range: YuvRange,
    matrix: YuvStandardMatrix,
    size: Dimensions,
}

fn numbers(host: &HostSurface, plan: &ColorPlan) -> Option<Numbers> {
    let (kr, kb) = plan.matrix.kr_kb?;
    let range = match plan.range {
        ColorRange::Limited => YuvRange::Limited,
        ColorRange::Full => YuvRange::Full,
    };
    let matrix = YuvStandardMatrix::Custom(kr as f32, kb as f32);
    Some(Numbers { range, matrix, size: host.dimensions() })
}

fn refused(error: &YuvError) -> Error {
    Error::invalid(format!("colour conversion: {error}"))
}

/// A plane as the library wants it: every row, the last one too, as long as the stride. Where the last row of
/// a padded plane ends with its samples, the library leaves it out without a word; such a plane is copied.
struct Whole<'a> {
    data: Cow<'a, [u8]>,
    stride: u32,
}

fn whole(host: &HostSurface, index: usize) -> Result<Whole<'_>> {
    let plane = plane(host, index)?;
    let whole = plane.stride().checked_mul(plane.rows()).and_then(|len| plane.data().get(..len));
    let (data, stride) = if let Some(data) = whole {
        (Cow::Borrowed(data), plane.stride())
    } else {
        let samples = plane.iter_rows().flatten().copied();
        (Cow::Owned(memory::collected(plane.row_bytes() * plane.rows(), samples)?), plane.row_bytes())
    };
    let stride = u32::try_from(stride)
        .map_err(|_| Error::invalid(format!("a stride of {stride} bytes; the most is {}", u32::MAX)))?;
    Ok(Whole { data, stride })
}

/// Packed R, G, B to 8-bit Y'CbCr; `None` for what the library does not convert.
pub(super) fn to_yuv(host: &HostSurface, to: PixelFormat, plan: &ColorPlan) -> Option<Result<HostSurface>> {
    use PixelFormat::{Bgr24, Bgra, Gray8, I420, I422, I444, Nv12, Rgb24, Rgba};
    type Planar = fn(
        &mut YuvPlanarImageMut<u8>,
        &[u8],
        u32,
        YuvRange,
        YuvStandardMatrix,
        YuvConversionMode,
    ) -> Result<(), YuvError>;
    type SemiPlanar = fn(
        &mut YuvBiPlanarImageMut<u8>,
        &[u8],
        u32,
        YuvRange,
        YuvStandardMatrix,
        YuvConversionMode,
    ) -> Result<(), YuvError>;
    type Gray = fn(&mut YuvGrayImageMut<u8>, &[u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;
    enum Convert {
        Planar(Planar),
        SemiPlanar(SemiPlanar),
        Gray(Gray),
    }
    let n = numbers(host, plan)?;
    let convert = match (host.format(), to) {
        (Rgb24, I420) => Convert::Planar(yuv::rgb_to_yuv420),
        (Bgr24, I420) => Convert::Planar(yuv::bgr_to_yuv420),
        (Rgba, I420) => Convert::Planar(yuv::rgba_to_yuv420),
        (Bgra, I420) => Convert::Planar(yuv::bgra_to_yuv420),
        (Rgb24, I422) => Convert::Planar(yuv::rgb_to_yuv422),
        (Bgr24, I422) => Convert::Planar(yuv::bgr_to_yuv422),
        (Rgba, I422) => Convert::Planar(yuv::rgba_to_yuv422),
        (Bgra, I422) => Convert::Planar(yuv::bgra_to_yuv422),
        (Rgb24, I444) => Convert::Planar(yuv::rgb_to_yuv444),
        (Bgr24, I444) => Convert::Planar(yuv::bgr_to_yuv444),
        (Rgba, I444) => Convert::Planar(yuv::rgba_to_yuv444),
        (Bgra, I444) => Convert::Planar(yuv::bgra_to_yuv444),
        (Rgb24, Nv12) => Convert::SemiPlanar(yuv::rgb_to_yuv_nv12),
        (Bgr24, Nv12) => Convert::SemiPlanar(yuv::bgr_to_yuv_nv12),
        (Rgba, Nv12) => Convert::SemiPlanar(yuv::rgba_to_yuv_nv12),
        (Bgra, Nv12) => Convert::SemiPlanar(yuv::bgra_to_yuv_nv12),
        (Rgb24, Gray8) => Convert::Gray(yuv::rgb_to_yuv400),
        (Bgr24, Gray8) => Convert::Gray(yuv::bgr_to_yuv400),
        (Rgba, Gray8) => Convert::Gray(yuv::rgba_to_yuv400),
        (Bgra, Gray8) => Convert::Gray(yuv::bgra_to_yuv400),
        _ => return None,
    };
    let (width, height) = (n.size.width(), n.size.height());
    Some((|| {
        let source = whole(host, 0)?;
        let (pixels, row) = (source.data.as_ref(), source.stride);
        let mut planes: Vec<(Vec<u8>, u32)> = (0..to.plane_count())
            .filter_map(|i| to.plane_size(i, n.size))
            .map(|p| Ok((memory::filled(0, p.row_bytes * p.rows)?, p.row_bytes as u32)))
            .collect::<Result<_>>()?;
        let mode = YuvConversionMode::Balanced;
        let done = match (convert, planes.as_mut_slice()) {
            (Convert::Planar(convert), [(y, y_stride), (u, u_stride), (v, v_stride)]) => convert(
                &mut YuvPlanarImageMut {
                    y_plane: BufferStoreMut::Borrowed(y),
                    y_stride: *y_stride,
                    u_plane: BufferStoreMut::Borrowed(u),
                    u_stride: *u_stride,
                    v_plane: BufferStoreMut::Borrowed(v),
                    v_stride: *v_stride,
                    width,
                    height,
                },
                pixels,
                row,
                n.range,
                n.matrix,
                mode,
            ),
            (Convert::SemiPlanar(convert), [(y, y_stride), (uv, uv_stride)]) => convert(
                &mut YuvBiPlanarImageMut {
                    y_plane: BufferStoreMut::Borrowed(y),
                    y_stride: *y_stride,
                    uv_plane: BufferStoreMut::Borrowed(uv),
                    uv_stride: *uv_stride,
                    width,
                    height,
                },
                pixels,
                row,
                n.range,
                n.matrix,
                mode,
            ),
            (Convert::Gray(convert), [(y, y_stride)]) => convert(
                &mut YuvGrayImageMut {
                    y_plane: BufferStoreMut::Borrowed(y),
                    y_stride: *y_stride,
                    width,
                    height,
                },
                pixels,
                row,
                n.range,
                n.matrix,
            ),
            _ => return Err(Error::invalid(format!("{to} has an unexpected number of planes"))),
        };
        done.map_err(|e| refused(&e))?;
        HostSurface::new(to, n.size, planes.into_iter().map(|(data, stride)| (data.into(), stride as usize)))
    })())
}
