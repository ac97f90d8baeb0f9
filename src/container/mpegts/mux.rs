//! The writer.

use std::io::Write;
use std::path::PathBuf;

use super::mux_packets::{Listed, PacketWriter, PesPacket};
use super::mux_sound::{Gathered, MOST_BYTES};
use super::mux_streams::MuxStream;
use crate::container::{ContainerFormat, MuxSummary, Muxer, Track, TrackId};
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// Ticks of 90 kHz by which the clock is behind decoding times: what a decoder may gather in advance.
const DELAY: i64 = 63_000;
/// What is zero in the presentation, at least: 1.4 seconds.
const START: i64 = 126_000;
/// What the clock begins with, at least.
const FIRST_CLOCK: i64 = 27_000;
/// The streams whose descriptions surely fit a program map.
const MAX_TRACKS: usize = 32;

/// Writes a transport stream to a file or a pipe: one program, its tables ten times a second, the clock with the pictures.
///
/// Times are those of the tracks plus 1.4 seconds, or more where decoding begins earlier than 0.4 seconds before zero, rounded
/// to 90 kHz. H.264 and H.265 are written in Annex B, each access unit behind a delimiter and each key frame with its parameter
/// sets; AAC in ADTS frames. Frames of sound that follow each other are gathered in PES packets of 3 KB or 0.35 seconds.
pub struct MpegTsMuxer<W> {
    packets: PacketWriter<W>,
    streams: Vec<MuxStream>,
    /// What is added to all times, once the first one is known.
    shift: Option<i64>,
    scratch: Vec<u8>,
    samples: u64,
}

impl<W: Write + Send> MpegTsMuxer<W> {
    /// A muxer to `writer`; `path` is named in errors.
    pub fn new(writer: W, path: impl Into<PathBuf>) -> Self {
        Self::over(PacketWriter::new(writer, path.into(), false))
    }

    /// As [`Self::new`], in packets of 192 bytes with their time of arrival in front, as cameras and discs have them.
    pub fn m2ts(writer: W, path: impl Into<PathBuf>) -> Self {
        Self::over(PacketWriter::new(writer, path.into(), true))
    }

    fn over(packets: PacketWriter<W>) -> Self {
        Self { packets, streams: Vec::new(), shift: None, scratch: Vec::new(), samples: 0 }
    }

    fn begin(&mut self, first_dts: i64) -> i64 {
        let shift = START.max(FIRST_CLOCK + DELAY - first_dts);
        let listed: Vec<Listed> = self.streams.iter().map(|stream| stream.listed.clone()).collect();
        let clock = self.streams.iter().find(|stream| stream.is_video).or(self.streams.first());
        let clock_pid = clock.map_or(0x1fff, |stream| stream.listed.pid);
        self.packets.list(&listed, clock_pid);
        self.shift = Some(shift);
        shift
    }
}

/// Writes sound that has waited, where `due` says so of a stream and what waits of it.
fn write_gathered<W: Write>(
    packets: &mut PacketWriter<W>,
    streams: &mut [MuxStream],
    due: impl Fn(usize, &Gathered) -> bool,
) -> Result<()> {
    for (number, stream) in streams.iter_mut().enumerate() {
        let waiting = &mut stream.gathered;
        if waiting.data.is_empty() || !due(number, waiting) {
            continue;
        }
        packets.pes(&PesPacket {
            pid: stream.listed.pid,
            stream_id: stream.stream_id,
            pts: waiting.pts,
            dts: waiting.pts,
            random_access: waiting.random_access,
            data: &waiting.data,
        })?;
        waiting.data.clear();
    }
    Ok(())
}

impl<W: Write + Send> Muxer for MpegTsMuxer<W> {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::MpegTs
    }

    fn add_track(&mut self, track: &Track) -> Result<TrackId> {
        if self.shift.is_some() {
            return Err(Error::invalid("a track is added behind the first packet"));
        }
        if self.streams.len() >= MAX_TRACKS {
            return Err(Error::unsupported(format!("more than {MAX_TRACKS} tracks in a transport stream")));
        }
        self.streams.push(MuxStream::new(track, self.streams.len() as u16)?);
        Ok(TrackId(self.streams.len() as u32))
    }

    fn write(&mut self, sample: &Packet) -> Result<()> {
        let number = self.samples;
        let invalid = |what: &str| Error::invalid(format!("packet {number} of a transport stream: {what}"));
        let (Some(pts), Some(dts)) = (sample.pts.or(sample.dts), sample.dts.or(sample.pts)) else {
            return Err(invalid("it has no time"));
        };
        let ticks = |time: Timestamp| time.rescale(TimeBase::MPEG).ticks();
        // Nothing is shown before it is decoded, whatever files with negative offsets say.
        let (pts, dts) = (ticks(pts), ticks(dts).min(ticks(pts)));
        let at = sample.track.0.checked_sub(1).map(|at| at as usize);
        let at =
            at.filter(|at| *at < self.streams.len()).ok_or_else(|| invalid("it is of an unknown track"))?;
        let shift = self.shift.unwrap_or_else(|| self.begin(dts));
        let times = (pts.checked_add(shift), dts.checked_add(shift));
        let (Some(pts), Some(dts)) = times else { return Err(invalid("its time is out of range")) };
        if dts < 0 {
            return Err(invalid("it is decoded more than a second before the first one"));
        }
        let Some(stream) = self.streams.get_mut(at) else { return Err(invalid("it is of an unknown track")) };
        if stream.last_dts.is_some_and(|last| dts < last) {
            return Err(invalid("its decoding time is before that of the packet in front of it"));
        }
        let random_access = sample.keyframe || stream.last_dts.is_none();
        self.scratch.clear();
        stream.convert(sample, random_access, &mut self.scratch)?;
        stream.last_dts = Some(dts);
        let is_entry = random_access && stream.is_video;
        let (pid, stream_id) = (stream.listed.pid, stream.stream_id);
        let (is_video, length) = (stream.is_video, stream.length(&self.scratch));
        let bytes = self.scratch.len();
        let gathers = !is_video && pts == dts && bytes <= MOST_BYTES;
        // Before the clock goes on, which may go far.
        write_gathered(&mut self.packets, &mut self.streams, |number, waiting| {
            waiting.is_due(dts) || (number == at && !(gathers && waiting.takes(bytes, pts)))
        })?;
        self.packets.advance(dts.saturating_sub(DELAY))?;
        self.samples += 1;
        let random_access = sample.keyframe;
        if gathers {
            if let Some(stream) = self.streams.get_mut(at) {
                stream.gathered.add(&self.scratch, pts, random_access, length);
            }
            return Ok(());
        }
        if is_entry {
            self.packets.write_tables()?;
        }
        self.packets.pes(&PesPacket { pid, stream_id, pts, dts, random_access, data: &self.scratch })
    }

    fn finish(&mut self) -> Result<MuxSummary> {
        write_gathered(&mut self.packets, &mut self.streams, |_, _| true)?;
        self.packets.flush()?;
        Ok(MuxSummary { samples: self.samples, bytes: self.packets.bytes })
    }
}
