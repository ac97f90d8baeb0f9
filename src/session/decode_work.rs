//! What happens inside a decode session: packets on their way into the decoder, on the worker's thread, and pictures on their
//! way out, on whichever thread the decoder gives them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SessionTiming;
use super::in_flight::SharedTable;
use super::layout::LayoutConverter;
use super::losses::{LossKind, Losses};
use super::shaping::Shaping;
use super::worker::{Outcome, Outlet, Work};
use crate::backend::{CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend};
use crate::bitstream::{FieldDetector, foreign_nal};
use crate::config::{CommonDecodeConfig, DamagePolicy};
use crate::error::{Error, Result};
use crate::frame::{FieldOrder, Frame};
use crate::limits::{Limit, Limits};
use crate::packet::{BitstreamLayout, Packet};
use crate::stages::{DecodeMeter, DecodeStages, Histogram};
use crate::time::{Rational, TimeBase, Timestamp};
use crate::transform::Ticket;

/// Frame rate of streams that state neither times nor a rate (ffmpeg assumes the same).
const FALLBACK_RATE: (u32, u32) = (25, 1);

/// Notes of the backend that are remembered.
const NOTES_KEPT: usize = 10;

const DISCARDED: &str = "before the presented part";
const BEHIND_DAMAGE: &str = "behind the damage that ended the job";

/// A packet inside the decoder.
pub(super) struct Pending {
    pts: Option<Timestamp>,
    duration: Option<u64>,
    fields: Option<FieldOrder>,
    keyframe: bool,
    discard: bool,
    /// It came with a NAL unit of this type, which no stream holds.
    foreign: Option<u8>,
}

/// What a decode session counts of its own.
pub(super) struct Own {
    config: CommonDecodeConfig,
    pub(super) bytes_in: u64,
    pub(super) synthesised: u64,
    /// Where the next numbered frame begins, and the rate that was numbered by.
    numbered: Option<(Timestamp, Rational)>,
    pub(super) concealed: u64,
    /// Packets that gave no frame, but for those inside when the session ended.
    losses: Losses,
    /// Why it ended.
    end: Option<String>,
    pub(super) shaped: u64,
    pub(super) copies: CopyBytes,
    map: Histogram,
    convert: Histogram,
    download: Histogram,
    /// The meter of decoders that share the stream. Decode time is then the sum of their calls instead of the calls of the session.
    meter: Option<Arc<DecodeMeter>>,
    pub(super) first_in: Option<Instant>,
    pub(super) first_out: Option<Instant>,
    pub(super) last_out: Option<Instant>,
    pub(super) notes: Vec<String>,
    /// Nothing is wanted behind damage.
    pub(super) stops_at_damage: bool,
    /// The first unit that was lost to damage.
    damaged: Option<u64>,
    /// The first unit that ended the session.
    fatal: Option<u64>,
}

type InFlightTable = super::in_flight::InFlightTable<Pending, Own>;

/// Packets that gave no frame, by reason.
pub(super) fn losses(table: &InFlightTable) -> Losses {
    let mut losses = table.own.losses.clone();
    if let Some(reason) = &table.own.end {
        for serial in table.all_inside() {
            losses.note(LossKind::Failed, reason, serial, table.inside(serial).and_then(|unit| unit.pts));
        }
    }
    losses
}

/// Calls of the decoder, or of all decoders that share the stream.
fn calls(table: &InFlightTable) -> &Histogram {
    table.own.meter.as_ref().map_or(&table.calls, |meter| &meter.decode)
}

pub(super) fn stages(table: &InFlightTable) -> DecodeStages {
    DecodeStages {
        decode: calls(table).summary(),
        map: table.own.map.summary(),
        convert: table.own.convert.summary(),
        download: table.own.download.summary(),
        output: table.output.summary(),
    }
}

/// Returns the stages by name while the session runs.
#[cfg(feature = "metrics")]
pub(super) fn stages_now(table: &InFlightTable) -> Vec<super::observe::Named<'_>> {
    let Own { map, convert, download, .. } = &table.own;
    DecodeStages::NAMES.into_iter().zip([calls(table), map, convert, download, &table.output]).collect()
}

