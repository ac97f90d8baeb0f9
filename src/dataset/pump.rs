//! Pictures into a stream's encoder and chunks out of it, on whichever thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::EncodedChunk;
use super::encoder::Counts;
use crate::control::SwitchingEncoder;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::pipeline::{RingConsumer, RingProducer, RingStats, frame_ring};
use crate::session::Submit;
use crate::sync::lock;
use crate::time::Timestamp;
use crate::transform;

/// While the encoder takes no more, its packets are looked for this often.
const SLICE: Duration = Duration::from_millis(2);
/// While the ring is empty, packets are looked for this often: they shall not wait for the next picture.
const IDLE: Duration = Duration::from_millis(5);

/// Chunks that are ready, and the times that were given for pictures whose chunks are not.
#[derive(Clone, Default)]
pub(super) struct Ready(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    chunks: VecDeque<EncodedChunk>,
    /// Corrected times: the one that the picture has, and the one that was given.
    corrected: VecDeque<(Timestamp, Timestamp)>,
}

impl Ready {
    /// Notes the time that was given for a picture which has another.
    pub(super) fn corrected(&self, written: Timestamp, given: Timestamp) {
        lock(&self.0).corrected.push_back((written, given));
    }

    fn put(&self, packet: Packet) -> Result<()> {
        let mut chunk = EncodedChunk::of(packet)?;
        let mut inner = lock(&self.0);
        if let Some(at) = inner.corrected.iter().position(|(written, _)| *written == chunk.pts) {
            inner.corrected.remove(at).into_iter().for_each(|(_, given)| chunk.given = given);
        }
        // A picture that is not shown after this is decoded has no chunk any more.
        while inner.corrected.pop_front_if(|(written, _)| *written <= chunk.dts).is_some() {}
        inner.chunks.push_back(chunk);
        Ok(())
    }

    pub(super) fn next(&self) -> Option<EncodedChunk> {
        lock(&self.0).chunks.pop_front()
    }

    pub(super) fn all(&self) -> Vec<EncodedChunk> {
        lock(&self.0).chunks.drain(..).collect()
    }
}

/// A stream and where its chunks go.
pub(super) struct Pump {
    pub(super) stream: SwitchingEncoder,
    pub(super) ready: Ready,
    pub(super) counts: Arc<Counts>,
}

impl Pump {
    /// Encodes a picture, waiting for room.
    pub(super) fn give(&mut self, frame: &Frame) -> Result<()> {
        let format = self.stream.frame_format();
        self.counts.converted.fetch_add(u64::from(frame.format != format), Ordering::Relaxed);
        let mut frame = transform::convert(frame, format)?.frame;
        loop {
            match self.stream.submit(frame)? {
                Submit::Accepted => return self.collect(),
                Submit::Full(back) => frame = back,
            }
            if let Some(packet) = self.stream.reap_timeout(SLICE)? {
                self.ready.put(packet)?;
            }
        }
    }

    /// Takes the packets that are ready.
    fn collect(&mut self) -> Result<()> {
        while let Some(packet) = self.stream.try_reap()? {
            self.ready.put(packet)?;
        }
        Ok(())
    }

    /// Takes everything that is left.
    pub(super) fn finish(&mut self) -> Result<()> {
        for packet in self.stream.drain()? {
            self.ready.put(packet?)?;
        }
        Ok(())
    }
}

/// A pump on a thread of its own, behind a ring. Dropping it gives up what is in the ring and in the encoder, and waits for
/// the thread: the encoder's session is closed then.
pub(super) struct Behind {
    pub(super) producer: RingProducer,
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<Done>>,
    #[cfg(feature = "metrics")]
    _observed: crate::metrics::Observed,
}

type Done = (Pump, Result<RingStats>);

impl Behind {
    pub(super) fn start(mut pump: Pump, frames: usize) -> Result<Self> {
        let (producer, mut consumer) = frame_ring(frames)?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let given_up = Arc::clone(&cancelled);
        #[cfg(feature = "metrics")]
        let observed = pump.stream.observe_ring(producer.monitor());
        let thread = std::thread::Builder::new()
            .name("vhw-dataset".to_owned())
            .spawn(move || {
                let done = run(&mut pump, &mut consumer, &given_up);
                let stats = consumer.stats();
                // Whoever waits for room in the ring is told by its end.
                drop(consumer);
                (pump, done.map(|()| stats))
            })
            .map_err(|source| Error::io("start a thread for", "vhw-dataset", source))?;
        Ok(Self {
            producer,
            cancelled,
            thread: Some(thread),
            #[cfg(feature = "metrics")]
            _observed: observed,
        })
    }

    /// Encodes what is in the ring and everything inside, and gives the pump back.
    pub(super) fn finish(mut self) -> Result<(Pump, Result<RingStats>)> {
        let thread = self.thread.take();
        // Closes the ring.
        drop(self);
        thread
            .and_then(|thread| thread.join().ok())
            .ok_or_else(|| Error::corrupt_fatal("the thread that encodes panicked"))
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.cancelled.store(true, Ordering::Release);
            self.producer.cancel();
            // What it was at, or why it panicked, nobody wants to know any more.
            let _ = thread.join();
        }
    }
}

fn run(pump: &mut Pump, consumer: &mut RingConsumer, cancelled: &AtomicBool) -> Result<()> {
    use crate::queue::Received;
    loop {
        match consumer.pop_timeout(IDLE) {
            Received::Item(frame) => pump.give(&frame)?,
            Received::Empty => pump.collect()?,
            Received::Closed if cancelled.load(Ordering::Acquire) => return Ok(()),
            Received::Closed => return pump.finish(),
        }
    }
}
