//! What a stream says of itself before it is decoded: the headers that `DecodeHeader` looks for.

use super::bitstream::units;
use crate::abi::{
    self, CODEC_AV1, CODEC_AVC, CODEC_HEVC, CODEC_JPEG, CODEC_MPEG2, CODEC_VP9, FOURCC_NV12, FOURCC_P010,
    mfxFrameInfo, mfxInfoMFX,
};
use crate::codec::parameter_sets::{self, Syntax};

/// A sequence as decoders are made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "names of syntax elements")]
pub struct Header {
    pub coded: (u32, u32),
    pub crop: (u32, u32),
    pub shown: (u32, u32),
    pub chroma: u32,
    pub depth: u32,
    pub profile: u32,
    pub level: u32,
    pub rate: Option<(u32, u32)>,
    pub aspect: Option<(u32, u32)>,
    pub fields: bool,
}

impl Header {
    fn plain(width: u32, height: u32, depth: u32, chroma: u32, profile: u32) -> Self {
        let size = (width, height);
        Self { coded: size, shown: size, chroma, depth, profile, ..Self::default() }
    }

    /// The format of surfaces; 0 for what no surface holds.
    pub fn fourcc(&self) -> u32 {
        match (self.chroma, self.depth) {
            (400 | 420, 8) => FOURCC_NV12,
            (400 | 420, 10) => FOURCC_P010,
            (400 | 420, 12) => abi::FOURCC_P016,
            (422, 8) => abi::FOURCC_YUY2,
            (422, 10) => abi::FOURCC_Y210,
            (422, 12) => abi::FOURCC_Y216,
            (444, 8) => abi::FOURCC_AYUV,
            (444, 10) => abi::FOURCC_Y410,
            (444, 12) => abi::FOURCC_Y416,
            _ => 0,
        }
    }

    /// Size of surfaces.
    pub fn aligned(&self) -> (u32, u32) {
        let rows = if self.fields { 32 } else { 16 };
        (self.coded.0.div_ceil(16) * 16, self.coded.1.div_ceil(rows) * rows)
    }

    /// Fills in parameters; what the stream does not say stays.
    pub fn tell(&self, mfx: &mut mfxInfoMFX) {
        (mfx.CodecProfile, mfx.CodecLevel) = (self.profile as u16, self.level as u16);
        self.tell_frame(&mut mfx.FrameInfo);
    }

    /// The frame's part.
    pub fn tell_frame(&self, info: &mut mfxFrameInfo) {
        let (width, height) = self.aligned();
        info.FourCC = self.fourcc();
        info.ChromaFormat = match self.chroma {
            400 => abi::CHROMAFORMAT_YUV400,
            422 => abi::CHROMAFORMAT_YUV422,
            444 => abi::CHROMAFORMAT_YUV444,
            _ => abi::CHROMAFORMAT_YUV420,
        };
        if self.chroma == 400 {
            // Grey streams come out with chroma.
            info.ChromaFormat = abi::CHROMAFORMAT_YUV420;
        }
        (info.BitDepthLuma, info.BitDepthChroma) = (self.depth as u16, self.depth as u16);
        // Y410 alone packs its bits.
        info.Shift = u16::from(self.depth > 8 && info.FourCC != abi::FOURCC_Y410);
        (info.Width, info.Height) = (width as u16, height as u16);
        (info.CropX, info.CropY) = (self.crop.0 as u16, self.crop.1 as u16);
        (info.CropW, info.CropH) = (self.shown.0 as u16, self.shown.1 as u16);
        info.PicStruct = if self.fields { 0 } else { abi::PICSTRUCT_PROGRESSIVE };
        if let Some((frames, seconds)) = self.rate {
            (info.FrameRateExtN, info.FrameRateExtD) = (frames, seconds);
        } else if info.FrameRateExtN == 0 || info.FrameRateExtD == 0 {
            (info.FrameRateExtN, info.FrameRateExtD) = (30, 1);
        }
        let (width, height) = self.aspect.unwrap_or((1, 1));
        (info.AspectRatioW, info.AspectRatioH) = (width.min(65535) as u16, height.min(65535) as u16);
    }
}

