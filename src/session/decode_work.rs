//! What happens inside a decode session: packets on their way into the decoder, on the worker's thread, and pictures on their
//! way out, on whichever thread the decoder gives them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::books::SharedBooks;
use super::layout::LayoutConverter;
use super::shaping::Shaping;
use super::worker::{Outcome, Outlet, Work};
use crate::backend::{CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend};
use crate::config::{CommonDecodeConfig, DamagePolicy};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::stages::Histogram;
use crate::time::{Rational, TimeBase, Timestamp};
use crate::transform::Ticket;

/// Frame rate of streams that state neither times nor a rate (ffmpeg assumes the same).
const FALLBACK_RATE: (u32, u32) = (25, 1);

/// Notes of the backend that are remembered.
const NOTES_KEPT: usize = 10;

const DISCARDED: &str = "before the presented part";

/// A packet inside the decoder.
pub(super) struct Pending {
    pts: Option<Timestamp>,
    duration: Option<u64>,
    keyframe: bool,
    discard: bool,
}

/// What a decode session counts of its own.
pub(super) struct Own {
    config: CommonDecodeConfig,
    pub(super) bytes_in: u64,
    pub(super) synthesised: u64,
    pub(super) concealed: u64,
    pub(super) shaped: u64,
    pub(super) copies: CopyBytes,
    pub(super) map: Histogram,
    pub(super) convert: Histogram,
    pub(super) download: Histogram,
    pub(super) first_in: Option<Instant>,
    pub(super) first_out: Option<Instant>,
    pub(super) last_out: Option<Instant>,
    pub(super) notes: Vec<String>,
}

type Books = super::books::Books<Pending, Own>;

/// The frame for a picture; `None` when it is not to be shown.
fn frame(books: &mut Books, picture: DecodedPicture) -> Option<Result<Frame>> {
    let (pending, since) = books.take(picture.serial)?;
    books.own.copies.output += picture.copied.output;
    books.own.copies.device += picture.copied.device;
    let (own, times) = (&books.own, picture.device_times);
    for (stage, took) in
        [(&own.map, times.map), (&own.convert, times.convert), (&own.download, times.download)]
    {
        if let Some(took) = took {
            stage.record(took);
        }
    }
    if pending.discard {
        books.ledger.drop_one(DISCARDED);
        return None;
    }
    books.note_latency(since);
    books.own.concealed += u64::from(picture.concealed);
    if picture.concealed && books.own.config.damage == DamagePolicy::Strict {
        let place = pending.pts.map_or_else(String::new, |pts| format!(" at {pts}"));
        return Some(Err(Error::corrupt(format!(
            "the picture{place} is damaged, part of it would be a guess"
        ))));
    }
    let format = books.own.config.convert.format();
    let converted = format.is_none_or(|format| format == picture.format);
    books.own.shaped += u64::from(picture.shaped && converted);
    let (pts, duration) = match pending.pts {
        Some(pts) => (pts, pending.duration),
        None => (books.own.number(picture.frame_rate), Some(1)),
    };
    // The container speaks of the coded samples, not of what a backend converted them to.
    let color =
        if picture.format.is_rgb() { picture.color } else { books.own.config.color.or(picture.color) };
    Some(Ok(Frame {
        pts,
        duration,
        dimensions: picture.dimensions,
        format: picture.format,
        color,
        sample_aspect_ratio: picture.sample_aspect_ratio,
        keyframe: picture.keyframe || pending.keyframe,
        concealed: picture.concealed,
        force_keyframe: false,
        user_sei: Vec::new(),
        surface: picture.surface,
    }))
}

impl Own {
    pub(super) fn new(config: CommonDecodeConfig) -> Self {
        Self {
            config,
            bytes_in: 0,
            synthesised: 0,
            concealed: 0,
            shaped: 0,
            copies: CopyBytes::default(),
            map: Histogram::default(),
            convert: Histogram::default(),
            download: Histogram::default(),
            first_in: None,
            first_out: None,
            last_out: None,
            notes: Vec::new(),
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn counts(&self) -> super::observe::Counts {
        let (coded_bytes, concealed, copies) = (self.bytes_in, self.concealed, self.copies);
        super::observe::Counts { coded_bytes, concealed, copies, keyframes: 0 }
    }

    pub(super) fn note_frame(&mut self) {
        let now = Instant::now();
        self.first_out.get_or_insert(now);
        self.last_out = Some(now);
    }

    pub(super) fn since_first_in(&self, end: Option<Instant>) -> Option<Duration> {
        Some(end?.saturating_duration_since(self.first_in?))
    }

    /// Remembers what a backend has to say; a stream that changes for ever must not fill memory.
    fn note(&mut self, text: String) {
        if !text.is_empty() && self.notes.len() < NOTES_KEPT && !self.notes.contains(&text) {
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

/// Turns backend events into outcomes: restores time, begins what is left to be done, keeps the books.
pub(super) fn sink(
    books: SharedBooks<Pending, Own>,
    outlet: Outlet<Ticket>,
    shaping: Arc<Shaping>,
) -> DecodeSink {
    Box::new(move |event| {
        let outcome = match event {
            DecodeEvent::Picture(picture) => {
                let shaped = picture.shaped;
                let Some(frame) = frame(&mut books.lock(), picture) else { return true };
                let begun = frame.and_then(|frame| {
                    let (frame, copied) = shaping.own(frame)?;
                    books.lock().own.copies.output += copied;
                    shaping.begin(frame, shaped)
                });
                let ledger = &mut books.lock().ledger;
                match begun {
                    Ok(ticket) => {
                        ledger.delivered += u64::from(ticket.was_ready());
                        Outcome::Item(ticket)
                    }
                    Err(error) => {
                        ledger.failed += 1;
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
                return !outlet.is_closed();
            }
        };
        books.send(&outlet, outcome)
    })
}

/// The work of the session's thread.
pub(super) struct DecodeWork {
    backend: Box<dyn DecoderBackend>,
    books: SharedBooks<Pending, Own>,
    converter: LayoutConverter,
    /// For units that the backend never sees.
    report: DecodeSink,
    next_serial: u64,
}

impl DecodeWork {
    /// # Errors
    /// The backend reads a layout that packets of this codec cannot be brought to.
    pub(super) fn new(
        config: &CommonDecodeConfig,
        backend: Box<dyn DecoderBackend>,
        books: SharedBooks<Pending, Own>,
        report: DecodeSink,
    ) -> Result<Self> {
        let converter =
            LayoutConverter::new(config.codec, config.codec_config.clone(), backend.input_layout())?;
        Ok(Self { backend, books, converter, report, next_serial: 0 })
    }
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
        let before = packet.data.as_ptr();
        books.charge_unit(|| match converter.convert(packet) {
            Ok(packet) => {
                if packet.data.as_ptr() != before {
                    books.lock().own.copies.input += packet.data.len() as u64;
                }
                backend.submit(CodedUnit { serial, packet })
            }
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

    fn end(&mut self, _error: &Error) {
        self.books.lock().end();
    }
}
