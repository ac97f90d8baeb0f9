//! Headers of sound frames as transport streams carry them: where a frame ends and how many samples it holds.

use bytes::Bytes;

use super::kinds::SoundKind;
use crate::container::sound::{Sound, SoundCodec};
use crate::container::sound_headers::AAC_RATES;

/// What the bytes begin with.
#[derive(Debug)]
pub(super) enum Found {
    /// Too few bytes to tell.
    Short,
    /// No frame.
    Nothing,
    Frame(Frame),
}

/// A frame at the front.
#[derive(Debug)]
pub(super) struct Frame {
    /// Bytes of it, with its header.
    pub(super) length: usize,
    /// Bytes in front of what a sample of the track holds.
    pub(super) header: usize,
    pub(super) samples: u64,
    /// What a frame of the same track says in its header too.
    pub(super) fixed: u64,
    /// E-AC-3: it continues the access unit before it.
    pub(super) dependent: bool,
}

/// The frame with which `bytes` begin.
pub(super) fn frame(kind: SoundKind, bytes: &[u8]) -> Found {
    let found = match kind {
        SoundKind::Adts | SoundKind::Unstated => bytes.first_chunk().map(adts),
        SoundKind::Dolby => bytes.first_chunk().map(dolby),
        SoundKind::Mpeg => bytes.first_chunk().map(mpeg),
        SoundKind::Opus(_) => return opus(bytes),
    };
    match found {
        None => Found::Short,
        Some(None) => Found::Nothing,
        Some(Some(frame)) => Found::Frame(frame),
    }
}

/// ISO/IEC 13818-7 6.2: `adts_fixed_header` and `adts_variable_header`.
fn adts(header: &[u8; 7]) -> Option<Frame> {
    let [a, b, c, d, e, f, g] = *header;
    // One raw block: of several nothing says where each begins.
    if a != 0xff || b & 0xf6 != 0xf0 || g & 3 != 0 || c >> 2 & 15 > 12 {
        return None;
    }
    let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
    let header = if b & 1 == 1 { 7 } else { 9 };
    let fixed = u64::from(c & 0xfd) << 8 | u64::from(d & 0xc0);
    (length > header).then_some(Frame { length, header, samples: 1024, fixed, dependent: false })
}

/// Samples per second that the header of an ADTS frame states.
pub(super) fn adts_rate(frame: &[u8]) -> Option<u32> {
    AAC_RATES.get(usize::from(frame.get(2)? >> 2 & 15)).copied()
}

/// The `AudioSpecificConfig` of an ADTS frame; `None` where the channels are listed in the frames.
fn adts_config(frame: &[u8]) -> Option<[u8; 2]> {
    let (c, d) = (*frame.get(2)?, *frame.get(3)?);
    let (object_type, rate, channels) = ((c >> 6) + 1, c >> 2 & 15, (c & 1) << 2 | d >> 6);
    (channels > 0).then_some([object_type << 3 | rate >> 1, (rate & 1) << 7 | channels << 3])
}

