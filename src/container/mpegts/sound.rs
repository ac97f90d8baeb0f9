//! Frames of a sound stream, one to a packet, with times that count samples.

use bytes::Bytes;

use super::kinds::SoundKind;
use super::sound_frames::{Found, describe, frame};
use super::video::{Mark, Marks, Place, Times, Unit};
use crate::container::{CopyDescription, MatroskaCodec};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};

/// Ticks of 90 kHz by which a stated time may differ from the counted one: what rounding in files makes of it.
const TOLERANCE: i64 = 180;
/// Blocks of 256 samples in an access unit of E-AC-3.
const UNIT_SAMPLES: u64 = 6 * 256;
/// Bytes of no frame that are told before a frame comes again.
const MOST_STRANGE: u64 = 1 << 16;

/// What a sound track is.
#[derive(Clone, Debug)]
pub(super) struct SoundTrack {
    pub(super) name: &'static str,
    pub(super) rate: u32,
    pub(super) copy: CopyDescription,
}

/// Cuts a stream into frames.
pub(super) struct SoundUnits {
    kind: SoundKind,
    buffer: Vec<u8>,
    /// Where in the stream the buffer begins.
    offset: u64,
    marks: Marks,
    limits: Limits,
    track: Option<SoundTrack>,
    /// Why there is none.
    refused: Option<&'static str>,
    fixed: Option<u64>,
    /// A stated time, and samples since.
    anchor: Option<(i64, u64)>,
    /// The access unit of E-AC-3 that may go on: its bytes in the buffer, and its samples.
    open: (usize, u64),
    /// Bytes that are no frame, not told yet, and whether any have been since the last frame.
    strange: u64,
    lost: bool,
}

impl SoundUnits {
    pub(super) fn new(kind: SoundKind, limits: &Limits) -> Self {
        Self {
            kind,
            buffer: Vec::new(),
            offset: 0,
            marks: Marks::default(),
            limits: limits.clone(),
            track: None,
            refused: None,
            fixed: None,
            anchor: None,
            open: (0, 0),
            strange: 0,
            lost: false,
        }
    }

    pub(super) fn described(&self) -> Option<&SoundTrack> {
        self.track.as_ref()
    }

    /// Why no frame can be given out.
    pub(super) fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// Takes what frames further on in the stream have said of the track.
    pub(super) fn learn(&mut self, ahead: Self) {
        (self.track, self.refused, self.fixed) = (ahead.track, ahead.refused, ahead.fixed);
    }

    /// A PES packet begins.
    pub(super) fn mark(&mut self, times: Times, place: Place) {
        self.marks.push(Mark { offset: self.offset + self.buffer.len() as u64, times, place });
    }

    /// Takes data and gives out what is complete with it.
    pub(super) fn push(&mut self, data: &[u8], units: &mut Vec<Unit>) -> Result<()> {
        let waiting = self.buffer.len().saturating_add(data.len()) as u64;
        self.limits.check(Limit::PacketBytes, waiting, "a frame of sound")?;
        crate::memory::grow(&mut self.buffer, data.len())?;
        self.buffer.extend_from_slice(data);
        self.cut(false, units)
    }

    /// Nothing that follows continues what came before.
    pub(super) fn end(&mut self, units: &mut Vec<Unit>) {
        // What is left over is less than a frame: the packets it went on in are missing, and that has been told.
        let _told = self.cut(true, units);
        self.spend(self.buffer.len());
        (self.open, self.lost) = ((0, 0), true);
    }

    /// As [`Self::end`], for reading on elsewhere.
    pub(super) fn restart(&mut self) {
        self.end(&mut Vec::new());
        self.marks.clear();
        self.anchor = None;
    }

    fn spend(&mut self, bytes: usize) {
        self.buffer.drain(..bytes.min(self.buffer.len()));
        self.offset += bytes as u64;
    }

