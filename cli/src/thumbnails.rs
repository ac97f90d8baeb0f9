//! `thumbnails`: a contact sheet.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use video_hw::backend::Backend;
use video_hw::config::Engines;
use video_hw::container::TrackId;
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::output_file::OutputFile;
use video_hw::pipeline::{CancelToken, Progress, SourceOptions};
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::write_png;
use video_hw::reader::Reader;
use video_hw::time::Rational;
use video_hw::{Error, Result};
use video_hw_terminal::{cancel::Interrupts, parse, text};

use crate::args::side;
use crate::exit::Exit;
use crate::limits::LimitArgs;
use crate::metrics::Exporting;
use crate::options::{CropArgs, JobArgs};
use crate::pick;
use crate::progress::ProgressView;
use crate::tracks::number as track_number;

pub(crate) const EXAMPLES: &str = "\
Examples:
  video-hw thumbnails in.mp4 sheet.png
  video-hw thumbnails in.mp4 sheet.png --grid 8x6 --width 160
  video-hw thumbnails in.mp4 poster.png --grid 1x1 --width 1280   the frame in the middle
  video-hw thumbnails in.mp4 sheet.png --crop 0:140:1920:800       without the black bars";

/// Most pictures on a sheet.
const MOST: u32 = 10_000;
/// Between two pictures, in samples.
const GAP: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ThumbnailsArgs {
    /// File to read
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// PNG file to write; - is standard output
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Pictures beside each other and below each other
    #[arg(long, value_name = "CxR", value_parser = grid, default_value = "5x4", help_heading = "Pictures")]
    pub(crate) grid: (u32, u32),
    /// Width of each picture, in samples; the height follows from the shape in which it is shown
    #[arg(long, value_name = "N", value_parser = side(), default_value_t = 320, help_heading = "Pictures", allow_hyphen_values = true)]
    pub(crate) width: u32,
    #[command(flatten)]
    pub(crate) crop: CropArgs,
    /// Video track, by its number (see `probe`); by default the largest of those that players show
    #[arg(long, value_name = "N", value_parser = track_number, help_heading = "Input", allow_hyphen_values = true)]
    pub(crate) track: Option<TrackId>,
    /// Frame rate of an input that carries no times (raw H.264, H.265)
    #[arg(long, value_name = "RATE", value_parser = parse::frame_rate, help_heading = "Input", allow_hyphen_values = true)]
    pub(crate) input_fps: Option<Rational>,
    /// Where each frame is in the file: taken from here, or written here where there is no such file yet
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// Decoder: auto, nvidia, qsv, videotoolbox, software, ffmpeg
    #[arg(long, value_name = "NAME", value_parser = parse::backend, help_heading = "Where it runs")]
    pub(crate) backend: Option<Backend>,
    /// GPU, where there are several: its number or its identifier, as `devices` lists them
    #[arg(long, value_name = "ID", help_heading = "Where it runs")]
    pub(crate) device: Option<String>,
    /// Decoders that share the file: auto (all engines of the GPU, all cores of the CPU), or a number
    #[arg(long, value_name = "N", value_parser = parse::engines, default_value = "auto", help_heading = "Where it runs")]
    pub(crate) engines: Engines,
    /// Threads that a CPU decoder may use
    #[arg(long, value_name = "N", value_parser = parse::threads, allow_hyphen_values = true, help_heading = "Where it runs")]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `5x4`.
fn grid(words: &str) -> Result<(u32, u32), String> {
    let sides = words.split_once('x').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    sides
        .filter(|(columns, rows): &(u32, u32)| {
            columns.checked_mul(*rows).is_some_and(|count| (1..=MOST).contains(&count))
        })
        .ok_or_else(|| format!("{words:?} is not a grid of 1 to {MOST} pictures; write 5x4"))
}

pub(crate) fn run(args: &ThumbnailsArgs) -> Result<Exit> {
    let started = Instant::now();
    let extension = args.output.extension().map(|name| name.to_string_lossy().to_ascii_lowercase());
    if extension.is_some_and(|name| name != "png") {
        return Err(Error::invalid(format!(
            "{}: a sheet is a PNG image; give a name that ends in .png",
            args.output.display()
        )));
    }
    // What stands in its way is told before anything is decoded.
    let file = OutputFile::create(&args.output, args.job.overwrite, std::slice::from_ref(&args.input))?;
    let interrupts = Interrupts::install(args.job.quiet, Some(&args.output))?;
    let exporting = Exporting::begin(&args.job.metrics, args.job.quiet)?;
    let options = SourceOptions::default()
        .backend(args.backend.unwrap_or(Backend::Auto))
        .device(args.device.clone())
        .engines(args.engines)
        .threads(args.threads)
        .crop(args.crop.crop)
        .track(args.track)
        .frame_rate(args.input_fps)
        .width(args.width)
        .upright(true)
        .convert(video_hw::config::ColorRequest::Rgb8)
        .keep_going(args.job.keep_going)
        .cancel(interrupts.token.clone())
        .stream(args.job.metrics.stream.clone())
        .limits(args.limits.limits());
    let mut film = pick::open(&args.input, options, args.index.as_deref())?;
    let mut view = ProgressView::new(args.job.quiet);
    let made = sheet(args, &mut film, &interrupts.token, &mut |done, total| {
        interrupts.check_abort();
        view.update(&progress(done, total, started.elapsed()));
    });
    view.clear();
    let exported = exporting.end();
    let (sheet, numbers, problems) = made?;
    exported?;
    write_png(&sheet, file, &args.output)?;
    tell(args, &film, &sheet, &numbers, &problems, started.elapsed())
}

fn progress(done: usize, total: usize, elapsed: Duration) -> Progress {
    let (frames, total_frames) = (done as u64, Some(total as u64));
    Progress { frames, total_frames, position: None, total: None, bytes: 0, elapsed }
}

/// The frames in the middle of equal parts of the film: first and last ones are often black.
fn chosen(film: &Reader, count: u32) -> Vec<usize> {
    let first = film.pts(0).map_or(Duration::ZERO, |pts| pts.as_duration());
    let length = film.duration().saturating_sub(first).as_nanos();
    let time = |at: u32| {
        let nanos = length * u128::from(2 * at + 1) / u128::from(2 * count);
        first.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    };
    (0..count).filter_map(|at| film.index_at(time(at))).collect()
}

/// The sheet, the frames on it and those that could not be decoded.
type Made = (HostSurface, Vec<usize>, Vec<String>);

fn sheet(
    args: &ThumbnailsArgs,
    film: &mut Reader,
    cancel: &CancelToken,
    told: &mut dyn FnMut(usize, usize),
) -> Result<Made> {
    let (columns, rows) = args.grid;
    let numbers = chosen(film, columns * rows);
    let (mut canvas, mut problems) = (None, Vec::new());
    let total = numbers.len();
    for (at, frame) in film.frames(numbers.iter().copied())?.enumerate() {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match frame {
            Ok(frame) => {
                let canvas = match &mut canvas {
                    Some(canvas) => canvas,
                    None => canvas.insert(Canvas::new(args, frame.dimensions)?),
                };
                canvas.place(at, &frame)?;
            }
            Err(error) if args.job.keep_going && error.is_recoverable() => problems.push(error.to_string()),
            Err(error) => return Err(error),
        }
        told(at + 1, total);
    }
    let canvas = canvas.ok_or_else(|| Error::invalid_file(&args.input, "has no frame for a sheet"))?;
    Ok((HostSurface::from_packed(PixelFormat::Rgb24, canvas.size, canvas.samples)?, numbers, problems))
}

/// The sheet while it is being filled.
struct Canvas {
    columns: usize,
    cell: Dimensions,
    size: Dimensions,
    samples: Vec<u8>,
}

impl Canvas {
    fn new(args: &ThumbnailsArgs, cell: Dimensions) -> Result<Self> {
        let (columns, rows) = args.grid;
        let side = |count: u32, cell: u32| count.checked_mul(cell)?.checked_add((count - 1) * GAP as u32);
        let size = side(columns, cell.width()).zip(side(rows, cell.height()));
        let size = size.and_then(|(width, height)| Dimensions::new(width, height)).ok_or_else(|| {
            Error::invalid(format!(
                "a sheet of {columns}x{rows} pictures of {cell} is larger than {0}x{0}; make --width or --grid smaller",
                Dimensions::MAX_SIDE
            ))
        })?;
        let bytes = PixelFormat::Rgb24.frame_bytes(size);
        let mut samples = Vec::new();
        samples
            .try_reserve_exact(bytes)
            .map_err(|_| Error::io("keep", "the sheet", std::io::ErrorKind::OutOfMemory.into()))?;
        samples.resize(bytes, 0);
        Ok(Self { columns: columns as usize, cell, size, samples })
    }

    /// Puts a frame into cell `at`; what a picture of another size has more is left out.
    fn place(&mut self, at: usize, frame: &Frame) -> Result<()> {
        let host = frame.as_host().filter(|host| host.format() == PixelFormat::Rgb24);
        let Some(plane) = host.and_then(|host| host.plane(0)) else {
            return Err(Error::unsupported("a sheet of pictures that are not in host memory"));
        };
        let (width, height) = (self.cell.width() as usize, self.cell.height() as usize);
        let (left, top) = (at % self.columns * (width + GAP), at / self.columns * (height + GAP));
        let stride = self.size.width() as usize * 3;
        for (row, samples) in plane.iter_rows().take(height).enumerate() {
            let from = (top + row) * stride + left * 3;
            let samples = samples.get(..width * 3).unwrap_or(samples);
            if let Some(room) = self.samples.get_mut(from..from + samples.len()) {
                room.copy_from_slice(samples);
            }
        }
        Ok(())
    }
}

fn tell(
    args: &ThumbnailsArgs,
    film: &Reader,
    sheet: &HostSurface,
    numbers: &[usize],
    problems: &[String],
    wall: Duration,
) -> Result<Exit> {
    let (columns, rows) = args.grid;
    if !args.job.quiet {
        for problem in problems {
            text::to_stderr(&format!("warning: {}", text::one_line(problem)));
        }
        let name = args.output.to_string_lossy();
        let words = format!("{columns}x{rows} of {} frames  {}  {name}", film.len(), sheet.dimensions());
        text::to_stderr(&text::one_line(&words));
    }
    if args.job.json {
        let document = json!({
            "command": "thumbnails",
            "exit_code": Exit::Done.code(),
            "input": args.input.to_string_lossy(),
            "output": args.output.to_string_lossy(),
            "grid": { "columns": columns, "rows": rows },
            "size": sheet.dimensions().to_string(),
            "frames": film.len(),
            "picked": pick::json(film, numbers),
            "problems": problems,
            "wall_s": wall.as_secs_f64(),
        });
        let document = format!("{document:#}");
        if args.output.as_os_str() == "-" {
            text::to_stderr(&document);
        } else {
            text::to_stdout(&document)?;
        }
    }
    Ok(Exit::Done)
}
