//! What a chip's encoder can do, in this library's words.

use std::sync::Mutex;

use super::session_limit;
use crate::backend::admission::SessionRequest;
use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::nvenc::Session;
use crate::backend::nvidia::driver::nvenc_names::{AV1, Cap, Guid, H264, HEVC, INFINITE_GOP, format, rate};
use crate::backend::nvidia::driver::nvenc_version::Api;
use crate::capability::{EncodeCapability, InPlaceChanges};
use crate::codec::Codec;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::pixel::PixelFormat;
use crate::sync::lock;

pub(super) const IMPLEMENTATION: &str = "NVENC";

/// The largest quantiser.
pub(super) const fn max_qp(codec: Codec) -> u8 {
    if matches!(codec, Codec::Av1) { 255 } else { 51 }
}

/// The largest (worst) target of constant quality.
pub(super) const fn max_quality(codec: Codec) -> u8 {
    if matches!(codec, Codec::Av1) { 63 } else { 51 }
}

/// What a chip and its driver answer of a codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    /// The version that the driver is spoken to in.
    pub(super) api: Api,
    pub(super) max_b_frames: u32,
    /// Bits of [`rate`].
    pub(super) rate_modes: u32,
    pub(super) width: (u32, u32),
    pub(super) height: (u32, u32),
    pub(super) max_macroblocks: u64,
    pub(super) lossless: bool,
    pub(super) lookahead: bool,
    /// Levels of lookahead above 0.
    pub(super) lookahead_level: u32,
    pub(super) ten_bit: bool,
    pub(super) full_chroma: bool,
    pub(super) custom_vbv: bool,
    pub(super) intra_refresh: bool,
    pub(super) temporal_aq: bool,
    /// Bit 0: each B frame may be referred to; bit 1: the middle one.
    pub(super) b_references: u32,
    /// What can change while a session runs: the size, the bit rate, the mode of the rate control.
    pub(super) dynamic_size: bool,
    pub(super) dynamic_bitrate: bool,
    pub(super) dynamic_rate_mode: bool,
    /// `NV_ENC_BUFFER_FORMAT`s
    pub(super) formats: Vec<u32>,
}

/// The driver's name of a codec; `None`: there is none, or it is not used yet.
pub(super) const fn codec_guid(codec: Codec) -> Option<Guid> {
    match codec {
        Codec::H264 => Some(H264),
        Codec::Hevc => Some(HEVC),
        Codec::Av1 => Some(AV1),
        _ => None,
    }
}

impl Caps {
    /// Asks a session; `None`: the chip does not encode this codec.
    ///
    /// # Errors
    /// A lost device.
    pub(super) fn ask(session: &Session, codec: Codec) -> Result<Option<Self>> {
        let Some(guid) = codec_guid(codec) else { return Ok(None) };
        let api = session.api();
        if (codec == Codec::Av1 && !api.has_av1()) || !session.encodes(guid)? {
            return Ok(None);
        }
        // Answers below zero would mean nothing.
        let cap = |cap| session.cap(guid, cap).map(|value| u32::try_from(value).unwrap_or(0));
        Ok(Some(Self {
            api,
            max_b_frames: cap(Cap::MaxBFrames)?,
            rate_modes: cap(Cap::RateControlModes)?,
            width: (cap(Cap::WidthMin)?, cap(Cap::WidthMax)?),
            height: (cap(Cap::HeightMin)?, cap(Cap::HeightMax)?),
            max_macroblocks: u64::from(cap(Cap::MacroblocksMax)?),
            lossless: cap(Cap::Lossless)? != 0,
            lookahead: cap(Cap::Lookahead)? != 0,
            // Asking a driver for what its API does not have yet is an error.
            lookahead_level: if api.has_lookahead_level() { cap(Cap::LookaheadLevel)? } else { 0 },
            ten_bit: cap(Cap::TenBit)? != 0 && (codec != Codec::H264 || api.has_deep_h264()),
            full_chroma: cap(Cap::Yuv444)? != 0,
            custom_vbv: cap(Cap::CustomVbv)? != 0,
            intra_refresh: cap(Cap::IntraRefresh)? != 0,
            temporal_aq: cap(Cap::TemporalAq)? != 0,
            b_references: cap(Cap::BReferenceModes)?,
            dynamic_size: cap(Cap::DynamicSize)? != 0,
            dynamic_bitrate: cap(Cap::DynamicBitrate)? != 0,
            dynamic_rate_mode: cap(Cap::DynamicRateMode)? != 0,
            formats: session.formats(guid)?,
        }))
    }

