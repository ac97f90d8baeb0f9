//! Codec IDs of Matroska (RFC 9559 section 27.2 and the codec specifications), and what they are elsewhere.

use bytes::Bytes;

use crate::bitstream::StreamInfo;
use crate::codec::Codec;
use crate::container::sound::{Pcm, Sound, SoundCodec};
use crate::container::sound_headers::{AAC_RATES, AudioSpecificConfig};
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// What a Matroska track states of its sound beside the codec.
pub(super) struct AudioFields {
    pub(super) channels: u16,
    pub(super) sample_rate: u32,
    pub(super) output_rate: Option<u32>,
    pub(super) bits: u16,
}

/// The codec of a video track, the framing of its samples, and its configuration record; `None` for others than ours.
pub(super) fn video(id: &str, private: &Bytes) -> Result<Option<(Codec, BitstreamLayout, Option<Bytes>)>> {
    let config = || (!private.is_empty()).then(|| private.clone());
    // Without a record, streams are as they are outside of containers.
    let lengths = |at: usize| match private.get(at).map(|byte| (byte & 3) + 1) {
        _ if private.first() != Some(&1) && !private.is_empty() => None,
        Some(3) => None,
        other => other,
    };
    let prefixed = |codec: Codec, layout: Option<BitstreamLayout>| match layout {
        Some(layout) => Ok((codec, layout, config())),
        None if private.is_empty() => Ok((codec, BitstreamLayout::AnnexB, None)),
        None => Err(Error::corrupt_fatal(format!("the CodecPrivate of the {codec} track cannot be read"))),
    };
    Ok(Some(match id {
        "V_MPEG4/ISO/AVC" => {
            prefixed(Codec::H264, lengths(4).map(|length_size| BitstreamLayout::Avcc { length_size }))?
        }
        "V_MPEGH/ISO/HEVC" => {
            prefixed(Codec::Hevc, lengths(21).map(|length_size| BitstreamLayout::Hvcc { length_size }))?
        }
        "V_AV1" => (Codec::Av1, BitstreamLayout::Obu, config().filter(|record| record.len() >= 4)),
        // What VP9 tracks keep there is another record than MP4's, and says nothing that the frames do not.
        "V_VP9" => (Codec::Vp9, BitstreamLayout::Opaque, None),
        "V_VP8" => (Codec::Vp8, BitstreamLayout::Opaque, None),
        "V_MPEG1" | "V_MPEG2" => (Codec::Mpeg2, BitstreamLayout::Opaque, config()),
        "V_MPEG4/ISO/SP" | "V_MPEG4/ISO/ASP" | "V_MPEG4/ISO/AP" => {
            (Codec::Mpeg4, BitstreamLayout::Opaque, config())
        }
        "V_MJPEG" => (Codec::Mjpeg, BitstreamLayout::Opaque, None),
        // Its blocks have times of decoding: only what is shown in that order is read.
        "V_MS/VFW/FOURCC" if four_character_code(private).as_ref() == Some(b"MJPG") => {
            (Codec::Mjpeg, BitstreamLayout::Opaque, None)
        }
        _ => return Ok(None),
    }))
}

/// How many frames can come between a frame's place in the file and its place on the screen.
pub(super) fn reorder_depth(codec: Codec, info: Option<&StreamInfo>) -> usize {
    let stated = match codec {
        Codec::H264 | Codec::Hevc => {
            info.map_or(4, |info| info.reorder_depth.unwrap_or(info.dpb_frames)).min(16)
        }
        Codec::Mpeg2 | Codec::Mpeg4 => 1,
        _ => 0,
    };
    stated as usize
}

/// The codec ID and `CodecPrivate` of video; `config` is its configuration record.
pub(super) fn video_id(codec: Codec, config: Option<&Bytes>) -> Option<(&'static str, Bytes)> {
    let record = || config.cloned().unwrap_or_default();
    Some(match codec {
        Codec::H264 => ("V_MPEG4/ISO/AVC", record()),
        Codec::Hevc => ("V_MPEGH/ISO/HEVC", record()),
        Codec::Av1 => ("V_AV1", record()),
        Codec::Vp9 => ("V_VP9", Bytes::new()),
        Codec::Vp8 => ("V_VP8", Bytes::new()),
        Codec::Mpeg2 => ("V_MPEG2", record()),
        Codec::Mpeg4 => ("V_MPEG4/ISO/ASP", record()),
        Codec::Mjpeg => ("V_MJPEG", Bytes::new()),
        Codec::Vc1 => return None,
    })
}

