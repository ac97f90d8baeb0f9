//! An encoder that is replaced when it dies.
//!
//! To its session it is one encoder. The replacement happens in the call in which the death shows, on the session's own
//! thread: the dead encoder is closed, the next is opened, and is given every frame whose packet is not out, from an IDR
//! on. Nothing else of the session changes, so a stream that never fails pays a reference to each frame inside, and no
//! thread or queue. That is why a transcode uses this and not a [`super::SwitchingEncoder`], whose settings could change
//! too, and which proves each new session with a picture before it is trusted.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use super::adapt::{adapt, plain, unchanged};
use super::inside::{Inside, serial_of};
use super::running::{Target, shape};
use super::source::EncoderSource;
use crate::backend::{
    self, Backend, Candidate, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncoderBackend, FrameCheck,
    Receipt, Verdict,
};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
use crate::error::{Error, Result, panic_words};
use crate::frame::{Frame, Surface};
use crate::packet::BitstreamLayout;
use crate::session::{EncodeSession, Succession, Takeover};
use crate::stages::EncodeMeter;
use crate::sync::lock;
use crate::transform::TransformRequest;

/// Encoders that may die young one after another: a frame that kills every encoder must not go on for ever.
const MOST_YOUNG: u32 = 3;
/// An encoder that dies before it gave so many packets died young.
const YOUNG: u64 = 10;

/// Opens an encode session whose encoder is replaced when it dies: the frames whose packets are not out go to the next
/// encoder, which begins with an IDR picture. Codec, times and order of packets stay; parameter sets change. What happened
/// is told by [`crate::session::EncodeSummary::takeovers`].
///
/// ```no_run
/// use video_hw::backend::Backend;
/// use video_hw::codec::Codec;
/// use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
/// use video_hw::control::surviving_session;
/// use video_hw::dimensions::Dimensions;
/// use video_hw::time::Rational;
///
/// # fn main() -> video_hw::Result<()> {
/// # let (size, rate) = (Dimensions::new(640, 360).unwrap(), Rational::new(25, 1).unwrap());
/// let config = CommonEncodeConfig::new(Codec::H264, size, rate);
/// let session = surviving_session(Backend::Auto, config, BackendEncodeConfig::None, FailurePolicy::Next)?;
/// // ... frames in, packets out, as with any session ...
/// for takeover in session.summary().takeovers {
///     eprintln!("{takeover}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`EncodeSession::with_special`].
pub fn surviving_session(
    backend: impl Into<Backend>,
    config: CommonEncodeConfig,
    special: BackendEncodeConfig,
    policy: FailurePolicy,
) -> Result<EncodeSession> {
    open_surviving(backend.into(), config, special, policy, None)
}

/// Frames again whose memory is gone.
pub(crate) trait Refetch: Send {
    /// The picture of a frame that was given before. Frames are asked for in rising order, from an earlier one on again after
    /// another death.
    ///
    /// # Errors
    /// It cannot be had again.
    fn refetch(&mut self, lost: &Frame) -> Result<Frame>;
}

/// As [`surviving_session`]; frames that go with their device are asked for again.
pub(crate) fn open_surviving(
    wanted: Backend,
    config: CommonEncodeConfig,
    special: BackendEncodeConfig,
    policy: FailurePolicy,
    refetch: Option<Box<dyn Refetch>>,
) -> Result<EncodeSession> {
    if policy == FailurePolicy::Stop {
        return EncodeSession::with_special(wanted, config, &special);
    }
    EncodeSession::open(config, |config, sinks| {
        let shared = Shared::new(sinks());
        let (current, receipt) = backend::open_encoder(wanted, config, &special, || shared.sink())?;
        let source = Box::new(wanted);
        let survivors = Survivors { wanted, policy, source, target: (config.clone(), special), refetch };
        Ok(survivors.begin(current, receipt, shared))
    })
}

/// Where encoders come from when one has died.
struct Survivors {
    wanted: Backend,
    policy: FailurePolicy,
    source: Box<dyn EncoderSource>,
    target: Target,
    refetch: Option<Box<dyn Refetch>>,
}

