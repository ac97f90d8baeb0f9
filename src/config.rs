//! Settings: one entrance. What every backend means the same way is in the `Common*` structs; the rest is
//! in [`BackendEncodeConfig`].

mod profile;
pub(crate) mod setters;
mod special;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;

pub use profile::Profile;
pub use special::*;

use crate::codec::Codec;
use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::hdr::{ContentLight, MasteringDisplay};
use crate::limits::Limits;
use crate::pixel::PixelFormat;
use crate::time::Rational;
use setters::setters;

/// Where a decode session puts pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DecodeOutputMode {
    /// Nowhere: times, sizes and colour only; no sample is mapped, copied or converted.
    MetadataOnly,
    /// In the decoder's own memory: the device's with a GPU ([`crate::frame::Surface::Device`]), the host's with the
    /// CPU.
    NativeSurface,
    /// In host memory.
    #[default]
    HostSurface,
    /// [`PixelFormat::Rgb24`] in host memory, converted on the CPU with the stream's own matrix and range.
    CpuRgb,
}

/// What becomes of a job when its decoder or encoder dies in the middle of the stream: the device is lost, the driver
/// fails, a child process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// [`Self::Next`] where the backend was chosen by itself, [`Self::Reopen`] where it was named.
    #[default]
    Auto,
    /// The next backend that can do the job takes over, at last the same one again.
    Next,
    /// The same backend is opened again.
    Reopen,
    /// The job ends with the reason.
    Stop,
}

/// What a consumer of frames wants them to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ColorRequest {
    /// As the decoder delivers them.
    #[default]
    KeepNative,
    /// [`PixelFormat::Rgb24`].
    Rgb8,
    /// This format.
    To(PixelFormat),
}

impl DecodeOutputMode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MetadataOnly, Self::NativeSurface, Self::HostSurface, Self::CpuRgb];

    /// What it is called in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MetadataOnly => "metadata",
            Self::NativeSurface => "native",
            Self::HostSurface => "host",
            Self::CpuRgb => "rgb24",
        }
    }
}

impl ColorRequest {
    /// The format asked for, if any.
    pub const fn format(self) -> Option<PixelFormat> {
        match self {
            Self::KeepNative => None,
            Self::Rgb8 => Some(PixelFormat::Rgb24),
            Self::To(format) => Some(format),
        }
    }
}

/// A part of the picture, in luma samples of the picture as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crop {
    /// Columns left out on the left.
    pub left: u32,
    /// Rows left out at the top.
    pub top: u32,
    /// What remains.
    pub size: Dimensions,
}

/// What becomes of pictures that the decoder had to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DamagePolicy {
    /// They are delivered, marked ([`crate::frame::Frame::concealed`]) and counted.
    #[default]
    Tolerant,
    /// They are lost: an error that can be recovered from takes their place.
    Strict,
}

/// How many decoders work on one stream. The stream is split where decoding can start; its frames come out in
/// order all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Engines {
    /// One, as it is in every other program.
    #[default]
    One,
    /// As many as keep the whole device busy. On a GPU they come as the stream turns out to be long enough for each to pay;
    /// on the CPU there is one for each core, or a single one where the decoder itself works on several threads. What
    /// waits takes at most an eighth of what is free, and 1 GiB of the host's memory and 8 GiB of each device's. The files of
    /// [`crate::frames`], [`crate::transcode`] and [`crate::pipeline::Export`] are decoded so by default; an input that can
    /// be read only once (a pipe, a live source) has one decoder all the same, so that no frame comes late.
    Auto,
    /// So many, whatever the input is.
    Count(NonZeroUsize),
}

