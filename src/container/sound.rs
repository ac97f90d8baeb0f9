//! What the sound of a track is, between containers: each has its own words for it, ISO sample entries are the common ones.

use bytes::Bytes;

use super::mp4::decoder_config;
use super::sound_headers::{AudioSpecificConfig, ac3_config, eac3_config};

/// How the samples of a sound track are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SoundCodec {
    /// `config` is the `AudioSpecificConfig` (ISO/IEC 14496-3 1.6.2.1).
    Aac,
    /// MPEG-1 and MPEG-2 layer III; no `config`.
    Mp3,
    /// `config` is the identification header (RFC 7845 5.1), from `OpusHead` on.
    Opus,
    /// `config` is the metadata blocks with their headers, `STREAMINFO` first, without `fLaC` in front.
    Flac,
    /// `config` is the payload of `dac3` (ETSI TS 102 366 F.4).
    Ac3,
    /// `config` is the payload of `dec3` (ETSI TS 102 366 F.6).
    Eac3,
    /// `config` is the three headers, Xiph-laced as in Matroska.
    Vorbis,
    /// `config` is the magic cookie: `ALACSpecificConfig`, and the channel layout where there is one.
    Alac,
    /// `config` is the payload of `ddts`, or empty.
    Dts,
    /// Uncompressed; no `config`.
    Pcm(Pcm),
}

/// How the values of uncompressed sound are stored; their width is [`Sound::bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pcm {
    /// Two's complement; a byte alone counts from 128.
    Integer {
        /// Most significant byte first.
        big_endian: bool,
    },
    /// IEEE 754.
    Float {
        /// Most significant byte first.
        big_endian: bool,
    },
}

/// The sound of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    /// Codec.
    pub(crate) codec: SoundCodec,
    /// Channels of the output, 0 where unknown.
    pub(crate) channels: u16,
    /// Samples per second of the output, 0 where unknown.
    pub(crate) sample_rate: u32,
    /// Bits of each value where the codec has such a thing, else 16.
    pub(crate) bits: u16,
    /// What a decoder needs to know before the first sample; what it is depends on the codec.
    pub(crate) config: Bytes,
}

/// Fields of a sound description between the box header and the child boxes, in its three versions (ISO/IEC 14496-12
/// 12.2.3 and QuickTime's sound sample descriptions).
const FIELDS: [usize; 3] = [28, 44, 64];

/// Object types of MPEG-4 systems (ISO/IEC 14496-1 table 5, and those registered at mp4ra.org).
mod object_type {
    pub(super) const AAC: [u8; 4] = [0x40, 0x66, 0x67, 0x68];
    pub(super) const MP3: [u8; 2] = [0x6b, 0x69];
    pub(super) const AC3: u8 = 0xa5;
    pub(super) const EAC3: u8 = 0xa6;
    pub(super) const DTS: u8 = 0xa9;
    pub(super) const VORBIS: u8 = 0xdd;
}

const OPUS_HEAD: &[u8; 8] = b"OpusHead";

/// `formatSpecificFlags` of QuickTime's uncompressed sound.
const LPCM_FLOAT: u32 = 1;
const LPCM_BIG_ENDIAN: u32 = 2;
const LPCM_SIGNED: u32 = 4;
const LPCM_PACKED: u32 = 8;

impl Sound {
    /// A sound of which the configuration says all.
    pub(crate) fn new(codec: SoundCodec, channels: u16, sample_rate: u32, config: impl Into<Bytes>) -> Self {
        Self { codec, channels, sample_rate, bits: 16, config: config.into() }.completed()
    }

    /// AAC with this `AudioSpecificConfig`.
    #[allow(dead_code, reason = "transport streams have no other words for AAC")]
    pub(crate) fn aac(config: impl Into<Bytes>) -> Self {
        Self::new(SoundCodec::Aac, 0, 0, config)
    }

