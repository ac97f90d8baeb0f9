//! What the streams of `bench-work` share: options, settings, and the report of a child.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::{RawReader, VideoFormat};
use video_hw::stages::StageSummary;
use video_hw::time::Rational;
use video_hw::{Error, Result};
use video_hw_terminal::parse;

use crate::record::{Judged, Latency, Row, Run};

/// How long a packet may take before the encoder counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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
    pub(crate) encoder: Option<String>,
    /// The format of pictures that are made in memory.
    pub(crate) pixel_format: Option<String>,
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
    pub(crate) fn fill(self, run: &mut Run, row: &mut Row, with_internal: bool) {
        run.frames += self.frames;
        run.startup_s = self.startup_s;
        run.steady_s = self.steady_s;
        run.bytes_out = self.bytes_out;
        run.latency = self.latency;
        run.internal = self.figures;
        row.encoder = self.encoder;
        if self.pixel_format.is_some() {
            row.input.pixel_format = self.pixel_format;
        }
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
pub(crate) fn judged(name: &str, value: f64, limit: f64, unit: &str) -> Judged {
    Judged { name: name.to_owned(), value, limit, unit: unit.to_owned(), passed: value <= limit }
}

pub(crate) fn latency(of: StageSummary) -> Latency {
    Latency {
        p50_s: of.p50.as_secs_f64(),
        p95_s: of.p95.as_secs_f64(),
        p99_s: of.p99.as_secs_f64(),
        max_s: of.max.as_secs_f64(),
    }
}

impl WorkArgs {
    /// What it reads and writes.
    pub fn files(&self) -> (Vec<PathBuf>, Option<PathBuf>) {
        (self.input.iter().cloned().collect(), self.output.clone())
    }

    /// The settings of a low-latency stream.
    pub(crate) fn config(&self) -> CommonEncodeConfig {
        let mut config = CommonEncodeConfig::new(self.codec, self.size, self.fps)
            .low_latency(true)
            .gop_length(self.gop)
            .format(self.pix_fmt);
        config.device.clone_from(&self.device);
        config.rate_control(self.rate_control(self.bits()))
    }

    /// A constant rate, where the encoder has one.
    pub(crate) fn rate_control(&self, bitrate_bps: u32) -> RateControl {
        if self.codec == Codec::Av1 && self.backend == Backend::Only(BackendKind::Ffmpeg) {
            return RateControl::Vbr { avg_bps: bitrate_bps, max_bps: None };
        }
        RateControl::Cbr { bitrate_bps }
    }

    pub(crate) fn bits(&self) -> u32 {
        let samples = self.size.pixels() as f64 * self.fps.as_f64();
        self.bitrate.unwrap_or((samples * 0.08).clamp(100_000.0, 1e9) as u32)
    }

    pub(crate) fn special(&self) -> BackendEncodeConfig {
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
    pub(crate) fn pictures(&self) -> Result<RawReader<BufReader<File>>> {
        let path = self.input.as_ref().ok_or_else(|| Error::invalid("--input FILE is missing"))?;
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        Ok(RawReader::new(BufReader::new(file), path, VideoFormat::new(self.pix_fmt, self.size, self.fps)))
    }
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
