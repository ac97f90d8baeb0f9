//! Headers of MPEG-2 video (ISO/IEC 13818-2) and MPEG-4 Visual (ISO/IEC 14496-2), for decoders that take whole pictures and have to
//! be told what they are.

use super::StreamInfo;
use super::annexb::{find_start_code, nal_units};
use super::bits::{BitReader, BitResult};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::hdr::HdrMetadata;
use crate::pixel::Chroma;
use crate::time::Rational;

// Start codes of MPEG-2 (6.2.1).
const PICTURE: u8 = 0;
const SEQUENCE: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;
const GROUP: u8 = 0xb8;
// Those of MPEG-4 (6.2.1).
const LAYERS: std::ops::RangeInclusive<u8> = 0x20..=0x2f;
const OBJECT: u8 = 0xb5;
const GROUP_OF_PLANES: u8 = 0xb3;
const PLANE: u8 = 0xb6;

/// What a picture may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Intra,
    /// Pictures that are shown before it.
    Forward,
    /// Those around it; nothing refers to it.
    Bidirectional,
}

/// What the headers in front of a picture say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// Of the first picture; a second one is the other field of MPEG-2.
    pub(crate) kind: Option<Kind>,
    /// Of MPEG-4, with more than one picture in a unit.
    pub(crate) is_packed: bool,
    /// MPEG-2: nothing behind the group of pictures header refers to anything before it.
    pub(crate) is_closed: bool,
    /// The sequence that begins here.
    pub(crate) info: Option<StreamInfo>,
    /// MPEG-4: its headers.
    pub(crate) config: &'a [u8],
}

impl<'a> Head<'a> {
    /// Of a unit with its start codes.
    ///
    /// # Errors
    /// Headers that cannot be read, and MPEG-1.
    pub(crate) fn of(codec: Codec, unit: &'a [u8]) -> Result<Self> {
        if codec == Codec::Mpeg2 { mpeg2(unit) } else { mpeg4(unit) }
    }
}

/// A byte of a header; zeros at its end are taken for padding.
fn byte(unit: &[u8], at: usize) -> u32 {
    unit.get(at).map_or(0, |byte| u32::from(*byte))
}

fn mpeg2(unit: &[u8]) -> Result<Head<'_>> {
    let mut head = Head::default();
    let (mut sequence, mut extension, mut display) = (None, None, None);
    for part in nal_units(unit) {
        match (byte(part, 0) as u8, byte(part, 1) >> 4) {
            (SEQUENCE, _) => sequence = Some(part),
            (EXTENSION, 1) => extension = Some(part),
            (EXTENSION, 2) => display = Some(part),
            (GROUP, _) => head.is_closed = byte(part, 4) & 0x40 != 0,
            (PICTURE, _) => {
                head.kind = match byte(part, 2) >> 3 & 7 {
                    1 => Some(Kind::Intra),
                    2 => Some(Kind::Forward),
                    3 => Some(Kind::Bidirectional),
                    other => return Err(Error::corrupt(format!("a picture_coding_type of {other}"))),
                };
                break;
            }
            _ => {}
        }
    }
    let Some(sequence) = sequence else { return Ok(head) };
    let Some(extension) = extension else {
        return Err(Error::unsupported("MPEG-1 video"));
    };
    let width = byte(sequence, 1) << 4
        | byte(sequence, 2) >> 4
        | ((byte(extension, 2) & 1) << 1 | byte(extension, 3) >> 7) << 12;
    let height = (byte(sequence, 2) & 15) << 8 | byte(sequence, 3) | (byte(extension, 3) >> 5 & 3) << 12;
    let dimensions = size(width, height)?;
    let chroma = match byte(extension, 2) >> 1 & 3 {
        1 => Chroma::Yuv420,
        2 => Chroma::Yuv422,
        3 => Chroma::Yuv444,
        _ => return Err(Error::corrupt("a chroma_format of 0")),
    };
    let (num, den) = RATES.get(byte(sequence, 4) as usize & 15).copied().unwrap_or_default();
    let (n, d) = (byte(extension, 6) >> 5 & 3, byte(extension, 6) & 31);
    // Of the picture; of a sample it follows from the size.
    let (across, down) = [(0, 1), (0, 1), (4, 3), (16, 9), (221, 100)]
        .get(byte(sequence, 4) as usize >> 4)
        .copied()
        .unwrap_or_default();
    let shape = if byte(sequence, 4) >> 4 == 1 {
        Some(Rational::ONE)
    } else {
        ratio(u64::from(height) * across, u64::from(width) * down)
    };
    let color = display.filter(|display| byte(display, 1) & 1 != 0);
    head.info = Some(StreamInfo {
        color: stated(color.map(|display| [2, 3, 4].map(|at| byte(display, at) as u8)), false),
        sample_aspect_ratio: shape,
        frame_rate: ratio(u64::from(num * (n + 1)), u64::from(den * (d + 1))),
        reorder_depth: Some(u32::from(byte(extension, 6) >> 7 == 0)),
        interlaced: byte(extension, 2) >> 3 & 1 == 0,
        ..plain(Codec::Mpeg2, PROFILES.get(byte(extension, 1) as usize & 7), dimensions, chroma)
    });
    Ok(head)
}

