//! The shape of samples where the container states it: that wins over what the bitstream says.

use super::source::{SourceInfo, SourceOptions};
use crate::dimensions::Dimensions;
use crate::frame::Frame;
use crate::time::Rational;
use crate::transform::aspect_ratio;

/// A sample aspect ratio of the container.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    stated: Rational,
    /// The size that frames of another size were scaled from.
    from: Option<Dimensions>,
}

impl Shape {
    pub(super) fn stated(info: &SourceInfo, options: &SourceOptions) -> Option<Self> {
        let video = info.video()?;
        let whole = options.crop.map_or(video.dimensions, |crop| crop.size);
        Some(Self { stated: video.sample_aspect_ratio?, from: options.size.map(|_| whole) })
    }

    /// The ratio of a frame as it comes out of the decoder and its scaler.
    pub(super) fn of(self, frame: &Frame) -> Option<Rational> {
        match self.from {
            Some(from) => aspect_ratio(Some(self.stated), from, frame.dimensions),
            None => Some(self.stated),
        }
    }
}
