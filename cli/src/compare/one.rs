//! One file against the reference.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use video_hw::backend::Backend;
use video_hw::color::ColorInfo;
use video_hw::container::ContainerFormat;
use video_hw::frame::Frame;
use video_hw::pipeline::{FrameSource, Progress, SourceInfo, SourceOptions, SourceSummary};
use video_hw::pixel::PixelFormat;
use video_hw::quality::{MatchBy, Matched, Matcher, Measured, Measurer, StreamScore};
use video_hw::rawvideo::VideoFormat;
use video_hw::transform::ScaleFilter;
use video_hw::{Error, Result};
use video_hw_terminal::{cancel::Interrupts, parse::is_headerless, text::name};

use super::args::CompareArgs;
use super::frames::FrameLogs;
use super::rate::{Part, video_bytes};
use super::timeline::Timeline;
use crate::json;

/// Frames without a partner that are named; the rest is counted.
const NAMED: usize = 10;

/// What one file came to.
pub(crate) struct Outcome {
    pub(crate) path: PathBuf,
    pub(crate) reference: SourceInfo,
    pub(crate) source: SourceInfo,
    pub(crate) reference_read: SourceSummary,
    pub(crate) read: SourceSummary,
    pub(crate) by: MatchBy,
    pub(crate) score: StreamScore,
    /// The format in which pictures were compared, and the size.
    pub(crate) format: Option<(PixelFormat, String)>,
    pub(crate) only_reference: Alone,
    pub(crate) only_distorted: Alone,
    /// Time of the worst frames, in seconds of the reference.
    pub(crate) worst_psnr_s: Option<f64>,
    pub(crate) worst_ssim_s: Option<f64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) seconds: f64,
    pub(crate) notes: Vec<String>,
    pub(crate) psnr_line: Timeline,
    pub(crate) ssim_line: Timeline,
    pub(crate) threads: usize,
    pub(crate) busy: Duration,
    pub(crate) wall: Duration,
}

impl Outcome {
    /// Bits per second of the video track.
    pub(crate) fn bit_rate(&self) -> Option<f64> {
        let bytes = self.bytes?;
        (self.seconds > 0.0).then(|| bytes as f64 * 8.0 / self.seconds)
    }
}

/// Frames that have no partner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alone {
    pub(crate) count: u64,
    /// Times of the first of them, in seconds.
    pub(crate) first: Vec<f64>,
}

impl Alone {
    fn add(&mut self, frame: &Frame) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(frame.pts.as_secs_f64());
        }
    }
}

/// From the first frame to the end of the last.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    first: Option<f64>,
    last: f64,
    /// From one frame to the next, where the last does not say how long it is shown.
    gap: f64,
    end: f64,
}

impl Span {
    fn add(&mut self, frame: &Frame) {
        let at = frame.pts.as_secs_f64();
        if self.first.is_some() {
            self.gap = at - self.last;
        } else {
            self.first = Some(at);
        }
        let stated = frame.duration.and_then(|ticks| i64::try_from(ticks).ok());
        let stated = stated.map(|ticks| frame.pts.offset(ticks).as_secs_f64() - at).filter(|d| *d > 0.0);
        self.last = at;
        self.end = at + stated.unwrap_or(self.gap);
    }

    fn seconds(self) -> f64 {
        self.first.map_or(0.0, |first| (self.end - first).max(0.0))
    }
}

/// The comparison of one file while it runs.
pub(crate) struct Job<'a> {
    pub(crate) args: &'a CompareArgs,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) logs: &'a mut FrameLogs,
    /// Called with the frames that are done.
    pub(crate) progress: &'a mut dyn FnMut(&Progress),
}

