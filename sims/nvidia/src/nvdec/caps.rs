//! What the decode engines can do: the table of the configuration as `cuvidGetDecoderCaps` answers it.

use super::abi::{CUVIDDECODECAPS, chroma_format, codec, surface_format};
use super::rules;
use crate::codec::decoder::DecoderCodec;
use crate::core::config::DecoderCaps;
use crate::core::{Call, config};
use crate::cuda::abi::CuResult;
use crate::cuda::driver;
use crate::policy;

/// Bins of the luma histogram, each a counter of 32 bits.
pub(super) const HISTOGRAM_BINS: usize = 256;

/// A codec of the API as the software decoder and the configuration name it.
pub(super) fn codec_of(codec: u32) -> Option<(DecoderCodec, &'static str)> {
    Some(match codec {
        codec::MPEG1 => (DecoderCodec::Mpeg1, "mpeg1"),
        codec::MPEG2 => (DecoderCodec::Mpeg2, "mpeg2"),
        codec::MPEG4 => (DecoderCodec::Mpeg4, "mpeg4"),
        codec::VC1 => (DecoderCodec::Vc1, "vc1"),
        codec::H264 => (DecoderCodec::H264, "h264"),
        codec::JPEG => (DecoderCodec::Jpeg, "jpeg"),
        codec::HEVC => (DecoderCodec::Hevc, "hevc"),
        codec::VP8 => (DecoderCodec::Vp8, "vp8"),
        codec::VP9 => (DecoderCodec::Vp9, "vp9"),
        codec::AV1 => (DecoderCodec::Av1, "av1"),
        _ => return None,
    })
}

/// A chroma format of the API as a number like 420.
pub(super) fn chroma_of(format: u32) -> Option<u32> {
    Some(match format {
        chroma_format::MONOCHROME => 400,
        chroma_format::YUV420 => 420,
        chroma_format::YUV422 => 422,
        chroma_format::YUV444 => 444,
        _ => return None,
    })
}

/// The row of a device's table that covers a codec, a chroma format and a bit depth.
pub(super) fn row(device: usize, codec: u32, chroma: u32, depth: u32) -> Option<&'static DecoderCaps> {
    let device = config().device.get(device)?;
    let (_, name) = codec_of(codec)?;
    let chroma = chroma_of(chroma)?;
    let covers =
        |row: &&DecoderCaps| row.codec == name && row.chroma.contains(&chroma) && row.depth.contains(&depth);
    (device.nvdec_engines > 0).then(|| device.nvdec.iter().find(covers)).flatten()
}

/// Bit mask of the output formats. JPEG is always made NV12; 4:4:4 keeps its depth; 4:2:0 of more than 8 bits can have
/// either. (4:2:2 is taken to be as 4:2:0: the card asked has none.)
pub(super) fn output_mask(codec: u32, chroma: u32, depth: u32) -> u16 {
    let deep = depth > 8;
    match chroma {
        _ if codec == codec::JPEG => 1 << surface_format::NV12,
        chroma_format::YUV444 if deep => 1 << surface_format::YUV444_16BIT,
        chroma_format::YUV444 => 1 << surface_format::YUV444,
        chroma_format::YUV422 => 1 << surface_format::NV16 | u16::from(deep) << surface_format::P216,
        _ => 1 << surface_format::NV12 | u16::from(deep) << surface_format::P016,
    }
}

/// The code that refuses an output format which [`output_mask`] does not offer: one of the wrong depth is an invalid
/// value, any other is not supported.
pub(super) fn output_refusal(codec: u32, chroma: u32, format: u32) -> CuResult {
    let of_depth = |depth| output_mask(codec, chroma, depth);
    let known = (of_depth(8) | of_depth(16)).checked_shr(format).is_some_and(|mask| mask & 1 != 0);
    CuResult(if known { policy::NVDEC_OUTPUT_DEPTH } else { policy::NVDEC_NOT_OFFERED })
}

/// Largest number of macroblocks of a row.
pub(super) fn max_macroblocks(row: &DecoderCaps) -> u32 {
    match row.max_macroblocks {
        0 => row.max[0].div_ceil(16).saturating_mul(row.max[1].div_ceil(16)),
        count => count,
    }
}

/// Answers the capabilities of the current device. What is not supported is answered as all zero, and is no error.
pub(super) fn get(call: &Call, caps: &mut CUVIDDECODECAPS) -> Result<(), CuResult> {
    let Some(context) = driver::current_context() else {
        call.breach(&rules::CONTEXT, "no context is current to this thread");
        return Err(CuResult::ERROR_INVALID_CONTEXT);
    };
    let device = driver::device_of(context);
    let depth = caps.nBitDepthMinus8.saturating_add(8);
    caps.bIsSupported = 0;
    caps.nNumNVDECs = 0;
    caps.nOutputFormatMask = 0;
    caps.nMaxWidth = 0;
    caps.nMaxHeight = 0;
    caps.nMaxMBCount = 0;
    caps.nMinWidth = 0;
    caps.nMinHeight = 0;
    caps.bIsHistogramSupported = 0;
    caps.nCounterBitDepth = 0;
    caps.nMaxHistogramBins = 0;
    let Some(row) = row(device, caps.eCodecType, caps.eChromaFormat, depth) else { return Ok(()) };
    let engines = match row.engines {
        0 => config().device.get(device).map_or(0, |device| device.nvdec_engines),
        engines => engines,
    };
    caps.bIsSupported = 1;
    caps.nNumNVDECs = engines.min(255) as u8;
    caps.nOutputFormatMask = output_mask(caps.eCodecType, caps.eChromaFormat, depth);
    caps.nMaxWidth = row.max[0];
    caps.nMaxHeight = row.max[1];
    caps.nMaxMBCount = max_macroblocks(row);
    caps.nMinWidth = row.min[0].min(u32::from(u16::MAX)) as u16;
    caps.nMinHeight = row.min[1].min(u32::from(u16::MAX)) as u16;
    if row.histogram {
        caps.bIsHistogramSupported = 1;
        caps.nCounterBitDepth = 32;
        caps.nMaxHistogramBins = HISTOGRAM_BINS as u16;
    }
    Ok(())
}
