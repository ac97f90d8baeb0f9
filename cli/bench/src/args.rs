//! The options of `bench`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use video_hw::Error;
use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::Engines;
use video_hw::dimensions::Dimensions;
use video_hw::time::Rational;
use video_hw_terminal::parse;

use super::render::RenderArgs;

/// The examples of its help.
pub const EXAMPLES: &str = "\
Examples:
  video-hw bench
  video-hw bench decode in.mp4 --repeat 9
  video-hw bench decode in.mp4 --backend nvidia --output host,device,metadata
  video-hw bench decode encode --codec h264,hevc --backend nvidia --peer ffmpeg --out results
  video-hw bench encode in.mp4 --protocol operational --json result.json
  video-hw bench --protocol sweep --backend nvidia --max-in-flight 2,4,8 --gop-length 60
  video-hw bench encode --protocol sweep --codec hevc --backend nvidia --fastest
  video-hw bench decode --baseline old.json        exit code 1 when it became slower
  video-hw bench decode encode in.mp4 --verify --against /opt/old/video-hw
  video-hw bench switch latency --codec h264 --verify
  video-hw bench soak --minutes 10 --streams 4 --paced 30 --backend nvidia
  video-hw bench encode --budget 120 --env CUDA_VISIBLE_DEVICES=1";

const CASES: &str = "\
Cases:
  decode     a file to pictures in host memory (or where --output says), kept nowhere
  encode     one raw file by both programs, to MP4
  transcode  a file to another, without sound
  rgb        a file to packed RGB in host memory, kept nowhere
  multi      --streams processes at once, each decoding the file
  startup    a process for one picture
  latency    an encode session that gets a picture when the packet of the one before is out
  switch     an encode session whose bit rate and GOP change on the way; no frame may be lost
  soak       live streams for a while; judged are losses, waiting, evenness and memory
  all        all of these but soak

Exit codes: 0, 1 slower than --baseline or --against (or an unreadable input), 7 a row has no
figures, an output is wrong (--verify) or worse than with --against, or a limit is broken; others
as for every command.";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    Decode,
    Encode,
    Transcode,
    Rgb,
    Multi,
    Startup,
    Latency,
    Switch,
    Soak,
}

impl Case {
    pub(crate) const ALL: [(Self, &str); 9] = [
        (Self::Decode, "decode"),
        (Self::Encode, "encode"),
        (Self::Transcode, "transcode"),
        (Self::Rgb, "rgb"),
        (Self::Multi, "multi"),
        (Self::Startup, "startup"),
        (Self::Latency, "latency"),
        (Self::Switch, "switch"),
        (Self::Soak, "soak"),
    ];

    pub(crate) const fn name(self) -> &'static str {
        // In the order of the variants.
        Self::ALL[self as usize].1
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.1 == name).map(|case| case.0)
    }

    /// Whether a file is decoded, as opposed to raw pictures being encoded.
    pub(crate) const fn decodes(self) -> bool {
        matches!(self, Self::Decode | Self::Rgb | Self::Multi | Self::Startup)
    }
}

/// A preset of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// 2 warm-ups, 9 runs
    Main,
    /// 1 warm-up, 5 runs, with the stages inside
    Breakdown,
    /// 1 warm-up, 3 runs, every output verified
    Operational,
    /// Encoding with 2, 4 and 8 pictures in flight: 1 warm-up, 5 runs
    Sweep,
}

impl Protocol {
    pub(crate) fn name(self) -> Option<String> {
        self.to_possible_value().map(|value| value.get_name().to_owned())
    }

    const fn runs(self) -> (u32, u32) {
        match self {
            Self::Main => (2, 9),
            Self::Breakdown | Self::Sweep => (1, 5),
            Self::Operational => (1, 3),
        }
    }
}

/// Whose runs take turns with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerName {
    None,
    Ffmpeg,
}

