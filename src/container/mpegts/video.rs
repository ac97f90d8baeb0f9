//! Pictures of a video stream: exact access units, each with the times of the PES packet in which it begins.

use std::collections::VecDeque;

use bytes::Bytes;

use super::clock::ClockState;
use super::sets::SetHistory;
use super::timing::{Standing, Timing};
use crate::bitstream::annexb::find_start_code;
use crate::bitstream::{AccessUnitAssembler, DisplayOrder, StreamInfo};
use crate::codec::Codec;
use crate::container::VideoTrack;
use crate::container::mpeg2_stream::{Cutter as Mpeg2Cutter, Header as Mpeg2Header};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::packet::BitstreamLayout;

/// PES packets that may begin without anything beginning in them.
const MAX_MARKS: usize = 1 << 12;

/// Where a PES packet lies in the input, and the time line there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) clock: ClockState,
}

/// Times in ticks of 90 kHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
}

/// The beginning of a PES packet in the bytes of its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) times: Times,
    pub(super) place: Place,
}

/// PES packets whose data has been taken and in which nothing has begun yet.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    current: Option<Mark>,
}

impl Marks {
    pub(super) fn push(&mut self, mark: Mark) {
        if self.marks.len() >= MAX_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Times for what begins at `offset`, where it is the first in its PES packet, and where that packet is.
    pub(super) fn of(&mut self, offset: u64) -> (Times, Option<Place>) {
        let mut times = Times::default();
        while self.marks.front().is_some_and(|mark| mark.offset <= offset) {
            self.current = self.marks.pop_front();
            times = self.current.map(|mark| mark.times).unwrap_or_default();
        }
        (times, self.current.map(|mark| mark.place))
    }
}

/// What has been cut out of a stream.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) data: Bytes,
    pub(super) times: Times,
    /// Samples since `times`, of sound, and how many make a second.
    pub(super) samples: u64,
    pub(super) rate: u32,
    /// Duration in samples, of sound.
    pub(super) duration: Option<u64>,
    pub(super) keyframe: bool,
    pub(super) unterminated: bool,
    pub(super) place: Option<Place>,
}

impl Unit {
    /// When it is presented, in ticks of 90 kHz.
    pub(super) fn shown(&self) -> Option<i64> {
        let since = u128::from(self.samples) * 90_000 / u128::from(self.rate.max(1));
        Some(self.times.pts?.saturating_add(i64::try_from(since).unwrap_or(i64::MAX)))
    }
}

/// How a run of data without gaps ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// What comes last is whole.
    Whole,
    /// It may be.
    Unsure,
    /// It is not.
    Broken,
}

enum Cutter {
    Nal(Box<AccessUnitAssembler>),
    /// And where in the stream the next unit begins.
    Mpeg2(Mpeg2Cutter, u64),
}

/// Cuts a stream into pictures.
pub(super) struct VideoUnits {
    codec: Codec,
    cutter: Cutter,
    marks: Marks,
    /// Bytes taken.
    taken: u64,
    limits: Limits,
    timing: Timing,
    order: DisplayOrder,
    /// Nothing is given out before the next key frame.
    waits_for_key: bool,
    /// Packets are missing of what has come since the last PES packet began; and up to the next start code nothing is of use.
    lacking: bool,
    skips: bool,
    /// Where the first key frame lies that is whole.
    first_whole: Option<u64>,
    /// The next key frame is where reading begins that did not begin at the start.
    entered: bool,
    sets: SetHistory,
    described: Option<VideoTrack>,
    /// What it is, where that is not read.
    refused: Option<&'static str>,
}

/// A unit as it was cut.
struct Cut {
    data: Bytes,
    offset: u64,
    keyframe: bool,
}

impl VideoUnits {
    pub(super) fn new(codec: Codec, limits: &Limits) -> Result<Self> {
        let cutter = if codec == Codec::Mpeg2 {
            Cutter::Mpeg2(Mpeg2Cutter::default(), 0)
        } else {
            Cutter::Nal(Box::new(AccessUnitAssembler::new(codec)?.with_largest_unit(limits.packet_bytes)))
        };
        Ok(Self {
            codec,
            cutter,
            marks: Marks::default(),
            taken: 0,
            limits: limits.clone(),
            timing: Timing::default(),
            order: DisplayOrder::new(codec),
            waits_for_key: false,
            lacking: false,
            skips: false,
            first_whole: None,
            entered: false,
            sets: SetHistory::new(codec),
            described: None,
            refused: None,
        })
    }

