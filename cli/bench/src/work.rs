//! What `bench` measures and no other command does, in a process of its own: the hidden command `bench-work`.
//!
//! A process, so that variables for the driver reach it as they reach every other child, and so that a driver that ends its
//! process ends one row.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::{FrameReader, RawReader, VideoFormat};
use video_hw::session::{EncodeSession, Submit};
use video_hw::stages::{Histogram, StageSummary};
use video_hw::time::{Rational, Timestamp};
use video_hw::{Error, Result};

use super::record::{Judged, Latency, Row, Run};
use super::{soak, switch};
use crate::{parse, text};

/// How long a packet may take before the encoder counts as hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    Latency,
    Switch,
    Soak,
}

/// The options of `bench-work`.
#[derive(Debug, Args)]
pub struct WorkArgs {
    #[arg(value_enum)]
    pub(crate) work: Work,
    #[arg(long, value_parser = parse::backend)]
    pub(crate) backend: Backend,
    #[arg(long)]
    pub(crate) device: Option<String>,
    #[arg(long, value_parser = parse::codec)]
    pub(crate) codec: Codec,
    #[arg(long, value_parser = parse::size)]
    pub(crate) size: Dimensions,
    #[arg(long, value_parser = parse::frame_rate)]
    pub(crate) fps: Rational,
    /// Raw pictures
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    #[arg(long, value_parser = parse::pixel_format, default_value = "yuv420p")]
    pub(crate) pix_fmt: PixelFormat,
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) frames: u64,
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    #[arg(long, default_value_t = 60)]
    pub(crate) gop: u32,
    #[arg(long)]
    pub(crate) bitrate: Option<u32>,
    #[arg(long)]
    pub(crate) max_in_flight: Option<u8>,
    #[arg(long)]
    pub(crate) preset: Option<String>,
    #[arg(long)]
    pub(crate) tuning: Option<String>,
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: u32,
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
}

/// What a child tells on its standard output.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) frames: u64,
    pub(crate) startup_s: Option<f64>,
    pub(crate) steady_s: Option<f64>,
    pub(crate) bytes_out: Option<u64>,
    pub(crate) latency: Option<Latency>,
    /// Figures that belong to every record.
    #[serde(default)]
    pub(crate) figures: BTreeMap<String, f64>,
    /// Figures of the stages inside.
    #[serde(default)]
    pub(crate) internal: BTreeMap<String, f64>,
    #[serde(default)]
    pub(crate) judged: Vec<Judged>,
}

impl Report {
    /// Into a run and its row.
    pub(super) fn fill(self, run: &mut Run, row: &mut Row, with_internal: bool) {
        run.frames += self.frames;
        run.startup_s = self.startup_s;
        run.steady_s = self.steady_s;
        run.bytes_out = self.bytes_out;
        run.latency = self.latency;
        run.internal = self.figures;
        if with_internal {
            run.internal.extend(self.internal);
        }
        for one in self.judged {
            // Of several runs the worst is told.
            match row.judged.iter_mut().find(|known| known.name == one.name) {
                Some(known) if (!one.passed, one.value) > (!known.passed, known.value) => *known = one,
                Some(_) => {}
                None => row.judged.push(one),
            }
        }
    }
}

/// A figure that may be at most `limit`.
pub(super) fn judged(name: &str, value: f64, limit: f64, unit: &str) -> Judged {
    Judged { name: name.to_owned(), value, limit, unit: unit.to_owned(), passed: value <= limit }
}

pub(super) fn latency(of: StageSummary) -> Latency {
    Latency {
        p50_s: of.p50.as_secs_f64(),
        p95_s: of.p95.as_secs_f64(),
        p99_s: of.p99.as_secs_f64(),
        max_s: of.max.as_secs_f64(),
    }
}

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

impl WorkArgs {
    /// What it reads and writes.
    pub fn files(&self) -> (Vec<PathBuf>, Option<PathBuf>) {
        (self.input.iter().cloned().collect(), self.output.clone())
    }

    /// The settings of a low-latency stream.
    pub(super) fn config(&self) -> CommonEncodeConfig {
        let mut config = CommonEncodeConfig::new(self.codec, self.size, self.fps)
            .low_latency(true)
            .gop_length(self.gop)
            .format(self.pix_fmt);
        config.device.clone_from(&self.device);
        config.rate_control(self.rate_control(self.bits()))
    }

    /// A constant rate, where the encoder has one.
    pub(super) fn rate_control(&self, bitrate_bps: u32) -> RateControl {
        if self.codec == Codec::Av1 && self.backend == Backend::Only(BackendKind::Ffmpeg) {
            return RateControl::Vbr { avg_bps: bitrate_bps, max_bps: None };
        }
        RateControl::Cbr { bitrate_bps }
    }

    pub(super) fn bits(&self) -> u32 {
        let samples = self.size.pixels() as f64 * self.fps.as_f64();
        self.bitrate.unwrap_or((samples * 0.08).clamp(100_000.0, 1e9) as u32)
    }

    pub(super) fn special(&self) -> BackendEncodeConfig {
        if self.preset.is_none() && self.tuning.is_none() && self.max_in_flight.is_none() {
            return BackendEncodeConfig::None;
        }
        let own = NvidiaEncodeConfig::default().preset(self.preset.clone()).tuning(self.tuning.clone());
        BackendEncodeConfig::Nvidia(match self.max_in_flight {
            Some(outputs) => own.max_in_flight_outputs(outputs.into()),
            None => own,
        })
    }

    /// The raw pictures, one after another.
    pub(super) fn pictures(&self) -> Result<RawReader<BufReader<File>>> {
        let path = self.input.as_ref().ok_or_else(|| Error::invalid("--input FILE is missing"))?;
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        Ok(RawReader::new(BufReader::new(file), path, VideoFormat::new(self.pix_fmt, self.size, self.fps)))
    }
}

/// Each picture goes in when the packet of the one before is out; reading the file is outside the time.
fn one_by_one(args: &WorkArgs, begun: Instant) -> Result<Report> {
    let mut session = EncodeSession::with_special(args.backend, args.config(), &args.special())?;
    let mut pictures = args.pictures()?;
    let times = Histogram::default();
    let (mut report, mut first) = (Report::default(), None);
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
        for (name, stage) in [
            ("upload", stages.upload),
            ("encode", stages.submit),
            ("lock", stages.lock),
            ("copy", stages.copy),
        ] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn of_several_runs_the_worst_is_told() {
        let after = |values: &[(f64, f64)]| {
            let mut row = samples::row("switch", "h264", "video-hw", "", &[]);
            for (value, limit) in values {
                let report = Report { judged: vec![judged("lost", *value, *limit, "")], ..Report::default() };
                report.fill(&mut Run::default(), &mut row, false);
            }
            assert_eq!(row.judged.len(), 1);
            (row.judged[0].value, row.judged[0].passed)
        };
        assert_eq!(after(&[(1.0, 2.0), (2.0, 2.0), (0.0, 2.0)]), (2.0, true));
        // One that failed stays, whatever passes or fails by less after it.
        assert_eq!(after(&[(5.0, 2.0), (3.0, 2.0)]), (5.0, false));
        assert_eq!(after(&[(5.0, 2.0), (6.0, 9.0)]), (5.0, false));
        assert_eq!(after(&[(6.0, 9.0), (5.0, 2.0)]), (5.0, false));
    }
}
