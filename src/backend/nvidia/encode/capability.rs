//! What a chip's encoder can do, in this library's words.

use std::sync::{Mutex, PoisonError};

use crate::backend::nvidia::driver::cuda::Context;
use crate::backend::nvidia::driver::nvenc::Session;
use crate::backend::nvidia::driver::nvenc_names::{Cap, Guid, H264, HEVC, format, rate};
use crate::capability::EncodeCapability;
use crate::codec::Codec;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::pixel::PixelFormat;

pub(super) const IMPLEMENTATION: &str = "NVENC";
pub(super) const MAX_QP: u8 = 51;

/// What a chip answers of a codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) max_b_frames: u32,
    /// Bits of [`rate`].
    pub(super) rate_modes: u32,
    pub(super) width: (u32, u32),
    pub(super) height: (u32, u32),
    pub(super) max_macroblocks: u64,
    pub(super) lossless: bool,
    pub(super) lookahead: bool,
    pub(super) ten_bit: bool,
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
        if !session.encodes(guid)? {
            return Ok(None);
        }
        // Answers below zero would mean nothing.
        let cap = |cap| session.cap(guid, cap).map(|value| u32::try_from(value).unwrap_or(0));
        Ok(Some(Self {
            max_b_frames: cap(Cap::MaxBFrames)?,
            rate_modes: cap(Cap::RateControlModes)?,
            width: (cap(Cap::WidthMin)?, cap(Cap::WidthMax)?),
            height: (cap(Cap::HeightMin)?, cap(Cap::HeightMax)?),
            max_macroblocks: u64::from(cap(Cap::MacroblocksMax)?),
            lossless: cap(Cap::Lossless)? != 0,
            lookahead: cap(Cap::Lookahead)? != 0,
            ten_bit: cap(Cap::TenBit)? != 0,
            dynamic_size: cap(Cap::DynamicSize)? != 0,
            dynamic_bitrate: cap(Cap::DynamicBitrate)? != 0,
            dynamic_rate_mode: cap(Cap::DynamicRateMode)? != 0,
            formats: session.formats(guid)?,
        }))
    }

    /// Frames that can be handed over.
    pub(super) fn pixel_formats(&self, codec: Codec) -> Vec<PixelFormat> {
        let takes = |format| self.formats.contains(&format);
        [
            (PixelFormat::Nv12, takes(format::NV12)),
            // Becomes NV12 on its way into the driver's memory.
            (PixelFormat::I420, takes(format::NV12)),
            // H.264 at 10 bits came with API 13.0 and is not used.
            (PixelFormat::P010, takes(format::P010) && self.ten_bit && codec == Codec::Hevc),
            (PixelFormat::Bgra, takes(format::BGRA)),
            (PixelFormat::Rgba, takes(format::RGBA)),
        ]
        .into_iter()
        .filter_map(|(format, can)| can.then_some(format))
        .collect()
    }
}

/// What a device encodes of a codec; `None`: nothing. They stay what they are, so the driver is asked once: asking
/// takes a session, and there are few.
///
/// # Errors
/// No driver, no encoder library, a chip without encoder, the session limit.
pub(crate) fn encode_capability(device: i32, codec: Codec) -> Result<Option<EncodeCapability>> {
    type Known = ((i32, Codec), Option<Caps>);
    static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());
    if codec_guid(codec).is_none() {
        return Ok(None);
    }
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().iter().find(|(key, _)| *key == (device, codec)).map(|(_, caps)| caps.clone());
    let caps = if let Some(caps) = found {
        caps
    } else {
        let session = Session::open(&Context::of(device)?)?;
        let caps = Caps::ask(&session, codec)?;
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
        max_b_frames: caps.max_b_frames,
        cbr: caps.rate_modes & rate::CBR != 0,
        vbr: caps.rate_modes & rate::VBR != 0,
        const_qp: true,
        qp_range: (0, MAX_QP),
    }))
}
