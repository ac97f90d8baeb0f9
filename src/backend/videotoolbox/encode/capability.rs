//! What VideoToolbox encodes here, as far as it tells: it names the properties of an encoder, and no sizes.

use super::settings::{
    H264_FORMATS, HEVC_FORMATS, MAX_B_FRAMES, MAX_GOP, MAX_QUALITY, MAX_SIDE, MIN_SIDE, own,
};
use super::{IMPLEMENTATION, has_quality};
use crate::backend::videotoolbox::codec_type;
use crate::backend::videotoolbox::driver::abi::pixel_format;
use crate::backend::videotoolbox::driver::compression::{Wanted, properties_of};
use crate::backend::videotoolbox::driver::library::api;
use crate::capability::{EncodeCapability, InPlaceChanges};
use crate::codec::Codec;
use crate::config::BackendEncodeConfig;
use crate::dimensions::Dimensions;
use crate::error::Result;

/// What is encoded of a codec; `None`: nothing. An encoder is asked about pictures of 1280x720, which each takes.
///
/// # Errors
/// No VideoToolbox; settings of another backend.
pub(in crate::backend::videotoolbox) fn encode_capability(
    codec: Codec,
    special: &BackendEncodeConfig,
) -> Result<Option<EncodeCapability>> {
    api()?;
    if !matches!(codec, Codec::H264 | Codec::Hevc) {
        return Ok(None);
    }
    let wanted = Wanted {
        codec_type: codec_type(codec)?,
        width: 1280,
        height: 720,
        pixel_format: pixel_format::NV12_VIDEO,
        hardware_alone: !own(special, codec)?.allow_cpu,
        low_latency_rate: false,
    };
    let Some(properties) = properties_of(&wanted)? else { return Ok(None) };
    let (Some(min), Some(max)) = (Dimensions::new(MIN_SIDE, MIN_SIDE), Dimensions::new(MAX_SIDE, MAX_SIDE))
    else {
        return Ok(None);
    };
    let mut formats = if codec == Codec::H264 { H264_FORMATS.to_vec() } else { HEVC_FORMATS.to_vec() };
    if !properties.takes("kVTCompressionPropertyKey_ProfileLevel", "kVTProfileLevel_HEVC_Main10_AutoLevel") {
        formats.retain(|format| format.bit_depth() == 8);
    }
    let reorders = properties.has("kVTCompressionPropertyKey_AllowFrameReordering");
    Ok(Some(EncodeCapability {
        implementation: IMPLEMENTATION,
        min,
        max,
        alignment: 2,
        formats,
        max_b_frames: if reorders { MAX_B_FRAMES } else { 0 },
        cbr: properties.has("kVTCompressionPropertyKey_ConstantBitRate"),
        vbr: properties.has("kVTCompressionPropertyKey_AverageBitRate"),
        const_qp: false,
        qp_range: (0, 0),
        quality_range: has_quality(&properties).then_some((1, MAX_QUALITY)),
        gop_range: (1, MAX_GOP),
        force_idr: true,
        low_latency: true,
        in_place: InPlaceChanges {
            bitrate: true,
            frame_rate: properties.has("kVTCompressionPropertyKey_ExpectedFrameRate"),
            ..InPlaceChanges::default()
        },
    }))
}
