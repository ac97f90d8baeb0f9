//! Between decoder and encoder: frame rate, size, pixel format.

use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::PixelFormat;
use crate::time::{Rational, TimeBase};
use crate::transform::{self, ScaleFilter};

/// Longest gap that is filled with repeated frames when the frame rate is changed.
const MAX_GAP_SECONDS: f64 = 600.0;

/// What to do to frames. Nothing set: they pass untouched.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterOptions {
    /// Constant output frame rate: frames are repeated and dropped to fit.
    pub frame_rate: Option<Rational>,
    /// Output size.
    pub size: Option<Dimensions>,
    /// Output pixel format.
    pub format: Option<PixelFormat>,
}

/// What was done to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterSummary {
    /// Frames taken.
    pub frames_in: u64,
    /// Frames given.
    pub frames_out: u64,
    /// Frames dropped to lower the rate.
    pub dropped: u64,
    /// Frames repeated to raise the rate.
    pub repeated: u64,
    /// Frames scaled.
    pub scaled: u64,
    /// Frames converted to another pixel format.
    pub converted: u64,
    /// Whether a conversion had to assume a colour that the stream does not state.
    pub assumed_color: bool,
    /// Time spent.
    pub busy: std::time::Duration,
}

impl FilterSummary {
    /// Whether each frame is accounted for.
    pub fn balances(&self) -> bool {
        self.frames_in + self.repeated == self.frames_out + self.dropped
    }
}

/// Applies [`FilterOptions`] to a sequence of frames.
pub struct FrameFilter {
    options: FilterOptions,
    summary: FilterSummary,
    /// Next output slot and the frame shown before it, when the rate is changed.
    rate_state: Option<(i64, Frame)>,
}

impl FrameFilter {
    /// A filter at the start of a sequence.
    pub fn new(options: FilterOptions) -> Self {
        Self { options, summary: FilterSummary::default(), rate_state: None }
    }

    /// What was done so far.
    pub fn summary(&self) -> FilterSummary {
        self.summary
    }

    /// Passes one frame through; `emit` gets zero or more.
    ///
    /// # Errors
    /// When a conversion is not possible or `emit` fails.
    pub fn push(&mut self, frame: Frame, emit: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        self.summary.frames_in += 1;
        let Some(rate) = self.options.frame_rate else {
            return self.shape(frame).and_then(|f| self.give(f, emit));
        };
        let base = TimeBase::from_frame_rate(rate);
        let at = frame.pts.rescale(base);
        let Some((next, previous)) = self.rate_state.take() else {
            let frame = self.shape(Frame { pts: at, duration: Some(1), ..frame })?;
            self.rate_state = Some((at.ticks().saturating_add(1), frame.clone()));
            return self.give(frame, emit);
        };
        if at.ticks() < next {
            self.summary.dropped += 1;
            self.rate_state = Some((next, previous));
            return Ok(());
        }
        let gap = at.ticks().saturating_sub(next);
        if gap as f64 / rate.as_f64() > MAX_GAP_SECONDS {
            return Err(Error::invalid(format!(
                "a gap of {:.0} s before {} is too long to fill at a constant frame rate; leave out --fps to keep the input's own times",
                gap as f64 / rate.as_f64(),
                frame.pts
            )));
        }
        for slot in next..at.ticks() {
            self.summary.repeated += 1;
            let pts = crate::time::Timestamp::new(slot, base);
            self.give(Frame { pts, force_keyframe: false, ..previous.clone() }, emit)?;
        }
        let frame = self.shape(Frame { pts: at, duration: Some(1), ..frame })?;
        self.rate_state = Some((at.ticks().saturating_add(1), frame.clone()));
        self.give(frame, emit)
    }

    fn shape(&mut self, mut frame: Frame) -> Result<Frame> {
        let start = std::time::Instant::now();
        if let Some(size) = self.options.size.filter(|s| *s != frame.dimensions) {
            frame = transform::scale(&frame, size, ScaleFilter::default())?;
            self.summary.scaled += 1;
        }
        if let Some(format) = self.options.format.filter(|f| *f != frame.format) {
            let converted = transform::convert(&frame, format)?;
            self.summary.assumed_color |= converted.assumed_color;
            frame = converted.frame;
            self.summary.converted += 1;
        }
        self.summary.busy += start.elapsed();
        Ok(frame)
    }

    fn give(&mut self, frame: Frame, emit: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        self.summary.frames_out += 1;
        emit(frame)
    }
}