/// The sound of a track; AC-3 and E-AC-3 are known when their first frame is, which is `first`. `None` for codecs that only
/// Matroska names, and for what is not stated.
pub(super) fn sound(id: &str, private: &Bytes, fields: &AudioFields, first: Option<&[u8]>) -> Option<Sound> {
    let rate = fields.output_rate.unwrap_or(fields.sample_rate);
    let new = |codec, config: Bytes| Some(Sound::new(codec, fields.channels, rate, config));
    let pcm = |pcm: Pcm, bits: &[u16]| {
        let known = bits.contains(&fields.bits) && fields.channels > 0 && rate > 0;
        known.then(|| Sound {
            bits: fields.bits,
            ..Sound::new(SoundCodec::Pcm(pcm), fields.channels, rate, Bytes::new())
        })
    };
    match id {
        _ if id == "A_AAC" || id.starts_with("A_AAC/") => {
            let config = if private.is_empty() { aac_config(id, fields)? } else { private.clone() };
            new(SoundCodec::Aac, config)
        }
        "A_MPEG/L3" => new(SoundCodec::Mp3, Bytes::new()),
        "A_OPUS" => new(SoundCodec::Opus, private.clone()).filter(|_| private.starts_with(b"OpusHead")),
        "A_VORBIS" => new(SoundCodec::Vorbis, private.clone()).filter(|_| !private.is_empty()),
        "A_FLAC" => {
            new(SoundCodec::Flac, private.strip_prefix(b"fLaC").map(|blocks| private.slice_ref(blocks))?)
        }
        "A_ALAC" => new(SoundCodec::Alac, private.clone()).filter(|_| private.len() >= 24),
        "A_AC3" => Sound::of_ac3_frame(first?),
        "A_EAC3" => Sound::of_eac3_unit(first?),
        "A_DTS" => new(SoundCodec::Dts, Bytes::new()),
        "A_PCM/INT/LIT" => pcm(Pcm::Integer { big_endian: false }, &[8, 16, 24, 32]),
        "A_PCM/INT/BIG" => pcm(Pcm::Integer { big_endian: true }, &[8, 16, 24, 32]),
        "A_PCM/FLOAT/IEEE" => pcm(Pcm::Float { big_endian: false }, &[32, 64]),
        _ => None,
    }
}

/// Whether the sound of such a track is only known when its first frame is.
pub(super) fn is_told_by_its_frames(id: &str) -> bool {
    matches!(id, "A_AC3" | "A_EAC3")
}

/// The codec ID and `CodecPrivate` of sound; `None` for what Matroska has no name for.
pub(super) fn sound_id(sound: &Sound) -> Option<(&'static str, Bytes)> {
    Some(match sound.codec {
        SoundCodec::Aac => ("A_AAC", sound.config.clone()),
        SoundCodec::Mp3 => ("A_MPEG/L3", Bytes::new()),
        SoundCodec::Opus => ("A_OPUS", sound.config.clone()),
        SoundCodec::Vorbis => ("A_VORBIS", sound.config.clone()),
        SoundCodec::Flac => ("A_FLAC", [b"fLaC", &sound.config[..]].concat().into()),
        SoundCodec::Alac => ("A_ALAC", sound.config.clone()),
        SoundCodec::Ac3 => ("A_AC3", Bytes::new()),
        SoundCodec::Eac3 => ("A_EAC3", Bytes::new()),
        SoundCodec::Dts => ("A_DTS", Bytes::new()),
        SoundCodec::Pcm(Pcm::Integer { big_endian: false }) => ("A_PCM/INT/LIT", Bytes::new()),
        SoundCodec::Pcm(Pcm::Integer { big_endian: true }) => ("A_PCM/INT/BIG", Bytes::new()),
        SoundCodec::Pcm(Pcm::Float { big_endian: false }) => ("A_PCM/FLOAT/IEEE", Bytes::new()),
        SoundCodec::Pcm(Pcm::Float { big_endian: true }) => return None,
    })
}

