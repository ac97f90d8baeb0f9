//! A job whose decoder dies, or whose frames go with their device, has the input decoded again from the last random access
//! point before the frame that is missing, by another decoder.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::feed::{self, Feed};
use super::source::{FrameSource, SourceOptions, chosen_video};
use crate::backend::{Backend, BackendKind, CANDIDATES, Candidate, Job, for_frames_lost_with_device};
use crate::config::{DecodeOutputMode, Engines, FailurePolicy};
use crate::container::Input;
use crate::control::{Refetch, goes_on_with_the_same};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::session::{DecodeSummary, Succession, Takeover};
use crate::time::{Rational, TimeBase, Timestamp};

/// Decoders that may die one after another without a new frame.
const MOST_IDLE: u32 = 3;

/// What outlives a decoder.
pub(super) struct Lives {
    policy: FailurePolicy,
    /// Tells of the takeovers, also while the source works on another thread; `None`: nothing is decoded.
    succession: Option<Succession>,
    /// Sessions that have died.
    pub(super) before: Vec<DecodeSummary>,
    /// The last frame that came out of any decoder.
    last: Option<Timestamp>,
    /// Frames up to this one were given before.
    resume_behind: Option<Timestamp>,
    /// Frames that were decoded a second time.
    pub(super) again: u64,
    /// Deaths since the last new frame.
    idle: u32,
    /// While the decoder that took over has given no new frame.
    trial: Option<Trial>,
}

/// A decoder that took over may still find that it does not decode this stream.
struct Trial {
    /// What the one before has died of.
    why: Error,
    /// Who is left to try.
    untried: VecDeque<BackendKind>,
}

impl Lives {
    pub(super) fn new(policy: FailurePolicy, succession: Option<Succession>) -> Self {
        Self {
            policy,
            succession,
            before: Vec::new(),
            last: None,
            resume_behind: None,
            again: 0,
            idle: 0,
            trial: None,
        }
    }

    pub(super) fn succession(&self) -> Option<Succession> {
        self.succession.clone()
    }

    fn tell(&self, takeover: Takeover, why: &Error) {
        if let Some(succession) = &self.succession {
            succession.tell(takeover, why, Vec::new());
        }
    }

    pub(super) fn takeovers(&self) -> Vec<Takeover> {
        self.succession.as_ref().map_or_else(Vec::new, |succession| succession.since(0))
    }

    /// Whether a frame is new; one that another decoder gave before is not.
    pub(super) fn is_new(&mut self, frame: &Frame) -> bool {
        if self.resume_behind.is_some_and(|last| frame.pts <= last) {
            self.again += 1;
            return false;
        }
        self.last = Some(frame.pts);
        self.idle = 0;
        self.trial = None;
        true
    }

    /// Whether what is decoded now was decoded before, so that its damage is counted already.
    pub(super) const fn is_catching_up(&self) -> bool {
        self.trial.is_some()
    }

    fn may_go_on(&self, error: &Error) -> bool {
        // What is wrong with the stream is wrong for every decoder.
        let died = matches!(
            error,
            Error::DeviceLost { .. }
                | Error::Backend { .. }
                | Error::OutOfMemory { .. }
                | Error::SessionLimit { .. }
        );
        died && self.policy != FailurePolicy::Stop && self.idle < MOST_IDLE
    }
}

