//! Conversion of pictures by CUDA kernels.
#![allow(unsafe_code, reason = "launching a kernel is a call into the driver")]

use std::sync::Arc;

use super::driver::cuda::{Context, Stream};
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::DevicePlane;
use crate::pixel::PixelFormat;

/// What is converted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) format: PixelFormat,
    pub(crate) dimensions: Dimensions,
    /// Bits by which 16-bit samples must be shifted right to be those of `format`.
    pub(crate) shift: u32,
}

/// Whether a [`Converter`] between these formats can be made.
pub(crate) fn supported(_from: PixelFormat, _to: PixelFormat) -> bool {
    false
}

/// A conversion, ready to run.
#[derive(Debug)]
pub(crate) struct Converter;

impl Converter {
    /// # Errors
    /// What cannot be converted.
    pub(crate) fn new(
        _context: &Arc<Context>,
        from: Source,
        to: PixelFormat,
        _color: ColorInfo,
        _to_size: Dimensions,
    ) -> Result<Self> {
        Err(Error::unsupported(format!(
            "{} {} (shift {}) to {to} on the GPU",
            from.dimensions, from.format, from.shift
        )))
    }

    /// # Errors
    /// A failing driver.
    ///
    /// # Safety
    /// Both memories must be valid until the stream has come that far.
    #[expect(clippy::unused_self, reason = "the interface of a conversion")]
    pub(crate) unsafe fn enqueue(
        &self,
        _stream: &Stream,
        _source: &[DevicePlane],
        _target: &[DevicePlane],
    ) -> Result<()> {
        Err(Error::unsupported("conversion on the GPU"))
    }
}
