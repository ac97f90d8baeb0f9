//! The names of the backends: a noun, so that errors and capabilities can name one without knowing the seam.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// An implementation family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BackendKind {
    /// NVIDIA NVDEC / NVENC.
    Nvidia,
    /// Intel Quick Sync Video, by oneVPL.
    Qsv,
    /// Apple VideoToolbox.
    VideoToolbox,
    /// The embedded CPU codecs, always there.
    Software,
    /// A child `ffmpeg` process, where that program is installed. Of decoders it is the last resort.
    Ffmpeg,
    /// One handed in by the caller ([`crate::session::DecodeSession::with_backend`]).
    Custom,
}

impl BackendKind {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Nvidia, Self::Qsv, Self::VideoToolbox, Self::Software, Self::Ffmpeg, Self::Custom];

    /// The one that needs nothing but this library and the host's memory.
    pub(crate) const EMBEDDED: Self = Self::Software;

    /// Name on the command line, in JSON and in metrics labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Qsv => "qsv",
            Self::VideoToolbox => "videotoolbox",
            Self::Software => "software",
            Self::Ffmpeg => "ffmpeg",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        match s.to_ascii_lowercase().as_str() {
            "nvidia" | "nvdec" | "nvenc" | "cuda" => Ok(Self::Nvidia),
            "qsv" | "vpl" | "onevpl" | "intel" => Ok(Self::Qsv),
            "videotoolbox" | "vt" => Ok(Self::VideoToolbox),
            "software" | "cpu" | "sw" => Ok(Self::Software),
            "ffmpeg" => Ok(Self::Ffmpeg),
            _ => {
                let known = Self::ALL.iter().filter(|kind| **kind != Self::Custom).map(|kind| kind.name());
                let known = known.collect::<Vec<_>>().join(", ");
                Err(Error::invalid(format!("unknown backend {s:?}; known: auto, {known}")))
            }
        }
    }
}
