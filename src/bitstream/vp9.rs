//! VP9 headers ("6.x" and "B" below are clauses of the VP9 bitstream specification).

use super::bits::{BitReader, BitResult};
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::error::{Error, Result};
use crate::pixel::Chroma;

/// The beginning of `uncompressed_header()` (6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Profile, 0 to 3.
    pub profile: u8,
    /// `show_existing_frame`: no new picture, the one in this reference slot (0 to 7) is shown.
    pub show_existing: Option<u8>,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Whether a picture is shown.
    pub show: bool,
    /// `refresh_frame_flags`: bit n is set when the picture goes into reference slot n.
    pub refresh: u8,
    /// Format, in key frames.
    pub format: Option<KeyFormat>,
}

/// What a key frame says about the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFormat {
    /// Bits per sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma subsampling; `None` is 4:4:0.
    pub chroma: Option<Chroma>,
    /// Matrix (`color_space`) and range.
    pub color: ColorInfo,
    /// Width in samples.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
}

impl FrameHeader {
    /// Reads the beginning of a frame (not of a superframe, see [`frames`]).
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub(crate) fn parse(frame: &[u8]) -> Result<Self> {
        Self::read(&mut BitReader::new(frame)).map_err(|e| e.within("VP9 frame header"))
    }

    fn read(r: &mut BitReader) -> BitResult<Self> {
        let marker = r.u(2)?;
        if marker != 2 {
            return Err(r.out_of_range("frame_marker", i64::from(marker)));
        }
        let low = r.u(1)?;
        let profile = (low | (r.u(1)? << 1)) as u8;
        if profile == 3 && r.flag()? {
            return Err(r.out_of_range("profile", 4));
        }
        if r.flag()? {
            let slot = r.u(3)? as u8;
            return Ok(Self {
                profile,
                show_existing: Some(slot),
                keyframe: false,
                show: true,
                refresh: 0,
                format: None,
            });
        }
        let keyframe = !r.flag()?;
        let show = r.flag()?;
        let error_resilient = r.flag()?;
        if keyframe {
            let format = Some(read_format(r, profile)?);
            return Ok(Self { profile, show_existing: None, keyframe, show, refresh: 0xff, format });
        }
        let intra_only = !show && r.flag()?;
        if !error_resilient {
            r.skip(2)?; // reset_frame_context
        }
        if intra_only {
            read_sync(r)?;
            if profile > 0 {
                read_color(r, profile)?;
            }
        }
        let refresh = r.u(8)? as u8;
        Ok(Self { profile, show_existing: None, keyframe, show, refresh, format: None })
    }
}

fn read_sync(r: &mut BitReader) -> BitResult<()> {
    let sync = r.u(24)?;
    if sync == 0x49_83_42 { Ok(()) } else { Err(r.out_of_range("frame_sync_code", i64::from(sync))) }
}

fn read_format(r: &mut BitReader, profile: u8) -> BitResult<KeyFormat> {
    read_sync(r)?;
    let (bit_depth, chroma, color) = read_color(r, profile)?;
    let width = r.u(16)? + 1;
    let height = r.u(16)? + 1;
    Ok(KeyFormat { bit_depth, chroma, color, width, height })
}

/// `color_config()`.
fn read_color(r: &mut BitReader, profile: u8) -> BitResult<(u8, Option<Chroma>, ColorInfo)> {
    let bit_depth = match profile >= 2 {
        true if r.flag()? => 12,
        true => 10,
        false => 8,
    };
    let color_space = r.u(3)?;
    let mut color = ColorInfo::UNSPECIFIED;
    color.matrix = match color_space {
        1 => MatrixCoefficients::Bt470Bg,
        2 => MatrixCoefficients::Bt709,
        3 => MatrixCoefficients::Smpte170M,
        4 => MatrixCoefficients::Smpte240M,
        5 => MatrixCoefficients::Bt2020Ncl,
        7 => MatrixCoefficients::Identity,
        _ => MatrixCoefficients::Unspecified,
    };
    let full;
    let chroma;
    if color_space == 7 {
        full = true;
        chroma = Some(Chroma::Yuv444);
        if profile & 1 == 1 {
            r.skip(1)?;
        }
    } else {
        full = r.flag()?;
        chroma = if profile & 1 == 1 {
            let subsampling = (r.flag()?, r.flag()?);
            r.skip(1)?;
            match subsampling {
                (true, true) => Some(Chroma::Yuv420),
                (true, false) => Some(Chroma::Yuv422),
                (false, true) => None,
                (false, false) => Some(Chroma::Yuv444),
            }
        } else {
            Some(Chroma::Yuv420)
        };
    }
    color.range = Some(if full { ColorRange::Full } else { ColorRange::Limited });
    Ok((bit_depth, chroma, color))
}