    /// What the headers met so far say.
    pub(super) fn described(&self) -> Option<&VideoTrack> {
        self.described.as_ref()
    }

    /// What the pictures are that are not read.
    pub(super) fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// A PES packet begins.
    pub(super) fn mark(&mut self, times: Times, place: Place, units: &mut Vec<Unit>) {
        if self.lacking {
            self.end(Ending::Broken, units);
        }
        self.marks.push(Mark { offset: self.taken, times, place });
    }

    /// Packets are missing in front of the next data. What begins behind them in the same PES packet is of use.
    pub(super) fn lose(&mut self) {
        (self.lacking, self.skips) = (true, true);
    }

    /// Takes data and gives out what is complete with it.
    pub(super) fn push(&mut self, mut data: &[u8], units: &mut Vec<Unit>) -> Result<()> {
        if self.skips {
            // One whose bytes lie in two packets is not worth the trouble.
            let Some(at) = find_start_code(data) else { return Ok(()) };
            self.skips = false;
            data = data.get(at..).unwrap_or_default();
        }
        self.taken += data.len() as u64;
        let pushed = match &mut self.cutter {
            Cutter::Nal(assembler) => assembler.push(data),
            Cutter::Mpeg2(cutter, _) => {
                let waiting = cutter.waiting() as u64;
                self.limits.check(
                    Limit::PacketBytes,
                    waiting.saturating_add(data.len() as u64),
                    "an MPEG-2 picture",
                )?;
                cutter.push(data).map_err(|e| Error::io("keep", "a picture", e.into()))
            }
        };
        self.drain(false, Ending::Whole, units);
        pushed
    }

    /// Nothing that follows continues what came before.
    pub(super) fn end(&mut self, ending: Ending, units: &mut Vec<Unit>) {
        if let Cutter::Nal(assembler) = &mut self.cutter {
            assembler.finish();
        }
        self.drain(true, ending, units);
        (self.lacking, self.skips) = (false, false);
        if let Cutter::Mpeg2(cutter, at) = &mut self.cutter {
            (*cutter, *at) = (Mpeg2Cutter::default(), self.taken);
        }
    }

    /// As [`Self::end`], for reading on at a key frame elsewhere.
    pub(super) fn restart(&mut self) {
        self.end(Ending::Broken, &mut Vec::new());
        self.marks.clear();
        self.timing.restart();
        (self.waits_for_key, self.entered) = (true, true);
    }

    fn drain(&mut self, ended: bool, ending: Ending, units: &mut Vec<Unit>) {
        let mut next = self.cut(ended);
        while let Some(cut) = next {
            next = self.cut(ended);
            let last = ended && next.is_none();
            let state = match ending {
                _ if self.lacking => Ending::Broken,
                ending if last => ending,
                _ => Ending::Whole,
            };
            self.give(cut, state, units);
        }
    }

    fn cut(&mut self, ended: bool) -> Option<Cut> {
        match &mut self.cutter {
            Cutter::Nal(assembler) => loop {
                let unit = assembler.next_unit()?;
                if !unit.has_picture && self.described.is_none() {
                    // The picture behind these headers is lost; they may be all that comes.
                    self.described = describe(self.codec, &unit.data);
                }
                if unit.has_picture {
                    let keyframe = unit.keyframe || unit.recovery_point;
                    return Some(Cut { data: unit.data, offset: unit.offset, keyframe });
                }
            },
            Cutter::Mpeg2(cutter, at) => {
                let unit = cutter.next_unit(ended)?;
                let offset = *at;
                *at += unit.data.len() as u64;
                Some(Cut { data: unit.data, offset, keyframe: unit.keyframe })
            }
        }
    }