impl Job<'_> {
    pub(crate) fn run(mut self, path: &Path) -> Result<Outcome> {
        let start = Instant::now();
        let args = self.args;
        let reference = self.open(&args.reference)?;
        let distorted = self.open(path)?;
        let mut notes = Vec::new();
        let by = match_by(args, [(&args.reference, &reference), (path, &distorted)], &mut notes);
        let threads = args.threads.map_or_else(std::thread::available_parallelism, Ok);
        let scale = args.scale_to_ref.then_some(ScaleFilter::Bicubic);
        // A machine that does not tell has one.
        let threads = threads.unwrap_or(std::num::NonZeroUsize::MIN);
        let mut measurer = Measurer::new(threads, args.metrics(), scale)?;
        let mut outcome = Outcome {
            path: path.to_owned(),
            reference: reference.info().clone(),
            source: distorted.info().clone(),
            reference_read: SourceSummary::default(),
            read: SourceSummary::default(),
            by,
            score: StreamScore::new(),
            format: None,
            only_reference: Alone::default(),
            only_distorted: Alone::default(),
            worst_psnr_s: None,
            worst_ssim_s: None,
            bytes: None,
            seconds: 0.0,
            notes,
            psnr_line: Timeline::new(),
            ssim_line: Timeline::new(),
            threads: threads.get(),
            busy: Duration::ZERO,
            wall: Duration::ZERO,
        };
        let mut matcher = Matcher::new(reference, distorted, by);
        let (mut spans, mut pairs, mut limited) = ((Span::default(), Span::default()), 0_u64, false);
        while let Some(next) = matcher.next_match()? {
            self.interrupts.check_abort();
            if self.interrupts.token.is_cancelled() {
                break;
            }
            match next {
                Matched::Pair(pair) => {
                    let (reference, distorted) = *pair;
                    spans.0.add(&reference);
                    spans.1.add(&distorted);
                    if pairs == 0 {
                        first_pair(args, path, &reference, &distorted, &mut outcome.notes);
                    }
                    self.check_size(path, &reference, &distorted)?;
                    if outcome.format.is_none() {
                        outcome.format = Some((reference.format, reference.dimensions.to_string()));
                    }
                    pairs += 1;
                    if let Some(measured) = measurer.push(reference, distorted)? {
                        self.take(&mut outcome, &measured)?;
                    }
                }
                Matched::OnlyReference(frame) => {
                    spans.0.add(&frame);
                    outcome.only_reference.add(&frame);
                }
                Matched::OnlyDistorted(frame) => {
                    spans.1.add(&frame);
                    outcome.only_distorted.add(&frame);
                }
            }
            if args.part.frames.is_some_and(|limit| pairs >= limit) {
                limited = true;
                break;
            }
        }
        while let Some(measured) = measurer.pop()? {
            self.take(&mut outcome, &measured)?;
        }
        let (reference, distorted) = matcher.sources();
        (outcome.reference_read, outcome.read) = (reference.summary(), distorted.summary());
        drop(matcher);
        if pairs == 0 {
            return Err(self.no_pair(path, &outcome, spans));
        }
        outcome.notes.extend(self.late(path, by, spans));
        outcome.busy = measurer.busy();
        let cut = limited || self.interrupts.token.is_cancelled();
        outcome.seconds = spans.1.seconds();
        outcome.bytes = video_bytes(path, self.part(cut, spans.1), self.args.limits.limits());
        outcome.wall = start.elapsed();
        Ok(outcome)
    }

    fn open(&self, path: &Path) -> Result<FrameSource> {
        let args = self.args;
        let options = SourceOptions::default()
            .backend(args.backend.unwrap_or(Backend::Auto))
            .start(args.part.start)
            .duration(args.part.duration)
            .keep_going(args.job.keep_going)
            .threads(args.threads)
            .device(args.device.clone())
            .engines(args.engines)
            .raw(headerless(args, path)?)
            .frame_rate(args.input_fps)
            .cancel(self.interrupts.token.clone())
            .limits(args.limits.limits());
        FrameSource::open(path, &options)
    }

    fn take(&mut self, outcome: &mut Outcome, measured: &Measured) -> Result<()> {
        let number = outcome.score.frames();
        self.logs.add(&outcome.path, number, measured)?;
        outcome.score.add(&measured.score);
        let seconds = measured.reference.as_secs_f64();
        if outcome.score.worst_psnr().is_some_and(|worst| worst.frame == number) {
            outcome.worst_psnr_s = Some(seconds);
        }
        if outcome.score.worst_ssim().is_some_and(|worst| worst.frame == number) {
            outcome.worst_ssim_s = Some(seconds);
        }
        if self.args.plot.is_some() {
            outcome.psnr_line.add(seconds, measured.score.psnr_average());
            let ssim = measured.score.ssim_all();
            outcome.ssim_line.add(seconds, ssim.map_or(f64::INFINITY, video_hw::quality::ssim_db));
        }
        if number == 0 {
            if let Some(from) = measured.changes.converted {
                let to = measured.format;
                outcome.notes.push(format!("{} is converted from {from} to {to}", name(&outcome.path)));
            }
            if measured.changes.scaled {
                let size = outcome.format.as_ref().map_or("", |(_, size)| size.as_str());
                outcome.notes.push(format!("{} is scaled to {size} (bicubic)", name(&outcome.path)));
            }
            outcome.format = outcome.format.take().map(|(_, size)| (measured.format, size));
        }
        (self.progress)(&Progress {
            frames: number + 1,
            total_frames: expected(&outcome.reference, &outcome.source, self.args.part.frames),
            position: Some(measured.reference),
            total: outcome.reference.duration,
            bytes: 0,
            elapsed: Duration::ZERO,
        });
        Ok(())
    }

    fn check_size(&self, path: &Path, reference: &Frame, distorted: &Frame) -> Result<()> {
        if self.args.scale_to_ref || reference.dimensions == distorted.dimensions {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the pictures of {} are {}, those of {} {}; give --scale-to-ref to scale them to that size, or scale the original to theirs first",
            name(path),
            distorted.dimensions,
            name(&self.args.reference),
            reference.dimensions
        )))
    }

    fn no_pair(&self, path: &Path, outcome: &Outcome, (reference, distorted): (Span, Span)) -> Error {
        if self.interrupts.token.is_cancelled() {
            return Error::Cancelled;
        }
        let file = name(path);
        let empty = [(&self.args.reference, reference), (&outcome.path, distorted)];
        if let Some((path, _)) = empty.iter().find(|(_, span)| span.first.is_none()) {
            return Error::corrupt_fatal(format!("{} holds no frame in the wanted part", name(path)));
        }
        Error::corrupt_fatal(format!(
            "no frame of {file} is shown within half a frame of one of {}: they are shown from {:.3} to {:.3} s and from {:.3} to {:.3} s; give --by-index to compare the first with the first",
            name(&self.args.reference),
            distorted.first.unwrap_or(0.0),
            distorted.end,
            reference.first.unwrap_or(0.0),
            reference.end,
        ))
    }

    /// Files that begin at different times may well be the same film: a container without edit list begins with the
    /// delay of its B frames.
    fn late(&self, path: &Path, by: MatchBy, (reference, distorted): (Span, Span)) -> Option<String> {
        let (a, b) = reference.first.zip(distorted.first).filter(|(a, b)| (a - b).abs() >= 0.001)?;
        (by == MatchBy::Time).then(|| {
            format!(
                "{} begins at {a:.3} s and {} at {b:.3} s, and frames are matched by these times; --by-index compares the first with the first",
                name(&self.args.reference),
                name(path)
            )
        })
    }

    /// The part of the file that was compared, in its own time.
    fn part(&self, cut: bool, span: Span) -> Part {
        let part = &self.args.part;
        let start = part.start.unwrap_or_default();
        let stated = part.duration.map(|duration| start.saturating_add(duration));
        let seen = Duration::try_from_secs_f64(span.end).ok().filter(|_| cut);
        Part { start: part.start, end: seen.map(|seen| start.saturating_add(seen)).or(stated) }
    }
}

