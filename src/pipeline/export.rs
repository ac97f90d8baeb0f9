//! Decoding to uncompressed pictures: files, pipes, image sequences, or nowhere.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::control::{Progress, ProgressFn, Reporter, expected_frames};
use super::filter::{FilterOptions, FilterSummary, FrameFilter};
use super::source::{FrameSource, SourceInfo, SourceOptions, SourceSummary};
use crate::config::setters::setters;
use crate::config::{ColorRequest, DecodeOutputMode};
use crate::container::OutputFormat;
use crate::error::{Error, Remedy, Result};
use crate::frame::Frame;
use crate::output_file::{self, OutputFile};
use crate::pixel::PixelFormat;
use crate::rawvideo::{FrameWriter, PngPattern, PngSequenceWriter, RawWriter, VideoFormat, Y4mWriter};
use crate::time::{Rational, Timestamp};
use crate::transform;

/// Where decoded pictures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportTarget {
    /// Nowhere: for measuring.
    Null,
    /// A file by its name: `.yuv`, `.y4m`, `frame-%05d.png`, or `-`.
    File(PathBuf),
}

/// A decode, to be set up and run.
#[non_exhaustive]
pub struct Export<'a> {
    /// The input.
    pub input: PathBuf,
    /// The output.
    pub target: ExportTarget,
    /// Format of the output when its name does not tell (`yuv`, `y4m`).
    pub output_format: Option<String>,
    /// How to read.
    pub source: SourceOptions,
    /// What to do to the frames. Where the rate stays, the decoder's end does it, on the GPU or on several threads.
    pub filter: FilterOptions,
    /// Stop after this many frames.
    pub max_frames: Option<u64>,
    /// Replace the output if it exists.
    pub overwrite: bool,
    /// Called with the state of the job.
    pub progress: Option<ProgressFn<'a>>,
}

setters!(Export<'_> { source: SourceOptions, filter: FilterOptions, overwrite: bool } option { output_format: String, max_frames: u64 });

/// What a decode did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExportReport {
    /// The input.
    pub source: SourceInfo,
    /// Reading and decoding.
    pub input: SourceSummary,
    /// Rate, size and format changes.
    pub filter: FilterSummary,
    /// Frames put out.
    pub frames: u64,
    /// Size of the frames put out.
    pub format: Option<VideoFormat>,
    /// Bytes put out.
    pub bytes: u64,
    /// Presented time of the output.
    pub duration: Duration,
    /// Wall time.
    pub wall: Duration,
    /// Stopped early on request.
    pub cancelled: bool,
}

impl ExportReport {
    /// Whether every frame is accounted for.
    pub fn balances(&self) -> bool {
        self.input.decode.as_ref().is_none_or(|d| d.ledger.balances())
            && self.input.frames == self.filter.frames_in
            && self.filter.balances()
            && self.filter.frames_out == self.frames
    }
}

impl<'a> Export<'a> {
    /// Everything of `input` to `target`, as decoded.
    pub fn new(input: impl Into<PathBuf>, target: ExportTarget) -> Self {
        Self {
            input: input.into(),
            target,
            output_format: None,
            source: SourceOptions::default(),
            filter: FilterOptions::default(),
            max_frames: None,
            overwrite: false,
            progress: None,
        }
    }

    /// Sets [`progress`](Self#structfield.progress).
    #[must_use]
    pub fn progress(mut self, tell: impl FnMut(&Progress) + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Does it.
    ///
    /// # Errors
    /// The first thing that went wrong; no output file is left then.
    pub fn run(self) -> Result<ExportReport> {
        self.run_to(None)
    }

    /// Gives the frames to `writer` instead of the target.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn run_into(self, writer: &mut dyn FrameWriter) -> Result<ExportReport> {
        self.run_to(Some(writer))
    }

    fn run_to(mut self, given: Option<&mut dyn FrameWriter>) -> Result<ExportReport> {
        let started = Instant::now();
        let kind = self.kind()?;
        self.hand_over();
        let mut source = FrameSource::open(&self.input, &self.source)?;
        let info = source.info().clone();
        let mut next = || source.next_frame();
        let report = self.put_out(&info, &mut next, (kind, given), started)?;
        if report.frames == 0 {
            return Err(source.nothing());
        }
        Ok(ExportReport { input: source.summary(), ..report })
    }

