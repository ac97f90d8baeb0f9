//! Writing packets: tables, clock references, PES packets.

use std::io::Write;
use std::path::PathBuf;

use super::packets::{PACKET, SYNC};
use super::sections::crc;
use crate::error::{Error, Result};

/// PID of the program map.
const MAP_PID: u16 = 0x1000;
/// The only program.
const PROGRAM: u16 = 1;
/// Ticks of 90 kHz between clock references: the 40 ms that are allowed, so that 25 pictures a second need none in between.
const CLOCK_APART: i64 = 3_600;
/// Ticks after which tables are due, so that with one more reference 100 ms have not passed.
const TABLES_APART: i64 = 9_000 - CLOCK_APART;
/// Without pictures for longer than this, ten seconds, the clock is not written in between.
const LONGEST_PAUSE: i64 = 900_000;
/// Ticks of 27 MHz from packet to packet of M2TS: 48 Mbit/s.
const ARRIVAL_STEP: u64 = 846;
/// Bytes of the longest PES packet that states its length.
const MAX_LENGTH: usize = 0xffff;

/// A stream in the program map.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) descriptors: Vec<u8>,
}

/// A PES packet to be written.
pub(super) struct PesPacket<'a> {
    pub(super) pid: u16,
    pub(super) stream_id: u8,
    pub(super) pts: i64,
    pub(super) dts: i64,
    pub(super) random_access: bool,
    pub(super) data: &'a [u8],
}

/// Writes packets of 188 bytes, or of 192 with the time of their arrival in front.
pub(super) struct PacketWriter<W> {
    writer: W,
    path: PathBuf,
    with_arrival: bool,
    arrival: u64,
    /// Continuity counters by PID.
    counters: Vec<(u16, u8)>,
    tables: [Vec<u8>; 2],
    clock_pid: u16,
    /// The clock, and when it and the tables were last written.
    now: i64,
    clock_at: Option<i64>,
    tables_at: Option<i64>,
    pes: Vec<u8>,
    pub(super) bytes: u64,
}

impl<W: Write> PacketWriter<W> {
    pub(super) fn new(writer: W, path: PathBuf, with_arrival: bool) -> Self {
        Self {
            writer,
            path,
            with_arrival,
            arrival: 0,
            counters: Vec::new(),
            tables: [association(), Vec::new()],
            clock_pid: 0x1fff,
            now: 0,
            clock_at: None,
            tables_at: None,
            pes: Vec::new(),
            bytes: 0,
        }
    }

    /// States what the program is made of; the first stream of `listed` carries the clock unless `clock_pid` is another's.
    pub(super) fn list(&mut self, listed: &[Listed], clock_pid: u16) {
        self.clock_pid = clock_pid;
        let mut fields = (0xe000 | clock_pid).to_be_bytes().to_vec();
        fields.extend([0xf0, 0]);
        for stream in listed {
            fields.push(stream.stream_type);
            fields.extend((0xe000 | stream.pid).to_be_bytes());
            fields.extend((0xf000 | stream.descriptors.len() as u16 & 0x0fff).to_be_bytes());
            fields.extend_from_slice(&stream.descriptors);
        }
        self.tables[1] = section(2, PROGRAM, &fields);
    }

    /// Brings the clock to `now`, with references and tables as often as they are due.
    pub(super) fn advance(&mut self, now: i64) -> Result<()> {
        if self.clock_at.is_some_and(|last| now.saturating_sub(last) > LONGEST_PAUSE) {
            self.now = now;
        }
        loop {
            let due = self.clock_at.map_or(now, |last| last.saturating_add(CLOCK_APART));
            if due >= now {
                break;
            }
            self.now = self.now.max(due);
            self.tables_when_due()?;
            self.clock_at = Some(self.now);
            let field = self.adaptation(false, true);
            self.packet(self.clock_pid, false, &field, &[])?;
        }
        self.now = self.now.max(now);
        self.tables_when_due()
    }

