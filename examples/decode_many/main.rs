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
mod stages;
mod throughput;
mod verify;

use args::{Mode, Options, Parsed};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let begun = std::time::Instant::now();
    let options = match args::parse(std::env::args().skip(1)) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("decode_many: {error}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&options, begun) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let mut report = json::Object::new();
            report.text("error", &error.to_string());
            println!("{report}");
            eprintln!("decode_many: {error}");
            ExitCode::FAILURE
        }
    }
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
