//! Settings that one backend alone understands.

mod nvenc;
mod vpl;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::backend_kind::BackendKind;
use crate::codec::Codec;
use crate::config::setters::setters;

pub use nvenc::{BReference, IntraRefresh, MultiPass, SpatialAq};
pub use vpl::VplEncodeConfig;

/// Settings that only one backend understands. Given to another backend they are refused before the first
/// frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendEncodeConfig {
    /// Nothing special.
    #[default]
    None,
    /// NVENC.
    Nvidia(NvidiaEncodeConfig),
    /// Intel's encoders through oneVPL.
    Vpl(VplEncodeConfig),
    /// VideoToolbox.
    VideoToolbox(VtEncodeConfig),
    /// The embedded CPU encoders.
    Software(SoftwareEncodeConfig),
    /// An encoder of a child `ffmpeg`.
    Ffmpeg(FfmpegEncodeConfig),
}

impl BackendEncodeConfig {
    /// Whose settings these are.
    const fn backend(&self) -> Option<BackendKind> {
        Some(match self {
            Self::None => return None,
            Self::Nvidia(_) => BackendKind::Nvidia,
            Self::Vpl(_) => BackendKind::Qsv,
            Self::VideoToolbox(_) => BackendKind::VideoToolbox,
            Self::Software(_) => BackendKind::Software,
            Self::Ffmpeg(_) => BackendKind::Ffmpeg,
        })
    }

    /// The name of the backend whose settings these are.
    pub(crate) fn owner(&self) -> &'static str {
        self.backend().map_or("none", BackendKind::name)
    }

    /// Whether a backend takes these settings: its own, or none at all.
    pub const fn fits(&self, kind: BackendKind) -> bool {
        match self.backend() {
            None => true,
            Some(own) => own as u8 == kind as u8,
        }
    }
}

/// NVENC settings. `None` leaves the choice to the preset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NvidiaEncodeConfig {
    /// Pictures submitted before the oldest output is waited for (1 to 64), besides those that the encoder itself holds
    /// back for B frames and lookahead. Two keep the engine busy, more bridge moments in which the program does not run;
    /// 6 by default (docs/bench/nvenc-simulated.md has the table).
    pub max_in_flight_outputs: usize,
    /// The same for single codecs; the first entry of a codec counts.
    pub max_in_flight_by_codec: Vec<(Codec, usize)>,
    /// `p1` (fastest) to `p7`.
    pub preset: Option<String>,
    /// `hq`, `uhq` (HEVC, AV1), `ll`, `ull`, `lossless`.
    pub tuning: Option<String>,
    /// Passes over each picture; with a bit rate or constant quality.
    pub multi_pass: Option<MultiPass>,
    /// Frames that the encoder looks ahead, 0 (none) to 31 less the number of B frames.
    pub lookahead: Option<u32>,
    /// How thoroughly it looks ahead, 0 to 3; needs `lookahead` and driver API 12.2.
    pub lookahead_level: Option<u8>,
    /// Adaptive quantisation inside a picture.
    pub spatial_aq: Option<SpatialAq>,
    /// Adaptive quantisation from picture to picture: what stays gets more bits.
    pub temporal_aq: Option<bool>,
    /// Which B frames are referred to.
    pub b_reference: Option<BReference>,
    /// Intra blocks that move over the picture instead of IDR pictures; excludes B frames and `gop_length`.
    pub intra_refresh: Option<IntraRefresh>,
    /// Sessions that the driver takes at once, where that is known. `None`: its refusals teach it.
    pub session_limit: Option<NonZeroUsize>,
    /// The folder in which processes count their sessions; made where there is none, for this user alone. It has to belong
    /// to this user or to root. `None`: `/run/video-hw` where an administrator made it for all users, otherwise the user's
    /// own, where the system keeps temporary files. Processes with different ones do not see each other.
    pub session_directory: Option<PathBuf>,
}

setters!(NvidiaEncodeConfig { max_in_flight_outputs: usize, max_in_flight_by_codec: Vec<(Codec, usize)> } option {
    preset: String, tuning: String, multi_pass: MultiPass, lookahead: u32, lookahead_level: u8,
    spatial_aq: SpatialAq, temporal_aq: bool, b_reference: BReference, intra_refresh: IntraRefresh,
    session_limit: NonZeroUsize, session_directory: PathBuf,
});

impl Default for NvidiaEncodeConfig {
    fn default() -> Self {
        Self {
            max_in_flight_outputs: 6,
            max_in_flight_by_codec: Vec::new(),
            preset: None,
            tuning: None,
            multi_pass: None,
            lookahead: None,
            lookahead_level: None,
            spatial_aq: None,
            temporal_aq: None,
            b_reference: None,
            intra_refresh: None,
            session_limit: None,
            session_directory: None,
        }
    }
}

/// Whether VideoToolbox decodes by hardware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VtHardware {
    /// Or it refuses the stream.
    Require,
    /// Where there is some for the stream, else on the CPU, which the summary notes.
    #[default]
    Allow,
    /// On the CPU alone.
    Never,
}

/// Decode settings that one backend alone has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendDecodeConfig {
    /// None.
    #[default]
    None,
    /// Settings of [`crate::backend::BackendKind::VideoToolbox`].
    VideoToolbox(VtDecodeConfig),
}

/// What decoding by VideoToolbox alone has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VtDecodeConfig {
    /// By what it decodes.
    pub hardware: VtHardware,
    /// Frames that are wanted as [`PixelFormat::Bgra`](crate::pixel::PixelFormat::Bgra), whole and in their own size, are converted by
    /// the system on the way out of the decoder. How it rounds is its own affair; otherwise they are converted exactly.
    pub system_bgra: bool,
}

setters!(VtDecodeConfig { hardware: VtHardware, system_bgra: bool });

/// VideoToolbox settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VtEncodeConfig {
    /// `kVTCompressionPropertyKey_RealTime`; with low latency it is true in any case.
    pub real_time: Option<bool>,
    /// An encoder of Apple's that runs on the CPU will do where there is no hardware. By default it is refused.
    pub allow_cpu: bool,
}

setters!(VtEncodeConfig { allow_cpu: bool } option { real_time: bool });

/// Settings of the embedded CPU encoders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoftwareEncodeConfig {
    /// 0 (slowest, best) to 2 (fastest) for H.264; `None`: the middle.
    pub speed: Option<u8>,
}

setters!(SoftwareEncodeConfig {} option { speed: u8 });

/// Settings of the encoders of a child `ffmpeg`. The program itself is a device: [`CommonEncodeConfig::device`](super::CommonEncodeConfig::device) names it
/// by its path, otherwise it is the one on the PATH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FfmpegEncodeConfig {
    /// ffmpeg's name of the encoder: `libx264`, `libx265`, `libsvtav1`, `h264_nvenc` ... `None`: the first of the codec
    /// that works here, hardware first; `h264_nvenc` and its like only by name.
    pub encoder: Option<String>,
    /// The encoder's own name of a preset.
    pub preset: Option<String>,
    /// The encoder's own name of a tuning.
    pub tune: Option<String>,
    /// The card of a hardware encoder: the number of one for NVENC, the path of its node for VA-API.
    pub card: Option<String>,
    /// Further options of the encoder and their values. Only those that shape pictures are taken; an option that is
    /// not known, or a value with other characters than letters, digits and `. _ , + - ( )`, is refused.
    pub options: Vec<(String, String)>,
}

setters!(FfmpegEncodeConfig { options: Vec<(String, String)> } option { encoder: String, preset: String, tune: String, card: String });
