//! Opening an input of whatever format.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek};
use std::path::Path;

use crate::buffered::Buffered;
use crate::container::Demuxer;
use crate::container::elementary::ElementaryDemuxer;
use crate::container::ivf::IvfDemuxer;
use crate::container::matroska::MatroskaDemuxer;
use crate::container::mp4::Mp4Demuxer;
use crate::container::mp4_pipe;
use crate::container::mpeg2_stream::Mpeg2Demuxer;
use crate::container::mpegts::MpegTsDemuxer;
use crate::container::obu_stream::ObuDemuxer;
use crate::container::output_format::is_raw_video_name;
use crate::container::probe::{PROBE_BYTES, Probe, probe};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result, name_of};
use crate::limits::{Limit, Limits};
use crate::pixel::PixelFormat;
use crate::rawvideo::{FrameReader, RawReader, VideoFormat, Y4mReader};
use crate::stream_io::{NonSeekable, PositionedFile, read_up_to};
use crate::time::Rational;

const READ_BUFFER: usize = 256 * 1024;

/// An opened input.
pub enum Input {
    /// Compressed samples.
    Demuxer(Box<dyn Demuxer>),
    /// Uncompressed pictures.
    Frames(Box<dyn FrameReader>),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demuxer(demuxer) => write!(f, "Demuxer({})", demuxer.format()),
            Self::Frames(frames) => write!(f, "Frames({} {})", frames.dimensions(), frames.format()),
        }
    }
}

/// Opens a file, a FIFO or standard input (`-`) and finds out its format from its content. The name only
/// decides between H.264 and H.265 where the bytes allow both, and tells headerless pictures, for which
/// see [`open_raw`].
///
/// # Errors
/// [`Error::Io`] when it cannot be opened or read, [`Error::InvalidInput`] when it is empty, a directory or of
/// no known format, [`Error::Unsupported`] for formats that are not read here and for MP4 from a pipe that has its index at
/// its end, and the errors of the format's own reader.
pub fn open_input(path: &Path) -> Result<Input> {
    OpenOptions::new().open(path)
}

/// How an input is opened.
///
/// ```no_run
/// use video_hw::container::OpenOptions;
/// use video_hw::limits::Limits;
///
/// # fn main() -> video_hw::Result<()> {
/// // A file that is trusted, however large its index.
/// let input = OpenOptions::new().limits(Limits::none()).open("archive.mp4".as_ref())?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    limits: Limits,
    spool: Option<u64>,
}

impl OpenOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the input may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Allows that a pipe which cannot be read as it comes (MP4 with its index at the end, or badly interleaved) is copied
    /// to a temporary file first, up to so many bytes. The file is in [`std::env::temp_dir`] and has no name where the system
    /// permits that.
    #[must_use]
    pub fn spool(mut self, most_bytes: u64) -> Self {
        self.spool = Some(most_bytes);
        self
    }

    /// As [`open_input`].
    ///
    /// # Errors
    /// As [`open_input`], and [`Error::LimitExceeded`].
    pub fn open(&self, path: &Path) -> Result<Input> {
        let input = open_recognised(path, &self.limits, self.spool).map_err(|error| error.in_file(path))?;
        if let Input::Frames(frames) = &input {
            let size = frames.video_format().dimensions;
            let pixels = u64::from(size.width()) * u64::from(size.height());
            self.limits.check(
                Limit::PicturePixels,
                pixels,
                format!("{}: pictures of {size}", name_of(path)),
            )?;
        }
        Ok(input)
    }
}

