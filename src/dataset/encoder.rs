//! The encoder itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chain::{Chain, Running, USUAL_FORMAT};
use super::pump::{Behind, Pump, Ready};
use super::times::{Limits, RisingTimes, TimeCorrections};
use super::{EncodedChunk, EncoderConfig, EncoderType, GpuEncoderConfig, VideoEncoder};
use crate::backend::Receipt;
use crate::control::StreamSummary;
#[cfg(feature = "metrics")]
use crate::control::SwitchingEncoder;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::pipeline::RingStats;
use crate::sync::lock;
use crate::time::{TimeBase, Timestamp};
use crate::transform;

/// See the [module](super). Dropping it gives up pictures whose chunks are not out, and waits until the encoder is closed.
pub struct SessionVideoEncoder {
    config: EncoderConfig,
    /// Pictures in the ring; `None`: encode on the caller's thread.
    ring: Option<usize>,
    state: State,
    ready: Ready,
    running: Running,
    receipt: Receipt,
    /// Of the pictures that come without a time.
    base: TimeBase,
    count: i64,
    times: RisingTimes,
    counts: Arc<Counts>,
    last_ring: Option<RingStats>,
    #[cfg(feature = "metrics")]
    _observed: crate::metrics::Observed,
}

/// What a [`SessionVideoEncoder`] did, as far as its encoder's thread has told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncoderSummary {
    /// The stream: its ledger, its generations, what was switched and why.
    pub stream: StreamSummary,
    /// The ring before the last flush, where there was one.
    pub ring: Option<RingStats>,
    /// Pictures that were brought to the format that the encoder reads. Those that had to be converted once more, because an
    /// encoder took over that reads another, are in [`StreamSummary::converted`].
    pub converted: u64,
    /// Differences between the times of pictures and those that were given.
    pub times: TimeCorrections,
}

/// Counts that are kept on several threads, for metrics.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) converted: AtomicU64,
    pub(super) corrected: AtomicU64,
}

enum State {
    Here(Box<Pump>),
    Behind(Behind),
    /// It ended with an error, which was told.
    Over,
}

impl SessionVideoEncoder {
    /// Opens the first encoder that works, beginning with the preferred one.
    ///
    /// # Errors
    /// None does: why not.
    pub fn open(config: &EncoderConfig, gpu: &GpuEncoderConfig) -> Result<Self> {
        let base = TimeBase::from_frame_rate(config.frame_rate);
        // What the pictures' colour is once they are converted, the stream has to say.
        let bytes = config.pixel_format.frame_bytes(config.resolution);
        let blank = picture(config, vec![0; bytes], Timestamp::new(0, base))?;
        let color = transform::convert(&blank, USUAL_FORMAT)?.frame.color;
        let (stream, running) = Chain::new(config, gpu).start(color)?;
        let summary = stream.summary();
        let Some(receipt) = summary.generations.first().map(|first| first.receipt.clone()) else {
            return Err(Error::invalid("a stream without a first generation"));
        };
        let (ready, counts) = (Ready::default(), Arc::<Counts>::default());
        let limits = Limits { reorder: stream.reserve(), frame: base, any_pause: config.keep_long_pauses };
        #[cfg(feature = "metrics")]
        let observed = observed(&stream, Arc::clone(&counts));
        let pump = Pump { stream, ready: ready.clone(), counts: Arc::clone(&counts) };
        Ok(Self {
            config: config.clone(),
            ring: gpu.enable_ring_buffer.then_some(gpu.ring_buffer_size),
            state: State::Here(Box::new(pump)),
            ready,
            running,
            receipt,
            base,
            count: 0,
            times: RisingTimes::new(limits),
            counts,
            last_ring: None,
            #[cfg(feature = "metrics")]
            _observed: observed,
        })
    }

    /// The encoder that runs.
    pub fn encoder_type(&self) -> EncoderType {
        lock(&self.running).unwrap_or(EncoderType::Embedded)
    }

    /// Why this encoder was chosen, and what became of those before it.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// What the ring sees now, without waiting for anything; none without a ring, and before the first picture since a flush.
    /// [`RingStats::frames`] is the depth that metrics call `encoder_queue_depth`.
    pub fn ring(&self) -> Option<RingStats> {
        match &self.state {
            State::Behind(behind) => Some(behind.producer.stats()),
            State::Here(_) | State::Over => None,
        }
    }

    /// Returns how the times of pictures differ from those that were given so far, without waiting.
    pub const fn times(&self) -> &TimeCorrections {
        self.times.corrections()
    }