/// The first header in the data, and where its unit begins. `whole` says that no more comes.
pub fn find(codec: u32, data: &[u8], whole: bool) -> Option<(usize, Header)> {
    let header = match codec {
        CODEC_AVC => return nal(Syntax::H264, data, whole),
        CODEC_HEVC => return nal(Syntax::Hevc, data, whole),
        CODEC_MPEG2 => return mpeg2(data, whole),
        CODEC_VP9 => vp9(data),
        CODEC_AV1 => av1(data),
        CODEC_JPEG => return jpeg(data),
        _ => None,
    };
    header.map(|header| (0, header))
}

fn nal(syntax: Syntax, data: &[u8], whole: bool) -> Option<(usize, Header)> {
    let all = units(data);
    let mut first = None;
    for (number, &(start, unit)) in all.iter().enumerate() {
        let kind = syntax.kind(unit);
        let leads = if syntax == Syntax::H264 { matches!(kind, 9) } else { matches!(kind, 32 | 35) };
        if leads {
            first = first.or(Some(start));
        } else if syntax.is_sps(unit) {
            if number + 1 == all.len() && !whole {
                return None;
            }
            let Some(found) = parameter_sets::sequence(syntax, unit) else { continue };
            let chroma = [400, 420, 422, 444][found.chroma.min(3) as usize];
            let header = Header {
                coded: found.coded,
                crop: found.crop,
                shown: (found.width, found.height),
                chroma,
                depth: found.depth,
                profile: found.profile,
                level: if syntax == Syntax::Hevc { found.level / 3 } else { found.level },
                rate: found.rate,
                aspect: found.aspect,
                fields: found.fields,
            };
            return Some((first.unwrap_or(start), header));
        } else {
            first = None;
        }
    }
    None
}

/// Bits from the top.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn u(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

fn mpeg2(data: &[u8], whole: bool) -> Option<(usize, Header)> {
    const RATES: [(u32, u32); 9] =
        [(0, 0), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1)];
    let all = units(data);
    let at = all.iter().position(|(_, unit)| unit.first() == Some(&0xb3))?;
    if at + 2 >= all.len() && !whole {
        return None;
    }
    let (start, unit) = all[at];
    let mut bits = Bits { bytes: unit.get(1..)?, at: 0 };
    let (mut width, mut height, aspect, rate) = (bits.u(12)?, bits.u(12)?, bits.u(4)?, bits.u(4)?);
    let mut header = Header::plain(width, height, 8, 420, abi::PROFILE_MPEG2_MAIN.into());
    header.rate = RATES.get(rate as usize).copied().filter(|rate| rate.0 > 0);
    if let Some((_, extension)) = all.get(at + 1).filter(|(_, unit)| unit.first() == Some(&0xb5)) {
        let mut bits = Bits { bytes: extension.get(1..)?, at: 0 };
        if bits.u(4)? == 1 {
            bits.u(1)?;
            header.profile = bits.u(3)? << 4;
            header.level = bits.u(4)?;
            header.fields = bits.u(1)? == 0;
            header.chroma = [420, 420, 422, 444][bits.u(2)? as usize];
            width |= bits.u(2)? << 12;
            height |= bits.u(2)? << 12;
        }
    }
    (header.coded, header.shown) = ((width, height), (width, height));
    // The shape of the whole picture.
    header.aspect = match aspect {
        2 => Some((4 * height, 3 * width)),
        3 => Some((16 * height, 9 * width)),
        _ => None,
    };
    Some((start, header))
}

fn vp9(data: &[u8]) -> Option<Header> {
    let mut bits = Bits { bytes: data, at: 0 };
    if bits.u(2)? != 2 {
        return None;
    }
    let profile = bits.u(1)? | bits.u(1)? << 1;
    if profile == 3 {
        bits.u(1)?;
    }
    if bits.u(1)? == 1 || bits.u(1)? == 1 {
        return None;
    }
    bits.u(2)?;
    if bits.u(24)? != 0x0049_8342 {
        return None;
    }
    let depth = if profile >= 2 { 10 + 2 * bits.u(1)? } else { 8 };
    let space = bits.u(3)?;
    let mut chroma = 420;
    if space == 7 {
        chroma = 444;
        bits.u(if profile & 1 == 1 { 1 } else { 0 })?;
    } else {
        bits.u(1)?;
        if profile & 1 == 1 {
            chroma = if bits.u(1)? == 1 { 440 } else { 444 };
            chroma = if bits.u(1)? == 1 && chroma == 440 { 420 } else { chroma };
            bits.u(1)?;
        }
    }
    let (width, height) = (bits.u(16)? + 1, bits.u(16)? + 1);
    Some(Header::plain(width, height, depth, chroma, profile + 1))
}

