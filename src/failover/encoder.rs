//! The failover encoder: to its session it is one encoder, and it is replaced when it dies.
//!
//! ```text
//!             submit, flush: a call fails, an event tells of the death, the library panics
//!   At work ───────────────────────────────────────────────────────────► Dead ── nothing in flight ──► waits for a frame
//!      ▲                                                                  │
//!      └── every frame in flight is given again, from an IDR on ── next one opened ── none, or too many died young ──► the end
//! ```
//!
//! The replacement happens in the call in which the death shows, on the session's own thread. Nothing else of the session
//! changes, so a stream that never fails pays a reference to each frame in flight and a lock for each packet, and no thread or
//! queue. That is why a transcode uses this and not a [`SwitchingEncoder`](crate::control::SwitchingEncoder), whose settings
//! could change too, and which proves each new session with a picture before it is trusted.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use super::arranged::arranged;
use super::in_flight::{KeptFrames, serial_of};
use super::log::{FailoverLog, Takeover};
use super::policy::{Deaths, EncoderSource, Opened, encoders_behind, first_that_opens, told};
use super::recovery::FrameRecovery;
use super::settings::{Fitting, Target, with_what_it_has};
use crate::backend::{
    self, Backend, Candidate, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncoderBackend, FrameCheck, Job,
};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
use crate::error::{Error, Result, panic_message};
use crate::frame::{Frame, Surface};
use crate::packet::BitstreamLayout;
use crate::stages::EncodeMeter;
use crate::sync::lock;

/// An encoder that dies before it gave so many packets died young.
const YOUNG: u64 = 10;

/// Opens the encoder that is wanted, and by the policy others when it dies. `sinks` makes a sink for each; frames whose memory
/// is gone are asked of `recovery`.
///
/// # Errors
/// When no candidate can do it.
pub(crate) fn open_encoder(
    wanted: Backend,
    (config, special): (&CommonEncodeConfig, &BackendEncodeConfig),
    policy: FailurePolicy,
    recovery: Option<FrameRecovery>,
    sinks: impl Fn() -> EncodeSink,
) -> Result<(Box<dyn EncoderBackend>, FailoverLog)> {
    if policy == FailurePolicy::Stop {
        let (encoder, format, receipt) = backend::open_encoder(wanted, config, special, sinks)?;
        let log = FailoverLog::new(receipt);
        return Ok((arranged(encoder, config, format, &log), log));
    }
    let shared = Shared::new(sinks());
    let (first, format, receipt) = backend::open_encoder(wanted, config, special, || shared.sink())?;
    let log = FailoverLog::new(receipt);
    let first = arranged(first, config, format, &log);
    let target = (config.clone(), special.clone());
    let encoder = Replacements { wanted, policy, source: Box::new(wanted), target, recovery }
        .begin(first, &log, shared);
    Ok((encoder, log))
}

/// Where encoders come from when one has died.
struct Replacements {
    wanted: Backend,
    policy: FailurePolicy,
    source: Box<dyn EncoderSource>,
    target: Target,
    recovery: Option<FrameRecovery>,
}

impl Replacements {
    fn begin(
        self,
        current: Box<dyn EncoderBackend>,
        log: &FailoverLog,
        shared: Shared,
    ) -> Box<dyn EncoderBackend> {
        let candidate = log.receipt().engine().unwrap_or(Candidate::Custom);
        let encoder = FailoverEncoder {
            layout: current.output_layout(),
            reserve: current.reorder_delay(),
            admission: current.admission(),
            meter: current.meter(),
            implementation: current.implementation(),
            notes: current.notes(),
            fitting: None,
            current: Some(current),
            candidate,
            succession: self,
            shared,
            log: log.clone(),
            copied: CopyBytes::default(),
            died_young: Deaths::default(),
            death: None,
        };
        Box::new(encoder)
    }
}

/// What the thread of the encoder shares with the session's.
#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    /// Taken before the state is, so that groups leave in the order in which they were closed.
    out: Arc<Mutex<EncodeSink>>,
}