    /// What the encoder did. Flushes first, because pictures may be under way.
    ///
    /// # Errors
    /// As [`VideoEncoder::flush`]; chunks stay for the next call of that.
    pub fn summary(&mut self) -> Result<EncoderSummary> {
        let pump = self.settle()?;
        let stream = pump.stream.summary();
        let converted = self.counts.converted.load(Ordering::Relaxed);
        Ok(EncoderSummary { stream, ring: self.last_ring, converted, times: self.times().clone() })
    }

    /// Brings the stream back to this thread, with everything encoded.
    fn settle(&mut self) -> Result<&mut Pump> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Here(mut pump) => {
                pump.finish()?;
                self.state = State::Here(pump);
            }
            State::Behind(behind) => {
                let (pump, stats) = behind.finish()?;
                self.last_ring = Some(stats?);
                self.state = State::Here(Box::new(pump));
            }
            State::Over => {}
        }
        match &mut self.state {
            State::Here(pump) => Ok(pump),
            State::Behind(_) | State::Over => Err(over()),
        }
    }

    /// Encodes a picture that `fill` writes into the encoder's own memory, whose contents are arbitrary before: one copy
    /// less than [`VideoEncoder::encode_frame_at`] for a source that can write where it is told to. With a ring, that memory is
    /// used again from picture to picture.
    ///
    /// # Errors
    /// As [`VideoEncoder::encode_frame_at`].
    pub fn encode_with(
        &mut self,
        pts: Timestamp,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Option<EncodedChunk>> {
        let pts = self.place(pts);
        if let Some(frames) = self.ring {
            self.through_ring(frames, pts, fill)?;
        } else {
            let mut data = vec![0; self.config.pixel_format.frame_bytes(self.config.resolution)];
            fill(&mut data);
            let frame = picture(&self.config, data, pts)?;
            let State::Here(pump) = &mut self.state else { return Err(over()) };
            pump.give(&frame)?;
        }
        Ok(self.ready.next())
    }

    /// The time that a picture gets.
    fn place(&mut self, given: Timestamp) -> Timestamp {
        let written = self.times.place(given);
        if written != given {
            self.ready.corrected(written, given);
            self.counts.corrected.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    fn through_ring(&mut self, frames: usize, pts: Timestamp, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        if let State::Here(_) = self.state
            && let State::Here(pump) = std::mem::replace(&mut self.state, State::Over)
        {
            self.state = State::Behind(Behind::start(*pump, frames)?);
        }
        let State::Behind(behind) = &mut self.state else { return Err(over()) };
        let mut slot = behind.producer.slot(self.config.pixel_format, self.config.resolution);
        fill(slot.as_mut());
        let mut frame = slot.into_frame(pts)?;
        frame.color = self.config.color;
        if behind.producer.push(frame).is_ok() {
            return Ok(());
        }
        // The thread has ended, and says why.
        self.settle().map(|_| ()).and(Err(over()))
    }
}

#[cfg(feature = "metrics")]
fn observed(stream: &SwitchingEncoder, counts: Arc<Counts>) -> crate::metrics::Observed {
    use crate::metrics::names::{CONVERTED, TIMES_CORRECTED};
    stream.observe_counts(move |sample| {
        sample.counter(&CONVERTED, &[], counts.converted.load(Ordering::Relaxed));
        sample.counter(&TIMES_CORRECTED, &[], counts.corrected.load(Ordering::Relaxed));
    })
}

fn over() -> Error {
    Error::invalid("the encoder has ended; the call before told why")
}

fn picture(config: &EncoderConfig, data: Vec<u8>, pts: Timestamp) -> Result<Frame> {
    let surface = HostSurface::from_packed(config.pixel_format, config.resolution, data)?;
    let mut frame = Frame::host(pts, surface);
    frame.color = config.color;
    Ok(frame)
}

impl VideoEncoder for SessionVideoEncoder {
    fn encode_frame(&mut self, frame: &[u8]) -> Result<Option<EncodedChunk>> {
        let chunk = self.encode_frame_at(frame, Timestamp::new(self.count, self.base))?;
        self.count += 1;
        Ok(chunk)
    }

    fn encode_frame_at(&mut self, frame: &[u8], pts: Timestamp) -> Result<Option<EncodedChunk>> {
        let (format, size) = (self.config.pixel_format, self.config.resolution);
        let expected = format.frame_bytes(size);
        if frame.len() != expected {
            return Err(Error::invalid(format!(
                "a {size} {format} picture has {expected} bytes, got {}",
                frame.len()
            )));
        }
        self.encode_with(pts, |memory| memory.copy_from_slice(frame))
    }

    fn flush(&mut self) -> Result<Vec<EncodedChunk>> {
        self.settle()?;
        Ok(self.ready.all())
    }
}
