//! Steering a running job from outside, and hearing from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::source::SourceInfo;
use crate::time::{Rational, Timestamp};

/// Asks a job to stop early and complete its output with what it has. Clones ask the same job.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    asked: Arc<AtomicBool>,
    /// Of one job alone, whose stages end together.
    own: Option<Arc<AtomicBool>>,
}

impl CancelToken {
    /// Asks.
    pub fn cancel(&self) {
        self.own.as_ref().unwrap_or(&self.asked).store(true, Ordering::Relaxed);
    }

    /// For the stages of one job: cancelled with this one, while cancelling it is nobody else's business.
    pub(super) fn of_one_job(&self) -> Self {
        Self { asked: Arc::clone(&self.asked), own: Some(Arc::default()) }
    }

    /// What is true once somebody asked from outside.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        let set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        set(&self.asked) || self.own.as_ref().is_some_and(set)
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Frames completed.
    pub frames: u64,
    /// Frames of the whole job, where known.
    pub total_frames: Option<u64>,
    /// Presentation time of the last completed frame.
    pub position: Option<Timestamp>,
    /// Duration of the whole job, where known.
    pub total: Option<Duration>,
    /// Bytes put out so far.
    pub bytes: u64,
    /// Time since the start.
    pub elapsed: Duration,
}

impl Progress {
    /// Completed frames per second of wall time.
    pub fn fps(&self) -> f64 {
        self.frames as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How much is done, 0 to 100, by time or by frames, whichever is further on: a number of frames may end a job before the
    /// time does. `None` where neither length is known.
    pub fn percent(&self) -> Option<f64> {
        let by_time = self.position.zip(self.total).filter(|(_, total)| !total.is_zero());
        let by_time = by_time.map(|(at, total)| at.as_secs_f64() / total.as_secs_f64());
        let by_frames = self.total_frames.filter(|n| *n > 0).map(|n| self.frames as f64 / n as f64);
        let done = match (by_time, by_frames) {
            (Some(a), Some(b)) => a.max(b),
            (a, b) => a.or(b)?,
        };
        Some((done * 100.0).clamp(0.0, 100.0))
    }

    /// Presented time per wall time.
    pub fn speed(&self) -> Option<f64> {
        self.position.map(|p| p.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9))
    }
}

/// Frames of the whole output, as far as one can know: a changed frame rate makes them from the duration, and
/// `limit` ends the job before the input does.
pub(super) fn expected_frames(info: &SourceInfo, rate: Option<Rational>, limit: Option<u64>) -> Option<u64> {
    let whole = match rate {
        Some(rate) => info.duration.map(|d| (d.as_secs_f64() * rate.as_f64()).round() as u64),
        None => info.frames,
    };
    match (whole, limit) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Called with the state of a job from the thread that runs it: with the first frame, a few times per second at most, and
/// when the last frame is out.
pub(super) type ProgressFn<'a> = Box<dyn FnMut(&Progress) + 'a>;

/// Limits how often progress is told.
pub(super) struct Reporter<'a> {
    tell: Option<ProgressFn<'a>>,
    last: Option<std::time::Instant>,
    /// A state with frames was told.
    begun: bool,
}

const INTERVAL: Duration = Duration::from_millis(100);

impl<'a> Reporter<'a> {
    pub(super) fn new(tell: Option<ProgressFn<'a>>) -> Self {
        Self { tell, last: None, begun: false }
    }

    pub(super) fn update(&mut self, last: bool, progress: impl FnOnce() -> Progress) {
        let Some(tell) = &mut self.tell else { return };
        let due = last || self.last.is_none_or(|t| t.elapsed() >= INTERVAL);
        if !due && self.begun {
            return;
        }
        let state = progress();
        // The first frame is told when it comes: the time until then is what starting costs.
        let first = !self.begun && state.frames > 0;
        self.begun |= first;
        if due || first {
            self.last = Some(std::time::Instant::now());
            tell(&state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeBase;

    #[test]
    fn percent_is_known_where_a_length_is() {
        let second = |n| Some(Timestamp::new(n, TimeBase::new(1, 1).unwrap()));
        let unknown = Progress {
            frames: 30,
            total_frames: None,
            position: second(5),
            total: None,
            bytes: 0,
            elapsed: Duration::ZERO,
        };
        assert_eq!(unknown.percent(), None);
        assert_eq!(
            Progress { total_frames: Some(0), total: Some(Duration::ZERO), ..unknown }.percent(),
            None
        );
        assert_eq!(Progress { total: Some(Duration::from_secs(20)), ..unknown }.percent(), Some(25.0));
        assert_eq!(Progress { total_frames: Some(60), ..unknown }.percent(), Some(50.0));
        let both = Progress { total: Some(Duration::from_secs(20)), total_frames: Some(60), ..unknown };
        assert_eq!(both.percent(), Some(50.0));
        assert_eq!(Progress { position: second(99), ..both }.percent(), Some(100.0));
        assert_eq!(Progress { position: second(-9), total_frames: None, ..both }.percent(), Some(0.0));
    }
}
