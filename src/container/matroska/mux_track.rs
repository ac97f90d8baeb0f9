//! Tracks being written: what their entry says, and what becomes of their packets.

use bytes::Bytes;

use super::codecs;
use super::ebml::Put;
use super::ids;
use super::metadata::TrackDetails;
use super::picture;
use super::text;
use crate::codec::Codec;
use crate::container::mp4::Payload;
use crate::container::sound::{Sound, SoundCodec};
use crate::container::{CopyDescription, Track, TrackId, TrackKind, VideoTrack};
use crate::error::{Error, Remedy, Result};
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// What decoders of Opus need to settle after a jump (RFC 7845 4.6), in nanoseconds.
const OPUS_PRE_ROLL: u64 = 80_000_000;

/// The rate at which Opus counts what it skips.
const OPUS_RATE: u64 = 48_000;

/// How packets become frames.
enum Content {
    /// NAL units get lengths, AV1 loses its delimiters, and the configuration is made of them where there is none.
    Coded(Box<Payload>),
    AsIs,
    /// Timed text of MP4.
    Text,
}

pub(super) struct OutTrack {
    pub(super) public: Track,
    codec_id: String,
    private: Bytes,
    content: Content,
    sound: Option<Sound>,
    /// A whole `Audio` element out of another Matroska file.
    audio: Bytes,
    /// Nanoseconds of a frame at the rate that the track states, which may be an average.
    pub(super) rate_duration: Option<u64>,
    /// Nanoseconds of a frame, where all are the same.
    pub(super) default_duration: Option<u64>,
    /// Nanoseconds by which blocks are later than their presentation.
    pub(super) delay: u64,
    /// A packet of it has come.
    pub(super) begun: bool,
    /// Tick of the frame before.
    pub(super) last: Option<i64>,
}

/// What is written of a packet.
pub(super) struct Frame {
    pub(super) data: Bytes,
    /// Nanoseconds; of presentation, the delay not added.
    pub(super) pts: i64,
    /// Nanoseconds it lasts, where that is known.
    pub(super) length: Option<i64>,
    /// Nanoseconds that have to be stated; `None` where they go without saying.
    pub(super) duration: Option<i64>,
    /// Nanoseconds at the end that are not to be heard.
    pub(super) discard_padding: i64,
    pub(super) keyframe: bool,
    pub(super) hidden: bool,
}

fn refused(what: &str, format: &str, remedy: &'static str) -> Error {
    let remedy = if remedy.is_empty() { Remedy::None } else { remedy.into() };
    Error::Unsupported { feature: format!("{what} in {format}"), remedy }
}

impl OutTrack {
    pub(super) fn new(track: &Track, webm: bool) -> Result<Self> {
        let format = if webm { "WebM" } else { "Matroska" };
        let mut this = Self {
            public: track.clone(),
            codec_id: String::new(),
            private: Bytes::new(),
            content: Content::AsIs,
            sound: None,
            audio: Bytes::new(),
            rate_duration: None,
            default_duration: None,
            delay: 0,
            begun: false,
            last: None,
        };
        match (&track.video, &track.copy) {
            (Some(video), _) => this.take_video(video, format)?,
            (None, Some(copy)) => this.take_copy(copy, format)?,
            (None, None) => {
                let what = format!("a track of {} without a description to copy", track.codec_name);
                return Err(refused(&what, format, ""));
            }
        }
        let allowed = ["V_VP8", "V_VP9", "V_AV1", "A_OPUS", "A_VORBIS", "S_TEXT/WEBVTT"];
        if webm && !allowed.contains(&this.codec_id.as_str()) && !this.codec_id.starts_with("D_WEBVTT/") {
            let remedy = match track.kind {
                TrackKind::Video => "WebM holds VP8, VP9 and AV1; write .mkv for others",
                TrackKind::Audio => "WebM holds Opus and Vorbis; write .mkv for others",
                _ => "WebM holds WebVTT; write .mkv for others",
            };
            return Err(refused(&track.codec_name, format, remedy));
        }
        Ok(this)
    }

    fn take_video(&mut self, video: &VideoTrack, format: &str) -> Result<()> {
        let id = codecs::video_id(video.codec, video.codec_config.as_ref());
        let (id, private) = id.ok_or_else(|| refused(video.codec.name(), format, ""))?;
        self.codec_id = id.to_owned();
        self.private = private;
        if matches!(video.codec, Codec::H264 | Codec::Hevc | Codec::Av1) {
            self.content = Content::Coded(Box::new(Payload::new(video)?));
        }
        self.rate_duration = video.frame_rate.and_then(|rate| {
            let nanos = u64::from(rate.den()) * 1_000_000_000;
            (nanos + u64::from(rate.num()) / 2).checked_div(rate.num().into()).filter(|nanos| *nanos > 0)
        });
        Ok(())
    }