/// `profile_and_level_indication` (table 8-2).
const PROFILES: [&str; 8] = ["", "High", "Spatially Scalable", "SNR Scalable", "Main", "Simple", "", ""];

/// `frame_rate_code` (table 6-4).
const RATES: [(u32, u32); 9] =
    [(0, 0), (24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60_000, 1001), (60, 1)];

fn mpeg4(unit: &[u8]) -> Result<Head<'_>> {
    let mut head = Head::default();
    let mut color = stated(None, false);
    for part in nal_units(unit) {
        let code = byte(part, 0) as u8;
        if code == PLANE {
            let kind = match byte(part, 1) >> 6 {
                0 => Kind::Intra,
                2 => Kind::Bidirectional,
                // Of sprites, one moves what came before.
                _ => Kind::Forward,
            };
            head.is_packed |= head.kind.is_some();
            head.kind.get_or_insert(kind);
        } else if head.kind.is_none() && code == OBJECT {
            color = object(part).map_err(|error| error.within("MPEG-4 visual object"))?;
        } else if head.kind.is_none() && LAYERS.contains(&code) {
            head.info = Some(layer(part, color)?);
        }
    }
    if head.info.is_some() {
        head.config = before_pictures(unit);
    }
    Ok(head)
}

/// What stands in front of the first picture, or group of them.
fn before_pictures(unit: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(found) = unit.get(at..).and_then(find_start_code) {
        at += found;
        if matches!(unit.get(at + 3), Some(&(PLANE | GROUP_OF_PLANES))) {
            return unit.get(..at).unwrap_or_default();
        }
        at += 3;
    }
    unit
}

/// The colours of a visual object (6.2.2).
fn object(part: &[u8]) -> BitResult<ColorInfo> {
    let mut r = BitReader::new(part);
    r.skip(8)?;
    if r.flag()? {
        r.skip(7)?;
    }
    // A video object with a `video_signal_type`.
    if r.u(4)? != 1 || !r.flag()? {
        return Ok(stated(None, false));
    }
    r.skip(3)?;
    let full = r.flag()?;
    let codes = if r.flag()? { Some([r.u8()?, r.u8()?, r.u8()?]) } else { None };
    Ok(stated(codes, full))
}

/// A video object layer (6.2.3).
fn layer(part: &[u8], color: ColorInfo) -> Result<StreamInfo> {
    const NAME: &str = "MPEG-4 video object layer";
    let found = layer_bits(part).map_err(|error| error.within(NAME))?;
    let Some(Layer { simple, shape, width, height, low_delay, rate, interlaced }) = found else {
        return Err(Error::unsupported("MPEG-4 objects that are no rectangles of 4:2:0"));
    };
    let profile = if simple { "Simple" } else { "Advanced Simple" };
    Ok(StreamInfo {
        color,
        sample_aspect_ratio: shape,
        frame_rate: rate,
        reorder_depth: Some(u32::from(!low_delay)),
        interlaced,
        ..plain(Codec::Mpeg4, Some(&profile), size(width, height)?, Chroma::Yuv420)
    })
}

struct Layer {
    simple: bool,
    shape: Option<Rational>,
    width: u32,
    height: u32,
    low_delay: bool,
    rate: Option<Rational>,
    interlaced: bool,
}

