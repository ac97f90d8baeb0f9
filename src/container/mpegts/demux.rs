//! The reader.

use std::collections::VecDeque;
use std::io::{Read, Seek};
use std::path::PathBuf;

use super::clock::{Clock, ClockState};
use super::kinds::Kind;
use super::packets::{Header, PACKET, PacketReader, Step};
use super::program::Programs;
use super::stream::{Common, Stream, Told, pass_over};
use super::video::{Ending, Place, Times, Unit};
use crate::container::{ContainerFormat, Demuxer, Track, TrackId};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// Packets that are kept until the tables say what they hold.
const MOST_HELD: usize = 20_000;
/// Notes of jumps of the clock.
const MOST_JUMPS: usize = 10;
/// Notes of what changes behind the opening, jumps aside.
const MOST_CHANGES: usize = 20;
/// Ticks between the points of a sound stream.
const SOUND_APART: i64 = 45_000;
/// Bytes of an entry of the index.
const POINT_BYTES: u64 = size_of::<Point>() as u64;

/// Reads a transport stream from a file or, one way, from a pipe (see [`crate::stream_io::NonSeekable`]).
///
/// Of several programs the first one with video is read, or where none has any the first one with sound. Times are those of the
/// stream on one line without wraps, and zero is the first picture that is shown, or where there is none the first sound; what
/// comes before it has a negative time.
pub struct MpegTsDemuxer<R> {
    pub(super) packets: PacketReader<R>,
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
    pub(super) programs: Programs,
    pub(super) streams: Vec<Stream>,
    /// What the map of the program lists.
    pub(super) listed: Vec<(u16, Kind)>,
    pub(super) common: Common,
    /// Packets that came before the program was known.
    pub(super) held: VecDeque<(u64, [u8; PACKET])>,
    pub(super) ready: VecDeque<Ready>,
    /// Packets that their receiver marked as damaged and that have not been told, and where the first lies.
    damaged: Option<(u64, u64)>,
    pub(super) tracks: Vec<Track>,
    pub(super) notes: Vec<String>,
    /// Jumps that have been noted, and where the last one is.
    jumps: usize,
    jumped_at: u64,
    /// Notes of what changed behind the opening.
    changes: usize,
    /// What is zero, in ticks of 90 kHz.
    pub(super) zero: i64,
    pub(super) seekable: bool,
    pub(super) ended: bool,
    index: Index,
}

/// What is to be given out.
pub(super) enum Ready {
    /// A unit of the stream with this number.
    Unit(usize, Unit),
    Fault(Error),
}

/// Random access points found so far, of each stream in the order of the file.
struct Index {
    points: Vec<Point>,
    start: Place,
}

#[derive(Clone, Copy)]
struct Point {
    stream: u32,
    time: i64,
    place: Place,
}

impl<R: Read + Seek + Send> MpegTsDemuxer<R> {
    /// Reads the tables and as much as describes the tracks; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] without tables or pictures, [`Error::Unsupported`] without anything that is read here,
    /// [`Error::Io`].
    pub fn new(reader: R, path: impl Into<PathBuf>) -> Result<Self> {
        Self::with_limits(reader, path, Limits::default())
    }

    /// As [`Self::new`], within these limits.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Error::LimitExceeded`].
    pub fn with_limits(mut reader: R, path: impl Into<PathBuf>, limits: Limits) -> Result<Self> {
        let position = reader.stream_position();
        let (at, seekable) = (position.as_ref().copied().unwrap_or(0), position.is_ok());
        let mut demuxer = Self {
            packets: PacketReader::new(reader, at),
            path: path.into(),
            limits,
            programs: Programs::default(),
            streams: Vec::new(),
            listed: Vec::new(),
            common: Common { clock: Clock::default(), damage: 0 },
            held: VecDeque::new(),
            ready: VecDeque::new(),
            damaged: None,
            tracks: Vec::new(),
            notes: Vec::new(),
            jumps: 0,
            jumped_at: 0,
            changes: 0,
            zero: 0,
            seekable,
            ended: false,
            index: Index { points: Vec::new(), start: Place { at, clock: ClockState::default() } },
        };
        demuxer.describe()?;
        Ok(demuxer)
    }