    fn cut(&mut self, ended: bool, units: &mut Vec<Unit>) -> Result<()> {
        let mut result = Ok(());
        loop {
            let rest = self.buffer.get(self.open.0..).unwrap_or_default();
            let found = match frame(self.kind, rest) {
                Found::Frame(found) if found.length <= rest.len() => found,
                // A header that does not fit the stream is none, however much it claims.
                Found::Frame(found) if self.fits(found.fixed) && !ended => break,
                Found::Short if !ended => break,
                Found::Short | Found::Nothing | Found::Frame(_) => {
                    if rest.is_empty() {
                        break;
                    }
                    self.give_open(units);
                    let skip =
                        next_candidate(self.kind, self.buffer.get(self.open.0 + 1..).unwrap_or_default()) + 1;
                    self.strange += skip as u64;
                    self.spend(skip);
                    continue;
                }
            };
            // The first frame of all is believed when another one follows it.
            let follows = if self.fixed.is_some() || ended {
                self.fits(found.fixed)
            } else {
                match frame(self.kind, rest.get(found.length..).unwrap_or_default()) {
                    Found::Frame(next) => next.fixed == found.fixed,
                    Found::Nothing => false,
                    Found::Short => break,
                }
            };
            if !follows || (found.dependent && self.open.0 == 0) {
                self.give_open(units);
                self.strange += 1;
                self.spend(1);
                if self.strange >= MOST_STRANGE && self.fixed.is_some() {
                    result = Err(strange_bytes(std::mem::take(&mut self.strange)));
                    self.lost = true;
                }
                continue;
            }
            if self.strange > 0 {
                let strange = std::mem::take(&mut self.strange);
                // What follows a loss that has been told begins anywhere.
                if !self.lost && self.fixed.is_some() {
                    result = Err(strange_bytes(strange));
                }
            }
            self.lost = false;
            self.fixed = Some(found.fixed);
            let joins = found.dependent || (self.open.1 > 0 && self.open.1 < UNIT_SAMPLES);
            if !joins {
                self.give_open(units);
            }
            if self.is_eac3() {
                self.open.0 += found.length;
                self.open.1 += if found.dependent { 0 } else { found.samples };
            } else {
                self.give(found.header, found.length, found.samples, units);
            }
        }
        if ended {
            self.give_open(units);
        }
        result
    }

    /// Frames of a track have this in common.
    fn fits(&self, fixed: u64) -> bool {
        self.fixed.is_none_or(|known| known == fixed)
    }

    /// Access units of E-AC-3 end where the next one begins.
    fn is_eac3(&self) -> bool {
        self.kind == SoundKind::Dolby && self.fixed.is_some_and(|fixed| fixed >> 8 == 1)
    }

    fn give_open(&mut self, units: &mut Vec<Unit>) {
        let (length, samples) = std::mem::take(&mut self.open);
        if length > 0 {
            self.give(0, length, samples, units);
        }
    }

    /// Gives out the frame at the front.
    fn give(&mut self, header: usize, length: usize, samples: u64, units: &mut Vec<Unit>) {
        let whole = self.buffer.get(..length).unwrap_or_default();
        if self.track.is_none() && self.refused.is_none() {
            match describe(self.kind, whole).and_then(|(sound, name)| track(&sound, name)) {
                Some(track) => self.track = Some(track),
                None => self.refused = Some("its frames do not say what its channels are"),
            }
        }
        let data = Bytes::copy_from_slice(whole.get(header..).unwrap_or_default());
        let (stated, place) = self.marks.of(self.offset);
        self.spend(length);
        let Some(rate) = self.track.as_ref().map(|track| track.rate) else { return };
        let counted = |(anchor, samples): (i64, u64)| {
            let ticks = u128::from(samples) * 90_000 / u128::from(rate);
            anchor.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX))
        };
        // Where sound would overlap, it goes on without a gap instead.
        self.anchor = match (stated.pts, self.anchor) {
            (Some(stated), Some(anchor)) if stated <= counted(anchor).saturating_add(TOLERANCE) => {
                Some(anchor)
            }
            (Some(stated), _) => Some((stated, 0)),
            (None, anchor) => anchor,
        };
        let times = self.anchor.map(|(anchor, _)| anchor);
        units.push(Unit {
            data,
            times: Times { pts: times, dts: times },
            samples: self.anchor.map_or(0, |(_, samples)| samples),
            rate,
            duration: (samples > 0).then_some(samples),
            keyframe: true,
            unterminated: false,
            place,
        });
        if let Some((_, count)) = &mut self.anchor {
            *count = count.saturating_add(samples);
        }
    }
}

fn strange_bytes(bytes: u64) -> Error {
    Error::corrupt(format!("{bytes} bytes of a sound stream are no frames of its track; they are left out"))
}

fn track(sound: &crate::container::sound::Sound, name: &'static str) -> Option<SoundTrack> {
    // ISO files do not tell the layers apart, Matroska does.
    let layer = match name {
        "MP1" => Some("A_MPEG/L1"),
        "MP2" => Some("A_MPEG/L2"),
        _ => None,
    };
    let copy = CopyDescription {
        handler: *b"soun",
        sample_entry: sound.sample_entry()?,
        media_header: None,
        matroska: layer.map(|id| MatroskaCodec {
            id: id.to_owned(),
            private: Bytes::new(),
            audio: Bytes::new(),
        }),
    };
    (sound.sample_rate > 0).then_some(SoundTrack { name, rate: sound.sample_rate, copy })
}

/// Bytes up to the next one that may begin a frame.
fn next_candidate(kind: SoundKind, bytes: &[u8]) -> usize {
    let first = match kind {
        SoundKind::Adts | SoundKind::Mpeg | SoundKind::Unstated => 0xff,
        SoundKind::Dolby => 0x0b,
        SoundKind::Opus(_) => 0x7f,
    };
    memchr::memchr(first, bytes).unwrap_or(bytes.len())
}
