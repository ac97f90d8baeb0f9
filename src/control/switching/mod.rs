//! One stream whose settings and session may change while it runs.
//!
//! ```text
//!          a new session is wanted          it has proved itself       its first frame is the next one
//! Steady ──────────────────────────► Opening ───────────────► Waiting ────────────────────────────────► OnTrial ─► Steady
//!   │                                   │ no room for two      ▲  │ first all before is to be out       ▲ ▲ ▲  its first
//!   │ the running encoder can change    └──────────────────────┤  ▼                                     │ │ │  group is out
//!   └──────────────────────────────────────────────────────────┘ Draining ──────────────────────────────┘ │ │
//!                                                                 │  └─ the old one is closed ─► Alone ───┘ │
//!                                      Waiting, Draining ─ the encoder is asked ─► Acknowledging ───────────┘
//!
//! the session dies, in any state ─────────────► Reopening ─► Steady      with the frames whose packets are not out
//!   ... a session for a switch is ready ──────► OnTrial                  it takes over at once
//!   ... on trial, the one before is there ────► Steady                   with that one, which takes the frames back
//! nobody can go on, or too many died ─────────► Ended
//! ```
//!
//! A switch, its failure and the death of a session are the same step: from frame n on, that session ([`install`]). A generation
//! is on trial until its first closed group is out; meanwhile the session before it is kept, drained, and no other switch begins.
//! Of the requests that wait the last is kept (`queued`), also across a death.
//!
//! [`install`]: SwitchingEncoder::install

mod failures;
mod flow;
mod state;
mod transitions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::canary::{Canary, Watch};
use super::helper::Closers;
use super::in_flight::StreamFrames;
#[cfg(feature = "metrics")]
use super::observe::{self, Switches};
use super::proof::Opening;
use super::running::{Counts, Received, Running};
use super::telemetry::{EventKind, Start, StreamEvent, StreamSummary, Telemetry};
use super::{SessionSwitchRequest, SwitchStage};
use crate::backend::{Backend, BackendKind};
use crate::config::setters::setters;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::failover::{Deaths, EncoderSource, Target};
use crate::frame::{Frame, Surface};
use crate::packet::Packet;
use crate::pixel::PixelFormat;
use crate::session::{Ledger, Submit};
use crate::user_sei;
use state::{State, Switch};

/// While something else than packets is waited for, it is looked for this often.
const SLICE: Duration = Duration::from_millis(2);
/// Sizes and formats that frames may come in: those that the caller has asked for, the last ones.
const MOST_SHAPES: usize = 16;

/// Room for B frames of a later generation where the caller states none.
const USUAL_RESERVE: usize = 2;

/// What becomes of a stream whose session has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnFailure {
    /// It ends with the session's error.
    Stop,
    /// Another session takes over with the frames whose packets are not out: of the next backend where the source has
    /// several, of the same one otherwise.
    #[default]
    Reopen,
}

/// Settings of a stream, for all its generations.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Most frames by which any generation may reorder: decoding times are that much earlier from the start, because they
    /// cannot begin to be so later. At least what the first session needs. By default 2, and 0 in a stream of low latency that
    /// begins without B frames: its decoding times are its presentation times.
    pub reorder_reserve: Option<usize>,
    /// Frames that wait while no session can take them.
    pub max_waiting: usize,
    /// Frames that are inside altogether.
    pub max_held: usize,
    /// What becomes of the stream when a session dies.
    pub on_failure: OnFailure,
    /// Rules for the first frames of a generation that was asked for.
    pub canary: Option<Canary>,
    /// How long a new session may take for its first picture.
    pub prove_timeout: Duration,
}

setters!(StreamOptions {
    max_waiting: usize, max_held: usize, on_failure: OnFailure, prove_timeout: Duration,
} option { reorder_reserve: usize, canary: Canary });

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            reorder_reserve: None,
            max_waiting: 8,
            max_held: 256,
            on_failure: OnFailure::default(),
            canary: None,
            prove_timeout: Duration::from_secs(10),
        }
    }
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// A session encodes.
    Running,
    /// As well, and a switch is under way.
    SwitchPending {
        /// The generation that it will be.
        to: u64,
    },
    /// The session has died; another is being opened.
    Reopening,
    /// It has ended.
    Closed,
}

