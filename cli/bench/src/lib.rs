//! `bench`: what this machine does, measured beside a peer, and what comes of it.
//!
//! Our own side runs as a child of this process, as users run it; a peer gets equal work in its own words. Rows take turns,
//! A B then B A, so that whatever else the machine does falls on all of them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use video_hw::{Error, Result};
use video_hw_terminal::cancel::Interrupts;

mod abilities;
mod aims;
mod args;
mod cases;
mod child;
mod input;
mod live;
mod machine;
mod outcome;
mod output;
mod peer;
mod record;
mod render;
mod report;
mod rounds;
mod soak;
mod stats;
mod switch;
mod verify;
mod view;
mod work;

pub use args::{BenchArgs, EXAMPLES};
pub use live::WorkArgs;
pub use outcome::Outcome;
pub use render::EXAMPLES as REPORT_EXAMPLES;
pub use work::run as work;

use abilities::Abilities;
use args::{BenchCommand, PeerName, Protocol};
use cases::{OTHER, Planner};
use child::{LIMIT, Limits, Program};
use input::Inputs;
use peer::Peer;
use record::{FORMAT, Record, Row};
use report::baseline::Comparison;
use rounds::Rounds;
use verify::Verifier;
use view::View;

/// Measures, or makes a report of what was measured.
///
/// # Errors
/// Wrong arguments, records that cannot be read, reports that cannot be written, and nothing to measure.
pub fn run(args: &BenchArgs) -> Result<Outcome> {
    let begun = Instant::now();
    let started = machine::now();
    if let Some(BenchCommand::Report(args)) = &args.command {
        return render::run(args);
    }
    let what = args.what()?;
    let outputs = output::files(args)?;
    let baseline = args.baseline.as_deref().map(report::files::read).transpose()?;
    if let Some(other) = args.against.as_ref().filter(|other| !other.is_file()) {
        return Err(Error::invalid(format!("--against {}: there is no such program", other.display())));
    }
    let own = std::env::current_exe().map_err(|e| Error::io("find", "this program", e))?;
    // What both versions are judged by has to be the same for both, and is that of the version that is known to work.
    let judge = args.against.clone().unwrap_or_else(|| own.clone());
    let scratch = tempfile::Builder::new().prefix("video-hw-bench-").tempdir();
    let scratch = scratch.map_err(|e| Error::io_writing("create a folder in", std::env::temp_dir(), e))?;
    let interrupts = Interrupts::install(args.quiet, Some(scratch.path()))?;
    let view = View::new(args.quiet, args.verbose);

    view.doing("asking what this machine can do");
    let own_abilities = abilities(&own, args, &interrupts)?;
    let other_abilities =
        args.against.as_ref().map(|other| abilities(other, args, &interrupts)).transpose()?;
    let abilities = own_abilities;
    let found = if (args.peer == Some(PeerName::None) || args.against.is_some()) && !args.verifies() {
        Err("none is wanted".to_owned())
    } else {
        Peer::find(args, &abilities, &interrupts)
    };
    let ffmpeg = found.as_ref().ok().map(|peer| peer.path.clone());
    let ffmpeg = ffmpeg.or_else(|| args.ffmpeg.clone().or_else(|| peer::on_path("ffmpeg")));
    // What has to be made is made, whatever the budget: it is the runs that are left out.
    let limits = Limits { time: LIMIT, interrupts: &interrupts };
    let mut inputs = Inputs::new(args, what.input.clone(), &judge, ffmpeg, scratch.path(), limits);
    let mut planner = Planner {
        args,
        own: &own,
        abilities: &abilities,
        other: args.against.as_deref().zip(other_abilities.as_ref()),
        peer: found.as_ref().map_err(Clone::clone),
        inputs: &mut inputs,
        jobs: Vec::new(),
        notes: Vec::new(),
    };
    view.doing("making inputs");
    planner.plan(&what.cases);
    let (mut jobs, mut notes) = (planner.jobs, planner.notes);
    if jobs.is_empty() {
        return Err(Error::unsupported(format!("nothing to measure: {}", notes.join("; "))));
    }

    let mut machine = machine::describe(&abilities, found.as_ref().ok());
    let (warmup, repeat) = args.runs();
    let rounds = Rounds { args, interrupts: &interrupts, view: &view, begun, warmup, repeat };
    notes.extend(rounds.run(&mut jobs));
    notes.extend(rounds.make_sure(&mut jobs));
    notes.extend(rounds.soak_again(&mut jobs));
    if args.verifies() && !interrupts.token.is_cancelled() {
        view.doing("verifying");
        let verifier = Verifier {
            args,
            judge: &judge,
            peer: found.as_ref().ok(),
            limits: Limits { time: LIMIT, interrupts: &interrupts },
        };
        verifier.all(&mut jobs);
    }
    machine.load.extend(machine::load());
    view.clear();

    let mut rows: Vec<Row> = jobs.into_iter().map(|job| job.row).collect();
    let folders = [Some(scratch.path()), what.input.as_deref().and_then(Path::parent)];
    names_only(&mut rows, &mut notes, &folders.into_iter().flatten().collect::<Vec<_>>());
    let cancelled = interrupts.token.is_cancelled();
    if cancelled {
        notes.push("cancelled: there are fewer runs than asked for".to_owned());
    }
    if args.keep {
        let kept = scratch.keep();
        // With --quiet, too: without it nobody could find them.
        view::say(&format!("inputs and outputs are in {}", kept.display()));
    }
    let record = Record {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        took_s: begun.elapsed().as_secs_f64(),
        machine,
        command: command(),
        protocol: args.protocol.and_then(Protocol::name),
        warmup,
        repeat,
        rows,
        notes,
    };
    let comparison = match baseline {
        Some(old) => Some(report::baseline::judge(&old, &record)),
        None => report::against::judge(&record),
    };
    output::write(&record, comparison.as_ref(), &outputs)?;
    Ok(outcome(&record, cancelled, comparison.as_ref()))
}