impl Survivors {
    fn begin(
        self,
        current: Box<dyn EncoderBackend>,
        receipt: Receipt,
        shared: Shared,
    ) -> (Box<dyn EncoderBackend>, Succession) {
        let candidate = receipt.engine().unwrap_or(Candidate::Custom);
        let succession = Succession::new(receipt);
        let encoder = Surviving {
            layout: current.output_layout(),
            reserve: current.reorder_delay(),
            admission: current.admission(),
            meter: current.meter(),
            implementation: current.implementation(),
            notes: current.notes(),
            fitting: None,
            current: Some(current),
            candidate,
            survivors: self,
            shared,
            succession: succession.clone(),
            copied: CopyBytes::default(),
            died_young: 0,
            death: None,
        };
        (Box::new(encoder), succession)
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
    inside: Inside,
    /// Counts encoders: what a dead one still says is not heard.
    age: u64,
    /// Packets of the encoder at hand.
    packets: u64,
    death: Option<Error>,
    /// The session takes no more.
    gone: bool,
}

impl Shared {
    fn new(out: EncodeSink) -> Self {
        let state = State { inside: Inside::new(), age: 0, packets: 0, death: None, gone: false };
        Self { state: Arc::new(Mutex::new(state)), out: Arc::new(Mutex::new(out)) }
    }

    /// The sink of the next attempt to open an encoder. What one says that was opened before it, and refused, is no longer
    /// heard, nor is it held against this one.
    fn sink(&self) -> EncodeSink {
        let shared = self.clone();
        let age = {
            let mut state = lock(&self.state);
            state.age += 1;
            state.death = None;
            state.age
        };
        Box::new(move |event| shared.take(age, event))
    }