/// Busy is what the decoder was, or all decoders that share the stream.
pub(super) fn timing(table: &InFlightTable) -> SessionTiming {
    match &table.own.meter {
        Some(meter) => SessionTiming { busy: meter.decode.distribution().total(), ..table.timing },
        None => table.timing,
    }
}

/// Most units that were inside the decoder, or inside all that share the stream, at once.
pub(super) fn in_flight_peak(table: &InFlightTable) -> usize {
    table.own.meter.as_ref().map_or(table.in_flight_peak, |meter| meter.in_flight_peak())
}

fn note_loss(table: &mut InFlightTable, kind: LossKind, serial: u64, reason: &str) {
    if let Some(pts) = table.inside(serial).map(|unit| unit.pts) {
        table.own.losses.note(kind, reason, serial, pts);
    }
}

/// The packet rightly gives nothing.
fn dropped(table: &mut InFlightTable, serial: u64, reason: &'static str) {
    note_loss(table, LossKind::Dropped, serial, reason);
    table.dropped(serial, reason);
}

/// The packet is lost; as [`super::in_flight::InFlightTable::failed`].
fn failed(table: &mut InFlightTable, serial: u64, error: Error) -> Option<Error> {
    note_loss(table, LossKind::Failed, serial, &error.to_string());
    table.failed(serial, error)
}

