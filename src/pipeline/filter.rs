//! Between decoder and encoder: frame rate, size, pixel format.

use super::control::CancelToken;
use crate::config::setters::setters;
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::failover::FrameRecovery;
use crate::frame::{FieldOrder, Frame};
use crate::pixel::PixelFormat;
use crate::session::{LossKind, Losses};
use crate::time::{Rational, TimeBase, Timestamp};
use crate::transform::{self, Deinterlacer, ScaleFilter};

/// Longest gap that is filled with repeated frames when the frame rate is changed.
const MAX_GAP_SECONDS: f64 = 600.0;

/// What to do to frames. Nothing set: they pass untouched.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct FilterOptions {
    /// Constant output frame rate: frames are repeated and dropped to fit.
    pub frame_rate: Option<Rational>,
    /// Output size.
    pub size: Option<Dimensions>,
    /// Output pixel format.
    pub format: Option<PixelFormat>,
    /// Make interlaced pictures progressive, one for one and by the CPU: the field that is shown first stays as it is, the rows
    /// of the other one are estimated from it and from the pictures before and after.
    pub deinterlace: bool,
    /// Repeat the last column and row up to this size, for encoders that want even sides.
    pub extend_to: Option<Dimensions>,
}

setters!(FilterOptions { deinterlace: bool } option { frame_rate: Rational, size: Dimensions, format: PixelFormat, extend_to: Dimensions });

/// What was done to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterSummary {
    /// Frames taken.
    pub frames_in: u64,
    /// Frames given.
    pub frames_out: u64,
    /// Frames dropped to lower the rate.
    pub dropped: u64,
    /// Frames repeated to raise the rate.
    pub repeated: u64,
    /// Interlaced frames taken, single fields not counted.
    pub interlaced: u64,
    /// Frames taken that are single fields.
    pub single_fields: u64,
    /// Of the interlaced ones those that were made progressive.
    pub deinterlaced: u64,
    /// Changes of the picture size between two frames that were taken.
    pub size_changes: u64,
    /// The first of them: when, from which size to which.
    pub first_size_change: Option<(Timestamp, Dimensions, Dimensions)>,
    /// Frames scaled.
    pub scaled: u64,
    /// Frames extended by a column or a row.
    pub extended: u64,
    /// Frames converted to another pixel format.
    pub converted: u64,
    /// Frames given that are in a device's memory.
    pub on_device: u64,
    /// Bytes of frames that were copied from a device's memory to the host's.
    pub download_bytes: u64,
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
///
/// At a constant rate, output `k` shows the frame that the input shows at time `k / rate`, both rounded to the
/// nearest output: a frame fills the outputs from its own time to the next frame's.
pub(super) struct FrameFilter {
    options: FilterOptions,
    limit: Option<u64>,
    summary: FilterSummary,
    /// The frame whose end is not known yet, and its first output, when the rate is changed.
    held: Option<(i64, Numbered)>,
    deinterlacer: Option<Deinterlacer>,
    /// Number of the frame inside the deinterlacer.
    inside: Option<u64>,
    /// Size of the last frame that was taken.
    size: Option<Dimensions>,
    /// From the frame before the held one to the held one.
    gap: Option<Timestamp>,
    cancel: CancelToken,
    to_host: bool,
    losses: Losses,
    recovery: Option<FrameRecovery>,
}

/// A frame, and how many came before it.
type Numbered = (u64, Frame);

impl FrameFilter {
    /// A filter at the start of a sequence; it gives at most `limit` frames.
    pub(super) fn new(options: FilterOptions, limit: Option<u64>) -> Self {
        let summary = FilterSummary::default();
        Self {
            options,
            limit,
            summary,
            held: None,
            deinterlacer: options.deinterlace.then(Deinterlacer::new),
            inside: None,
            size: None,
            gap: None,
            cancel: CancelToken::default(),
            to_host: false,
            losses: Losses::default(),
            recovery: None,
        }
    }