    fn take_copy(&mut self, copy: &CopyDescription, format: &str) -> Result<()> {
        self.sound = Sound::from_sample_entry(&copy.sample_entry);
        let kind = copy.sample_entry.get(4..8).unwrap_or_default();
        if kind == b"tx3g" || (kind == b"text" && copy.handler != *b"soun") {
            self.codec_id = "S_TEXT/UTF8".to_owned();
            self.content = Content::Text;
            return Ok(());
        }
        if let Some(matroska) = &copy.matroska {
            self.codec_id.clone_from(&matroska.id);
            self.private = matroska.private.clone();
            self.audio = matroska.audio.clone();
            return Ok(());
        }
        let name = &self.public.codec_name;
        let sound = self.sound.as_ref().ok_or_else(|| refused(&format!("{name} samples"), format, ""))?;
        let needs_config = matches!(sound.codec, SoundCodec::Aac | SoundCodec::Opus | SoundCodec::Flac);
        let known = codecs::sound_id(sound).filter(|_| !needs_config || !sound.config.is_empty());
        let (id, private) =
            known.ok_or_else(|| refused(&format!("{} ({name})", sound.name()), format, ""))?;
        self.codec_id = id.to_owned();
        self.private = private;
        Ok(())
    }

    /// Whether its entry waits for a packet: for the configuration, or for the time at which it begins.
    pub(super) fn waits(&self) -> bool {
        !self.begun && self.public.kind != TrackKind::Subtitle
    }

    /// Whether the entry can be written.
    pub(super) fn is_described(&self) -> bool {
        match &self.content {
            Content::Coded(payload) => payload.describe().is_ok(),
            Content::AsIs | Content::Text => true,
        }
    }

    /// Takes note of the first packet: sound that begins before zero is delayed as a whole.
    pub(super) fn begin(&mut self, packet: &Packet, told: Option<&TrackDetails>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        if self.public.kind == TrackKind::Video {
            // An average is no duration of each frame: the first one tells the difference.
            let first = packet.duration.zip(packet.pts).map(|(ticks, pts)| {
                nanos(Timestamp::new(i64::try_from(ticks).unwrap_or(i64::MAX), pts.base())).unsigned_abs()
            });
            let is_usual = |rate: &u64| first.is_none_or(|first| first.abs_diff(*rate) <= 1_000_000);
            self.default_duration = self.rate_duration.filter(is_usual);
        }
        if self.public.kind != TrackKind::Audio {
            return;
        }
        let first = packet.pts.or(packet.dts).map_or(0, nanos);
        let before = u64::try_from(first.saturating_neg()).unwrap_or(0);
        let skipped =
            self.sound.as_ref().filter(|sound| sound.codec == SoundCodec::Opus).map_or(0, |sound| {
                let skip = sound.config.get(10..12).and_then(|bytes| bytes.first_chunk());
                skip.map_or(0, |skip| u64::from(u16::from_le_bytes(*skip)) * 1_000_000_000 / OPUS_RATE)
            });
        let stated = told.map_or(skipped, |told| told.codec_delay);
        // What a file of coarse ticks says may be off by one of them.
        self.delay = if stated.saturating_add(1_000_000) >= before { stated } else { before };
    }

    /// The frame of a packet; `None` for a text that shows nothing.
    pub(super) fn frame(&mut self, packet: &Packet, tick: u64) -> Result<Option<Frame>> {
        let id = self.public.id.0;
        let Some(pts) = packet.pts.or(packet.dts) else {
            return Err(Error::invalid(format!("a packet of track {id} has no time; Matroska needs one")));
        };
        let data = match &mut self.content {
            Content::Coded(payload) => payload.convert(&packet.data, packet.keyframe)?,
            Content::AsIs => packet.data.clone(),
            Content::Text => {
                let text = text::of_sample(&packet.data).ok_or_else(|| {
                    Error::invalid(format!("a text of track {id} is longer than its sample"))
                })?;
                if text.is_empty() {
                    return Ok(None);
                }
                text
            }
        };
        let base = pts.base();
        let length = packet
            .duration
            .map(|ticks| nanos(Timestamp::new(i64::try_from(ticks).unwrap_or(i64::MAX), base)));
        let tick = i64::try_from(tick).unwrap_or(i64::MAX);
        let mut discard_padding = 0;
        let duration = match (self.public.kind, length) {
            (TrackKind::Audio, Some(length)) => {
                let whole = self.sound.as_ref().and_then(|sound| codecs::frame_duration(sound, &data));
                let whole = whole.and_then(|whole| i64::try_from(whole).ok());
                let cut = whole.map(|whole| whole.saturating_sub(length)).filter(|cut| *cut > tick);
                discard_padding = cut.unwrap_or(0);
                cut.map(|_| length)
            }
            (TrackKind::Video, Some(length)) => {
                let default = self.default_duration.and_then(|nanos| i64::try_from(nanos).ok());
                // Of a frame that lasts as long as the others, within a tick, it goes without saying.
                let usual = default.is_some_and(|default| default.abs_diff(length) <= tick.unsigned_abs());
                Some(length).filter(|length| !usual && *length > 0)
            }
            (_, length) => length,
        };
        Ok(Some(Frame {
            data,
            pts: nanos(pts),
            length,
            duration,
            discard_padding,
            keyframe: packet.keyframe || self.public.kind != TrackKind::Video,
            hidden: packet.discard,
        }))
    }