/// Takes folders out of what children said: where files lie on one machine is no part of a record.
fn names_only(rows: &mut [Row], notes: &mut [String], folders: &[&Path]) {
    let clean = |text: &mut String| {
        for folder in folders.iter().filter(|folder| folder.components().count() > 0) {
            *text = text.replace(&format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR), "");
        }
    };
    notes.iter_mut().for_each(clean);
    for row in rows {
        row.failed.iter_mut().for_each(clean);
        let checks = row.verify.iter_mut().flat_map(|verify| &mut verify.checks);
        checks.for_each(|check| clean(&mut check.found));
    }
}

fn outcome(record: &Record, cancelled: bool, comparison: Option<&Comparison>) -> Outcome {
    let wrong = |row: &Row| {
        row.failed.is_some()
            || row.judged.iter().any(|one| !one.passed)
            || row.verify.as_ref().is_some_and(|verify| verify.checks.iter().any(|check| !check.passed))
    };
    // Beside another version a row is wrong when it is worse than that one's.
    let beside = record.rows.iter().any(|row| row.program == OTHER);
    let wrong = match comparison.filter(|_| beside) {
        Some(comparison) => comparison.wrong(),
        None => record.rows.iter().any(wrong),
    };
    if cancelled {
        Outcome::Cancelled
    } else if wrong {
        Outcome::Wrong
    } else if comparison.is_some_and(Comparison::regressed) {
        Outcome::Slower
    } else {
        Outcome::Done
    }
}

fn abilities(own: &Path, args: &BenchArgs, interrupts: &Interrupts) -> Result<Abilities> {
    let program = Program::new(own, &args.env).args(["devices", "--json"]);
    let failed = |why: String| Error::invalid(format!("what this machine can do is not told: {why}"));
    let limits = Limits { time: LIMIT, interrupts };
    let done = child::run(&program, &limits).map_err(|error| failed(error.to_string()))?;
    if interrupts.token.is_cancelled() {
        return Err(Error::Cancelled);
    }
    if !done.success() {
        return Err(failed(done.failure()));
    }
    let said: Value = serde_json::from_slice(&done.stdout).map_err(|error| failed(error.to_string()))?;
    Ok(Abilities::new(said))
}

/// The command line of this process, files by their names.
fn command() -> Vec<String> {
    let mut message = std::env::args_os();
    let own = message.next().map(PathBuf::from).unwrap_or_default();
    Program::new(&own, &[]).args(message).message()
}