    /// Puts out these frames of the input, in this order, instead of all of them: those of a [`Reader`](crate::reader::Reader),
    /// say. `info` is what is known of the input. What decoding came to, only the giver knows: [`ExportReport::input`] has the
    /// number of frames alone.
    ///
    /// # Errors
    /// As [`Self::run`], and those of `frames`.
    pub fn run_given(
        mut self,
        info: &SourceInfo,
        frames: impl IntoIterator<Item = Result<Frame>>,
        writer: Option<&mut dyn FrameWriter>,
    ) -> Result<ExportReport> {
        let started = Instant::now();
        let kind = self.kind()?;
        let mut frames = frames.into_iter();
        let mut given = 0;
        let mut next = || {
            let frame = frames.next().transpose()?;
            given += u64::from(frame.is_some());
            Ok(frame)
        };
        let report = self.put_out(info, &mut next, (kind, writer), started)?;
        if report.frames == 0 {
            let none = || Error::invalid_file(&info.path, "has none of the frames that are wanted");
            return Err(if report.cancelled { Error::Cancelled } else { none() });
        }
        let input = SourceSummary { frames: given, ..SourceSummary::default() };
        Ok(ExportReport { input, ..report })
    }

    /// The kind of the output, checked before anything is decoded.
    fn kind(&mut self) -> Result<Option<OutputFormat>> {
        let kind = match &self.target {
            ExportTarget::Null => None,
            ExportTarget::File(path) => {
                output_file::refuse_directory(path)?;
                Some(OutputFormat::from_path(path, self.output_format.as_deref())?)
            }
        };
        if let (Some(OutputFormat::PngSequence), ExportTarget::File(path)) = (kind, &self.target) {
            self.pattern(path)?;
            self.filter.format = Some(PixelFormat::Rgb24);
        }
        Ok(kind)
    }

    /// What images are called: one needs no number.
    fn pattern(&self, path: &Path) -> Result<PngPattern> {
        if self.max_frames == Some(1) { PngPattern::parse_one(path) } else { PngPattern::parse(path) }
    }

    /// Filters and puts out what `next` gives; the report lacks what is known of the reading.
    fn put_out(
        mut self,
        info: &SourceInfo,
        next: &mut dyn FnMut() -> Result<Option<Frame>>,
        (kind, given): (Option<OutputFormat>, Option<&mut dyn FrameWriter>),
        started: Instant,
    ) -> Result<ExportReport> {
        let mut filter =
            FrameFilter::new(self.filter, self.max_frames).cancel_token(self.source.cancel.clone());
        let mut reporter = Reporter::new(self.progress.take());
        let mut output = Output {
            job: &self,
            kind,
            info,
            sink: given.map_or(Sink::Waiting, Sink::Given),
            format: None,
            state: Progress {
                frames: 0,
                total_frames: expected_frames(info, self.filter.frame_rate, self.max_frames),
                position: None,
                total: info.duration,
                bytes: 0,
                elapsed: Duration::ZERO,
            },
        };
        while !filter.is_full()
            && let Some(frame) = next()?
        {
            filter.push(frame, &mut |frame| output.take(frame))?;
            output.state.elapsed = started.elapsed();
            reporter.update(false, || output.state);
        }
        filter.finish(&mut |frame| output.take(frame))?;
        output.state.elapsed = started.elapsed();
        reporter.update(true, || output.state);
        let Output { sink, state, format, .. } = output;
        if state.frames > 0 {
            sink.finish()?;
        }
        Ok(ExportReport {
            input: SourceSummary::default(),
            filter: filter.summary(),
            frames: state.frames,
            format,
            bytes: state.bytes,
            duration: state.position.map_or(Duration::ZERO, Timestamp::as_duration),
            wall: started.elapsed(),
            cancelled: self.source.cancel.is_cancelled(),
            source: info.clone(),
        })
    }

    /// Gives the filter's work on each frame to the source, which scales and converts where the picture is, or on
    /// all processors. With a change of rate it stays: the filter then shapes only the frames that are shown.
    fn hand_over(&mut self) {
        let source = &mut self.source;
        let untouched = source.size.is_none() && source.convert == ColorRequest::KeepNative;
        if self.filter.frame_rate.is_none() && untouched && source.output != DecodeOutputMode::CpuRgb {
            source.size = self.filter.size;
            source.convert = self.filter.format.map_or(ColorRequest::KeepNative, ColorRequest::To);
        }
    }

    /// Decoding that nobody looks at needs no samples.
    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        self.source.output = DecodeOutputMode::MetadataOnly;
        self
    }
}

