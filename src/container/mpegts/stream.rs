//! One elementary stream that is read: from packets to units.

use super::clock::Clock;
use super::kinds::{Kind, SoundKind};
use super::packets::{Header, PACKET};
use super::pes::{self, Pes};
use super::sections::Entry;
use super::sound::SoundUnits;
use super::video::{Ending, Place, Times, Unit, VideoUnits};
use crate::container::TrackId;
use crate::error::{Error, Result};
use crate::limits::Limits;

/// Pictures or frames of sound.
pub(super) enum Units {
    Video(VideoUnits),
    Sound(SoundUnits),
}

/// A stream of the program that is read.
pub(super) struct Stream {
    pub(super) pid: u16,
    pub(super) id: TrackId,
    pub(super) kind: Kind,
    pub(super) language: Option<String>,
    pub(super) units: Units,
    /// It is asked for.
    pub(super) selected: bool,
    /// The program has it no longer.
    pub(super) gone: bool,
    /// Packets that could not be read because they are scrambled.
    pub(super) scrambled: u64,
    /// Packets that have come, and places where some are missing.
    pub(super) packets: u64,
    pub(super) gaps: u64,
    /// It has been told that it comes and has no track.
    pub(super) told_late: bool,
    pes: Pes,
    counter: Option<u8>,
    /// The last packet, which may come twice.
    last: Box<[u8; PACKET]>,
    /// Damage that had been met when its last packet came.
    damage: u64,
    /// A gap in the counters, which is none if the clock has jumped too.
    gap: Option<String>,
}

/// What is told beside the units.
pub(super) enum Told {
    /// Something is lost.
    Fault(Error),
    /// The clock has jumped by so many ticks.
    Jump(i64),
}

/// What the streams of a program share.
#[derive(Default)]
pub(super) struct Common {
    pub(super) clock: Clock,
    /// Counts damage. Gaps of several streams are of one damage when none had a packet since.
    pub(super) damage: u64,
}

/// A packet of stream number `number` that is not asked for. The clock is that of all streams, and has to jump at the same place
/// whichever of them are read.
pub(super) fn pass_over(
    number: usize,
    header: &Header,
    packet: &[u8; PACKET],
    common: &mut Common,
) -> Option<Told> {
    if !header.starts || header.scrambled {
        return None;
    }
    let found = pes::header(packet.get(header.payload..)?).filter(|found| !found.scrambled)?;
    common.clock.place(number, found.pts?, found.dts).jump.map(Told::Jump)
}

impl Stream {
    pub(super) fn new(id: TrackId, entry: &Entry, kind: Kind, limits: &Limits) -> Result<Option<Self>> {
        let units = match kind {
            Kind::Video(codec) => Units::Video(VideoUnits::new(codec, limits)?),
            Kind::Sound(sound) => Units::Sound(SoundUnits::new(sound, limits)),
            Kind::Other(_) => return Ok(None),
        };
        Ok(Some(Self::of((entry.pid, id, kind), super::kinds::language(entry), units)))
    }

    fn of((pid, id, kind): (u16, TrackId, Kind), language: Option<String>, units: Units) -> Self {
        Self {
            pid,
            id,
            kind,
            language,
            units,
            selected: true,
            gone: false,
            scrambled: 0,
            packets: 0,
            gaps: 0,
            told_late: false,
            pes: Pes::default(),
            counter: None,
            last: Box::new([0; PACKET]),
            damage: 0,
            gap: None,
        }
    }

    /// The same stream before anything of it has come. Its pictures or frames are cut anew too.
    pub(super) fn anew(&self, kind: SoundKind, limits: &Limits) -> Self {
        let units = Units::Sound(SoundUnits::new(kind, limits));
        Self::of((self.pid, self.id, Kind::Sound(kind)), self.language.clone(), units)
    }

    pub(super) fn is_read(&self) -> bool {
        self.selected && !self.gone
    }

    /// Bytes that its last PES packet lacks of what it states.
    pub(super) fn lacks(&self) -> Option<usize> {
        self.pes.lacks()
    }

    /// Whether a track can be made of what has come.
    pub(super) fn is_described(&self) -> bool {
        match &self.units {
            Units::Video(video) => video.described().is_some() || video.refused().is_some(),
            Units::Sound(sound) => sound.described().is_some() || sound.refused().is_some(),
        }
    }

