//! Frame recovery: frames whose memory is gone, with their device as a rule, decoded once more by somebody else.

use super::policy::first_that_opens;
use crate::backend::{BackendKind, for_frames_lost_with_device};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::time::{Rational, TimeBase, Timestamp};

/// Gives the picture of a frame that was given before. Frames are asked for in rising order, from an earlier one on again after
/// another death. An error: it cannot be had again.
pub(crate) type FrameRecovery = Box<dyn FnMut(&Frame) -> Result<Frame> + Send>;

/// Frames in the order in which they are shown.
pub(crate) type Frames = Box<dyn Iterator<Item = Result<Frame>> + Send>;

/// Recovers frames of an input that `open` opens again, by a decoder of that kind and with the frame that is given that time as
/// the first, or from the beginning. `rate`: of the output, where frames do not keep their times. `input`: for messages.
pub(crate) fn frame_recovery(
    input: String,
    open: impl Fn(BackendKind, Option<Timestamp>) -> Result<Frames> + Send + 'static,
    rate: Option<Rational>,
) -> FrameRecovery {
    let mut recovery = Recovery { input, open, rate, reading: None, asked: None, failed: None };
    Box::new(move |lost| recovery.recover(lost))
}

struct Recovery<F> {
    input: String,
    open: F,
    rate: Option<Rational>,
    reading: Option<Reading>,
    /// The last frame that was asked for.
    asked: Option<Timestamp>,
    /// Why nothing can be had again any more: who asks once more would get an older frame for a later one.
    failed: Option<String>,
}

/// Frames on their way through the input.
struct Reading {
    frames: Frames,
    shown: Option<Frame>,
    next: Option<Frame>,
}

impl<F: Fn(BackendKind, Option<Timestamp>) -> Result<Frames>> Recovery<F> {
    /// The time of the output from which on a frame is shown.
    fn time(&self, frame: &Frame) -> Timestamp {
        self.rate.map_or(frame.pts, |rate| frame.pts.rescale(TimeBase::from_frame_rate(rate)))
    }

    /// Opens whatever gives a first frame: that a stream cannot be decoded may show there only.
    fn open(&self, at: Timestamp) -> Result<Reading> {
        // At a changed rate, the frame that is shown at a time may be much older.
        let at = self.rate.is_none().then_some(at);
        let turns = for_frames_lost_with_device().into_iter().map(|kind| (kind, None));
        let begun = first_that_opens(
            turns,
            |_| false,
            |kind| {
                let mut frames = (self.open)(kind, at)?;
                let next = frames.next().transpose()?;
                Ok(Reading { frames, shown: None, next })
            },
        );
        let nobody = || Error::invalid("nothing decodes it again");
        let first =
            |refused: Vec<(_, Error)>| refused.into_iter().next().map_or_else(nobody, |(_, error)| error);
        begun.map(|begun| begun.value).map_err(first)
    }

    /// Reads up to the frame that is shown at this time.
    fn read_to(&mut self, at: Timestamp) -> Result<()> {
        // After another death they are asked for from an earlier one on.
        let back = self.asked.is_some_and(|asked| at < asked);
        self.asked = Some(at);
        let mut reading = match self.reading.take() {
            Some(reading) if !back => reading,
            _ => self.open(at)?,
        };
        while let Some(next) = reading.next.take_if(|next| self.time(next) <= at) {
            reading.shown = Some(next);
            reading.next = reading.frames.next().transpose()?;
        }
        self.reading = Some(reading);
        Ok(())
    }

    fn recover(&mut self, lost: &Frame) -> Result<Frame> {
        if self.failed.is_none()
            && let Err(error) = self.read_to(lost.pts)
        {
            self.failed = Some(error.to_string());
        }
        if let Some(failure) = &self.failed {
            return Err(Error::invalid(format!("it cannot be decoded again: {failure}")));
        }
        let shown = self.reading.as_ref().and_then(|reading| reading.shown.as_ref());
        let found = shown.filter(|shown| self.rate.is_some() || self.time(shown) == lost.pts);
        let nothing = || Error::invalid(format!("decoding {} again gave no frame of its time", self.input));
        let found = found.ok_or_else(nothing)?;
        Ok(Frame {
            pts: lost.pts,
            duration: lost.duration,
            keyframe: lost.keyframe,
            force_keyframe: lost.force_keyframe,
            color: lost.color,
            sample_aspect_ratio: lost.sample_aspect_ratio,
            ..found.clone()
        })
    }
}
