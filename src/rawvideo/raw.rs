//! Headerless pictures: all rows of all planes, one picture after another (ffmpeg's `rawvideo`).

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::pixel::PixelFormat;
use crate::rawvideo::picture_input::{PictureInput, PictureRead};
use crate::rawvideo::{FrameReader, FrameWriter, VideoFormat, expect_host};
use crate::time::Rational;

/// Reads headerless pictures. Nothing in the file tells the format: the caller states it.
pub struct RawReader<R> {
    reader: R,
    path: PathBuf,
    pictures: PictureInput,
    ended: bool,
}

impl<R: Read + Send> RawReader<R> {
    /// Pictures of `format` from `reader`; `path` is named in errors.
    pub fn new(reader: R, path: impl Into<PathBuf>, format: VideoFormat) -> Self {
        Self { reader, path: path.into(), pictures: PictureInput::new(format), ended: false }
    }

    fn read_frame(&mut self) -> Result<Option<Frame>> {
        let read = self.pictures.read(&mut self.reader).map_err(|e| Error::io("read", &self.path, e))??;
        match read {
            PictureRead::Whole(frame) => Ok(Some(frame)),
            PictureRead::Short(0) => Ok(None),
            PictureRead::Short(got) => {
                let VideoFormat { format, dimensions, .. } = self.pictures.format();
                let whole = self.pictures.frame_bytes();
                Err(Error::corrupt(format!(
                    "{}: frame {} is cut short: {got} of {whole} bytes, {} missing; a {dimensions} {format} \
                     file is a multiple of {whole} bytes (check size and pixel format)",
                    self.path.display(),
                    self.pictures.next_index(),
                    whole - got,
                )))
            }
        }
    }
}

impl<R: Read + Send> FrameReader for RawReader<R> {
    fn format(&self) -> PixelFormat {
        self.pictures.format().format
    }

    fn dimensions(&self) -> Dimensions {
        self.pictures.format().dimensions
    }

    fn frame_rate(&self) -> Rational {
        self.pictures.format().frame_rate
    }

    fn color(&self) -> ColorInfo {
        self.pictures.format().color
    }

    fn sample_aspect_ratio(&self) -> Option<Rational> {
        self.pictures.format().sample_aspect_ratio
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.ended {
            return Ok(None);
        }
        let result = self.read_frame();
        self.ended = !matches!(result, Ok(Some(_)));
        result
    }
}

/// Writes headerless pictures.
pub struct RawWriter<W> {
    writer: W,
    path: PathBuf,
    format: PixelFormat,
    dimensions: Dimensions,
    frames: u64,
    bytes: u64,
}

impl<W: Write + Send> RawWriter<W> {
    /// Pictures of this format and size to `writer`; `path` is named in errors.
    pub fn new(writer: W, path: impl Into<PathBuf>, format: PixelFormat, dimensions: Dimensions) -> Self {
        Self { writer, path: path.into(), format, dimensions, frames: 0, bytes: 0 }
    }
}

impl<W: Write + Send> FrameWriter for RawWriter<W> {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let host = expect_host(frame, self.frames, (self.format, self.dimensions), &self.path)?;
        self.bytes += write_samples(&mut self.writer, host, &self.path)?;
        self.frames += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        self.writer.flush().map_err(|e| Error::io_writing("write", &self.path, e))?;
        Ok(self.bytes)
    }
}

/// Writes the samples of all planes without padding, straight from their memory; returns the bytes.
pub(super) fn write_samples(writer: &mut impl Write, host: &HostSurface, path: &Path) -> Result<u64> {
    for plane in host.planes() {
        let written = match plane.as_contiguous() {
            Some(all) => writer.write_all(all),
            None => plane.iter_rows().try_for_each(|row| writer.write_all(row)),
        };
        written.map_err(|e| Error::io_writing("write", path, e))?;
    }
    Ok(host.format().frame_bytes(host.dimensions()) as u64)
}
