//! The software decoders.

mod av1;
mod facts;
mod guard;
mod h264;
mod hevc;
mod output;
mod planes;
mod pool;
mod vp8;
mod vp9;

use crate::backend::{DecodeSink, DecoderBackend};
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;

/// Most luma samples of one picture, whatever the codec: a header of a few bytes must not be able to ask
/// for gigabytes. 8192x8192 is above level 6.2 of H.264 and HEVC.
const MAX_PIXELS: u32 = 8192 * 8192;
/// The HEVC library's own limit, that of level 6.2 (H.265 table A.8).
const HEVC_MAX_PIXELS: u32 = 35_651_584;

/// Opens the decoder of `config.codec`.
///
/// # Errors
/// When the container's codec configuration cannot be read or the library does not start.
pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    Ok(match config.codec {
        Codec::H264 => Box::new(h264::H264Decoder::open(config, sink)?),
        Codec::Hevc => Box::new(hevc::HevcDecoder::open(config, sink)?),
        Codec::Av1 => Box::new(av1::Av1Decoder::open(config, sink)),
        Codec::Vp9 => Box::new(vp9::Vp9Decoder::open(config, sink)),
        Codec::Vp8 => Box::new(vp8::Vp8Decoder::open(config, sink)),
        codec @ (Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg) => {
            return Err(Error::Unsupported {
                feature: format!("{codec} decoding on the CPU"),
                remedy: Remedy::OtherBackend,
            });
        }
    })
}

/// What [`open_decoder`] can do with a codec; `None`: nothing.
pub(crate) fn decode_capability(codec: Codec) -> Option<DecodeCapability> {
    let (implementation, formats, refused) = match codec {
        Codec::H264 => ("rusty_h264, oxideav-h264, openh264", &H264_FORMATS[..], &h264::route::REFUSED[..]),
        Codec::Hevc => ("rusty_h265", &HEVC_FORMATS[..], &HEVC_REFUSED[..]),
        Codec::Av1 => ("re_rav1d", &AV1_FORMATS[..], &[][..]),
        Codec::Vp9 => ("rusty_vp9", &VP9_FORMATS[..], &vp9::REFUSED[..]),
        Codec::Vp8 => ("oxideav-vp8", &[PixelFormat::I420][..], &[][..]),
        Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg => return None,
    };
    let (side, pixels) = match codec {
        Codec::H264 => (8192, MAX_PIXELS),
        Codec::Hevc => (8192, HEVC_MAX_PIXELS),
        _ => (16_384, MAX_PIXELS),
    };
    Some(DecodeCapability {
        implementation,
        min: Dimensions::new(1, 1)?,
        engines: 1,
        variants: Vec::new(),
        max: Dimensions::new(side, pixels / side)?,
        formats: formats.to_vec(),
        refused: refused.to_vec(),
        output_modes: DecodeOutputMode::ALL.to_vec(),
        native_on_device: false,
        low_latency: true,
        // One library decodes frames side by side.
        max_display_delay: if codec == Codec::Av1 { av1::MAX_FRAME_DELAY - 1 } else { 0 },
    })
}

const H264_FORMATS: [PixelFormat; 8] = [
    PixelFormat::I420,
    PixelFormat::I010,
    PixelFormat::I422,
    PixelFormat::I210,
    PixelFormat::I444,
    PixelFormat::I410,
    PixelFormat::Gray8,
    PixelFormat::Gray10,
];
const HEVC_FORMATS: [PixelFormat; 2] = [PixelFormat::I420, PixelFormat::I010];
const HEVC_CONSTRAINED: &str = "HEVC constrained intra prediction in inter pictures";

const HEVC_REFUSED: [&str; 4] = [
    HEVC_CONSTRAINED,
    "HEVC range extensions (4:0:0, 4:2:2, 4:4:4, more than 10 bits)",
    "HEVC screen content coding",
    "HEVC enhancement layers (ignored; the base layer is decoded)",
];
const AV1_FORMATS: [PixelFormat; 12] = [
    PixelFormat::I420,
    PixelFormat::I010,
    PixelFormat::I012,
    PixelFormat::I422,
    PixelFormat::I210,
    PixelFormat::I212,
    PixelFormat::I444,
    PixelFormat::I410,
    PixelFormat::I412,
    PixelFormat::Gray8,
    PixelFormat::Gray10,
    PixelFormat::Gray12,
];
const VP9_FORMATS: [PixelFormat; 9] = [
    PixelFormat::I420,
    PixelFormat::I010,
    PixelFormat::I012,
    PixelFormat::I422,
    PixelFormat::I210,
    PixelFormat::I212,
    PixelFormat::I444,
    PixelFormat::I410,
    PixelFormat::I412,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hevc_is_offered_up_to_level_6_2() {
        let max = decode_capability(Codec::Hevc).unwrap().max;
        assert_eq!((max.width(), max.height()), (8192, 4352));
    }
}
