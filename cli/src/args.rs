//! Commands and their arguments, in the words of ffmpeg where it has some.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand};
use video_hw::backend::Backend;
use video_hw::config::Engines;
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::rawvideo::TimeUnit;
use video_hw::time::Rational;
use video_hw_bench::{BenchArgs, WorkArgs};
use video_hw_terminal::parse;

use crate::compare::CompareArgs;
use crate::doctor::{DoctorArgs, ProbeChildArgs};
use crate::exit::{self, Paths};
use crate::failure::{FailureArgs, OnFailure};
use crate::limits::LimitArgs;
use crate::options::{BackendArgs, CropArgs, EncoderArgs, JobArgs, PartArgs, PictureArgs};
use crate::packaging::{CompletionsArgs, ManArgs};
use crate::pick::PickArgs;
use crate::thumbnails::ThumbnailsArgs;
use crate::tracks::{CopyArgs, InputArgs, SpoolArgs};

#[derive(Debug, Parser)]
#[command(
    name = "video-hw",
    version,
    about = "Decode, encode and transcode video on whatever this machine has",
    after_help = TOP_EXAMPLES,
    after_long_help = TOP_EXAMPLES.to_owned() + "\n\n" + exit::HELP,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  video-hw transcode in.mp4 out.mp4 --codec h264 --bitrate 6M
  video-hw trim in.mp4 part.mp4 --start 1:30 --duration 10 --copy
  video-hw decode in.mp4 out.y4m
  video-hw encode in.y4m out.mp4 --bitrate 2M
  video-hw probe in.mp4
  video-hw compare original.y4m encoded.mp4
  video-hw devices
  video-hw doctor
  video-hw bench in.mp4

Help for one command: video-hw transcode --help";

const TRANSCODE_EXAMPLES: &str = "\
Examples:
  video-hw transcode in.mp4 out.mp4
  video-hw transcode in.mp4 out.mp4 --codec h264 --bitrate 6M --size hd720 --fps 29.97
  video-hw transcode in.mp4 part.mp4 --start 1:02:03.5 --duration 10
  video-hw transcode in.mp4 wide.mp4 --crop 0:140:1920:800 --size 960x400     cut out first, then scaled
  video-hw transcode in.h265 out.mp4 --copy               into another container, nothing encoded anew
  video-hw transcode in.mp4 out.mp4 --copy --audio lang:eng --subtitles none
  curl -s https://example.org/film.mp4 | video-hw transcode - out.mp4 --spool=4G
  video-hw transcode in.h265 - --format h264 --quiet | ffprobe -
  video-hw transcode in.mp4 out.mp4 --backend software --threads 4 --json
  video-hw transcode in.mp4 out.mp4 --codec hevc --encoder-backend nvidia --preset p6 --bitrate 4M
  video-hw transcode in.mp4 out.mp4 --rc quality --quality 24 --lookahead 16 --aq spatial=8,temporal
  video-hw transcode in.mp4 live.h264 --rc cbr --bitrate 5M --vbv 1M --tune ull --intra-refresh 60:30
  video-hw transcode in.mp4 out.mp4 --codec hevc --encoder libx265 --encoder-preset fast --quality 26";

const TRIM_EXAMPLES: &str = "\
Examples:
  video-hw trim in.mp4 part.mp4 --start 1:30 --duration 10          encoded anew, exact to the frame
  video-hw trim in.mp4 part.mp4 --start 1:30 --duration 10 --copy   as it is coded, from a key frame on
  video-hw trim in.mp4 part.mp4 --start 90 --copy --exact           exact too: only the first frames are encoded anew
  video-hw trim in.mp4 - --format h264 --start 5 --copy | ffprobe -
  video-hw trim in.mp4 part.mp4 --duration 20 --codec hevc --bitrate 4M";