/// The frame for a picture; `None` when it is not to be shown.
fn frame(table: &mut InFlightTable, picture: DecodedPicture) -> Option<Result<Frame>> {
    if table.own.is_over(picture.serial) {
        dropped(table, picture.serial, BEHIND_DAMAGE);
        return None;
    }
    let (pending, since) = table.take(picture.serial)?;
    table.own.copies.output += picture.copied.output;
    table.own.copies.device += picture.copied.device;
    let (own, times) = (&table.own, picture.device_times);
    for (stage, took) in
        [(&own.map, times.map), (&own.convert, times.convert), (&own.download, times.download)]
    {
        if let Some(took) = took {
            stage.record(took);
        }
    }
    if pending.discard {
        table.own.losses.note(LossKind::Dropped, DISCARDED, picture.serial, pending.pts);
        table.ledger.drop_one(DISCARDED);
        return None;
    }
    table.note_latency(since);
    let concealed = picture.concealed || pending.foreign.is_some();
    table.own.concealed += u64::from(concealed);
    if concealed && table.own.config.damage == DamagePolicy::Strict {
        let place = pending.pts.map_or_else(String::new, |pts| format!(" at {pts}"));
        return Some(Err(Error::corrupt(format!(
            "the picture{place} is damaged, part of it would be a guess"
        ))));
    }
    let format = table.own.config.convert.format();
    let converted = format.is_none_or(|format| format == picture.format);
    table.own.shaped += u64::from(picture.shaped && converted);
    let (pts, duration) = match pending.pts {
        Some(pts) => (pts, pending.duration),
        None => (table.own.number(picture.frame_rate), Some(1)),
    };
    // The container speaks of the coded samples, not of what a backend converted them to.
    let color =
        if picture.format.is_rgb() { picture.color } else { table.own.config.color.or(picture.color) };
    Some(Ok(Frame {
        pts,
        duration,
        dimensions: picture.dimensions,
        format: picture.format,
        color,
        sample_aspect_ratio: picture.sample_aspect_ratio,
        fields: pending.fields,
        keyframe: picture.keyframe || pending.keyframe,
        concealed,
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
            numbered: None,
            concealed: 0,
            losses: Losses::default(),
            end: None,
            shaped: 0,
            copies: CopyBytes::default(),
            map: Histogram::default(),
            convert: Histogram::default(),
            download: Histogram::default(),
            meter: None,
            first_in: None,
            first_out: None,
            last_out: None,
            notes: Vec::new(),
            stops_at_damage: false,
            damaged: None,
            fatal: None,
        }
    }

    /// Whether a unit stands behind the one at which decoding stops.
    fn is_over(&self, serial: u64) -> bool {
        let damaged = self.damaged.filter(|_| self.stops_at_damage);
        [damaged, self.fatal].into_iter().flatten().any(|last| serial > last)
    }

    #[cfg(feature = "metrics")]
    pub(super) fn counts(&self) -> super::observe::Counts {
        let (coded_bytes, concealed, copies) = (self.bytes_in, self.concealed, self.copies);
        super::observe::Counts { coded_bytes, concealed, copies, keyframes: 0 }
    }

    /// A picture was lost on its way from the decoder, where nobody knows any more which packet it was.
    pub(super) fn note_lost(&mut self, error: &Error) {
        self.losses.count_one(LossKind::Failed, &error.to_string());
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
        self.synthesised += 1;
        let base = TimeBase::from_frame_rate(rate);
        // Where the rate changes the time line goes on in the new unit.
        let at = match self.numbered {
            Some((next, before)) if before == rate => next,
            Some((next, _)) => next.rescale(base),
            None => Timestamp::new(0, base),
        };
        self.numbered = Some((at.offset(1), rate));
        at
    }
}

/// Turns backend events into outcomes: restores time, begins what is left to be done, keeps the books.
pub(super) fn sink(
    table: SharedTable<Pending, Own>,
    outlet: Outlet<Ticket>,
    shaping: Arc<Shaping>,
) -> DecodeSink {
    Box::new(move |event| {
        let outcome = match event {
            DecodeEvent::Picture(picture) => {
                let (serial, shaped) = (picture.serial, picture.shaped);
                let mut open = table.lock();
                let pts = open.inside(serial).and_then(|pending| pending.pts);
                let Some(frame) = frame(&mut open, picture) else { return true };
                drop(open);
                let begun = frame.and_then(|frame| {
                    let (frame, copied) = shaping.own(frame)?;
                    table.lock().own.copies.output += copied;
                    shaping.begin(frame, shaped)
                });
                let mut table = table.lock();
                match begun {
                    Ok(ticket) => {
                        table.ledger.delivered += u64::from(ticket.was_ready());
                        Outcome::Item(ticket)
                    }
                    Err(error) => {
                        table.own.losses.note(LossKind::Failed, &error.to_string(), serial, pts);
                        table.ledger.failed += 1;
                        Outcome::Lost(error)
                    }
                }
            }
            DecodeEvent::NoPicture { serial, reason } => {
                let mut table = table.lock();
                let Some(kind) = table.inside(serial).and_then(|pending| pending.foreign) else {
                    dropped(&mut table, serial, reason);
                    return true;
                };
                // What was damaged may have been the picture.
                table.own.damaged.get_or_insert(serial);
                let error =
                    Error::corrupt(format!("a NAL unit of type {kind}, which no stream holds, and {reason}"));
                match failed(&mut table, serial, error) {
                    Some(error) => Outcome::Lost(error),
                    None => return false,
                }
            }
            DecodeEvent::Failed { serial, error } => {
                // What is wrong with the stream leaves the decoder whole, and what it holds can still come out.
                let works = matches!(error, Error::CorruptStream { .. } | Error::Unsupported { .. });
                let mut table = table.lock();
                let last = if error.is_recoverable() { &mut table.own.damaged } else { &mut table.own.fatal };
                last.get_or_insert(serial);
                match failed(&mut table, serial, error) {
                    Some(error) => Outcome::Lost(error),
                    None => return works,
                }
            }
            DecodeEvent::Note(text) => {
                table.lock().own.note(text);
                return !outlet.is_closed();
            }
        };
        table.send(&outlet, outcome)
    })
}

/// What a decoder has worked since it last said what became of a unit.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    answered: u64,
    units: u64,
    worked: Duration,
}

impl Silence {
    /// A unit went in, which took so long; so many have had their answer by now. Time that passes between units is the
    /// caller's, and a wait for the caller to take a frame comes with an answer.
    fn note(&mut self, answered: u64, took: Duration) {
        if self.answered == answered {
            self.units += 1;
            self.worked = self.worked.saturating_add(took);
        } else {
            *self = Self { answered, ..Self::default() };
        }
    }

    fn check(&self, limits: &Limits) -> Result<()> {
        let worked = u64::try_from(self.worked.as_millis()).unwrap_or(u64::MAX);
        let what = format!("a decoder that has worked on {} units and told nothing of any", self.units);
        limits.check(Limit::SilentTime, worked, what)
    }
}