/// The bytes of the first sequence header OBU.
fn av1(data: &[u8]) -> Option<Header> {
    let mut rest = data;
    loop {
        let (&head, mut after) = rest.split_first()?;
        if head & 4 != 0 {
            after = after.get(1..)?;
        }
        let mut size = after.len();
        if head & 2 != 0 {
            size = 0;
            for shift in 0..8 {
                let (&byte, more) = after.split_first()?;
                size |= usize::from(byte & 0x7f) << (7 * shift);
                after = more;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let (body, next) = after.split_at_checked(size)?;
        if head >> 3 & 15 == 1 {
            return av1_sequence(&mut Bits { bytes: body, at: 0 });
        }
        rest = next;
    }
}

fn av1_sequence(bits: &mut Bits) -> Option<Header> {
    let profile = bits.u(3)?;
    bits.u(1)?;
    let reduced = bits.u(1)? == 1;
    let mut level = 0;
    if reduced {
        level = bits.u(5)?;
    } else {
        let mut model_bits = None;
        if bits.u(1)? == 1 {
            bits.u(32)?;
            bits.u(32)?;
            if bits.u(1)? == 1 {
                let mut zeros = 0;
                while bits.u(1)? == 0 && zeros < 32 {
                    zeros += 1;
                }
                bits.u(zeros)?;
            }
            if bits.u(1)? == 1 {
                model_bits = Some(bits.u(5)? + 1);
                bits.u(32)?;
                bits.u(10)?;
            }
        }
        let delays = bits.u(1)? == 1;
        for point in 0..=bits.u(5)? {
            bits.u(12)?;
            let this = bits.u(5)?;
            if point == 0 {
                level = this;
            }
            if this > 7 {
                bits.u(1)?;
            }
            if let Some(model_bits) = model_bits
                && bits.u(1)? == 1
            {
                bits.u(model_bits)?;
                bits.u(model_bits)?;
                bits.u(1)?;
            }
            if delays && bits.u(1)? == 1 {
                bits.u(4)?;
            }
        }
    }
    let (wide, high) = (bits.u(4)? + 1, bits.u(4)? + 1);
    let (width, height) = (bits.u(wide)? + 1, bits.u(high)? + 1);
    if !reduced && bits.u(1)? == 1 {
        bits.u(7)?;
    }
    bits.u(3)?;
    if !reduced {
        bits.u(4)?;
        let hints = bits.u(1)? == 1;
        if hints {
            bits.u(2)?;
        }
        let screen = if bits.u(1)? == 1 { 2 } else { bits.u(1)? };
        if screen > 0 && bits.u(1)? == 0 {
            bits.u(1)?;
        }
        if hints {
            bits.u(3)?;
        }
    }
    bits.u(3)?;
    let high_depth = bits.u(1)? == 1;
    let depth = match (profile, high_depth) {
        (2, true) => 10 + 2 * bits.u(1)?,
        (_, true) => 10,
        _ => 8,
    };
    let grey = profile != 1 && bits.u(1)? == 1;
    let chroma = match profile {
        _ if grey => 400,
        0 => 420,
        1 => 444,
        _ => 422,
    };
    // Levels count from 2.0 in quarters.
    let level = (level / 4 + 2) * 10 + level % 4;
    Some(Header { level, ..Header::plain(width, height, depth, chroma, profile + 1) })
}

fn jpeg(data: &[u8]) -> Option<(usize, Header)> {
    let start = data.windows(2).position(|pair| pair == [0xff, 0xd8])?;
    let mut at = start + 2;
    loop {
        let (marker, size) = (data.get(at..at + 2)?, data.get(at + 2..at + 4)?);
        if marker[0] != 0xff {
            return None;
        }
        if matches!(marker[1], 0xc0..=0xc2) {
            let frame = data.get(at + 4..at + 10)?;
            let half = |at: usize| u32::from(frame[at]) << 8 | u32::from(frame[at + 1]);
            let sampling = data.get(at + 11).copied().unwrap_or(0x11);
            let chroma = match (frame[5], sampling) {
                (1, _) => 400,
                (_, 0x22) => 420,
                (_, 0x21) => 422,
                _ => 444,
            };
            let header =
                Header::plain(half(3), half(1), frame[0].into(), chroma, abi::PROFILE_JPEG_BASELINE.into());
            return Some((start, header));
        }
        at += 2 + (usize::from(size[0]) << 8 | usize::from(size[1]));
    }
}
