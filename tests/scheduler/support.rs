//! Pictures, and stages whose every step is the test's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use video_hw::Result;
use video_hw::backend::mock::mock_packet;
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface, Surface};
use video_hw::packet::Packet;
use video_hw::pipeline::scheduler::{Delivery, PipelineScheduler, Stage, StageEvent, StreamOutput, Unit};
use video_hw::pixel::PixelFormat;
use video_hw::session::Submit;
use video_hw::time::{TimeBase, Timestamp};

pub(crate) fn time(number: u64) -> Timestamp {
    Timestamp::new(number as i64, TimeBase::MPEG)
}

pub(crate) fn frame(number: u64) -> Frame {
    let size = Dimensions::new(16, 16).unwrap();
    let grey = vec![number as u8; PixelFormat::I420.frame_bytes(size)];
    Frame::host(time(number), HostSurface::from_packed(PixelFormat::I420, size, grey).unwrap())
}

/// A frame of this size, without a picture.
pub(crate) fn sized(number: u64, width: u32, height: u32) -> Frame {
    let dimensions = Dimensions::new(width, height).unwrap();
    Frame { dimensions, surface: Surface::None, ..frame(number) }
}

pub(crate) fn packet(number: u64, keyframe: bool) -> Packet {
    Packet { pts: Some(time(number)), keyframe, ..mock_packet(number) }
}

/// The number that a unit was made with.
pub(crate) fn number(unit: &Unit) -> u64 {
    match unit {
        Unit::Frame(frame) => frame.pts.ticks() as u64,
        Unit::Packet(packet) => packet.pts.unwrap().ticks() as u64,
    }
}

pub(crate) fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| number(&delivery.unit)).collect()
}

/// Everything that can move has moved.
pub(crate) fn settle(scheduler: &PipelineScheduler) {
    for _ in 0..10_000 {
        if !scheduler.turn() {
            return;
        }
    }
    panic!("the scheduler does not come to rest");
}

/// What is ready.
pub(crate) fn ready(output: &mut StreamOutput) -> Vec<Delivery> {
    std::iter::from_fn(|| output.try_reap().unwrap()).collect()
}

/// A stage of which the test holds the other end: it gives what it is told to, when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Puppet(Arc<Mutex<Strings>>);

#[derive(Default)]
struct Strings {
    eager: bool,
    room: Option<usize>,
    inside: VecDeque<Unit>,
    done: VecDeque<StageEvent>,
    fatal: Option<Error>,
    refuse: Option<Error>,
    panics: bool,
    flushes: usize,
    discards: usize,
    /// Never says that it is drained.
    stubborn: bool,
    /// Keeps units to itself, flushed or not.
    forgets: bool,
    waker: Option<Waker>,
}

impl Puppet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Gives every unit at once.
    pub(crate) fn eager() -> Self {
        let puppet = Self::default();
        puppet.pull(|strings| strings.eager = true);
        puppet
    }

    fn pull<R>(&self, pull: impl FnOnce(&mut Strings) -> R) -> R {
        let mut strings = self.0.lock().unwrap();
        let pulled = pull(&mut strings);
        let waker = strings.waker.clone();
        drop(strings);
        if let Some(waker) = waker {
            waker.wake();
        }
        pulled
    }

    /// Takes at most so many units.
    pub(crate) fn room(&self, units: usize) {
        self.pull(|strings| strings.room = Some(units));
    }

    /// Numbers of the units inside, oldest first.
    pub(crate) fn inside(&self) -> Vec<u64> {
        self.0.lock().unwrap().inside.iter().map(number).collect()
    }

    /// Those of them that are frames to be coded as IDRs.
    pub(crate) fn idrs(&self) -> Vec<u64> {
        let strings = self.0.lock().unwrap();
        let idr = |unit: &&Unit| matches!(unit, Unit::Frame(frame) if frame.force_keyframe);
        strings.inside.iter().filter(idr).map(number).collect()
    }

    /// Finishes the oldest units as they are.
    pub(crate) fn finish(&self, units: usize) {
        self.pull(|strings| {
            for unit in strings.inside.drain(..units) {
                strings.done.push_back(StageEvent::Unit(unit));
            }
        });
    }

    /// The oldest unit comes to this.
    pub(crate) fn tell(&self, event: StageEvent) {
        self.pull(|strings| {
            strings.inside.pop_front();
            strings.done.push_back(event);
        });
    }

    pub(crate) fn die(&self, error: Error) {
        self.pull(|strings| strings.fatal = Some(error));
    }

    pub(crate) fn refuse(&self, error: Error) {
        self.pull(|strings| strings.refuse = Some(error));
    }

    pub(crate) fn panic(&self) {
        self.pull(|strings| strings.panics = true);
    }

    pub(crate) fn forget(&self) {
        self.pull(|strings| strings.forgets = true);
    }

    pub(crate) fn stubborn(&self, stubborn: bool) {
        self.pull(|strings| strings.stubborn = stubborn);
    }

    pub(crate) fn flushes(&self) -> usize {
        self.0.lock().unwrap().flushes
    }

    pub(crate) fn discards(&self) -> usize {
        self.0.lock().unwrap().discards
    }
}

impl Stage for Puppet {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        let mut strings = self.0.lock().unwrap();
        if let Some(error) = strings.refuse.take() {
            return Err(error);
        }
        if strings.room.is_some_and(|room| strings.inside.len() >= room) {
            return Ok(Submit::Full(unit));
        }
        if strings.eager {
            strings.done.push_back(StageEvent::Unit(unit));
        } else {
            strings.inside.push_back(unit);
        }
        Ok(Submit::Accepted)
    }

    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        let (event, panics) = {
            let mut strings = self.0.lock().unwrap();
            if let Some(error) = strings.fatal.take() {
                return Err(error);
            }
            (strings.done.pop_front(), std::mem::take(&mut strings.panics))
        };
        assert!(!panics, "scripted panic");
        Ok(event)
    }

    fn flush(&mut self) -> Result<()> {
        let mut strings = self.0.lock().unwrap();
        strings.flushes += 1;
        let inside = std::mem::take(&mut strings.inside);
        if !strings.forgets {
            strings.done.extend(inside.into_iter().map(StageEvent::Unit));
        }
        Ok(())
    }

    fn is_drained(&self) -> bool {
        let strings = self.0.lock().unwrap();
        strings.inside.is_empty() && strings.done.is_empty() && !strings.stubborn
    }

    fn discard(&mut self) {
        self.0.lock().unwrap().discards += 1;
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.0.lock().unwrap().waker = Some(waker.clone());
    }

    fn wakes(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "puppet"
    }
}