    fn tables_when_due(&mut self) -> Result<()> {
        if self.tables_at.is_some_and(|last| self.now.saturating_sub(last) < TABLES_APART) {
            return Ok(());
        }
        self.write_tables()
    }

    /// Writes what is in the stream, unless that has just been written.
    pub(super) fn write_tables(&mut self) -> Result<()> {
        if self.tables_at == Some(self.now) {
            return Ok(());
        }
        self.tables_at = Some(self.now);
        for (pid, which) in [(0, 0), (MAP_PID, 1)] {
            let section = std::mem::take(&mut self.tables[which]);
            let written = self.section(pid, &section);
            self.tables[which] = section;
            written?;
        }
        Ok(())
    }

    fn section(&mut self, pid: u16, section: &[u8]) -> Result<()> {
        let mut first = true;
        let mut rest = [&[0][..], section].concat();
        while !rest.is_empty() {
            let now = rest.len().min(PACKET - 4);
            let mut payload: Vec<u8> = rest.drain(..now).collect();
            // Behind a section stands stuffing, not an adaptation field.
            payload.resize(PACKET - 4, 0xff);
            self.packet(pid, first, &[], &payload)?;
            first = false;
        }
        Ok(())
    }

    /// Writes a PES packet at the present time of the clock.
    pub(super) fn pes(&mut self, packet: &PesPacket<'_>) -> Result<()> {
        let mut pes = std::mem::take(&mut self.pes);
        pes.clear();
        crate::memory::grow(&mut pes, packet.data.len().saturating_add(19))?;
        let with_dts = packet.dts != packet.pts;
        let times: usize = if with_dts { 10 } else { 5 };
        // Only video may leave its length open.
        let length = packet.data.len().saturating_add(3 + times);
        let is_video = packet.stream_id & 0xf0 == 0xe0;
        if length > MAX_LENGTH && !is_video {
            return Err(Error::invalid(format!(
                "{} bytes of sound do not fit a PES packet, which holds 65535",
                packet.data.len()
            )));
        }
        let length = if length > MAX_LENGTH { 0 } else { length as u16 };
        pes.extend([0, 0, 1, packet.stream_id]);
        pes.extend(length.to_be_bytes());
        // data_alignment_indicator: an access unit begins at once.
        pes.extend([0x84, if with_dts { 0xc0 } else { 0x80 }, times as u8]);
        pes.extend(time(if with_dts { 3 } else { 2 }, packet.pts));
        if with_dts {
            pes.extend(time(1, packet.dts));
        }
        pes.extend_from_slice(packet.data);
        let written = self.payload(packet, &pes);
        self.pes = pes;
        written
    }

    fn payload(&mut self, packet: &PesPacket<'_>, pes: &[u8]) -> Result<()> {
        let with_clock = packet.pid == self.clock_pid && self.clock_at != Some(self.now);
        if with_clock {
            self.clock_at = Some(self.now);
        }
        let mut field = self.adaptation(packet.random_access, with_clock);
        let (mut rest, mut first) = (pes, true);
        while !rest.is_empty() {
            let room = PACKET - 4 - field.len();
            let (now, later) = rest.split_at(rest.len().min(room));
            stuff(&mut field, room - now.len());
            self.packet(packet.pid, first, &field, now)?;
            field.clear();
            (rest, first) = (later, false);
        }
        Ok(())
    }

    /// An adaptation field that says this; empty where it would say nothing.
    fn adaptation(&self, random_access: bool, with_clock: bool) -> Vec<u8> {
        if !random_access && !with_clock {
            return Vec::new();
        }
        let mut field = vec![1, u8::from(random_access) << 6 | u8::from(with_clock) << 4];
        if with_clock {
            // 33 bits of 90 kHz, 6 reserved ones, 9 of 27 MHz.
            let base = (self.now as u64) & ((1 << 33) - 1);
            field.extend((base << 15 | 0x7e00).to_be_bytes().get(2..).unwrap_or_default());
            field[0] = 7;
        }
        field
    }

