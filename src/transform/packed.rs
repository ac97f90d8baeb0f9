//! Packed 8-bit R, G, B: channel orders, and the SIMD conversions from and to 8-bit Y'CbCr.

use std::borrow::Cow;

use yuv::{
    BufferStoreMut, YuvBiPlanarImage, YuvBiPlanarImageMut, YuvConversionMode, YuvError, YuvGrayImage,
    YuvGrayImageMut, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

use crate::color::ColorRange;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::HostSurface;
use crate::memory;
use crate::pixel::PixelFormat;

use super::below_black::{correct8, correct16};
use super::matrix::Matrix;
use super::meaning::Meaning;
use super::samples::{load, plane};

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

/// The format that the library writes and whether alpha must then be moved from last to first.
const fn alpha_last(format: PixelFormat) -> (PixelFormat, bool) {
    match format {
        PixelFormat::Argb => (PixelFormat::Bgra, true),
        PixelFormat::Abgr => (PixelFormat::Rgba, true),
        other => (other, false),
    }
}

struct Numbers {
    exact: Matrix,
    range: YuvRange,
    matrix: YuvStandardMatrix,
    size: Dimensions,
}

fn numbers(host: &HostSurface, meaning: &Meaning) -> Option<Numbers> {
    let (kr, kb) = meaning.matrix.kr_kb?;
    let range = match meaning.range {
        ColorRange::Limited => YuvRange::Limited,
        ColorRange::Full => YuvRange::Full,
    };
    let matrix = YuvStandardMatrix::Custom(kr as f32, kb as f32);
    Some(Numbers { exact: meaning.matrix, range, matrix, size: host.dimensions() })
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
    let (data, stride) = match whole {
        Some(data) => (Cow::Borrowed(data), plane.stride()),
        None => {
            let samples = plane.iter_rows().flatten().copied();
            (Cow::Owned(memory::collected(plane.row_bytes() * plane.rows(), samples)?), plane.row_bytes())
        }
    };
    let stride = u32::try_from(stride)
        .map_err(|_| Error::invalid(format!("a stride of {stride} bytes; the most is {}", u32::MAX)))?;
    Ok(Whole { data, stride })
}

/// Y'CbCr to packed R, G, B; `None` for what the library does not convert.
pub(super) fn from_yuv(
    host: &HostSurface,
    to: PixelFormat,
    meaning: &Meaning,
) -> Option<Result<HostSurface>> {
    let numbers = numbers(host, meaning)?;
    let step = channels(to)?.step;
    let (base, rotate) = alpha_last(to);
    let rows = numbers.size.height() as usize;
    let width = numbers.size.width() as usize;
    let mut out = match memory::filled(255_u8, width * step * rows) {
        Ok(out) => out,
        Err(error) => return Some(Err(error)),
    };
    let mut done = match host.format() {
        PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 => planar8(host, base, &numbers, &mut out)?,
        PixelFormat::Nv12 => semi_planar8(host, base, &numbers, &mut out)?,
        PixelFormat::Gray8 => gray8(host, base, &numbers, &mut out)?,
        // The library panics on odd widths whose chroma fills whole SIMD blocks (63, say).
        PixelFormat::I010 | PixelFormat::I012 | PixelFormat::P010 | PixelFormat::P016
            if width.is_multiple_of(2) =>
        {
            planar16(host, base, &numbers, &mut out)?
        }
        _ => return None,
    };
    if let (8, ColorRange::Limited, Some(channels)) =
        (host.format().bit_depth(), meaning.range, channels(base))
    {
        done = done.and_then(|()| correct8(host, &meaning.matrix, channels, &mut out));
    }
    Some(done.and_then(|()| {
        if rotate {
            // B, G, R, A reversed is A, R, G, B; R, G, B, A reversed is A, B, G, R.
            out.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        }
        HostSurface::new(to, numbers.size, [(out.into(), width * step)])
    }))
}

type Done = Option<Result<()>>;

fn planar8(host: &HostSurface, to: PixelFormat, n: &Numbers, out: &mut [u8]) -> Done {
    use PixelFormat::{Bgr24, Bgra, I420, I422, I444, Rgb24, Rgba};
    type Convert =
        fn(&YuvPlanarImage<u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;
    let convert: Convert = match (host.format(), to) {
        (I420, Rgb24) => yuv::yuv420_to_rgb,
        (I420, Bgr24) => yuv::yuv420_to_bgr,
        (I420, Rgba) => yuv::yuv420_to_rgba,
        (I420, Bgra) => yuv::yuv420_to_bgra,
        (I422, Rgb24) => yuv::yuv422_to_rgb,
        (I422, Bgr24) => yuv::yuv422_to_bgr,
        (I422, Rgba) => yuv::yuv422_to_rgba,
        (I422, Bgra) => yuv::yuv422_to_bgra,
        (I444, Rgb24) => yuv::yuv444_to_rgb,
        (I444, Bgr24) => yuv::yuv444_to_bgr,
        (I444, Rgba) => yuv::yuv444_to_rgba,
        (I444, Bgra) => yuv::yuv444_to_bgra,
        _ => return None,
    };
    Some((|| {
        let (y, u, v) = (whole(host, 0)?, whole(host, 1)?, whole(host, 2)?);
        let image = YuvPlanarImage {
            y_plane: &y.data,
            y_stride: y.stride,
            u_plane: &u.data,
            u_stride: u.stride,
            v_plane: &v.data,
            v_stride: v.stride,
            width: n.size.width(),
            height: n.size.height(),
        };
        let row = out_stride(out, n);
        convert(&image, out, row, n.range, n.matrix).map_err(|e| refused(&e))
    })())
}

fn out_stride(out: &[u8], n: &Numbers) -> u32 {
    // `out` has whole rows, each of at most 65,535 pixels of 4 bytes.
    (out.len() / n.size.height() as usize) as u32
}

fn semi_planar8(host: &HostSurface, to: PixelFormat, n: &Numbers, out: &mut [u8]) -> Done {
    type Convert = fn(
        &YuvBiPlanarImage<u8>,
        &mut [u8],
        u32,
        YuvRange,
        YuvStandardMatrix,
        YuvConversionMode,
    ) -> Result<(), YuvError>;
    let convert: Convert = match to {
        PixelFormat::Rgb24 => yuv::yuv_nv12_to_rgb,
        PixelFormat::Bgr24 => yuv::yuv_nv12_to_bgr,
        PixelFormat::Rgba => yuv::yuv_nv12_to_rgba,
        PixelFormat::Bgra => yuv::yuv_nv12_to_bgra,
        _ => return None,
    };
    Some((|| {
        let (y, uv) = (whole(host, 0)?, whole(host, 1)?);
        let image = YuvBiPlanarImage {
            y_plane: &y.data,
            y_stride: y.stride,
            uv_plane: &uv.data,
            uv_stride: uv.stride,
            width: n.size.width(),
            height: n.size.height(),
        };
        let row = out_stride(out, n);
        convert(&image, out, row, n.range, n.matrix, YuvConversionMode::Balanced).map_err(|e| refused(&e))
    })())
}

fn gray8(host: &HostSurface, to: PixelFormat, n: &Numbers, out: &mut [u8]) -> Done {
    type Convert = fn(&YuvGrayImage<u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;
    let convert: Convert = match to {
        PixelFormat::Rgb24 => yuv::yuv400_to_rgb,
        PixelFormat::Bgr24 => yuv::yuv400_to_bgr,
        PixelFormat::Rgba => yuv::yuv400_to_rgba,
        PixelFormat::Bgra => yuv::yuv400_to_bgra,
        _ => return None,
    };
    Some((|| {
        let y = whole(host, 0)?;
        let image = YuvGrayImage {
            y_plane: &y.data,
            y_stride: y.stride,
            width: n.size.width(),
            height: n.size.height(),
        };
        let row = out_stride(out, n);
        convert(&image, out, row, n.range, n.matrix).map_err(|e| refused(&e))
    })())
}

/// 10 and 12 bit 4:2:0. The library's own conversions from interleaved chroma are many times slower than
/// taking the planes apart first.
fn planar16(host: &HostSurface, to: PixelFormat, n: &Numbers, out: &mut [u8]) -> Done {
    use PixelFormat::{Bgr24, Bgra, I010, I012, P010, P016, Rgb24, Rgba};
    type Convert =
        fn(&YuvPlanarImage<u16>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;
    let convert: Convert = match (host.format(), to) {
        (I010 | P010, Rgb24) => yuv::i010_to_rgb,
        (I010 | P010, Bgr24) => yuv::i010_to_bgr,
        (I010 | P010, Rgba) => yuv::i010_to_rgba,
        (I010 | P010, Bgra) => yuv::i010_to_bgra,
        (I012 | P016, Rgb24) => yuv::i012_to_rgb,
        (I012 | P016, Bgr24) => yuv::i012_to_bgr,
        (I012 | P016, Rgba) => yuv::i012_to_rgba,
        (I012 | P016, Bgra) => yuv::i012_to_bgra,
        _ => return None,
    };
    Some((|| {
        let [y, u, v] = [load(host, 0)?, load(host, 1)?, load(host, 2)?];
        let image = YuvPlanarImage {
            y_plane: &y.data,
            y_stride: y.width as u32,
            u_plane: &u.data,
            u_stride: u.width as u32,
            v_plane: &v.data,
            v_stride: v.width as u32,
            width: n.size.width(),
            height: n.size.height(),
        };
        let row = out_stride(out, n);
        convert(&image, out, row, n.range, n.matrix).map_err(|e| refused(&e))?;
        if let (YuvRange::Limited, Some(channels)) = (n.range, channels(to)) {
            correct16([&y, &u, &v], host.format(), &n.exact, channels, out);
        }
        Ok(())
    })())
}

/// Packed R, G, B to 8-bit Y'CbCr; `None` for what the library does not convert.
pub(super) fn to_yuv(host: &HostSurface, to: PixelFormat, meaning: &Meaning) -> Option<Result<HostSurface>> {
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
    let n = numbers(host, meaning)?;
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
