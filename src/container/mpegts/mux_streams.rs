//! How each kind of track goes into a transport stream.

use bytes::Bytes;

use super::kinds::SoundKind;
use super::mux_packets::Listed;
use super::mux_sound::{self, Gathered};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::bits::BitReader;
use crate::bitstream::convert::length_prefixed_to_annexb;
use crate::bitstream::{ActiveParameterSets, AvcConfig, HevcConfig, is_delimiter};
use crate::codec::Codec;
use crate::container::elementary::end_of_first_unit;
use crate::container::sound::{Sound, SoundCodec};
use crate::container::sound_headers::AAC_RATES;
use crate::container::{Track, TrackKind, VideoTrack};
use crate::error::{Error, Result};
use crate::packet::{BitstreamLayout, Packet};

/// PIDs of pictures and of everything else, by their number.
const FIRST_PID: u16 = 0x100;

/// What is done with the packets of a track.
pub(super) enum Payload {
    /// NAL units: the parameter sets in force.
    Nal { codec: Codec, layout: BitstreamLayout, sets: ActiveParameterSets },
    /// As they are.
    Plain,
    /// With this header in front, the length filled in.
    Adts([u8; 7]),
    /// With a control header; samples that are left out at the start, until they have been told.
    Opus(u16),
}

/// A track being written.
pub(super) struct MuxStream {
    pub(super) listed: Listed,
    pub(super) stream_id: u8,
    pub(super) is_video: bool,
    pub(super) last_dts: Option<i64>,
    /// Frames of sound that wait for their PES packet.
    pub(super) gathered: Gathered,
    /// The kind of sound and its rate.
    sound: Option<(SoundKind, u32)>,
    payload: Payload,
}

fn refused(feature: String) -> Error {
    Error::Unsupported { feature, remedy: "write MP4 or Matroska".into() }
}

fn registration(name: &[u8; 4]) -> Vec<u8> {
    [&[0x05, 4][..], name].concat()
}

impl MuxStream {
    /// `number` counts the tracks from zero.
    pub(super) fn new(track: &Track, number: u16) -> Result<Self> {
        let pid = FIRST_PID + number;
        let mut kind = None;
        let (stream_type, stream_id, mut descriptors, payload) = match (&track.video, &track.copy) {
            (Some(video), _) => video_stream(video)?,
            (None, Some(copy)) if track.kind == TrackKind::Audio => {
                let sound = Sound::from_sample_entry(&copy.sample_entry);
                // Layers I and II, which only Matroska tells from the third.
                let layer =
                    copy.matroska.as_ref().is_some_and(|of| ["A_MPEG/L1", "A_MPEG/L2"].contains(&&*of.id));
                let sound =
                    sound.or_else(|| layer.then(|| Sound::new(SoundCodec::Mp3, 2, 48_000, Bytes::new())));
                let sound = sound
                    .ok_or_else(|| refused(format!("{} sound in a transport stream", track.codec_name)))?;
                kind = kind_of(&sound);
                sound_stream(&sound)?
            }
            _ => return Err(refused(format!("a track of {} in a transport stream", track.codec_name))),
        };
        if let Some(code) = track.language.as_deref().filter(|code| code.len() == 3 && code.is_ascii()) {
            descriptors.extend([0x0a, 4]);
            descriptors.extend_from_slice(code.as_bytes());
            descriptors.push(0);
        }
        let listed = Listed { pid, stream_type, descriptors };
        let (is_video, gathered) = (track.video.is_some(), Gathered::default());
        Ok(Self { listed, stream_id, is_video, last_dts: None, gathered, sound: kind, payload })
    }

    /// Samples of a packet of sound that [`Self::convert`] has made, and how many make a second, where that is known.
    pub(super) fn length(&self, data: &[u8]) -> Option<(u64, u32)> {
        let (kind, rate) = self.sound?;
        mux_sound::length(kind, rate, data)
    }

