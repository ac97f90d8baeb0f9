//! What is read of a stream to describe its tracks; all of it is given out later.

use std::io::{Read, Seek};

use super::demux::{MpegTsDemuxer, Ready};
use super::kinds::{Kind, SoundKind};
use super::packets::{Header, Step};
use super::stream::{Common, Stream, Units};
use super::video::Unit;
use crate::container::{Track, TrackKind, VideoTrack};
use crate::error::{Error, Remedy, Result};
use crate::time::{Rational, TimeBase};

/// How far the first picture that can be decoded may lie behind the start.
const MOST_BYTES: u64 = 64 << 20;
/// How far the map of an earlier program is waited for while that of a later one is there.
const MAPS_BYTES: u64 = 1 << 20;
/// How far the first frames of sound that has not begun are looked for.
const AHEAD_BYTES: u64 = 32 << 20;
/// Ticks of pictures after which a track that has not begun is left out: 2 seconds.
const MOST_TICKS: i64 = 180_000;
/// Ticks of pictures after which the first one is zero though no key frame has come: 10 seconds.
const NO_KEY_TICKS: i64 = 900_000;

/// What can be done where nothing is read.
const READ: &str = "H.264, H.265 and MPEG-2 are read, and sound in AAC, MP1 to MP3, AC-3, E-AC-3 and Opus";

impl<R: Read + Seek + Send> MpegTsDemuxer<R> {
    /// Reads until every track is described, within the bounds above.
    pub(super) fn describe(&mut self) -> Result<()> {
        let start = self.packets.position();
        let mut due = 0;
        while !self.ended && self.packets.position().saturating_sub(start) < MOST_BYTES {
            let read = self.packets.position().saturating_sub(start);
            if self.streams.is_empty() && read > MAPS_BYTES {
                self.choose(true)?;
            }
            if self.is_refused() {
                break;
            }
            // The units are gone over again when they have grown by a sixteenth, so that the cost stays linear.
            if self.ready.len() >= due {
                if self.is_described() {
                    break;
                }
                due = self.ready.len() + self.ready.len() / 16 + 1;
            }
            self.step()?;
        }
        // A stream may end before all maps have come.
        if self.streams.is_empty() {
            self.choose(true)?;
            self.end_streams();
        }
        self.leave_out_before_key_frames();
        self.look_ahead()?;
        self.zero = self.first_shown().unwrap_or(0);
        self.make_tracks()
    }

    /// A recording begins in the middle: what refers to pictures in front of it cannot be decoded.
    fn leave_out_before_key_frames(&mut self) {
        for number in 0..self.streams.len() {
            let is_video =
                self.streams.get(number).is_some_and(|stream| matches!(stream.kind, Kind::Video(_)));
            let of_stream = |ready: &Ready| matches!(ready, Ready::Unit(of, _) if *of == number);
            let is_key =
                |ready: &Ready| of_stream(ready) && matches!(ready, Ready::Unit(_, unit) if unit.keyframe);
            let Some(key) = self.ready.iter().position(is_key).filter(|_| is_video) else { continue };
            let before = self.ready.len();
            let mut at = 0;
            self.ready.retain(|ready| {
                at += 1;
                at > key || !of_stream(ready)
            });
            let left_out = before - self.ready.len();
            if left_out > 0 {
                self.notes.push(format!("{left_out} pictures in front of the first key frame are left out"));
            }
        }
    }

