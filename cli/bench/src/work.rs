//! What `bench` measures and no other command does, in a process of its own: the hidden command `bench-work`.
//!
//! A process, so that variables for the driver reach it as they reach every other child, and so that a driver that ends its
//! process ends one row.

use std::time::Instant;

use video_hw::rawvideo::FrameReader;
use video_hw::session::{EncodeSession, Submit};
use video_hw::stages::Histogram;
use video_hw::time::Timestamp;
use video_hw::{Error, Result};
use video_hw_terminal::text;

use super::live::{PATIENCE, Report, Work, WorkArgs, latency};
use super::{soak, switch};

/// Measures, and tells the figures as JSON on standard output.
///
/// # Errors
/// When there is nothing to tell.
pub fn run(args: &WorkArgs) -> Result<()> {
    let begun = Instant::now();
    let report = match args.work {
        Work::Latency => one_by_one(args, begun)?,
        Work::Switch => switch::run(args, begun)?,
        Work::Soak => soak::run(args)?,
    };
    let said = serde_json::to_string(&report)
        .map_err(|error| Error::invalid(format!("the report cannot be written: {error}")))?;
    text::to_stdout(&said)
}

/// Each picture goes in when the packet of the one before is out; reading the file is outside the time.
fn one_by_one(args: &WorkArgs, begun: Instant) -> Result<Report> {
    let mut session = EncodeSession::with_special(args.backend, args.config(), &args.special())?;
    let mut pictures = args.pictures()?;
    let times = Histogram::default();
    let encoder = session.receipt().chosen().map(|(_, name)| name.to_owned());
    let (mut report, mut first) = (Report { encoder, ..Report::default() }, None);
    while report.frames < args.frames
        && let Some(frame) = pictures.next_frame()?
    {
        let pts = frame.pts;
        let submitted = Instant::now();
        let Submit::Accepted = session.submit(frame)? else {
            return Err(Error::unsupported("a frame was not taken although nothing is inside"));
        };
        let Some(packet) = session.reap_timeout(PATIENCE)? else {
            return Err(Error::unsupported(format!("frame {} is held back: no packet", report.frames)));
        };
        times.record(submitted.elapsed());
        if packet.pts.map(Timestamp::as_secs_f64) != Some(pts.as_secs_f64()) {
            return Err(Error::unsupported(format!("frame at {pts} came out as {:?}", packet.pts)));
        }
        report.frames += 1;
        report.bytes_out = Some(report.bytes_out.unwrap_or(0) + packet.data.len() as u64);
        first.get_or_insert_with(|| begun.elapsed());
    }
    report.startup_s = first.map(|first| first.as_secs_f64());
    report.steady_s = first.map(|first| begun.elapsed().saturating_sub(first).as_secs_f64());
    report.latency = Some(latency(times.summary()));
    if let Some(stages) = session.summary().stages {
        for (name, stage) in stages.named() {
            report.internal.insert(format!("{name}_ms"), stage.total.as_secs_f64() * 1e3);
            report.internal.insert(format!("{name}_ms_per_picture"), stage.mean().as_secs_f64() * 1e3);
            report.internal.insert(format!("{name}_p95_ms"), stage.p95.as_secs_f64() * 1e3);
        }
        report
            .internal
            .insert("queue_peak".to_owned(), f64::from(u32::try_from(stages.queue_peak).unwrap_or(u32::MAX)));
    }
    Ok(report)
}