struct State {
    frames: KeptFrames,
    /// Counts encoders: what a dead one still reports is passed over.
    generation: u64,
    /// Packets of the encoder at hand.
    packets: u64,
    death: Option<Error>,
    /// The session takes no more.
    gone: bool,
}

impl Shared {
    fn new(out: EncodeSink) -> Self {
        let state = State { frames: KeptFrames::new(), generation: 0, packets: 0, death: None, gone: false };
        Self { state: Arc::new(Mutex::new(state)), out: Arc::new(Mutex::new(out)) }
    }

    /// The sink of the next attempt to open an encoder. What one reports that was opened before it, and refused, is
    /// passed over, and not held against this one.
    fn sink(&self) -> EncodeSink {
        let shared = self.clone();
        let generation = {
            let mut state = lock(&self.state);
            state.generation += 1;
            state.death = None;
            state.generation
        };
        Box::new(move |event| shared.take(generation, event))
    }

    fn take(&self, generation: u64, event: EncodeEvent) -> bool {
        match event {
            EncodeEvent::Waiting => self.asked(),
            EncodeEvent::Failed { error, .. } if !error.is_recoverable() => {
                let mut state = lock(&self.state);
                if state.generation == generation {
                    state.death.get_or_insert(error);
                }
                false
            }
            event => self.deliver(|state| {
                if state.generation != generation {
                    return None;
                }
                let serial = serial_of(&event)?;
                state.packets += u64::from(matches!(event, EncodeEvent::Unit(_)));
                Some(state.frames.answer(serial, event))
            }),
        }
    }

    /// Gives the session what can leave; `false` once it takes no more, or nothing of this encoder.
    fn deliver(&self, events: impl FnOnce(&mut State) -> Option<Vec<EncodeEvent>>) -> bool {
        let mut out = lock(&self.out);
        let Some(events) = events(&mut lock(&self.state)) else { return false };
        for event in events {
            if !(out)(event) {
                lock(&self.state).gone = true;
                return false;
            }
        }
        true
    }

    /// Whether the session is still there; assumed while it is being given something.
    fn asked(&self) -> bool {
        match self.out.try_lock() {
            Ok(mut out) => {
                let wanted = (out)(EncodeEvent::Waiting);
                lock(&self.state).gone |= !wanted;
                wanted
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Poisoned(_)) => false,
        }
    }
}

struct FailoverEncoder {
    /// `None`: it has died, and another is not yet there.
    current: Option<Box<dyn EncoderBackend>>,
    candidate: Candidate,
    implementation: &'static str,
    /// Of the first encoder; others have to keep to them.
    layout: BitstreamLayout,
    reserve: usize,
    admission: FrameCheck,
    meter: Option<Arc<EncodeMeter>>,
    notes: Vec<String>,
    /// What frames have to be for an encoder that took over.
    fitting: Option<Fitting>,
    succession: Replacements,
    shared: Shared,
    log: FailoverLog,
    /// By the dead.
    copied: CopyBytes,
    died_young: Deaths,
    /// Of an encoder that died with nothing in flight: another is opened when there is a frame for it.
    death: Option<Error>,
}

/// An encoder that can take over.
struct Next {
    encoder: Box<dyn EncoderBackend>,
    target: Target,
    given_up: Vec<String>,
}

