//! YUV4MPEG2 (`.y4m`): one header line, then `FRAME` lines, each followed by a packed picture.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use crate::color::ColorInfo;
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pixel::PixelFormat;
use crate::rawvideo::picture_input::{PictureInput, PictureRead};
use crate::rawvideo::raw::write_samples;
use crate::rawvideo::{FrameReader, FrameWriter, VideoFormat, expect_host, y4m_header};
use crate::time::Rational;

/// Longest line accepted; real headers have some 80 bytes, comments (`X` fields) make them longer.
const MAX_LINE: u64 = 4096;

const FRAME_MAGIC: &[u8] = b"FRAME";

/// Reads YUV4MPEG2. Interlaced streams are refused when opened.
pub struct Y4mReader<R> {
    reader: BufReader<R>,
    path: PathBuf,
    pictures: PictureInput,
    ended: bool,
}

impl<R: Read + Send> Y4mReader<R> {
    /// Reads the header; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] for a broken header, [`Error::Unsupported`] for interlaced streams and colour
    /// spaces without a [`PixelFormat`], [`Error::Io`].
    pub fn new(reader: R, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        let Line::Whole(line) = read_line(&mut reader).map_err(|e| Error::io("read", &path, e))? else {
            return Err(Error::corrupt_fatal(format!(
                "{}: the Y4M header has no end of line in its first {MAX_LINE} bytes",
                path.display()
            )));
        };
        let pictures = PictureInput::new(y4m_header::parse(&line)?);
        Ok(Self { reader, path, pictures, ended: false })
    }

    fn read_frame(&mut self) -> Result<Option<Frame>> {
        let io = |e| Error::io("read", &self.path, e);
        let number = self.pictures.next_index();
        match read_line(&mut self.reader).map_err(io)? {
            Line::None => return Ok(None),
            Line::Whole(line) if is_frame_line(&line) => {}
            Line::Whole(_) | Line::Unended => {
                return Err(Error::corrupt_fatal(format!(
                    "{}: expected the FRAME line of frame {number}, found something else",
                    self.path.display()
                )));
            }
        }
        match self.pictures.read(&mut self.reader).map_err(io)?? {
            PictureRead::Whole(frame) => Ok(Some(frame)),
            PictureRead::Short(got) => {
                let whole = self.pictures.frame_bytes();
                Err(Error::corrupt(format!(
                    "{}: frame {number} is cut short: {got} of {whole} bytes, {} missing",
                    self.path.display(),
                    whole - got
                )))
            }
        }
    }
}

impl<R: Read + Send> FrameReader for Y4mReader<R> {
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

enum Line {
    /// The input is at its end.
    None,
    /// A line, without its line feed.
    Whole(Vec<u8>),
    /// The input ended, or [`MAX_LINE`] was reached, before a line feed.
    Unended,
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Line> {
    let mut line = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok(match line.pop() {
        None => Line::None,
        Some(b'\n') => Line::Whole(line),
        Some(_) => Line::Unended,
    })
}

/// `FRAME`, alone or followed by fields (which say nothing that a progressive stream needs).
fn is_frame_line(line: &[u8]) -> bool {
    line.strip_prefix(FRAME_MAGIC).is_some_and(|rest| rest.first().is_none_or(|&b| b == b' '))
}

/// Writes YUV4MPEG2. The frame rate is constant: pictures are written one after another whatever their pts.
pub struct Y4mWriter<W> {
    writer: W,
    path: PathBuf,
    format: VideoFormat,
    frames: u64,
    bytes: u64,
}

impl<W: Write + Send> Y4mWriter<W> {
    /// Writes the header; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for RGB and semi-planar formats, [`Error::Io`].
    pub fn new(mut writer: W, path: impl Into<PathBuf>, format: VideoFormat) -> Result<Self> {
        let path = path.into();
        let header = y4m_header::format(&format)?;
        writer.write_all(header.as_bytes()).map_err(|e| Error::io_writing("write", &path, e))?;
        Ok(Self { writer, path, format, frames: 0, bytes: header.len() as u64 })
    }
}

impl<W: Write + Send> FrameWriter for Y4mWriter<W> {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let expected = (self.format.format, self.format.dimensions);
        let host = expect_host(frame, self.frames, expected, &self.path)?;
        self.writer.write_all(b"FRAME\n").map_err(|e| Error::io_writing("write", &self.path, e))?;
        self.bytes += 6 + write_samples(&mut self.writer, host, &self.path)?;
        self.frames += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        self.writer.flush().map_err(|e| Error::io_writing("write", &self.path, e))?;
        Ok(self.bytes)
    }
}