    /// Appends what goes into the PES packet of a sample to `out`.
    pub(super) fn convert(&mut self, sample: &Packet, random_access: bool, out: &mut Vec<u8>) -> Result<()> {
        let data = &sample.data;
        match &mut self.payload {
            Payload::Plain => crate::memory::grow(out, data.len()).map(|()| out.extend_from_slice(data)),
            Payload::Nal { codec, layout, sets } => {
                let mut converted = Vec::new();
                let unit: &[u8] = match *layout {
                    BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                        length_prefixed_to_annexb(data, length_size, &mut converted)?;
                        &converted
                    }
                    _ => data,
                };
                let missing = if random_access { sets.missing_from(unit) } else { Vec::new() };
                sets.observe(unit);
                let (delimiter, rest) = delimited(*codec, unit);
                crate::memory::grow(out, delimiter.len() + missing.len() + rest.len())?;
                out.extend_from_slice(delimiter);
                out.extend_from_slice(&missing);
                out.extend_from_slice(rest);
                Ok(())
            }
            Payload::Adts(header) => {
                let length = data.len() + header.len();
                if length > 0x1fff {
                    return Err(Error::invalid(format!(
                        "{} bytes of AAC do not fit an ADTS frame",
                        data.len()
                    )));
                }
                let mut header = *header;
                header[3] |= (length >> 11) as u8;
                header[4] = (length >> 3) as u8;
                header[5] |= (length << 5) as u8;
                out.extend_from_slice(&header);
                out.extend_from_slice(data);
                Ok(())
            }
            Payload::Opus(trim) => {
                let trim = std::mem::take(trim);
                out.extend([0x7f, 0xe0 | u8::from(trim > 0) << 4]);
                out.resize(out.len() + data.len() / 255, 255);
                out.push((data.len() % 255) as u8);
                if trim > 0 {
                    out.extend(trim.to_be_bytes());
                }
                out.extend_from_slice(data);
                Ok(())
            }
        }
    }
}

/// The delimiter that stands in front of an access unit, its own or a new one, and the rest of it.
fn delimited(codec: Codec, unit: &[u8]) -> (&[u8], &[u8]) {
    let first = nal_units(unit).next().unwrap_or_default();
    // Any slice type may follow.
    let new: &[u8] = if codec == Codec::Hevc { &[0, 0, 0, 1, 0x46, 1, 0x50] } else { &[0, 0, 0, 1, 9, 0xf0] };
    if is_delimiter(codec, first) {
        unit.split_at_checked(end_of_first_unit(unit)).unwrap_or((new, unit))
    } else {
        (new, unit)
    }
}

type Described = (u8, u8, Vec<u8>, Payload);

fn video_stream(video: &VideoTrack) -> Result<Described> {
    let (codec, layout) = (video.codec, video.layout);
    let nal = |sets: Vec<u8>| {
        let mut active = ActiveParameterSets::new(codec);
        active.observe(&sets);
        Payload::Nal { codec, layout, sets: active }
    };
    let config =
        |parse: fn(&[u8]) -> Result<Vec<u8>>| video.codec_config.as_deref().map_or(Ok(Vec::new()), parse);
    match (codec, layout) {
        (Codec::H264, BitstreamLayout::AnnexB | BitstreamLayout::Avcc { .. }) => {
            let sets = config(|config| Ok(AvcConfig::parse(config)?.to_annexb()))?;
            Ok((0x1b, 0xe0, Vec::new(), nal(sets)))
        }
        (Codec::Hevc, BitstreamLayout::AnnexB | BitstreamLayout::Hvcc { .. }) => {
            let sets = config(|config| Ok(HevcConfig::parse(config)?.to_annexb()))?;
            Ok((0x24, 0xe0, registration(b"HEVC"), nal(sets)))
        }
        (Codec::Mpeg2, BitstreamLayout::Opaque) => Ok((0x02, 0xe0, Vec::new(), Payload::Plain)),
        (Codec::H264 | Codec::Hevc, layout) => {
            Err(Error::invalid(format!("{codec} samples cannot be in the layout {layout}")))
        }
        _ => Err(refused(format!("{codec} in a transport stream, which holds H.264, H.265 and MPEG-2"))),
    }
}