    /// Stops to repeat frames when the token is cancelled; filling a gap of minutes takes its time.
    #[must_use]
    pub(super) fn cancel_token(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Whether every frame is brought to host memory; without it only those are that must be changed there.
    #[must_use]
    pub(super) fn for_host(mut self, to_host: bool) -> Self {
        self.to_host = to_host;
        self
    }

    /// Where frames come from again whose device is gone.
    #[must_use]
    pub(super) fn recovery(mut self, recovery: Option<FrameRecovery>) -> Self {
        self.recovery = recovery;
        self
    }

    /// What was done so far.
    pub(super) fn summary(&self) -> FilterSummary {
        self.summary
    }

    /// The frames that were dropped, by reason.
    pub(super) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Whether the limit is reached; further frames would be dropped.
    pub(super) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.summary.frames_out >= limit)
    }

    /// Passes one frame through; `emit` gets zero or more.
    ///
    /// # Errors
    /// When a conversion is not possible or `emit` fails.
    pub(super) fn push(&mut self, frame: Frame, emit: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        let number = self.summary.frames_in;
        self.summary.frames_in += 1;
        self.note(&frame);
        if self.deinterlacer.is_none() {
            return self.pass((number, frame), emit);
        }
        let frame = self.timed(|filter| filter.download(frame))?;
        let push =
            |filter: &mut Self| filter.deinterlacer.as_mut().map(|deinterlacer| deinterlacer.push(frame));
        let shown = self.timed(push).transpose()?.flatten();
        match (self.inside.replace(number), shown) {
            (Some(number), Some(frame)) => self.pass((number, frame), emit),
            _ => Ok(()),
        }
    }

    /// Takes note of what a frame is.
    fn note(&mut self, frame: &Frame) {
        match frame.fields {
            Some(FieldOrder::Single) => self.summary.single_fields += 1,
            Some(_) => self.summary.interlaced += 1,
            None => {}
        }
        if let Some(before) = self.size.replace(frame.dimensions).filter(|before| *before != frame.dimensions)
        {
            self.summary.size_changes += 1;
            self.summary.first_size_change.get_or_insert((frame.pts, before, frame.dimensions));
        }
    }

    /// One frame in its turn.
    fn pass(&mut self, (number, frame): Numbered, emit: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        let Some(rate) = self.options.frame_rate else {
            return if self.is_full() {
                self.drop_one(number, frame.pts)
            } else {
                self.shape(frame).and_then(|f| self.give(f, emit))
            };
        };
        let output = frame.pts.rescale(TimeBase::from_frame_rate(rate)).ticks();
        if let Some((first, (before, held))) = self.held.take() {
            let (from, to) = (held.pts, frame.pts);
            self.gap = (from.base() == to.base()).then(|| to.offset(from.ticks().saturating_neg()));
            self.fill(rate, (before, held), first..output, emit)?;
            // Times that go back cannot be shown; sessions never give them.
            self.held = Some((output.max(first), (number, frame)));
        } else {
            self.held = Some((output, (number, frame)));
        }
        Ok(())
    }

    /// Gives what is still held. The last frame lasts as long as it says; where it does not (IVF has no
    /// durations), as long as the frame before it.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        if let Some(deinterlacer) = &mut self.deinterlacer {
            let last = deinterlacer.finish()?;
            self.summary.deinterlaced = deinterlacer.done();
            if let (Some(number), Some(frame)) = (self.inside.take(), last) {
                self.pass((number, frame), emit)?;
            }
        }
        let (Some(rate), Some((first, (number, held)))) = (self.options.frame_rate, self.held.take()) else {
            return Ok(());
        };
        let stated = held.duration.filter(|d| *d > 0).and_then(|d| i64::try_from(d).ok());
        let gap = self.gap.filter(|gap| gap.base() == held.pts.base()).map(Timestamp::ticks);
        let length = stated.or(gap).unwrap_or(0).max(0);
        let mut end = held.pts.offset(length).rescale(TimeBase::from_frame_rate(rate)).ticks();
        if length == 0 || self.summary.frames_out == 0 {
            end = end.max(first.saturating_add(1));
        }
        self.fill(rate, (number, held), first..end, emit)
    }

    /// Shows `frame` in all of `outputs`.
    fn fill(
        &mut self,
        rate: Rational,
        (number, frame): Numbered,
        outputs: std::ops::Range<i64>,
        emit: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        if outputs.is_empty() || self.is_full() {
            return self.drop_one(number, frame.pts);
        }
        let count = outputs.end.saturating_sub(outputs.start);
        if count as f64 / rate.as_f64() > MAX_GAP_SECONDS {
            return Err(Error::Unsupported {
                feature: format!(
                    "a gap of {:.0} s after {}, too long to fill at a constant frame rate",
                    count as f64 / rate.as_f64(),
                    frame.pts
                ),
                remedy: Remedy::OwnTimes,
            });
        }
        let frame = self.shape(frame)?;
        for output in outputs.clone() {
            let first = output == outputs.start;
            if self.is_full() || (!first && self.cancel.is_cancelled()) {
                break;
            }
            self.summary.repeated += u64::from(!first);
            let pts = Timestamp::new(output, TimeBase::from_frame_rate(rate));
            let force_keyframe = first && frame.force_keyframe;
            // Messages belong to the frame, not to its repetitions.
            let user_sei = if first { frame.user_sei.clone() } else { Vec::new() };
            let frame = frame.clone();
            self.give(Frame { pts, duration: Some(1), force_keyframe, user_sei, ..frame }, emit)?;
        }
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "the end of a path that may fail")]
    fn drop_one(&mut self, number: u64, pts: Timestamp) -> Result<()> {
        self.summary.dropped += 1;
        let reason = if self.is_full() { "behind the last frame asked for" } else { "frame rate" };
        self.losses.note(LossKind::Dropped, reason, number, Some(pts));
        Ok(())
    }

    /// Charges what is done to the filter.
    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = std::time::Instant::now();
        let done = work(self);
        self.summary.busy += start.elapsed();
        done
    }

    fn shape(&mut self, frame: Frame) -> Result<Frame> {
        self.timed(|filter| filter.shaped(frame))
    }

    fn shaped(&mut self, mut frame: Frame) -> Result<Frame> {
        if self.to_host {
            frame = self.download(frame)?;
        }
        if let Some(size) = self.options.size.filter(|s| *s != frame.dimensions) {
            frame = self.download(frame)?;
            frame = transform::scale(&frame, size, ScaleFilter::default())?;
            self.summary.scaled += 1;
        }
        if let Some(format) = self.options.format.filter(|f| *f != frame.format) {
            frame = self.download(frame)?;
            let converted = transform::convert(&frame, format)?;
            self.summary.assumed_color |= converted.assumed_color;
            frame = converted.frame;
            self.summary.converted += 1;
        }
        if let Some(size) = self.options.extend_to.filter(|s| *s != frame.dimensions) {
            frame = self.download(frame)?;
            frame = transform::extend(&frame, size)?;
            self.summary.extended += 1;
        }
        Ok(frame)
    }

    fn download(&mut self, frame: Frame) -> Result<Frame> {
        if frame.as_device().is_some_and(|device| !device.is_host_memory()) {
            self.summary.download_bytes += frame.format.frame_bytes(frame.dimensions) as u64;
        }
        let Some(recover) = &mut self.recovery else { return transform::to_host(frame) };
        // Cheap: the memory is shared.
        match transform::to_host(frame.clone()) {
            Err(Error::DeviceLost { .. } | Error::Backend { .. }) => recover(&frame),
            done => done,
        }
    }

    fn give(&mut self, frame: Frame, emit: &mut dyn FnMut(Frame) -> Result<()>) -> Result<()> {
        self.summary.frames_out += 1;
        self.summary.on_device += u64::from(frame.as_device().is_some());
        emit(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HostSurface;

    /// The input times (ticks of 1/1000, each 40 long) shown by the outputs.
    fn shown(times: &[i64], rate: u32, limit: Option<u64>) -> (Vec<(i64, u8)>, FilterSummary) {
        shown_for(times, Some(40), rate, limit)
    }

    /// The same with frames of another length, or of none.
    fn shown_for(
        times: &[i64],
        length: Option<u64>,
        rate: u32,
        limit: Option<u64>,
    ) -> (Vec<(i64, u8)>, FilterSummary) {
        let size = Dimensions::new(2, 2).unwrap();
        let options = FilterOptions { frame_rate: Rational::new(rate, 1), ..FilterOptions::default() };
        let mut filter = FrameFilter::new(options, limit);
        let mut out = Vec::new();
        let mut emit = |f: Frame| {
            out.push((f.pts.ticks(), f.as_host().unwrap().plane(0).unwrap().row(0)[0]));
            Ok(())
        };
        for (i, &ticks) in times.iter().enumerate() {
            let data = vec![i as u8; PixelFormat::Gray8.frame_bytes(size)];
            let surface = HostSurface::from_packed(PixelFormat::Gray8, size, data).unwrap();
            let pts = Timestamp::new(ticks, TimeBase::new(1, 1000).unwrap());
            let frame = Frame { duration: length, ..Frame::host(pts, surface) };
            filter.push(frame, &mut emit).unwrap();
        }
        filter.finish(&mut emit).unwrap();
        assert!(filter.summary().balances());
        (out, filter.summary())
    }

    #[test]
    fn a_frame_fills_the_outputs_up_to_the_next() {
        let even: Vec<i64> = (0..4).map(|i| i * 40).collect();
        assert_eq!(shown(&even, 25, None).0, [(0, 0), (1, 1), (2, 2), (3, 3)]);
        let doubled: Vec<_> = (0..8).map(|i| (i, (i / 2) as u8)).collect();
        assert_eq!(shown(&even, 50, None).0, doubled);
        let (halved, summary) = shown(&(0..50).map(|i| i * 40).collect::<Vec<_>>(), 12, None);
        assert_eq!((halved.len(), summary.dropped), (24, 26));
        // A gap is filled with what was last shown.
        assert_eq!(shown(&[0, 160], 25, None).0, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1)]);
        assert_eq!(shown(&[0, 160], 25, Some(2)).0, [(0, 0), (1, 0)]);
    }

    #[test]
    fn the_last_frame_fills_the_outputs_up_to_its_end() {
        let even: Vec<i64> = (0..4).map(|i| i * 40).collect();
        let quadrupled: Vec<_> = (0..16).map(|i| (i, (i / 4) as u8)).collect();
        assert_eq!(shown(&even, 100, None).0, quadrupled);
        // Without a length it lasts as long as the one before.
        for unstated in [None, Some(0)] {
            assert_eq!(shown_for(&even, unstated, 100, None).0, quadrupled);
        }
        // A long last frame keeps its time when the rate is lowered, too.
        assert_eq!(shown_for(&[0, 1000], Some(1000), 2, None).0, [(0, 0), (1, 0), (2, 1), (3, 1)]);
        assert_eq!(shown_for(&[0, 500, 1000], Some(3000), 1, None).0.len(), 4);
    }

    #[test]
    fn a_cancelled_filter_repeats_no_more() {
        let options = FilterOptions { frame_rate: Rational::new(1000, 1), ..FilterOptions::default() };
        let token = CancelToken::default();
        let mut filter = FrameFilter::new(options, None).cancel_token(token.clone());
        let size = Dimensions::new(2, 2).unwrap();
        let at = |s: i64| {
            let surface = HostSurface::from_packed(PixelFormat::Gray8, size, vec![0; 4]).unwrap();
            Frame::host(Timestamp::new(s, TimeBase::new(1, 1).unwrap()), surface)
        };
        let mut given = 0;
        let mut emit = |_| {
            given += 1;
            if given == 10 {
                token.cancel();
            }
            Ok(())
        };
        filter.push(at(0), &mut emit).unwrap();
        filter.push(at(500), &mut emit).unwrap();
        filter.finish(&mut emit).unwrap();
        // The tenth of the first frame, and one of the last, so that the books still balance.
        assert_eq!(given, 11);
        assert!(filter.summary().balances());
    }

    #[test]
    fn one_frame_is_always_shown_and_endless_gaps_are_refused() {
        assert_eq!(shown(&[13], 1, None).0, [(0, 0)]);
        let options = FilterOptions { frame_rate: Rational::new(25, 1), ..FilterOptions::default() };
        let mut filter = FrameFilter::new(options, None);
        let size = Dimensions::new(2, 2).unwrap();
        let at = |s: i64| {
            let surface = HostSurface::from_packed(PixelFormat::Gray8, size, vec![0; 4]).unwrap();
            Frame::host(Timestamp::new(s, TimeBase::new(1, 1).unwrap()), surface)
        };
        filter.push(at(0), &mut |_| Ok(())).unwrap();
        let error = filter.push(at(1 << 40), &mut |_| Ok(())).unwrap_err();
        assert!(error.remedy() == Remedy::OwnTimes, "{error}");
    }
}