const DECODE_EXAMPLES: &str = "\
Examples:
  video-hw decode in.mp4 out.y4m
  video-hw decode in.mp4 out.yuv --pix-fmt nv12
  video-hw decode in.mp4 'frame-%05d.png' --start 10 --frames 5
  video-hw decode in.mp4 'frame-%05d.png' --frames-at 0,100,5000
  video-hw decode in.mp4 frame.png --frames-at 5000
  video-hw decode in.mp4 'frame-%05d.png' --every 10s
  video-hw decode phone.mp4 'frame-%05d.png' --upright --height 720 --every 10s
  video-hw decode in.h264 --frame-md5 --times-at 20,1.5 --index in.index
  video-hw decode in.mp4 - --format y4m --quiet | ffplay -
  video-hw decode in.mp4 --null               decode as fast as possible, keep nothing
  video-hw decode in.mp4 --null --engines 1   the same with one decoder
  video-hw decode in.mp4 --null --output device --json | jq .timing
  video-hw decode in.mp4 thumbs.yuv --output rgb --crop 0:140:1920:800 --size 480x200
  cat in.mp4 | video-hw decode - --md5 --spool=2G
  video-hw decode in.mp4 --md5 --track 2
  video-hw decode in.mp4 --md5                same as ffmpeg -i in.mp4 -f rawvideo - | md5sum";

const ENCODE_EXAMPLES: &str = "\
Examples:
  video-hw encode in.y4m out.mp4 --bitrate 2M
  video-hw encode in.yuv out.mp4 --size 1280x720 --pix-fmt yuv420p --fps 30
  video-hw encode in.y4m out.h264 --qp 24 --gop 60
  ffmpeg -i in.mkv -f yuv4mpegpipe - | video-hw encode - out.mp4
  video-hw encode frames/ out.mp4 --timestamps times.txt --quality 23
  video-hw encode 'frame-%06d.png' out.mp4 --fps 30
  video-hw encode camera-left/ out.mp4 --times-from-names ns
  video-hw encode in.y4m part.mp4 --crop 64:0:640:480 --scale 320x240
  video-hw encode camera.rgb out.mp4 --size 640x480 --pix-fmt rgb24 --timestamps times.txt --time-unit ns
  video-hw encode hdr.yuv out.mp4 --size uhd2160 --pix-fmt p010le --fps 24 -c hevc --profile main10 \
      --hdr-mastering 'G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)' --hdr-light 1000,400
  cat in.yuv | video-hw encode - out.mp4 --size hd720 --pix-fmt nv12 --fps 25 --scale 640x360";

const PROBE_EXAMPLES: &str = "\
Examples:
  video-hw probe in.mp4
  video-hw probe in.mp4 --json | jq '.tracks[0].codec'
  video-hw probe in.mp4 --gops                where decoding can begin, and how long the groups of pictures are
  video-hw probe in.ts --index in.index       whether an index that was kept is of this state of the file
  cat in.h264 | video-hw probe -";

const DEVICES_EXAMPLES: &str = "\
Examples:
  video-hw devices
  video-hw devices --json | jq '.backends[] | select(.available) | .name'";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn any input into a compressed file; sound and other tracks are copied
    Transcode(TranscodeArgs),
    /// Cut a part out of a file, with --copy without encoding anything
    #[command(after_help = TRIM_EXAMPLES)]
    Trim(TranscodeArgs),
    /// Decode to uncompressed pictures or checksums, or discard the output
    Decode(DecodeArgs),
    /// Make one picture of many: frames at even distances, beside and below each other
    Thumbnails(ThumbnailsArgs),
    /// Encode uncompressed pictures
    Encode(EncodeArgs),
    /// Show what a file contains and what would decode it here
    Probe(ProbeArgs),
    /// List the backends and what each can do here, or why it cannot
    Devices(DevicesArgs),
    /// Test every decoder and encoder here; say why one fails and how to fix it
    Doctor(DoctorArgs),
    /// What `doctor` starts
    #[command(hide = true)]
    ProbeChild(ProbeChildArgs),
    /// Measure how close files are to their original: PSNR, SSIM, bit rate, BD-rate
    Compare(Box<CompareArgs>),
    /// Benchmark this machine against ffmpeg: speed, startup, latency, many streams, correct output
    Bench(Box<BenchArgs>),
    /// Print the completions of a shell: bash, zsh, fish, powershell, elvish
    Completions(CompletionsArgs),
    /// Write a manual page for each command
    Man(ManArgs),
    /// What `bench` runs as a child where no other command does it
    #[command(hide = true)]
    BenchWork(WorkArgs),
}

