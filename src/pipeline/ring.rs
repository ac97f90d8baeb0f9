//! A ring of frames between a producer that comes unevenly, such as a network, and an encoder that works evenly.
//!
//! It holds a fixed number of frames. The producer waits while it is full ([`RingProducer::push`]) or is told so
//! ([`RingProducer::try_push`]: a live source drops then); the consumer waits while it is empty. Closing or cancelling at either
//! end wakes the other. Memory of frames that were written through [`RingProducer::slot`] is used again once the encoder
//! has let go of it, so that a steady stream allocates no pictures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::buffer_pool::{BufferPool, PooledBuffer};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::queue::{self, QueueReceiver, QueueSender, QueueStats, Received, TrySend};
use crate::stages::{Histogram, StageSummary};
use crate::sync::lock;
use crate::time::Timestamp;

/// Frames that are neither in the ring nor free: one that the producer writes, and those inside the encoder. Memory beyond these
/// is given back when a burst is over.
const SPARE_SLOTS: usize = 8;
/// Most frames of a ring: an hour at 30 frames a second would be memory without end.
const MAX_FRAMES: usize = 4096;

/// The end that frames go in at. Dropping it closes the ring: what is inside still comes out.
#[derive(Debug)]
pub struct RingProducer {
    queue: QueueSender<Frame>,
    pool: Arc<BufferPool>,
    meter: Arc<Meter>,
    /// A task waits for room, or for a frame.
    waiting_since: Option<Instant>,
}

/// The end that frames come out at. Dropping it cancels the ring: what is inside is dropped, and the producer is told.
#[derive(Debug)]
pub struct RingConsumer {
    queue: QueueReceiver<Frame>,
    /// For its numbers.
    pool: Arc<BufferPool>,
    meter: Arc<Meter>,
    /// A task waits for room, or for a frame.
    waiting_since: Option<Instant>,
}

/// What a ring saw so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Frames inside: capacity, now, at most.
    pub frames: QueueStats,
    /// Times that a [slot](RingProducer::slot) needed new memory: a few at the beginning, none once the stream is steady.
    pub slots_made: u64,
    /// Frames that went in.
    pub pushed: u64,
    /// Frames that found no room and were handed back.
    pub refused: u64,
    /// Time that the producer waited for room.
    pub producer_waited: Duration,
    /// Time that the consumer waited for frames.
    pub consumer_waited: Duration,
    /// Times from one frame going in to the next.
    pub arrivals: StageSummary,
    /// Times from one frame coming out to the next.
    pub departures: StageSummary,
}

#[derive(Debug, Default)]
struct Meter {
    pushed: AtomicU64,
    refused: AtomicU64,
    producer_waited: AtomicU64,
    consumer_waited: AtomicU64,
    arrivals: Beat,
    departures: Beat,
}

/// Times from one event to the next.
#[derive(Debug, Default)]
struct Beat {
    last: Mutex<Option<Instant>>,
    intervals: Histogram,
}

impl Beat {
    fn tick(&self) {
        let now = Instant::now();
        if let Some(last) = lock(&self.last).replace(now) {
            self.intervals.record(now.saturating_duration_since(last));
        }
    }
}

impl Meter {
    fn pushed(&self) {
        self.pushed.fetch_add(1, Ordering::Relaxed);
        self.arrivals.tick();
    }

    fn stats(&self, frames: QueueStats, slots_made: u64) -> RingStats {
        let time = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        RingStats {
            frames,
            slots_made,
            pushed: self.pushed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            producer_waited: time(&self.producer_waited),
            consumer_waited: time(&self.consumer_waited),
            arrivals: self.arrivals.intervals.summary(),
            departures: self.departures.intervals.summary(),
        }
    }
}

fn waited(counter: &AtomicU64, since: Instant) {
    let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    counter.fetch_add(nanos, Ordering::Relaxed);
}

