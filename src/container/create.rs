//! Creating a muxer for an output.

use super::output_format::OutputFormat;
use super::{Muxer, ivf::IvfMuxer};
use crate::error::{Error, Result};
use crate::output_file::OutputFile;

/// A muxer of `format` that writes into `file`. The caller commits the file after [`Muxer::finish`].
///
/// # Errors
/// [`Error::Unsupported`] for formats that hold uncompressed pictures, and for MP4 into a pipe.
pub fn create_muxer(format: OutputFormat, file: &OutputFile) -> Result<Box<dyn Muxer>> {
    let writer = file.writer();
    match format {
        OutputFormat::Ivf => Ok(Box::new(IvfMuxer::new(writer, file.path()))),
        other => Err(Error::Unsupported {
            feature: format!("{other} output for compressed video"),
            remedy: "use .mp4, .h264, .h265 or .ivf".to_owned(),
        }),
    }
}
