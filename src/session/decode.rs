//! Decode sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::layout::LayoutConverter;
use super::worker::{self, Outcome, Outlet, Work};
use super::{Ledger, SessionTiming, Submit};
use crate::backend::{
    self, Backend, BackendKind, CodedUnit, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend, Job,
    Receipt,
};
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::error::{Error, Result};
use crate::frame::{Frame, Surface};
use crate::packet::Packet;
use crate::pixel::PixelFormat;
use crate::queue::QueueStats;
use crate::time::{Rational, TimeBase, Timestamp};
use crate::transform;

/// Packets that wait for the decoder: small, so a few more cost nothing and ride over uneven pictures.
const INPUT_QUEUE: usize = 32;
/// Frames that wait for the consumer: large, so few.
const OUTPUT_QUEUE: usize = 6;
/// Frame rate of streams that state neither times nor a rate (ffmpeg assumes the same).
const FALLBACK_RATE: (u32, u32) = (25, 1);

const DISCARDED: &str = "before the presented part";

/// What a decode session did so far.
#[derive(Clone, Debug)]
pub struct DecodeSummary {
    /// Why this backend.
    pub receipt: Receipt,
    /// What became of every packet.
    pub ledger: Ledger,
    /// Coded bytes taken.
    pub bytes_in: u64,
    /// Frames whose time was numbered by the session because the packets had none.
    pub synthesised_timestamps: u64,
    /// Where the time went.
    pub timing: SessionTiming,
    /// Packets waiting for the decoder.
    pub input_queue: QueueStats,
    /// Frames waiting for the caller.
    pub output_queue: QueueStats,
}

/// A decoder of one stream: packets in, frames out in presentation order.
///
/// ```
/// use video_hw::backend::mock::{MockDecoder, mock_packet};
/// use video_hw::config::CommonDecodeConfig;
/// use video_hw::session::{DecodeSession, Submit};
/// use video_hw::codec::Codec;
///
/// # fn main() -> video_hw::Result<()> {
/// let config = CommonDecodeConfig::new(Codec::H264);
/// let mut session = DecodeSession::with_backend(config, |sink| Ok(MockDecoder::default().open(sink)))?;
/// for i in 0..3 {
///     let Submit::Accepted = session.submit(mock_packet(i))? else { unreachable!("three packets fit") };
/// }
/// let frames: Result<Vec<_>, _> = session.drain()?.collect();
/// assert_eq!(frames?.len(), 3);
/// assert!(session.summary().ledger.balances());
/// # Ok(()) }
/// ```
pub struct DecodeSession {
    input: DecodeInput,
    output: DecodeOutput,
}

/// The end of a decode session that takes packets.
pub struct DecodeInput {
    worker: worker::Input<Packet>,
    books: Arc<Mutex<Books>>,
}

/// The end of a decode session that gives frames.
pub struct DecodeOutput {
    worker: worker::Output<Frame>,
    books: Arc<Mutex<Books>>,
    receipt: Receipt,
}

impl DecodeSession {
    /// Opens a session on the best backend that works here, or on the one named.
    ///
    /// # Errors
    /// When no candidate can do it: the reason and remedy of the last one tried.
    pub fn new(backend: impl Into<Backend>, config: CommonDecodeConfig) -> Result<Self> {
        let wanted = backend.into();
        Self::open(&config, |config, sink| backend::open_decoder(wanted, config, sink))
    }

    /// Opens a session on a backend of the caller's own (a test double, an accelerator this crate does not
    /// know).
    ///
    /// # Errors
    /// Whatever `open` returns.
    pub fn with_backend(
        config: CommonDecodeConfig,
        open: impl FnOnce(DecodeSink) -> Result<Box<dyn DecoderBackend>>,
    ) -> Result<Self> {
        Self::open(&config, |config, sink| {
            let backend = open(sink())?;
            let receipt =
                Receipt::given(Job::Decode, config.codec, BackendKind::Custom, backend.implementation());
            Ok((backend, receipt))
        })
    }

    fn open(
        config: &CommonDecodeConfig,
        open: impl FnOnce(
            &CommonDecodeConfig,
            &dyn Fn() -> DecodeSink,
        ) -> Result<(Box<dyn DecoderBackend>, Receipt)>,
    ) -> Result<Self> {
        let books = Arc::new(Mutex::new(Books::new(config)));
        let work_books = Arc::clone(&books);
        let (input, output, receipt) = worker::spawn("vhw-decode", INPUT_QUEUE, OUTPUT_QUEUE, |outlet| {
            let (backend, receipt) = open(config, &|| sink(Arc::clone(&work_books), outlet.clone()))?;
            let converter =
                LayoutConverter::new(config.codec, config.codec_config.clone(), backend.input_layout())?;
            let report = sink(Arc::clone(&work_books), outlet.clone());
            let books = Arc::clone(&work_books);
            Ok((DecodeWork { backend, books, converter, report, next_serial: 0 }, receipt))
        })?;
        Ok(Self {
            input: DecodeInput { worker: input, books: Arc::clone(&books) },
            output: DecodeOutput { worker: output, books, receipt },
        })
    }

