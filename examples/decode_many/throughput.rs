//! As fast as possible: each session is fed by one thread and emptied by another.

use std::sync::Barrier;
use std::time::Instant;

use video_hw::session::{DecodeInput, DecodeOutput, DecodeSummary};

use crate::args::Options;
use crate::clip::Clip;
use crate::json::Object;
use crate::verify::Checks;
use crate::{AnyError, process};

/// What one session came to.
struct Run {
    first_submit: Option<Instant>,
    first_frame: Option<Instant>,
    last_frame: Option<Instant>,
    checks: Checks,
    summary: DecodeSummary,
    lost: u64,
    first_error: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<bool, AnyError> {
    let opening = Instant::now();
    let mut sessions = Vec::with_capacity(options.sessions);
    for path in options.files.iter().cycle().take(options.sessions) {
        let clip = Clip::open(path)?;
        let session = clip.session(options, false)?;
        sessions.push((clip, session));
    }
    let open_s = opening.elapsed().as_secs_f64();
    // Nobody begins before everybody is open.
    let start = Barrier::new(sessions.len());
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|(clip, session)| {
                let (input, output) = session.split();
                let start = &start;
                let feeder = scope.spawn(move || feed(clip, input, start));
                let reaper = scope.spawn(move || reap(output, options));
                (feeder, reaper)
            })
            .collect();
        threads.into_iter().map(|(feeder, reaper)| joined(feeder.join(), reaper.join())).collect()
    });
    let report = Report::new(&runs, options);
    println!("{}", report.json(&runs, open_s));
    Ok(report.passed)
}

/// Gives every packet to the session; when the first one went in, and what stopped it early.
fn feed(mut clip: Clip, mut input: DecodeInput, start: &Barrier) -> (Option<Instant>, Option<String>) {
    start.wait();
    let mut first = None;
    let trouble = loop {
        match clip.next_packet() {
            Ok(Some(packet)) => {
                first.get_or_insert_with(Instant::now);
                if input.submit_blocking(packet).is_err() {
                    // The session is over; whoever empties it hears why.
                    return (first, None);
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let flushed = input.flush().err().map(|error| error.to_string());
    (first, trouble.or(flushed))
}

fn reap(mut output: DecodeOutput, options: &Options) -> Run {
    let mut checks = Checks::default();
    let (mut first_frame, mut last_frame) = (None, None);
    let (mut lost, mut first_error) = (0, None);
    loop {
        match output.reap() {
            Ok(Some(frame)) => {
                let now = Instant::now();
                first_frame.get_or_insert(now);
                last_frame = Some(now);
                if let Err(error) = checks.take(&frame, options) {
                    first_error.get_or_insert(error.to_string());
                    break;
                }
                if options.frames.is_some_and(|limit| checks.frames >= limit) {
                    break;
                }
            }
            Ok(None) if output.is_finished() || output.was_flushed() => break,
            Ok(None) => {}
            Err(error) => {
                lost += 1;
                first_error.get_or_insert(error.to_string());
                if !error.is_recoverable() {
                    break;
                }
            }
        }
    }
    let summary = output.summary();
    Run { first_submit: None, first_frame, last_frame, checks, summary, lost, first_error }
}

fn joined(
    feeder: std::thread::Result<(Option<Instant>, Option<String>)>,
    reaper: std::thread::Result<Run>,
) -> Run {
    let feeder = feeder.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let mut run = reaper.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    run.first_submit = feeder.0;
    run.first_error = run.first_error.or(feeder.1);
    run
}

/// All sessions together.
struct Report {
    frames: u64,
    wall_s: f64,
    running_s: f64,
    passed: bool,
}

impl Report {
    fn new(runs: &[Run], options: &Options) -> Self {
        let between = |from: Option<Instant>, to: Option<Instant>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from).as_secs_f64(),
            _ => 0.0,
        };
        let end = runs.iter().filter_map(|r| r.last_frame).max();
        let limited = options.frames.is_some();
        Self {
            frames: runs.iter().map(|r| r.checks.frames).sum(),
            wall_s: between(runs.iter().filter_map(|r| r.first_submit).min(), end),
            running_s: between(runs.iter().filter_map(|r| r.first_frame).min(), end),
            passed: runs.iter().all(|r| {
                r.checks.passed(options)
                    && r.checks.frames > 0
                    && r.first_error.is_none()
                    && (limited || r.summary.ledger.balances())
            }),
        }
    }

    fn json(&self, runs: &[Run], open_s: f64) -> Object {
        let mut out = Object::new();
        let rate = |frames: u64, seconds: f64| (seconds > 0.0).then(|| frames as f64 / seconds);
        let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
        out.value("sessions", runs.len());
        out.value("frames", self.frames);
        out.number("open_s", Some(open_s));
        out.number("wall_s", Some(self.wall_s));
        out.number("fps", rate(self.frames, self.wall_s));
        let behind_first = self.frames.saturating_sub(runs.len() as u64);
        out.number("fps_running", rate(behind_first, self.running_s));
        out.value("disordered", sum(|r| r.checks.disordered));
        out.value("misplaced", sum(|r| r.checks.misplaced));
        out.value("different", sum(|r| r.checks.different));
        out.value("concealed", sum(|r| r.checks.concealed));
        out.value("lost", sum(|r| r.lost));
        out.value("balances", runs.iter().all(|r| r.summary.ledger.balances()));
        if let Some(run) = runs.first() {
            if let Some((place, format)) = &run.checks.first {
                out.text("surface", place);
                out.text("format", format);
            }
            if let Some((backend, implementation)) = run.summary.receipt.chosen() {
                out.text("backend", backend.name());
                out.text("implementation", implementation);
            }
        }
        if let Some(error) = runs.iter().find_map(|r| r.first_error.as_deref()) {
            out.text("error", error);
        }
        out.list("frames_each", runs.iter().map(|r| r.checks.frames));
        out.count("peak_resident_kib", process::peak_resident_kib());
        out.value("passed", self.passed);
        out
    }
}