impl FrameSource {
    /// Has another decoder go on behind the last frame.
    ///
    /// # Errors
    /// What the last decoder that worked has died of, when there is no other, or the input cannot be read again.
    pub(super) fn go_on(&mut self, error: Error) -> Result<()> {
        let Some(dead) = self.dead_session() else { return Err(error) };
        let from = dead.receipt.chosen().map_or(BackendKind::Custom, |(kind, _)| kind);
        let reason = error.to_string();
        let (why, mut untried) = match self.lives.trial.take() {
            Some(Trial { why, untried }) if matches!(error, Error::Unsupported { .. }) => (why, untried),
            _ if self.lives.may_go_on(&error) && can_be_read_again(&self.info().path) => {
                self.lives.idle += 1;
                (error, heirs(from, self.options.backend, self.lives.policy))
            }
            _ => return Err(error),
        };
        let died = Instant::now();
        self.lives.before.push(dead);
        self.note_damage();
        // Closed before another is opened: there may be room for few.
        self.feed = Feed::over();
        let takeover = Takeover {
            job: Job::Decode,
            frame: self.frames_given(),
            pts: self.lives.last,
            from: Candidate::of(from),
            to: None,
            reason,
            again: 0,
            lost: 0,
            given_up: Vec::new(),
            took: Duration::ZERO,
        };
        let mut refusal = None;
        while let Some(kind) = untried.pop_front() {
            let options = options_for(&self.options, kind, from);
            match self.reopen(&options) {
                Ok(to) => {
                    self.lives.resume_behind = self.lives.last;
                    let takeover = Takeover { to, took: died.elapsed(), ..takeover };
                    self.lives.tell(takeover, &why);
                    self.lives.trial = Some(Trial { why, untried });
                    return Ok(());
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        let refusal = refusal.map_or_else(String::new, |error| format!(": {error}"));
        let reason = format!("{}; no other decoder could be opened{refusal}", takeover.reason);
        self.lives.tell(Takeover { reason, took: died.elapsed(), ..takeover }, &why);
        Err(why)
    }

    fn reopen(&mut self, options: &SourceOptions) -> Result<Option<(Candidate, &'static str)>> {
        let path = self.info().path.clone();
        let Input::Demuxer(demuxer) = feed::open(&path, options)? else {
            return Err(Error::corrupt_fatal(format!("{} is another kind of file now", path.display())));
        };
        let from = self.lives.last.or(self.window_start());
        let track = chosen_video(demuxer.as_ref(), &path)?;
        let (feed, receipt) = Self::start(demuxer, track, options, from)?;
        self.feed = feed;
        Ok(receipt.chosen().map(|(kind, implementation)| (Candidate::of(kind), implementation)))
    }
}

/// The backends whose decoders may go on for one that has died, best first.
fn heirs(dead: BackendKind, wanted: Backend, policy: FailurePolicy) -> VecDeque<BackendKind> {
    if goes_on_with_the_same(wanted, policy) {
        return [dead].into();
    }
    let mut kinds = VecDeque::from(CANDIDATES);
    if let Some(at) = kinds.iter().position(|kind| *kind == dead) {
        kinds.rotate_left(at + 1);
    }
    kinds
}

/// The options for a decoder of this kind in the place of another.
fn options_for(options: &SourceOptions, kind: BackendKind, dead: BackendKind) -> SourceOptions {
    let same = kind == dead;
    SourceOptions {
        backend: Backend::Only(kind),
        device: options.device.clone().filter(|_| same),
        engines: if same { options.engines } else { Engines::One },
        ..options.clone()
    }
}

/// Whether a second opening of the input reads the same from its beginning. A pipe or a terminal, whatever it is called, gives
/// each byte to one reader only.
pub(super) fn can_be_read_again(path: &Path) -> bool {
    // Elsewhere than on Linux these share the place of reading with the descriptor that they name.
    let descriptor = !cfg!(target_os = "linux") && path.starts_with("/dev");
    let once = path.as_os_str() == "-" || descriptor;
    // What is no file by itself is a pattern of names of images.
    !once && std::fs::metadata(path).map_or(true, |found| found.is_file() || found.is_dir())
}

/// Frames whose memory is gone, decoded again by somebody else.
pub(super) struct Rescuer {
    path: PathBuf,
    options: SourceOptions,
    rate: Option<Rational>,
    reading: Option<Reading>,
    /// The last frame that was asked for.
    asked: Option<Timestamp>,
    /// Why nothing can be had again any more: who asks once more would get an older frame for a later one.
    failed: Option<String>,
}

/// A source on its way through the input.
struct Reading {
    source: FrameSource,
    shown: Option<Frame>,
    next: Option<Frame>,
}

impl Rescuer {
    /// `None` for an input that can be read once only. `rate`: of the output, where frames do not keep their times.
    pub(super) fn new(path: PathBuf, options: &SourceOptions, rate: Option<Rational>) -> Option<Self> {
        if !can_be_read_again(&path) {
            return None;
        }
        let options = SourceOptions {
            output: DecodeOutputMode::HostSurface,
            engines: Engines::One,
            device: None,
            ends_process: false,
            on_failure: FailurePolicy::Stop,
            ..options.clone()
        };
        Some(Self { path, options, rate, reading: None, asked: None, failed: None })
    }

    /// The time of the output from which on a frame is shown.
    fn time(&self, frame: &Frame) -> Timestamp {
        self.rate.map_or(frame.pts, |rate| frame.pts.rescale(TimeBase::from_frame_rate(rate)))
    }

    /// Opens whatever gives a first frame: that a stream cannot be decoded may show there only.
    fn open(&self, at: Timestamp) -> Result<Reading> {
        // At a changed rate, the frame that is shown at a time may be much older.
        let at = self.rate.is_none().then_some(at);
        let mut refusal = None;
        for kind in for_frames_lost_with_device() {
            let options = SourceOptions { backend: Backend::Only(kind), ..self.options.clone() };
            let begun = FrameSource::open_at(&self.path, &options, at).and_then(|mut source| {
                let next = Some(source.next_frame()?.ok_or_else(|| source.nothing())?);
                Ok(Reading { source, shown: None, next })
            });
            match begun {
                Ok(reading) => return Ok(reading),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::invalid("nothing decodes it again")))
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
            reading.next = reading.source.next_frame()?;
            if reading.next.is_none() && self.options.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        self.reading = Some(reading);
        Ok(())
    }
}

impl Refetch for Rescuer {
    fn refetch(&mut self, lost: &Frame) -> Result<Frame> {
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
        let Some(found) = found else {
            let name = self.path.display();
            return Err(Error::invalid(format!("decoding {name} again gave no frame of its time")));
        };
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

#[cfg(test)]
#[path = "rescue_tests.rs"]
mod tests;
