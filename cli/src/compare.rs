//! `compare`: how close files are to their original, and what they cost.
//!
//! Files are judged one after the other, each in one pass with the original beside it: memory stays that of two
//! decoders, whatever the number of files.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use video_hw::output_file::OutputFile;
use video_hw::pipeline::Progress;
use video_hw::{Error, Result};
use video_hw_terminal::{cancel::Interrupts, text};

use crate::exit::Exit;
use crate::progress::ProgressView;

pub(crate) mod args;
mod chart;
mod curves;
mod frames;
mod one;
mod rate;
mod report;
mod timeline;

pub(crate) use args::CompareArgs;
#[cfg(test)]
pub(crate) use args::EXAMPLES;
use chart::{Across, Chart, Series};
use curves::{Curve, Quality};
use frames::FrameLogs;
use one::{Job, Outcome};
use report::Report;

/// From one look at the progress line to the next.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &CompareArgs) -> Result<Exit> {
    let start = Instant::now();
    check(args)?;
    let inputs: Vec<PathBuf> = args.files().chain([&args.reference]).cloned().collect();
    let overwrite = args.job.overwrite;
    let mut logs =
        FrameLogs::create(args.csv.as_deref(), args.jsonl.as_deref(), args.metrics(), overwrite, &inputs)?;
    let plot = args.plot.as_deref().map(|path| OutputFile::create(path, overwrite, &inputs)).transpose()?;
    let interrupts = Interrupts::install(args.job.quiet, args.outputs().next().map(PathBuf::as_path))?;
    let mut view = ProgressView::new(args.job.quiet);
    let files: Vec<_> = args.files().collect();
    let (mut outcomes, mut done) = (Vec::with_capacity(files.len()), 0);
    let mut shown: Option<Instant> = None;
    for (n, path) in files.iter().enumerate() {
        let mut tell = |state: &Progress| {
            if shown.is_some_and(|at| at.elapsed() < PROGRESS_INTERVAL) {
                return;
            }
            shown = Some(Instant::now());
            view.update(&overall(state, done, files.len() - n, start.elapsed()));
        };
        let job = Job { args, interrupts: &interrupts, logs: &mut logs, progress: &mut tell };
        let outcome = match job.run(path) {
            Err(Error::Cancelled) if !outcomes.is_empty() => break,
            other => other.inspect_err(|_| view.clear())?,
        };
        done += outcome.score.frames();
        outcomes.push(outcome);
        if interrupts.token.is_cancelled() {
            break;
        }
    }
    view.clear();
    logs.commit()?;
    let complete = outcomes.len() == files.len();
    let curves = (complete && !args.anchor.is_empty()).then(|| groups(args, &outcomes));
    if let Some(file) = plot {
        write_plot(file, &charts(args, &outcomes, curves.as_ref()))?;
    }
    let metrics = args.metrics();
    let curves = curves.map(|(anchor, test)| {
        let found = curves::distances(&anchor, &test, metrics.psnr, metrics.ssim);
        (anchor, test, found)
    });
    let cancelled = interrupts.token.is_cancelled();
    Report { args, outcomes: &outcomes, curves, wall: start.elapsed(), cancelled }.tell()
}

/// What can be told before anything is read.
fn check(args: &CompareArgs) -> Result<()> {
    let stdin = args.files().chain([&args.reference]).filter(|path| path.as_path() == Path::new("-")).count();
    let several = args.files().count() > 1;
    if stdin > 1 || (several && args.reference == Path::new("-")) {
        return Err(Error::invalid(
            "only one input can be standard input, which is read only once, and REF only where one file is judged",
        ));
    }
    let stdout = args.outputs().filter(|path| path.as_path() == Path::new("-")).count();
    if stdout > 1 {
        return Err(Error::invalid("only one of --csv, --jsonl and --plot can go to standard output"));
    }
    let mut seen = std::collections::HashSet::new();
    match args.outputs().find(|path| !seen.insert(path.as_path())) {
        Some(twice) => Err(Error::invalid(format!("output {} is named twice", twice.display()))),
        None => Ok(()),
    }
}

/// The state of all files from that of one.
fn overall(state: &Progress, done: u64, files_left: usize, elapsed: Duration) -> Progress {
    let single = done == 0 && files_left == 1;
    Progress {
        frames: done + state.frames,
        // The files are all of about the length of the original.
        total_frames: state.total_frames.map(|frames| done + frames * files_left as u64),
        position: state.position.filter(|_| single),
        total: state.total.filter(|_| single),
        bytes: 0,
        elapsed,
    }
}

/// The files of the two curves: they were judged last, in this order.
fn groups<'a>(args: &CompareArgs, outcomes: &'a [Outcome]) -> (Curve<'a>, Curve<'a>) {
    let (_, both) = outcomes.split_at(args.distorted.len().min(outcomes.len()));
    let (anchor, test) = both.split_at(args.anchor.len().min(both.len()));
    (Curve::new("anchor", anchor), Curve::new("test", test))
}

/// Quality over bit rate where there are several files with bit rates, else over time.
fn charts(args: &CompareArgs, outcomes: &[Outcome], groups: Option<&(Curve<'_>, Curve<'_>)>) -> Vec<Chart> {
    let metrics = args.metrics();
    let wanted = [(Quality::Psnr, metrics.psnr, "PSNR, dB"), (Quality::Ssim, metrics.ssim, "SSIM, dB")];
    let single = Curve::new("files", outcomes.get(..args.distorted.len()).unwrap_or(outcomes));
    let mut all = Vec::new();
    for (quality, _, up) in wanted.into_iter().filter(|(_, wanted, _)| *wanted) {
        let curves: Vec<_> = groups.map_or(vec![&single], |(a, b)| vec![a, b]);
        let lines: Vec<_> = curves
            .iter()
            .map(|curve| Series { name: curve.label.clone(), points: curve.drawn(quality) })
            .collect();
        let points: usize = lines.iter().map(|line| line.points.len()).sum();
        let (across, series) = if points > 1 {
            (Across::BitRate, lines)
        } else {
            let line = |outcome: &Outcome| {
                let dots = if quality == Quality::Psnr { &outcome.psnr_line } else { &outcome.ssim_line };
                let name = outcome.path.file_name().unwrap_or(outcome.path.as_os_str());
                Series { name: name.to_string_lossy().into_owned(), points: dots.dots().to_vec() }
            };
            (Across::Time, outcomes.iter().map(line).collect())
        };
        let over = if across == Across::BitRate { "bit rate" } else { "time" };
        let title = format!("{} over {over}, against {}", quality.name(), text::name(&args.reference));
        all.push(Chart { title, across, up, series });
    }
    all
}

fn write_plot(file: OutputFile, charts: &[Chart]) -> Result<()> {
    let path = file.path().to_owned();
    let written = file.writer().write_all(chart::svg(charts).as_bytes());
    written.map_err(|e| Error::io_writing("write", path, e))?;
    file.commit()
}