impl FailoverEncoder {
    /// Calls the encoder; its death is the call's error, wherever it showed.
    fn call(&mut self, call: impl FnOnce(&mut dyn EncoderBackend) -> Result<()>) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let done = catch_unwind(AssertUnwindSafe(|| call(current.as_mut())));
        let reported = lock(&self.shared.state).death.take();
        match (reported, done) {
            (Some(death), _) => Err(death),
            (None, Ok(done)) => done,
            (None, Err(panic)) => Err(panicked(panic.as_ref())),
        }
    }

    /// Gives a frame to the encoder at hand.
    fn give(&mut self, serial: u64, frame: Frame) -> Result<()> {
        let frame = match self.fit(serial, frame) {
            Ok(frame) => frame,
            Err(error) => {
                self.log.lost_one();
                let what = format!("a frame was gone when another encoder took over: {error}");
                let event = EncodeEvent::Failed { serial, error: Error::corrupt(what) };
                self.shared.deliver(|state| Some(state.frames.answer(serial, event)));
                return Ok(());
            }
        };
        self.call(|encoder| encoder.submit(EncodeUnit { serial, frame }))
    }

    /// Brings a frame to what an encoder that took over reads.
    fn fit(&mut self, serial: u64, mut frame: Frame) -> Result<Frame> {
        let Some(fitting) = &self.fitting else { return Ok(frame) };
        let messages = std::mem::take(&mut frame.user_sei);
        let there = !matches!(frame.surface, Surface::None);
        if !there || fitting.needs(&frame).is_some() {
            // Without its time, so that frames that are lost for one reason are counted under one.
            let no_room = || Error::invalid("more frames were inside than are kept");
            let fitted = if there { fitting.fit(frame.clone()) } else { Err(no_room()) };
            frame = match (fitted, &mut self.succession.recovery) {
                (Ok(fitted), _) => fitted,
                (Err(_), Some(recover)) => fitting.fit(recover(&frame)?)?,
                (Err(error), None) => return Err(error),
            };
            self.log.converted_one();
            let kept = Frame { user_sei: messages.clone(), ..frame.clone() };
            lock(&self.shared.state).frames.replace(serial, kept);
        }
        fitting.with_messages(&mut frame, messages);
        Ok(frame)
    }

    /// Has another encoder go on with the frames in flight.
    fn take_over(&mut self, mut why: Error) -> Result<()> {
        // The frame at hand was given to nobody when the encoder was gone before it came.
        let mut never_given = u64::from(self.current.is_none());
        loop {
            // Wrong frames are wrong for all, and nobody waits for packets any more.
            if matches!(why, Error::Cancelled | Error::InvalidInput { .. }) || lock(&self.shared.state).gone {
                return Err(why);
            }
            let died = Instant::now();
            match self.retire() {
                Some(packets) if packets < YOUNG => self.died_young.0 += 1,
                Some(_) => self.died_young.0 = 0,
                None => {}
            }
            if self.died_young.too_many() {
                let message = format!("{why}; {} encoders died one after another", self.died_young.0);
                return self.give_up(why, message, died.elapsed());
            }
            let Opened { candidate, value: Next { encoder, target, given_up }, refused } =
                match self.open_next() {
                    Ok(next) => next,
                    Err(refused) => {
                        let refusal = told(self.succession.target.0.codec, refused)
                            .unwrap_or_else(|| Error::invalid("there is none"));
                        let message = format!("{why}; no other encoder could be opened: {refusal}");
                        return self.give_up(why, message, died.elapsed());
                    }
                };
            let again = lock(&self.shared.state).frames.table().len() as u64;
            let takeover = Takeover {
                to: Some((candidate, encoder.implementation())),
                again: again.saturating_sub(std::mem::take(&mut never_given)),
                given_up,
                ..self.takeover(why.to_string(), died.elapsed())
            };
            self.fitting = Some(Fitting::new(&target.0, encoder.as_ref()));
            (self.candidate, self.implementation) = (candidate, encoder.implementation());
            self.current = Some(encoder);
            self.log.add(takeover, &why, &refused);
            match self.give_again() {
                Ok(()) => return Ok(()),
                Err(death) => why = death,
            }
        }
    }

    /// What is known of a takeover before anybody has taken over.
    fn takeover(&self, reason: String, took: Duration) -> Takeover {
        let state = lock(&self.shared.state);
        let frames = state.frames.table();
        let frame = frames.first();
        Takeover {
            frame,
            pts: frames.get(frame).map(|frame| frame.pts),
            took,
            ..Takeover::nobody(Job::Encode, self.candidate, reason)
        }
    }

    fn give_up(&mut self, why: Error, message: String, took: Duration) -> Result<()> {
        self.log.add(self.takeover(message, took), &why, &[]);
        Err(why)
    }

    /// Closes the dead encoder, and forgets what it has not finished. The answer: how many packets it gave.
    fn retire(&mut self) -> Option<u64> {
        let dead = self.current.take()?;
        self.copied = sum(self.copied, dead.copies());
        // What it still gives on its way out counts. A library that panics does not take the process with it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(dead)));
        let mut state = lock(&self.shared.state);
        state.generation += 1;
        state.death = None;
        state.frames.forget();
        Some(std::mem::take(&mut state.packets))
    }

    fn give_again(&mut self) -> Result<()> {
        let serials = lock(&self.shared.state).frames.table().serials();
        let first = serials.start;
        for serial in serials {
            let frame = lock(&self.shared.state).frames.table().get(serial).cloned();
            let Some(mut frame) = frame else { continue };
            frame.force_keyframe |= serial == first;
            self.give(serial, frame)?;
        }
        Ok(())
    }

    /// Opens the first encoder of those that may take over.
    fn open_next(&self) -> Result<Opened<Candidate, Next>, Vec<(Candidate, Error)>> {
        let Replacements { wanted, policy, target, .. } = &self.succession;
        let candidates = encoders_behind(self.candidate, *wanted, *policy, &target.1);
        let turns = backend::in_turn(&candidates, target.0.low_latency);
        first_that_opens(
            turns,
            |_| false,
            |candidate| {
                with_what_it_has(target, Some(self.candidate), candidate, true, |target, given_up, _| {
                    self.open(candidate, target, given_up)
                })
            },
        )
    }

    fn open(&self, candidate: Candidate, mut target: Target, mut given_up: Vec<String>) -> Result<Next> {
        let open = |target: &Target| {
            let encoder = self.succession.source.open(candidate, &target.0, &target.1, self.shared.sink())?;
            if encoder.output_layout() == self.layout {
                return Ok(encoder);
            }
            Err(Error::unsupported(format!("{} frames its packets in another way", candidate.label())))
        };
        let mut encoder = open(&target)?;
        if encoder.reorder_delay() > self.reserve {
            // Decoding times have begun, and cannot begin to be earlier.
            drop(encoder);
            (target.0.b_frames, target.0.frame_interval_p) = (Some(0), None);
            given_up.push("B frames".to_owned());
            encoder = open(&target)?;
        }
        Ok(Next { encoder, target, given_up })
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::corrupt_fatal(format!("the codec library panicked: {}", panic_message(panic)))
}