fn open_recognised(path: &Path, limits: &Limits, spool: Option<u64>) -> Result<Input> {
    let (source, head) = Source::open(path)?;
    let limits = limits.clone();
    match probe(&head, path) {
        Probe::Mp4 => Ok(Input::Demuxer(Box::new(match source {
            Source::File(file) => Mp4Demuxer::with_limits(file, path.to_owned(), limits)?,
            Source::Pipe(pipe) => mp4_pipe::open(pipe, path, limits, spool)?,
        }))),
        Probe::Ivf => Ok(Input::Demuxer(match source {
            Source::File(file) => Box::new(IvfDemuxer::with_limits(file, path, limits)?),
            Source::Pipe(pipe) => Box::new(IvfDemuxer::with_limits(pipe, path, limits)?),
        })),
        Probe::Matroska => Ok(Input::Demuxer(match source {
            // It jumps over what is not wanted, which a buffer would read.
            Source::File(file) => Box::new(MatroskaDemuxer::of_file(file.into_inner(), path, limits)?),
            Source::Pipe(pipe) => Box::new(MatroskaDemuxer::with_limits(pipe, path.to_owned(), limits)?),
        })),
        Probe::Y4m => Ok(Input::Frames(match source {
            Source::File(file) => Box::new(Y4mReader::new(file, path)?),
            Source::Pipe(pipe) => Box::new(Y4mReader::new(pipe, path)?),
        })),
        _ if is_raw_video_name(path) => Err(Error::invalid_file(
            path,
            "holds headerless pictures by its name; state their size, pixel format and frame rate",
        )),
        Probe::AnnexB(codec) => Ok(Input::Demuxer(match source {
            Source::File(file) => Box::new(ElementaryDemuxer::seekable(file, path, codec, limits)?),
            Source::Pipe(pipe) => Box::new(ElementaryDemuxer::with_limits(pipe, path, codec, limits)?),
        })),
        Probe::Mpeg2 => Ok(Input::Demuxer(match source {
            Source::File(file) => Box::new(Mpeg2Demuxer::seekable(file, path, limits)?),
            Source::Pipe(pipe) => Box::new(Mpeg2Demuxer::new(pipe, path, limits)?),
        })),
        Probe::Obu(framing) => Ok(Input::Demuxer(match source {
            Source::File(file) => Box::new(ObuDemuxer::seekable(file, path, framing, limits)?),
            Source::Pipe(pipe) => Box::new(ObuDemuxer::new(pipe, path, framing, limits)?),
        })),
        Probe::MpegTs => Ok(Input::Demuxer(match source {
            Source::File(file) => Box::new(MpegTsDemuxer::with_limits(file, path, limits)?),
            Source::Pipe(pipe) => Box::new(MpegTsDemuxer::with_limits(pipe, path, limits)?),
        })),
        Probe::NoVideo(name) => Err(Error::Unsupported {
            feature: format!("no video here: {} is {name}", name_of(path)),
            remedy: match name.rsplit(' ').next() {
                Some("image") if ["a PNG image", "a JPEG image"].contains(&name) => {
                    "images are read as a sequence by names that end in .png, .jpg or .jpeg".into()
                }
                Some("archive") => "unpack it first".into(),
                _ => Remedy::None,
            },
        }),
        Probe::Foreign(name) => Err(Error::Unsupported {
            feature: format!("{name} input ({})", name_of(path)),
            remedy: "put the video into MP4 first, for instance with ffmpeg -i IN -c copy OUT.mp4".into(),
        }),
        Probe::Text => {
            let start = String::from_utf8_lossy(head.get(..32).unwrap_or(&head)).into_owned();
            Err(Error::invalid_file(path, format!("is not video, it looks like text: {start:?}")))
        }
        Probe::Unknown => {
            let start: Vec<_> = head.iter().take(16).map(|b| format!("{b:02x}")).collect();
            let start = start.join(" ");
            let read = "MP4, MOV, Matroska, WebM, MPEG-TS, IVF, Y4M, and H.264, H.265, AV1 and MPEG-2 streams are read";
            Err(Error::invalid_file(path, format!("is of no known format (it begins with {start}); {read}")))
        }
    }
}

/// Opens headerless pictures, of which the caller knows the format; `-` is standard input.
///
/// # Errors
/// As [`open_input`], without those about formats.
pub fn open_raw(
    path: &Path,
    format: PixelFormat,
    dimensions: Dimensions,
    frame_rate: Rational,
) -> Result<Box<dyn FrameReader>> {
    let format = VideoFormat::new(format, dimensions, frame_rate);
    let (source, _) = Source::open(path)?;
    Ok(match source {
        Source::File(file) => Box::new(RawReader::new(file, path, format)),
        Source::Pipe(pipe) => Box::new(RawReader::new(pipe, path, format)),
    })
}

/// Bytes that come once.
type Pipe = NonSeekable<Buffered<io::Chain<Cursor<Vec<u8>>, File>>>;

/// An input from its first byte on.
enum Source {
    /// It can seek.
    File(Buffered<PositionedFile>),
    /// It cannot.
    Pipe(Pipe),
}

impl Source {
    /// Opens `path`; also returns its first bytes, which will be read again.
    fn open(path: &Path) -> Result<(Self, Vec<u8>)> {
        let mut file = if path.as_os_str() == "-" {
            standard_input().map_err(|e| Error::io("open", path, e))?
        } else {
            // Opening a directory succeeds on some systems, reading it never does.
            if fs::metadata(path).is_ok_and(|m| m.is_dir()) {
                return Err(Error::invalid_file(path, "is a directory, not a file"));
            }
            File::open(path).map_err(|e| Error::io("open", path, e))?
        };
        // A file keeps its position: standard input may be opened again, for other tracks.
        let start = if can_seek(&file) { file.stream_position().ok() } else { None };
        let head = match start {
            Some(start) => {
                let again = file.try_clone().map_err(|e| Error::io("read", path, e))?;
                read_up_to(&mut PositionedFile::new(again, start), PROBE_BYTES)
            }
            None => read_up_to(&mut file, PROBE_BYTES),
        };
        let head = head.map_err(|e| Error::io("read", path, e))?;
        if head.is_empty() {
            return Err(Error::invalid_file(path, "is empty (0 bytes)"));
        }
        let source = if let Some(start) = start {
            Self::File(Buffered::new(PositionedFile::new(file, start), READ_BUFFER)?)
        } else {
            let all = Cursor::new(head.clone()).chain(file);
            Self::Pipe(NonSeekable(Buffered::new(all, READ_BUFFER)?))
        };
        Ok((source, head))
    }
}

/// Whether it may have positions. Windows tells one of pipes as well, and reads them from anywhere in the order in which they come.
fn can_seek(file: &File) -> bool {
    #[cfg(windows)]
    return crate::util::windows::is_on_disk(file);
    #[cfg(not(windows))]
    {
        let _ = file;
        true
    }
}

/// Standard input as a file, which it is when a shell redirects one: then it can seek.
fn standard_input() -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsHandle;
        Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
    }
}
