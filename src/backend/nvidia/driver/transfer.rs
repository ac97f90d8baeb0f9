//! Work that reads a picture on the device: copies and conversions, enqueued on a stream of its own and waited for later,
//! while the next pictures are decoded, mapped and copied.

use super::cuda::{Context, Event, Stream, Waiting};
use super::cuvid::{Decoder, Mapped};
use super::cuvid_abi::DisplayInfo;
use super::memory::{Allocation, DeviceBlock, PinnedMemory, copy_inside, copy_to_host};
use super::planes::{Planes, lies_in};
use crate::backend::DeviceTimes;
use crate::backend::nvidia::transform::Converter;
use crate::error::{Error, Result};
use crate::frame::{DevicePlane, DeviceSurface};
use std::sync::Arc;
use std::time::Duration;

/// A stream, and the events before, between and behind the steps that were enqueued on it last. One for each picture under
/// way, so that their work overlaps; used again and again, since making any of it costs more than copying a small picture.
#[derive(Debug)]
pub(crate) struct Lane {
    // Destroyed in this order.
    begun: Event,
    /// The frame is made; what follows is its way to the host.
    made: Event,
    done: Event,
    stream: Stream,
}

impl Lane {
    pub(crate) fn new(context: &Arc<Context>, waiting: Waiting) -> Result<Self> {
        let event = || Event::new(context, waiting);
        Ok(Self { begun: event()?, made: event()?, done: event()?, stream: Stream::new(context)? })
    }

    pub(crate) const fn context(&self) -> &Arc<Context> {
        self.stream.context()
    }
}

/// Where a picture goes: into device memory, into host memory, or into the first and from there into the second.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) device: Option<DeviceBlock>,
    pub(crate) host: Option<PinnedMemory>,
}

/// The way of a picture through its memory.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    /// The picture's planes inside the mapped memory.
    pub(crate) source: Planes,
    /// Its planes in the device memory that it goes to; the same as `source` where there is none.
    pub(crate) target: Planes,
    /// Makes the target from the source; without it they are of one format and the samples are copied.
    pub(crate) converter: Option<&'a Converter>,
}

/// A picture on its way. Owns what is read and written until it is done; however it ends, the picture is unmapped and the
/// memory freed behind all work that was enqueued.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// Both are there until `finish` takes them.
    parts: Option<(Mapped, Memory)>,
    lane: Option<Lane>,
    /// The lane's event is behind all of its work.
    recorded: bool,
}

impl Transfer {
    /// Maps a picture; its post-processing is work of the lane.
    ///
    /// # Errors
    /// A failing driver; the lane comes back.
    pub(crate) fn map(
        lane: Lane,
        decoder: &Arc<Decoder>,
        shown: &DisplayInfo,
    ) -> Result<(Self, Planar), Box<(Lane, Error)>> {
        match decoder.map(shown, &lane.stream) {
            Ok(mapped) => {
                let planar = Planar { address: mapped.address(), pitch: mapped.pitch() };
                let parts = Some((mapped, Memory::default()));
                Ok((Self { parts, lane: Some(lane), recorded: false }, planar))
            }
            Err(error) => Err(Box::new((lane, error))),
        }
    }

    /// Enqueues the way of the picture into `memory`.
    ///
    /// # Errors
    /// Planes outside their memory; a failing driver.
    pub(crate) fn fill(&mut self, memory: Memory, route: &Route<'_>) -> Result<()> {
        let (Some((mapped, own)), Some(lane)) = (&mut self.parts, &self.lane) else {
            return Err(Error::invalid("a transfer that is over"));
        };
        *own = memory;
        enqueue(lane, mapped, own, route)?;
        lane.done.record(&lane.stream)?;
        self.recorded = true;
        Ok(())
    }

    /// Whether finishing it would not wait.
    pub(crate) fn is_done(&self) -> bool {
        // An error is one that finishing tells.
        self.recorded && self.lane.as_ref().is_none_or(|lane| lane.done.is_done().unwrap_or(true))
    }

    /// Waits for the work, unmaps the picture, and gives back the memory, filled, how long the device took for each step,
    /// and the lane. After a failure the memory is freed and not used again.
    pub(crate) fn finish(mut self) -> (Result<(Memory, DeviceTimes)>, Option<Lane>) {
        let done = self.settle();
        let lane = self.lane.take();
        let memory = self.parts.take().map(|(_, memory)| memory).unwrap_or_default();
        let mut times = DeviceTimes::default();
        if let (Ok(()), Some(lane), true) = (&done, &lane, self.recorded) {
            times.convert = memory.device.as_ref().and_then(|_| lane.made.since(&lane.begun));
            times.download = memory.host.as_ref().and_then(|_| lane.done.since(&lane.made));
        }
        (done.map(|()| (memory, times)), lane)
    }