/// The work of the session's thread.
pub(super) struct DecodeWork {
    backend: Box<dyn DecoderBackend>,
    table: SharedTable<Pending, Own>,
    converter: LayoutConverter,
    fields: FieldDetector,
    /// For units that the backend never sees.
    report: DecodeSink,
    next_serial: u64,
    limits: Limits,
    silence: Silence,
    /// The backend has said that it can do no more.
    dead: bool,
}

impl DecodeWork {
    /// # Errors
    /// The backend reads a layout that packets of this codec cannot be brought to.
    pub(super) fn new(
        config: &CommonDecodeConfig,
        backend: Box<dyn DecoderBackend>,
        table: SharedTable<Pending, Own>,
        report: DecodeSink,
    ) -> Result<Self> {
        let converter =
            LayoutConverter::new(config.codec, config.codec_config.clone(), backend.input_layout())?;
        let (limits, silence) = (config.limits.clone(), Silence::default());
        table.lock().own.meter = backend.meter();
        let fields = FieldDetector::new(config.codec, config.codec_config.as_deref());
        Ok(Self { backend, table, converter, fields, report, next_serial: 0, limits, silence, dead: false })
    }
}

impl Work for DecodeWork {
    type Input = Packet;

    fn unit(&mut self, packet: Packet) -> Result<()> {
        let serial = self.next_serial;
        self.next_serial += 1;
        {
            let mut table = self.table.lock();
            table.own.bytes_in += packet.data.len() as u64;
            let pending = Pending {
                pts: packet.pts,
                duration: packet.duration,
                fields: self.fields.of_unit(packet.layout, &packet.data),
                keyframe: packet.keyframe,
                discard: packet.discard,
                foreign: None,
            };
            table.enter(serial, pending);
            if table.own.is_over(serial) {
                dropped(&mut table, serial, BEHIND_DAMAGE);
                return Ok(());
            }
        }
        let Self { backend, table, converter, report, dead, .. } = self;
        let before = packet.data.as_ptr();
        let began = Instant::now();
        table.charge_call(|| match converter.convert(packet) {
            Ok(packet) => {
                let mut locked = table.lock();
                if packet.data.as_ptr() != before {
                    locked.own.copies.input += packet.data.len() as u64;
                }
                if packet.layout == BitstreamLayout::AnnexB
                    && let Some(kind) = packet.codec.and_then(|codec| foreign_nal(codec, &packet.data))
                {
                    locked.own.note(format!(
                        "damage: a NAL unit of type {kind}, which no stream holds; the picture that it came with is marked"
                    ));
                    if let Some(pending) = locked.inside_mut(serial) {
                        pending.foreign = Some(kind);
                    }
                }
                drop(locked);
                backend.submit(CodedUnit { serial, packet }).inspect_err(|_| *dead = true)
            }
            Err(error) => {
                report(DecodeEvent::Failed { serial, error });
                Ok(())
            }
        })?;
        self.silence.note(self.table.lock().answered(), began.elapsed());
        self.silence.check(&self.limits)
    }

    fn flush(&mut self) -> Result<()> {
        self.converter.restart();
        let Self { backend, table, dead, .. } = self;
        table.charge_call(|| backend.flush().inspect_err(|_| *dead = true))
    }

    fn drain(&mut self, error: &Error) {
        let of_stream = matches!(error, Error::CorruptStream { .. } | Error::Unsupported { .. });
        if of_stream && !self.dead {
            // Why the session ends is known.
            let _ = self.table.charge_call(|| self.backend.flush());
        }
    }

    fn end(&mut self, error: &Error) {
        let mut table = self.table.lock();
        table.own.end = Some(error.to_string());
        table.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_without_an_answer_is_silence() {
        let limits = Limits { silent_time: Duration::from_secs(3), ..Limits::default() };
        let mut silence = Silence::default();
        for _ in 0..3 {
            silence.note(0, Duration::from_secs(1));
        }
        assert!(silence.check(&limits).is_ok());
        silence.note(0, Duration::from_millis(1));
        let error = silence.check(&limits).unwrap_err();
        let Error::LimitExceeded { limit: Limit::SilentTime, wanted: 3001, .. } = error else {
            panic!("{error}")
        };
        assert!(error.to_string().contains("worked on 4 units"), "{error}");
        // However long a unit took that was answered.
        silence.note(1, Duration::from_secs(100));
        assert!(silence.check(&limits).is_ok());
    }
}
