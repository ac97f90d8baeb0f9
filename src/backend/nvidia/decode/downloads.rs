//! The last step of a stream that several decoders share: its pictures waited for older ones in device memory, and are
//! brought to the host when their turn has come.
//!
//! Waiting there is cheap, and making page-locked memory is not (0.3 ms a MiB): so only the few frames need some that are
//! under way or at the consumer, and not the hundreds that wait.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use super::pool::{Lease, Lent};
use crate::backend::DownloadStage;
use crate::backend::nvidia::driver::cuda::{Context, Waiting};
use crate::backend::nvidia::driver::memory::{DeviceBlock, PinnedMemory};
use crate::backend::nvidia::driver::transfer::{FrameCopy, Lane};
use crate::backend::{DecodeEvent, DecodeSink, DecodedPicture};
use crate::error::{Error, Result};
use crate::frame::{DeviceSurface, HostSurface, Surface};

/// Events inside at once. A copy takes longer to begin and to be noticed than to be made: some have to be under way.
const DEPTH: usize = 6;

/// Downloads frames in device memory of ours, and hands on everything else as it is.
pub(crate) struct Downloads {
    sink: DecodeSink,
    inside: VecDeque<Inside>,
    /// Those that no frame uses; there are as many as were ever needed at once.
    lanes: Vec<Lane>,
    /// For the frames of each card and size that came last.
    leases: Vec<Arc<Lease<PinnedMemory>>>,
}

enum Inside {
    /// It only keeps its place.
    Ready(DecodeEvent),
    UnderWay {
        picture: Box<DecodedPicture>,
        copy: FrameCopy,
        lease: Arc<Lease<PinnedMemory>>,
        bytes: usize,
    },
}

impl Downloads {
    pub(crate) fn new(sink: DecodeSink) -> Self {
        Self { sink, inside: VecDeque::with_capacity(DEPTH), lanes: Vec::new(), leases: Vec::new() }
    }

    fn begin(&mut self, picture: DecodedPicture) -> Inside {
        let started = match &picture.surface {
            Surface::Device(frame) => self.start(frame),
            Surface::Host(_) | Surface::None => return Inside::Ready(DecodeEvent::Picture(picture)),
        };
        match started {
            Ok((copy, lease, bytes)) => Inside::UnderWay { picture: Box::new(picture), copy, lease, bytes },
            Err(error) => Inside::Ready(DecodeEvent::Failed { serial: picture.serial, error }),
        }
    }

    fn start(&mut self, frame: &DeviceSurface) -> Result<(FrameCopy, Arc<Lease<PinnedMemory>>, usize)> {
        let memory: &dyn Any = frame.memory();
        let block = memory.downcast_ref::<Lent<DeviceBlock>>().and_then(Lent::block);
        let block = block.ok_or_else(|| Error::invalid("a frame in memory that nobody here has made"))?;
        let context = block.context();
        let bytes = frame.format().frame_bytes(frame.dimensions());
        let lease = self.lease(context, bytes);
        let to = lease.take()?;
        let idle = self.lanes.iter().position(|lane| Arc::ptr_eq(lane.context(), context));
        let lane = match idle {
            Some(index) => Ok(self.lanes.swap_remove(index)),
            // Asleep: the decoders' own threads may need every core.
            None => Lane::new(context, Waiting::Asleep),
        };
        let copy = lane.and_then(|lane| FrameCopy::start(lane, frame.clone(), block, to))?;
        Ok((copy, lease, bytes))
    }

    fn lease(&mut self, context: &Arc<Context>, bytes: usize) -> Arc<Lease<PinnedMemory>> {
        if let Some(lease) = self.leases.iter().find(|lease| lease.is_for(context, bytes)) {
            return Arc::clone(lease);
        }
        // A stream whose size changes leaves the memory of the old size, and that of other cards stays.
        self.leases.retain(|lease| !lease.is_of(context));
        let lease = Arc::new(Lease::new(context, bytes));
        self.leases.push(Arc::clone(&lease));
        lease
    }

    fn finish(&mut self, inside: Inside) -> DecodeEvent {
        let (mut picture, copy, lease, bytes) = match inside {
            Inside::Ready(event) => return event,
            Inside::UnderWay { picture, copy, lease, bytes } => (picture, copy, lease, bytes),
        };
        let (memory, lane) = copy.finish();
        self.lanes.extend(lane);
        let landed = memory.and_then(|(memory, took)| {
            picture.device_times.download = took;
            let data = lease.lend(memory).into_bytes(bytes);
            HostSurface::from_packed(picture.format, picture.dimensions, data)
        });
        match landed {
            Ok(host) => {
                picture.surface = Surface::Host(host);
                picture.copied.output += bytes as u64;
                DecodeEvent::Picture(*picture)
            }
            Err(error) => DecodeEvent::Failed { serial: picture.serial, error },
        }
    }
}

impl DownloadStage for Downloads {
    fn take(&mut self, event: DecodeEvent) -> bool {
        let done = |inside: &Inside| match inside {
            Inside::Ready(_) => true,
            Inside::UnderWay { copy, .. } => copy.is_done(),
        };
        while self.inside.len() >= DEPTH || self.inside.front().is_some_and(done) {
            if !self.hand_on() {
                return false;
            }
        }
        let inside = match event {
            DecodeEvent::Picture(picture) => self.begin(picture),
            other => Inside::Ready(other),
        };
        self.inside.push_back(inside);
        true
    }

    fn holds(&self) -> bool {
        !self.inside.is_empty()
    }

    fn hand_on(&mut self) -> bool {
        let Some(oldest) = self.inside.pop_front() else { return true };
        let event = self.finish(oldest);
        (self.sink)(event)
    }
}
