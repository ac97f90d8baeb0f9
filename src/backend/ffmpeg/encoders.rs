//! The encoders inside ffmpeg that are used, and what each can be told.

use crate::codec::Codec;
use crate::pixel::PixelFormat;

/// Encoders that are spoken to in the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// libx264.
    X264,
    /// libx265.
    X265,
    /// libsvtav1.
    SvtAv1,
    /// NVENC.
    Nvenc,
    /// Intel Quick Sync Video.
    Qsv,
    /// VA-API.
    Vaapi,
    /// VideoToolbox.
    VideoToolbox,
}

/// An encoder of ffmpeg.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Encoder {
    /// ffmpeg's name.
    pub(super) name: &'static str,
    /// The name in receipts.
    pub(super) implementation: &'static str,
    /// What comes out.
    pub(super) codec: Codec,
    /// Who is behind it.
    pub(super) family: Family,
}

const fn encoder(name: &'static str, implementation: &'static str, codec: Codec, family: Family) -> Encoder {
    Encoder { name, implementation, codec, family }
}

/// Those of each codec, hardware first. In which order they are tried is not said here but in the table of engines.
pub(super) const ENCODERS: [Encoder; 14] = [
    encoder("h264_nvenc", "ffmpeg, h264_nvenc", Codec::H264, Family::Nvenc),
    encoder("h264_qsv", "ffmpeg, h264_qsv", Codec::H264, Family::Qsv),
    encoder("h264_videotoolbox", "ffmpeg, h264_videotoolbox", Codec::H264, Family::VideoToolbox),
    encoder("h264_vaapi", "ffmpeg, h264_vaapi", Codec::H264, Family::Vaapi),
    encoder("libx264", "ffmpeg, libx264", Codec::H264, Family::X264),
    encoder("hevc_nvenc", "ffmpeg, hevc_nvenc", Codec::Hevc, Family::Nvenc),
    encoder("hevc_qsv", "ffmpeg, hevc_qsv", Codec::Hevc, Family::Qsv),
    encoder("hevc_videotoolbox", "ffmpeg, hevc_videotoolbox", Codec::Hevc, Family::VideoToolbox),
    encoder("hevc_vaapi", "ffmpeg, hevc_vaapi", Codec::Hevc, Family::Vaapi),
    encoder("libx265", "ffmpeg, libx265", Codec::Hevc, Family::X265),
    encoder("av1_nvenc", "ffmpeg, av1_nvenc", Codec::Av1, Family::Nvenc),
    encoder("av1_qsv", "ffmpeg, av1_qsv", Codec::Av1, Family::Qsv),
    encoder("av1_vaapi", "ffmpeg, av1_vaapi", Codec::Av1, Family::Vaapi),
    encoder("libsvtav1", "ffmpeg, libsvtav1", Codec::Av1, Family::SvtAv1),
];

/// What the encoder of a codec is called that some family has.
fn name_of(families: &[Family], codec: Codec) -> Option<&'static str> {
    let fits = |encoder: &&Encoder| encoder.codec == codec && families.contains(&encoder.family);
    ENCODERS.iter().find(fits).map(|encoder| encoder.name)
}

/// Names of the encoders of each engine, for the table of engines.
pub(crate) mod names {
    use super::{Codec, Family, name_of};

    pub(crate) fn qsv(codec: Codec) -> Option<&'static str> {
        name_of(&[Family::Qsv], codec)
    }

    pub(crate) fn videotoolbox(codec: Codec) -> Option<&'static str> {
        name_of(&[Family::VideoToolbox], codec)
    }

    pub(crate) fn vaapi(codec: Codec) -> Option<&'static str> {
        name_of(&[Family::Vaapi], codec)
    }

    pub(crate) fn cpu(codec: Codec) -> Option<&'static str> {
        name_of(&[Family::X264, Family::X265, Family::SvtAv1], codec)
    }
}

/// Formats that may be asked of an encoder: Y'CbCr as it comes, so that ffmpeg never converts a sample.
const FORMATS: [PixelFormat; 14] = [
    PixelFormat::I420,
    PixelFormat::Nv12,
    PixelFormat::I422,
    PixelFormat::I444,
    PixelFormat::I010,
    PixelFormat::P010,
    PixelFormat::I210,
    PixelFormat::I410,
    PixelFormat::I012,
    PixelFormat::I212,
    PixelFormat::I412,
    PixelFormat::Gray8,
    PixelFormat::Gray10,
    PixelFormat::Gray12,
];

