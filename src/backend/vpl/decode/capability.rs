//! What a GPU decodes, by `MFXVideoDECODE_Query`.

use super::MAX_INSIDE;
use crate::backend::vpl::driver::abi::names::{
    CHROMAFORMAT_YUV420, CHROMAFORMAT_YUV422, CHROMAFORMAT_YUV444, FOURCC_AYUV, FOURCC_NV12, FOURCC_P010,
    FOURCC_P016, FOURCC_Y210, FOURCC_Y216, FOURCC_Y410, FOURCC_Y416, FOURCC_YUY2, PICSTRUCT_PROGRESSIVE,
    PROFILE_HEVC_MAIN, PROFILE_HEVC_MAIN10, PROFILE_HEVC_REXT, PROFILE_VP9_0, PROFILE_VP9_1, PROFILE_VP9_2,
    PROFILE_VP9_3,
};
use crate::backend::vpl::driver::decoder::Parameters;
use crate::backend::vpl::driver::session::Session;
use crate::backend::vpl::{IMPLEMENTATION, codec_id};
use crate::capability::{DecodeCapability, DecodeVariant};
use crate::codec::Codec;
use crate::config::DecodeOutputMode;
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::{Chroma, PixelFormat};

/// Sides that are asked for, the largest first: chips end at one of these.
const SIDES: [u16; 5] = [16384, 8192, 4096, 2048, 1920];

/// Each kind of stream with the format of its surfaces and of our pictures.
const KINDS: [(Chroma, u8, u32, PixelFormat); 9] = [
    (Chroma::Yuv420, 8, FOURCC_NV12, PixelFormat::Nv12),
    (Chroma::Yuv420, 10, FOURCC_P010, PixelFormat::P010),
    (Chroma::Yuv420, 12, FOURCC_P016, PixelFormat::P016),
    (Chroma::Yuv422, 8, FOURCC_YUY2, PixelFormat::I422),
    (Chroma::Yuv422, 10, FOURCC_Y210, PixelFormat::I210),
    (Chroma::Yuv422, 12, FOURCC_Y216, PixelFormat::I212),
    (Chroma::Yuv444, 8, FOURCC_AYUV, PixelFormat::I444),
    (Chroma::Yuv444, 10, FOURCC_Y410, PixelFormat::I410),
    (Chroma::Yuv444, 12, FOURCC_Y416, PixelFormat::I412),
];

/// The profile of a kind of stream, where the codec has one for it; 0: any.
const fn profile(codec: Codec, chroma: Chroma, depth: u8) -> Option<u16> {
    Some(match (codec, chroma, depth) {
        (Codec::Hevc, Chroma::Yuv420, 8) => PROFILE_HEVC_MAIN,
        (Codec::Hevc, Chroma::Yuv420, 10) => PROFILE_HEVC_MAIN10,
        (Codec::Hevc, ..) => PROFILE_HEVC_REXT,
        (Codec::Vp9, Chroma::Yuv420, 8) => PROFILE_VP9_0,
        (Codec::Vp9, Chroma::Yuv420, _) => PROFILE_VP9_2,
        (Codec::Vp9, Chroma::Yuv444, 8) => PROFILE_VP9_1,
        (Codec::Vp9, Chroma::Yuv444, _) => PROFILE_VP9_3,
        (Codec::Av1, Chroma::Yuv420, 8 | 10)
        | (Codec::H264 | Codec::Mpeg2 | Codec::Mjpeg, Chroma::Yuv420, 8) => 0,
        _ => return None,
    })
}

fn largest(session: &Session, codec: Codec, kind: usize) -> Result<Option<DecodeVariant>> {
    let (chroma, bit_depth, fourcc, format) = KINDS[kind];
    let Some(profile) = profile(codec, chroma, bit_depth) else { return Ok(None) };
    let mut parameters = Parameters::new(codec_id(codec)?, true, 1);
    parameters.set_profile(profile);
    let frame = parameters.frame_mut();
    frame.fourcc = fourcc;
    frame.chroma_format = match chroma {
        Chroma::Yuv422 => CHROMAFORMAT_YUV422,
        Chroma::Yuv444 => CHROMAFORMAT_YUV444,
        _ => CHROMAFORMAT_YUV420,
    };
    frame.pic_struct = PICSTRUCT_PROGRESSIVE;
    (frame.bit_depth_luma, frame.bit_depth_chroma) = (bit_depth.into(), bit_depth.into());
    frame.shift = u16::from(bit_depth > 8 && fourcc != FOURCC_Y410);
    for side in SIDES {
        let frame = parameters.frame_mut();
        (frame.width, frame.height) = (side, side);
        (frame.crop_w, frame.crop_h) = (side, side);
        if parameters.are_taken(session) {
            let square = |side: u16| Dimensions::new(side.into(), side.into());
            let (Some(min), Some(max)) = (square(16), square(side)) else { return Ok(None) };
            return Ok(Some(DecodeVariant {
                chroma,
                bit_depth,
                format: Some(format),
                min,
                max,
                // No other limit is told.
                max_macroblocks: u32::from(side / 16).pow(2),
                engines: 1,
            }));
        }
    }
    Ok(None)
}

/// Refuses a codec of which the GPU decodes nothing.
///
/// # Errors
/// That.
pub(super) fn check(session: &Session, codec: Codec) -> Result<()> {
    let any = (0..KINDS.len()).find_map(|kind| largest(session, codec, kind).transpose());
    any.transpose()?.map(drop).ok_or_else(|| Error::Unsupported {
        feature: format!("{codec} decoding by oneVPL on {}", session.adapter().name),
        remedy: Remedy::OtherBackend,
    })
}

/// What is decoded of a codec; `None`: nothing.
///
/// # Errors
/// No GPU, or none of that name.
pub(crate) fn decode_capability(device: Option<&str>, codec: Codec) -> Result<Option<DecodeCapability>> {
    let session = Session::open(device)?;
    if codec_id(codec).is_err() {
        return Ok(None);
    }
    let mut variants = Vec::new();
    for kind in 0..KINDS.len() {
        variants.extend(largest(&session, codec, kind)?);
    }
    let Some(most) = variants.iter().max_by_key(|variant| variant.max.pixels()) else { return Ok(None) };
    Ok(Some(DecodeCapability {
        implementation: IMPLEMENTATION,
        min: most.min,
        max: most.max,
        engines: 1,
        formats: variants.iter().filter_map(|variant| variant.format).collect(),
        refused: vec!["4:0:0, and what is not among the formats"],
        variants,
        output_modes: DecodeOutputMode::ALL.to_vec(),
        native_on_device: true,
        low_latency: true,
        max_display_delay: MAX_INSIDE,
    }))
}