    /// Writes the `TrackEntry`. `enabled` is what the input says of it.
    pub(super) fn write_entry(
        &self,
        out: &mut Vec<u8>,
        told: Option<&TrackDetails>,
        enabled: Option<bool>,
    ) -> Result<()> {
        let private = match &self.content {
            Content::Coded(payload) => Bytes::from(payload.describe()?.config),
            Content::AsIs | Content::Text => self.private.clone(),
        };
        let number = u64::from(self.public.id.0);
        out.master(ids::TRACK_ENTRY, |out| {
            out.uint(ids::TRACK_NUMBER, number);
            out.uint(ids::TRACK_UID, told.map(|told| told.uid).filter(|uid| *uid > 0).unwrap_or(number));
            out.uint(
                ids::TRACK_TYPE,
                match self.public.kind {
                    TrackKind::Audio => 2,
                    TrackKind::Subtitle => 17,
                    TrackKind::Video | TrackKind::Other => 1,
                },
            );
            let default = told.map(|told| told.default).or(enabled).unwrap_or(true);
            if told.is_some_and(|told| !told.enabled) {
                out.uint(ids::FLAG_ENABLED, 0);
            }
            out.uint(ids::FLAG_DEFAULT, default.into());
            told.into_iter().flat_map(|told| &told.flags).for_each(|flag| out.uint(*flag, 1));
            out.uint(ids::FLAG_LACING, 0);
            if let Some(nanos) = self.default_duration {
                out.uint(ids::DEFAULT_DURATION, nanos);
            }
            if let Some(name) = told.map(|told| &told.name).filter(|name| !name.is_empty()) {
                out.bytes(ids::NAME, name);
            }
            out.bytes(ids::LANGUAGE, self.public.language.as_deref().unwrap_or("und").as_bytes());
            if let Some(tag) = told.and_then(|told| told.bcp47.as_ref()) {
                out.bytes(ids::LANGUAGE_BCP47, tag.as_bytes());
            }
            out.bytes(ids::CODEC_ID, self.codec_id.as_bytes());
            if !private.is_empty() {
                out.bytes(ids::CODEC_PRIVATE, &private);
            }
            if self.delay > 0 {
                out.uint(ids::CODEC_DELAY, self.delay);
            }
            let opus = if self.codec_id == "A_OPUS" { OPUS_PRE_ROLL } else { 0 };
            let pre_roll = told.map(|told| told.seek_pre_roll).filter(|nanos| *nanos > 0).unwrap_or(opus);
            if pre_roll > 0 {
                out.uint(ids::SEEK_PRE_ROLL, pre_roll);
            }
            if let Some(video) = &self.public.video {
                picture::write(out, video);
            }
            if self.audio.is_empty() {
                self.write_audio(out);
            } else {
                out.extend_from_slice(&self.audio);
            }
        });
        Ok(())
    }

    fn write_audio(&self, out: &mut Vec<u8>) {
        let Some(sound) = &self.sound else { return };
        out.master(ids::AUDIO, |out| {
            let core = codecs::core_rate(sound);
            out.float(ids::SAMPLING_FREQUENCY, core.into());
            if core != sound.sample_rate {
                out.float(ids::OUTPUT_SAMPLING_FREQUENCY, sound.sample_rate.into());
            }
            out.uint(ids::CHANNELS, sound.channels.max(1).into());
            if matches!(sound.codec, SoundCodec::Pcm(_) | SoundCodec::Flac | SoundCodec::Alac) {
                out.uint(ids::BIT_DEPTH, sound.bits.into());
            }
        });
    }

    pub(super) fn id(&self) -> TrackId {
        self.public.id
    }
}

/// A time in nanoseconds.
fn nanos(time: Timestamp) -> i64 {
    time.rescale(TimeBase::NANOS).ticks()
}