/// Makes a ring of so many frames.
///
/// ```
/// # fn main() -> video_hw::Result<()> {
/// use video_hw::dimensions::Dimensions;
/// use video_hw::pipeline::frame_ring;
/// use video_hw::pixel::PixelFormat;
/// use video_hw::time::{TimeBase, Timestamp};
///
/// let (mut producer, mut consumer) = frame_ring(32)?;
/// let size = Dimensions::new(64, 48).ok_or_else(|| video_hw::Error::invalid("size"))?;
/// let base = TimeBase::new(1, 30).ok_or_else(|| video_hw::Error::invalid("time base"))?;
/// let mut slot = producer.slot(PixelFormat::Rgb24, size);
/// slot.as_mut().fill(128);
/// let frame = slot.into_frame(Timestamp::new(0, base))?;
/// assert!(producer.push(frame).is_ok());
/// drop(producer);
/// assert_eq!(consumer.pop().map(|frame| frame.dimensions), Some(size));
/// assert!(consumer.pop().is_none());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::InvalidInput`] for none, or for more than 4096.
pub fn frame_ring(frames: usize) -> Result<(RingProducer, RingConsumer)> {
    if !(1..=MAX_FRAMES).contains(&frames) {
        return Err(Error::invalid(format!("a ring of {frames} frames; it holds 1 to {MAX_FRAMES}")));
    }
    let (sender, receiver) = queue::bounded(frames);
    let meter = Arc::new(Meter::default());
    // Besides those inside one is being written, and the encoder works on others: see `SPARE_SLOTS`.
    let pool = BufferPool::new(frames + SPARE_SLOTS);
    Ok((
        RingProducer {
            queue: sender,
            pool: Arc::clone(&pool),
            meter: Arc::clone(&meter),
            waiting_since: None,
        },
        RingConsumer { queue: receiver, pool, meter, waiting_since: None },
    ))
}

impl RingProducer {
    /// Memory for a picture, packed, with any contents; never waits.
    pub fn slot(&mut self, format: PixelFormat, dimensions: Dimensions) -> RingSlot {
        let memory = self.pool.take(format.frame_bytes(dimensions));
        RingSlot { format, dimensions, memory }
    }

    /// Puts a frame in, waiting while the ring is full.
    ///
    /// # Errors
    /// The frame, when the consumer is gone.
    #[allow(clippy::result_large_err, reason = "the frame goes back to whoever gave it")]
    pub fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        let frame = match self.queue.try_send(frame) {
            Ok(()) => {
                self.meter.pushed();
                return Ok(());
            }
            Err(TrySend::Closed(frame)) => return Err(frame),
            Err(TrySend::Full(frame)) => frame,
        };
        let since = Instant::now();
        let sent = self.queue.send(frame);
        waited(&self.meter.producer_waited, since);
        if sent.is_ok() {
            self.meter.pushed();
        }
        sent
    }

    /// Puts a frame in if there is room now.
    ///
    /// # Errors
    /// The frame, when the ring is full (counted) or the consumer is gone.
    #[allow(clippy::result_large_err, reason = "the frame goes back to whoever gave it")]
    pub fn try_push(&mut self, frame: Frame) -> Result<(), TrySend<Frame>> {
        let sent = self.queue.try_send(frame);
        match &sent {
            Ok(()) => self.meter.pushed(),
            Err(TrySend::Full(_)) => {
                self.meter.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySend::Closed(_)) => {}
        }
        sent
    }

    /// Whether [`Self::try_push`] would take a frame or find the consumer gone; where not, the task is woken when it would.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self.queue.poll_ready(cx);
        if ready.is_pending() {
            self.waiting_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.waiting_since.take() {
            waited(&self.meter.producer_waited, since);
        }
        ready
    }

    /// Ends the ring at once: what is inside is dropped, nothing goes in any more, and the consumer finds the end.
    pub fn cancel(&mut self) {
        self.queue.monitor().end();
    }

    /// Whether the consumer is gone, or the ring was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.queue.is_closed()
    }

    /// What the ring saw so far.
    pub fn stats(&self) -> RingStats {
        self.meter.stats(self.queue.stats(), self.pool.made())
    }

    /// What sees how full the ring is, wherever its ends are.
    #[cfg(feature = "metrics")]
    pub(crate) fn monitor(&self) -> queue::QueueMonitor {
        self.queue.monitor()
    }
}

impl RingConsumer {
    /// The oldest frame, waiting for one; `None` once the ring is closed and empty.
    pub fn pop(&mut self) -> Option<Frame> {
        if let Received::Item(frame) = self.queue.try_recv() {
            self.meter.departures.tick();
            return Some(frame);
        }
        let since = Instant::now();
        let frame = self.queue.recv();
        waited(&self.meter.consumer_waited, since);
        if frame.is_some() {
            self.meter.departures.tick();
        }
        frame
    }

    /// As [`Self::pop`]; instead of waiting the task is woken when there is a frame or the end.
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let frame = self.queue.poll_recv(cx);
        if frame.is_pending() {
            self.waiting_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.waiting_since.take() {
            waited(&self.meter.consumer_waited, since);
        }
        if matches!(frame, Poll::Ready(Some(_))) {
            self.meter.departures.tick();
        }
        frame
    }

