//! Encodes several live streams for a while, each frame handed over when it is due, and judges what a camera wall cares
//! about: lost frames, frames that wait, packets that come unevenly, memory that grows.
//!
//! ```console
//! $ cargo run --release --example soak_encode -- --streams 4 --minutes 10
//! $ scripts/soak-encode.sh --simulated --minutes 10
//! ```
//!
//! A frame that is not taken when it is due is lost, as it is with a camera. The exit status is 1 when a limit is broken.

use std::process::ExitCode;
use std::time::{Duration, Instant};

mod args;
mod figures;
#[allow(dead_code, reason = "shared with another example, which uses more of it")]
#[path = "../decode_many/json.rs"]
mod json;
#[allow(dead_code, reason = "shared with another example, which uses more of it")]
#[path = "../decode_many/process.rs"]
mod process;
#[path = "../shared/program.rs"]
mod program;
mod stream;
mod verdict;

use args::Options;
use figures::Trend;
use program::AnyError;

fn main() -> ExitCode {
    program::main(args::HELP, args::parse, run)
}

/// Whether all limits were kept.
fn run(options: &Options) -> Result<bool, AnyError> {
    let pictures = stream::pictures(options)?;
    let mut streams = Vec::new();
    for number in 0..options.streams {
        streams.push(stream::open(options, number, &pictures)?);
    }
    let backend = streams.first().and_then(|stream| stream.backend()).ok_or("no stream")?;
    // All are open: from here on nothing should be allocated that stays.
    let start = Instant::now() + Duration::from_millis(100);
    let mut memory = Memory::default();
    let outcomes = std::thread::scope(|scope| {
        let running: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                let pictures = &pictures;
                scope.spawn(move || stream.run(options, pictures, start))
            })
            .collect();
        memory.watch(options, backend, start);
        running
            .into_iter()
            .map(|thread| {
                thread.join().map_err(|_| "a stream's thread panicked".to_owned()).and_then(|done| done)
            })
            .collect::<Result<Vec<_>, String>>()
    })?;
    let report = verdict::Report::of(options, backend, &outcomes, &memory);
    print!("{}", if options.json { report.json() } else { report.table() });
    Ok(report.holds())
}

/// Memory in use, looked at every second. The first fifth of the time counts as warming up.
#[derive(Default)]
pub(crate) struct Memory {
    /// Resident memory of the process.
    pub(crate) host: Trend,
    /// Memory of the device in use, by whomever.
    pub(crate) device: Trend,
}

impl Memory {
    fn watch(&mut self, options: &Options, backend: video_hw::backend::BackendKind, start: Instant) {
        let end = start + options.time;
        let settled = start + options.time / 5;
        loop {
            let now = Instant::now();
            if now >= end {
                return;
            }
            if now >= settled {
                let at = (now - start).as_secs_f64();
                if let Some(kib) = process::resident_kib() {
                    self.host.add(at, kib as f64 / 1024.0);
                }
                let device = video_hw::backend::device_memory(backend, options.device.as_deref());
                if let Ok(Some(memory)) = device {
                    self.device.add(at, memory.used() as f64 / f64::from(1 << 20));
                }
            }
            std::thread::sleep(Duration::from_secs(1).min(end - now));
        }
    }
}
