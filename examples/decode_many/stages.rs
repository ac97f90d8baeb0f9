//! Where the time of a short job goes, from the start of the process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use video_hw::backend::{self, Backend, BackendKind};

use crate::args::Options;
use crate::clip::Clip;
use crate::json::Object;
use crate::verify::Checks;
use crate::{AnyError, process};

/// Now, in nanoseconds since 1970: the clock that other processes share.
fn clock() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// The end of each step, counted from the start of `main`.
struct Steps {
    begun: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn end(&mut self, step: &'static str) {
        self.done.push((step, self.begun.elapsed()));
    }
}

pub(crate) fn run(options: &Options, begun: Instant, spawned_ns: Option<u128>) -> Result<bool, AnyError> {
    let main_ns = clock().saturating_sub(begun.elapsed().as_nanos());
    let mut steps = Steps { begun, done: Vec::new() };
    let path = options.files.first().ok_or("no file is given")?;
    let mut clip = Clip::open(path)?;
    steps.end("file opened");
    // What has no devices (the CPU) says so; the session decides what that means.
    if let Some(kind) = hardware(options.backend) {
        let _ = backend::devices(kind);
        steps.end("driver loaded, devices listed");
    }
    let session = clip.session(options, false)?;
    steps.end("session open");
    let receipt = session.receipt();
    let (mut input, mut output) = session.split();
    let mut checks = Checks::default();
    let mut stopped = None;
    std::thread::scope(|scope| {
        let submitting = scope.spawn(move || -> video_hw::Result<Duration> {
            let mut first = None;
            while let Some(packet) = clip.next_packet()? {
                first.get_or_insert_with(|| begun.elapsed());
                if input.submit_blocking(packet).is_err() {
                    break;
                }
            }
            // The output tells the reason of a session that has ended.
            let _ = input.flush();
            Ok(first.unwrap_or_else(|| begun.elapsed()))
        });
        loop {
            match output.reap() {
                Ok(Some(frame)) => {
                    if let Err(error) = checks.take(&frame, options) {
                        stopped = Some(error);
                        break;
                    }
                    if checks.frames == 1 {
                        steps.end("first frame");
                    }
                }
                Ok(None) if output.is_finished() || output.was_flushed() => break,
                Ok(None) => {}
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            }
        }
        steps.end("last frame");
        drop(output);
        if let Ok(Ok(first)) = submitting.join() {
            steps.done.push(("first packet submitted", first));
        }
    });
    steps.end("session closed");
    steps.done.sort_by_key(|(_, time)| *time);
    let passed = stopped.is_none() && checks.frames > 0 && checks.passed(options);
    let mut out = Object::new();
    out.value("frames", checks.frames);
    if let Some(spawned) = spawned_ns {
        out.number("process_start_ms", Some(main_ns.saturating_sub(spawned) as f64 / 1e6));
    }
    out.list(
        "steps",
        steps.done.iter().map(|(step, time)| {
            let mut step_out = Object::new();
            step_out.text("step", step);
            step_out.number("at_ms", Some(time.as_secs_f64() * 1e3));
            step_out
        }),
    );
    if let Some((place, format)) = &checks.first {
        out.text("surface", place);
        out.text("format", format);
    }
    if let Some((kind, implementation)) = receipt.chosen() {
        out.text("backend", kind.name());
        out.text("implementation", implementation);
    }
    if let Some(error) = stopped {
        out.text("error", &error.to_string());
    }
    out.count("peak_resident_kib", process::peak_resident_kib());
    out.value("passed", passed);
    // With the time at which the process has ended, as its parent sees it, this gives the cost of leaving.
    out.value("main_ends_ns", clock());
    println!("{out}");
    Ok(passed)
}

/// The backend whose driver a session will ask for first.
fn hardware(wanted: Backend) -> Option<BackendKind> {
    match wanted {
        Backend::Auto => Some(BackendKind::Nvidia),
        Backend::Only(BackendKind::Software) => None,
        Backend::Only(kind) => Some(kind),
    }
}