/// The frames of a chunk: those of a superframe (annex B), without its index, or the chunk itself. At most
/// eight. An index whose sizes exceed the chunk is not one.
pub(crate) fn frames(chunk: &[u8]) -> Vec<&[u8]> {
    split(chunk).unwrap_or_else(|_| vec![chunk])
}

/// As [`frames`], but an index that promises more than the chunk holds is an error: decoders differ in what
/// they make of it.
///
/// # Errors
/// [`Error::CorruptStream`].
pub(crate) fn split(chunk: &[u8]) -> Result<Vec<&[u8]>> {
    let Some((mut rest, sizes)) = superframe_index(chunk) else { return Ok(vec![chunk]) };
    let mut frames = Vec::new();
    for size in sizes {
        let Some((frame, behind)) = rest.split_at_checked(size) else {
            return Err(Error::corrupt(format!(
                "VP9 superframe index: a frame of {size} bytes where {} are left",
                rest.len()
            )));
        };
        if !frame.is_empty() {
            frames.push(frame);
        }
        rest = behind;
    }
    Ok(frames)
}

/// What precedes the index of a superframe, and the sizes that the index states; `None` without an index.
fn superframe_index(chunk: &[u8]) -> Option<(&[u8], impl Iterator<Item = usize>)> {
    let marker = *chunk.last()?;
    if marker & 0xe0 != 0xc0 {
        return None;
    }
    let count = usize::from(marker & 7) + 1;
    let size_bytes = usize::from((marker >> 3) & 3) + 1;
    let (frames, index) = chunk.split_at_checked(chunk.len().checked_sub(2 + count * size_bytes)?)?;
    let (&first, sizes) = index.split_first()?;
    let size = |field: &[u8]| field.iter().rev().fold(0, |acc, &b| (acc << 8) | usize::from(b));
    (first == marker).then(|| (frames, sizes.chunks_exact(size_bytes).take(count).map(size)))
}

/// Most bytes of the index of a superframe: eight sizes of four bytes between two markers.
pub(crate) const LONGEST_INDEX: usize = 2 + 8 * 4;

/// The sizes of the frames of a chunk of `len` bytes that ends with `tail`, as far as [`frames`] believes them; `None`: it is one
/// frame.
pub(crate) fn frame_sizes(tail: &[u8], len: u64) -> Option<Vec<u64>> {
    let (before, sizes) = superframe_index(tail)?;
    let sizes: Vec<u64> = sizes.map(|size| size as u64).collect();
    let room = len - (tail.len() - before.len()) as u64;
    (sizes.iter().sum::<u64>() <= room).then_some(sizes)
}

/// `VPCodecConfigurationRecord` of VP8 and VP9 in MP4, the payload of the `vpcC` box. The box is a full
/// box: the payload begins with its version (1) and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VpConfig {
    /// Profile.
    pub profile: u8,
    /// Ten times the level, 0 when not stated.
    pub level: u8,
    /// Bits per sample.
    pub bit_depth: u8,
    /// `chromaSubsampling`: 0 and 1 are 4:2:0 with vertical and collocated siting, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_subsampling: u8,
    /// Colour.
    pub color: ColorInfo,
}

