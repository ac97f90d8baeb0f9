//! The library's sessions as stages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use super::handles::StreamControl;
use super::stage::{Stage, StageEvent, StageReport};
use super::unit::Unit;
use crate::control::SwitchingEncoder;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::session::{DecodeSession, EncodeSession, Ledger, Submit};
use crate::sync::lock;
use crate::transform::{TransformDispatcher, TransformRequest};

fn packet(unit: Unit, stage: &str) -> Result<Packet> {
    unit.into_packet()
        .ok_or_else(|| Error::invalid(format!("a frame came to the stage `{stage}`, which takes packets")))
}

fn frame(unit: Unit, stage: &str) -> Result<Frame> {
    unit.into_frame()
        .ok_or_else(|| Error::invalid(format!("a packet came to the stage `{stage}`, which takes frames")))
}

fn submitted<T: Into<Unit>>(answer: Submit<T>) -> Submit<Unit> {
    match answer {
        Submit::Accepted => Submit::Accepted,
        Submit::Full(back) => Submit::Full(back.into()),
    }
}

/// Units that a session has dropped, which it tells by its ledger alone, as events.
#[derive(Debug, Default)]
struct Drops {
    reported: BTreeMap<&'static str, u64>,
    next: VecDeque<&'static str>,
}

impl Drops {
    fn next(&mut self, ledger: impl FnOnce() -> Ledger) -> Option<StageEvent> {
        if self.next.is_empty() {
            for (reason, count) in ledger().dropped {
                let reported = self.reported.entry(reason).or_default();
                self.next.extend((*reported..count).map(|_| reason));
                *reported = count;
            }
        }
        self.next.pop_front().map(StageEvent::Dropped)
    }
}

/// A result, the loss of one unit, or the end.
fn event<T: Into<Unit>>(result: Result<Option<T>>) -> Result<Option<StageEvent>> {
    match result {
        Ok(Some(unit)) => Ok(Some(StageEvent::Unit(unit.into()))),
        Ok(None) => Ok(None),
        Err(error) if error.is_recoverable() => Ok(Some(StageEvent::Failed(error))),
        Err(error) => Err(error),
    }
}

/// A decode session as a stage: packets to frames.
pub struct DecodeStage {
    session: DecodeSession,
    drops: Drops,
    /// Of the last picture, which the next will have.
    pixels: u64,
}

impl DecodeStage {
    /// The session must be fresh.
    pub fn new(session: DecodeSession) -> Self {
        Self { session, drops: Drops::default(), pixels: 1 }
    }
}

impl Stage for DecodeStage {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        self.session.submit(packet(unit, self.name())?).map(submitted)
    }

    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        let frame = self.session.try_reap();
        if let Ok(Some(frame)) = &frame {
            self.pixels = frame.dimensions.pixels();
        }
        let event = event(frame)?;
        Ok(event.or_else(|| self.drops.next(|| self.session.ledger())))
    }

    fn flush(&mut self) -> Result<()> {
        self.session.flush()
    }

    fn is_drained(&self) -> bool {
        self.session.is_drained()
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.session.set_waker(waker);
    }

    fn wakes(&self) -> bool {
        // A frame that the session's workers convert marks nothing when it is done.
        !self.session.is_converting()
    }

    fn is_hungry(&self) -> bool {
        self.session.queued() == 0
    }

    fn cost(&self, _: &Unit) -> u64 {
        self.pixels
    }

    fn name(&self) -> &'static str {
        "decode"
    }

    fn report(&self) -> Option<StageReport> {
        Some(StageReport::Decode(self.session.summary()))
    }
}

/// An encode session as a stage: frames to packets.
pub struct EncodeStage {
    session: EncodeSession,
    drops: Drops,
    holds: usize,
}

impl EncodeStage {
    /// The session must be fresh.
    pub fn new(session: EncodeSession) -> Self {
        Self { session, drops: Drops::default(), holds: 0 }
    }

    /// The encoder holds so many frames back before it gives a packet (B frames and lookahead). The scheduler finds out
    /// by itself, but only after the stream has stood still for a moment.
    #[must_use]
    pub fn holding(mut self, frames: usize) -> Self {
        self.holds = frames;
        self
    }
}

impl Stage for EncodeStage {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        self.session.submit(frame(unit, self.name())?).map(submitted)
    }

    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        let event = event(self.session.try_reap())?;
        Ok(event.or_else(|| self.drops.next(|| self.session.ledger())))
    }

    fn flush(&mut self) -> Result<()> {
        self.session.flush()
    }

    fn is_drained(&self) -> bool {
        self.session.is_drained()
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.session.set_waker(waker);
    }

    fn wakes(&self) -> bool {
        true
    }

    fn holds(&self) -> usize {
        self.holds
    }

    fn is_hungry(&self) -> bool {
        self.session.queued() == 0
    }

    fn name(&self) -> &'static str {
        "encode"
    }

    fn report(&self) -> Option<StageReport> {
        Some(StageReport::Encode(self.session.summary()))
    }
}

