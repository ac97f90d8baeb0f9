//! Creating a muxer for an output.

use super::Muxer;
use super::elementary::ElementaryMuxer;
use super::ivf::IvfMuxer;
use super::matroska::MatroskaMuxer;
use super::mp4::{Mp4FragmentMuxer, Mp4MuxOptions, Mp4Muxer};
use super::mpegts::MpegTsMuxer;
use super::output_format::OutputFormat;
use crate::config::setters::setters;
use crate::error::{Error, Result};
use crate::output_file::OutputFile;

/// Where an MP4 file keeps its index. Other formats have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxOptions {
    /// In front of the media data, so that playing over a network begins at once. Costs a second pass over the
    /// output when it is finished.
    pub faststart: bool,
    /// In pieces: a short header, then fragments that each describe themselves. Always so where the output
    /// cannot seek.
    pub fragmented: bool,
}

setters!(MuxOptions { faststart: bool, fragmented: bool });

/// A muxer of `format` that writes into `file`. The caller commits the file after [`Muxer::finish`].
///
/// # Errors
/// [`Error::Unsupported`] for formats that hold uncompressed pictures, and for `options` that the format or the
/// output cannot honour.
pub fn create_muxer(format: OutputFormat, file: &OutputFile, options: MuxOptions) -> Result<Box<dyn Muxer>> {
    let (writer, path) = (file.writer(), file.path().to_owned());
    let MuxOptions { faststart, fragmented } = options;
    let refuse =
        |feature: String, remedy: &'static str| Err(Error::Unsupported { feature, remedy: remedy.into() });
    if faststart && fragmented {
        return Err(Error::invalid("faststart and fragmented exclude each other: choose one"));
    }
    match format {
        OutputFormat::Mp4 if faststart && !file.is_seekable() => {
            refuse("faststart into a pipe".to_owned(), "write a file, or fragmented MP4")
        }
        OutputFormat::Mp4 if fragmented || !file.is_seekable() => {
            Ok(Box::new(Mp4FragmentMuxer::new(writer, Mp4MuxOptions { path })))
        }
        OutputFormat::Mp4 if faststart => {
            Ok(Box::new(Mp4Muxer::create_faststart(writer, Mp4MuxOptions { path })?))
        }
        OutputFormat::Mp4 => Ok(Box::new(Mp4Muxer::create(writer, Mp4MuxOptions { path })?)),
        OutputFormat::Elementary(_)
        | OutputFormat::Ivf
        | OutputFormat::Matroska
        | OutputFormat::WebM
        | OutputFormat::MpegTs
        | OutputFormat::M2ts
            if faststart || fragmented =>
        {
            refuse(
                format!("faststart or fragmented {format} output"),
                "only MP4 can move its index; write .mp4",
            )
        }
        OutputFormat::Elementary(_) => Ok(Box::new(ElementaryMuxer::new(writer, path))),
        OutputFormat::Ivf => Ok(Box::new(IvfMuxer::new(writer, path))),
        OutputFormat::Matroska | OutputFormat::WebM => {
            let webm = format == OutputFormat::WebM;
            Ok(Box::new(if file.is_seekable() {
                MatroskaMuxer::create(writer, path, webm)
            } else {
                MatroskaMuxer::stream(writer, path, webm)
            }))
        }
        OutputFormat::MpegTs => Ok(Box::new(MpegTsMuxer::new(writer, path))),
        OutputFormat::M2ts => Ok(Box::new(MpegTsMuxer::m2ts(writer, path))),
        OutputFormat::Y4m | OutputFormat::RawVideo | OutputFormat::PngSequence => refuse(
            format!("{format} output for compressed video"),
            "use .mp4, .mkv, .ts, .h264, .h265 or .ivf, or decode instead",
        ),
    }
}
