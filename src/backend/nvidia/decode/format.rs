//! NVDEC's words for codecs, formats and colour, and ours.

use crate::backend::nvidia::driver::cuvid_abi::{DecodeCaps, VideoFormat, codec, surface};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::{Chroma, PixelFormat};
use crate::time::Rational;

/// `cudaVideoCodec` of a codec.
pub(super) const fn codec_id(codec: Codec) -> u32 {
    match codec {
        Codec::H264 => codec::H264,
        Codec::Hevc => codec::HEVC,
        Codec::Av1 => codec::AV1,
        Codec::Vp9 => codec::VP9,
        Codec::Vp8 => codec::VP8,
        Codec::Mpeg2 => codec::MPEG2,
        Codec::Mpeg4 => codec::MPEG4,
        Codec::Vc1 => codec::VC1,
        Codec::Mjpeg => codec::JPEG,
    }
}

/// `cudaVideoChromaFormat`.
pub(super) const fn chroma_id(chroma: Chroma) -> u32 {
    match chroma {
        Chroma::Monochrome => 0,
        Chroma::Yuv420 => 1,
        Chroma::Yuv422 => 2,
        Chroma::Yuv444 => 3,
    }
}

/// How pictures leave the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// `cudaVideoSurfaceFormat`.
    pub(super) surface: u32,
    /// Format of our frames.
    pub(super) format: PixelFormat,
    /// The driver puts samples into the high bits; ours of this format are in the low bits, so shift by this.
    pub(super) shift: u32,
}

/// How pictures of this format leave the decoder.
///
/// # Errors
/// A format that the decoder gives out in no way that frames can be.
pub(super) fn output_of(format: &VideoFormat, caps: &DecodeCaps) -> Result<Output> {
    let depth = 8 + u32::from(format.luma_depth_minus8);
    output_in(format.codec, format.chroma, depth, caps.output_mask).ok_or_else(|| Error::Unsupported {
        feature: format!("NVDEC output of chroma format {} with {depth} bits", format.chroma),
        remedy: Remedy::OtherBackend,
    })
}

/// The output for a codec, chroma format and depth, among the surface formats that the decoder offers.
pub(super) fn output_in(codec: u32, chroma: u32, depth: u32, offered: u16) -> Option<Output> {
    let output = |surface, format, shift| Output { surface, format, shift };
    let found = match (chroma, depth) {
        // The decoder of JPEG pictures brings each of them to 4:2:0.
        (_, 8) if codec == codec::JPEG => output(surface::NV12, PixelFormat::Nv12, 0),
        // Luma alone comes with grey chroma.
        (0 | 1, 8) => output(surface::NV12, PixelFormat::Nv12, 0),
        (0 | 1, 10) => output(surface::P016, PixelFormat::P010, 0),
        (0 | 1, 12) => output(surface::P016, PixelFormat::P016, 0),
        (3, 8) => output(surface::YUV444, PixelFormat::I444, 0),
        (3, 10) => output(surface::YUV444_16, PixelFormat::I410, 6),
        (3, 12) => output(surface::YUV444_16, PixelFormat::I412, 4),
        // 4:2:2 comes in two planes, for which there is no pixel format yet.
        _ => return None,
    };
    (offered & (1 << found.surface) != 0).then_some(found)
}

/// The coded size as a decoder is made for. That of VP9 may be odd, while decoders read an even number of samples.
pub(super) fn coded_size(format: &VideoFormat) -> (u32, u32) {
    (format.coded_width.next_multiple_of(2), format.coded_height.next_multiple_of(2))
}

/// The picture inside the coded size, as (left, top, size).
pub(super) fn display_area(format: &VideoFormat) -> Result<(u32, u32, Dimensions)> {
    let [left, top, right, bottom] = format.display_area.map(|edge| u32::try_from(edge).unwrap_or(0));
    right
        .checked_sub(left)
        .zip(bottom.checked_sub(top))
        .and_then(|(width, height)| Dimensions::new(width, height))
        .filter(|_| right <= format.coded_width && bottom <= format.coded_height)
        .map(|size| (left, top, size))
        .ok_or_else(|| {
            Error::corrupt_fatal(format!(
                "the picture area {left},{top} to {right},{bottom} is not inside {}x{}",
                format.coded_width, format.coded_height
            ))
        })
}

/// Colour as the sequence header states it.
pub(super) fn color_of(format: &VideoFormat) -> ColorInfo {
    if format.codec == codec::JPEG {
        // JFIF: the matrix of BT.601, full range. The parser looks for neither.
        return ColorInfo {
            matrix: MatrixCoefficients::Bt470Bg,
            range: Some(ColorRange::Full),
            ..ColorInfo::UNSPECIFIED
        };
    }
    ColorInfo {
        matrix: MatrixCoefficients::from_code(format.matrix),
        primaries: ColorPrimaries::from_code(format.primaries),
        transfer: TransferCharacteristics::from_code(format.transfer),
        // Without a colour description the flag may be a default; only a set one says something.
        range: (format.signal & 8 != 0).then_some(ColorRange::Full),
    }
}

/// Frame rate, where stated.
pub(super) fn rate_of(format: &VideoFormat) -> Option<Rational> {
    Rational::new(format.rate_num, format.rate_den)
}