/// The configuration that old codec IDs imply: `A_AAC/MPEG4/LC/SBR` and its kin.
fn aac_config(id: &str, fields: &AudioFields) -> Option<Bytes> {
    let object_type: u16 = match id.rsplit('/').find(|part| *part != "SBR")? {
        "MAIN" => 1,
        "SSR" => 3,
        "LTP" => 4,
        _ => 2,
    };
    let index = AAC_RATES.iter().position(|rate| *rate == fields.sample_rate)? as u16;
    let channels = match fields.channels {
        8 => 7,
        channels @ 1..=6 => channels,
        _ => return None,
    };
    Some(Bytes::copy_from_slice(&(object_type << 11 | index << 7 | channels << 3).to_be_bytes()))
}

/// Samples per second of the core of a codec, which extensions may double.
pub(super) fn core_rate(sound: &Sound) -> u32 {
    let core = match sound.codec {
        SoundCodec::Aac => AudioSpecificConfig::parse(&sound.config).map(|config| config.core_rate),
        _ => None,
    };
    core.unwrap_or(sound.sample_rate)
}

/// Nanoseconds of a frame of sound, where the codec says how long each is.
pub(super) fn frame_duration(sound: &Sound, frame: &[u8]) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    let samples = match sound.codec {
        SoundCodec::Aac => {
            let config = AudioSpecificConfig::parse(&sound.config)?;
            // Low delay has frames of half the length.
            let core = if [23, 39].contains(&config.object_type) { 512 } else { 1024 };
            return Some(core * SECOND / u64::from(config.core_rate).max(1));
        }
        SoundCodec::Mp3 if sound.sample_rate <= 24_000 => 576,
        SoundCodec::Mp3 => 1152,
        SoundCodec::Ac3 => 1536,
        SoundCodec::Opus => opus_samples(frame)?,
        SoundCodec::Pcm(_) => {
            let width = u64::from(sound.bits / 8) * u64::from(sound.channels);
            (frame.len() as u64).checked_div(width)?
        }
        // The smallest and the largest block of `STREAMINFO`, behind a header of 4 bytes.
        SoundCodec::Flac => match sound.config.get(4..8)? {
            [a, b, c, d] if (a, b) == (c, d) => u16::from_be_bytes([*a, *b]).into(),
            _ => return None,
        },
        SoundCodec::Alac => u32::from_be_bytes(*sound.config.first_chunk()?).into(),
        // A substream says how many of its six blocks are in a frame; sound is rarely cut finer.
        SoundCodec::Eac3 if frame.get(4).is_some_and(|byte| byte >> 4 & 3 == 3 && byte >> 6 != 3) => 1536,
        // Blocks of 32 samples, less one, behind the sync word and seven bits of the core (ETSI TS 102 114 5.3.1).
        SoundCodec::Dts => match *frame.first_chunk()? {
            [0x7f, 0xfe, 0x80, 0x01, a, b] => 32 * (u64::from(a & 1) << 6 | u64::from(b >> 2)) + 32,
            _ => return None,
        },
        SoundCodec::Eac3 | SoundCodec::Vorbis => return None,
    };
    (samples * SECOND).checked_div(sound.sample_rate.into())
}

/// Samples at 48 kHz of a packet of Opus (RFC 6716 3.1 and 3.2).
fn opus_samples(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame = match config {
        0..12 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..16 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames)
}

/// `biCompression` of the `BITMAPINFOHEADER` in the `CodecPrivate` of `V_MS/VFW/FOURCC`.
fn four_character_code(private: &[u8]) -> Option<[u8; 4]> {
    private.get(16..20).and_then(|code| code.first_chunk().copied())
}

/// Names of codecs that are only known by their ID, for people.
pub(super) fn name(id: &str, private: &[u8]) -> String {
    if let ("V_MS/VFW/FOURCC", Some(code)) = (id, four_character_code(private)) {
        return format!("{} (V_MS/VFW/FOURCC)", code.escape_ascii());
    }
    match id {
        "S_TEXT/UTF8" | "S_TEXT/ASCII" => "SubRip text",
        "S_TEXT/WEBVTT" | "D_WEBVTT/SUBTITLES" => "WebVTT",
        "S_TEXT/ASS" | "S_ASS" => "ASS",
        "S_TEXT/SSA" | "S_SSA" => "SSA",
        "S_HDMV/PGS" => "PGS",
        "S_VOBSUB" => "VobSub",
        "S_DVBSUB" => "DVB subtitles",
        "A_TRUEHD" => "TrueHD",
        "A_MPEG/L2" => "MP2",
        _ => id.split_once('_').map_or(id, |(_, name)| name),
    }
    .to_owned()
}