    /// AC-3, as its first frame describes it.
    pub(crate) fn of_ac3_frame(frame: &[u8]) -> Option<Self> {
        let (config, channels, sample_rate) = ac3_config(frame)?;
        Some(Self::new(SoundCodec::Ac3, channels, sample_rate, config))
    }

    /// E-AC-3, as its first access unit describes it, dependent substreams included.
    pub(crate) fn of_eac3_unit(unit: &[u8]) -> Option<Self> {
        let (config, channels, sample_rate) = eac3_config(unit)?;
        Some(Self::new(SoundCodec::Eac3, channels, sample_rate, config))
    }

    /// The name of the codec.
    pub(crate) const fn name(&self) -> &'static str {
        match self.codec {
            SoundCodec::Aac => "AAC",
            SoundCodec::Mp3 => "MP3",
            SoundCodec::Opus => "Opus",
            SoundCodec::Flac => "FLAC",
            SoundCodec::Ac3 => "AC-3",
            SoundCodec::Eac3 => "E-AC-3",
            SoundCodec::Vorbis => "Vorbis",
            SoundCodec::Alac => "ALAC",
            SoundCodec::Dts => "DTS",
            SoundCodec::Pcm(_) => "PCM",
        }
    }

    /// Takes what the configuration says itself, which is more than the fields of containers can hold.
    fn completed(mut self) -> Self {
        let config = &self.config;
        let rate = |at: usize| config.get(at..at + 4)?.first_chunk().copied();
        match self.codec {
            SoundCodec::Aac => {
                if let Some(stated) = AudioSpecificConfig::parse(config) {
                    self.sample_rate = stated.output_rate;
                    self.channels = stated.channels.unwrap_or(self.channels);
                }
            }
            SoundCodec::Opus => {
                // Decoders put out 48 kHz, whatever went in.
                self.sample_rate = 48_000;
                self.channels = config.get(9).map_or(self.channels, |channels| u16::from(*channels));
            }
            SoundCodec::Flac => {
                // 20 bits of rate, 3 of channels, 5 of bits, 14 bytes into the block behind its header of 4.
                if let Some(word) = rate(14).map(u32::from_be_bytes) {
                    self.sample_rate = word >> 12;
                    self.channels = (word >> 9 & 7) as u16 + 1;
                    self.bits = (word >> 4 & 31) as u16 + 1;
                }
            }
            SoundCodec::Vorbis => {
                // Behind the lacing: a type, `vorbis`, a version, the channels and the rate.
                if let Some(at) = config.windows(7).take(1 << 10).position(|bytes| bytes == b"\x01vorbis") {
                    self.channels =
                        config.get(at + 11).map_or(self.channels, |channels| u16::from(*channels));
                    self.sample_rate = rate(at + 12).map_or(self.sample_rate, u32::from_le_bytes);
                }
            }
            SoundCodec::Alac => {
                if let Some(word) = rate(20) {
                    self.sample_rate = u32::from_be_bytes(word);
                    self.channels = config.get(9).map_or(self.channels, |channels| u16::from(*channels));
                    self.bits = config.get(5).map_or(self.bits, |bits| u16::from(*bits));
                }
            }
            SoundCodec::Mp3 | SoundCodec::Ac3 | SoundCodec::Eac3 | SoundCodec::Dts | SoundCodec::Pcm(_) => {}
        }
        self
    }

    /// Reads a sample entry box, header included; `None` for sound that is not known here, and for what is no sound.
    pub(crate) fn from_sample_entry(entry: &[u8]) -> Option<Self> {
        let kind: [u8; 4] = entry.get(4..8)?.try_into().ok()?;
        let fields = entry.get(8..)?;
        let version = be_u16(fields, 8)?;
        let mut sound = Self {
            codec: SoundCodec::Mp3,
            channels: be_u16(fields, 16)?,
            sample_rate: be_u32(fields, 24)? >> 16,
            bits: be_u16(fields, 18)?,
            config: Bytes::new(),
        };
        if version == 2 {
            sound.sample_rate = f64::from_bits(be_u64(fields, 32)?) as u32;
            sound.channels = u16::try_from(be_u32(fields, 40)?).ok()?;
            sound.bits = u16::try_from(be_u32(fields, 48)?).ok()?;
        }
        let children = fields.get(*FIELDS.get(usize::from(version))?..).unwrap_or_default();
        // QuickTime keeps the children of compressed sound in a box of its own.
        let wave = child(children, *b"wave");
        let child = |kind| child(children, kind).or_else(|| child(wave?, kind));
        let full = |kind| child(kind).and_then(|payload| payload.get(4..)).map(Bytes::copy_from_slice);
        let (codec, config) = match &kind {
            b"mp4a" | b"enca" => {
                let esds = child(*b"esds")?;
                let (object_type, config) = decoder_config(esds)?;
                (codec_of_object(object_type)?, Bytes::copy_from_slice(config.unwrap_or_default()))
            }
            b".mp3" | b"ms\0\x55" => (SoundCodec::Mp3, Bytes::new()),
            b"Opus" => (SoundCodec::Opus, opus_head(child(*b"dOps")?)?),
            b"fLaC" => (SoundCodec::Flac, full(*b"dfLa")?),
            b"ac-3" => (SoundCodec::Ac3, Bytes::copy_from_slice(child(*b"dac3")?)),
            b"ec-3" => (SoundCodec::Eac3, Bytes::copy_from_slice(child(*b"dec3")?)),
            b"alac" => (SoundCodec::Alac, full(*b"alac")?),
            b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" => {
                (SoundCodec::Dts, child(*b"ddts").map(Bytes::copy_from_slice).unwrap_or_default())
            }
            _ => {
                let little = child(*b"enda").is_some_and(|enda| enda.last() == Some(&1));
                let flags = if version == 2 { be_u32(fields, 52)? } else { 0 };
                let iso = child(*b"pcmC").and_then(|config| config.get(4..6));
                let (pcm, bits) = pcm_of(kind, sound.bits, little, flags, iso)?;
                sound.bits = bits;
                (SoundCodec::Pcm(pcm), Bytes::new())
            }
        };
        Some(Self { codec, config, ..sound }.completed())
    }

    /// The sample entry box, header included; `None` where ISO files have none for it.
    pub(crate) fn sample_entry(&self) -> Option<Bytes> {
        let (kind, children) = match self.codec {
            SoundCodec::Aac => (*b"mp4a", self.esds(0x40)?),
            // MPEG-2's lower rates have a number of their own.
            SoundCodec::Mp3 if self.sample_rate > 24_000 => (*b"mp4a", self.esds(0x6b)?),
            SoundCodec::Mp3 => (*b"mp4a", self.esds(0x69)?),
            SoundCodec::Vorbis => (*b"mp4a", self.esds(object_type::VORBIS)?),
            SoundCodec::Dts if self.config.is_empty() => (*b"mp4a", self.esds(object_type::DTS)?),
            SoundCodec::Dts => (*b"dtsc", boxed(*b"ddts", &[&self.config])?),
            SoundCodec::Opus => (*b"Opus", boxed(*b"dOps", &[&opus_record(&self.config)?])?),
            SoundCodec::Flac => (*b"fLaC", boxed(*b"dfLa", &[&[0; 4], &self.config])?),
            SoundCodec::Ac3 => (*b"ac-3", boxed(*b"dac3", &[&self.config])?),
            SoundCodec::Eac3 => (*b"ec-3", boxed(*b"dec3", &[&self.config])?),
            SoundCodec::Alac => (*b"alac", boxed(*b"alac", &[&[0; 4], &self.config])?),
            SoundCodec::Pcm(pcm) => return self.pcm_entry(pcm),
        };
        // Rates that do not fit are stated by the configuration.
        let rate = u16::try_from(self.sample_rate).unwrap_or(0);
        Self::entry(kind, 0, self.channels, self.bits, u32::from(rate) << 16, &children)
    }

    /// A sound description whose first fields are these.
    fn entry(kind: [u8; 4], version: u16, channels: u16, bits: u16, rate: u32, rest: &[u8]) -> Option<Bytes> {
        let compression: u16 = if version == 2 { 0xfffe } else { 0 };
        let fields = [
            &[0, 0, 0, 0, 0, 0, 0, 1][..],
            &version.to_be_bytes(),
            &[0; 6],
            &channels.to_be_bytes(),
            &bits.to_be_bytes(),
            &compression.to_be_bytes(),
            &[0; 2],
            &rate.to_be_bytes(),
            rest,
        ];
        boxed(kind, &fields).map(Bytes::from)
    }

    /// Descriptions of version 0 where those can say it, since every reader knows them, else of version 2.
    fn pcm_entry(&self, pcm: Pcm) -> Option<Bytes> {
        let rate = u16::try_from(self.sample_rate).ok();
        let plain = match (pcm, self.bits) {
            (Pcm::Integer { .. }, 8) => Some(*b"raw "),
            (Pcm::Integer { big_endian: false }, 16) => Some(*b"sowt"),
            (Pcm::Integer { big_endian: true }, 16) => Some(*b"twos"),
            _ => None,
        };
        if let (Some(kind), Some(rate)) = (plain, rate) {
            return Self::entry(kind, 0, self.channels, self.bits, u32::from(rate) << 16, &[]);
        }
        if self.bits == 0 || !self.bits.is_multiple_of(8) {
            return None;
        }
        let (kind, order) = match pcm {
            Pcm::Integer { big_endian } => (if self.bits == 8 { 0 } else { LPCM_SIGNED }, big_endian),
            Pcm::Float { big_endian } => (LPCM_FLOAT, big_endian),
        };
        let flags = kind | LPCM_PACKED | if order { LPCM_BIG_ENDIAN } else { 0 };
        let frame = u32::from(self.bits / 8) * u32::from(self.channels);
        let rest = [
            72_u32.to_be_bytes().as_slice(),
            &f64::from(self.sample_rate).to_be_bytes(),
            &u32::from(self.channels).to_be_bytes(),
            &0x7f00_0000_u32.to_be_bytes(),
            &u32::from(self.bits).to_be_bytes(),
            &flags.to_be_bytes(),
            &frame.to_be_bytes(),
            &1_u32.to_be_bytes(),
        ]
        .concat();
        // The old fields hold what the format of version 2 wants them to.
        Self::entry(*b"lpcm", 2, 3, 16, 0x0001_0000, &rest)
    }

    /// The box `esds` (ISO/IEC 14496-14 5.6) with this object type.
    fn esds(&self, object_type: u8) -> Option<Vec<u8>> {
        let config = if self.config.is_empty() { Vec::new() } else { descriptor(5, &[&self.config])? };
        // Stream type 5, sound; the size of the buffer and the rates are not stated.
        let decoder = descriptor(4, &[&[object_type, 0x15, 0, 0, 0], &[0; 8], &config])?;
        let stream = descriptor(3, &[&[0, 0, 0], &decoder, &descriptor(6, &[&[2]])?])?;
        boxed(*b"esds", &[&[0; 4], &stream])
    }
}