    /// Hands a packet (one access unit) to the decoder; never waits.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn submit(&mut self, packet: Packet) -> Result<Submit<Packet>> {
        self.input.submit(packet)
    }

    /// The next frame, if one is ready.
    ///
    /// # Errors
    /// The loss of one packet ([`Error::is_recoverable`]: go on), or the end of the session.
    pub fn try_reap(&mut self) -> Result<Option<Frame>> {
        self.output.try_reap()
    }

    /// The next frame, waiting at most `timeout`. `None`: not yet, or a flush has completed.
    ///
    /// # Errors
    /// As [`Self::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        self.output.reap_timeout(timeout)
    }

    /// Makes every frame of the packets submitted so far come out. The session stays usable; the next packet
    /// must be a random access point.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn flush(&mut self) -> Result<()> {
        self.input.flush()
    }

    /// Flushes, then gives every remaining frame, waiting for each. Losses appear as `Err` items.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn drain(&mut self) -> Result<impl Iterator<Item = Result<Frame>> + '_> {
        self.flush()?;
        Ok(self.output.worker.until_flushed(self.input.worker.flushes()))
    }

    /// Whether every flush asked for has completed and been reaped.
    pub fn is_drained(&self) -> bool {
        self.output.worker.flushes_seen() == self.input.worker.flushes()
    }

    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        self.output.summary()
    }

    /// Why this backend.
    pub fn receipt(&self) -> &Receipt {
        &self.output.receipt
    }

    /// Takes the two ends apart, for two threads.
    pub fn split(self) -> (DecodeInput, DecodeOutput) {
        (self.input, self.output)
    }
}

impl DecodeInput {
    /// See [`DecodeSession::submit`].
    ///
    /// # Errors
    /// When the session has ended.
    pub fn submit(&mut self, packet: Packet) -> Result<Submit<Packet>> {
        let submitted = self.worker.submit(packet)?;
        if matches!(submitted, Submit::Accepted) {
            lock(&self.books).ledger.submitted += 1;
        }
        Ok(submitted)
    }

    /// Hands a packet over, waiting for room; another thread must be reaping.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn submit_blocking(&mut self, packet: Packet) -> Result<()> {
        self.worker.submit_blocking(packet)?;
        lock(&self.books).ledger.submitted += 1;
        Ok(())
    }

    /// See [`DecodeSession::flush`].
    ///
    /// # Errors
    /// When the session has ended.
    pub fn flush(&mut self) -> Result<()> {
        self.worker.flush()
    }
}

impl DecodeOutput {
    /// See [`DecodeSession::try_reap`].
    ///
    /// # Errors
    /// As there.
    pub fn try_reap(&mut self) -> Result<Option<Frame>> {
        self.worker.try_reap()
    }

    /// See [`DecodeSession::reap_timeout`].
    ///
    /// # Errors
    /// As [`DecodeSession::try_reap`].
    pub fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        self.worker.reap_timeout(timeout)
    }

    /// The next frame, waiting for it; `None` when a flush has completed or the session is over.
    ///
    /// # Errors
    /// As [`DecodeSession::try_reap`].
    pub fn reap(&mut self) -> Result<Option<Frame>> {
        self.worker.reap()
    }

    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        let (input_queue, output_queue) = self.worker.stats();
        let books = lock(&self.books);
        DecodeSummary {
            receipt: self.receipt.clone(),
            ledger: books.ledger.with_pending(),
            bytes_in: books.bytes_in,
            synthesised_timestamps: books.synthesised,
            timing: books.timing,
            input_queue,
            output_queue,
        }
    }
}

/// A packet inside the decoder.
struct Pending {
    pts: Option<Timestamp>,
    duration: Option<u64>,
    keyframe: bool,
    discard: bool,
    since: Instant,
}

/// The session's memory of what is inside, shared by worker, sink and both ends.
struct Books {
    config: CommonDecodeConfig,
    ledger: Ledger,
    pending: BTreeMap<u64, Pending>,
    bytes_in: u64,
    synthesised: u64,
    timing: SessionTiming,
    fatal: Option<Error>,
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    // Poisoning means a panic elsewhere while counting; the counters are still the best there is.
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    fn new(config: &CommonDecodeConfig) -> Self {
        Self {
            config: config.clone(),
            ledger: Ledger::default(),
            pending: BTreeMap::new(),
            bytes_in: 0,
            synthesised: 0,
            timing: SessionTiming::default(),
            fatal: None,
        }
    }

    fn take(&mut self, serial: u64) -> Option<Pending> {
        let pending = self.pending.remove(&serial);
        if pending.is_none() {
            self.ledger.unexpected += 1;
        }
        pending
    }