/// Where `decode` leaves its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pictures {
    /// In host memory
    Host,
    /// In the GPU's own memory, the peer's as well
    Device,
    /// Nowhere: times and sizes alone, which no peer does
    Metadata,
}

impl Pictures {
    /// As `decode --output` has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Device => "device",
            Self::Metadata => "metadata",
        }
    }
}

/// Layout of the raw pictures that are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RawFormat {
    Yuv420p,
    Nv12,
    /// Bytes B, G, R, A: what NVENC calls ARGB
    Bgra,
}

impl RawFormat {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Yuv420p => "yuv420p",
            Self::Nv12 => "nv12",
            Self::Bgra => "bgra",
        }
    }
}

/// What else `bench` does.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Tables, charts and comparisons from records that were kept
    Report(RenderArgs),
}

/// The options of `bench`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{CASES}"), args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,

    /// Cases (by default decode, encode and transcode), and the file to work on; without a file a clip is made.
    /// A file that is named like a case is written ./decode
    #[arg(value_name = "CASE|INPUT")]
    pub(crate) what: Vec<String>,

    /// A preset of settings; options that are given besides it win
    #[arg(long, value_name = "NAME", value_enum, help_heading = "How often")]
    pub(crate) protocol: Option<Protocol>,
    /// Runs of each row that do not count [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000), help_heading = "How often")]
    pub(crate) warmup: Option<u32>,
    /// Runs of each row that count [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000), help_heading = "How often")]
    pub(crate) repeat: Option<u32>,
    /// Begin no round that would not fit into so many seconds any more; a run that takes longer is ended. Making inputs and
    /// verifying are not cut short
    #[arg(long, value_name = "SECONDS", value_parser = parse::length, help_heading = "How often")]
    pub(crate) budget: Option<Duration>,

    /// h264, hevc, av1, vp9; several with commas [default: what decodes takes that of INPUT; else h264 and hevc]
    #[arg(short, long, value_name = "LIST", value_parser = parse::codec, value_delimiter = ',', help_heading = "What runs")]
    pub(crate) codec: Vec<Codec>,
    /// software, nvidia, ffmpeg ...; several with commas; auto is all that are there [default: auto]
    #[arg(long, value_name = "LIST", value_parser = parse::backend, value_delimiter = ',', help_heading = "What runs")]
    pub(crate) backend: Vec<Backend>,
    /// GPU, where there are several: its number or its identifier, as `devices` lists them
    #[arg(long, value_name = "ID", help_heading = "What runs")]
    pub(crate) device: Option<String>,
    /// Program whose runs take turns with ours [default: ffmpeg, where there is one]
    #[arg(long, value_name = "NAME", value_enum, help_heading = "What runs")]
    pub(crate) peer: Option<PeerName>,
    /// Another ffmpeg than that on PATH, as peer and to verify
    #[arg(long, value_name = "PROGRAM", help_heading = "What runs")]
    pub(crate) ffmpeg: Option<PathBuf>,
    /// Threads of both programs' CPU codecs [default: as many as each takes by itself]
    #[arg(long, value_name = "N", value_parser = parse::threads, help_heading = "What runs")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// decode and rgb: our decoders for one file, on a GPU or the CPU: auto, or a number; several with commas make a row each
    #[arg(long, value_name = "LIST", value_parser = parse::engines, value_delimiter = ',', help_heading = "What runs")]
    pub(crate) engines: Vec<Engines>,
    /// decode: where pictures go, of both programs; several with commas make a row each [default: host, and metadata on a GPU]
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', help_heading = "What runs")]
    pub(crate) output: Vec<Pictures>,
    /// For children, ours and the peer's: a variable of their environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse::pair, help_heading = "What runs")]
    pub(crate) env: Vec<(String, String)>,

    /// Only so many frames of the input
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000), conflicts_with = "seconds", help_heading = "Input")]
    pub(crate) frames: Option<u64>,
    /// Only so much of the input
    #[arg(long, value_name = "SECONDS", value_parser = parse::length, help_heading = "Input")]
    pub(crate) seconds: Option<Duration>,
    /// Picture size of the clip that is made, and of a headerless INPUT [default: 1280x720; soak: 1920x1080]
    #[arg(short, long, value_name = "WxH", value_parser = parse::size, help_heading = "Input")]
    pub(crate) size: Option<Dimensions>,
    /// Frame rate of the clip that is made, and of a headerless INPUT [default: 30]
    #[arg(short = 'r', long, value_name = "RATE", value_parser = parse::frame_rate, help_heading = "Input")]
    pub(crate) fps: Option<Rational>,
    /// Format of the raw pictures that are encoded, and of a headerless INPUT
    #[arg(long, value_name = "NAME", value_enum, default_value = "yuv420p", help_heading = "Input")]
    pub(crate) pix_fmt: RawFormat,
    /// Both programs encode the same raw file, in the same byte order. This is always so; with the option the record says it
    #[arg(long, help_heading = "Input")]
    pub(crate) equal_raw_input: bool,

    /// Bits a second [default: by size and rate]
    #[arg(short, long, value_name = "RATE", value_parser = parse::bitrate, conflicts_with = "qp", help_heading = "Encoding")]
    pub(crate) bitrate: Option<u32>,
    /// A constant quantiser instead of a bit rate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=51), help_heading = "Encoding")]
    pub(crate) qp: Option<u8>,
    /// Frames from one key frame to the next
    #[arg(long, value_name = "N", alias = "nv-gop-length", value_parser = clap::value_parser!(u32).range(1..), default_value = "60", help_heading = "Encoding")]
    pub(crate) gop_length: u32,
    /// From one P frame to the next: 1 is no B frames, 3 is two
    #[arg(long, value_name = "N", alias = "nv-frame-interval-p", value_parser = clap::value_parser!(u32).range(1..=16), default_value = "1", help_heading = "Encoding")]
    pub(crate) frame_interval_p: u32,
    /// NVENC: pictures on their way at once; several with commas make a row each
    #[arg(long, value_name = "LIST", alias = "nv-max-in-flight", value_parser = clap::value_parser!(u8).range(1..=64), value_delimiter = ',', help_heading = "Encoding")]
    pub(crate) max_in_flight: Vec<u8>,
    /// NVENC, both programs: p1 (fastest) to p7 [default: p4]
    #[arg(long, value_name = "NAME", value_parser = ["p1", "p2", "p3", "p4", "p5", "p6", "p7"], help_heading = "Encoding")]
    pub(crate) preset: Option<String>,
    /// NVENC, both programs: hq, ll (low latency), ull (lower still) [default: hq]
    #[arg(long, value_name = "NAME", value_parser = ["hq", "ll", "ull"], alias = "tune", help_heading = "Encoding")]
    pub(crate) tuning: Option<String>,
    /// NVENC, both programs: the condition that older figures were measured in, --preset p1 --tuning ull
    #[arg(long, conflicts_with_all = ["preset", "tuning"], help_heading = "Encoding")]
    pub(crate) fastest: bool,
    /// Preset of encoders inside ffmpeg, ours and the peer's [default: veryfast; 8 for SVT-AV1]
    #[arg(long, value_name = "NAME", help_heading = "Encoding")]
    pub(crate) encoder_preset: Option<String>,

    /// Streams at once, of `multi` and `soak`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), default_value = "4", help_heading = "Cases")]
    pub(crate) streams: u32,
    /// soak: how long [default: 10]
    #[arg(long, value_name = "N", value_parser = minutes, help_heading = "Cases")]
    pub(crate) minutes: Option<f64>,
    /// soak: frames a second of each stream, each handed over when it is due
    #[arg(long, value_name = "RATE", value_parser = parse::frame_rate, default_value = "30", help_heading = "Cases")]
    pub(crate) paced: Rational,
    /// Also switch settings in the middle of streams: the case `switch`
    #[arg(long, help_heading = "Cases")]
    pub(crate) switch_scenario: bool,

    /// Ask of each output: frames, codec, whether it plays, times, PSNR; of decoded frames whether they equal the peer's
    #[arg(long, help_heading = "Judging")]
    pub(crate) verify: bool,
    /// --verify: what the PSNR must at least be
    #[arg(long, value_name = "DB", value_parser = parse::decibels, default_value = "28", help_heading = "Judging")]
    pub(crate) min_psnr: f64,
    /// An older record: exit code 1 when this one is slower
    #[arg(long, value_name = "FILE", help_heading = "Judging")]
    pub(crate) baseline: Option<PathBuf>,
    /// Another version of this program, whose runs take turns with ours in place of ffmpeg's: exit code 1 when ours is
    /// slower, 7 when it fails or what it makes is worse
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["baseline", "peer"], help_heading = "Judging")]
    pub(crate) against: Option<PathBuf>,

    /// Add the program's own figures of its stages to each run
    #[arg(long, help_heading = "Reporting")]
    pub(crate) include_internal_metrics: bool,
    /// The record as JSON; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) json: Option<PathBuf>,
    /// A report as Markdown
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) markdown: Option<PathBuf>,
    /// A report as one HTML page
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) html: Option<PathBuf>,
    /// All reports into this folder, by codec and time: bench-h264-20260102T030405Z.json, .md and .html
    #[arg(long, value_name = "DIR", help_heading = "Reporting")]
    pub(crate) out: Option<PathBuf>,
    /// Keep inputs and outputs that were made, and tell where
    #[arg(long, help_heading = "Reporting")]
    pub(crate) keep: bool,
    /// Replace reports that exist
    #[arg(short = 'y', long, alias = "force", help_heading = "Reporting")]
    pub(crate) overwrite: bool,
    /// No progress; errors only
    #[arg(short, long, help_heading = "Reporting")]
    pub quiet: bool,
    /// Also tell each run as it ends, and its command
    #[arg(short, long, conflicts_with = "quiet", help_heading = "Reporting")]
    pub(crate) verbose: bool,
}