fn codec_of_object(object_type: u8) -> Option<SoundCodec> {
    Some(match object_type {
        of if object_type::AAC.contains(&of) => SoundCodec::Aac,
        of if object_type::MP3.contains(&of) => SoundCodec::Mp3,
        object_type::AC3 => SoundCodec::Ac3,
        object_type::EAC3 => SoundCodec::Eac3,
        object_type::DTS => SoundCodec::Dts,
        object_type::VORBIS => SoundCodec::Vorbis,
        _ => return None,
    })
}

/// How a sound description stores its values, and their width. `iso` is what ISO/IEC 23003-5 states: flags and width.
fn pcm_of(kind: [u8; 4], bits: u16, little: bool, flags: u32, iso: Option<&[u8]>) -> Option<(Pcm, u16)> {
    let big_endian = !little;
    Some(match (&kind, iso) {
        (b"raw " | b"NONE", _) if bits == 8 => (Pcm::Integer { big_endian: false }, 8),
        (b"sowt", _) if bits > 8 => (Pcm::Integer { big_endian: false }, bits),
        (b"twos" | b"NONE", _) if bits > 8 => (Pcm::Integer { big_endian: true }, bits),
        (b"in24", _) => (Pcm::Integer { big_endian }, 24),
        (b"in32", _) => (Pcm::Integer { big_endian }, 32),
        (b"fl32", _) => (Pcm::Float { big_endian }, 32),
        (b"fl64", _) => (Pcm::Float { big_endian }, 64),
        (b"lpcm", _) => {
            let big_endian = flags & LPCM_BIG_ENDIAN != 0;
            match (flags & LPCM_FLOAT != 0, flags & LPCM_SIGNED != 0) {
                (true, _) => (Pcm::Float { big_endian }, bits),
                // Only bytes may count from their middle.
                (false, signed) if signed != (bits == 8) => (Pcm::Integer { big_endian }, bits),
                _ => return None,
            }
        }
        (b"ipcm", Some(&[flags, bits])) if bits > 8 => {
            (Pcm::Integer { big_endian: flags & 1 == 0 }, bits.into())
        }
        (b"fpcm", Some(&[flags, bits])) => (Pcm::Float { big_endian: flags & 1 == 0 }, bits.into()),
        _ => return None,
    })
}