    /// The frame for a picture; `None` when it is not to be shown.
    fn frame(&mut self, picture: DecodedPicture) -> Option<Frame> {
        let pending = self.take(picture.serial)?;
        if pending.discard {
            self.ledger.drop_one(DISCARDED);
            return None;
        }
        self.timing.note_latency(pending.since.elapsed());
        let (pts, duration) = match pending.pts {
            Some(pts) => (pts, pending.duration),
            None => (self.number(picture.frame_rate), Some(1)),
        };
        Some(Frame {
            pts,
            duration,
            dimensions: picture.dimensions,
            format: picture.format,
            color: self.config.color.or(picture.color),
            sample_aspect_ratio: picture.sample_aspect_ratio,
            keyframe: picture.keyframe || pending.keyframe,
            force_keyframe: false,
            surface: picture.surface,
        })
    }

    fn number(&mut self, stated: Option<Rational>) -> Timestamp {
        let rate = self
            .config
            .frame_rate
            .or(stated)
            .or(Rational::new(FALLBACK_RATE.0, FALLBACK_RATE.1))
            .unwrap_or(Rational::ONE);
        let index = self.synthesised;
        self.synthesised += 1;
        Timestamp::new(i64::try_from(index).unwrap_or(i64::MAX), TimeBase::from_frame_rate(rate))
    }
}

/// Turns backend events into outcomes: restores time, applies the output mode, keeps the books.
fn sink(books: Arc<Mutex<Books>>, outlet: Outlet<Frame>) -> DecodeSink {
    let output = lock(&books).config.output;
    Box::new(move |event| {
        let outcome = match event {
            DecodeEvent::Picture(picture) => {
                let Some(frame) = lock(&books).frame(picture) else { return true };
                match finish(frame, output) {
                    Ok(frame) => {
                        lock(&books).ledger.delivered += 1;
                        Outcome::Item(frame)
                    }
                    Err(error) => {
                        lock(&books).ledger.failed += 1;
                        Outcome::Lost(error)
                    }
                }
            }
            DecodeEvent::NoPicture { serial, reason } => {
                let mut books = lock(&books);
                if books.take(serial).is_some() {
                    books.ledger.drop_one(reason);
                }
                return true;
            }
            DecodeEvent::Failed { serial, error } => {
                let mut books = lock(&books);
                if books.take(serial).is_some() {
                    books.ledger.failed += 1;
                }
                if !error.is_recoverable() {
                    books.fatal.get_or_insert(error);
                    return false;
                }
                Outcome::Lost(error)
            }
        };
        let start = Instant::now();
        let taken = outlet.send(outcome);
        lock(&books).timing.blocked += start.elapsed();
        taken
    })
}

fn finish(frame: Frame, output: DecodeOutputMode) -> Result<Frame> {
    match output {
        DecodeOutputMode::MetadataOnly => Ok(Frame { surface: Surface::None, ..frame }),
        DecodeOutputMode::NativeSurface => Ok(frame),
        DecodeOutputMode::CpuRgb => Ok(transform::convert(&frame, PixelFormat::Rgb24)?.frame),
    }
}

struct DecodeWork {
    backend: Box<dyn DecoderBackend>,
    books: Arc<Mutex<Books>>,
    converter: LayoutConverter,
    report: DecodeSink,
    next_serial: u64,
}

impl DecodeWork {
    /// Runs a backend call, charges its time and looks for a fatal event.
    fn charge(&mut self, call: impl FnOnce(&mut (dyn DecoderBackend + 'static)) -> Result<()>) -> Result<()> {
        let blocked_before = lock(&self.books).timing.blocked;
        let start = Instant::now();
        let done = call(self.backend.as_mut());
        let elapsed = start.elapsed();
        let mut books = lock(&self.books);
        books.timing.charge(elapsed, blocked_before);
        let done = match books.fatal.take() {
            Some(fatal) => Err(fatal),
            None => done,
        };
        if done.is_err() {
            books.ledger.failed += books.pending.len() as u64;
            books.pending.clear();
        }
        done
    }
}

impl Work for DecodeWork {
    type Input = Packet;

    fn unit(&mut self, packet: Packet) -> Result<()> {
        let serial = self.next_serial;
        self.next_serial += 1;
        {
            let mut books = lock(&self.books);
            books.bytes_in += packet.data.len() as u64;
            let pending = Pending {
                pts: packet.pts,
                duration: packet.duration,
                keyframe: packet.keyframe,
                discard: packet.discard,
                since: Instant::now(),
            };
            books.pending.insert(serial, pending);
        }
        let packet = match self.converter.convert(packet) {
            Ok(packet) => packet,
            Err(error) => {
                (self.report)(DecodeEvent::Failed { serial, error });
                return self.charge(|_| Ok(()));
            }
        };
        self.charge(|backend| backend.submit(CodedUnit { serial, packet }))
    }

    fn flush(&mut self) -> Result<()> {
        self.converter.restart();
        self.charge(|backend| backend.flush())
    }

    fn abandon(&mut self, _packet: Packet) {
        lock(&self.books).ledger.failed += 1;
    }
}