/// Decode settings with the same meaning on every backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommonDecodeConfig {
    /// Codec of the packets.
    pub codec: Codec,
    /// Deliver each frame as soon as the stream's reorder rules allow, at the cost of throughput.
    pub low_latency: bool,
    /// Most frames that the decoder holds back for its own convenience (pipelining, threads that decode frames side by
    /// side) although their turn has come, on every backend; `None`: its choice. What the stream's reordering holds back
    /// is besides, because fewer would come out in the wrong order. With `low_latency` it is none all the same.
    pub max_display_delay: Option<u32>,
    /// Host frames may share memory with the decoder, which may be short of it while many are kept. `false`: each frame is a
    /// copy of its own. Frames in a device's memory are copies in any case, since surfaces of the decoder are few.
    pub prefer_zero_copy: bool,
    /// Where pictures go.
    pub output: DecodeOutputMode,
    /// The format they are wanted in; converted where they are, on the GPU or on the CPU.
    pub convert: ColorRequest,
    /// The part of the picture that is wanted.
    pub crop: Option<Crop>,
    /// The size it is wanted in; scaled by the decoder's hardware where it can.
    pub size: Option<Dimensions>,
    /// What becomes of damaged pictures.
    pub damage: DamagePolicy,
    /// How many decoders share the work. With `low_latency` [`Engines::Auto`] is one, and a larger number is refused.
    pub engines: Engines,
    /// With several decoders: most bytes of decoded pictures that wait for older ones to be done. They wait where they
    /// were decoded: on a GPU in its memory, also when they are wanted in the host's (as long as half of what was free there is
    /// not taken; then they go on at once). `None`: with [`Engines::Auto`] what is told there; with a number an eighth of
    /// each memory, at most 8 GiB of each device's and 1 GiB of the host's. [`crate::backend::SplitReport`] tells how much.
    pub reorder_window: Option<u64>,
    /// The container's codec configuration, where there is one: the payload of `avcC`, `hvcC`, `av1C` or `vpcC`; for
    /// MPEG-2, MPEG-4 and VC-1 the headers themselves, with their start codes.
    pub codec_config: Option<Bytes>,
    /// Frame rate used to number frames of streams without any timestamps; `None`: the stream's own
    /// timing information, else 25.
    pub frame_rate: Option<Rational>,
    /// Colour stated by the container; overrides the bitstream where both speak.
    pub color: ColorInfo,
    /// Threads a CPU decoder may use; `None`: its own choice.
    pub threads: Option<NonZeroUsize>,
    /// Which device of the backend: its ordinal (`1`) or its identifier ([`crate::capability::DeviceInfo::id`],
    /// the beginning of one where that is enough); `None`: the first. With several `engines` also a list with commas, or
    /// `all`. The CPU has none and ignores it.
    pub device: Option<String>,
    /// What the stream is called in metrics (label `stream`): one of few names, since each is a series of its own there.
    pub stream: Option<String>,
    /// What the stream may cost: the size of its pictures, and the memory of all that are alive at once.
    pub limits: Limits,
    /// What one backend alone has; others pass over it.
    pub special: BackendDecodeConfig,
}

setters!(CommonDecodeConfig {
    codec: Codec, low_latency: bool, prefer_zero_copy: bool, output: DecodeOutputMode,
    convert: ColorRequest, damage: DamagePolicy, engines: Engines, color: ColorInfo, limits: Limits,
    special: BackendDecodeConfig,
} option {
    max_display_delay: u32, crop: Crop, size: Dimensions, reorder_window: u64, codec_config: Bytes,
    frame_rate: Rational, threads: NonZeroUsize, device: String, stream: String,
});

impl CommonDecodeConfig {
    /// Defaults: throughput, pictures as decoded, in host memory.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            low_latency: false,
            max_display_delay: None,
            prefer_zero_copy: true,
            output: DecodeOutputMode::default(),
            convert: ColorRequest::default(),
            crop: None,
            size: None,
            damage: DamagePolicy::default(),
            engines: Engines::default(),
            reorder_window: None,
            codec_config: None,
            frame_rate: None,
            color: ColorInfo::UNSPECIFIED,
            threads: None,
            device: None,
            stream: None,
            limits: Limits::default(),
            special: BackendDecodeConfig::default(),
        }
    }
}

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateControl {
    /// Constant bit rate.
    Cbr {
        /// Bits per second.
        bitrate_bps: u32,
    },
    /// Variable bit rate around an average.
    Vbr {
        /// Average bits per second.
        avg_bps: u32,
        /// Ceiling, if any.
        max_bps: Option<u32>,
    },
    /// Constant quantiser.
    ConstQp {
        /// QP of intra pictures.
        intra: u8,
        /// QP of P pictures.
        inter_p: u8,
        /// QP of B pictures.
        inter_b: u8,
    },
    /// Constant quality: as many bits as it takes to look the same all through.
    Quality {
        /// On the scale of the codec's quantiser, lower is better: 1 to 51 for H.264 and HEVC, 1 to 63 for AV1.
        quality: u8,
        /// Ceiling in bits per second, if any.
        max_bps: Option<u32>,
    },
}

/// What to do when a device has no session left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SessionAdmission {
    /// Refuse at once, with [`crate::Error::SessionLimit`].
    #[default]
    Refuse,
    /// Wait so long for one. Within a process those who wait get theirs in the order in which they came, and nobody
    /// overtakes them.
    Wait(Duration),
}

