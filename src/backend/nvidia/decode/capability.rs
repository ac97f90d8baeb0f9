//! What a chip's decoder can do, in this library's words.

use super::format::{chroma_id, codec_id, output_in};
use super::max_display_delay;
use crate::backend::nvidia::driver::cuvid;
use crate::backend::nvidia::driver::cuvid_abi::DecodeCaps;
use crate::bitstream::vp9::KeyFormat;
use crate::capability::{DecodeCapability, DecodeVariant};
use crate::codec::Codec;
use crate::config::DecodeOutputMode;
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::Chroma;

const CHROMAS: [Chroma; 4] = [Chroma::Monochrome, Chroma::Yuv420, Chroma::Yuv422, Chroma::Yuv444];
const DEPTHS: [u8; 3] = [8, 10, 12];

/// Refuses a codec that the device does not decode in any format.
///
/// # Errors
/// That; no decoder library; a lost device.
pub(super) fn check_codec(device: i32, codec: Codec) -> Result<()> {
    for chroma in [Chroma::Yuv420, Chroma::Yuv422, Chroma::Yuv444] {
        for depth in DEPTHS {
            // Nearly always the first answer settles it.
            if ask(device, codec, chroma, depth)?.supported != 0 {
                return Ok(());
            }
        }
    }
    Err(Error::Unsupported {
        feature: format!("{codec} on this GPU's decoder"),
        remedy: Remedy::OtherDevice("use a GPU that decodes it".into()),
    })
}

/// Refuses a chroma format or depth of VP9 that the device does not decode.
///
/// # Errors
/// That; a lost device.
pub(super) fn check_vp9(device: i32, format: &KeyFormat) -> Result<()> {
    let depth = format.bit_depth;
    let name = match format.chroma {
        Some(chroma) if ask(device, Codec::Vp9, chroma, depth)?.supported != 0 => return Ok(()),
        Some(chroma) => chroma.to_string(),
        None => "4:4:0".to_owned(),
    };
    Err(Error::Unsupported {
        feature: format!("{} {name} with {depth} bits on this GPU's decoder", Codec::Vp9),
        remedy: Remedy::OtherDevice("use a GPU that decodes it".into()),
    })
}

/// What a device decodes of a codec; `None`: nothing.
///
/// # Errors
/// No driver, no such device, no decoder library.
pub(crate) fn decode_capability(device: i32, codec: Codec) -> Result<Option<DecodeCapability>> {
    let mut variants = Vec::new();
    for chroma in CHROMAS {
        for depth in DEPTHS {
            variants.extend(variant(&ask(device, codec, chroma, depth)?, codec, chroma, depth));
        }
    }
    let pixels = |variant: &&DecodeVariant| variant.max.pixels();
    let usable: Vec<_> = variants.iter().filter(|variant| variant.format.is_some()).collect();
    let Some(largest) = usable.iter().copied().max_by_key(pixels) else { return Ok(None) };
    let max = largest.max;
    let min = usable.iter().map(|variant| variant.min).min_by_key(|min| min.pixels()).unwrap_or(max);
    let engines = usable.iter().map(|variant| variant.engines).max().unwrap_or(1);
    let mut formats = Vec::new();
    for format in usable.iter().filter_map(|variant| variant.format) {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    let no_format = variants.iter().any(|variant| variant.format.is_none());
    let refused = if no_format { vec!["4:2:2 (no output format for it yet)"] } else { Vec::new() };
    Ok(Some(DecodeCapability {
        implementation: "NVDEC",
        min,
        max,
        engines,
        formats,
        variants,
        refused,
        output_modes: DecodeOutputMode::ALL.to_vec(),
        native_on_device: true,
        low_latency: true,
        max_display_delay: max_display_delay(codec),
    }))
}

/// Engines of a device that decode a codec.
///
/// # Errors
/// No driver, no such device, no decoder library.
pub(crate) fn engine_count(device: i32, codec: Codec) -> Result<usize> {
    // Which formats an engine takes does not change how many there are.
    Ok(usize::from(ask(device, codec, Chroma::Yuv420, 8)?.engines))
}

fn ask(device: i32, codec: Codec, chroma: Chroma, depth: u8) -> Result<DecodeCaps> {
    cuvid::caps(device, codec_id(codec), chroma_id(chroma), u32::from(depth))
}

fn variant(caps: &DecodeCaps, codec: Codec, chroma: Chroma, bit_depth: u8) -> Option<DecodeVariant> {
    if caps.supported == 0 {
        return None;
    }
    let output = output_in(codec_id(codec), chroma_id(chroma), u32::from(bit_depth), caps.output_mask);
    Some(DecodeVariant {
        chroma,
        bit_depth,
        format: output.map(|output| output.format),
        min: Dimensions::new(u32::from(caps.min_width), u32::from(caps.min_height))?,
        // A side of ours ends at 65535.
        max: Dimensions::new(caps.max_width.min(0xffff), caps.max_height.min(0xffff))?,
        max_macroblocks: caps.max_macroblocks,
        engines: u32::from(caps.engines),
    })
}