    fn take(&self, age: u64, event: EncodeEvent) -> bool {
        match event {
            EncodeEvent::Waiting => self.asked(),
            EncodeEvent::Failed { error, .. } if !error.is_recoverable() => {
                let mut state = lock(&self.state);
                if state.age == age {
                    state.death.get_or_insert(error);
                }
                false
            }
            event => self.deliver(|state| {
                if state.age != age {
                    return None;
                }
                let serial = serial_of(&event)?;
                state.packets += u64::from(matches!(event, EncodeEvent::Unit(_)));
                Some(state.inside.answer(serial, event))
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

struct Surviving {
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
    fitting: Option<(TransformRequest, FrameCheck)>,
    survivors: Survivors,
    shared: Shared,
    succession: Succession,
    /// By the dead.
    copied: CopyBytes,
    died_young: u32,
    /// Of an encoder that died with nothing inside: another is opened when there is a frame for it.
    death: Option<Error>,
}

/// An encoder that can take over.
struct Heir {
    encoder: Box<dyn EncoderBackend>,
    candidate: Candidate,
    target: Target,
    given_up: Vec<String>,
    /// Who came before it in the order, and could not.
    refused: Vec<(Candidate, Verdict)>,
}

impl Surviving {
    /// Calls the encoder; its death is the call's error, wherever it showed.
    fn call(&mut self, call: impl FnOnce(&mut dyn EncoderBackend) -> Result<()>) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let done = catch_unwind(AssertUnwindSafe(|| call(current.as_mut())));
        let told = lock(&self.shared.state).death.take();
        match (told, done) {
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
                self.succession.lost_one();
                let what = format!("a frame was gone when another encoder took over: {error}");
                let event = EncodeEvent::Failed { serial, error: Error::corrupt(what) };
                self.shared.deliver(|state| Some(state.inside.answer(serial, event)));
                return Ok(());
            }
        };
        self.call(|encoder| encoder.submit(EncodeUnit { serial, frame }))
    }

    /// Brings a frame to what an encoder that took over reads.
    fn fit(&mut self, serial: u64, mut frame: Frame) -> Result<Frame> {
        let Some((shape, admission)) = &self.fitting else { return Ok(frame) };
        let messages = std::mem::take(&mut frame.user_sei);
        let there = !matches!(frame.surface, Surface::None);
        let foreign = matches!(frame.surface, Surface::Device(_)) && admission(&frame).is_err();
        let shape = TransformRequest { host: foreign, ..*shape };
        if !there || foreign || !shape.is_met_by(&frame) {
            // Without its time, so that frames that are lost for one reason are counted under one.
            let no_room = || Error::invalid("more frames were inside than are kept");
            let fitted =
                if there { shape.apply(frame.clone()).map(|done| done.frame) } else { Err(no_room()) };
            frame = match (fitted, &mut self.survivors.refetch) {
                (Ok(fitted), _) => fitted,
                (Err(_), Some(refetch)) => shape.apply(refetch.refetch(&frame)?)?.frame,
                (Err(error), None) => return Err(error),
            };
            lock(&self.shared.state)
                .inside
                .replace(serial, Frame { user_sei: messages.clone(), ..frame.clone() });
        }
        // Not every backend writes messages; the picture goes on without.
        frame.user_sei = messages;
        if !frame.user_sei.is_empty() && admission(&frame).is_err() {
            frame.user_sei.clear();
        }
        Ok(frame)
    }

    /// Has another encoder go on with the frames inside.
    fn take_over(&mut self, mut why: Error) -> Result<()> {
        // The frame at hand was given to nobody when the encoder was gone before it came.
        let mut never_given = u64::from(self.current.is_none());
        loop {
            // Wrong frames are wrong for all, and nobody waits for packets any more.
            if matches!(why, Error::Cancelled | Error::InvalidInput { .. }) || lock(&self.shared.state).gone {
                return Err(why);
            }
            let died = Instant::now();
            if let Some(packets) = self.retire() {
                self.died_young = if packets < YOUNG { self.died_young + 1 } else { 0 };
            }
            if self.died_young > MOST_YOUNG {
                let words = format!("{why}; {} encoders died one after another", self.died_young);
                return self.give_up(why, words, died.elapsed());
            }
            let Heir { encoder, candidate, target, given_up, refused } = match self.open_next() {
                Ok(heir) => heir,
                Err(refusal) => {
                    let words = format!("{why}; no other encoder could be opened: {refusal}");
                    return self.give_up(why, words, died.elapsed());
                }
            };
            let again = lock(&self.shared.state).inside.len() as u64;
            let takeover = Takeover {
                to: Some((candidate, encoder.implementation())),
                again: again.saturating_sub(std::mem::take(&mut never_given)),
                given_up,
                ..self.takeover(why.to_string(), died.elapsed())
            };
            self.fitting = Some((shape(&target.0), encoder.admission()));
            (self.candidate, self.implementation) = (candidate, encoder.implementation());
            self.current = Some(encoder);
            self.succession.tell(takeover, &why, refused);
            match self.give_again() {
                Ok(()) => return Ok(()),
                Err(death) => why = death,
            }
        }
    }

    /// What is known of a takeover before anybody has taken over.
    fn takeover(&self, reason: String, took: Duration) -> Takeover {
        let state = lock(&self.shared.state);
        let frame = state.inside.first();
        Takeover {
            job: backend::Job::Encode,
            frame,
            pts: state.inside.frame(frame).map(|frame| frame.pts),
            from: self.candidate,
            to: None,
            reason,
            again: 0,
            lost: 0,
            given_up: Vec::new(),
            took,
        }
    }

    fn give_up(&mut self, why: Error, words: String, took: Duration) -> Result<()> {
        let takeover = self.takeover(words, took);
        self.succession.tell(takeover, &why, Vec::new());
        Err(why)
    }

    /// Closes the dead encoder, and forgets what it has not finished. The answer: how many packets it gave.
    fn retire(&mut self) -> Option<u64> {
        let dead = self.current.take()?;
        self.copied = sum(self.copied, dead.copies());
        // What it still gives on its way out counts. A library that panics does not take the process with it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(dead)));
        let mut state = lock(&self.shared.state);
        state.age += 1;
        state.death = None;
        state.inside.forget();
        Some(std::mem::take(&mut state.packets))
    }

    fn give_again(&mut self) -> Result<()> {
        let serials = lock(&self.shared.state).inside.serials();
        let first = serials.start;
        for serial in serials {
            let frame = lock(&self.shared.state).inside.frame(serial).cloned();
            let Some(mut frame) = frame else { continue };
            frame.force_keyframe |= serial == first;
            self.give(serial, frame)?;
        }
        Ok(())
    }

    /// Opens the first encoder of those that may take over.
    fn open_next(&self) -> Result<Heir> {
        let (mut refusal, mut refused) = (None, Vec::new());
        let Survivors { wanted, policy, target: (config, special), .. } = &self.survivors;
        let heirs = heirs(self.candidate, *wanted, *policy, special);
        for (candidate, put_off) in backend::in_turn(&heirs, config.low_latency) {
            match put_off.map_or_else(|| self.attempt(candidate), Err) {
                Ok(heir) => return Ok(Heir { refused, ..heir }),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => {
                    refused.push((candidate, Verdict::refused(&error)));
                    // The first is the one that would have been best.
                    refusal.get_or_insert(error);
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Error::invalid("there is none")))
    }

    /// With all settings, or those of them that the backend has.
    fn attempt(&self, candidate: Candidate) -> Result<Heir> {
        let target = &self.survivors.target;
        let ways: [&dyn Fn() -> (Target, Vec<String>); 3] =
            [&|| unchanged(target, Some(self.candidate), candidate), &|| adapt(target, candidate), &|| {
                plain(target, candidate)
            }];
        let mut refusal = None;
        for way in ways {
            let (target, given_up) = way();
            match self.open(candidate, target, given_up) {
                Ok(heir) => return Ok(heir),
                Err(error @ (Error::Unsupported { .. } | Error::InvalidInput { .. })) => {
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::invalid("there is none")))
    }

    fn open(&self, candidate: Candidate, mut target: Target, mut given_up: Vec<String>) -> Result<Heir> {
        let open = |target: &Target| {
            let encoder = self.survivors.source.open(candidate, &target.0, &target.1, self.shared.sink())?;
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
        Ok(Heir { encoder, candidate, target, given_up, refused: Vec::new() })
    }
}

/// Who may go on for an encoder that has died, best first: those behind it in the order, then those before it, and of a backend that
/// was named those that it has.
fn heirs(
    dead: Candidate,
    wanted: Backend,
    policy: FailurePolicy,
    special: &BackendEncodeConfig,
) -> Vec<Candidate> {
    let same = goes_on_with_the_same(wanted, policy);
    let mut heirs = Candidate::behind(dead);
    heirs.retain(|candidate| match wanted {
        _ if !same => true,
        Backend::Only(kind) if policy != FailurePolicy::Reopen => {
            candidate.backend() == kind && candidate.is_meant_by(special)
        }
        _ => *candidate == dead,
    });
    if heirs.is_empty() { vec![dead] } else { heirs }
}

/// Whether another of the same kind takes the place of one that has died.
pub(crate) fn goes_on_with_the_same(wanted: Backend, policy: FailurePolicy) -> bool {
    match policy {
        FailurePolicy::Auto => wanted != Backend::Auto,
        FailurePolicy::Reopen => true,
        FailurePolicy::Next | FailurePolicy::Stop => false,
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::corrupt_fatal(format!("the codec library panicked: {}", panic_words(panic)))
}

const fn sum(a: CopyBytes, b: CopyBytes) -> CopyBytes {
    CopyBytes { input: a.input + b.input, output: a.output + b.output, device: a.device + b.device }
}

impl EncoderBackend for Surviving {
    fn output_layout(&self) -> BitstreamLayout {
        self.layout
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        lock(&self.shared.state).inside.enter(unit.serial, unit.frame.clone());
        if let Some(death) = self.death.take() {
            return self.take_over(death);
        }
        self.give(unit.serial, unit.frame).or_else(|death| self.take_over(death))
    }

    fn flush(&mut self) -> Result<()> {
        while let Err(death) = self.call(|encoder| encoder.flush()) {
            if lock(&self.shared.state).inside.is_empty() {
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
        self.shared.deliver(|state| Some(state.inside.unanswered()));
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
#[path = "surviving_tests.rs"]
mod tests;
