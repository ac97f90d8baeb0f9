//! A job whose decoder dies, or whose frames go with their device, has the input decoded again from the last random access
//! point before the frame that is missing, by another decoder.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::feed::{self, Feed};
use super::source::{FrameSource, SourceOptions, first_video};
use crate::backend::{Backend, BackendKind, Job};
use crate::config::{DecodeOutputMode, Engines, FailurePolicy};
use crate::container::Input;
use crate::control::{Refetch, heirs};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::session::{DecodeSummary, Succession, Takeover};
use crate::time::{Rational, TimeBase, Timestamp};

/// Decoders that may die one after another without a new frame.
const MOST_IDLE: u32 = 3;

/// What outlives a decoder.
pub(super) struct Lives {
    policy: FailurePolicy,
    /// Tells of the takeovers, also while the source works on another thread.
    succession: Succession,
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
}

impl Lives {
    pub(super) fn new(policy: FailurePolicy, succession: Succession) -> Self {
        Self { policy, succession, before: Vec::new(), last: None, resume_behind: None, again: 0, idle: 0 }
    }

    pub(super) fn succession(&self) -> Succession {
        self.succession.clone()
    }

    pub(super) fn takeovers(&self) -> Vec<Takeover> {
        self.succession.since(0)
    }

    /// Whether a frame is new; one that another decoder gave before is not.
    pub(super) fn is_new(&mut self, frame: &Frame) -> bool {
        if self.resume_behind.is_some_and(|last| frame.pts <= last) {
            self.again += 1;
            return false;
        }
        self.last = Some(frame.pts);
        self.idle = 0;
        true
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
    /// `why`, when there is none, or the input cannot be read again.
    pub(super) fn go_on(&mut self, why: Error) -> Result<()> {
        let Some(dead) = self.dead_session().filter(|_| self.lives.may_go_on(&why)) else { return Err(why) };
        if self.info().path.as_os_str() == "-" {
            return Err(why);
        }
        let died = Instant::now();
        let from = dead.receipt.chosen().map_or(BackendKind::Custom, |(kind, _)| kind);
        self.lives.before.push(dead);
        self.lives.idle += 1;
        // Closed before another is opened: there may be room for few.
        self.feed = Feed::over();
        let takeover = Takeover {
            job: Job::Decode,
            frame: self.frames_given(),
            pts: self.lives.last,
            from,
            to: None,
            reason: why.to_string(),
            again: 0,
            lost: 0,
            given_up: Vec::new(),
            took: Duration::ZERO,
        };
        let mut refusal = None;
        for kind in heirs(from, self.options.backend, self.lives.policy) {
            let options = options_for(&self.options, kind, from);
            match self.reopen(&options) {
                Ok(to) => {
                    self.lives.resume_behind = self.lives.last;
                    let takeover = Takeover { to, took: died.elapsed(), ..takeover };
                    self.lives.succession.tell(takeover, &why);
                    return Ok(());
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        let refusal = refusal.map_or_else(String::new, |error| error.to_string());
        let reason = format!("{why}; no other decoder could be opened: {refusal}");
        self.lives.succession.tell(Takeover { reason, took: died.elapsed(), ..takeover }, &why);
        Err(why)
    }

    fn reopen(&mut self, options: &SourceOptions) -> Result<Option<(BackendKind, &'static str)>> {
        let path = self.info().path.clone();
        let Input::Demuxer(demuxer) = feed::open(&path, options)? else {
            return Err(Error::corrupt_fatal(format!("{} is another kind of file now", path.display())));
        };
        let from = self.lives.last.or(self.window_start());
        let track = first_video(demuxer.as_ref(), &path)?;
        let (feed, receipt) = Self::start(demuxer, track, options, from)?;
        self.feed = feed;
        Ok(receipt.chosen())
    }
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

/// Frames whose memory is gone, decoded again by somebody else.
pub(super) struct Rescuer {
    path: PathBuf,
    options: SourceOptions,
    rate: Option<Rational>,
    source: Option<FrameSource>,
    shown: Option<Frame>,
    next: Option<Frame>,
}

impl Rescuer {
    /// `None` for an input that can be read once only. `rate`: of the output, where frames do not keep their times.
    pub(super) fn new(path: PathBuf, options: &SourceOptions, rate: Option<Rational>) -> Option<Self> {
        if path.as_os_str() == "-" {
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
        Some(Self { path, options, rate, source: None, shown: None, next: None })
    }

    /// The time of the output from which on a frame is shown.
    fn time(&self, frame: &Frame) -> Timestamp {
        self.rate.map_or(frame.pts, |rate| frame.pts.rescale(TimeBase::from_frame_rate(rate)))
    }

    fn open(&self, at: Timestamp) -> Result<FrameSource> {
        // At a changed rate, the frame that is shown at a time may be much older.
        let at = self.rate.is_none().then_some(at);
        let mut refusal = None;
        for kind in heirs(BackendKind::Nvidia, Backend::Auto, FailurePolicy::Next) {
            let options = SourceOptions { backend: Backend::Only(kind), ..self.options.clone() };
            match FrameSource::open_at(&self.path, &options, at) {
                Ok(source) => return Ok(source),
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::invalid("nothing decodes it again")))
    }
}

impl Refetch for Rescuer {
    fn refetch(&mut self, lost: &Frame) -> Result<Frame> {
        if self.source.is_none() {
            let mut source = self.open(lost.pts)?;
            self.next = source.next_frame()?;
            self.source = Some(source);
        }
        while let Some(next) = self.next.take_if(|next| match self.rate {
            Some(rate) => next.pts.rescale(TimeBase::from_frame_rate(rate)) <= lost.pts,
            None => next.pts <= lost.pts,
        }) {
            self.shown = Some(next);
            self.next = match &mut self.source {
                Some(source) => source.next_frame()?,
                None => None,
            };
        }
        let found = self.shown.as_ref().filter(|shown| self.rate.is_some() || self.time(shown) == lost.pts);
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
