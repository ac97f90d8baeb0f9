//! The short way to the frames of a file: what is wanted of them, one word after the other.

use std::path::PathBuf;
use std::time::Duration;

use super::source::{FrameSource, SourceOptions};
use crate::backend::Backend;
use crate::config::{ColorRequest, Crop, DamagePolicy, DecodeOutputMode, Engines, FailurePolicy};
use crate::dimensions::Dimensions;
use crate::error::Result;
use crate::limits::Limits;
use crate::rawvideo::PictureTimes;
use crate::time::Rational;

/// Starts reading the frames of a file; see [`crate::frames`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `open`"]
pub struct FramesBuilder {
    path: PathBuf,
    options: SourceOptions,
}

impl FramesBuilder {
    /// Where pictures go: host memory by default.
    pub fn output(mut self, output: DecodeOutputMode) -> Self {
        self.options.output = output;
        self
    }

    /// Leaves pictures in the decoder's own memory: the GPU's, where one decodes
    /// ([`crate::frame::Surface::Device`]).
    pub fn native(self) -> Self {
        self.output(DecodeOutputMode::NativeSurface)
    }

    /// Frames in [`crate::pixel::PixelFormat::Rgb24`], converted by the GPU where one decodes.
    pub fn rgb(self) -> Self {
        self.convert(ColorRequest::Rgb8)
    }

    /// The format that frames are wanted in.
    pub fn convert(mut self, convert: ColorRequest) -> Self {
        self.options.convert = convert;
        self
    }

    /// The size that frames are wanted in; scaled by the decoder's hardware where it can.
    pub fn size(mut self, size: Dimensions) -> Self {
        self.options.size = Some(size);
        self
    }

    /// The width that frames are wanted in, in samples. The height follows from the shape in which the picture is shown (the
    /// nearest even number), and samples become square: 512 of a 720x576 picture that is shown at 16:9 are 512x288. Without
    /// [`Self::upright`] a picture that is stored on its side stays on it, and this is the width of what comes out.
    ///
    /// ```
    /// # fn main() -> video_hw::Result<()> {
    /// let mut frames = video_hw::frames("clips/vfr-rotated.mp4").width(72).upright().rgb().open()?;
    /// let first = frames.next_frame()?.map(|frame| frame.dimensions.to_string());
    /// assert_eq!(first.as_deref(), Some("72x88")); // stored as 178x146, on its side
    /// # Ok(()) }
    /// ```
    ///
    /// `open` refuses a width with a height or a size beside it, and one that is not in 1..=65535.
    pub fn width(mut self, width: u32) -> Self {
        self.options.width = Some(width);
        self
    }

    /// As [`Self::width`], by the height.
    pub fn height(mut self, height: u32) -> Self {
        self.options.height = Some(height);
        self
    }

    /// Frames as a player shows them: turned and mirrored as the container's matrix says, and with square samples, for which
    /// the shorter side is stretched. A crop is that of the stored picture. Turning is done by the CPU, on the thread that
    /// takes the frames; a quarter turn makes 4:4:4 of 4:2:2 unless a format is asked for.
    ///
    /// `open` refuses this with a size ([`Self::width`] and [`Self::height`] keep the shape) or with [`Self::native`], and
    /// for a matrix that is no turn by a multiple of 90 degrees.
    pub fn upright(mut self) -> Self {
        self.options.upright = true;
        self
    }

    /// The part of the picture that is wanted. It is cut out before the size is changed.
    pub fn crop(mut self, crop: Crop) -> Self {
        self.options.crop = Some(crop);
        self
    }

    /// Takes a picture that the decoder had to mend for damage, instead of delivering it marked
    /// ([`crate::frame::Frame::concealed`]).
    pub fn strict(mut self) -> Self {
        self.options.damage = DamagePolicy::Strict;
        self
    }

    /// Goes on after damage in the input, counting it in [`SourceSummary`](super::SourceSummary), instead of ending with an
    /// error.
    pub fn keep_going(mut self) -> Self {
        self.options.keep_going = true;
        self
    }

    /// Begins with the first frame at or after this time. Times of frames are the distance to it, unless
    /// [`Self::original_times`] is asked for.
    pub fn start(mut self, start: Duration) -> Self {
        self.options.start = Some(start);
        self
    }

    /// Frames keep their times in the file, also behind a [`Self::start`].
    pub fn original_times(mut self) -> Self {
        self.options.original_times = true;
        self
    }

    /// Ends after this much presented time, counted from the start that was asked for.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.options.duration = Some(duration);
        self
    }

    /// When pictures that carry no times are shown.
    ///
    /// ```no_run
    /// use video_hw::rawvideo::{PictureTimes, TimeUnit};
    ///
    /// # fn main() -> video_hw::Result<()> {
    /// // Images that a robot has named by nanoseconds.
    /// for frame in video_hw::frames("camera-left/").times(PictureTimes::Names(TimeUnit::Nanos)).open()? {
    ///     println!("{}", frame?.pts);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn times(mut self, times: PictureTimes) -> Self {
        self.options.times = times;
        self
    }

    /// Frame rate of an input that carries no times.
    pub fn frame_rate(mut self, rate: Rational) -> Self {
        self.options.frame_rate = Some(rate);
        self
    }

    /// Which device of the backend decodes: ordinal or identifier; see
    /// [`crate::config::CommonDecodeConfig::device`].
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.options.device = Some(device.into());
        self
    }

    /// How many decoders share the work; by default as many as keep all engines of a GPU or all cores of a processor busy
    /// ([`Engines::Auto`]), and one for an input that can be read only once. A program that runs many files side by side
    /// asks for one each.
    ///
    /// ```no_run
    /// use video_hw::config::Engines;
    ///
    /// # fn main() -> video_hw::Result<()> {
    /// for frame in video_hw::frames("in.mp4").engines(Engines::One).open()? {
    ///     println!("{}", frame?.pts);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn engines(mut self, engines: Engines) -> Self {
        self.options.engines = engines;
        self
    }

    /// Each frame as soon as the stream's reordering allows, by one decoder.
    pub fn low_latency(mut self) -> Self {
        self.options.low_latency = true;
        self
    }

    /// Decoder to use.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.options.backend = backend.into();
        self
    }

    /// What becomes of the frames when the decoder dies on the way; by default they end with its error. Those of another
    /// backend may be of another format: ask for one with [`Self::convert`].
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.options.on_failure = policy;
        self
    }

    /// What the file may cost; beyond it, it is refused with [`crate::Error::LimitExceeded`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Opens the file and starts decoding.
    ///
    /// # Errors
    /// As [`FrameSource::open`]; [`crate::Error::InvalidInput`] for what cannot be asked for together, by name.
    pub fn open(self) -> Result<FrameSource> {
        FrameSource::open(&self.path, &self.options)
    }
}

/// Frames of a file or of a folder of images, in presentation order, on whatever decodes here.
///
/// ```no_run
/// # fn main() -> video_hw::Result<()> {
/// for frame in video_hw::frames("in.mp4").rgb().open()? {
///     let frame = frame?;
///     println!("{} {} {}", frame.pts, frame.dimensions, frame.format);
/// }
/// # Ok(()) }
/// ```
///
/// How long the input is, where it says so: [`FrameSource::info`]. For pictures here and there: [`crate::open`].
pub fn frames(path: impl Into<PathBuf>) -> FramesBuilder {
    FramesBuilder { path: path.into(), options: SourceOptions::default() }
}
