//! What VideoToolbox decodes here, as far as it tells: it names codecs, and neither sizes nor profiles. What only some machines have
//! is found out by a session that is opened for it and ended, once in a process.

use std::sync::OnceLock;

use super::stream::Stream;
use super::{IMPLEMENTATION, MAX_INSIDE, is_known};
use crate::backend::videotoolbox::codec_type;
use crate::backend::videotoolbox::driver::abi::pixel_format;
use crate::backend::videotoolbox::driver::decompression::{Decompression, has_hardware};
use crate::backend::videotoolbox::driver::library::api;
use crate::backend::videotoolbox::driver::media::FormatDescription;
use crate::bitstream::annexb::nal_units;
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::config::{CommonDecodeConfig, DecodeOutputMode, VtHardware};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;

/// Larger pictures are in no level of these codecs that hardware is made for. A session that does not take a size says so
/// when it is opened.
const MAX_SIDE: u32 = 8192;
const REFUSED: &str = "4:0:0, 4:2:2, 4:4:4, and more than 10 bits";
const REFUSED_EIGHT: &str = "4:0:0, 4:2:2, 4:4:4, and more than 8 bits";
/// Of HEVC on machines that have the rest.
const REFUSED_LESS: &str = "4:0:0, and more than 10 bits";

/// What a machine may lack: the headers of such a sequence, what its pictures are, and `kCVPixelFormatType_*` of these.
const RARE: [(Codec, PixelFormat, u32, &[u8]); 7] = [
    (
        Codec::Hevc,
        PixelFormat::P010,
        pixel_format::P010_VIDEO,
        include_bytes!("sequences/hevc-yuv420p10le.bin"),
    ),
    (
        Codec::Hevc,
        PixelFormat::I422,
        pixel_format::YUV422[0][0],
        include_bytes!("sequences/hevc-yuv422p.bin"),
    ),
    (
        Codec::Hevc,
        PixelFormat::I210,
        pixel_format::YUV422[1][0],
        include_bytes!("sequences/hevc-yuv422p10le.bin"),
    ),
    (
        Codec::Hevc,
        PixelFormat::I444,
        pixel_format::YUV444[0][0],
        include_bytes!("sequences/hevc-yuv444p.bin"),
    ),
    (
        Codec::Hevc,
        PixelFormat::I410,
        pixel_format::YUV444[1][0],
        include_bytes!("sequences/hevc-yuv444p10le.bin"),
    ),
    (Codec::Mpeg2, PixelFormat::Nv12, pixel_format::NV12_VIDEO, include_bytes!("sequences/mpeg2.bin")),
    (Codec::Mpeg4, PixelFormat::Nv12, pixel_format::NV12_VIDEO, include_bytes!("sequences/mpeg4.bin")),
];

/// Those of a codec's that this machine has. A decoder that is there and not free counts.
fn rare_formats(codec: Codec) -> impl Iterator<Item = PixelFormat> {
    static HAS: [OnceLock<bool>; RARE.len()] = [const { OnceLock::new() }; RARE.len()];
    let of_codec = RARE.iter().zip(&HAS).filter(move |((own, ..), _)| *own == codec);
    let has = |(of, has): &(&(Codec, PixelFormat, u32, &[u8]), &OnceLock<bool>)| {
        let (codec, _, pixel_format, headers) = **of;
        let opens = || match open(codec, headers, pixel_format) {
            Ok(()) => true,
            Err(error) => {
                matches!(
                    error,
                    Error::SessionLimit { .. } | Error::OutOfMemory { .. } | Error::DeviceLost { .. }
                )
            }
        };
        *has.get_or_init(opens)
    };
    of_codec.filter(has).map(|((_, format, ..), _)| *format)
}

/// Opens a session for a sequence with these headers, and ends it.
fn open(codec: Codec, headers: &[u8], pixel_format: u32) -> Result<()> {
    let format = if codec.uses_nal_units() {
        FormatDescription::of_parameter_sets(codec, &nal_units(headers).collect::<Vec<_>>())?
    } else {
        let stream = Stream::of(headers, &CommonDecodeConfig::new(codec))?;
        stream.ok_or_else(|| Error::corrupt("no headers"))?.describe()?
    };
    Decompression::new(&format, pixel_format, VtHardware::Allow, false).map(drop)
}

/// Whether there is a decoder: H.264 and HEVC have one on every Mac, VP9 and AV1 where there is hardware.
fn has_decoder(codec: Codec) -> Result<bool> {
    api()?;
    Ok(match codec {
        Codec::H264 | Codec::Hevc => true,
        Codec::Mpeg2 | Codec::Mpeg4 => rare_formats(codec).next().is_some(),
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
pub(in crate::backend::videotoolbox) fn decode_capability(codec: Codec) -> Result<Option<DecodeCapability>> {
    if !has_decoder(codec)? {
        return Ok(None);
    }
    let (Some(min), Some(max)) = (Dimensions::new(2, 2), Dimensions::new(MAX_SIDE, MAX_SIDE)) else {
        return Ok(None);
    };
    let mut formats = vec![PixelFormat::Nv12];
    match codec {
        Codec::Hevc => formats.extend(rare_formats(codec)),
        Codec::Vp9 | Codec::Av1 => formats.push(PixelFormat::P010),
        _ => {}
    }
    let refused = match formats.len() {
        1 => REFUSED_EIGHT,
        2 => REFUSED,
        _ => REFUSED_LESS,
    };
    Ok(Some(DecodeCapability {
        implementation: IMPLEMENTATION,
        min,
        max,
        engines: 1,
        formats,
        variants: Vec::new(),
        refused: vec![refused],
        output_modes: DecodeOutputMode::ALL.to_vec(),
        native_on_device: true,
        low_latency: true,
        max_display_delay: MAX_INSIDE,
    }))
}
