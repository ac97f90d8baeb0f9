//! What is to be done to a frame, as one value: cut, scale, convert, bring to host memory.

use std::fmt;

use crate::config::setters::setters;
use crate::config::{ColorRequest, Crop};
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::{Frame, Surface};

use super::color_plan::ColorPlan;
use super::convert::{Converted, Site};
use super::scale::aspect_ratio;
use super::{ScaleFilter, crop, scale};

/// Work on a frame; done in the order of the fields. The default asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TransformRequest {
    /// Samples must be in host memory. All other work brings them there anyway, but for a conversion of format that a
    /// [`TransformDispatcher`](super::TransformDispatcher) has the frame's device do.
    pub host: bool,
    /// The part that is wanted.
    pub crop: Option<Crop>,
    /// The size it is wanted in.
    pub size: Option<Dimensions>,
    /// The kernel for that.
    pub filter: ScaleFilter,
    /// The format it is wanted in.
    pub convert: ColorRequest,
}

setters!(TransformRequest { host: bool, filter: ScaleFilter, convert: ColorRequest } option { crop: Crop, size: Dimensions });

impl TransformRequest {
    /// Whether nothing is asked for, whatever the frame.
    pub fn is_nothing(&self) -> bool {
        !self.host && self.shapes_nothing()
    }

    /// Whether size and format stay.
    pub fn shapes_nothing(&self) -> bool {
        self.crop.is_none() && self.size.is_none() && self.convert.format().is_none()
    }

    /// Whether the frame is already as asked for.
    pub fn is_met_by(&self, frame: &Frame) -> bool {
        let whole = Crop { left: 0, top: 0, size: frame.dimensions };
        self.crop.is_none_or(|crop| crop == whole)
            && self.size.is_none_or(|size| size == frame.dimensions)
            && self.convert.format().is_none_or(|format| format == frame.format)
            && !(self.host && frame.as_device().is_some())
    }

    /// Does it, on the calling thread. A frame that is as asked for comes back as it is.
    ///
    /// # Errors
    /// As [`crop()`], [`scale()`] and [`convert`](super::convert()); a lost device.
    pub fn apply(&self, frame: Frame) -> Result<Converted> {
        if self.is_met_by(&frame) {
            return Ok(Converted { frame, assumed_color: false, site: Site::Cpu });
        }
        let mut frame = to_host(frame)?;
        if let Some(part) = self.crop {
            frame = crop(&frame, part)?;
        }
        if let Some(size) = self.size {
            frame = scale(&frame, size, self.filter)?;
        }
        super::apply(frame, self.convert)
    }

    /// What [`Self::apply`] would make of the frame, without samples.
    ///
    /// # Errors
    /// As there, as far as they do not come from samples.
    pub fn outline(&self, mut frame: Frame) -> Result<Frame> {
        frame.surface = Surface::None;
        if let Some(part) = self.crop {
            crop::check(frame.format, frame.dimensions, part)?;
            frame.dimensions = part.size;
        }
        if let Some(size) = self.size {
            frame.sample_aspect_ratio = aspect_ratio(frame.sample_aspect_ratio, frame.dimensions, size);
            frame.dimensions = size;
        }
        if let Some(format) = self.convert.format().filter(|format| *format != frame.format) {
            frame.color = ColorPlan::of(&frame, format)?.result;
            frame.format = format;
        }
        Ok(frame)
    }
}

impl fmt::Display for TransformRequest {
    /// `crop 320x180 at 8:16, 160x90, rgb24`; empty where size and format stay.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crop = self.crop.map(|crop| format!("crop {} at {}:{}", crop.size, crop.left, crop.top));
        let size = self.size.map(|size| size.to_string());
        let format = self.convert.format().map(|format| format.to_string());
        let words: Vec<_> = [crop, size, format].into_iter().flatten().collect();
        f.write_str(&words.join(", "))
    }
}

/// The frame with its samples in host memory: copied there from a device, else untouched.
///
/// # Errors
/// A lost device.
pub fn to_host(frame: Frame) -> Result<Frame> {
    let Some(device) = frame.as_device() else { return Ok(frame) };
    let surface = Surface::Host(device.download()?);
    Ok(Frame { surface, ..frame })
}
