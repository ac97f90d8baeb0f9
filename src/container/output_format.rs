//! The format of an output, told from its name.

use std::fmt;
use std::path::Path;

use crate::codec::Codec;
use crate::error::{Error, Remedy, Result};
use crate::rawvideo::PngPattern;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputFormat {
    /// MP4 or MOV.
    Mp4,
    /// A raw stream of this codec, H.264 or H.265, in Annex B.
    Elementary(Codec),
    /// IVF.
    Ivf,
    /// Matroska.
    Matroska,
    /// WebM.
    WebM,
    /// MPEG transport stream.
    MpegTs,
    /// The same in packets of 192 bytes, as cameras and discs have it.
    M2ts,
    /// YUV4MPEG2.
    Y4m,
    /// Headerless pictures.
    RawVideo,
    /// One PNG file per picture.
    PngSequence,
}

/// The format's name for messages and the names by which it may be chosen: as an explicit format, and after
/// the last point of a file name.
const NAMES: [(OutputFormat, &str, &[&str]); 11] = [
    (OutputFormat::Mp4, "mp4", &["mp4", "m4v", "mov"]),
    (OutputFormat::Elementary(Codec::H264), "h264", &["h264", "264", "avc", "jsv", "26l"]),
    (OutputFormat::Elementary(Codec::Hevc), "hevc", &["hevc", "h265", "265"]),
    (OutputFormat::Ivf, "ivf", &["ivf"]),
    (OutputFormat::Matroska, "mkv", &["mkv", "mka", "mks", "matroska"]),
    (OutputFormat::WebM, "webm", &["webm"]),
    (OutputFormat::MpegTs, "mpegts", &["ts", "mpegts"]),
    (OutputFormat::M2ts, "m2ts", &["m2ts", "mts"]),
    (OutputFormat::Y4m, "y4m", &["y4m", "yuv4mpegpipe"]),
    (OutputFormat::RawVideo, "rawvideo", &["yuv", "rawvideo", "raw"]),
    (OutputFormat::PngSequence, "png", &["png", "image2"]),
];

impl OutputFormat {
    /// The error of who lacks an encoder for this format, with what else can be written where that is all it holds.
    pub(crate) fn without_encoder(self, error: Error) -> Error {
        let Some(codec) = self.implied_codec().filter(|codec| *codec != Codec::H264) else { return error };
        let codecs = if codec == Codec::Av1 { "AV1 or VP9".to_owned() } else { codec.to_string() };
        let words = format!(
            "{self} output needs an encoder of {codecs}; .mp4 and .mkv hold H.264, which is encoded everywhere"
        );
        match error.remedy() {
            Remedy::None if codec == Codec::Av1 && matches!(error, Error::Unsupported { .. }) => {
                error.with_remedy(words)
            }
            Remedy::OtherCodec { or, .. } => {
                let or = [words.into()].into_iter().chain(or).collect();
                error.with_remedy(Remedy::OtherCodec { works: None, or })
            }
            _ => error,
        }
    }

    /// The codec that the format alone decides.
    pub const fn implied_codec(self) -> Option<Codec> {
        match self {
            Self::Elementary(codec) => Some(codec),
            Self::Ivf | Self::WebM => Some(Codec::Av1),
            Self::Mp4
            | Self::Matroska
            | Self::MpegTs
            | Self::M2ts
            | Self::Y4m
            | Self::RawVideo
            | Self::PngSequence => None,
        }
    }

    /// The format for `path`: the `explicit` one, where there is one, else the one that the extension
    /// means. `-` (standard output) has no extension and needs an explicit one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for unknown names, and for a PNG sequence whose name is no
    /// [`PngPattern`].
    pub fn from_path(path: &Path, explicit: Option<&str>) -> Result<Self> {
        let known = || {
            let names: Vec<_> = NAMES.iter().map(|(_, name, _)| *name).collect();
            names.join(", ")
        };
        let format = match explicit {
            Some(name) => by_name(name).ok_or_else(|| {
                Error::invalid(format!("unknown output format {name:?}; known: {}", known()))
            })?,
            None if path.as_os_str() == "-" => {
                let what = "standard output has no file extension";
                return Err(Error::invalid(what).with_remedy(Remedy::OutputFormat(known())));
            }
            None => path.extension().and_then(|e| by_name(e.to_str()?)).ok_or_else(|| {
                let what = format!("output {} has no extension that names a format", path.display());
                Error::invalid(what).with_remedy(Remedy::OutputFormat(known()))
            })?,
        };
        if format == Self::PngSequence {
            PngPattern::parse_one(path)?;
        }
        Ok(format)
    }

    /// Whether uncompressed pictures are written, by a [`crate::rawvideo::FrameWriter`].
    pub const fn is_uncompressed(self) -> bool {
        matches!(self, Self::Y4m | Self::RawVideo | Self::PngSequence)
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(format, ..)| format == self).map_or("other", |(_, name, _)| name);
        f.write_str(name)
    }
}

fn by_name(name: &str) -> Option<OutputFormat> {
    let name = name.to_ascii_lowercase();
    NAMES.iter().find(|(_, _, names)| names.contains(&name.as_str())).map(|(format, ..)| *format)
}

/// The codec that the extension of a raw stream means.
pub(super) fn elementary_codec_of_name(path: &Path) -> Option<Codec> {
    match by_name(path.extension()?.to_str()?)? {
        OutputFormat::Elementary(codec) => Some(codec),
        _ => None,
    }
}

/// Whether the extension means headerless pictures.
pub(super) fn is_raw_video_name(path: &Path) -> bool {
    path.extension().and_then(|e| by_name(e.to_str()?)) == Some(OutputFormat::RawVideo)
}
