//! `decode`: to pictures, to checksums, or to nowhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use md5::{Digest, Md5};
use serde_json::{Value, json};
use video_hw::backend::Backend;
use video_hw::config::{ColorRequest, DamagePolicy, DecodeOutputMode};
use video_hw::container::OutputFormat;
use video_hw::frame::Frame;
use video_hw::pipeline::{Export, ExportReport, ExportTarget, FilterOptions, SourceOptions};
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::FrameWriter;
use video_hw::reader::Reader;
use video_hw::{Error, Result};
use video_hw_terminal::{cancel::Interrupts, text};

use crate::args::{DecodeArgs, OutputMode};
use crate::exit::Exit;
use crate::metrics::Exporting;
use crate::pick;
use crate::progress::ProgressView;
use crate::report::Finished;

pub(crate) fn run(args: &DecodeArgs) -> Result<Exit> {
    let (output, format) = output(args)?;
    let interrupts = Interrupts::install(args.job.quiet, args.output.as_deref())?;
    let mut view = ProgressView::new(args.job.quiet);
    let exporting = Exporting::begin(&args.job.metrics, args.job.quiet)?;
    let source = SourceOptions::default()
        .backend(args.backend.unwrap_or(Backend::Auto))
        .output(output)
        .crop(args.crop.crop)
        .upright(args.upright)
        .width(args.width)
        .height(args.height)
        .original_times(args.original_times)
        .on_failure(args.on_failure.policy())
        .damage(if args.strict { DamagePolicy::Strict } else { DamagePolicy::Tolerant })
        .start(args.part.start)
        .duration(args.part.duration)
        .keep_going(args.job.keep_going)
        .threads(args.threads)
        .device(args.device.clone())
        .engines(args.engines)
        .low_latency(args.low_latency)
        .frame_rate(args.pictures.input_fps)
        .cancel(interrupts.token.clone())
        .ends_process(true)
        .stream(args.job.metrics.stream.clone())
        .limits(args.limits.limits())
        .track(args.source.track)
        .spool(args.source.spool.spool);
    let filter =
        FilterOptions::default().frame_rate(args.pictures.fps).size(args.pictures.size).format(format);
    let target = args.output.clone().map_or(ExportTarget::Null, ExportTarget::File);
    let picks = picks(args, &source, &filter)?;
    let mut job = Export::new(&args.input, target);
    job.output_format.clone_from(&args.format);
    job.source = source;
    job.filter = filter;
    let one = picks.as_ref().is_some_and(|(_, numbers)| numbers.len() == 1);
    job.max_frames = if one { Some(1) } else { args.part.frames };
    job.overwrite = args.job.overwrite;
    job.progress = Some(Box::new(|state| {
        interrupts.check_abort();
        crate::clock::see(state.frames);
        view.update(state);
    }));
    let mut sums = (args.md5 || args.frame_md5).then(|| Checksums::new(args));
    let mut picked = None;
    let result = match (picks, &mut sums) {
        (Some((mut film, numbers)), sums) => {
            let given = Given::default();
            let writer = sums.as_mut().map(|sums| {
                sums.given = Some(Arc::clone(&given));
                sums as &mut dyn FrameWriter
            });
            let result = run_picked(args, job, &mut film, numbers, &given, writer);
            picked = args.job.json.then(|| pick::json(&film, &numbers_of(&given)));
            result
        }
        (None, Some(sums)) => job.run_into(sums),
        (None, None) => job.run(),
    };
    view.clear();
    let exported = exporting.end();
    let report = result?;
    exported?;
    let output = if sums.is_some() { None } else { args.output.as_deref() };
    let mut finished = Finished::export(&report, output);
    finished.extra.extend(picked.map(|picked| ("picked", picked)));
    match sums {
        Some(sums) => sums.tell(args, &report, finished),
        None => finished.tell(&args.job),
    }
}

/// The input opened for reading any of its frames, and which are wanted, where not all are.
fn picks(
    args: &DecodeArgs,
    source: &SourceOptions,
    filter: &FilterOptions,
) -> Result<Option<(Reader, Vec<usize>)>> {
    if !args.pick.is_asked() {
        return Ok(None);
    }
    if args.pictures.fps.is_some() {
        return Err(Error::invalid(
            "--fps makes a stream of even times; chosen frames keep their own: leave it out",
        ));
    }
    let images = args.output.as_deref().is_some_and(|output| {
        matches!(OutputFormat::from_path(output, args.format.as_deref()), Ok(OutputFormat::PngSequence))
    });
    let format = if images { Some(PixelFormat::Rgb24) } else { filter.format };
    let source = source
        .clone()
        .start(None)
        .duration(None)
        .ends_process(false)
        .size(filter.size)
        .convert(format.map_or(ColorRequest::KeepNative, ColorRequest::To));
    let film = pick::open(&args.input, source, args.pick.index.as_deref())?;
    let mut numbers = pick::numbers(args, &film)?;
    if let Some(most) = args.part.frames.and_then(|most| usize::try_from(most).ok()) {
        numbers.truncate(most);
    }
    Ok(Some((film, numbers)))
}

/// The numbers of frames that were chosen and have come, in their order: one that is lost must not give its number to the next.
type Given = Arc<Mutex<Vec<usize>>>;

