//! Decodes many streams at once and tells how long everything took, as JSON: throughput, start-up, latency, memory.
//!
//! ```console
//! $ cargo run --release --example decode_many -- clips/small.h264 --sessions 14
//! $ cargo run --release --example decode_many -- clips/small.h264 --stages
//! $ cargo run --release --example decode_many -- clips/small.h264 --low-latency
//! $ cargo run --release --example decode_many -- clips/small.h264 --open-close 5 --sessions 20
//! ```
//!
//! It uses the public interface alone, so it is also an example of sessions that are fed and emptied by threads.

use std::process::ExitCode;

mod args;
mod churn;
mod clip;
mod json;
mod latency;
mod process;
#[path = "../shared/program.rs"]
mod program;
mod stages;
mod throughput;
mod verify;

use args::{Mode, Options};
use program::AnyError;

fn main() -> ExitCode {
    let begun = std::time::Instant::now();
    program::main(args::HELP, args::parse, |options| {
        run(options, begun).inspect_err(|error| {
            let mut report = json::Object::new();
            report.text("error", &error.to_string());
            println!("{report}");
        })
    })
}

/// Whether everything came out as it should.
fn run(options: &Options, begun: std::time::Instant) -> Result<bool, AnyError> {
    match options.mode {
        Mode::Throughput => throughput::run(options),
        Mode::Stages { spawned_ns } => stages::run(options, begun, spawned_ns),
        Mode::Latency => latency::run(options),
        Mode::OpenClose { rounds } => churn::run(options, rounds),
    }
}