/// The fields of `dOps` are those of the identification header, in the other order of bytes and without its name.
fn opus_head(record: &[u8]) -> Option<Bytes> {
    let &[_, channels, skip_a, skip_b, a, b, c, d, gain_a, gain_b, ref rest @ ..] = record else {
        return None;
    };
    let fields = [1, channels, skip_b, skip_a, d, c, b, a, gain_b, gain_a];
    Some([OPUS_HEAD, &fields[..], rest].concat().into())
}

fn opus_record(head: &[u8]) -> Option<Vec<u8>> {
    let record = head.strip_prefix(OPUS_HEAD)?;
    let &[_, channels, skip_a, skip_b, a, b, c, d, gain_a, gain_b, ref rest @ ..] = record else {
        return None;
    };
    Some([&[0, channels, skip_b, skip_a, d, c, b, a, gain_b, gain_a], rest].concat())
}

/// A box with this payload.
fn boxed(kind: [u8; 4], payload: &[&[u8]]) -> Option<Vec<u8>> {
    let payload = payload.concat();
    let size = u32::try_from(payload.len()).ok()?.checked_add(8)?;
    Some([&size.to_be_bytes(), &kind[..], &payload].concat())
}

/// A descriptor of ISO/IEC 14496-1 8.3.3, its length always in four bytes.
fn descriptor(tag: u8, payload: &[&[u8]]) -> Option<Vec<u8>> {
    let payload = payload.concat();
    let length = u32::try_from(payload.len()).ok().filter(|length| *length < 1 << 28)?;
    let septet = |shift: u32| (length >> shift & 0x7f) as u8;
    Some([&[tag, septet(21) | 0x80, septet(14) | 0x80, septet(7) | 0x80, septet(0)], &payload[..]].concat())
}

/// The payload of the first of these boxes that is of this type.
fn child(mut boxes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    loop {
        let len = be_u32(boxes, 0)? as usize;
        let whole = boxes.get(..len).filter(|whole| whole.len() >= 8)?;
        if whole.get(4..8) == Some(&kind) {
            return whole.get(8..);
        }
        boxes = boxes.get(len..)?;
    }
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn be_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
