//! Pictures of a stream without times, shown when a list says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::images::{PictureTimes, scheduled};
use super::images_times::{self, REORDERED, Schedule};
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::PixelFormat;
use crate::rawvideo::FrameReader;
use crate::time::{Rational, TimeBase, Timestamp};

/// Gives the pictures of another reader the times of a list: headerless frames of a camera, say.
pub(crate) struct TimedReader {
    inner: Box<dyn FrameReader>,
    schedule: Schedule,
    /// Where the times are from.
    times: PathBuf,
    next: usize,
    ended: bool,
}

impl TimedReader {
    /// The pictures of `inner`, which are in `input`, with these times instead of its constant rate. For `reordered` see
    /// [`SourceOptions::reordered`](crate::pipeline::SourceOptions::reordered).
    ///
    /// # Errors
    /// When the times cannot be read, do not rise, or are to come from names that single pictures do not have.
    pub(crate) fn new(
        inner: Box<dyn FrameReader>,
        input: &Path,
        times: &PictureTimes,
        reordered: Option<u32>,
    ) -> Result<Self> {
        Self::with_times(inner, input, times, reordered).map_err(|error| times.name_file(error))
    }

    fn with_times(
        inner: Box<dyn FrameReader>,
        input: &Path,
        times: &PictureTimes,
        reordered: Option<u32>,
    ) -> Result<Self> {
        let (schedule, from) = match times {
            PictureTimes::File { path, unit } => {
                let listed = images_times::read(path, *unit)?;
                if let Some(named) = listed.iter().find(|entry| entry.name.is_some()) {
                    return Err(Error::invalid(format!(
                        "{}, line {}: it names an image, but the pictures of {} have no names",
                        path.display(),
                        named.line,
                        input.display()
                    )));
                }
                (scheduled(&listed, reordered, path)?, path.clone())
            }
            PictureTimes::List(times) => {
                let nanos =
                    times.iter().map(|time| images_times::of_duration(*time)).collect::<Result<Vec<_>>>()?;
                (
                    Schedule::exact(&nanos, reordered.unwrap_or(REORDERED), |n| format!("time {n}"))?,
                    PathBuf::from("the list of times"),
                )
            }
            PictureTimes::Names(_) | PictureTimes::Rate => {
                return Err(Error::invalid_file(
                    input,
                    "holds all pictures in one file: no names tell their times",
                ));
            }
        };
        Ok(Self { inner, schedule, times: from, next: 0, ended: false })
    }

    fn at_end(&self) -> Result<Option<Frame>> {
        if self.next == self.schedule.len() {
            return Ok(None);
        }
        Err(Error::corrupt(format!(
            "{} has {} times, but there are {} pictures",
            self.times.display(),
            self.schedule.len(),
            self.next
        )))
    }

    fn timed(&mut self, frame: Frame) -> Result<Option<Frame>> {
        let Some((ticks, length)) = self.schedule.get(self.next) else {
            return Err(Error::corrupt(format!(
                "{} has fewer times than there are pictures: {}",
                self.times.display(),
                self.schedule.len()
            )));
        };
        self.next += 1;
        let pts = Timestamp::new(ticks, self.schedule.base());
        Ok(Some(Frame { pts, duration: Some(length), ..frame }))
    }
}

impl FrameReader for TimedReader {
    fn format(&self) -> PixelFormat {
        self.inner.format()
    }

    fn dimensions(&self) -> Dimensions {
        self.inner.dimensions()
    }

    fn frame_rate(&self) -> Rational {
        self.schedule.rate()
    }

    fn color(&self) -> ColorInfo {
        self.inner.color()
    }

    fn sample_aspect_ratio(&self) -> Option<Rational> {
        self.inner.sample_aspect_ratio()
    }

    fn time_base(&self) -> TimeBase {
        self.schedule.base()
    }

    fn frames(&self) -> Option<u64> {
        Some(self.schedule.len() as u64)
    }

    fn duration(&self) -> Option<Duration> {
        Some(Timestamp::new(self.schedule.length(), self.schedule.base()).as_duration())
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn notes(&self) -> &[String] {
        self.schedule.notes()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.ended {
            return Ok(None);
        }
        let result = match self.inner.next_frame() {
            Ok(None) => self.at_end(),
            Ok(Some(frame)) => self.timed(frame),
            Err(error) => Err(error),
        };
        self.ended = !matches!(result, Ok(Some(_)));
        result
    }
}
