//! One PNG file per picture.

use std::fs;
use std::path::{Path, PathBuf};

use ::png::{BitDepth, ColorType, Compression, Encoder, EncodingError};

use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::output_file::OutputFile;
use crate::pixel::PixelFormat;
use crate::rawvideo::{FrameWriter, expect_host};

/// Number of the first picture, as ffmpeg's `image2` counts.
const FIRST_NUMBER: u64 = 1;

/// Widest zero padding: the digits of the largest number.
const MAX_WIDTH: usize = 20;

/// File names with a running number: a path with exactly one `%d` or `%0Nd`; `%%` is a percent sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PngPattern {
    before: String,
    after: String,
    /// `None`: the name is that of one picture.
    width: Option<usize>,
}

impl PngPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is not exactly one number, or any other conversion.
    pub fn parse(path: &Path) -> Result<Self> {
        let bad = |why: &str| {
            Error::invalid(format!("picture sequence {}: {why}; name it like frame-%05d.png", path.display()))
        };
        let Some(text) = path.to_str() else { return Err(bad("the name is not UTF-8")) };
        let (mut before, mut after) = (String::new(), String::new());
        let mut width = None;
        let mut rest = text;
        while let Some((literal, conversion)) = rest.split_once('%') {
            let part = if width.is_none() { &mut before } else { &mut after };
            part.push_str(literal);
            if let Some(tail) = conversion.strip_prefix('%') {
                part.push('%');
                rest = tail;
                continue;
            }
            let Some((digits, tail)) = conversion.split_once('d') else {
                return Err(bad("a % is not followed by d, 0Nd or %"));
            };
            let parsed = match digits {
                "" => Some(0),
                _ if !digits.bytes().all(|b| b.is_ascii_digit()) => None,
                _ => digits.strip_prefix('0').and_then(|n| n.parse().ok()).filter(|n| *n <= MAX_WIDTH),
            };
            let Some(parsed) = parsed else { return Err(bad("a % is not followed by d, 0Nd or %")) };
            if width.replace(parsed).is_some() {
                return Err(bad("it has more than one number"));
            }
            rest = tail;
        }
        let Some(_) = width else { return Err(bad("it has no number, so it names one file")) };
        after.push_str(rest);
        Ok(Self { before, after, width })
    }

    /// As [`Self::parse`], for one picture, whose name needs no number.
    ///
    /// # Errors
    /// As there, for a name with a percent sign.
    pub fn parse_one(path: &Path) -> Result<Self> {
        match path.to_str().filter(|name| !name.contains('%')) {
            Some(name) => Ok(Self { before: name.to_owned(), after: String::new(), width: None }),
            None => Self::parse(path),
        }
    }

    /// The name of picture `number`.
    pub fn path(&self, number: u64) -> PathBuf {
        let Self { before, after, width } = self;
        PathBuf::from(match width {
            Some(width) => format!("{before}{number:0width$}{after}"),
            None => before.clone(),
        })
    }

    /// The number for which [`Self::path`] gives `name`.
    pub(super) fn number_of(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = digits.parse().ok()?;
        (self.path(number) == Path::new(name)).then_some(number)
    }
}

/// Writes [`PixelFormat::Rgb24`] pictures as numbered PNG files, from 1. Each file appears complete or not at
/// all; the pictures may differ in size.
#[derive(Debug)]
pub struct PngSequenceWriter {
    pattern: PngPattern,
    overwrite: bool,
    inputs: Vec<PathBuf>,
    written: u64,
    bytes: u64,
}

impl PngSequenceWriter {
    /// A sequence; `overwrite` and `inputs` as for [`OutputFile::create`].
    pub fn new(pattern: PngPattern, overwrite: bool, inputs: &[PathBuf]) -> Self {
        Self { pattern, overwrite, inputs: inputs.to_vec(), written: 0, bytes: 0 }
    }
}

impl FrameWriter for PngSequenceWriter {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let path = self.pattern.path(FIRST_NUMBER.saturating_add(self.written));
        let host = expect_host(frame, self.written, (PixelFormat::Rgb24, frame.dimensions), &path)?;
        let output = OutputFile::create(&path, self.overwrite, &self.inputs)?;
        write_png(host, output, &path)?;
        self.written += 1;
        self.bytes += fs::metadata(&path).map_err(|e| Error::io("read", &path, e))?.len();
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        Ok(self.bytes)
    }
}

/// Writes a [`PixelFormat::Rgb24`] picture as a PNG file; `path` is named in errors.
///
/// # Errors
/// [`Error::InvalidInput`] for a picture of another format, [`Error::Io`].
pub fn write_png(picture: &HostSurface, output: OutputFile, path: &Path) -> Result<()> {
    if picture.format() != PixelFormat::Rgb24 {
        return Err(Error::invalid(format!(
            "{}: a picture in {}, not rgb24",
            path.display(),
            picture.format()
        )));
    }
    encode(&output, picture).map_err(|e| match e {
        EncodingError::IoError(e) => Error::io_writing("write", path, e),
        other => Error::invalid(format!("{}: {other}", path.display())),
    })?;
    output.commit()
}

fn encode(output: &OutputFile, host: &HostSurface) -> Result<(), EncodingError> {
    use std::io::Write as _;
    let mut encoder = Encoder::new(output.writer(), host.dimensions().width(), host.dimensions().height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    // Sequences are large and short-lived: speed before size.
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    for plane in host.planes() {
        for row in plane.iter_rows() {
            rows.write_all(row)?;
        }
    }
    rows.finish()?;
    writer.finish()
}