/// Cases and the input, of the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct What {
    pub(crate) cases: Vec<Case>,
    pub(crate) input: Option<PathBuf>,
}

impl BenchArgs {
    /// What the bare words ask for.
    ///
    /// # Errors
    /// Two inputs, or a word that is neither a case nor a file.
    pub(crate) fn what(&self) -> video_hw::Result<What> {
        let mut cases = Vec::new();
        let mut input: Option<PathBuf> = None;
        for word in &self.what {
            if word == "all" {
                cases.extend(Case::ALL.into_iter().map(|case| case.0).filter(|case| *case != Case::Soak));
            } else if let Some(case) = Case::named(word) {
                cases.push(case);
            } else if let Some(first) = &input {
                return Err(Error::invalid(format!(
                    "{} and {word} are two inputs; a run measures one ({})",
                    first.display(),
                    known()
                )));
            } else if word == "-" {
                return Err(Error::invalid(
                    "standard input can be read only once, and bench reads its input again and again; name a file",
                ));
            } else if Path::new(word).is_file() {
                input = Some(PathBuf::from(word));
            } else {
                return Err(Error::invalid(format!("{word} is neither a case nor a file; {}", known())));
            }
        }
        if cases.is_empty() {
            cases = if self.protocol == Some(Protocol::Sweep) {
                vec![Case::Encode]
            } else {
                vec![Case::Decode, Case::Encode, Case::Transcode]
            };
        }
        if self.switch_scenario {
            cases.push(Case::Switch);
        }
        cases.sort_unstable();
        cases.dedup();
        if !self.output.is_empty() && !cases.contains(&Case::Decode) {
            return Err(Error::invalid(
                "--output says where the case decode leaves its pictures, and decode is not among the cases; reports go to \
                 --out DIR",
            ));
        }
        Ok(What { cases, input })
    }