    /// Most B frames that are used. Of AV1 none: pictures that are not shown yet come out of the driver in a way that its
    /// documents do not tell.
    pub(super) fn usable_b_frames(&self, codec: Codec) -> u32 {
        if codec == Codec::Av1 { 0 } else { self.max_b_frames }
    }

    /// Frames that can be handed over.
    pub(super) fn pixel_formats(&self, codec: Codec) -> Vec<PixelFormat> {
        // AV1 as NVENC writes it is 4:2:0.
        let full_chroma = self.full_chroma && codec != Codec::Av1;
        let takes = |format| self.formats.contains(&format);
        [
            (PixelFormat::Nv12, takes(format::NV12)),
            // Becomes NV12 on its way into the driver's memory.
            (PixelFormat::I420, takes(format::NV12)),
            (PixelFormat::P010, takes(format::P010) && self.ten_bit),
            (PixelFormat::I444, takes(format::YUV444) && full_chroma),
            // No H.264 encoder of NVIDIA's has 4:4:4 of 10 bits.
            (
                PixelFormat::I410,
                takes(format::YUV444_10) && full_chroma && self.ten_bit && codec == Codec::Hevc,
            ),
            (PixelFormat::Bgra, takes(format::BGRA)),
            (PixelFormat::Rgba, takes(format::RGBA)),
        ]
        .into_iter()
        .filter_map(|(format, can)| can.then_some(format))
        .collect()
    }
}

/// Encode engines of a device; `None` where its driver does not tell.
///
/// # Errors
/// As [`encode_capability`].
pub(crate) fn engine_count(device: i32) -> Result<Option<u32>> {
    let count = session_limit::ask(&Context::of(device)?, &SessionRequest::default(), |session| {
        // An old driver does not know the question.
        Ok(session.cap(H264, Cap::Engines).ok())
    })?;
    Ok(count.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0))
}

/// What a device encodes of a codec; `None`: nothing. They stay what they are, so the driver is asked once: asking
/// takes a session, and there are few.
///
/// # Errors
/// No driver, no encoder library, a chip without encoder, the session limit.
pub(crate) fn encode_capability(
    device: i32,
    codec: Codec,
    request: &SessionRequest<'_>,
) -> Result<Option<EncodeCapability>> {
    type Known = ((i32, Codec), Option<Caps>);
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    if codec_guid(codec).is_none() {
        return Ok(None);
    }
    let known = || lock(&KNOWN);
    let found = known().iter().find(|(key, _)| *key == (device, codec)).map(|(_, caps)| caps.clone());
    let caps = if let Some(caps) = found {
        caps
    } else {
        let caps = session_limit::ask(&Context::of(device)?, request, |session| Caps::ask(session, codec))?;
        known().push(((device, codec), caps.clone()));
        caps
    };
    let Some(caps) = caps else { return Ok(None) };
    // A side of ours ends at 65535. Sides are even: see `settings`.
    let even_from = |side: u32| side.next_multiple_of(2).clamp(2, 0xfffe);
    let size = |width: u32, height: u32| {
        Dimensions::new(width.min(0xffff), height.min(0xffff))
            .ok_or_else(|| Error::unsupported(format!("{codec} pictures of {width}x{height}")))
    };
    Ok(Some(EncodeCapability {
        implementation: IMPLEMENTATION,
        min: size(even_from(caps.width.0), even_from(caps.height.0))?,
        max: size(caps.width.1, caps.height.1)?,
        alignment: 2,
        formats: caps.pixel_formats(codec),
        max_b_frames: caps.usable_b_frames(codec),
        cbr: caps.rate_modes & rate::CBR != 0,
        vbr: caps.rate_modes & rate::VBR != 0,
        const_qp: true,
        qp_range: (0, max_qp(codec)),
        quality_range: (caps.rate_modes & rate::VBR != 0).then_some((1, max_quality(codec))),
        gop_range: (1, INFINITE_GOP - 1),
        force_idr: true,
        low_latency: true,
        in_place: InPlaceChanges {
            bitrate: caps.dynamic_bitrate,
            rate_mode: caps.dynamic_rate_mode,
            frame_rate: true,
            size: caps.dynamic_size,
        },
    }))
}
