//! Pictures in files and pipes: YUV4MPEG2, headerless frames, sequences of PNG and JPEG files.

use std::path::Path;
use std::time::Duration;

use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::time::{Rational, TimeBase};

mod images;
mod images_decode;
mod images_order;
mod images_reader;
mod images_timed;
mod images_times;
mod picture_input;
mod png;
mod png_read;
mod raw;
mod y4m;
mod y4m_header;

#[cfg(feature = "fuzzing")]
pub(crate) use images_decode::fuzz as fuzz_image;

pub(crate) use images::ImageOptions;
pub use images::{PictureTimes, TimeUnit, is_image_input};
pub(crate) use images_reader::ImageReader;
pub(crate) use images_timed::TimedReader;
pub use png::{PngPattern, PngSequenceWriter, write_png};
pub use raw::{RawReader, RawWriter};
pub use y4m::{Y4mReader, Y4mWriter};

/// What all pictures of an uncompressed stream have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// Layout of the samples.
    pub format: PixelFormat,
    /// Picture size.
    pub dimensions: Dimensions,
    /// Pictures per second; picture `n` is presented at `n / frame_rate`.
    pub frame_rate: Rational,
    /// Colour, as far as it is stated.
    pub color: ColorInfo,
    /// Sample aspect ratio, where stated.
    pub sample_aspect_ratio: Option<Rational>,
}

impl VideoFormat {
    /// A format with no more than the mandatory facts.
    pub const fn new(format: PixelFormat, dimensions: Dimensions, frame_rate: Rational) -> Self {
        Self { format, dimensions, frame_rate, color: ColorInfo::UNSPECIFIED, sample_aspect_ratio: None }
    }
}

/// Reads pictures in presentation order. The pts of picture `n` is `n` ticks of `1 / frame_rate`, unless
/// [`Self::time_base`] says otherwise.
pub trait FrameReader: Send {
    /// Pixel format of every picture.
    fn format(&self) -> PixelFormat;

    /// Size of every picture.
    fn dimensions(&self) -> Dimensions;

    /// Pictures per second.
    fn frame_rate(&self) -> Rational;

    /// Colour, as far as the stream states it.
    fn color(&self) -> ColorInfo;

    /// Sample aspect ratio, where the stream states it.
    fn sample_aspect_ratio(&self) -> Option<Rational>;

    /// Time base of the pictures.
    fn time_base(&self) -> TimeBase {
        TimeBase::from_frame_rate(self.frame_rate())
    }

    /// Pictures to expect, where known.
    fn frames(&self) -> Option<u64> {
        None
    }

    /// Presented time to expect, where known.
    fn duration(&self) -> Option<Duration> {
        None
    }

    /// What is read, for people.
    fn describe(&self) -> String {
        format!("uncompressed {}", self.format())
    }

    /// What the user should know of how the input is read.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// The next picture; `None` at the end, and after any error that was not asked to be gone over.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] (a last picture that is cut short, say) or [`Error::Io`].
    fn next_frame(&mut self) -> Result<Option<Frame>>;

    /// All of the above in one value, for a writer of the same pictures.
    fn video_format(&self) -> VideoFormat {
        VideoFormat {
            format: self.format(),
            dimensions: self.dimensions(),
            frame_rate: self.frame_rate(),
            color: self.color(),
            sample_aspect_ratio: self.sample_aspect_ratio(),
        }
    }
}

/// Writes pictures in presentation order. The formats have no times: a frame's pts is not written.
pub trait FrameWriter: Send {
    /// Writes one picture, which must be in host memory and of the format given at creation.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a picture that does not fit, [`Error::Io`] when writing fails.
    fn write_frame(&mut self, frame: &Frame) -> Result<()>;

    /// Completes and flushes the output; returns the bytes written.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn finish(&mut self) -> Result<u64>;
}

/// The samples of frame `number`, after checking that it is what the file promises.
fn expect_host<'a>(
    frame: &'a Frame,
    number: u64,
    (format, dimensions): (PixelFormat, Dimensions),
    path: &Path,
) -> Result<&'a HostSurface> {
    let Some(host) = frame.as_host() else {
        return Err(Error::invalid(format!(
            "frame {number} for {} is not in host memory; download it first",
            path.display()
        )));
    };
    if (host.format(), host.dimensions()) != (format, dimensions) {
        return Err(Error::invalid(format!(
            "frame {number} for {} is {} {}, the file holds {dimensions} {format}; convert it first",
            path.display(),
            host.dimensions(),
            host.format()
        )));
    }
    Ok(host)
}
