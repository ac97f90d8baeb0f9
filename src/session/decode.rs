//! Decode sessions.

use std::time::Duration;

use super::books::SharedBooks;
use super::layout::LayoutConverter;
use super::worker::{self, Outcome, Outlet, Work};
use super::{Ledger, SessionTiming, Submit};
use crate::backend::{
    self, Backend, BackendKind, CodedUnit, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend, Job,
    Receipt, SharedReceipt, SinkFactory,
};
use crate::codec::Codec;
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

/// Notes of the backend that are remembered.
const NOTES_KEPT: usize = 10;

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
    /// Frames delivered that the decoder had to mend ([`Frame::concealed`]).
    pub concealed: u64,
    /// What the backend did in another way than asked for, in words; each once.
    pub notes: Vec<String>,
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
    codec: Codec,
    books: SharedBooks<Pending, Own>,
}

/// The end of a decode session that gives frames.
pub struct DecodeOutput {
    worker: worker::Output<Frame>,
    books: SharedBooks<Pending, Own>,
    receipt: SharedReceipt,
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
            Ok((backend, SharedReceipt::new(receipt)))
        })
    }

    fn open(
        config: &CommonDecodeConfig,
        open: impl FnOnce(&CommonDecodeConfig, SinkFactory) -> Result<(Box<dyn DecoderBackend>, SharedReceipt)>,
    ) -> Result<Self> {
        let books = SharedBooks::new(Own {
            config: config.clone(),
            bytes_in: 0,
            synthesised: 0,
            concealed: 0,
            notes: Vec::new(),
        });
        let (input, output, receipt) = worker::spawn("vhw-decode", INPUT_QUEUE, OUTPUT_QUEUE, |outlet| {
            let factory = {
                let (books, outlet) = (books.clone(), outlet.clone());
                Box::new(move || sink(books.clone(), outlet.clone()))
            };
            let (backend, receipt) = open(config, factory)?;
            let converter =
                LayoutConverter::new(config.codec, config.codec_config.clone(), backend.input_layout())?;
            let report = sink(books.clone(), outlet);
            let books = books.clone();
            Ok((DecodeWork { backend, books, converter, report, next_serial: 0 }, receipt))
        })?;
        Ok(Self {
            input: DecodeInput { worker: input, codec: config.codec, books: books.clone() },
            output: DecodeOutput { worker: output, books, receipt },
        })
    }

    /// Hands a packet (one access unit) to the decoder; never waits.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the packet is of another codec, or when the session has ended.
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
    pub fn receipt(&self) -> Receipt {
        self.output.receipt.get()
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
    /// As there.
    pub fn submit(&mut self, packet: Packet) -> Result<Submit<Packet>> {
        self.check(&packet)?;
        let submitted = self.worker.submit(packet)?;
        if matches!(submitted, Submit::Accepted) {
            self.books.lock().ledger.submitted += 1;
        }
        Ok(submitted)
    }

    /// Hands a packet over, waiting for room; another thread must be reaping.
    ///
    /// # Errors
    /// As [`DecodeSession::submit`].
    pub fn submit_blocking(&mut self, packet: Packet) -> Result<()> {
        self.check(&packet)?;
        self.worker.submit_blocking(packet)?;
        self.books.lock().ledger.submitted += 1;
        Ok(())
    }

    fn check(&self, packet: &Packet) -> Result<()> {
        if packet.codec == self.codec {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a packet of {}; the decoder was opened for {}",
            packet.codec, self.codec
        )))
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

    /// Whether nothing will ever come again: the other end is gone and everything has been reaped, or the session
    /// has ended with an error. Tells the end from a queue that is empty for the moment.
    pub fn is_finished(&self) -> bool {
        self.worker.has_ended()
    }

    /// Whether a flush has completed and everything before it has been reaped.
    pub fn was_flushed(&self) -> bool {
        self.worker.flushes_seen() > 0
    }

    /// What the session did so far.
    pub fn summary(&self) -> DecodeSummary {
        let (input_queue, output_queue) = self.worker.stats();
        let books = self.books.lock();
        DecodeSummary {
            receipt: self.receipt.get(),
            ledger: books.ledger(),
            bytes_in: books.own.bytes_in,
            synthesised_timestamps: books.own.synthesised,
            concealed: books.own.concealed,
            notes: books.own.notes.clone(),
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
}

/// What a decode session counts of its own.
struct Own {
    config: CommonDecodeConfig,
    bytes_in: u64,
    synthesised: u64,
    concealed: u64,
    notes: Vec<String>,
}

type Books = super::books::Books<Pending, Own>;

/// The frame for a picture; `None` when it is not to be shown.
fn frame(books: &mut Books, picture: DecodedPicture) -> Option<Frame> {
    let (pending, since) = books.take(picture.serial)?;
    if pending.discard {
        books.ledger.drop_one(DISCARDED);
        return None;
    }
    books.timing.note_latency(since.elapsed());
    let (pts, duration) = match pending.pts {
        Some(pts) => (pts, pending.duration),
        None => (books.own.number(picture.frame_rate), Some(1)),
    };
    // The container speaks of the coded samples, not of what a backend converted them to.
    let color =
        if picture.format.is_rgb() { picture.color } else { books.own.config.color.or(picture.color) };
    Some(Frame {
        pts,
        duration,
        dimensions: picture.dimensions,
        format: picture.format,
        color,
        sample_aspect_ratio: picture.sample_aspect_ratio,
        keyframe: picture.keyframe || pending.keyframe,
        concealed: picture.concealed,
        force_keyframe: false,
        surface: picture.surface,
    })
}

impl Own {
    /// Remembers what a backend has to say; a stream that changes for ever must not fill memory.
    fn note(&mut self, text: String) {
        if self.notes.len() < NOTES_KEPT && !self.notes.contains(&text) {
            self.notes.push(text);
        }
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
fn sink(books: SharedBooks<Pending, Own>, outlet: Outlet<Frame>) -> DecodeSink {
    let (output, convert) = {
        let books = books.lock();
        (books.own.config.output, books.own.config.convert.format())
    };
    Box::new(move |event| {
        let outcome = match event {
            DecodeEvent::Picture(picture) => {
                let Some(frame) = frame(&mut books.lock(), picture) else { return true };
                let finished = finish(frame, output, convert);
                let mut books = books.lock();
                match finished {
                    Ok(frame) => {
                        books.ledger.delivered += 1;
                        books.own.concealed += u64::from(frame.concealed);
                        Outcome::Item(frame)
                    }
                    Err(error) => {
                        books.ledger.failed += 1;
                        Outcome::Lost(error)
                    }
                }
            }
            DecodeEvent::NoPicture { serial, reason } => {
                books.lock().dropped(serial, reason);
                return true;
            }
            DecodeEvent::Failed { serial, error } => match books.lock().failed(serial, error) {
                Some(error) => Outcome::Lost(error),
                None => return false,
            },
            DecodeEvent::Note(text) => {
                books.lock().own.note(text);
                return true;
            }
        };
        books.send(&outlet, outcome)
    })
}

fn finish(frame: Frame, output: DecodeOutputMode, convert: Option<PixelFormat>) -> Result<Frame> {
    match output {
        DecodeOutputMode::MetadataOnly => Ok(Frame { surface: Surface::None, ..frame }),
        DecodeOutputMode::NativeSurface => Ok(frame),
        DecodeOutputMode::HostSurface => match convert {
            Some(format) if format != frame.format => Ok(transform::convert(&frame, format)?.frame),
            _ => Ok(frame),
        },
        DecodeOutputMode::CpuRgb => Ok(transform::convert(&frame, PixelFormat::Rgb24)?.frame),
    }
}

struct DecodeWork {
    backend: Box<dyn DecoderBackend>,
    books: SharedBooks<Pending, Own>,
    converter: LayoutConverter,
    report: DecodeSink,
    next_serial: u64,
}

impl Work for DecodeWork {
    type Input = Packet;

    fn unit(&mut self, packet: Packet) -> Result<()> {
        let serial = self.next_serial;
        self.next_serial += 1;
        {
            let mut books = self.books.lock();
            books.own.bytes_in += packet.data.len() as u64;
            let pending = Pending {
                pts: packet.pts,
                duration: packet.duration,
                keyframe: packet.keyframe,
                discard: packet.discard,
            };
            books.enter(serial, pending);
        }
        let Self { backend, books, converter, report, .. } = self;
        books.charge(|| match converter.convert(packet) {
            Ok(packet) => backend.submit(CodedUnit { serial, packet }),
            Err(error) => {
                report(DecodeEvent::Failed { serial, error });
                Ok(())
            }
        })
    }

    fn flush(&mut self) -> Result<()> {
        self.converter.restart();
        self.books.charge(|| self.backend.flush())
    }

    fn end(&mut self) {
        self.books.end();
    }
}