/// What has no meaning where nothing is encoded.
const OF_ENCODING: [&str; 44] = [
    "no_copy",
    "deinterlace",
    "crop",
    "codec",
    "rc",
    "bitrate",
    "max_bitrate",
    "low_latency",
    "cbr",
    "qp",
    "quality",
    "vbv",
    "profile",
    "hdr_mastering",
    "hdr_light",
    "gop",
    "bframes",
    "speed",
    "session_wait",
    "encoder",
    "encoder_preset",
    "encoder_tune",
    "encoder_option",
    "preset",
    "tune",
    "max_in_flight",
    "multipass",
    "lookahead",
    "lookahead_level",
    "aq",
    "b_ref",
    "intra_refresh",
    "fps",
    "size",
    "pix_fmt",
    "frames",
    "device",
    "engines",
    "threads",
    "metrics_addr",
    "metrics_file",
    "metrics_stream",
    "on_failure",
    "strict",
];

#[derive(Debug, Args)]
#[command(after_help = TRANSCODE_EXAMPLES)]
pub(crate) struct TranscodeArgs {
    /// File to read; - is standard input
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// File to write; - is standard output
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Encode nothing: every track goes into OUT as it is coded
    #[arg(long, conflicts_with_all = OF_ENCODING)]
    pub(crate) copy: bool,
    /// With --copy, begin and end with the very frames that are asked for: the few up to the first key frame are encoded anew, and
    /// those in front of the end where OUT cannot hide what they refer to (h264, hevc)
    #[arg(long, requires = "copy")]
    pub(crate) exact: bool,
    /// Leave sound and other tracks out
    #[arg(long)]
    pub(crate) no_copy: bool,
    #[command(flatten)]
    pub(crate) source: InputArgs,
    #[command(flatten)]
    pub(crate) copied: CopyArgs,
    /// Make interlaced pictures progressive, one for one; by default they are encoded as frames of both fields
    #[arg(long, help_heading = "Pictures")]
    pub(crate) deinterlace: bool,
    #[command(flatten)]
    pub(crate) crop: CropArgs,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
    #[command(flatten)]
    pub(crate) failure: FailureArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Where `decode` puts pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputMode {
    /// Nowhere: times and sizes alone; with --null
    Metadata,
    /// In the decoder's own memory, a GPU's if it is one; copied to the host only as it is written
    Device,
    /// In host memory, in the decoder's own format
    Host,
    /// In host memory as nv12, converted by the GPU where one decodes
    Nv12,
    /// In host memory as rgb24, converted by the GPU where one decodes
    Rgb,
}

#[derive(Debug, Args)]
#[command(after_help = DECODE_EXAMPLES)]
#[command(group = clap::ArgGroup::new("picks").args(["frames_at", "times_at", "every"]).multiple(true))]
pub(crate) struct DecodeArgs {
    /// File to read; - is standard input
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// File to write: .yuv, .y4m, frame-%05d.png; - is standard output
    #[arg(value_name = "OUT", required_unless_present_any = ["null", "md5", "frame_md5"])]
    pub(crate) output: Option<PathBuf>,
    /// Decode and keep nothing
    #[arg(long, conflicts_with = "output")]
    pub(crate) null: bool,
    /// Where pictures go, and as what [default: host]
    #[arg(long = "output", id = "output_mode", value_name = "WHAT", value_enum, help_heading = "Pictures")]
    pub(crate) output_mode: Option<OutputMode>,
    /// The same as --output metadata
    #[arg(long, requires = "null", conflicts_with_all = ["md5", "frame_md5", "output_mode"])]
    pub(crate) metadata_only: bool,
    #[command(flatten)]
    pub(crate) crop: CropArgs,
    /// Turn, mirror and stretch pictures to the shape in which a player shows them, behind --crop
    #[arg(long, conflicts_with = "size", help_heading = "Pictures")]
    pub(crate) upright: bool,
    /// Output width, in samples; the height follows from the shape in which the picture is shown
    #[arg(long, value_name = "N", value_parser = side(), conflicts_with_all = ["size", "height"], help_heading = "Pictures", allow_hyphen_values = true)]
    pub(crate) width: Option<u32>,
    /// Output height, in samples; the width follows from the shape in which the picture is shown
    #[arg(long, value_name = "N", value_parser = side(), conflicts_with = "size", help_heading = "Pictures", allow_hyphen_values = true)]
    pub(crate) height: Option<u32>,
    /// Pictures keep their times in the input behind --start too
    #[arg(long, help_heading = "Part of the input")]
    pub(crate) original_times: bool,
    /// Treat a picture that the decoder had to conceal damage in as an error: stop there, or with --keep-going leave it
    /// out
    #[arg(long, help_heading = "Reporting")]
    pub(crate) strict: bool,
    /// Print the MD5 of all frames as one stream of bytes, the number of frames, and their format
    #[arg(long, conflicts_with_all = ["output", "null"])]
    pub(crate) md5: bool,
    /// Print one line for each frame: number (of those that come; of chosen frames that in the file), time in seconds, size, format, MD5
    #[arg(long, conflicts_with_all = ["output", "null"])]
    pub(crate) frame_md5: bool,
    /// Output format, where the name of OUT does not say (needed for -): yuv, y4m, png
    #[arg(short, long, value_name = "NAME", requires = "output")]
    pub(crate) format: Option<String>,
    #[command(flatten)]
    pub(crate) source: InputArgs,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    #[command(flatten)]
    pub(crate) pick: PickArgs,
    /// Decoder: auto, nvidia, qsv, videotoolbox, software, ffmpeg
    #[arg(long, value_name = "NAME", value_parser = parse::backend, help_heading = "Where it runs")]
    pub(crate) backend: Option<Backend>,
    /// GPU, where there are several: its number or its identifier, as `devices` lists them
    #[arg(long, value_name = "ID", help_heading = "Where it runs")]
    pub(crate) device: Option<String>,
    /// Decoders that share the file: auto (all engines of the GPU, all cores of the CPU; one for a pipe), or a number; with several also --device all
    #[arg(long, value_name = "N", value_parser = parse::engines, default_value = "auto", help_heading = "Where it runs")]
    pub(crate) engines: Engines,
    /// Output each frame as soon as the stream's reordering allows; uses one decoder
    #[arg(long, help_heading = "Where it runs")]
    pub(crate) low_latency: bool,
    /// Threads that a CPU decoder may use
    #[arg(long, value_name = "N", value_parser = parse::threads, allow_hyphen_values = true, help_heading = "Where it runs")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Policy for a decoder that dies during the job. Another may give pictures of another format: choose one with --pix-fmt
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value = "stop",
        conflicts_with = "picks",
        help_heading = "Where it runs"
    )]
    pub(crate) on_failure: OnFailure,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Sides that a picture can have.
