//! `video-hw`: the command line of the library.
//!
//! Results go to standard output, words for people to standard error. The exit codes are a table in
//! [`exit`].

use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use video_hw_terminal::{cancel, text};

mod args;
mod clock;
mod compare;
mod copy;
mod decode;
mod devices;
mod doctor;
mod encode;
mod exit;
mod failure;
mod given;
mod json;
mod limits;
mod metrics;
mod nvenc;
mod options;
mod packaging;
mod pick;
mod probe;
mod progress;
mod remedy;
mod report;
mod retired;
#[cfg(test)]
mod settings_tests;
mod thumbnails;
mod tracks;
mod transcode;
mod trim;

use args::{Cli, Command};
use exit::Exit;
use given::Given;

fn main() -> ExitCode {
    clock::begin();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match parse(&arguments) {
        // Without the exit handlers of a GPU driver that may have been loaded: they take their time to close what the
        // system closes anyway.
        Ok(cli) => {
            // What `bench` starts must find the environment as it is.
            if !matches!(cli.command, Command::Bench(_)) {
                video_hw::backend::dedicate_process();
            }
            retired::warn(&cli.command);
            let exit = run_guarded(&cli.command);
            let _ = std::io::stdout().flush();
            signal_hook::low_level::exit(i32::from(exit.code()))
        }
        Err(error) => refuse(&error, arguments.iter().any(|w| w == "--json")).into(),
    }
}

/// The command, with its options kept for the wording of remedies.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut root = Cli::command();
    let matches = root.try_get_matches_from_mut(arguments)?;
    Given::keep(&root, &matches);
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut root))
}

/// Runs the command; a panic is a defect told in one line.
fn run_guarded(command: &Command) -> Exit {
    // Worker threads turn their panics into errors, which are reported as such; the message of the panic
    // itself is kept for the case that it ends the command.
    let last = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let seen = std::sync::Arc::clone(&last);
    std::panic::set_hook(Box::new(move |info| {
        if let Ok(mut seen) = seen.lock() {
            *seen = info.to_string();
        }
    }));
    match catch_unwind(AssertUnwindSafe(|| run(command))) {
        Ok(exit) => exit,
        Err(payload) if payload.is::<cancel::Aborted>() => {
            say("aborted; the output is removed");
            Exit::Cancelled
        }
        Err(_) => {
            let what = last.lock().map(|s| s.clone()).unwrap_or_default();
            let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
            say(&format!("defect in this program: {what}; please report this"));
            Exit::Defect
        }
    }
}

fn run(command: &Command) -> Exit {
    let result = match command {
        Command::Transcode(args) => transcode::run(args),
        Command::Trim(args) => trim::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Thumbnails(args) => thumbnails::run(args),
        Command::Encode(args) => encode::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::ProbeChild(args) => doctor::run_child(args),
        Command::Compare(args) => compare::run(args),
        Command::Bench(args) => video_hw_bench::run(args).map(Exit::from),
        Command::Completions(args) => packaging::completions(args),
        Command::Man(args) => packaging::man(args),
        Command::BenchWork(args) => video_hw_bench::work(args).map(|()| Exit::Done),
    };
    let error = match result {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    let paths = command.paths();
    let exit = exit::of_error(&error, &paths);
    // Whoever stopped reading knows; a message would only clutter `... | head`.
    if exit == Exit::BrokenPipe {
        return exit;
    }
    say(&exit::message(&error));
    if command.json() {
        tell_json(&json::error(&error, exit), paths.data_on_stdout());
    }
    exit
}

/// The one line about a failure.
fn say(message: &str) {
    text::to_stderr(&format!("video-hw: error: {}", text::one_line(message)));
}

fn tell_json(document: &serde_json::Value, data_on_stdout: bool) {
    let document = format!("{document:#}");
    if data_on_stdout {
        text::to_stderr(&document);
    } else {
        // The command has failed already; a closed standard output adds nothing.
        let _ = text::to_stdout(&document);
    }
}

/// Help and version go out as they are, wrong arguments in one line.
fn refuse(error: &clap::Error, json: bool) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            return Exit::Done;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return Exit::Usage;
        }
        _ => {}
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let lines: Vec<_> =
        lines.take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more")).collect();
    let message = lines.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    say(&format!("{message} (see --help)"));
    if json {
        tell_json(&json::usage_error(message), false);
    }
    Exit::Usage
}