/// What comes out of the filter, and where it goes.
struct Output<'a, 'p, 's> {
    job: &'a Export<'p>,
    kind: Option<OutputFormat>,
    info: &'a SourceInfo,
    sink: Sink<'s>,
    format: Option<VideoFormat>,
    state: Progress,
}

impl Output<'_, '_, '_> {
    fn take(&mut self, frame: Frame) -> Result<()> {
        if self.state.frames == 0 {
            self.format = Some(describe(&frame, self.info, self.job.filter.frame_rate));
            if matches!(self.sink, Sink::Waiting) {
                self.sink = Sink::open(self.job, self.kind, self.format)?;
            }
        }
        if let (Sink::File { .. }, Some(begun)) = (&self.sink, self.format) {
            one_kind(&frame, begun).map_err(|e| e.in_file(&self.info.path))?;
        }
        let length = frame.duration.and_then(|d| i64::try_from(d).ok()).unwrap_or(0);
        let end = frame.pts.offset(length);
        self.state.bytes += self.sink.write(frame)?;
        self.state.frames += 1;
        self.state.position = Some(end);
        Ok(())
    }
}

/// A file of uncompressed pictures holds those of one size and format.
fn one_kind(frame: &Frame, begun: VideoFormat) -> Result<()> {
    let (what, remedy) = if frame.dimensions != begun.dimensions {
        (format!("the picture size changes from {} to {}", begun.dimensions, frame.dimensions), Remedy::Size)
    } else if frame.format != begun.format {
        (format!("the pixel format changes from {} to {}", begun.format, frame.format), Remedy::PixelFormat)
    } else {
        return Ok(());
    };
    Err(Error::FormatChanged { what: format!("{what} at {}", frame.pts), remedy })
}

fn describe(frame: &Frame, info: &SourceInfo, rate: Option<Rational>) -> VideoFormat {
    let rate = rate.or(info.frame_rate).or(Rational::new(25, 1)).unwrap_or(Rational::ONE);
    VideoFormat {
        color: frame.color,
        sample_aspect_ratio: frame.sample_aspect_ratio,
        ..VideoFormat::new(frame.format, frame.dimensions, rate)
    }
}

enum Sink<'a> {
    Waiting,
    Null,
    Given(&'a mut dyn FrameWriter),
    File { writer: Box<dyn FrameWriter>, file: OutputFile },
    Images(Box<PngSequenceWriter>),
}

impl Sink<'_> {
    fn open(job: &Export<'_>, kind: Option<OutputFormat>, format: Option<VideoFormat>) -> Result<Self> {
        let (Some(kind), Some(format), ExportTarget::File(path)) = (kind, format, &job.target) else {
            return Ok(Self::Null);
        };
        let inputs = std::slice::from_ref(&job.input);
        if kind == OutputFormat::PngSequence {
            let pattern = job.pattern(path)?;
            return Ok(Self::Images(Box::new(PngSequenceWriter::new(pattern, job.overwrite, inputs))));
        }
        let file = OutputFile::create(path, job.overwrite, inputs)?;
        let output = file.writer();
        let writer: Box<dyn FrameWriter> = match kind {
            OutputFormat::Y4m => Box::new(Y4mWriter::new(output, path, format)?),
            OutputFormat::RawVideo => {
                Box::new(RawWriter::new(output, path, format.format, format.dimensions))
            }
            other => {
                return Err(Error::Unsupported {
                    feature: format!("decoding to {other}"),
                    remedy: "decode writes .yuv, .y4m and .png; use transcode for compressed files".into(),
                });
            }
        };
        Ok(Self::File { writer, file })
    }

    /// Frames in a device's memory are copied to the host's here, and only where somebody looks at them.
    fn write(&mut self, frame: Frame) -> Result<u64> {
        if matches!(self, Self::Waiting | Self::Null) {
            return Ok(0);
        }
        let frame = &transform::to_host(frame)?;
        match self {
            Self::Waiting | Self::Null => {}
            Self::Given(writer) => writer.write_frame(frame)?,
            Self::File { writer, .. } => writer.write_frame(frame)?,
            Self::Images(writer) => writer.write_frame(frame)?,
        }
        Ok(frame.format.frame_bytes(frame.dimensions) as u64)
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Waiting | Self::Null => Ok(()),
            Self::Given(writer) => writer.finish().map(drop),
            Self::File { mut writer, file } => {
                writer.finish()?;
                drop(writer);
                file.commit()
            }
            Self::Images(mut writer) => writer.finish().map(drop),
        }
    }
}
