//! Pixel format conversion: picks the fastest path that is exact enough.

use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface, Surface};
use crate::pixel::PixelFormat;

use super::color_plan::ColorPlan;
use super::packed::{self, channels};
use super::{float, repack, rgb};

/// A frame in another format.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Converted {
    /// The frame. Its colour says what the new samples are: R, G, B is full range with the identity matrix.
    pub frame: Frame,
    /// Whether the matrix or the range was not stated and [`crate::color::ColorInfo::resolve`]'s rule was used.
    pub assumed_color: bool,
    /// Where it was converted.
    pub(crate) site: Site,
}

/// Where a frame was converted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Site {
    /// On the CPU.
    #[default]
    Cpu,
    /// On the device in whose memory it was.
    Device,
    /// On the CPU, because the device that should have done it failed: its words.
    CpuInstead(String),
}

/// Converts a frame to another pixel format. Everything but format, colour and memory is kept.
///
/// Y'CbCr to Y'CbCr keeps the colour, and rounds to the nearest code. Y'CbCr to R, G, B uses the frame's matrix
/// and range. R, G, B to Y'CbCr uses the matrix and range of the frame's tags; for a frame tagged as R, G, B or
/// not at all, the matrix that belongs to its primaries, else the default for its size, and limited range.
/// New alpha is opaque; alpha that has no place is dropped. [`PixelFormat::P016`] is handled as 12 bit.
///
/// Results differ from the exact ones ([`super::reference`]) by one code at most. R, G, B made of Y'CbCr has the same bytes
/// on every machine and from every backend: each value is rounded by itself to the nearest 32-bit float, in one order.
///
/// # Errors
/// [`Error::InvalidInput`] when the picture is not in host memory, [`Error::Unsupported`] for a matrix that
/// cannot be converted.
pub fn convert(frame: &Frame, to: PixelFormat) -> Result<Converted> {
    let host = host(frame)?;
    if host.format() == to {
        return Ok(Converted { frame: frame.clone(), assumed_color: false, site: Site::Cpu });
    }
    let plan = ColorPlan::of(frame, to)?;
    let surface = match (host.format().is_rgb(), to.is_rgb()) {
        (false, false) => repack::repack(host, to, &plan)?,
        (false, true) => rgb::from_yuv(host, to, &plan)?,
        (true, false) => {
            if let Some(done) = packed::to_yuv(host, to, &plan) {
                done?
            } else {
                let rgb = float::from_rgb(host)?;
                float::to_yuv(&rgb, &plan.matrix, plan.range, to, host.dimensions())?
            }
        }
        (true, true) => match (channels(host.format()), channels(to)) {
            (Some(from), Some(into)) => packed::reorder(host, from, into, to)?,
            _ => float::to_rgb(&float::from_rgb(host)?, to, host.dimensions())?,
        },
    };
    Ok(Converted { frame: with_surface(frame, surface, &plan), assumed_color: plan.assumed, site: Site::Cpu })
}

/// Colour of `frame` once it has this size and format.
///
/// # Errors
/// As [`convert()`], for colour that cannot be converted.
pub(crate) fn color_after(frame: &Frame, size: Dimensions, to: PixelFormat) -> Result<ColorInfo> {
    if frame.format.is_rgb() == to.is_rgb() {
        return Ok(frame.color);
    }
    // What is not stated is assumed by size, and scaling comes first.
    let scaled = Frame { dimensions: size, surface: Surface::None, user_sei: Vec::new(), ..*frame };
    Ok(ColorPlan::of(&scaled, to)?.result)
}

pub(super) fn host(frame: &Frame) -> Result<&HostSurface> {
    let host = frame
        .as_host()
        .ok_or_else(|| Error::invalid("the frame has no picture in host memory; download it first"))?;
    if host.format() != frame.format || host.dimensions() != frame.dimensions {
        return Err(Error::invalid(format!(
            "the frame says {} {}, its memory {} {}",
            frame.dimensions,
            frame.format,
            host.dimensions(),
            host.format()
        )));
    }
    Ok(host)
}

pub(super) fn with_surface(frame: &Frame, surface: HostSurface, plan: &ColorPlan) -> Frame {
    Frame {
        dimensions: surface.dimensions(),
        format: surface.format(),
        color: plan.result,
        surface: Surface::Host(surface),
        user_sei: frame.user_sei.clone(),
        ..*frame
    }
}