    fn packet(&mut self, pid: u16, starts: bool, field: &[u8], payload: &[u8]) -> Result<()> {
        let mut packet = [0xff; PACKET + 4];
        let at = self.counters.iter().position(|(of, _)| *of == pid).unwrap_or_else(|| {
            self.counters.push((pid, 15));
            self.counters.len() - 1
        });
        let counter = self.counters.get_mut(at).map_or(0, |(_, counter)| {
            // Counted are packets with a payload.
            *counter = (*counter + u8::from(!payload.is_empty())) & 15;
            *counter
        });
        let mut own = field.to_vec();
        if payload.is_empty() {
            stuff(&mut own, PACKET - 4 - field.len());
        }
        let control = u8::from(!own.is_empty()) << 1 | u8::from(!payload.is_empty());
        let arrival = ((self.arrival & 0x3fff_ffff) as u32).to_be_bytes();
        let [high, low] = pid.to_be_bytes();
        let head = [SYNC, u8::from(starts) << 6 | high, low, control << 4 | counter];
        let bytes = [&arrival[..], &head, &own, payload].concat();
        for (to, from) in packet.iter_mut().zip(&bytes) {
            *to = *from;
        }
        let skip = if self.with_arrival { 0 } else { 4 };
        let packet = packet.get(skip..).unwrap_or_default();
        self.writer.write_all(packet).map_err(|e| Error::io_writing("write", &self.path, e))?;
        self.bytes += packet.len() as u64;
        let by_clock = u64::try_from(self.now).unwrap_or(0).saturating_mul(300);
        self.arrival = self.arrival.saturating_add(ARRIVAL_STEP).max(by_clock);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| Error::io_writing("write", &self.path, e))
    }
}

/// Makes an adaptation field longer by so many bytes.
fn stuff(field: &mut Vec<u8>, bytes: usize) {
    if bytes == 0 {
        return;
    }
    let target = field.len() + bytes;
    if field.is_empty() {
        field.push(0);
    }
    if field.len() < target && field.len() == 1 {
        field.push(0);
    }
    field.resize(target, 0xff);
    if let Some(length) = field.first_mut() {
        *length = (target - 1) as u8;
    }
}

fn association() -> Vec<u8> {
    let mut fields = PROGRAM.to_be_bytes().to_vec();
    fields.extend((0xe000 | MAP_PID).to_be_bytes());
    section(0, 1, &fields)
}

/// A section of this table, version 0, the only one.
fn section(table: u8, number: u16, fields: &[u8]) -> Vec<u8> {
    let mut section = vec![table];
    section.extend((0xb000 | (fields.len() as u16 + 9) & 0x0fff).to_be_bytes());
    section.extend(number.to_be_bytes());
    section.extend([0xc1, 0, 0]);
    section.extend_from_slice(fields);
    let sum = crc(&section);
    section.extend(sum.to_be_bytes());
    section
}

/// 33 bits with marker bits between, behind four bits that say which time it is.
fn time(prefix: u8, ticks: i64) -> [u8; 5] {
    let ticks = ticks as u64;
    let byte = |shift: u32| (ticks >> shift) as u8;
    [prefix << 4 | (byte(30) & 7) << 1 | 1, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_long_as_they_say_and_times_wrap() {
        for (before, bytes) in [(0, 0), (0, 1), (0, 2), (0, 183), (2, 1), (8, 175)] {
            let mut field = vec![1, 0x40, 1, 2, 3, 4, 5, 6];
            field.truncate(before);
            stuff(&mut field, bytes);
            assert_eq!(field.len(), before + bytes);
            assert!(field.is_empty() || bytes == 0 || usize::from(field[0]) + 1 == field.len());
        }
        assert_eq!(time(2, 126_000), [0x21, 0x00, 0x07, 0xd8, 0x61]);
        assert_eq!(time(2, (1 << 33) + 126_000), time(2, 126_000));
        assert_eq!(time(3, (1 << 33) - 1), [0x3f, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(crc(&association()), 0);
    }
}