    /// The oldest frame, waiting at most so long.
    pub fn pop_timeout(&mut self, timeout: Duration) -> Received<Frame> {
        let since = Instant::now();
        let received = self.queue.recv_timeout(timeout);
        waited(&self.meter.consumer_waited, since);
        if matches!(received, Received::Item(_)) {
            self.meter.departures.tick();
        }
        received
    }

    /// What the ring saw so far.
    pub fn stats(&self) -> RingStats {
        self.meter.stats(self.queue.stats(), self.pool.made())
    }
}

/// Memory of a picture that is being written.
#[derive(Debug)]
pub struct RingSlot {
    format: PixelFormat,
    dimensions: Dimensions,
    memory: PooledBuffer,
}

impl AsMut<[u8]> for RingSlot {
    fn as_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut()
    }
}

impl RingSlot {
    /// The picture is written.
    ///
    /// # Errors
    /// Never, as long as the memory has the picture's size, which it has.
    pub fn into_frame(self, pts: Timestamp) -> Result<Frame> {
        let surface = HostSurface::from_packed(self.format, self.dimensions, Bytes::from_owner(self.memory))?;
        Ok(Frame::host(pts, surface))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeBase;

    fn size() -> Dimensions {
        Dimensions::new(16, 16).unwrap()
    }

    fn frame(producer: &mut RingProducer, number: i64) -> Frame {
        let slot = producer.slot(PixelFormat::Nv12, size());
        slot.into_frame(Timestamp::new(number, TimeBase::new(1, 30).unwrap())).unwrap()
    }

    #[test]
    fn memory_comes_back_with_the_last_frame_over_it() {
        let (mut producer, mut consumer) = frame_ring(2).unwrap();
        let first = frame(&mut producer, 0);
        let address = first.as_host().unwrap().plane(0).unwrap().data().as_ptr();
        producer.push(first).unwrap();
        let kept = consumer.pop().unwrap();
        let clone = kept.clone();
        drop(kept);
        let other = producer.slot(PixelFormat::Nv12, size());
        assert_ne!(other.memory.as_ref().as_ptr(), address, "a frame still uses it");
        drop(clone);
        assert_eq!(producer.slot(PixelFormat::Nv12, size()).memory.as_ref().as_ptr(), address);
        assert_eq!(producer.stats().slots_made, 2);
        // Of another size there is none, and the old one goes.
        assert_eq!(producer.slot(PixelFormat::Rgb24, size()).memory.as_ref().len(), 768);
    }

    #[test]
    fn a_full_ring_hands_frames_back_and_counts_them() {
        let (mut producer, mut consumer) = frame_ring(2).unwrap();
        for number in 0..2 {
            let next = frame(&mut producer, number);
            producer.try_push(next).unwrap();
        }
        let third = frame(&mut producer, 2);
        assert!(matches!(producer.try_push(third), Err(TrySend::Full(back)) if back.pts.ticks() == 2));
        assert_eq!(consumer.pop().unwrap().pts.ticks(), 0);
        let stats = producer.stats();
        assert_eq!((stats.pushed, stats.refused, stats.frames.peak, stats.frames.depth), (2, 1, 2, 1));
        drop(consumer);
        assert!(producer.is_cancelled());
        let fourth = frame(&mut producer, 3);
        assert_eq!(producer.push(fourth).unwrap_err().pts.ticks(), 3);
    }

    #[test]
    fn cancelling_drops_what_is_inside() {
        let (mut producer, mut consumer) = frame_ring(2).unwrap();
        let first = frame(&mut producer, 0);
        producer.push(first).unwrap();
        producer.cancel();
        assert!(producer.is_cancelled() && consumer.pop().is_none());
        let second = frame(&mut producer, 1);
        assert!(matches!(producer.try_push(second), Err(TrySend::Closed(_))));
        assert_eq!(producer.stats().slots_made, 1, "what was dropped is used again");
    }

    #[test]
    fn either_end_wakes_the_other() {
        let (mut producer, mut consumer) = frame_ring(1).unwrap();
        let first = frame(&mut producer, 0);
        producer.push(first).unwrap();
        let second = frame(&mut producer, 1);
        let blocked = std::thread::spawn(move || {
            let pushed = producer.push(second).is_ok();
            (pushed, producer)
        });
        assert_eq!(consumer.pop().unwrap().pts.ticks(), 0);
        let (pushed, producer) = blocked.join().unwrap();
        assert!(pushed);
        let waiting = std::thread::spawn(move || (consumer.pop().is_some(), consumer.pop().is_none()));
        drop(producer);
        assert_eq!(waiting.join().unwrap(), (true, true));
        assert!(frame_ring(0).is_err() && frame_ring(MAX_FRAMES + 1).is_err());
    }
}