/// How frames find each other: where one side has no times, they are told by their number.
fn match_by(args: &CompareArgs, sides: [(&Path, &FrameSource); 2], notes: &mut Vec<String>) -> MatchBy {
    if args.by_index {
        return MatchBy::Index;
    }
    let timeless = |info: &SourceInfo| {
        info.format == ContainerFormat::ElementaryStream.to_string() && info.frame_rate.is_none()
    };
    let Some((path, _)) = sides.into_iter().find(|(_, source)| timeless(source.info())) else {
        return MatchBy::Time;
    };
    notes.push(format!(
        "{} carries no times: frames are matched by their number (--by-index); --input-fps gives it times",
        name(path)
    ));
    MatchBy::Index
}

/// What the first pair tells about the two files.
fn first_pair(
    args: &CompareArgs,
    path: &Path,
    reference: &Frame,
    distorted: &Frame,
    notes: &mut Vec<String>,
) {
    let (a, b) = (reference.color, distorted.color);
    if a.range.is_some() && b.range.is_some() && a.range != b.range {
        let word = |color: ColorInfo| json::range(color.range).unwrap_or("unknown");
        notes.push(format!(
            "{} is of range {}, {} of range {}: samples are compared as they are",
            name(&args.reference),
            word(a),
            name(path),
            word(b)
        ));
    }
}

/// Frames to expect, where known.
fn expected(reference: &SourceInfo, distorted: &SourceInfo, limit: Option<u64>) -> Option<u64> {
    [reference.frames, distorted.frames, limit].into_iter().flatten().min()
}

/// The layout of a headerless file; `None` for one that states its own.
fn headerless(args: &CompareArgs, path: &Path) -> Result<Option<VideoFormat>> {
    // Of an unknown name, the content decides: only one of several files may be headerless.
    let by_name = is_headerless(path, false);
    let piped = path == Path::new("-") && args.size.is_some() && args.pix_fmt.is_some();
    if !by_name && !piped {
        return Ok(None);
    }
    if let (Some(size), Some(format), Some(rate)) = (args.size, args.pix_fmt, args.fps) {
        return Ok(Some(VideoFormat::new(format, size, rate)));
    }
    Err(Error::invalid(format!(
        "headerless file {} needs --size WxH, --pix-fmt NAME and --fps RATE",
        name(path)
    )))
}
