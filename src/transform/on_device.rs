//! Conversion of frames where they are: by what their device's memory names for it, once for all frames of a kind. What it
//! does not do, or fails to do, the CPU does, and the reason is kept.

use std::sync::{Arc, Mutex, MutexGuard};

use super::color_plan::ColorPlan;
use super::convert::{Converted, Site};
use super::request::{TransformRequest, to_host};
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::frame::{DeviceConverter, DeviceSurface, Frame, Surface};
use crate::pixel::PixelFormat;
use crate::sync::lock;

/// Kinds of frames that are known at once; of more, the oldest are forgotten.
const KINDS: usize = 8;

#[derive(Clone, Copy, PartialEq)]
struct Kind {
    device: u32,
    format: PixelFormat,
    dimensions: Dimensions,
    color: ColorInfo,
    to: PixelFormat,
}

/// What a device has for a kind of frames.
#[derive(Clone)]
enum Way {
    Device(Arc<dyn DeviceConverter>),
    /// The CPU, as ever.
    Cpu,
    /// The CPU, since the device has failed, with these words.
    Failed(String),
}

/// Converters that were made.
#[derive(Default)]
pub(super) struct Converters {
    known: Mutex<Vec<(Kind, Way)>>,
}

impl Converters {
    /// Fulfils a request, on the frame's device as far as that does it.
    ///
    /// # Errors
    /// As [`TransformRequest::apply`].
    pub(super) fn apply(&self, frame: Frame, request: &TransformRequest) -> Result<Converted> {
        let Some(part) = part(&frame, request) else { return request.apply(frame) };
        let Some(to) = request.convert.format() else { return request.apply(frame) };
        let outline = request.outline(frame.clone())?;
        let assumed = ColorPlan::of(&Frame { dimensions: part.dimensions(), ..frame.clone() }, to)?.assumed;
        let why = match self.convert(&part, frame.color, to) {
            Ok(Some(done)) => {
                let done = Frame { surface: Surface::Device(done), ..outline };
                let done = if request.host { to_host(done)? } else { done };
                return Ok(Converted { frame: done, assumed_color: assumed, site: Site::Device });
            }
            Ok(None) => None,
            Err(words) => Some(words),
        };
        let done = request.apply(frame)?;
        Ok(Converted { site: why.map_or(Site::Cpu, Site::CpuInstead), ..done })
    }

    /// The picture, converted; nothing where that is the CPU's; the device's words where it fails.
    fn convert(
        &self,
        picture: &DeviceSurface,
        color: ColorInfo,
        to: PixelFormat,
    ) -> std::result::Result<Option<DeviceSurface>, String> {
        let kind = Kind {
            device: picture.device(),
            format: picture.format(),
            dimensions: picture.dimensions(),
            color,
            to,
        };
        let known = self.known().iter().find(|(other, _)| *other == kind).map(|(_, way)| way.clone());
        let way = known.unwrap_or_else(|| {
            let way = match picture.converter(color, to) {
                Ok(Some(converter)) => Way::Device(converter),
                Ok(None) => Way::Cpu,
                Err(error) => Way::Failed(error.to_string()),
            };
            self.learn(kind, way.clone());
            way
        });
        match way {
            Way::Device(converter) => converter.convert(picture).map(Some).map_err(|error| {
                // Not tried again: from here on it is the CPU's.
                let words = error.to_string();
                self.learn(kind, Way::Failed(words.clone()));
                words
            }),
            Way::Cpu => Ok(None),
            Way::Failed(words) => Err(words),
        }
    }

    fn learn(&self, kind: Kind, way: Way) {
        let mut known = self.known();
        known.retain(|(other, _)| *other != kind);
        if known.len() >= KINDS {
            known.remove(0);
        }
        known.push((kind, way));
    }

    fn known(&self) -> MutexGuard<'_, Vec<(Kind, Way)>> {
        lock(&self.known)
    }
}

/// The part of a frame on a device that a request wants in another format and in no other size; no other frame has one.
fn part(frame: &Frame, request: &TransformRequest) -> Option<DeviceSurface> {
    let picture = frame.as_device()?;
    if request.convert.format().is_none_or(|to| to == frame.format) {
        return None;
    }
    let part = match request.crop {
        // What begins between two chroma samples is the CPU's.
        Some(crop) => picture.crop(crop).ok()?,
        None => picture.clone(),
    };
    request.size.is_none_or(|size| size == part.dimensions()).then_some(part)
}