/// An encoder of one stream whose settings and session may change while it runs. Dropping it waits for its drivers: no
/// thread and no session is left behind.
pub struct SwitchingEncoder {
    source: Arc<dyn EncoderSource>,
    options: StreamOptions,
    reserve: usize,
    state: State,
    /// The session that frames go to; none while one is opened for it, and at the end.
    active: Option<Running>,
    frames: StreamFrames,
    /// The next frame that the session gets.
    cursor: u64,
    /// The frame that will be an IDR by the GOP's length.
    next_idr: Option<u64>,
    /// The frame that has to be one.
    idr_at: Option<u64>,
    /// Flushes that have not completed, each before this frame.
    flushes: VecDeque<u64>,
    generation: u64,
    next_generation: u64,
    /// What was asked for, whatever the session could not do of it.
    settings: Target,
    /// Settings before the last switch that was confirmed.
    last_good: Option<Target>,
    queued: Option<Switch>,
    watch: Option<Watch>,
    /// Of sessions, without a packet between them.
    deaths: Deaths,
    closers: Closers,
    shapes: VecDeque<(Dimensions, PixelFormat)>,
    telemetry: Telemetry,
    counts: Arc<Counts>,
    #[cfg(feature = "metrics")]
    switches_reported: Switches,
}

impl SwitchingEncoder {
    /// Starts a stream on the best backend that works here, or on the one named.
    ///
    /// # Errors
    /// No candidate takes the settings and encodes a picture: the reason of the first.
    pub fn new(
        backend: impl Into<Backend>,
        config: CommonEncodeConfig,
        special: BackendEncodeConfig,
    ) -> Result<Self> {
        Self::with_source(backend.into(), config, special, StreamOptions::default())
    }

