//! Bringing two pictures to one size and format.

use crate::config::ColorRequest;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::PixelFormat;
use crate::transform::{self, ScaleFilter, TransformRequest};

/// What had to be done to a distorted picture before it was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Its size was changed to that of the reference.
    pub scaled: bool,
    /// The format it was converted from.
    pub converted: Option<PixelFormat>,
}

/// The format in which pictures of `format` are measured: their own, but for 16 bit containers of 12 bit video and for
/// floating point.
pub const fn measured_format(format: PixelFormat) -> PixelFormat {
    match format {
        PixelFormat::P016 => PixelFormat::I012,
        PixelFormat::RgbF32Planar => PixelFormat::Rgb24,
        other => other,
    }
}

/// Whether two formats have the same components, of the same size and depth, however they lie in memory.
pub fn is_comparable(a: PixelFormat, b: PixelFormat) -> bool {
    a.chroma() == b.chroma() && a.bit_depth() == b.bit_depth()
}

/// Both pictures in host memory, `distorted` in the size and format of `reference`.
pub(super) fn prepare(
    reference: Frame,
    distorted: Frame,
    scale: Option<ScaleFilter>,
) -> Result<(Frame, Frame, Changes)> {
    let format = measured_format(reference.format);
    let reference = transform::to_host(convert(reference, format)?)?;
    let mut distorted = transform::to_host(distorted)?;
    let mut changes = Changes::default();
    if distorted.dimensions != reference.dimensions {
        let Some(filter) = scale else {
            return Err(Error::invalid(format!(
                "the picture at {} is {}, that of the reference {}",
                distorted.pts, distorted.dimensions, reference.dimensions
            )));
        };
        distorted = transform::scale(&distorted, reference.dimensions, filter)?;
        changes.scaled = true;
    }
    if !is_comparable(distorted.format, format) {
        changes.converted = Some(distorted.format);
        distorted = convert(distorted, format)?;
    }
    Ok((reference, distorted, changes))
}

fn convert(frame: Frame, format: PixelFormat) -> Result<Frame> {
    if frame.format == format {
        return Ok(frame);
    }
    let request = TransformRequest::default().convert(ColorRequest::To(format));
    Ok(request.apply(frame)?.frame)
}