impl VpConfig {
    /// Reads the payload of a `vpcC` box, version and flags included.
    ///
    /// # Errors
    /// [`Error::CorruptStream`].
    pub fn parse(data: &[u8]) -> Result<Self> {
        let Some((&[version, _, _, _, profile, level, format, primaries, transfer, matrix], _)) =
            data.split_first_chunk()
        else {
            return Err(Error::corrupt_fatal(format!("vpcC: {} bytes are less than 12", data.len())));
        };
        if version != 1 {
            return Err(Error::corrupt_fatal(format!("vpcC: version is {version}, not 1")));
        }
        Ok(Self {
            profile,
            level,
            bit_depth: format >> 4,
            chroma_subsampling: (format >> 1) & 7,
            color: ColorInfo {
                matrix: MatrixCoefficients::from_code(matrix),
                primaries: ColorPrimaries::from_code(primaries),
                transfer: TransferCharacteristics::from_code(transfer),
                range: Some(if format & 1 == 1 { ColorRange::Full } else { ColorRange::Limited }),
            },
        })
    }

    /// The record for a VP9 stream that begins with this chunk.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when it does not begin with a key frame, [`Error::Unsupported`] for 4:4:0.
    pub fn from_vp9_chunk(chunk: &[u8]) -> Result<Self> {
        let first = frames(chunk).first().copied().unwrap_or(&[]);
        let header = FrameHeader::parse(first)?;
        let format = header.format.ok_or_else(|| Error::invalid("vpcC needs a VP9 key frame first"))?;
        let chroma_subsampling = match format.chroma {
            Some(Chroma::Yuv420 | Chroma::Monochrome) => 1,
            Some(Chroma::Yuv422) => 2,
            Some(Chroma::Yuv444) => 3,
            None => return Err(Error::unsupported("VP9 4:4:0 in MP4")),
        };
        Ok(Self {
            profile: header.profile,
            level: 0,
            bit_depth: format.bit_depth,
            chroma_subsampling,
            color: format.color,
        })
    }

    /// The payload of a `vpcC` box, version and flags included.
    pub fn build(&self) -> Vec<u8> {
        let full = u8::from(self.color.range == Some(ColorRange::Full));
        let format = (self.bit_depth << 4) | ((self.chroma_subsampling & 7) << 1) | full;
        let color = &self.color;
        let (primaries, transfer) = (color.primaries.code(), color.transfer.code());
        vec![1, 0, 0, 0, self.profile, self.level, format, primaries, transfer, color.matrix.code(), 0, 0]
    }

    /// Chroma subsampling; `None` for reserved values.
    pub const fn chroma(&self) -> Option<Chroma> {
        match self.chroma_subsampling {
            0 | 1 => Some(Chroma::Yuv420),
            2 => Some(Chroma::Yuv422),
            3 => Some(Chroma::Yuv444),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superframes_are_split_and_broken_indexes_ignored() {
        let chunk = [1, 2, 3, 4, 5, 0xc1, 2, 3, 0xc1];
        assert_eq!(frames(&chunk), [&[1, 2][..], &[3, 4, 5]]);
        let too_long = [1, 2, 3, 0xc1, 2, 9, 0xc1];
        assert_eq!(frames(&too_long), [&too_long[..]]);
        let error = split(&too_long).unwrap_err().to_string();
        assert!(error.contains("a frame of 9 bytes where 1 are left"), "{error}");
        // The frames end in front of the index and not with the chunk.
        assert!(split(&[1, 2, 3, 0xc1, 2, 3, 0xc1]).is_err());
        assert_eq!(frames(&[0xc7]), [&[0xc7][..]]);
        assert_eq!(frames(&[]), [&[] as &[u8]]);
    }

    #[test]
    fn config_round_trip() {
        let color = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
        let config = VpConfig { profile: 2, level: 41, bit_depth: 10, chroma_subsampling: 1, color };
        assert_eq!(config.build().len(), 12);
        assert_eq!(VpConfig::parse(&config.build()).unwrap(), config);
        assert!(VpConfig::parse(&config.build()[..9]).is_err());
    }
}
