//! Video codecs.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A video codec that at least one backend can decode or encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Codec {
    /// ITU-T H.264 | ISO/IEC 14496-10 (AVC).
    H264,
    /// ITU-T H.265 | ISO/IEC 23008-2 (HEVC).
    Hevc,
    /// AOMedia AV1.
    Av1,
    /// VP9.
    Vp9,
    /// VP8.
    Vp8,
    /// ITU-T H.262 | ISO/IEC 13818-2 (MPEG-2 video).
    Mpeg2,
    /// ISO/IEC 14496-2 (MPEG-4 part 2: Simple and Advanced Simple, as DivX and Xvid write it).
    Mpeg4,
    /// SMPTE 421M (VC-1), advanced profile.
    Vc1,
    /// JPEG pictures, one a packet (Motion JPEG).
    Mjpeg,
}

impl Codec {
    /// Every codec, in order of preference for listings.
    pub const ALL: [Self; 9] = [
        Self::H264,
        Self::Hevc,
        Self::Av1,
        Self::Vp9,
        Self::Vp8,
        Self::Mpeg2,
        Self::Mpeg4,
        Self::Vc1,
        Self::Mjpeg,
    ];

    /// The name used on the command line and in JSON (ffmpeg's decoder names).
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
            Self::Vp8 => "vp8",
            Self::Mpeg2 => "mpeg2video",
            Self::Mpeg4 => "mpeg4",
            Self::Vc1 => "vc1",
            Self::Mjpeg => "mjpeg",
        }
    }

    /// Whether coded data is NAL units (Annex-B or length-prefixed layouts).
    pub const fn uses_nal_units(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Codec {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        match s.to_ascii_lowercase().as_str() {
            "h264" | "avc" | "h.264" | "x264" | "libx264" => Ok(Self::H264),
            "hevc" | "h265" | "h.265" | "x265" | "libx265" => Ok(Self::Hevc),
            "av1" => Ok(Self::Av1),
            "vp9" => Ok(Self::Vp9),
            "vp8" => Ok(Self::Vp8),
            "mpeg2video" | "mpeg2" | "mpeg-2" | "h262" => Ok(Self::Mpeg2),
            "mpeg4" | "mpeg-4" => Ok(Self::Mpeg4),
            "vc1" | "vc-1" => Ok(Self::Vc1),
            "mjpeg" | "jpeg" => Ok(Self::Mjpeg),
            _ => {
                let known: Vec<_> = Self::ALL.iter().map(|codec| codec.name()).collect();
                Err(Error::invalid(format!("unknown codec {s:?}; known: {}", known.join(", "))))
            }
        }
    }
}
