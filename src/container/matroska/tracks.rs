//! Track entries (RFC 9559 section 5.1.4.1): what a track holds and how its blocks are read.

use bytes::Bytes;

use super::codecs::{self, AudioFields};
use super::ebml::Element;
use super::encodings::{self, Coding, Refusal};
use super::header::SegmentHeader;
use super::ids;
use super::lace_times::Pace;
use super::metadata::TrackDetails;
use super::picture;
use super::places::Given;
use super::text;
use super::times::{DecodingTimes, frame_rate};
use super::vorbis::BlockLengths;
use crate::bitstream::StreamInfo;
use crate::container::sound::{Sound, SoundCodec};
use crate::container::{CopyDescription, MatroskaCodec, Track, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::time::{TimeBase, Timestamp};

/// Values of `TrackType`.
const TYPE_VIDEO: u64 = 1;
const TYPE_AUDIO: u64 = 2;
const TYPE_SUBTITLE: u64 = 17;

/// A track, and what its blocks need.
pub(super) struct MkvTrack {
    pub(super) public: Track,
    pub(super) number: u64,
    pub(super) details: TrackDetails,
    pub(super) enabled: bool,
    pub(super) selected: bool,
    codec_id: String,
    private: Bytes,
    audio: AudioFields,
    audio_element: Bytes,
    pub(super) sound: Option<Sound>,
    vorbis: Option<BlockLengths>,
    /// Nanoseconds of a frame.
    pub(super) default_duration: Option<u64>,
    /// Packets of the cluster at hand.
    pub(super) given: Given,
    pub(super) pace: Pace,
    /// Ticks by which blocks are later than their presentation.
    pub(super) delay: i64,
    /// What was done to its frames.
    pub(super) coding: Coding,
    /// Of video.
    pub(super) decoding: Option<DecodingTimes>,
    /// Its frames are plain text, and given out as text of MP4.
    pub(super) is_text: bool,
    /// When the last text ends.
    pub(super) text_end: Option<i64>,
    /// Why its samples cannot be read.
    pub(super) refusal: Option<Refusal>,
}

/// Fields of a track entry as they come.
struct Fields {
    number: u64,
    kind: u64,
    language: Option<String>,
    default_duration: Option<u64>,
    codec_delay: u64,
    time_scale: f64,
    /// Its blocks may carry more than frames.
    has_additions: bool,
    codec_id: String,
    private: Bytes,
    video: Option<Element>,
    audio: Option<Element>,
    encodings: Option<Element>,
    details: TrackDetails,
}

impl Fields {
    fn read(entry: &Element) -> Result<Self> {
        let mut this = Self {
            number: 0,
            kind: 0,
            language: None,
            default_duration: None,
            codec_delay: 0,
            time_scale: 1.0,
            has_additions: false,
            codec_id: String::new(),
            private: Bytes::new(),
            video: None,
            audio: None,
            encodings: None,
            details: TrackDetails::default(),
        };
        for child in entry.children() {
            let child = child?;
            match child.id {
                ids::TRACK_NUMBER => this.number = child.uint()?,
                ids::TRACK_UID => this.details.uid = child.uint()?,
                ids::TRACK_TYPE => this.kind = child.uint()?,
                ids::FLAG_ENABLED => this.details.enabled = child.uint()? != 0,
                ids::FLAG_DEFAULT => this.details.default = child.uint()? != 0,
                ids::FLAG_FORCED
                | ids::FLAG_HEARING_IMPAIRED
                | ids::FLAG_VISUAL_IMPAIRED
                | ids::FLAG_TEXT_DESCRIPTIONS
                | ids::FLAG_ORIGINAL
                | ids::FLAG_COMMENTARY
                    if child.uint()? != 0 =>
                {
                    this.details.flags.push(child.id);
                }
                ids::NAME => this.details.name = child.data,
                ids::LANGUAGE => this.language = Some(child.text()),
                ids::LANGUAGE_BCP47 => this.details.bcp47 = Some(child.text()),
                ids::DEFAULT_DURATION => {
                    this.default_duration = Some(child.uint()?).filter(|nanos| *nanos > 0);
                }
                ids::TRACK_TIMESTAMP_SCALE => this.time_scale = child.float()?,
                ids::MAX_BLOCK_ADDITION_ID => this.has_additions = child.uint()? != 0,
                ids::CODEC_ID => this.codec_id = child.text(),
                ids::CODEC_PRIVATE => this.private = child.data,
                ids::CODEC_DELAY => this.codec_delay = child.uint()?,
                ids::SEEK_PRE_ROLL => this.details.seek_pre_roll = child.uint()?,
                ids::VIDEO => this.video = Some(child),
                ids::AUDIO => this.audio = Some(child),
                ids::CONTENT_ENCODINGS => this.encodings = Some(child),
                _ => {}
            }
        }
        this.details.flags.sort_unstable();
        this.details.flags.dedup();
        Ok(this)
    }

    /// The language in ISO 639-2; files that do not state it are in English.
    fn language(&self) -> Option<String> {
        let bcp47 =
            self.details.bcp47.as_deref().and_then(|tag| tag.split('-').next()).filter(|tag| tag.len() == 3);
        let stated = match (&self.details.bcp47, &self.language) {
            (Some(_), None) => bcp47?,
            (_, Some(language)) => language,
            (None, None) => "eng",
        };
        let is_code = stated.len() == 3 && stated.bytes().all(|byte| byte.is_ascii_lowercase());
        (is_code && stated != "und").then(|| stated.to_owned())
    }
}

impl MkvTrack {
    /// Reads a track entry; adds to `notes` what is not honoured.
    pub(super) fn parse(entry: &Element, file: &SegmentHeader, notes: &mut Vec<String>) -> Result<Self> {
        let mut fields = Fields::read(entry)?;
        let id = u32::try_from(fields.number).ok().filter(|number| *number > 0);
        let id = TrackId(id.ok_or_else(|| entry.broken(&format!("has track number {}", fields.number)))?);
        let time_base = TimeBase::new(file.scale, 1_000_000_000)
            .map(|base| base.seconds_per_tick().reduced())
            .and_then(|tick| TimeBase::new(tick.num(), tick.den()))
            .unwrap_or(TimeBase::NANOS);
        if (fields.time_scale - 1.0).abs() > f64::EPSILON {
            notes.push(format!(
                "track {}: its TrackTimestampScale is not honoured, as in other readers",
                id.0
            ));
        }
        if fields.has_additions {
            notes.push(format!(
                "track {}: what its blocks carry beside their frames (BlockAdditions: an alpha channel, say) is left out",
                id.0
            ));
        }
        let (coding, refusal) = match &fields.encodings {
            Some(encodings) => encodings::read(encodings, &mut fields.private)?,
            None => (Coding::default(), None),
        };
        let mut video = None;
        let mut decoding = None;
        let kind = match fields.kind {
            TYPE_VIDEO => TrackKind::Video,
            TYPE_AUDIO => TrackKind::Audio,
            TYPE_SUBTITLE => TrackKind::Subtitle,
            _ => TrackKind::Other,
        };
        if kind == TrackKind::Video
            && let Some((codec, layout, config)) = codecs::video(&fields.codec_id, &fields.private)?
        {
            if let Some(why) = &refusal {
                let error = Error::unsupported(format!("video track {} with {}", id.0, why.what));
                return Err(error.with_remedy(why.remedy.clone()));
            }
            // Parameter sets that cannot be read are for the decoder to complain about.
            let info =
                config.as_ref().and_then(|config| StreamInfo::from_config(codec, config).ok().flatten());
            let mut track = picture::read(fields.video.as_ref(), codec, layout, info.as_ref(), id, notes)?;
            track.codec_config = config;
            let stated = info.as_ref().and_then(|info| info.frame_rate);
            track.frame_rate = fields.default_duration.and_then(frame_rate).or(stated);
            decoding = Some(DecodingTimes::new(codecs::reorder_depth(codec, info.as_ref())));
            video = Some(track);
        }
        let audio = audio_fields(fields.audio.as_ref())?;
        let delay = Timestamp::new(i64::try_from(fields.codec_delay).unwrap_or(0), TimeBase::NANOS);
        fields.details.codec_delay = fields.codec_delay;
        let end = file.duration.map(|ticks| Timestamp::new(ticks.round() as i64, time_base));
        let public = Track {
            id,
            kind: if kind == TrackKind::Video && video.is_none() { TrackKind::Other } else { kind },
            time_base,
            codec_name: video.as_ref().map_or_else(
                || codecs::name(&fields.codec_id, &fields.private),
                |video| video.codec.name().to_owned(),
            ),
            language: fields.language(),
            duration: end,
            sample_count: None,
            video,
            copy: None,
        };
        let mut this = Self {
            public,
            number: fields.number,
            enabled: fields.details.enabled,
            selected: true,
            is_text: matches!(fields.codec_id.as_str(), "S_TEXT/UTF8" | "S_TEXT/ASCII"),
            codec_id: fields.codec_id,
            private: fields.private,
            audio,
            audio_element: fields.audio.map(|audio| audio.whole).unwrap_or_default(),
            sound: None,
            vorbis: None,
            default_duration: fields.default_duration,
            given: Given::default(),
            pace: Pace::default(),
            delay: delay.rescale(time_base).ticks(),
            coding,
            decoding,
            text_end: None,
            refusal,
            details: fields.details,
        };
        this.describe(None);
        Ok(this)
    }

    /// Describes the samples for who copies them; `first` is the first of them, where that is known.
    pub(super) fn describe(&mut self, first: Option<&[u8]>) {
        if self.public.video.is_some() || self.refusal.is_some() {
            return;
        }
        let matroska = Some(MatroskaCodec {
            id: self.codec_id.clone(),
            private: self.private.clone(),
            audio: self.audio_element.clone(),
        });
        let (handler, sample_entry) = match self.public.kind {
            TrackKind::Audio => {
                self.sound = codecs::sound(&self.codec_id, &self.private, &self.audio, first);
                if let Some(sound) = &self.sound {
                    let vorbis = sound.codec == SoundCodec::Vorbis;
                    self.vorbis = if vorbis { BlockLengths::new(&sound.config) } else { None };
                    self.public.codec_name = sound.name().to_owned();
                }
                (*b"soun", self.sound.as_ref().and_then(Sound::sample_entry).unwrap_or_default())
            }
            TrackKind::Subtitle if self.is_text => (*b"sbtl", text::sample_entry()),
            TrackKind::Subtitle => (*b"sbtl", Bytes::new()),
            _ => (*b"vide", Bytes::new()),
        };
        self.public.copy = Some(CopyDescription { handler, sample_entry, media_header: None, matroska });
    }

    /// Forgets what belongs to the place that was read before.
    pub(super) fn restart(&mut self) {
        self.text_end = None;
        self.given = Given::default();
        self.pace = Pace::default();
        if let Some(decoding) = &mut self.decoding {
            decoding.reset();
        }
        if let Some(vorbis) = &mut self.vorbis {
            vorbis.reset();
        }
    }

    /// Whether its first frame is needed to describe it.
    pub(super) fn waits_for_a_frame(&self) -> bool {
        self.public.kind == TrackKind::Audio
            && self.refusal.is_none()
            && self.sound.is_none()
            && codecs::is_told_by_its_frames(&self.codec_id)
    }

    /// Nanoseconds of a frame of sound, where the codec says.
    pub(super) fn frame_duration(&mut self, frame: &[u8]) -> Option<u64> {
        let sound = self.sound.as_ref()?;
        match &mut self.vorbis {
            Some(lengths) => (lengths.samples(frame)? * 1_000_000_000).checked_div(sound.sample_rate.into()),
            None => codecs::frame_duration(sound, frame),
        }
    }

    /// Whether it is known how long frames last, of which `first` is one.
    pub(super) fn knows_durations(&mut self, first: Option<&[u8]>) -> bool {
        self.default_duration.is_some()
            || self.stated_duration().is_some()
            || self.vorbis.is_some()
            || first.is_some_and(|first| self.frame_duration(first).is_some())
    }

    /// Nanoseconds of a picture at the rate that the stream's own headers state.
    pub(super) fn stated_duration(&self) -> Option<u64> {
        let rate = self.public.video.as_ref()?.frame_rate?;
        (u64::from(rate.den()) * 1_000_000_000).checked_div(rate.num().into())
    }

    /// Ticks of so many nanoseconds.
    pub(super) fn ticks(&self, nanos: u64) -> i64 {
        let nanos = Timestamp::new(i64::try_from(nanos).unwrap_or(i64::MAX), TimeBase::NANOS);
        nanos.rescale(self.public.time_base).ticks()
    }
}

fn audio_fields(audio: Option<&Element>) -> Result<AudioFields> {
    let mut fields = AudioFields { channels: 1, sample_rate: 8000, output_rate: None, bits: 0 };
    let Some(audio) = audio else { return Ok(fields) };
    // A rate is a whole number in every file there is.
    let rate = |child: &Element| child.float().map(|rate| rate.round() as u32);
    for child in audio.children() {
        let child = child?;
        match child.id {
            ids::SAMPLING_FREQUENCY => fields.sample_rate = rate(&child)?,
            ids::OUTPUT_SAMPLING_FREQUENCY => {
                fields.output_rate = Some(rate(&child)?).filter(|rate| *rate > 0);
            }
            ids::CHANNELS => fields.channels = u16::try_from(child.uint()?).unwrap_or(0),
            ids::BIT_DEPTH => fields.bits = u16::try_from(child.uint()?).unwrap_or(0),
            _ => {}
        }
    }
    Ok(fields)
}