/// A stream whose encoder may change, as a stage: frames to packets. Its owner keeps the other end, a [`SwitchHandle`].
pub struct SwitchingStage {
    encoder: SwitchHandle,
    drops: Drops,
}

/// An encoder inside a scheduler, for whoever changes its settings while it runs. Hold the lock for moments only: the
/// scheduler waits for it.
#[derive(Clone)]
pub struct SwitchHandle(Arc<Mutex<SwitchingEncoder>>);

impl SwitchHandle {
    /// The encoder; to ask for a switch, for events, for what it did. Frames and packets are the scheduler's.
    pub fn lock(&self) -> MutexGuard<'_, SwitchingEncoder> {
        lock(&self.0)
    }

    /// Ties the scheduler's generation of the stream to the encoder's: what was submitted for settings before is dropped and
    /// counted as stale, so that the newest settings see the newest frames. For live streams; without it no frame is lost
    /// by a switch, and packets tell their generation all the same ([`Packet::generation`]). Gives the number.
    pub fn sync_pipeline_generation(&self, control: &StreamControl) -> u64 {
        let generation = self.lock().generation();
        control.set_generation(generation);
        generation
    }
}

impl SwitchingStage {
    /// The stream must be fresh.
    pub fn new(encoder: SwitchingEncoder) -> (Self, SwitchHandle) {
        let handle = SwitchHandle(Arc::new(Mutex::new(encoder)));
        (Self { encoder: handle.clone(), drops: Drops::default() }, handle)
    }
}

impl Stage for SwitchingStage {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        let frame = frame(unit, self.name())?;
        self.encoder.lock().submit(frame).map(submitted)
    }

    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        let mut encoder = self.encoder.lock();
        let event = event(encoder.try_reap())?;
        Ok(event.or_else(|| self.drops.next(|| encoder.ledger())))
    }

    fn flush(&mut self) -> Result<()> {
        self.encoder.lock().flush()
    }

    fn is_drained(&self) -> bool {
        self.encoder.lock().is_drained()
    }

    fn is_hungry(&self) -> bool {
        self.encoder.lock().queued() == 0
    }

    fn name(&self) -> &'static str {
        "encode"
    }

    fn report(&self) -> Option<StageReport> {
        Some(StageReport::Switching(self.encoder.lock().summary()))
    }
}

/// Conversion, cropping and scaling as a stage: frames to frames. Each stream has a dispatcher of its own, because frames
/// come out in its order.
pub struct TransformStage {
    dispatcher: TransformDispatcher,
    request: TransformRequest,
    generation: u64,
    /// Stale frames told as events.
    reported: u64,
    inside: u64,
}

impl TransformStage {
    /// The dispatcher must be fresh.
    pub fn new(dispatcher: TransformDispatcher, request: TransformRequest) -> Self {
        Self { dispatcher, request, generation: 0, reported: 0, inside: 0 }
    }
}

impl Stage for TransformStage {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        let frame = frame(unit, self.name())?;
        Ok(match self.dispatcher.submit_with_generation(frame, &self.request, self.generation) {
            Ok(()) => {
                self.inside += 1;
                Submit::Accepted
            }
            Err(back) => Submit::Full(back.into()),
        })
    }

    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        let event = match self.dispatcher.try_reap() {
            Ok(Some(frame)) => Some(StageEvent::Unit(frame.into())),
            // One frame is lost by it and the dispatcher goes on, whatever the error's kind.
            Err(error) => Some(StageEvent::Failed(error)),
            Ok(None) if self.generation > 0 && self.dispatcher.stats().stale > self.reported => {
                self.reported += 1;
                Some(StageEvent::Dropped(super::policy::reason::STALE))
            }
            Ok(None) => None,
        };
        self.inside -= u64::from(event.is_some());
        Ok(event)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_drained(&self) -> bool {
        self.inside == 0
    }

    fn is_hungry(&self) -> bool {
        // It holds nothing back: what is inside comes out by itself.
        self.inside == 0
    }

    fn discard(&mut self) {
        self.generation += 1;
        self.dispatcher.set_generation(self.generation);
    }

    fn name(&self) -> &'static str {
        "transform"
    }

    fn report(&self) -> Option<StageReport> {
        Some(StageReport::Transform(self.dispatcher.stats()))
    }
}