fn layer_bits(part: &[u8]) -> BitResult<Option<Layer>> {
    let mut r = BitReader::new(part);
    // The start code and random_accessible_vol.
    r.skip(8 + 1)?;
    let simple = r.u8()? == 1;
    if r.flag()? {
        r.skip(7)?;
    }
    let shape = match r.u(4)? {
        1 => Some(Rational::ONE),
        2 => Rational::new(12, 11),
        3 => Rational::new(10, 11),
        4 => Rational::new(16, 11),
        5 => Rational::new(40, 33),
        15 => {
            let (across, down) = (r.u8()?, r.u8()?);
            ratio(u64::from(across), u64::from(down))
        }
        _ => None,
    };
    // Without a word of it, the Simple profile alone has no B pictures.
    let mut low_delay = simple;
    if r.flag()? {
        let chroma_format = r.u(2)?;
        low_delay = r.flag()?;
        if r.flag()? {
            // vbv_parameters
            r.skip(79)?;
        }
        if chroma_format != 1 {
            return Ok(None);
        }
    }
    if r.u(2)? != 0 {
        return Ok(None);
    }
    r.skip(1)?;
    let resolution = r.u(16)?;
    r.skip(1)?;
    let rate = if r.flag()? {
        // As many bits as the highest time in a second takes.
        let bits = (u32::BITS - resolution.saturating_sub(1).leading_zeros()).max(1);
        ratio(u64::from(resolution), u64::from(r.u(bits)?))
    } else {
        None
    };
    r.skip(1)?;
    let width = r.u(13)?;
    r.skip(1)?;
    let height = r.u(13)?;
    r.skip(1)?;
    let interlaced = r.flag()?;
    Ok(Some(Layer { simple, shape, width, height, low_delay, rate, interlaced }))
}

fn size(width: u32, height: u32) -> Result<Dimensions> {
    Dimensions::new(width, height).ok_or_else(|| Error::corrupt(format!("pictures of {width}x{height}")))
}

fn ratio(num: u64, den: u64) -> Option<Rational> {
    let side = |value| u32::try_from(value).ok().filter(|value| *value > 0);
    Rational::new(side(num)?, side(den)?)
}

/// Primaries, transfer and matrix.
fn stated(codes: Option<[u8; 3]>, full: bool) -> ColorInfo {
    let range = Some(if full { ColorRange::Full } else { ColorRange::Limited });
    codes.map_or(ColorInfo { range, ..ColorInfo::UNSPECIFIED }, |[primaries, transfer, matrix]| ColorInfo {
        matrix: MatrixCoefficients::from_code(matrix),
        primaries: ColorPrimaries::from_code(primaries),
        transfer: TransferCharacteristics::from_code(transfer),
        range,
    })
}