    /// Warm-ups and runs.
    pub(crate) fn runs(&self) -> (u32, u32) {
        let (warmup, repeat) = self.protocol.map_or((1, 5), Protocol::runs);
        (self.warmup.unwrap_or(warmup), self.repeat.unwrap_or(repeat))
    }

    pub(crate) fn verifies(&self) -> bool {
        self.verify || self.protocol == Some(Protocol::Operational)
    }

    pub(crate) fn equal_raw(&self) -> bool {
        self.equal_raw_input || self.protocol == Some(Protocol::Operational)
    }

    pub(crate) fn internal(&self) -> bool {
        self.include_internal_metrics || matches!(self.protocol, Some(Protocol::Breakdown | Protocol::Sweep))
    }

    /// The backends that are asked for by name: what is missing of these is no mere note.
    pub(crate) fn named_backends(&self) -> Vec<BackendKind> {
        let named = self.backend.iter().filter_map(|backend| match backend {
            Backend::Only(kind) => Some(*kind),
            Backend::Auto => None,
        });
        distinct(&named.collect::<Vec<_>>())
    }

    /// Whether every backend that is there is asked for.
    pub(crate) fn every_backend(&self) -> bool {
        self.backend.is_empty() || self.backend.contains(&Backend::Auto)
    }

    /// Pictures in flight, a row each; nothing is the encoder's own number.
    pub(crate) fn in_flight(&self) -> Vec<Option<u8>> {
        if !self.max_in_flight.is_empty() {
            distinct(&self.max_in_flight).into_iter().map(Some).collect()
        } else if self.protocol == Some(Protocol::Sweep) {
            vec![Some(2), Some(4), Some(8)]
        } else {
            vec![None]
        }
    }