impl Encoder {
    /// The encoder of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ENCODERS.iter().find(|encoder| encoder.name == name)
    }

    /// Whether it needs a device: then its name in a list proves nothing.
    pub(super) const fn is_hardware(&self) -> bool {
        !matches!(self.family, Family::X264 | Family::X265 | Family::SvtAv1)
    }

    /// The formats that it takes, of those that this build of it states.
    pub(super) fn formats(&self, stated: &[String]) -> Vec<PixelFormat> {
        // VA-API names the memory it takes, not the formats that can be uploaded to it.
        if self.family == Family::Vaapi {
            return vec![PixelFormat::Nv12, PixelFormat::P010];
        }
        let known = FORMATS.into_iter().filter(|format| stated.iter().any(|name| name == format.name()));
        known.collect()
    }

    /// Most B frames between P frames.
    pub(super) const fn max_b_frames(&self) -> u32 {
        match self.family {
            Family::X264 | Family::X265 => 16,
            // Its pyramids have a fixed shape.
            Family::SvtAv1 => 0,
            Family::Nvenc | Family::Qsv => 4,
            Family::Vaapi | Family::VideoToolbox => 2,
        }
    }

    /// Lowest and highest constant quantiser.
    pub(super) const fn qp_range(&self) -> (u8, u8) {
        match self.family {
            // From 0 on lossless, in another profile.
            Family::X264 | Family::X265 | Family::Nvenc => (1, 51),
            Family::SvtAv1 => (1, 63),
            Family::Qsv | Family::Vaapi => (1, 51),
            Family::VideoToolbox => (0, 0),
        }
    }

    /// Lowest (best) and highest constant quality, on the encoder's own scale.
    pub(super) const fn quality_range(&self) -> (u8, u8) {
        match self.family {
            Family::X264 | Family::X265 | Family::Nvenc | Family::Qsv | Family::Vaapi => (1, 51),
            Family::SvtAv1 => (1, 63),
            // Upside down: 100 is best.
            Family::VideoToolbox => (1, 100),
        }
    }

    /// Names of presets, fastest first.
    pub(super) const fn presets(&self) -> &'static [&'static str] {
        match self.family {
            Family::X264 | Family::X265 => &[
                "ultrafast",
                "superfast",
                "veryfast",
                "faster",
                "fast",
                "medium",
                "slow",
                "slower",
                "veryslow",
                "placebo",
            ],
            Family::SvtAv1 => &["13", "12", "11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"],
            Family::Nvenc => &["p1", "p2", "p3", "p4", "p5", "p6", "p7"],
            Family::Qsv => &["veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"],
            Family::Vaapi | Family::VideoToolbox => &[],
        }
    }

    /// Names of tunings.
    pub(super) const fn tunes(&self) -> &'static [&'static str] {
        match self.family {
            Family::X264 => {
                &["film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"]
            }
            Family::X265 => &["psnr", "ssim", "grain", "fastdecode", "zerolatency", "animation"],
            Family::Nvenc => &["hq", "ll", "ull"],
            Family::SvtAv1 | Family::Qsv | Family::Vaapi | Family::VideoToolbox => &[],
        }
    }

    /// Options that a user may set beyond those: they shape how pictures are coded. Left out is whatever would read or
    /// write a file, change what comes out (its order, its key frames, its parameter sets), or is set by the common
    /// settings.
    pub(super) const fn options(&self) -> &'static [&'static str] {
        match self.family {
            Family::X264 => &[
                "8x8dct",
                "aq-mode",
                "aq-strength",
                "chromaoffset",
                "coder",
                "cplxblur",
                "deblock",
                "direct-pred",
                "fast-pskip",
                "level",
                "mbtree",
                "me_range",
                "mixed-refs",
                "partitions",
                "profile",
                "psy",
                "psy-rd",
                "qcomp",
                "qdiff",
                "qmax",
                "qmin",
                "rc-lookahead",
                "refs",
                "slices",
                "subq",
                "trellis",
                "weightb",
                "weightp",
            ],
            Family::X265 => &[
                "amp",
                "aq-mode",
                "aq-strength",
                "cbqpoffs",
                "crqpoffs",
                "ctu",
                "cutree",
                "deblock",
                "hdr10",
                "high-tier",
                "level-idc",
                "limit-sao",
                "master-display",
                "max-cll",
                "max-merge",
                "me",
                "merange",
                "psy-rd",
                "psy-rdoq",
                "qcomp",
                "qpmax",
                "qpmin",
                "rc-lookahead",
                "rd",
                "rdoq-level",
                "rect",
                "ref",
                "sao",
                "slices",
                "strong-intra-smoothing",
                "subme",
                "tskip",
                "weightb",
                "weightp",
            ],
            Family::SvtAv1 => &[
                "aq-mode",
                "enable-cdef",
                "enable-restoration",
                "enable-tf",
                "fast-decode",
                "film-grain",
                "film-grain-denoise",
                "lookahead",
                "scm",
                "tile-columns",
                "tile-rows",
                "tune",
            ],
            Family::Nvenc => &[
                "aq-strength",
                "level",
                "multipass",
                "profile",
                "rc-lookahead",
                "spatial-aq",
                "temporal-aq",
                "tier",
                "weighted_pred",
            ],
            Family::Qsv => {
                &["async_depth", "level", "look_ahead", "look_ahead_depth", "low_power", "profile"]
            }
            Family::Vaapi => &["compression_level", "level", "low_power", "profile", "quality"],
            Family::VideoToolbox => &["allow_sw", "level", "profile"],
        }
    }
}