    /// Waits for the lane's work.
    fn settle(&self) -> Result<()> {
        match &self.lane {
            Some(lane) if self.recorded => lane.done.synchronize(),
            // Without the event behind it, all that the stream has been given.
            Some(lane) => lane.stream.synchronize(),
            None => Ok(()),
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // Where waiting fails the device is lost, and nothing runs on it any more.
        let _ = self.settle();
    }
}

/// Converts a complete picture, which lies in `from`, into `to`, and waits until it is done.
///
/// # Errors
/// Planes outside their memory; a failing driver.
pub(crate) fn convert_frame(
    lane: &Lane,
    converter: &Converter,
    (source, from): (&[DevicePlane], &DeviceBlock),
    (target, to): (&Planes, &mut DeviceBlock),
) -> Result<()> {
    if !source.iter().all(|plane| lies_in(plane, from.address(), from.bytes())) {
        return Err(Error::invalid(format!("{source:?} are not inside their memory")));
    }
    target.check(to.address(), to.bytes())?;
    // SAFETY: both ranges were checked, and are borrowed until the stream has been waited for, which is before anything is
    // returned; the target is its owner's alone. The launch describes one of the converter's kernels with its one parameter.
    let enqueued = unsafe { converter.launch(source, target)?.enqueue(&lane.stream) };
    enqueued.and(lane.stream.synchronize())
}

/// A frame on its way from device memory to host memory. Owns both, as [`Transfer`] does.
#[derive(Debug)]
pub(crate) struct FrameCopy {
    /// Both are there until `finish` takes them.
    lane: Option<Lane>,
    to: Option<PinnedMemory>,
    recorded: bool,
    /// Before the allocation: nobody else writes the frame while it is held.
    _frame: DeviceSurface,
    /// The memory stays, whatever the frame's owner is.
    _allocation: Arc<Allocation>,
}

impl FrameCopy {
    /// Begins to copy a complete frame, which lies in `block`, packed into `to`.
    ///
    /// # Errors
    /// A frame outside its memory, or larger than `to`; a failing driver.
    pub(crate) fn start(
        lane: Lane,
        frame: DeviceSurface,
        block: &DeviceBlock,
        to: PinnedMemory,
    ) -> Result<Self> {
        if !frame.planes().iter().all(|plane| lies_in(plane, block.address(), block.bytes())) {
            return Err(Error::invalid(format!("{:?} are not inside their memory", frame.planes())));
        }
        let allocation = Arc::clone(block.allocation());
        let planes = frame.planes().to_vec();
        let mut copy =
            Self { lane: Some(lane), to: Some(to), recorded: false, _frame: frame, _allocation: allocation };
        if let (Some(lane), Some(to)) = (&copy.lane, &mut copy.to) {
            lane.made.record(&lane.stream)?;
            // SAFETY: the planes were checked to lie in the allocation, which is held; so is the target, which nobody
            // else uses. Both until `finish` or `drop` has waited for the work.
            unsafe { copy_to_host(&lane.stream, &planes, to) }?;
            lane.done.record(&lane.stream)?;
        }
        copy.recorded = true;
        Ok(copy)
    }

    /// Whether finishing it would not wait.
    pub(crate) fn is_done(&self) -> bool {
        // An error is one that finishing tells.
        self.lane.as_ref().is_none_or(|lane| lane.done.is_done().unwrap_or(true))
    }

    /// Waits for the work and gives back the memory, filled, how long the copy took, and the lane. After a failure the
    /// memory is freed and not used again.
    pub(crate) fn finish(mut self) -> (Result<(PinnedMemory, Option<Duration>)>, Option<Lane>) {
        let done = self.settle();
        let lane = self.lane.take();
        let took = lane.as_ref().filter(|_| done.is_ok()).and_then(|lane| lane.done.since(&lane.made));
        let memory = self.to.take().ok_or_else(|| Error::invalid("a copy that is over"));
        (done.and(memory).map(|memory| (memory, took)), lane)
    }

    fn settle(&self) -> Result<()> {
        match &self.lane {
            Some(lane) if self.recorded => lane.done.synchronize(),
            Some(lane) => lane.stream.synchronize(),
            None => Ok(()),
        }
    }
}

impl Drop for FrameCopy {
    fn drop(&mut self) {
        // Where waiting fails the device is lost, and nothing runs on it any more.
        let _ = self.settle();
    }
}

/// Where the decoder has put a mapped picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planar {
    pub(crate) address: u64,
    pub(crate) pitch: usize,
}

fn enqueue(lane: &Lane, mapped: &Mapped, memory: &mut Memory, route: &Route<'_>) -> Result<()> {
    let stream = &lane.stream;
    let mapped_bytes = mapped.pitch().saturating_mul(mapped.rows());
    route.source.check(mapped.address(), mapped_bytes)?;
    let mut picture = &route.source;
    if let Some(block) = &memory.device {
        lane.begun.record(stream)?;
        route.target.check(block.address(), block.bytes())?;
        picture = &route.target;
        match route.converter {
            // SAFETY: the source lies inside the mapped picture, which stays mapped, and the target inside the block,
            // which nobody else uses, until the event that `start` records has been waited for.
            // The launch describes one of the converter's kernels with its one parameter, and the converter lives as long as
            // the plan that the picture's owner holds.
            Some(converter) => unsafe { converter.launch(&route.source, &route.target)?.enqueue(stream) }?,
            // SAFETY: as above.
            None => unsafe { copy_inside(stream, &route.source, &route.target) }?,
        }
    } else if route.converter.is_some() {
        return Err(Error::invalid("a conversion without device memory to write to"));
    }
    lane.made.record(stream)?;
    if let Some(host) = &mut memory.host {
        // SAFETY: as above; the same stream keeps the order, and the buffer is owned by the transfer until it is done.
        unsafe { copy_to_host(stream, picture, host) }?;
    }
    Ok(())
}