/// Kilobits per second of AC-3.
const AC3_KBPS: [usize; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

/// ETSI TS 102 366 4.3 and E.1.2.
fn dolby(header: &[u8; 6]) -> Option<Frame> {
    let [a, b, c, d, e, f] = *header;
    if (a, b) != (0x0b, 0x77) {
        return None;
    }
    let bsid = f >> 3;
    if bsid > 10 {
        // Type, substream, size; rate, blocks.
        let length = 2 * ((usize::from(c & 7) << 8 | usize::from(d)) + 1);
        let blocks = if e >> 6 == 3 { 6 } else { [1, 2, 3, 6][usize::from(e >> 4 & 3)] };
        let dependent = c >> 6 == 1 || c >> 3 & 7 != 0;
        let valid = bsid <= 16 && length > 6 && c >> 6 != 3 && (e >> 4 != 15);
        let fixed = 1 << 8 | u64::from(e >> 6);
        return valid.then_some(Frame { length, header: 0, samples: 256 * blocks, fixed, dependent });
    }
    let (rate, code) = (e >> 6, e & 63);
    let kbps = AC3_KBPS.get(usize::from(code >> 1)).copied()?;
    let words = match rate {
        0 => kbps * 2,
        1 => kbps * 960 / 441 + usize::from(code & 1),
        2 => kbps * 3,
        _ => return None,
    };
    Some(Frame { length: 2 * words, header: 0, samples: 1536, fixed: u64::from(rate), dependent: false })
}

/// Kilobits per second of the layers of MPEG-1, of layer I of MPEG-2 and of its others.
const MPEG_KBPS: [[usize; 15]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// The layer, the rate and the frame length of a header of ISO/IEC 11172-3 2.4.1.3, or of 13818-3.
fn mpeg(header: &[u8; 4]) -> Option<Frame> {
    let [a, b, c, _] = *header;
    // MPEG-2.5 has no place here.
    if a != 0xff || b & 0xf0 != 0xf0 {
        return None;
    }
    let (low, layer) = (b & 8 == 0, 4 - usize::from(b >> 1 & 3));
    let table = match (low, layer) {
        (_, 4) => return None,
        (false, _) => layer - 1,
        (true, 1) => 3,
        (true, _) => 4,
    };
    let kbps = MPEG_KBPS.get(table)?.get(usize::from(c >> 4)).copied().filter(|kbps| *kbps > 0)?;
    let rate = mpeg_rate(low, c)? as usize;
    let padding = usize::from(c >> 1 & 1);
    let (length, samples) = match (layer, low) {
        (1, _) => ((12_000 * kbps / rate + padding) * 4, 384),
        (3, true) => (72_000 * kbps / rate + padding, 576),
        _ => (144_000 * kbps / rate + padding, 1152),
    };
    let fixed = u64::from(b & 0x0e) << 8 | u64::from(c & 0x0c);
    Some(Frame { length, header: 0, samples, fixed, dependent: false })
}

pub(super) fn mpeg_rate(low: bool, third: u8) -> Option<u32> {
    [44_100_u32, 48_000, 32_000].get(usize::from(third >> 2 & 3)).map(|rate| rate >> u32::from(low))
}

/// An access unit behind its control header, as the Opus encapsulation for transport streams has it.
fn opus(bytes: &[u8]) -> Found {
    let parsed = || -> Option<Option<Frame>> {
        let (&[first, second], mut rest) = bytes.split_first_chunk::<2>()?;
        if first != 0x7f || second & 0xe0 != 0xe0 {
            return Some(None);
        }
        let mut size = 0_usize;
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            size += usize::from(byte);
            if size > 1 << 17 {
                return Some(None);
            }
            if byte < 255 {
                break;
            }
        }
        // Trims at the start and the end, and an extension with its length.
        let trims = usize::from(second >> 4 & 1) + usize::from(second >> 3 & 1);
        rest = rest.get(2 * trims..)?;
        if second & 4 != 0 {
            let (&length, behind) = rest.split_first()?;
            rest = behind.get(usize::from(length)..)?;
        }
        let header = bytes.len() - rest.len();
        let samples = opus_samples(rest.get(..size.min(2))?).unwrap_or(0);
        Some((size > 0).then_some(Frame {
            length: header + size,
            header,
            samples,
            fixed: 0,
            dependent: false,
        }))
    };
    match parsed() {
        None => Found::Short,
        Some(None) => Found::Nothing,
        Some(Some(frame)) => Found::Frame(frame),
    }
}

/// Samples of 48 kHz in an Opus packet (RFC 6716 3.1 and 3.2).
pub(super) fn opus_samples(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 63),
    };
    Some(frame * frames)
}

/// Samples to leave out at the start, by the control header of the first Opus packet.
fn opus_trim(unit: &[u8]) -> u16 {
    let Some((&[_, flags], rest)) = unit.split_first_chunk::<2>() else { return 0 };
    let size_bytes = rest.iter().position(|byte| *byte < 255).map_or(0, |at| at + 1);
    match rest.get(size_bytes..).and_then(<[u8]>::first_chunk::<2>) {
        Some(trim) if flags >> 4 & 1 == 1 => u16::from_be_bytes(*trim) & 0x1fff,
        _ => 0,
    }
}