    fn give(&mut self, mut cut: Cut, state: Ending, units: &mut Vec<Unit>) {
        // The zero in front of a start code may be the last byte of the PES packet before.
        let (stated, place) = self.marks.of(cut.offset + 1);
        if self.described.is_none() && self.codec == Codec::Mpeg2 && is_mpeg1(&cut.data) {
            // Its extension may be what is missing.
            self.refused = Some("MPEG-1 video").filter(|_| state != Ending::Broken);
        } else if self.described.is_none() {
            self.described = describe(self.codec, &cut.data);
        }
        self.timing.rate = self.described.as_ref().and_then(|video| video.frame_rate);
        let standing = match self.codec {
            Codec::Mpeg2 => temporal_reference(&cut.data).map(|(at, group)| Standing::Reference(at, group)),
            _ => {
                self.order.of_unit(BitstreamLayout::AnnexB, &cut.data).map(|(of, at)| Standing::Count(of, at))
            }
        };
        let standing = standing.unwrap_or(Standing::Unknown);
        if !self.is_given(&cut, state, place) {
            return;
        }
        self.waits_for_key = false;
        if cut.keyframe
            && let Some(Place { at, .. }) = place
        {
            self.sets.note(at, &cut.data);
            if std::mem::take(&mut self.entered) {
                // Without memory for them it is as the stream has it.
                cut.data = self.sets.complete(at, cut.data.clone()).unwrap_or(cut.data);
            }
        }
        let times = self.timing.of(self.codec, stated, standing);
        units.push(Unit {
            data: cut.data,
            times,
            samples: 0,
            rate: 1,
            duration: None,
            keyframe: cut.keyframe,
            unterminated: state != Ending::Whole,
            place,
        });
    }

    /// A picture that lacks packets is left out. But with a key frame decoding begins: as long as none has come whole, one that
    /// is not does better than none.
    fn is_given(&mut self, cut: &Cut, state: Ending, place: Option<Place>) -> bool {
        if !cut.keyframe {
            return state != Ending::Broken && !self.waits_for_key;
        }
        let at = place.map_or(0, |place| place.at);
        if state == Ending::Broken {
            return self.first_whole.is_none_or(|first| at < first);
        }
        self.first_whole = Some(self.first_whole.map_or(at, |first| first.min(at)));
        true
    }
}

fn describe(codec: Codec, unit: &[u8]) -> Option<VideoTrack> {
    if codec == Codec::Mpeg2 {
        let header = Mpeg2Header::find(unit)?;
        let track = VideoTrack::new(codec, BitstreamLayout::elementary(codec), header.dimensions);
        return Some(VideoTrack { frame_rate: header.frame_rate, ..track });
    }
    // A broken parameter set is as good as a missing one: a later picture may do.
    let info = StreamInfo::from_unit(codec, BitstreamLayout::AnnexB, unit).ok()??;
    Some(VideoTrack {
        color: info.color,
        sample_aspect_ratio: info.sample_aspect_ratio,
        frame_rate: info.frame_rate,
        hdr: info.hdr,
        ..VideoTrack::new(codec, BitstreamLayout::AnnexB, info.dimensions)
    })
}

/// Whether a sequence header is not followed by the extension that MPEG-2 has.
fn is_mpeg1(unit: &[u8]) -> bool {
    let mut rest = unit;
    let mut sequence = false;
    while let Some(at) = find_start_code(rest) {
        rest = rest.get(at + 3..).unwrap_or_default();
        match rest.first() {
            Some(0xb3) => sequence = true,
            Some(0xb5) => return false,
            Some(0) => break,
            _ => {}
        }
    }
    sequence
}

/// `temporal_reference` of the first picture header of MPEG-2 (6.2.3), and whether a group begins in front of it.
fn temporal_reference(unit: &[u8]) -> Option<(i64, bool)> {
    let (mut rest, mut group) = (unit, false);
    loop {
        let at = find_start_code(rest)?;
        rest = rest.get(at + 3..)?;
        match rest {
            [0, high, low, ..] => return Some((i64::from(*high) << 2 | i64::from(low >> 6), group)),
            [0xb8, ..] => group = true,
            _ => {}
        }
    }
}