    /// Starts a stream with encoders from wherever, and with options.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_source(
        source: impl EncoderSource,
        config: CommonEncodeConfig,
        special: BackendEncodeConfig,
        options: StreamOptions,
    ) -> Result<Self> {
        let source: Arc<dyn EncoderSource> = Arc::new(source);
        let counts = Arc::new(Counts::default());
        let settings = (config, special);
        let started = Instant::now();
        let opening = Opening::new(&source, settings.clone(), &counts, options.prove_timeout);
        let session = opening.run()?.session;
        let never = settings.0.low_latency && session.facts.reorder == 0;
        let reserve = options.reorder_reserve.unwrap_or(if never { 0 } else { USUAL_RESERVE });
        let reserve = reserve.max(session.facts.reorder);
        let mut stream = Self {
            source,
            reserve,
            state: State::Steady,
            active: None,
            frames: StreamFrames::new(reserve, settings.0.frame_rate),
            cursor: 1,
            next_idr: None,
            idr_at: None,
            flushes: VecDeque::new(),
            generation: 1,
            next_generation: 2,
            settings,
            last_good: None,
            queued: None,
            watch: None,
            deaths: Deaths::default(),
            closers: Closers::default(),
            shapes: VecDeque::new(),
            telemetry: Telemetry::new(),
            counts,
            #[cfg(feature = "metrics")]
            switches_reported: Switches::default(),
            options,
        };
        stream.telemetry.begin(1, &session.target, &session.receipt, Start::Stream, started.elapsed());
        stream.know_shape(stream.settings.0.dimensions, stream.settings.0.format);
        stream.install(session, 1);
        Ok(stream)
    }

    /// Hands a frame over; never waits. `force_keyframe` in the frame asks for an IDR. Frames of a size or format that the
    /// stream had before, or is to have, are taken as well, and brought to what the session encodes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a frame without picture, of a size or format that was never asked for, or whose pts
    /// does not rise; the error that ended the stream.
    pub fn submit(&mut self, frame: Frame) -> Result<Submit<Frame>> {
        self.pump();
        self.check(&frame)?;
        let waiting = self.frames.table.next() - self.cursor;
        if waiting >= self.options.max_waiting.max(1) as u64
            || self.frames.table.len() >= self.options.max_held.max(1)
        {
            return Ok(Submit::Full(frame));
        }
        self.frames.accept(frame);
        self.pump();
        Ok(Submit::Accepted)
    }

    fn check(&self, frame: &Frame) -> Result<()> {
        self.check_open()?;
        if matches!(frame.surface, Surface::None) {
            return Err(Error::invalid(format!("frame at {} has no picture", frame.pts)));
        }
        let shape = (frame.dimensions, frame.format);
        if !self.shapes.contains(&shape) {
            let known: Vec<_> = self.shapes.iter().map(|(size, format)| format!("{size} {format}")).collect();
            return Err(Error::invalid(format!(
                "frame at {} is {} {}; asked for were {}",
                frame.pts,
                frame.dimensions,
                frame.format,
                known.join(", ")
            )));
        }
        user_sei::check(frame.pts, &frame.user_sei)?;
        self.frames.check_time(frame.pts)
    }

    /// The next packet, if one is ready.
    ///
    /// # Errors
    /// The loss of one frame ([`Error::is_recoverable`]: go on), or the end of the stream.
    pub fn try_reap(&mut self) -> Result<Option<Packet>> {
        self.pump();
        self.frames.out.pop_front().transpose()
    }

    /// The next packet, waiting at most `timeout`. `None`: not yet, or nothing is inside, which is told at once: a loop that
    /// paces its frames sleeps for the rest itself.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Packet>> {
        // One that cannot be expressed is "for ever" to any caller.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(packet) = self.try_reap()? {
                return Ok(Some(packet));
            }
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            let nothing_inside = self.frames.table.is_empty() && !self.state.has_job();
            if self.has_ended() || left.is_zero() || nothing_inside {
                return Ok(None);
            }
            self.wait(left);
        }
    }

    /// Waits for news, at most so long.
    fn wait(&mut self, left: Duration) {
        // News come from one session; all else has to be looked for.
        let elsewhere =
            self.state.has_job() || self.queued.is_some() || self.cursor < self.frames.table.next();
        let slice = if elsewhere { left.min(SLICE) } else { left };
        let which = self.reading();
        match self.session(which) {
            Some(session) => match session.wait(slice) {
                Received::Nothing => {}
                received => self.received(which, received),
            },
            None => std::thread::sleep(slice),
        }
    }

    /// Makes every packet of the frames submitted so far come out; never waits. The next frame is coded as an IDR.
    ///
    /// # Errors
    /// When the stream has ended: the error that ended it.
    pub fn flush(&mut self) -> Result<()> {
        self.check_open()?;
        let here = self.frames.table.next();
        if self.flushes.back() != Some(&here) {
            self.flushes.push_back(here);
        }
        self.pump();
        Ok(())
    }

    /// Whether every flush asked for has completed, and every packet was reaped.
    pub fn is_drained(&self) -> bool {
        self.flushes.is_empty() && self.frames.out.is_empty()
    }

    /// Flushes, then gives every remaining packet, waiting for each. Losses appear as `Err` items.
    ///
    /// # Errors
    /// When the stream has ended: the error that ended it.
    pub fn drain(&mut self) -> Result<impl Iterator<Item = Result<Packet>> + '_> {
        const PATIENCE: Duration = Duration::from_secs(60);
        self.flush()?;
        Ok(std::iter::from_fn(move || {
            loop {
                if self.is_drained() {
                    return None;
                }
                match self.reap_timeout(PATIENCE).transpose() {
                    None if self.has_ended() => return None,
                    None => {}
                    item => return item,
                }
            }
        }))
    }

    /// Asks for other settings; never waits. The answer is the generation that they will be, if the switch succeeds:
    /// [`Self::take_events`] tells. One switch is made at a time; of those that wait for it only the last is kept.
    ///
    /// # Errors
    /// When the stream has ended: the error that ended it.
    pub fn request_switch(
        &mut self,
        request: SessionSwitchRequest<(CommonEncodeConfig, BackendEncodeConfig)>,
    ) -> Result<u64> {
        self.check_open()?;
        let generation = self.take_generation();
        self.know_shape(request.target.0.dimensions, request.target.0.format);
        self.telemetry.counts.requested += 1;
        let first_serial = self.frames.table.next();
        self.queue(Switch::new(generation, request, first_serial));
        self.pump();
        Ok(generation)
    }

    /// What happened since the last call, oldest first; of what nobody asks for only the last 256 are kept.
    pub fn take_events(&mut self) -> Vec<StreamEvent> {
        self.pump();
        self.telemetry.take_events()
    }

    /// What the stream did so far.
    pub fn summary(&self) -> StreamSummary {
        let telemetry = &self.telemetry;
        StreamSummary {
            ledger: self.frames.ledger(),
            generations: telemetry.generations.iter().cloned().collect(),
            switches: telemetry.counts,
            switch_fail_reason: telemetry.switch_fail_reason.clone(),
            switch_time_max: telemetry.switch_time_max,
            latency_max: telemetry.latency_max,
            events_lost: telemetry.events_lost,
            active_generation: self.generation,
            config_generation: self.wanted_generation(),
            next_generation: self.next_generation,
            converted: self.counts.converted.load(Ordering::Relaxed),
            without_messages: self.counts.without_messages.load(Ordering::Relaxed),
            bytes_out: self.frames.bytes_out,
            keyframes: self.frames.keyframes,
        }
    }

    /// What became of every frame so far; less work than a summary.
    pub fn ledger(&self) -> Ledger {
        self.frames.ledger()
    }

    /// Frames that were submitted and that no encoder has begun.
    pub fn queued(&self) -> usize {
        let kept = self.frames.table.next().saturating_sub(self.cursor);
        let handed = self.active.as_ref().map_or(0, Running::queued);
        usize::try_from(kept).unwrap_or(usize::MAX).saturating_add(handed)
    }

    /// The settings that new frames are encoded with; those of a switch from its first frame on.
    pub fn config(&self) -> &CommonEncodeConfig {
        &self.settings.0
    }

    /// The backend that encodes now; `None` while none does.
    pub fn backend(&self) -> Option<(BackendKind, &'static str)> {
        self.active.as_ref().map(|session| (session.candidate.backend(), session.facts.implementation))
    }

    /// Frames by which decoding times are earlier than presentation times.
    pub(crate) const fn reserve(&self) -> usize {
        self.reserve
    }

    /// The format in which the session that runs reads frames, so that none is converted twice; while none runs, that of the
    /// settings.
    pub(crate) fn frame_format(&self) -> PixelFormat {
        self.active.as_ref().map_or(self.settings.0.format, |session| session.target.0.format)
    }

    /// What the stream is doing.
    pub fn state(&self) -> StreamState {
        let to = self.state.generation().or(self.queued.as_ref().map(|switch| switch.generation));
        match to {
            _ if self.has_ended() => StreamState::Closed,
            Some(to) => StreamState::SwitchPending { to },
            None if self.active.is_none() => StreamState::Reopening,
            None => StreamState::Running,
        }
    }

    /// The generation that frames go to now.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether frames go to this generation, or a switch to it is under way.
    pub fn is_alive(&self, generation: u64) -> bool {
        !self.has_ended()
            && (generation == self.generation
                || self.state.generation() == Some(generation)
                || self.queued.as_ref().is_some_and(|switch| switch.generation == generation))
    }

    const fn take_generation(&mut self) -> u64 {
        let generation = self.next_generation;
        self.next_generation += 1;
        generation
    }

    fn know_shape(&mut self, size: Dimensions, format: PixelFormat) {
        self.shapes.retain(|known| *known != (size, format));
        if self.shapes.len() >= MOST_SHAPES {
            self.shapes.pop_front();
        }
        self.shapes.push_back((size, format));
    }

    /// The stream is over.
    fn end(&mut self, error: Error, why: String) {
        self.telemetry.end(self.generation, why.clone());
        self.telemetry.tell(EventKind::Ended { reason: why });
        self.frames.end(error.clone());
        self.flushes.clear();
        self.watch = None;
        let active = self.active.take();
        if let Some(switch) = self.queued.take() {
            self.telemetry.switch_failed(switch.generation, SwitchStage::Creation, &error, self.generation);
        }
        let state = std::mem::replace(&mut self.state, State::Ended(error));
        self.closers.close((active, state));
    }

    const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    fn check_open(&self) -> Result<()> {
        match &self.state {
            State::Ended(reason) => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// Has counts kept in front of the stream watched, as those of the encoder that runs now.
    #[cfg(feature = "metrics")]
    pub(crate) fn observe_counts(
        &self,
        ask: impl Fn(&mut crate::metrics::Sample<'_>) + Send + 'static,
    ) -> crate::metrics::Observed {
        observe::in_front(&self.settings.0, self.backend(), ask)
    }

    /// Has a ring in front of the stream watched, as a queue of the encoder that runs now.
    #[cfg(feature = "metrics")]
    pub(crate) fn observe_ring(&self, ring: crate::queue::QueueMonitor) -> crate::metrics::Observed {
        observe::ring(&self.settings.0, self.backend(), ring)
    }
}