/// Encode settings with the same meaning on every backend. `None` leaves the choice to the backend, which
/// states it in its summary.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommonEncodeConfig {
    /// Codec to produce.
    pub codec: Codec,
    /// Picture size.
    pub dimensions: Dimensions,
    /// Nominal frame rate; rate control works by it, pts do not.
    pub frame_rate: Rational,
    /// Format of the frames that will be submitted.
    pub format: PixelFormat,
    /// Colour to signal in the stream.
    pub color: ColorInfo,
    /// Sample aspect ratio to signal.
    pub sample_aspect_ratio: Option<Rational>,
    /// No reordering, no lookahead.
    pub low_latency: bool,
    /// Frames from one IDR to the next.
    pub gop_length: Option<u32>,
    /// Distance between P frames (1: no B frames): `b_frames + 1`, as NVENC counts.
    pub frame_interval_p: Option<i32>,
    /// B frames between P frames.
    pub b_frames: Option<u32>,
    /// Rate control.
    pub rate_control: Option<RateControl>,
    /// Size of the decoder's buffer that rate control keeps to (VBV, HRD), in bits; needs a bit rate.
    pub vbv_bits: Option<u32>,
    /// How full that buffer is when decoding begins, in bits; up to `vbv_bits`, which it needs.
    pub vbv_initial_bits: Option<u32>,
    /// Profile to keep to.
    pub profile: Option<Profile>,
    /// HDR10: the display that the content was graded on; stated with each IDR.
    pub mastering_display: Option<MasteringDisplay>,
    /// HDR10: the light of the content; stated with each IDR.
    pub content_light: Option<ContentLight>,
    /// These two are wishes: a backend that cannot state them leaves them out, and [`Receipt::notes`] says so. By default it
    /// refuses the job.
    ///
    /// [`Receipt::notes`]: crate::backend::Receipt::notes
    pub hdr_optional: bool,
    /// Make every frame an IDR.
    pub force_idr: bool,
    /// Threads a CPU encoder may use; `None`: its own choice.
    pub threads: Option<NonZeroUsize>,
    /// Which device of the backend, as in [`CommonDecodeConfig::device`]; `None`: the first. The CPU ignores it.
    pub device: Option<String>,
    /// What to do when the device has no session left. The CPU always has one.
    pub admission: SessionAdmission,
    /// Ends waiting for a session, with [`crate::Error::Cancelled`], when it turns true.
    pub cancel_waiting: Option<Arc<AtomicBool>>,
    /// What the stream is called in metrics, as in [`CommonDecodeConfig::stream`].
    pub stream: Option<String>,
}

setters!(CommonEncodeConfig {
    codec: Codec, dimensions: Dimensions, frame_rate: Rational, format: PixelFormat, color: ColorInfo,
    low_latency: bool, hdr_optional: bool, force_idr: bool, admission: SessionAdmission,
} option {
    sample_aspect_ratio: Rational, gop_length: u32, frame_interval_p: i32, b_frames: u32,
    rate_control: RateControl, vbv_bits: u32, vbv_initial_bits: u32, profile: Profile,
    mastering_display: MasteringDisplay, content_light: ContentLight, threads: NonZeroUsize,
    device: String, cancel_waiting: Arc<AtomicBool>, stream: String,
});

impl CommonEncodeConfig {
    /// Defaults: 8-bit 4:2:0 input, everything else the backend's choice.
    pub fn new(codec: Codec, dimensions: Dimensions, frame_rate: Rational) -> Self {
        Self {
            codec,
            dimensions,
            frame_rate,
            format: PixelFormat::I420,
            color: ColorInfo::UNSPECIFIED,
            sample_aspect_ratio: None,
            low_latency: false,
            gop_length: None,
            frame_interval_p: None,
            b_frames: None,
            rate_control: None,
            vbv_bits: None,
            vbv_initial_bits: None,
            profile: None,
            mastering_display: None,
            content_light: None,
            hdr_optional: false,
            force_idr: false,
            threads: None,
            device: None,
            admission: SessionAdmission::default(),
            cancel_waiting: None,
            stream: None,
        }
    }

    /// B frames asked for, from whichever of `b_frames` and `frame_interval_p` is set.
    pub fn requested_b_frames(&self) -> Option<u32> {
        let of_interval = |interval: i32| u32::try_from(interval.saturating_sub(1)).unwrap_or(0);
        self.b_frames.or_else(|| self.frame_interval_p.map(of_interval))
    }

    /// What is wrong with `frame_interval_p` for an encoder of up to `most` B frames: what is allowed.
    pub(crate) fn wrong_interval(&self, most: u32) -> Option<String> {
        let interval = i64::from(self.frame_interval_p?);
        if !(1..=i64::from(most) + 1).contains(&interval) {
            return Some(format!("1 to {}", u64::from(most) + 1));
        }
        let contradicts = self.b_frames.is_some_and(|b| i64::from(b) + 1 != interval);
        contradicts.then(|| "b_frames + 1, or only one of both settings".to_owned())
    }
}