    /// Sound may begin later than the pictures. What it is, its first frames tell: they are looked for further on, where the
    /// input lets one go back.
    fn look_ahead(&mut self) -> Result<()> {
        let mut late: Vec<(usize, Stream)> = Vec::new();
        for (number, stream) in self.streams.iter().enumerate() {
            if let Kind::Sound(kind) = stream.kind
                && !stream.is_described()
                && stream.scrambled == 0
                && (stream.packets == 0 || kind != SoundKind::Unstated)
            {
                late.push((number, stream.anew(kind, &self.limits)));
            }
        }
        if late.is_empty() || !self.seekable || self.ended {
            return Ok(());
        }
        let back = self.packets.position();
        let mut common = Common::default();
        let (mut units, mut told) = (Vec::new(), Vec::new());
        while self.packets.position().saturating_sub(back) < AHEAD_BYTES && !late.is_empty() {
            let step = self.packets.advance().map_err(|e| Error::io("read", &self.path, e))?;
            let at = match step {
                Step::Packet(at) => at,
                Step::Lost { .. } => continue,
                Step::End => break,
            };
            let packet = self.packets.packet();
            let header = Header::of(packet);
            let Some(found) = late.iter().position(|(_, stream)| stream.pid == header.pid) else { continue };
            let Some((number, stream)) = late.get_mut(found).filter(|_| !header.damaged) else { continue };
            stream.take(*number, (at, &header, packet), &mut common, &mut units, &mut told);
            units.clear();
            told.clear();
            if !stream.is_described() {
                continue;
            }
            let (number, stream) = late.swap_remove(found);
            if let (Some(of), Units::Sound(ahead)) = (self.streams.get_mut(number), stream.units)
                && let Units::Sound(sound) = &mut of.units
            {
                sound.learn(ahead);
            }
        }
        self.packets.seek(back).map_err(|e| Error::io("read", &self.path, e))
    }

    fn make_tracks(&mut self) -> Result<()> {
        let path = self.path.display().to_string();
        if !self.programs.are_known() {
            return Err(Error::corrupt_fatal(format!(
                "{path}: a transport stream without a program association table in its first {} bytes",
                self.packets.position()
            )));
        }
        if self.streams.is_empty() {
            let there = self.programs.all_streams();
            let there = if there.is_empty() { "no program map has come".to_owned() } else { there };
            return Err(Error::Unsupported {
                feature: format!(
                    "{path}: no program of the transport stream has video or sound that is read here ({there})"
                ),
                remedy: READ.into(),
            });
        }
        let mut tracks = Vec::new();
        for number in 0..self.streams.len() {
            let rate = self.measured_rate(number);
            let Some(stream) = self.streams.get(number) else { continue };
            match track_of(stream, rate) {
                Ok(track) => tracks.push(track),
                Err(why) => {
                    self.notes.push(format!(
                        "PID {} ({}) is left out: {why}",
                        stream.pid,
                        stream.kind.name()
                    ));
                }
            }
        }
        let has = |kind| tracks.iter().any(|track| track.kind == kind);
        let pictures = self.streams.iter().find(|stream| matches!(stream.kind, Kind::Video(_)));
        if let Some(stream) = pictures.or(self.streams.first()).filter(|_| !has(TrackKind::Video))
            && (pictures.is_some() || tracks.is_empty())
        {
            return Err(self.nothing_of(stream));
        }
        let which = if pictures.is_some() { "video" } else { "sound" };
        self.notes.extend(
            self.programs
                .others()
                .map(|other| format!("{other} is left out: the first program with {which} is read")),
        );
        self.tracks = tracks;
        Ok(())
    }

    /// Why there is no track of a stream without which nothing can be read.
    fn nothing_of(&self, stream: &Stream) -> Error {
        let (path, pid, name) = (self.path.display(), stream.pid, stream.kind.name());
        let refused = match &stream.units {
            Units::Video(video) => video.refused(),
            Units::Sound(sound) => sound.refused(),
        };
        if let Some(refused) = refused {
            return Error::Unsupported {
                feature: format!(
                    "{path}: no program of the transport stream has video that is read here ({refused})"
                ),
                remedy: READ.into(),
            };
        }
        if stream.scrambled > 0 {
            return Error::Unsupported {
                feature: format!("{path}: the stream is scrambled (PID {pid})"),
                remedy: "descramble it first".into(),
            };
        }
        let bytes = self.packets.position();
        let (what, remedy) = match (stream.packets, stream.gaps, stream.kind) {
            (0, ..) => (
                format!(
                    "the program map names PID {pid} ({name}), of which no packet comes in the first {bytes} bytes"
                ),
                "look at the stream further on, or leave it out when the recording is made",
            ),
            (_, 1.., _) => (
                format!(
                    "PID {pid} ({name}): packets are missing at {} places of the first {bytes} bytes, so that no parameter sets are whole",
                    stream.gaps
                ),
                "receive or copy it again",
            ),
            (_, _, Kind::Video(_)) => (
                format!("PID {pid} ({name}): no picture with its parameter sets in the first {bytes} bytes"),
                "cut the recording so that it begins at a key frame",
            ),
            _ => (
                format!("PID {pid} ({name}): no frame of it in the first {bytes} bytes"),
                "receive or copy it again",
            ),
        };
        Error::corrupt_fatal(format!("{path}: {what}")).with_remedy(Remedy::Other(remedy.into()))
    }

