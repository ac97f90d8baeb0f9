//! Placeholder until the room is merged.
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::PixelFormat;
/// Filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScaleFilter;
/// Convert.
pub fn convert(_: &Frame, _: PixelFormat) -> Result<Frame> { Err(Error::unsupported("convert")) }
/// Scale.
pub fn scale(_: &Frame, _: Dimensions, _: ScaleFilter) -> Result<Frame> { Err(Error::unsupported("scale")) }