    /// Reads on by one packet, and gives what becomes complete to `ready`.
    pub(super) fn step(&mut self) -> Result<()> {
        match self.packets.advance().map_err(|e| Error::io("read", &self.path, e))? {
            Step::Packet(at) => {
                let packet = *self.packets.packet();
                self.take(at, &packet)?;
            }
            Step::Lost { at, bytes } if bytes < PACKET as u64 && self.packets.is_at_end() => {
                self.end();
                self.fault(Error::corrupt(format!(
                    "the last packet, at byte {at}, is cut short: {bytes} bytes"
                )));
            }
            Step::Lost { at, bytes } if at == self.index.start.at => {
                // A recording begins anywhere: that is no damage.
                if self.tracks.is_empty() {
                    self.notes.push(format!("the first packet begins at byte {}", at + bytes));
                }
            }
            Step::Lost { at, bytes } => {
                self.common.damage += 1;
                self.fault(Error::corrupt(format!(
                    "{bytes} bytes from byte {at} on are no packets of a transport stream; they are left out"
                )));
            }
            Step::End => self.end(),
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        self.tell_damaged();
        self.end_streams();
    }

    /// What is still open is complete, or is not.
    pub(super) fn end_streams(&mut self) {
        for number in 0..self.streams.len() {
            let Some(stream) = self.streams.get(number).filter(|stream| stream.is_read()) else { continue };
            let lacking = stream.lacks().map(|bytes| (stream.pid, bytes));
            let ending = if lacking.is_some() { Ending::Broken } else { Ending::Unsure };
            self.with_stream(number, |stream, units| stream.end(ending, units));
            if let Some((pid, bytes)) = lacking {
                self.fault(Error::corrupt(format!(
                    "PID {pid}: the last PES packet lacks {bytes} bytes; it is left out"
                )));
            }
        }
    }

    fn take(&mut self, at: u64, packet: &[u8; PACKET]) -> Result<()> {
        let header = Header::of(packet);
        if header.damaged {
            let (_, count) = self.damaged.get_or_insert((at, 0));
            *count += 1;
            return Ok(());
        }
        self.tell_damaged();
        if self.programs.are_in(header.pid) {
            let payload = packet.get(header.payload..).unwrap_or_default();
            let changed = header.has_payload() && self.programs.take(&header, payload);
            return self.consider_tables(at, changed);
        }
        if self.streams.is_empty() {
            if self.held.len() >= MOST_HELD {
                self.held.pop_front();
            }
            self.held.push_back((at, *packet));
            return Ok(());
        }
        self.give(at, &header, packet);
        Ok(())
    }

    pub(super) fn give(&mut self, at: u64, header: &Header, packet: &[u8; PACKET]) {
        let of_pid = |stream: &Stream| stream.pid == header.pid && !stream.gone;
        let Some(number) = self.streams.iter().position(of_pid) else { return };
        let (mut units, mut told) = (Vec::new(), Vec::new());
        if let Some(stream) = self.streams.get_mut(number) {
            if stream.selected {
                stream.take(number, (at, header, packet), &mut self.common, &mut units, &mut told);
            } else {
                told.extend(pass_over(number, header, packet, &mut self.common));
            }
        }
        self.add(number, units);
        self.note_late(number, at, header);
        for told in told {
            match told {
                Told::Fault(error) => self.fault(error),
                Told::Jump(ticks) => self.note_jump(at, ticks),
            }
        }
    }

    fn add(&mut self, number: usize, units: Vec<Unit>) {
        self.ready.extend(units.into_iter().map(|unit| Ready::Unit(number, unit)));
    }

    /// A stream that the program has and that had not come when the tracks were described.
    fn note_late(&mut self, number: usize, at: u64, header: &Header) {
        let Some(stream) = self.streams.get_mut(number) else { return };
        let late = header.starts && !self.tracks.is_empty() && !stream.told_late;
        if !late || self.tracks.iter().any(|track| track.id == stream.id) {
            return;
        }
        stream.told_late = true;
        let (pid, name) = (stream.pid, stream.kind.name());
        self.note_change(format!("PID {pid} ({name}), which is left out, begins at byte {at}"));
    }

    /// What is told behind the opening: once, and of a stream that changes all the time not for ever.
    pub(super) fn note_change(&mut self, what: String) {
        if self.changes > MOST_CHANGES || self.notes.contains(&what) {
            return;
        }
        self.changes += 1;
        let last = self.changes > MOST_CHANGES;
        self.notes.push(if last { "further changes of the program are not told".to_owned() } else { what });
    }

    pub(super) fn with_stream(&mut self, number: usize, act: impl FnOnce(&mut Stream, &mut Vec<Unit>)) {
        let mut units = Vec::new();
        if let Some(stream) = self.streams.get_mut(number) {
            act(stream, &mut units);
        }
        self.add(number, units);
    }

    pub(super) fn fault(&mut self, error: Error) {
        self.ready.push_back(Ready::Fault(error.in_file(&self.path)));
    }

    /// A run of packets that their receiver could not correct is one damage.
    fn tell_damaged(&mut self) {
        let Some((at, count)) = self.damaged.take() else { return };
        self.common.damage += 1;
        self.fault(Error::corrupt(format!(
            "{count} packets from byte {at} on are marked as damaged; they are left out"
        )));
    }

    fn note_jump(&mut self, at: u64, ticks: i64) {
        self.common.damage += 1;
        // Read again after a seek, it is no other one.
        if at <= self.jumped_at {
            return;
        }
        (self.jumps, self.jumped_at) = (self.jumps + 1, at);
        let seconds = Timestamp::new(ticks, TimeBase::MPEG);
        match self.jumps.cmp(&MOST_JUMPS) {
            std::cmp::Ordering::Less => self.notes.push(format!(
                "the clock of the stream jumps by {seconds} at byte {at}; time goes on without the jump"
            )),
            std::cmp::Ordering::Equal => {
                self.notes.push("further jumps of the clock are not told".to_owned());
            }
            std::cmp::Ordering::Greater => {}
        }
    }

    /// The unit as a packet, with times from zero.
    fn packet(&mut self, number: usize, unit: Unit) -> Option<Packet> {
        let stream = self.streams.get(number)?;
        let track = self.tracks.iter().find(|track| track.id == stream.id)?;
        if unit.keyframe {
            self.index.note(number as u32, &unit, &self.limits);
        }
        let time = |ticks: i64| {
            let time =
                Timestamp::new(ticks.saturating_sub(self.zero), TimeBase::MPEG).rescale(track.time_base);
            time.offset(i64::try_from(unit.samples).unwrap_or(i64::MAX))
        };
        let Times { pts, dts } = unit.times;
        Some(Packet {
            pts: pts.map(time),
            dts: dts.map(time),
            duration: unit.duration,
            keyframe: unit.keyframe,
            unterminated: unit.unterminated,
            ..track.packet(unit.data)
        })
    }

    /// Reads on behind the index until `stream` has a point after `to`, or the input ends.
    fn extend_index(&mut self, stream: u32, to: i64) -> Result<()> {
        if self.index.points.iter().any(|point| point.stream == stream && point.time > to) {
            return Ok(());
        }
        let last = self.index.points.iter().rev().find(|point| point.stream == stream);
        self.go_to(last.map_or(self.index.start, |last| last.place))?;
        while !self.ended {
            while let Some(ready) = self.ready.pop_front() {
                // Damage is told when it is met again.
                let Ready::Unit(number, unit) = ready else { continue };
                if unit.keyframe {
                    self.index.note(number as u32, &unit, &self.limits);
                    if number as u32 == stream && unit.shown().is_some_and(|pts| pts > to) {
                        return Ok(());
                    }
                }
            }
            self.step()?;
        }
        Ok(())
    }

    fn go_to(&mut self, place: Place) -> Result<()> {
        self.packets.seek(place.at).map_err(|e| Error::io("read", &self.path, e))?;
        self.common.clock.restore(place.clock);
        self.ready.clear();
        (self.ended, self.damaged) = (false, None);
        self.streams.iter_mut().for_each(Stream::restart);
        Ok(())
    }
}

impl Index {
    fn note(&mut self, stream: u32, unit: &Unit, limits: &Limits) {
        let (Some(time), Some(place)) = (unit.shown(), unit.place) else { return };
        // Streams lie side by side: a point of one may come behind a later one of another.
        let last = self.points.iter().rev().find(|point| point.stream == stream);
        // Sound can begin at every frame; some of them are enough.
        let apart = if unit.duration.is_some() { SOUND_APART } else { i64::MIN };
        if last.is_some_and(|last| place.at <= last.place.at || time.saturating_sub(last.time) < apart) {
            return;
        }
        let bytes = (self.points.len() as u64 + 1).saturating_mul(POINT_BYTES);
        if bytes <= limits.index_memory && self.points.try_reserve(1).is_ok() {
            self.points.push(Point { stream, time, place });
        }
    }
}

impl<R: Read + Seek + Send> Demuxer for MpegTsDemuxer<R> {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::MpegTs
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match self.ready.pop_front() {
                Some(Ready::Fault(error)) => return Err(error),
                Some(Ready::Unit(number, unit)) => {
                    if let Some(packet) = self.packet(number, unit) {
                        return Ok(Some(packet));
                    }
                }
                None if self.ended => return Ok(None),
                None => self.step()?,
            }
        }
    }

    fn select_tracks(&mut self, tracks: &[TrackId]) {
        for stream in &mut self.streams {
            let selected = tracks.contains(&stream.id);
            // A unit that is still open must not come out at the end.
            if stream.selected && !selected {
                stream.restart();
            }
            stream.selected = selected;
        }
        let streams = &self.streams;
        self.ready.retain(|ready| match ready {
            Ready::Unit(number, _) => streams.get(*number).is_some_and(|stream| stream.selected),
            Ready::Fault(_) => true,
        });
    }

    fn seek(&mut self, track: TrackId, to: Timestamp) -> Result<bool> {
        let Some(number) = self.streams.iter().position(|stream| stream.id == track) else {
            return Ok(false);
        };
        if !self.seekable || !self.streams.iter().any(Stream::is_read) {
            return Ok(false);
        }
        let mut ticks = to.rescale(TimeBase::MPEG);
        if ticks > to {
            ticks = ticks.offset(-1);
        }
        let (to, stream) = (ticks.ticks().saturating_add(self.zero), number as u32);
        self.extend_index(stream, to)?;
        let found = self.index.points.iter().rev().find(|point| point.stream == stream && point.time <= to);
        self.go_to(found.map_or(self.index.start, |point| point.place))?;
        Ok(true)
    }
}
