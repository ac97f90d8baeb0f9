//! Encodes several streams on engines that they share, and judges who got how much of them.
//!
//! ```console
//! $ cargo run --example many_streams -- --streams 8 --engines 2
//! $ sims/nvidia/run --profile ada --set time.enabled=true --set time.encode_ns_per_frame=5000000 \
//!     target/debug/examples/many_streams --backend nvidia --slow 3
//! ```
//!
//! Streams have the same frames and equal weights. When the first of them is through, every other should have as many
//! packets, but for a tenth. The exit status is 1 when one has not, or when a queue was longer than its credits.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use video_hw::codec::Codec;
use video_hw::config::CommonEncodeConfig;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pipeline::scheduler::{
    EncodeStage, PipelineScheduler, ScheduledSummary, SchedulerOptions, StreamControl, StreamSpec,
};
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;
use video_hw::time::{Rational, TimeBase, Timestamp};

mod args;
#[path = "../shared/program.rs"]
mod program;
mod report;

use args::Options;
use program::AnyError;
use report::{Report, Row};

const CLASS: &str = "encoder";
/// How long the slow consumer takes for a packet.
const SLOW: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    program::main(args::HELP, args::parse, |options| {
        let report = run(options)?;
        print!("{}", if options.json { report.json() } else { report.table() });
        Ok(report.holds())
    })
}

fn run(options: &Options) -> Result<Report, AnyError> {
    // Twice as many slots as engines: each has its next frame before it is through with one.
    let scheduler = PipelineScheduler::new(SchedulerOptions::default().class(CLASS, 2 * options.engines))?;
    let (tell, first_through) = mpsc::channel();
    let mut controls = Vec::new();
    let mut backend = None;
    let mut inputs = Vec::new();
    for number in 0..options.streams {
        let config =
            CommonEncodeConfig::new(Codec::H264, options.size, Rational::new(30, 1).ok_or("a rate")?)
                .format(PixelFormat::Nv12);
        let session = EncodeSession::new(options.backend, config)?;
        backend.get_or_insert_with(|| session.receipt().to_string());
        let spec = StreamSpec::new(format!("stream {number}"))
            .stage_in(CLASS, EncodeStage::new(session))
            .credits(options.credits);
        let (input, output) = scheduler.open(spec)?;
        controls.push(output.control().ok_or("a stream")?);
        let (tell, slow) = (tell.clone(), options.slow == Some(number));
        let mut left = options.frames;
        output.deliver(move |result| {
            result?;
            if slow {
                std::thread::sleep(SLOW);
            }
            left -= 1;
            if left == 0 {
                // Nobody listens any more for those that come later.
                let _ = tell.send(());
            }
            Ok(())
        });
        inputs.push(input);
    }
    drop(tell);
    let started = Instant::now();
    for input in inputs {
        input.feed(frames(options)?);
    }
    first_through.recv().map_err(|_| failed(&controls))?;
    let took = started.elapsed();
    let rows = controls.iter().enumerate().map(|(number, control)| {
        let summary = control.summary();
        Row { slow: options.slow == Some(number), delivered: summary.ledger.delivered, summary }
    });
    let rows: Vec<Row> = rows.collect();
    // The others are let finish, but the slow one, so that the books are whole.
    for (control, row) in controls.iter().zip(&rows) {
        if row.slow {
            control.cancel();
        }
        if !control.wait(Duration::from_secs(600)) {
            return Err(failed(&controls).into());
        }
    }
    let ends: Vec<ScheduledSummary> = controls.iter().map(StreamControl::summary).collect();
    Ok(Report {
        backend: backend.unwrap_or_default(),
        engines: options.engines,
        credits: options.credits,
        frames: options.frames,
        took,
        rows,
        ends,
        scheduler: scheduler.summary(),
    })
}

fn failed(controls: &[StreamControl]) -> String {
    let errors = controls.iter().filter_map(|control| control.summary().error);
    errors.into_iter().next().unwrap_or_else(|| "a stream does not end".to_owned())
}

/// A stream's source: the same picture again and again, so that nothing but encoding takes time.
fn frames(
    options: &Options,
) -> Result<
    impl Iterator<Item = video_hw::Result<video_hw::pipeline::scheduler::Unit>> + Send + 'static,
    AnyError,
> {
    let grey = vec![128; PixelFormat::Nv12.frame_bytes(options.size)];
    let surface = HostSurface::from_packed(PixelFormat::Nv12, options.size, grey)?;
    let base = TimeBase::new(1, 30).ok_or("a time base")?;
    let frames = i64::try_from(options.frames)?;
    Ok((0..frames).map(move |tick| Ok(Frame::host(Timestamp::new(tick, base), surface.clone()).into())))
}
