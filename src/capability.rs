//! What a backend can do, told before it is tried.

use crate::backend_kind::BackendKind;
use crate::codec::Codec;
use crate::config::DecodeOutputMode;
use crate::dimensions::Dimensions;
use crate::pixel::{Chroma, PixelFormat};

/// Answer to "what can this backend do with this codec?".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapabilityReport {
    /// The backend.
    pub backend: BackendKind,
    /// The codec.
    pub codec: Codec,
    /// Decoding; `None`: not at all.
    pub decode: Option<DecodeCapability>,
    /// Encoding; `None`: not at all.
    pub encode: Option<EncodeCapability>,
    /// Why nothing is encoded on a device of a backend that has encoders, and what to do.
    pub no_encoder: Option<String>,
}

/// A device of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Number in the driver's order.
    pub ordinal: u32,
    /// Name, as the driver gives it.
    pub name: String,
    /// Identifier that stays when cards are added or hidden: `GPU-` and the UUID.
    pub id: String,
    /// Device memory in bytes.
    pub memory: u64,
}

/// Encode sessions that are open, and how many may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionUse {
    /// Open in all processes of this host that use this library, as far as they see each other. Those of other programs
    /// are not among them.
    pub open: usize,
    /// Of these, open in this process.
    pub own: usize,
    /// As many may be open, as configured, or as the driver's last refusal taught; `None`: it never refused. Other
    /// programs' sessions make it smaller while they last.
    pub limit: Option<usize>,
}

/// [`SessionUse`] of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSessions {
    /// The numbers.
    pub usage: SessionUse,
    /// Why they are those of this process alone, where they are.
    pub note: Option<String>,
}

/// A device's memory, whoever uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that there are.
    pub total: u64,
}

impl DeviceMemory {
    /// Bytes in use.
    pub const fn used(self) -> u64 {
        self.total.saturating_sub(self.free)
    }
}

/// How busy a device is, whoever keeps it so, as its driver's management library tells. Shares of time are 0 to 1, over a
/// period of the library's choice (a sixth of a second to a second); what a device does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Utilization {
    /// Share of time that a kernel ran.
    pub gpu: Option<f64>,
    /// Share of time that device memory was read or written.
    pub memory_bus: Option<f64>,
    /// Share of time that the video encoders worked; `None` on a card without any, and on a part of a card.
    pub encoder: Option<f64>,
    /// Share of time that the video decoders worked.
    pub decoder: Option<f64>,
    /// Memory.
    pub memory: Option<DeviceMemory>,
}

/// What can be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeCapability {
    /// Name of the decoder library or engine.
    pub implementation: &'static str,
    /// Smallest picture.
    pub min: Dimensions,
    /// Largest picture.
    pub max: Dimensions,
    /// Engines of the device that work side by side; 1 on the CPU.
    pub engines: u32,
    /// Formats that [`crate::config::DecodeOutputMode::HostSurface`] may deliver.
    pub formats: Vec<PixelFormat>,
    /// What a device says of each kind of stream; none on the CPU.
    pub variants: Vec<DecodeVariant>,
    /// Features of the codec that are refused by name before the first picture.
    pub refused: Vec<&'static str>,
    /// Where pictures may go.
    pub output_modes: Vec<DecodeOutputMode>,
    /// Whether [`DecodeOutputMode::NativeSurface`] is the memory of a device.
    pub native_on_device: bool,
    /// Whether [`crate::config::CommonDecodeConfig::low_latency`] holds nothing back but what the stream reorders.
    pub low_latency: bool,
    /// The largest [`crate::config::CommonDecodeConfig::max_display_delay`] that makes a difference; 0: nothing is held back
    /// in any case.
    pub max_display_delay: u32,
}

/// What a device decodes of one kind of stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeVariant {
    /// Chroma subsampling of the stream.
    pub chroma: Chroma,
    /// Bits per sample.
    pub bit_depth: u8,
    /// Format of the frames; `None`: the device decodes it, but only into a format that frames cannot have yet.
    pub format: Option<PixelFormat>,
    /// Smallest picture.
    pub min: Dimensions,
    /// Largest picture.
    pub max: Dimensions,
    /// Most blocks of 16x16 samples: below what both largest sides together would give, on some devices.
    pub max_macroblocks: u32,
    /// Engines that decode it.
    pub engines: u32,
}

/// What can be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeCapability {
    /// Name of the encoder library or engine.
    pub implementation: &'static str,
    /// Smallest picture.
    pub min: Dimensions,
    /// Largest picture.
    pub max: Dimensions,
    /// Both sides must be multiples of this.
    pub alignment: u32,
    /// Input formats.
    pub formats: Vec<PixelFormat>,
    /// Most B frames between P frames.
    pub max_b_frames: u32,
    /// Constant bit rate.
    pub cbr: bool,
    /// Variable bit rate.
    pub vbr: bool,
    /// Constant quantiser.
    pub const_qp: bool,
    /// Lowest and highest quantiser.
    pub qp_range: (u8, u8),
    /// Lowest (best) and highest target of constant quality; `None`: there is no such mode.
    pub quality_range: Option<(u8, u8)>,
    /// Fewest and most frames from one IDR to the next.
    pub gop_range: (u32, u32),
    /// Whether any frame can be made an IDR ([`crate::frame::Frame::force_keyframe`]).
    pub force_idr: bool,
    /// Whether [`crate::config::CommonEncodeConfig::low_latency`] holds no frame back.
    pub low_latency: bool,
    /// What changes while a session runs, without another one being opened.
    pub in_place: InPlaceChanges,
}

/// Settings that a running encoder changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InPlaceChanges {
    /// The numbers of the rate control, within its mode.
    pub bitrate: bool,
    /// The mode of the rate control.
    pub rate_mode: bool,
    /// The nominal frame rate.
    pub frame_rate: bool,
    /// The size, up to that at opening.
    pub size: bool,
}
