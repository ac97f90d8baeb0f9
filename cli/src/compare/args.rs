//! The options of `compare`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use video_hw::backend::Backend;
use video_hw::config::Engines;
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::quality::Metrics;
use video_hw::time::Rational;
use video_hw_terminal::parse;

use crate::exit::Paths;
use crate::limits::LimitArgs;
use crate::options::{JobArgs, PartArgs};

pub(crate) const EXAMPLES: &str = "\
Examples:
  video-hw compare original.y4m encoded.mp4
  video-hw compare in.mp4 out.mp4 --csv frames.csv --plot frames.svg
  video-hw compare in.yuv out.mp4 --size 1280x720 --pix-fmt yuv420p --fps 30
  video-hw compare in.mp4 small.mp4 --scale-to-ref --start 10 --duration 5
  video-hw compare in.mp4 out.mp4 --quiet --min-psnr 40 --min-ssim 0.98   exit code 6 when it is worse
  video-hw compare in.mp4 out.mp4 --json | jq '.files[0].psnr.average'
  video-hw compare in.mp4 --anchor x264-1.mp4 x264-2.mp4 x264-4.mp4 x264-8.mp4 --test new-1.mp4 new-2.mp4 new-4.mp4 new-8.mp4 --plot rd.svg";

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Metric {
    /// Peak signal-to-noise ratio
    Psnr,
    /// Structural similarity
    Ssim,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompareArgs {
    /// The original; - is standard input
    #[arg(value_name = "REF")]
    pub(crate) reference: PathBuf,
    /// Files to judge
    #[arg(value_name = "DIST", required_unless_present = "anchor")]
    pub(crate) distorted: Vec<PathBuf>,
    /// Files of the first rate-distortion curve, against which --test is judged by BD-rate
    #[arg(long, value_name = "FILE", num_args = 2.., requires = "test", help_heading = "Curves")]
    pub(crate) anchor: Vec<PathBuf>,
    /// Files of the second curve
    #[arg(long, value_name = "FILE", num_args = 2.., requires = "anchor", help_heading = "Curves")]
    pub(crate) test: Vec<PathBuf>,
    /// What to measure
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', default_values_t = [Metric::Psnr, Metric::Ssim], help_heading = "Measuring")]
    pub(crate) metrics: Vec<Metric>,
    /// The first frame against the first, whatever their times: what streams without times get by themselves
    #[arg(long, conflicts_with = "input_fps", help_heading = "Measuring")]
    pub(crate) by_index: bool,
    /// Bring files of another size to that of REF (bicubic), instead of refusing them
    #[arg(long, help_heading = "Measuring")]
    pub(crate) scale_to_ref: bool,
    /// Fail (exit code 6) when the PSNR over all planes and frames of a file is below this
    #[arg(long, value_name = "DB", value_parser = parse::decibels, help_heading = "Measuring")]
    pub(crate) min_psnr: Option<f64>,
    /// Fail (exit code 6) when the SSIM over all planes and frames of a file is below this
    #[arg(long, value_name = "SSIM", value_parser = similarity, help_heading = "Measuring")]
    pub(crate) min_ssim: Option<f64>,
    /// Scores of each frame as comma-separated values; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) csv: Option<PathBuf>,
    /// Scores of each frame as one JSON object a line; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) jsonl: Option<PathBuf>,
    /// A chart as SVG: quality over bit rate of several files, over time of one
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) plot: Option<PathBuf>,
    /// Picture size of headerless files: 1280x720, or a name such as hd720
    #[arg(short = 's', long, value_name = "WxH", value_parser = parse::size, help_heading = "Headerless input", allow_hyphen_values = true)]
    pub(crate) size: Option<Dimensions>,
    /// Pixel format of headerless files, by ffmpeg's name
    #[arg(long, value_name = "NAME", value_parser = parse::pixel_format, alias = "pix_fmt", help_heading = "Headerless input")]
    pub(crate) pix_fmt: Option<PixelFormat>,
    /// Frame rate of headerless files: 30, 29.97, 30000/1001
    #[arg(short = 'r', long, value_name = "RATE", value_parser = parse::frame_rate, help_heading = "Headerless input", allow_hyphen_values = true)]
    pub(crate) fps: Option<Rational>,
    /// Frame rate of inputs that carry no times (raw H.264, H.265)
    #[arg(long, value_name = "RATE", value_parser = parse::frame_rate, help_heading = "Part of the input", allow_hyphen_values = true)]
    pub(crate) input_fps: Option<Rational>,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// Decoder: auto, nvidia, qsv, videotoolbox, software, ffmpeg
    #[arg(long, value_name = "NAME", value_parser = parse::backend, help_heading = "Where it runs")]
    pub(crate) backend: Option<Backend>,
    /// GPU, where there are several: its number or its identifier, as `devices` lists them
    #[arg(long, value_name = "ID", help_heading = "Where it runs")]
    pub(crate) device: Option<String>,
    /// Decoders that share each file: auto (all engines of the GPU, all cores of the CPU), or a number
    #[arg(long, value_name = "N", value_parser = parse::engines, default_value = "1", help_heading = "Where it runs")]
    pub(crate) engines: Engines,
    /// Threads that measure (by default as many as the machine has), and that each CPU decoder may use
    #[arg(long, value_name = "N", value_parser = parse::threads, allow_hyphen_values = true, help_heading = "Where it runs")]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

impl CompareArgs {
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics {
            psnr: self.metrics.contains(&Metric::Psnr) || self.min_psnr.is_some(),
            ssim: self.metrics.contains(&Metric::Ssim) || self.min_ssim.is_some(),
        }
    }

    /// All files to judge, in the order in which that is done.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.distorted.iter().chain(&self.anchor).chain(&self.test)
    }

    /// The files that are written.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.csv.iter().chain(&self.jsonl).chain(&self.plot)
    }

    pub(crate) fn paths(&self) -> Paths {
        let stdout = self.outputs().find(|path| path.as_path() == Path::new("-"));
        Paths {
            inputs: std::iter::once(&self.reference).chain(self.files()).cloned().collect(),
            output: stdout.or_else(|| self.outputs().next()).cloned(),
        }
    }
}

fn similarity(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|v| (0.0..=1.0).contains(v));
    value.ok_or_else(|| format!("{text:?} is not an SSIM; write 0 to 1, such as 0.98"))
}
