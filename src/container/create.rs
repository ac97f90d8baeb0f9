//! Creating a muxer for an output.

use super::Muxer;
use super::elementary::ElementaryMuxer;
use super::ivf::IvfMuxer;
use super::mp4::{Mp4MuxOptions, Mp4Muxer};
use super::output_format::OutputFormat;
use crate::error::{Error, Result};
use crate::output_file::OutputFile;

/// A muxer of `format` that writes into `file`. The caller commits the file after [`Muxer::finish`].
///
/// # Errors
/// [`Error::Unsupported`] for formats that hold uncompressed pictures, and for MP4 into a pipe.
pub fn create_muxer(format: OutputFormat, file: &OutputFile) -> Result<Box<dyn Muxer>> {
    let (writer, path) = (file.writer(), file.path().to_owned());
    match format {
        OutputFormat::Mp4 if !file.is_seekable() => Err(Error::Unsupported {
            feature: "MP4 into a pipe".to_owned(),
            remedy: "write a file, or another format with --format h264".to_owned(),
        }),
        OutputFormat::Mp4 => Ok(Box::new(Mp4Muxer::create(writer, Mp4MuxOptions { path })?)),
        OutputFormat::Elementary(_) => Ok(Box::new(ElementaryMuxer::new(writer, path))),
        OutputFormat::Ivf => Ok(Box::new(IvfMuxer::new(writer, path))),
        OutputFormat::Y4m | OutputFormat::RawVideo | OutputFormat::PngSequence => Err(Error::Unsupported {
            feature: format!("{format} output for compressed video"),
            remedy: "use .mp4, .h264, .h265 or .ivf, or decode instead".to_owned(),
        }),
    }
}