    /// Whether the first video stream cannot be read.
    fn is_refused(&self) -> bool {
        self.streams
            .iter()
            .find_map(|stream| match &stream.units {
                Units::Video(video) => Some(video.refused().is_some()),
                Units::Sound(_) => None,
            })
            .unwrap_or(false)
    }

    fn is_described(&self) -> bool {
        let first = self.streams.iter().position(|stream| matches!(stream.kind, Kind::Video(_)));
        let all = || self.streams.iter().all(Stream::is_described);
        let Some(first) = first else {
            return !self.streams.is_empty() && (all() || self.span() > MOST_TICKS);
        };
        let described = self.streams.get(first).is_some_and(Stream::is_described);
        let span = self.span();
        if !described || !(self.knows_first_shown() || span > NO_KEY_TICKS) {
            return false;
        }
        span > MOST_TICKS || all()
    }

    /// Ticks from the first to the last of [`Self::pictures`].
    fn span(&self) -> i64 {
        let times = || self.pictures().filter_map(|unit| unit.times.pts);
        times().max().unwrap_or(0).saturating_sub(times().min().unwrap_or(0))
    }

    /// Pictures of the first video stream that have been read; without one, frames of all streams.
    fn pictures(&self) -> impl Iterator<Item = &Unit> {
        let first = self.streams.iter().position(|stream| matches!(stream.kind, Kind::Video(_)));
        self.ready.iter().filter_map(move |ready| match ready {
            Ready::Unit(number, unit) if first.is_none_or(|first| *number == first) => Some(unit),
            _ => None,
        })
    }

    /// Pictures that are shown before a key frame follow it at once; what is shown behind it ends them.
    fn knows_first_shown(&self) -> bool {
        let mut pictures = self.pictures().skip_while(|unit| !unit.keyframe);
        let Some(key) = pictures.next() else { return false };
        pictures.any(|unit| unit.times.pts > key.times.pts || unit.times.pts.is_none())
    }

    /// When the first picture is shown that can be decoded.
    fn first_shown(&self) -> Option<i64> {
        let of_pictures = self.pictures().skip_while(|unit| !unit.keyframe);
        let from_key = of_pictures.filter_map(|unit| unit.times.pts).min();
        from_key.or_else(|| self.pictures().filter_map(|unit| unit.times.pts).min())
    }

    /// The rate at which the first pictures are decoded.
    fn measured_rate(&self, number: usize) -> Option<Rational> {
        let times = self.ready.iter().filter_map(|ready| match ready {
            Ready::Unit(of, unit) if *of == number => unit.times.dts,
            _ => None,
        });
        let times: Vec<i64> = times.collect();
        let steps = times.windows(2).filter_map(|pair| match pair {
            [before, after] => u32::try_from(after.checked_sub(*before)?).ok().filter(|step| *step > 0),
            _ => None,
        });
        Some(Rational::new(90_000, steps.min()?)?.reduced())
    }
}

fn track_of(stream: &Stream, rate: Option<Rational>) -> Result<Track, String> {
    let track = Track {
        id: stream.id,
        kind: TrackKind::Other,
        time_base: TimeBase::MPEG,
        codec_name: stream.kind.name().to_owned(),
        language: stream.language.clone(),
        duration: None,
        sample_count: None,
        video: None,
        copy: None,
    };
    match &stream.units {
        Units::Video(video) => {
            let why = video.refused().unwrap_or("no picture with its parameter sets has come");
            let described = video.described().ok_or(why)?;
            let frame_rate = described.frame_rate.or(rate);
            let video = VideoTrack { frame_rate, ..described.clone() };
            Ok(Track { kind: TrackKind::Video, video: Some(video), ..track })
        }
        Units::Sound(sound) => {
            if let Some(why) = sound.refused() {
                return Err(why.to_owned());
            }
            let described = sound.described().ok_or("nothing of it has come")?;
            let time_base = TimeBase::new(1, described.rate).ok_or("it states no rate")?;
            let (codec_name, copy) = (described.name.to_owned(), Some(described.copy.clone()));
            Ok(Track { kind: TrackKind::Audio, time_base, codec_name, copy, ..track })
        }
    }
}