    /// Takes a packet. `number` is that of the stream on the time line, `at` where the packet lies.
    pub(super) fn take(
        &mut self,
        number: usize,
        (at, header, packet): (u64, &Header, &[u8; PACKET]),
        common: &mut Common,
        units: &mut Vec<Unit>,
        told: &mut Vec<Told>,
    ) {
        if header.scrambled {
            self.meets_scrambling(at, units, told);
            return;
        }
        if !header.has_payload() {
            return;
        }
        let payload = packet.get(header.payload..).unwrap_or_default();
        if let Some(last) = self.counter {
            let expected = (last + 1) & 15;
            if header.counter == last && self.last.get(4..).is_some_and(|before| before.ends_with(payload)) {
                return;
            }
            if header.counter != expected {
                if header.discontinuity {
                    self.end(Ending::Whole, units);
                } else {
                    self.meets_gap(at, (last, header), common, units, told);
                }
            }
        }
        self.packets += 1;
        self.counter = Some(header.counter);
        self.last.copy_from_slice(packet);
        self.damage = common.damage;
        if header.starts {
            self.pes.begin();
        }
        let Some(piece) = self.pes.push(payload) else {
            let pid = self.pid;
            told.push(Told::Fault(Error::corrupt(format!("PID {pid}: at byte {at} begins no PES packet"))));
            self.end(Ending::Broken, units);
            return;
        };
        if let Some(found) = piece.header {
            if found.scrambled {
                self.meets_scrambling(at, units, told);
                return;
            }
            let placed = found.pts.map(|pts| common.clock.place(number, pts, found.dts));
            // Reading resumes here with the offset behind a jump.
            let place = Place { at, clock: common.clock.state() };
            let gap = self.gap.take();
            match (placed.and_then(|placed| placed.jump), gap) {
                (Some(jump), _) => told.push(Told::Jump(jump)),
                (None, Some(what)) => told.push(Told::Fault(Error::corrupt(what))),
                (None, None) => {}
            }
            let times = Times { pts: placed.map(|p| p.pts), dts: placed.map(|p| p.dts) };
            match &mut self.units {
                Units::Video(video) => video.mark(times, place, units),
                Units::Sound(sound) => sound.mark(times, place),
            }
        }
        let pushed = match &mut self.units {
            Units::Video(video) => video.push(piece.data, units),
            Units::Sound(sound) => sound.push(piece.data, units),
        };
        if let Err(error) = pushed {
            told.push(Told::Fault(error));
        }
    }

    /// The counter breaks off: packets are missing in front of this one.
    fn meets_gap(
        &mut self,
        at: u64,
        (last, header): (u8, &Header),
        common: &mut Common,
        units: &mut Vec<Unit>,
        told: &mut Vec<Told>,
    ) {
        // What is complete, or ends where the next begins, may be whole.
        self.gaps += 1;
        let waiting = self.pes.is_waiting();
        match (header.starts, self.pes.is_complete(), &mut self.units) {
            (_, true, _) => self.end(Ending::Whole, units),
            (true, false, _) => self.end(Ending::Unsure, units),
            (false, false, Units::Video(video)) if self.pes.is_in_data() => {
                video.lose();
                self.pes.lose();
            }
            (false, false, _) => self.end(Ending::Broken, units),
        }
        if self.damage != common.damage || (waiting && !header.starts) {
            return;
        }
        common.damage += 1;
        let missing = (header.counter + 15 - last) & 15;
        let pid = self.pid;
        let what = format!(
            "PID {pid}: packets are missing in front of byte {at} (their number is {missing} modulo 16); what they belong to \
             is not whole"
        );
        if header.starts {
            self.gap = Some(what);
        } else {
            told.push(Told::Fault(Error::corrupt(what)));
        }
    }

    fn meets_scrambling(&mut self, at: u64, units: &mut Vec<Unit>, told: &mut Vec<Told>) {
        if self.scrambled == 0 && self.is_described() {
            let pid = self.pid;
            let what = format!("PID {pid}: from byte {at} on packets are scrambled; they are left out");
            told.push(Told::Fault(Error::corrupt(what)));
        }
        self.scrambled += 1;
        if !self.pes.is_waiting() {
            self.end(Ending::Unsure, units);
        }
        self.counter = None;
    }

    /// Nothing that follows continues what came before.
    pub(super) fn end(&mut self, ending: Ending, units: &mut Vec<Unit>) {
        self.pes.wait();
        match &mut self.units {
            Units::Video(video) => video.end(ending, units),
            Units::Sound(sound) => sound.end(units),
        }
    }

    /// Forgets all that came, for reading on elsewhere.
    pub(super) fn restart(&mut self) {
        self.pes.wait();
        (self.counter, self.gap) = (None, None);
        match &mut self.units {
            Units::Video(video) => video.restart(),
            Units::Sound(sound) => sound.restart(),
        }
    }

    /// Goes on with another PID of the same program.
    pub(super) fn moves_to(&mut self, pid: u16, units: &mut Vec<Unit>) {
        self.end(Ending::Whole, units);
        (self.pid, self.counter, self.gone) = (pid, None, false);
    }
}