/// 8 bits; two pictures that others refer to, and the one at hand.
fn plain(codec: Codec, profile: Option<&&str>, dimensions: Dimensions, chroma: Chroma) -> StreamInfo {
    StreamInfo {
        codec,
        profile_name: profile.copied().unwrap_or_default().to_owned(),
        level: String::new(),
        dimensions,
        coded_dimensions: dimensions,
        chroma,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        color: ColorInfo::UNSPECIFIED,
        sample_aspect_ratio: None,
        frame_rate: None,
        reorder_depth: Some(1),
        dpb_frames: 3,
        interlaced: false,
        hdr: HdrMetadata::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence header of 192x160, square samples, 25 frames a second; its extension: Main profile, progressive, 4:2:0.
    const SEQUENCE_2: [u8; 22] =
        [0, 0, 1, 0xb3, 0x0c, 0, 0xa0, 0x13, 0xff, 0xff, 0xe0, 0x18, 0, 0, 1, 0xb5, 0x14, 0x8a, 0, 1, 0, 0];
    /// The headers of a Simple object of 192x160.
    const OBJECT_4: [u8; 12] = [0, 0, 1, 0xb0, 1, 0, 0, 1, 0xb5, 0x89, 0x13, 0];
    const LAYER_4: [u8; 15] = [0, 0, 1, 0x20, 0, 0xc4, 0x8d, 0x88, 0, 0xcd, 0x06, 0x04, 0x14, 0x14, 0x43];

    fn picture_2(kind: u8) -> [u8; 9] {
        [0, 0, 1, 0, 0, kind << 3, 0xff, 0xf8, 0x80]
    }

    #[test]
    fn headers_of_mpeg2_are_read() {
        let display = [0, 0, 1, 0xb5, 0x2b, 5, 1, 6];
        let group = [0, 0, 1, 0xb8, 0, 8, 0, 0x40, 1];
        let unit = [&SEQUENCE_2[..], &display, &group, &picture_2(1), &picture_2(2)].concat();
        let head = Head::of(Codec::Mpeg2, &unit).unwrap();
        let info = head.info.unwrap();
        assert_eq!((head.kind, head.is_closed, head.is_packed), (Some(Kind::Intra), true, false));
        assert_eq!((info.dimensions.to_string(), info.chroma), ("192x160".to_owned(), Chroma::Yuv420));
        assert_eq!((info.profile_name.as_str(), info.interlaced), ("Main", false));
        assert_eq!((info.frame_rate, info.sample_aspect_ratio), (Rational::new(25, 1), Some(Rational::ONE)));
        assert_eq!((info.reorder_depth, info.color.range), (Some(1), Some(ColorRange::Limited)));
        assert_eq!(info.color.primaries, ColorPrimaries::Bt470Bg);
        assert_eq!(info.color.matrix, MatrixCoefficients::Smpte170M);
        // A picture of 16:9, of field pictures, at half the rate again, without reordering; 4:2:2.
        let mut other = SEQUENCE_2;
        (other[7], other[17], other[21]) = (0x33, 0x84, 0xa2);
        let info = Head::of(Codec::Mpeg2, &other).unwrap().info.unwrap();
        assert_eq!(info.sample_aspect_ratio.map(Rational::as_f64), Some(160.0 * 16.0 / (192.0 * 9.0)));
        assert_eq!((info.chroma, info.interlaced, info.reorder_depth), (Chroma::Yuv422, true, Some(0)));
        assert_eq!(info.frame_rate, Rational::new(25 * 2, 3));
        for (kind, wanted) in [(2, Some(Kind::Forward)), (3, Some(Kind::Bidirectional))] {
            assert_eq!(Head::of(Codec::Mpeg2, &picture_2(kind)).unwrap().kind, wanted);
        }
        assert!(Head::of(Codec::Mpeg2, &picture_2(5)).is_err_and(|error| error.is_recoverable()));
        let first = Head::of(Codec::Mpeg2, &SEQUENCE_2[..12]).unwrap_err().to_string();
        assert!(first.contains("MPEG-1"), "{first}");
        assert!(Head::of(Codec::Mpeg2, &[0; 40]).unwrap().kind.is_none());
    }

    #[test]
    fn headers_of_mpeg4_are_read() {
        let plane = |kind: u8| [0, 0, 1, 0xb6, kind << 6 | 1];
        let unit = [&OBJECT_4[..], &LAYER_4, &plane(0)].concat();
        let head = Head::of(Codec::Mpeg4, &unit).unwrap();
        assert_eq!((head.kind, head.is_packed), (Some(Kind::Intra), false));
        assert_eq!(head.config, &unit[..27]);
        let info = head.info.unwrap();
        assert_eq!((info.dimensions.to_string(), info.reorder_depth), ("192x160".to_owned(), Some(0)));
        assert_eq!((info.profile_name.as_str(), info.color.range), ("Simple", Some(ColorRange::Limited)));
        for (kind, wanted) in [(1, Kind::Forward), (2, Kind::Bidirectional), (3, Kind::Forward)] {
            assert_eq!(Head::of(Codec::Mpeg4, &plane(kind)).unwrap().kind, Some(wanted));
        }
        let both = [plane(1), plane(2)].concat();
        assert!(Head::of(Codec::Mpeg4, &both).unwrap().is_packed);
        // Full range and the colours of BT.709.
        let object = [0, 0, 1, 0xb5, 0b0000_1110, 0b1110_0000, 0b0010_0000, 0b0010_0000, 0b0010_0000];
        let unit = [&object[..], &LAYER_4].concat();
        let color = Head::of(Codec::Mpeg4, &unit).unwrap().info.unwrap().color;
        assert_eq!(color, ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 });
        let cut = [&OBJECT_4[..], &LAYER_4[..9]].concat();
        assert!(Head::of(Codec::Mpeg4, &cut).is_err_and(|error| error.is_recoverable()));
    }
}
