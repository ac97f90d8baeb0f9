//! What VideoToolbox decodes here, as far as it tells: it names codecs, and neither sizes nor profiles.

use super::{IMPLEMENTATION, MAX_INSIDE, is_known};
use crate::backend::videotoolbox::codec_type;
use crate::backend::videotoolbox::driver::decompression::has_hardware;
use crate::backend::videotoolbox::driver::library::api;
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::config::DecodeOutputMode;
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;

/// Larger pictures are in no level of these codecs that hardware is made for. A session that does not take a size says so
/// when it is opened.
const MAX_SIDE: u32 = 8192;
const REFUSED: &str = "4:0:0, 4:2:2, 4:4:4, and more than 10 bits";
/// A machine that does not decode these tells it when a session is opened.
const REFUSED_HEVC: &str = "4:0:0, and more than 10 bits";

const HEVC_FORMATS: [PixelFormat; 6] = [
    PixelFormat::Nv12,
    PixelFormat::P010,
    PixelFormat::I422,
    PixelFormat::I210,
    PixelFormat::I444,
    PixelFormat::I410,
];

/// Whether there is a decoder: H.264 and HEVC have one on every Mac, the others where there is hardware.
fn has_decoder(codec: Codec) -> Result<bool> {
    api()?;
    Ok(match codec {
        Codec::H264 | Codec::Hevc => true,
        _ if !is_known(codec) => false,
        _ => has_hardware(codec_type(codec)?, codec == Codec::Vp9)?,
    })
}

/// Refuses a codec that has no decoder.
///
/// # Errors
/// That; no VideoToolbox.
pub(super) fn check(codec: Codec) -> Result<()> {
    if has_decoder(codec)? {
        return Ok(());
    }
    Err(Error::Unsupported {
        feature: format!("{codec} decoding by VideoToolbox on this machine"),
        remedy: Remedy::OtherBackend,
    })
}

/// What is decoded of a codec; `None`: nothing.
///
/// # Errors
/// No VideoToolbox.
pub(crate) fn decode_capability(codec: Codec) -> Result<Option<DecodeCapability>> {
    if !has_decoder(codec)? {
        return Ok(None);
    }
    let (Some(min), Some(max)) = (Dimensions::new(2, 2), Dimensions::new(MAX_SIDE, MAX_SIDE)) else {
        return Ok(None);
    };
    let formats = match codec {
        Codec::H264 => vec![PixelFormat::Nv12],
        Codec::Hevc => HEVC_FORMATS.to_vec(),
        _ => vec![PixelFormat::Nv12, PixelFormat::P010],
    };
    Ok(Some(DecodeCapability {
        implementation: IMPLEMENTATION,
        min,
        max,
        engines: 1,
        formats,
        variants: Vec::new(),
        refused: vec![if codec == Codec::Hevc { REFUSED_HEVC } else { REFUSED }],
        output_modes: DecodeOutputMode::ALL.to_vec(),
        native_on_device: true,
        low_latency: true,
        max_display_delay: MAX_INSIDE,
    }))
}