const fn sum(a: CopyBytes, b: CopyBytes) -> CopyBytes {
    CopyBytes { input: a.input + b.input, output: a.output + b.output, device: a.device + b.device }
}

impl EncoderBackend for FailoverEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        self.layout
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        lock(&self.shared.state).frames.enter(unit.frame.clone());
        if let Some(death) = self.death.take() {
            return self.take_over(death);
        }
        self.give(unit.serial, unit.frame).or_else(|death| self.take_over(death))
    }

    fn flush(&mut self) -> Result<()> {
        while let Err(death) = self.call(|encoder| encoder.flush()) {
            if lock(&self.shared.state).frames.table().is_empty() {
                // Nothing is lost, and perhaps nothing more will come.
                if lock(&self.shared.state).gone {
                    return Err(death);
                }
                self.retire();
                self.death = Some(death);
                return Ok(());
            }
            self.take_over(death)?;
        }
        self.shared.deliver(|state| Some(state.frames.unanswered()));
        Ok(())
    }

    fn admission(&self) -> FrameCheck {
        Arc::clone(&self.admission)
    }

    fn copies(&self) -> CopyBytes {
        let now = self.current.as_ref().map_or_else(CopyBytes::default, |current| current.copies());
        sum(self.copied, now)
    }

    fn reorder_delay(&self) -> usize {
        self.reserve
    }

    fn implementation(&self) -> &'static str {
        self.implementation
    }

    fn meter(&self) -> Option<Arc<EncodeMeter>> {
        self.meter.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
