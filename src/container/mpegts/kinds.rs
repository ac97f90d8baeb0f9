//! What an elementary stream carries, by its stream type and descriptors.

use super::sections::{Entry, descriptors};
use crate::codec::Codec;

/// Coding of a sound stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoundKind {
    /// AAC in ADTS frames.
    Adts,
    /// AC-3 or E-AC-3: the frames say which.
    Dolby,
    /// Layers I to III of MPEG-1 and MPEG-2.
    Mpeg,
    /// Opus with this `channel_config_code`.
    Opus(u8),
    /// Nothing says what it is: AAC in ADTS frames, or nothing that is read.
    Unstated,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video(Codec),
    Sound(SoundKind),
    /// Known by name and not read.
    Other(&'static str),
}

// Descriptor tags: ISO/IEC 13818-1 2.6, and ETSI EN 300 468 6.1 from 0x40 on.
const REGISTRATION: u8 = 0x05;
const LANGUAGE: u8 = 0x0a;
const TELETEXT: u8 = 0x56;
const SUBTITLING: u8 = 0x59;
const AC3: u8 = 0x6a;
const EAC3: u8 = 0x7a;
const DTS: u8 = 0x7b;
const AAC: u8 = 0x7c;
const EXTENSION: u8 = 0x7f;
/// `descriptor_tag_extension` of the description of Opus.
const OPUS_EXTENSION: u8 = 0x80;

impl Kind {
    /// `program` is what is said of all streams of the program.
    pub(super) fn of(entry: &Entry, program: &[u8]) -> Self {
        let find = |tag: u8| {
            descriptors(&entry.descriptors).find(|(found, _)| *found == tag).map(|(_, bytes)| bytes)
        };
        let registration = find(REGISTRATION).and_then(|bytes| bytes.get(..4));
        let blu_ray =
            descriptors(program).any(|(tag, bytes)| tag == REGISTRATION && bytes.starts_with(b"HDMV"));
        match entry.stream_type {
            0x01 => Self::Other("MPEG-1 video"),
            0x02 => Self::Video(Codec::Mpeg2),
            0x03 | 0x04 => Self::Sound(SoundKind::Mpeg),
            0x05 => Self::Other("private sections"),
            0x0b..=0x0d | 0x16..=0x1a => Self::Other("data sections"),
            0x0f => Self::Sound(SoundKind::Adts),
            0x10 => Self::Other("MPEG-4 video"),
            0x11 => Self::Other("AAC in LATM"),
            0x15 => Self::Other("metadata"),
            0x1b => Self::Video(Codec::H264),
            0x1c => Self::Other("MPEG-4 sound without transport syntax"),
            0x1f | 0x20 => Self::Other("a further layer or view of H.264"),
            0x21 => Self::Other("JPEG 2000 video"),
            0x24 => Self::Video(Codec::Hevc),
            0x25 | 0x28..=0x2b => Self::Other("a further layer of H.265"),
            0x33 => Self::Other("H.266 video"),
            0x42 => Self::Other("AVS video"),
            0xd2 | 0xd4 => Self::Other("AVS2 video"),
            0xea => Self::Other("VC-1 video"),
            0x80 if blu_ray => Self::Other("Blu-ray PCM sound"),
            0x81 => Self::Sound(SoundKind::Dolby),
            0x84 | 0xa1 if blu_ray => Self::Sound(SoundKind::Dolby),
            0x82 | 0x85 | 0x86 if blu_ray => Self::Other("DTS sound"),
            0x83 if blu_ray => Self::Other("TrueHD sound"),
            0x90 if blu_ray => Self::Other("Blu-ray subtitles"),
            0x87 => Self::Sound(SoundKind::Dolby),
            0x86 => Self::Other("splice information"),
            0x8a => Self::Other("DTS sound"),
            // Private data, of which descriptors tell.
            0x06 | 0x80..=0xff => match registration {
                Some(b"Opus") => Self::opus(entry),
                Some(b"AC-3" | b"EAC3") => Self::Sound(SoundKind::Dolby),
                Some(b"HEVC") => Self::Video(Codec::Hevc),
                Some(b"AV01") => Self::Other("AV1 video"),
                Some(b"VVC ") => Self::Other("H.266 video"),
                Some(b"BSSD") => Self::Other("SMPTE 302M sound"),
                Some(b"DTS1" | b"DTS2" | b"DTS3") => Self::Other("DTS sound"),
                Some(b"KLVA") => Self::Other("KLV metadata"),
                Some(b"ID3 ") => Self::Other("ID3 metadata"),
                _ if find(AC3).is_some() || find(EAC3).is_some() => Self::Sound(SoundKind::Dolby),
                _ if find(SUBTITLING).is_some() => Self::Other("DVB subtitles"),
                _ if find(TELETEXT).is_some() => Self::Other("teletext"),
                _ if find(DTS).is_some() => Self::Other("DTS sound"),
                _ if find(AAC).is_some() => Self::Sound(SoundKind::Adts),
                // ffmpeg writes AAC so into M2TS.
                _ if entry.stream_type == 0x06 && entry.descriptors.is_empty() => {
                    Self::Sound(SoundKind::Unstated)
                }
                _ => Self::Other("private data"),
            },
            _ => Self::Other("a stream of an unknown type"),
        }
    }

    fn opus(entry: &Entry) -> Self {
        let code = descriptors(&entry.descriptors)
            .find_map(|(tag, bytes)| match bytes {
                [OPUS_EXTENSION, code, ..] if tag == EXTENSION => Some(*code),
                _ => None,
            })
            .unwrap_or(2);
        match code {
            1..=8 => Self::Sound(SoundKind::Opus(code)),
            _ => Self::Other("Opus with a channel layout of its own"),
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Video(codec) => codec.name(),
            Self::Sound(SoundKind::Adts) => "AAC",
            Self::Sound(SoundKind::Dolby) => "AC-3",
            Self::Sound(SoundKind::Mpeg) => "MPEG sound",
            Self::Sound(SoundKind::Opus(_)) => "Opus",
            Self::Sound(SoundKind::Unstated) => "private data",
            Self::Other(name) => name,
        }
    }
}

/// ISO 639-2 language of a stream.
pub(super) fn language(entry: &Entry) -> Option<String> {
    let (_, bytes) = descriptors(&entry.descriptors).find(|(tag, _)| *tag == LANGUAGE)?;
    let code = bytes.get(..3).filter(|code| code.iter().all(u8::is_ascii_alphabetic))?;
    Some(std::str::from_utf8(code).ok()?.to_ascii_lowercase()).filter(|code| code != "und")
}