fn numbers_of(given: &Given) -> MutexGuard<'_, Vec<usize>> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_picked(
    args: &DecodeArgs,
    job: Export<'_>,
    film: &mut Reader,
    numbers: Vec<usize>,
    given: &Given,
    writer: Option<&mut dyn FrameWriter>,
) -> Result<ExportReport> {
    let mut info = film.info().clone();
    info.frames = Some(numbers.len() as u64);
    let mut problems = Vec::new();
    // A job that is cancelled keeps what it has.
    let frames = film.frames(numbers.clone())?.zip(numbers);
    let frames = frames.take_while(|(frame, _)| !matches!(frame, Err(Error::Cancelled)));
    let frames = frames.filter_map(|(frame, number)| match frame {
        Err(error) if args.job.keep_going && error.is_recoverable() => {
            problems.push(error.to_string());
            None
        }
        frame => {
            numbers_of(given).extend(frame.is_ok().then_some(number));
            Some(frame)
        }
    });
    let mut report = job.run_given(&info, frames, writer)?;
    report.input.decode = film.summaries().pop();
    report.input.problem_count = problems.len() as u64;
    problems.truncate(10);
    report.input.problems = problems;
    Ok(report)
}

/// Where pictures go, and in which format.
fn output(args: &DecodeArgs) -> Result<(DecodeOutputMode, Option<PixelFormat>)> {
    let asked =
        if args.metadata_only { OutputMode::Metadata } else { args.output_mode.unwrap_or(OutputMode::Host) };
    if asked == OutputMode::Metadata && !args.null {
        return Err(Error::invalid("--output metadata produces no samples to write; give --null with it"));
    }
    let (mode, format) = match asked {
        OutputMode::Metadata => (DecodeOutputMode::MetadataOnly, None),
        OutputMode::Device => (DecodeOutputMode::NativeSurface, None),
        OutputMode::Host => (DecodeOutputMode::HostSurface, None),
        OutputMode::Nv12 => (DecodeOutputMode::HostSurface, Some(PixelFormat::Nv12)),
        OutputMode::Rgb => (DecodeOutputMode::HostSurface, Some(PixelFormat::Rgb24)),
    };
    match (format, args.pictures.pix_fmt) {
        (Some(named), Some(other)) if named != other => {
            Err(Error::invalid(format!("--output asks for {named} and --pix-fmt for {other}; leave one out")))
        }
        (named, other) => Ok((mode, named.or(other))),
    }
}

impl FrameWriter for Checksums {
    fn write_frame(&mut self, frame: &Frame) -> Result<()> {
        let Some(host) = frame.as_host() else {
            return Err(Error::unsupported(format!(
                "a checksum of frame {}, which is not in host memory",
                self.frames
            )));
        };
        self.packed.clear();
        host.write_packed(&mut self.packed);
        if let Some(whole) = &mut self.whole {
            whole.update(&self.packed);
        }
        if self.each {
            self.tell_one(frame)?;
        }
        self.frames += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        Ok(0)
    }
}

/// MD5 of every byte that a raw video file of the same frames would hold.
struct Checksums {
    whole: Option<Md5>,
    /// One line or one JSON value for each frame goes out as it comes.
    each: bool,
    json: Option<Vec<Value>>,
    packed: Vec<u8>,
    frames: u64,
    /// The numbers of the frames that came, where they were chosen by number.
    given: Option<Given>,
}

impl Checksums {
    fn new(args: &DecodeArgs) -> Self {
        Self {
            whole: args.md5.then(Md5::new),
            each: args.frame_md5,
            json: (args.frame_md5 && args.job.json).then(Vec::new),
            packed: Vec::new(),
            frames: 0,
            given: None,
        }
    }

    fn tell_one(&mut self, frame: &Frame) -> Result<()> {
        let sum = hex(&Md5::digest(&self.packed));
        let at = usize::try_from(self.frames).ok();
        let picked = self.given.as_ref().and_then(|given| numbers_of(given).get(at?).copied());
        if let Some(list) = &mut self.json {
            let mut one = pick::time(frame.pts);
            one["md5"] = json!(sum);
            if let Some(number) = picked {
                one["index"] = json!(number);
            }
            list.push(one);
            return Ok(());
        }
        text::to_stdout(&format!(
            "{} {:.6} {} {} {sum}",
            picked.map_or(self.frames, |number| number as u64),
            frame.pts.as_secs_f64(),
            frame.dimensions,
            frame.format
        ))
    }

    /// The sum goes to standard output: as a line, or in the JSON document.
    fn tell(self, args: &DecodeArgs, report: &ExportReport, mut finished: Finished<'_>) -> Result<Exit> {
        if let Some(whole) = self.whole {
            let sum = hex(&whole.finalize());
            if args.job.json {
                finished.extra.push(("md5", json!(sum)));
            } else {
                let format = report.format.map_or("", |f| f.format.name());
                text::to_stdout(&format!(
                    "{sum} {} {format} {}",
                    self.frames,
                    text::one_line(&args.input.to_string_lossy())
                ))?;
            }
        }
        if let Some(list) = self.json {
            finished.extra.push(("frame_md5", Value::Array(list)));
        }
        finished.tell(&args.job)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