pub(crate) fn side() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(Dimensions::MAX_SIDE))
}

/// Unit of a time that is a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum NumberUnit {
    /// Seconds
    S,
    /// Milliseconds
    Ms,
    /// Microseconds
    Us,
    /// Nanoseconds
    Ns,
}

impl From<NumberUnit> for TimeUnit {
    fn from(unit: NumberUnit) -> Self {
        match unit {
            NumberUnit::S => Self::Seconds,
            NumberUnit::Ms => Self::Millis,
            NumberUnit::Us => Self::Micros,
            NumberUnit::Ns => Self::Nanos,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = ENCODE_EXAMPLES)]
pub(crate) struct EncodeArgs {
    /// Pictures to read: .y4m, .yuv, or - for standard input; a folder of PNG or JPEG files, 'frame-%06d.png', 'left-*.jpg'
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// File to write; - is standard output
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Picture size of headerless input: 1280x720, or a name such as hd720
    #[arg(short = 's', long, value_name = "WxH", value_parser = parse::size, help_heading = "Headerless input", allow_hyphen_values = true)]
    pub(crate) size: Option<Dimensions>,
    /// Pixel format of headerless input, by ffmpeg's name
    #[arg(long, value_name = "NAME", value_parser = parse::pixel_format, alias = "pix_fmt", help_heading = "Headerless input")]
    pub(crate) pix_fmt: Option<PixelFormat>,
    /// Frame rate of headerless input and of images: 30, 29.97, 30000/1001
    #[arg(short = 'r', long, value_name = "RATE", value_parser = parse::frame_rate, help_heading = "Headerless input", allow_hyphen_values = true)]
    pub(crate) fps: Option<Rational>,
    /// Times of images and of uncompressed pictures, one line each: TIME, or NAME,TIME. A time is 12.5 (seconds), 40ms,
    /// 17us or 1700000000123456789ns, and none is rounded
    #[arg(long, value_name = "FILE", conflicts_with = "fps", help_heading = "Times of pictures")]
    pub(crate) timestamps: Option<PathBuf>,
    /// Unit of bare numbers in --timestamps: s, ms, us, ns
    #[arg(
        long,
        value_name = "UNIT",
        value_enum,
        default_value = "s",
        requires = "timestamps",
        help_heading = "Times of pictures"
    )]
    pub(crate) time_unit: NumberUnit,
    /// Times of images are the numbers that their names end in, of this unit: s, ms, us, ns
    #[arg(long, value_name = "UNIT", value_enum, conflicts_with_all = ["fps", "timestamps"], help_heading = "Times of pictures")]
    pub(crate) times_from_names: Option<NumberUnit>,
    #[command(flatten)]
    pub(crate) crop: CropArgs,
    /// Output size
    #[arg(long, value_name = "WxH", value_parser = parse::size, help_heading = "Pictures", allow_hyphen_values = true)]
    pub(crate) scale: Option<Dimensions>,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// Encoder: auto (nvidia, qsv, videotoolbox, an installed ffmpeg's hardware, its libx264 and the like, software), nvidia, qsv, videotoolbox, software, ffmpeg
    #[arg(long, value_name = "NAME", value_parser = parse::backend, alias = "encoder-backend", help_heading = "Where it runs")]
    pub(crate) backend: Option<Backend>,
    /// GPU, where there are several: its number or its identifier, as `devices` lists them
    #[arg(long, value_name = "ID", help_heading = "Where it runs")]
    pub(crate) device: Option<String>,
    /// Threads that a CPU encoder may use
    #[arg(long, value_name = "N", value_parser = parse::threads, allow_hyphen_values = true, help_heading = "Where it runs")]
    pub(crate) threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) failure: FailureArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub(crate) struct ProbeArgs {
    /// File to read; - is standard input
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// One JSON document instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Read the whole file and tell of its groups of pictures: how many there are, how long, closed or open
    #[arg(long)]
    pub(crate) gops: bool,
    /// Go on after damage to the first picture that can be decoded, and tell what was skipped
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Say whether this index, as `decode --index` keeps it, is of IN as it is now
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) spool: SpoolArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = DEVICES_EXAMPLES)]
pub(crate) struct DevicesArgs {
    /// One JSON document instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

impl Command {
    /// What the command reads and writes.
    pub(crate) fn paths(&self) -> Paths {
        let with = |input: &PathBuf, second: Option<&PathBuf>| {
            [Some(input), second].into_iter().flatten().cloned().collect()
        };
        let (inputs, output) = match self {
            Self::Transcode(a) | Self::Trim(a) => (vec![a.input.clone()], Some(a.output.clone())),
            Self::Decode(a) => (with(&a.input, a.pick.index.as_ref()), a.output.clone()),
            Self::Thumbnails(a) => (with(&a.input, a.index.as_ref()), Some(a.output.clone())),
            Self::Encode(a) => (with(&a.input, a.timestamps.as_ref()), Some(a.output.clone())),
            Self::Probe(a) => (with(&a.input, a.index.as_ref()), None),
            Self::Devices(_)
            | Self::Doctor(_)
            | Self::ProbeChild(_)
            | Self::Completions(_)
            | Self::Man(_) => (Vec::new(), None),
            Self::Compare(a) => return a.paths(),
            Self::Bench(a) => a.files(),
            Self::BenchWork(a) => a.files(),
        };
        Paths { inputs, output }
    }