fn kind_of(sound: &Sound) -> Option<(SoundKind, u32)> {
    let kind = match sound.codec {
        SoundCodec::Aac => SoundKind::Adts,
        SoundCodec::Mp3 => SoundKind::Mpeg,
        SoundCodec::Ac3 | SoundCodec::Eac3 => SoundKind::Dolby,
        SoundCodec::Opus => SoundKind::Opus(0),
        _ => return None,
    };
    Some((kind, sound.sample_rate))
}

fn sound_stream(sound: &Sound) -> Result<Described> {
    Ok(match sound.codec {
        SoundCodec::Aac => {
            let header = adts_header(&sound.config).ok_or_else(|| {
                refused("AAC of a profile, rate or channel layout that ADTS has no number for, in a transport stream".into())
            })?;
            (0x0f, 0xc0, Vec::new(), Payload::Adts(header))
        }
        SoundCodec::Mp3 => {
            (if sound.sample_rate < 32_000 { 0x04 } else { 0x03 }, 0xc0, Vec::new(), Payload::Plain)
        }
        SoundCodec::Ac3 => (0x81, 0xbd, [registration(b"AC-3"), vec![0x6a, 1, 0]].concat(), Payload::Plain),
        SoundCodec::Eac3 => (0x87, 0xbd, [registration(b"EAC3"), vec![0x7a, 1, 0]].concat(), Payload::Plain),
        SoundCodec::Opus => {
            let (code, trim) = opus_layout(&sound.config).ok_or_else(|| {
                refused("Opus with a channel layout of its own in a transport stream".into())
            })?;
            let descriptors = [registration(b"Opus"), vec![0x7f, 2, 0x80, code]].concat();
            (0x06, 0xbd, descriptors, Payload::Opus(trim))
        }
        _ => return Err(refused(format!("{} sound in a transport stream", sound.name()))),
    })
}

/// The fixed part of an ADTS header (ISO/IEC 13818-7 6.2.1) for this `AudioSpecificConfig`.
fn adts_header(config: &Bytes) -> Option<[u8; 7]> {
    let mut bits = BitReader::new(config);
    let mut read = || -> Option<(u32, u32, u32)> {
        let object_type = bits.u(5).ok()?;
        let rate = bits.u(4).ok()?;
        let channels = bits.u(4).ok()?;
        // Of spectral band replication and parametric stereo the core is written, in whose frames they are found.
        if object_type == 5 || object_type == 29 {
            if bits.u(4).ok()? == 15 {
                bits.skip(24).ok()?;
            }
            return Some((bits.u(5).ok()?, rate, channels));
        }
        Some((object_type, rate, channels))
    };
    let (object_type, rate, channels) = read()?;
    let fits =
        (1..=4).contains(&object_type) && (rate as usize) < AAC_RATES.len() && (1..=7).contains(&channels);
    let (profile, rate, channels) = (object_type.checked_sub(1)? as u8, rate as u8, channels as u8);
    // No checksum; a buffer of unstated fullness; one raw block.
    fits.then_some([0xff, 0xf1, profile << 6 | rate << 2 | channels >> 2, channels << 6, 0, 0x1f, 0xfc])
}

/// `channel_config_code` and the samples to leave out at the start.
fn opus_layout(head: &[u8]) -> Option<(u8, u16)> {
    let &[channels, trim_low, trim_high] = head.get(9..)?.first_chunk()?;
    // 13 bits.
    let trim = u16::from_le_bytes([trim_low, trim_high]).min(0x1fff);
    let usual = super::sound_frames::opus_head(channels, 0);
    let layout = |head: &[u8]| head.get(18..).map(<[u8]>::to_vec);
    ((1..=8).contains(&channels) && layout(head) == layout(&usual)).then_some((channels, trim))
}