    /// NVENC's preset, of both programs.
    pub(crate) fn preset(&self) -> &str {
        self.preset.as_deref().unwrap_or(if self.fastest { "p1" } else { "p4" })
    }

    /// NVENC's tuning, of both programs.
    pub(crate) fn tuning(&self) -> &str {
        self.tuning.as_deref().unwrap_or(if self.fastest { "ull" } else { "hq" })
    }

    pub(crate) fn b_frames(&self) -> u32 {
        self.frame_interval_p - 1
    }

    /// Whether the record goes to standard output.
    pub fn json_on_stdout(&self) -> bool {
        if let Some(BenchCommand::Report(args)) = &self.command {
            return args.json;
        }
        self.json.as_deref() == Some(Path::new("-"))
    }

    /// What it reads, and what it writes first.
    pub fn files(&self) -> (Vec<PathBuf>, Option<PathBuf>) {
        if let Some(BenchCommand::Report(args)) = &self.command {
            return args.files();
        }
        // Not standard output: what is written there is the record, or why there is none.
        let files = [&self.json, &self.markdown, &self.html].into_iter().flatten();
        let output = files.into_iter().find(|path| path.as_path() != Path::new("-")).cloned();
        let input = self.what().ok().and_then(|what| what.input);
        (input.iter().chain(&self.baseline).cloned().collect(), output)
    }
}

/// Each once, where it is named first: two rows of one name could not be told apart.
pub(crate) fn distinct<T: Copy + PartialEq>(named: &[T]) -> Vec<T> {
    let mut once = Vec::new();
    for one in named {
        if !once.contains(one) {
            once.push(*one);
        }
    }
    once
}

fn known() -> String {
    let names: Vec<_> = Case::ALL.into_iter().map(|case| case.1).collect();
    format!("cases are {} and all", names.join(", "))
}

fn minutes(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.01..=100_000.0).contains(value));
    value.ok_or_else(|| format!("{text:?} is no number of minutes; write 10 or 0.5"))
}