    /// What jobs have in common, where the command is one.
    fn job(&self) -> Option<&JobArgs> {
        match self {
            Self::Transcode(a) | Self::Trim(a) => Some(&a.job),
            Self::Decode(a) => Some(&a.job),
            Self::Thumbnails(a) => Some(&a.job),
            Self::Encode(a) => Some(&a.job),
            Self::Compare(a) => Some(&a.job),
            _ => None,
        }
    }

    /// Whether nothing but errors is to be told.
    pub(crate) fn quiet(&self) -> bool {
        match self {
            Self::Bench(a) => a.quiet,
            Self::ProbeChild(_) | Self::BenchWork(_) => true,
            other => other.job().is_some_and(|job| job.quiet),
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Probe(a) => a.json,
            Self::Devices(a) => a.json,
            Self::Doctor(a) => a.json,
            Self::Bench(a) => a.json_on_stdout(),
            Self::BenchWork(_) => true,
            other => other.job().is_some_and(|job| job.json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use video_hw::backend::BackendKind;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_examples() {
        for command in Cli::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let help = command.render_long_help().to_string();
            assert!(
                help.contains("Examples:\n  video-hw ") || help.contains("Examples:\n  ffmpeg"),
                "{help}"
            );
        }
        let top = Cli::command().render_long_help().to_string();
        assert!(top.contains("Examples:") && top.contains("130  cancelled"), "{top}");
    }

    /// A backend that the library has is one that the help names.
    #[test]
    fn every_help_names_the_backends() {
        let mut seen = 0;
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            // `bench` takes several at once, and says so.
            let takes_one = |arg: &&clap::Arg| arg.get_id() == "backend" && command.get_name() != "bench";
            for arg in command.get_arguments().filter(takes_one) {
                let help = arg.get_help().unwrap().to_string();
                let names = BackendKind::ALL.iter().filter(|kind| **kind != BackendKind::Custom);
                let missing: Vec<_> = names.filter(|kind| !help.contains(kind.name())).collect();
                assert!(missing.is_empty(), "{}: {help} lacks {missing:?}", command.get_name());
                seen += 1;
            }
        }
        assert!(seen >= 4, "{seen}");
    }

    /// The examples in the help are commands that parse.
    #[test]
    fn examples_parse() {
        let texts = [
            TOP_EXAMPLES,
            TRANSCODE_EXAMPLES,
            TRIM_EXAMPLES,
            DECODE_EXAMPLES,
            crate::thumbnails::EXAMPLES,
            ENCODE_EXAMPLES,
            PROBE_EXAMPLES,
            DEVICES_EXAMPLES,
            crate::doctor::EXAMPLES,
            crate::compare::EXAMPLES,
            crate::packaging::COMPLETIONS_EXAMPLES,
            crate::packaging::MAN_EXAMPLES,
            video_hw_bench::REPORT_EXAMPLES,
            video_hw_bench::EXAMPLES,
        ];
        let mut seen = 0;
        for line in texts.iter().flat_map(|t| t.lines()).filter(|l| l.starts_with("  ")) {
            let command = line.split('|').find(|part| part.trim_start().starts_with("video-hw ")).unwrap();
            let command = command.split("   ").find(|part| !part.trim().is_empty()).unwrap();
            let command = command.split(" > ").next().unwrap();
            let message = command.split_whitespace().map(|w| w.trim_matches('\''));
            assert!(Cli::try_parse_from(message).is_ok(), "{command}");
            seen += 1;
        }
        assert!(seen >= 20, "{seen} examples");
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "transcode a b --qp 20 --bitrate 1M",
            "transcode a b --copy --bitrate 1M",
            "trim a b --copy --start 1 --fps 25",
            "transcode a b --audio eng",
            "decode a --md5 --track x",
            "transcode a b --qp 20 --quality 20",
            "transcode a b --cbr",
            "transcode a b --speed 3",
            "transcode a b --speed 1 --preset p4",
            "transcode a b --preset p8",
            "transcode a b --tune fast",
            "transcode a b --max-in-flight 0",
            "transcode a b --max-in-flight 65",
            "transcode a b --gop 0",
            "transcode a b --threads 0",
            "transcode a b --frames 0",
            "transcode a b --strict --on-failure next",
            "decode a",
            "decode a b --frames-at 1 --start 2",
            "decode a b --frames-at 1 --every 2",
            "decode a b --times-at 1 --frames-at 2",
            "decode a b --frames-at 1,x",
            "decode a b --index i",
            "thumbnails a",
            "thumbnails a b --grid 5",
            "thumbnails a b --grid 0x4",
            "decode a b --null",
            "decode a b --md5",
            "decode a --md5 --metadata-only",
            "encode a b --fps 25 --timestamps t",
            "encode a b --times-from-names ns --timestamps t",
            "encode a b --times-from-names minutes",
            "encode a b --time-unit ns",
            "decode a b -q -v",
            "compare a",
            "compare a b --metrics vmaf",
            "compare a --anchor b c",
            "compare a --anchor b --test c d",
            "compare a b --min-ssim 2",
            "compare a b --by-index --input-fps 25",
        ] {
            let message = std::iter::once("video-hw").chain(line.split(' '));
            assert!(Cli::try_parse_from(message).is_err(), "{line}");
        }
    }
}