/// What a track is that begins with this frame: its sound, and the name of its codec.
pub(super) fn describe(kind: SoundKind, unit: &[u8]) -> Option<(Sound, &'static str)> {
    let sound = match kind {
        SoundKind::Adts | SoundKind::Unstated => Sound::aac(adts_config(unit)?.to_vec()),
        SoundKind::Dolby if unit.get(5)? >> 3 > 10 => Sound::of_eac3_unit(unit)?,
        SoundKind::Dolby => Sound::of_ac3_frame(unit)?,
        SoundKind::Mpeg => {
            let (b, c, d) = (*unit.get(1)?, *unit.get(2)?, *unit.get(3)?);
            let channels = if d >> 6 == 3 { 1 } else { 2 };
            let sound = Sound::new(SoundCodec::Mp3, channels, mpeg_rate(b & 8 == 0, c)?, Bytes::new());
            let name = ["MP3", "MP2", "MP1"].get(usize::from(b >> 1 & 3).checked_sub(1)?)?;
            return Some((sound, name));
        }
        SoundKind::Opus(channels) => {
            Sound::new(SoundCodec::Opus, channels.into(), 48_000, opus_head(channels, opus_trim(unit)))
        }
    };
    let name = sound.name();
    Some((sound, name))
}

/// The identification header (RFC 7845 5.1) of a channel layout by its number of channels.
pub(super) fn opus_head(channels: u8, trim: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(trim.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    head.extend([0, 0]);
    if channels <= 2 {
        head.push(0);
        return head;
    }
    // Streams, those of them that are pairs, and the place of each channel, in the order of Vorbis.
    let (pairs, places): (u8, &[u8]) = match channels {
        3 => (1, &[0, 2, 1]),
        4 => (2, &[0, 1, 2, 3]),
        5 => (2, &[0, 4, 1, 2, 3]),
        6 => (2, &[0, 4, 1, 2, 3, 5]),
        7 => (2, &[0, 4, 1, 2, 3, 5, 6]),
        _ => (3, &[0, 6, 1, 2, 3, 4, 5, 7]),
    };
    head.extend([1, channels - pairs, pairs]);
    head.extend(places);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(kind: SoundKind, bytes: &[u8]) -> Option<(usize, u64)> {
        match frame(kind, bytes) {
            Found::Frame(frame) => Some((frame.length, frame.samples)),
            _ => None,
        }
    }

    #[test]
    fn lengths_are_those_of_the_tables() {
        // 128 kb/s at 44.1 kHz, and 192 kb/s of layer II at 48 kHz.
        assert_eq!(length(SoundKind::Mpeg, &[0xff, 0xfb, 0x90, 0]), Some((417, 1152)));
        assert_eq!(length(SoundKind::Mpeg, &[0xff, 0xfd, 0xa4, 0]), Some((576, 1152)));
        // AC-3 of 192 kb/s at 48 kHz; at 44.1 kHz the odd code is a word longer.
        assert_eq!(length(SoundKind::Dolby, &[0x0b, 0x77, 0, 0, 20, 0x40]), Some((768, 1536)));
        assert_eq!(length(SoundKind::Dolby, &[0x0b, 0x77, 0, 0, 0x40, 0x40]), Some((138, 1536)));
        assert_eq!(length(SoundKind::Dolby, &[0x0b, 0x77, 0, 0, 0x41, 0x40]), Some((140, 1536)));
        assert_eq!(length(SoundKind::Adts, &[0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc]), Some((371, 1024)));
        assert_eq!(adts_config(&[0xff, 0xf1, 0x4c, 0x80]), Some([0x11, 0x90]));
        // 20 ms in one frame, of 300 bytes.
        let opus = [&[0x7f, 0xe0, 255, 45, 0xfc][..], &[0; 299]].concat();
        assert_eq!(length(SoundKind::Opus(2), &opus), Some((304, 960)));
        assert_eq!(opus_samples(&[0x03, 6]), Some(2880));
        for kind in [SoundKind::Adts, SoundKind::Dolby, SoundKind::Mpeg, SoundKind::Opus(2)] {
            assert_eq!(length(kind, &[0; 9]), None);
            assert!(matches!(frame(kind, &[]), Found::Short));
        }
    }
}
