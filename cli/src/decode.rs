//! `decode`: to pictures, to checksums, or to nowhere.

use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use serde_json::{Value, json};
use video_hw::backend::Backend;
use video_hw::config::DecodeOutputMode;
use video_hw::frame::Frame;
use video_hw::pipeline::{
    Export, ExportReport, ExportTarget, FilterOptions, FrameFilter, FrameSource, Progress, SourceOptions,
};
use video_hw::rawvideo::VideoFormat;
use video_hw::time::Rational;
use video_hw::{Error, Result};

use crate::args::DecodeArgs;
use crate::cancel::Interrupts;
use crate::exit::Exit;
use crate::progress::ProgressView;
use crate::report::Finished;
use crate::text;

pub(crate) fn run(args: &DecodeArgs) -> Result<Exit> {
    let interrupts = Interrupts::install(args.job.quiet)?;
    let mut view = ProgressView::new(args.job.quiet);
    let source = SourceOptions {
        backend: args.backend.unwrap_or(Backend::Auto),
        output: if args.metadata_only { DecodeOutputMode::MetadataOnly } else { DecodeOutputMode::default() },
        start: args.part.start,
        duration: args.part.duration,
        keep_going: args.job.keep_going,
        threads: args.threads,
        frame_rate: args.pictures.input_fps,
        cancel: interrupts.token.clone(),
        ..SourceOptions::default()
    };
    let filter = FilterOptions {
        frame_rate: args.pictures.fps,
        size: args.pictures.size,
        format: args.pictures.pix_fmt,
    };
    if args.md5 || args.frame_md5 {
        let mut sums = Checksums::new(args);
        let result = sums.run(args, &source, filter, &mut |state| {
            interrupts.check_abort();
            view.update(state);
        });
        view.clear();
        let report = interrupts.explain(result)?;
        return sums.tell(args, &report);
    }
    let target = args.output.clone().map_or(ExportTarget::Null, ExportTarget::File);
    let mut job = Export::new(&args.input, target);
    job.output_format.clone_from(&args.format);
    job.source = source;
    job.filter = filter;
    job.max_frames = args.part.frames;
    job.overwrite = args.job.overwrite;
    job.progress = Some(Box::new(|state| {
        interrupts.check_abort();
        view.update(state);
    }));
    let result = job.run();
    view.clear();
    let report = interrupts.explain(result)?;
    Finished::export(&report, args.output.as_deref()).tell(&args.job)
}

/// MD5 of every byte that a raw video file of the same frames would hold.
struct Checksums {
    whole: Option<Md5>,
    /// One line or one JSON value for each frame goes out as it comes.
    each: bool,
    json: Option<Vec<Value>>,
    packed: Vec<u8>,
    frames: u64,
    bytes: u64,
    format: Option<VideoFormat>,
}

impl Checksums {
    fn new(args: &DecodeArgs) -> Self {
        Self {
            whole: args.md5.then(Md5::new),
            each: args.frame_md5,
            json: (args.frame_md5 && args.job.json).then(Vec::new),
            packed: Vec::new(),
            frames: 0,
            bytes: 0,
            format: None,
        }
    }

    fn run(
        &mut self,
        args: &DecodeArgs,
        source: &SourceOptions,
        options: FilterOptions,
        tell: &mut dyn FnMut(&Progress),
    ) -> Result<ExportReport> {
        let started = Instant::now();
        let cancel = source.cancel.clone();
        let mut source = FrameSource::open(&args.input, source)?;
        let info = source.info().clone();
        let mut filter = FrameFilter::new(options);
        let mut position = None;
        let rate = options.frame_rate.or(info.frame_rate).unwrap_or(Rational::ONE);
        let wanted = args.part.frames.unwrap_or(u64::MAX);
        while self.frames < wanted
            && let Some(frame) = source.next_frame()?
        {
            filter.push(frame, &mut |frame| {
                position =
                    Some(frame.pts.offset(frame.duration.and_then(|d| i64::try_from(d).ok()).unwrap_or(0)));
                self.add(&frame, rate)
            })?;
            tell(&Progress {
                frames: self.frames,
                total_frames: info.frames,
                position,
                total: info.duration,
                bytes: self.bytes,
                elapsed: started.elapsed(),
            });
        }
        if self.frames == 0 {
            let what =
                format!("{} ({}) holds no frame in the wanted part", args.input.display(), info.format);
            return Err(Error::corrupt_fatal(what));
        }
        Ok(ExportReport {
            input: source.summary(),
            filter: filter.summary(),
            source: info,
            frames: self.frames,
            format: self.format,
            bytes: self.bytes,
            duration: position.map_or(Duration::ZERO, |p| p.as_duration()),
            wall: started.elapsed(),
            cancelled: cancel.is_cancelled(),
        })
    }

    fn add(&mut self, frame: &Frame, rate: Rational) -> Result<()> {
        let Some(host) = frame.as_host() else {
            return Err(Error::unsupported(format!(
                "a checksum of frame {}, which is not in host memory",
                self.frames
            )));
        };
        self.packed.clear();
        host.write_packed(&mut self.packed);
        self.format.get_or_insert_with(|| VideoFormat::new(frame.format, frame.dimensions, rate));
        if let Some(whole) = &mut self.whole {
            whole.update(&self.packed);
        }
        if self.each {
            self.tell_one(frame)?;
        }
        self.frames += 1;
        self.bytes += self.packed.len() as u64;
        Ok(())
    }

    fn tell_one(&mut self, frame: &Frame) -> Result<()> {
        let sum = hex(&Md5::digest(&self.packed));
        if let Some(list) = &mut self.json {
            list.push(json!({ "pts_s": frame.pts.as_secs_f64(), "md5": sum }));
            return Ok(());
        }
        text::to_stdout(&format!(
            "{} {:.6} {} {} {sum}",
            self.frames,
            frame.pts.as_secs_f64(),
            frame.dimensions,
            frame.format
        ))
    }

    /// The sum goes to standard output: as a line, or in the JSON document.
    fn tell(self, args: &DecodeArgs, report: &ExportReport) -> Result<Exit> {
        let mut finished = Finished::export(report, None);
        if let Some(whole) = self.whole {
            let sum = hex(&whole.finalize());
            if args.job.json {
                finished.extra.push(("md5", json!(sum)));
            } else {
                let format = report.format.map_or("", |f| f.format.name());
                text::to_stdout(&format!("{sum} {} {format} {}", self.frames, args.input.display()))?;
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
