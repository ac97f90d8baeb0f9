//! Options that several commands have, in groups of one idea each.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{Crop, Engines, Profile};
use video_hw::dimensions::Dimensions;
use video_hw::hdr::{ContentLight, MasteringDisplay};
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;
use video_hw_terminal::parse;

use crate::metrics::MetricsArgs;
use crate::nvenc::NvencArgs;

/// How a job behaves and reports.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct JobArgs {
    /// Replace the output if it exists
    #[arg(short = 'y', long, alias = "force")]
    pub(crate) overwrite: bool,
    /// Continue after damage in the input and count it, instead of stopping
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// No progress and no summary; errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// One JSON document about the job on standard output (standard error when OUT is -)
    #[arg(long)]
    pub(crate) json: bool,
    /// Also tell which backends were refused and why, and where the time went
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
}

/// Which part of the input.
#[derive(Debug, Args)]
#[command(next_help_heading = "Part of the input")]
pub(crate) struct PartArgs {
    /// Begin here: 12.5, 500ms, 1:30, 1:02:03.5
    #[arg(long, value_name = "TIME", value_parser = parse::time, alias = "ss", allow_hyphen_values = true)]
    pub(crate) start: Option<Duration>,
    /// Stop after this much: 10, 500ms, 1:30
    #[arg(short = 't', long, value_name = "TIME", value_parser = parse::length, allow_hyphen_values = true)]
    pub(crate) duration: Option<Duration>,
    /// Stop after this many frames of output
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_hyphen_values = true)]
    pub(crate) frames: Option<u64>,
}

/// Changes to the pictures.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct PictureArgs {
    /// Constant output frame rate: 30, 29.97, 30000/1001, pal; by default the input's own times
    #[arg(short = 'r', long, value_name = "RATE", value_parser = parse::frame_rate, allow_hyphen_values = true)]
    pub(crate) fps: Option<Rational>,
    /// Output size: 1280x720, or a name such as hd720
    #[arg(short = 's', long, value_name = "WxH", value_parser = parse::size, allow_hyphen_values = true)]
    pub(crate) size: Option<Dimensions>,
    /// Output pixel format, by ffmpeg's name: yuv420p, nv12, rgb24 ...
    #[arg(long, value_name = "NAME", value_parser = parse::pixel_format, alias = "pix_fmt")]
    pub(crate) pix_fmt: Option<PixelFormat>,
    /// Frame rate of an input that carries no times (raw H.264, H.265)
    #[arg(long, value_name = "RATE", value_parser = parse::frame_rate, allow_hyphen_values = true)]
    pub(crate) input_fps: Option<Rational>,
}

/// A part of the picture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct CropArgs {
    /// Keep only this part of the picture as it is stored: columns left out, rows left out, width, height. Cut out first,
    /// before anything else is done to the picture
    #[arg(long, value_name = "X:Y:W:H", value_parser = parse::crop, allow_hyphen_values = true)]
    pub(crate) crop: Option<Crop>,
}

/// Options for encoders that are not ffmpeg's.
const FOR_OTHERS: [&str; 4] = ["speed", "preset", "tune", "max_in_flight"];

/// The encoder and the file it fills.
#[derive(Debug, Args)]
#[command(next_help_heading = "Encoding")]
pub(crate) struct EncoderArgs {
    /// Output codec: h264, hevc, av1; by default what OUT implies, else h264
    #[arg(short, long, value_name = "NAME", value_parser = parse::codec)]
    pub(crate) codec: Option<Codec>,
    /// How bits are spent: cbr or vbr (at --bitrate), constqp (at --qp), quality (at --quality); by default what the
    /// other options imply
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) rc: Option<RateMode>,
    /// Average bit rate: 6M, 800k, 6000000
    #[arg(short, long, value_name = "RATE", value_parser = parse::bitrate, allow_hyphen_values = true)]
    pub(crate) bitrate: Option<u32>,
    /// Highest bit rate, with --bitrate or --quality
    #[arg(long, value_name = "RATE", value_parser = parse::bitrate, alias = "maxrate", allow_hyphen_values = true)]
    pub(crate) max_bitrate: Option<u32>,
    /// Hold no frame back: no B frames, no lookahead; what is decoded for it likewise, by one decoder
    #[arg(long)]
    pub(crate) low_latency: bool,
    /// Constant bit rate at --bitrate
    #[arg(long, requires = "bitrate", conflicts_with = "max_bitrate")]
    pub(crate) cbr: bool,
    /// Constant quantiser instead of a bit rate (h264, hevc: 0 best to 51; av1: to 255)
    #[arg(long, value_name = "N", conflicts_with = "bitrate", allow_hyphen_values = true)]
    pub(crate) qp: Option<u8>,
    /// Constant quality instead of a bit rate (h264, hevc: 1 best to 51; av1: to 63); not with the software encoder
    #[arg(long, value_name = "N", conflicts_with_all = ["bitrate", "qp"], aliases = ["cq", "crf"], allow_hyphen_values = true)]
    pub(crate) quality: Option<u8>,
    /// The decoder's buffer that rate control keeps to, and how full it is at first, in bits: 8M, 8M:6M; not with the
    /// software encoder
    #[arg(long, value_name = "SIZE[:FULL]", value_parser = parse::vbv, allow_hyphen_values = true)]
    pub(crate) vbv: Option<(u32, Option<u32>)>,
    /// Profile: baseline, main, high, high10, high444 (h264); main, main10, rext (hevc); main (av1)
    #[arg(long, value_name = "NAME", value_parser = parse::profile)]
    pub(crate) profile: Option<Profile>,
    /// HDR10: the display it was graded on, as x265 takes it: G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min); not with the software
    /// encoder; without this and --hdr-light, as the input states, if the output is HDR
    #[arg(long, value_name = "TEXT", value_parser = parse::mastering_display, alias = "master-display", allow_hyphen_values = true)]
    pub(crate) hdr_mastering: Option<MasteringDisplay>,
    /// HDR10: the brightest pixel and the brightest frame, in candela per square metre: 1000,400; not with the software
    /// encoder; without this and --hdr-mastering, as the input states, if the output is HDR
    #[arg(long, value_name = "CLL,FALL", value_parser = parse::content_light, alias = "max-cll", allow_hyphen_values = true)]
    pub(crate) hdr_light: Option<ContentLight>,
    /// Frames from one key frame to the next
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_hyphen_values = true)]
    pub(crate) gop: Option<u32>,
    /// B frames between P frames
    #[arg(long, value_name = "N", alias = "bf", allow_hyphen_values = true)]
    pub(crate) bframes: Option<u32>,
    /// Speed of the software encoder: 0 (best) to 2 (fastest)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=2), allow_hyphen_values = true, conflicts_with_all = ["preset", "tune", "max_in_flight", "multipass", "lookahead", "aq", "b_ref", "intra_refresh"])]
    pub(crate) speed: Option<u8>,
    /// How long to wait for an encode session when the GPU has none left, before another encoder is used or the job fails
    #[arg(long, value_name = "SECONDS", value_parser = parse::time, allow_hyphen_values = true)]
    pub(crate) session_wait: Option<Duration>,
    /// Encoder inside an installed ffmpeg: libx264, libx265, libsvtav1, h264_qsv, hevc_vaapi ...
    #[arg(long, value_name = "NAME", value_parser = parse::child_encoder)]
    pub(crate) encoder: Option<String>,
    /// ffmpeg: the encoder's own preset: veryfast, slow, p4, 8 ...
    #[arg(long, value_name = "NAME", conflicts_with_all = FOR_OTHERS)]
    pub(crate) encoder_preset: Option<String>,
    /// ffmpeg: the encoder's own tuning: film, grain, ssim ...
    #[arg(long, value_name = "NAME", conflicts_with_all = FOR_OTHERS)]
    pub(crate) encoder_tune: Option<String>,
    /// ffmpeg: an option of the encoder, NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse::pair, conflicts_with_all = FOR_OTHERS)]
    pub(crate) encoder_option: Vec<(String, String)>,
    /// Container, where the name of OUT does not say (needed for -): mp4, mkv, webm, mpegts, m2ts, h264, hevc, ivf
    #[arg(short, long, value_name = "NAME")]
    pub(crate) format: Option<String>,
    /// MP4: index in front of the data, so that playing over a network begins at once
    #[arg(long, conflicts_with = "fragmented")]
    pub(crate) faststart: bool,
    /// MP4: in fragments, playable as far as written (always for -)
    #[arg(long)]
    pub(crate) fragmented: bool,
    #[command(flatten)]
    pub(crate) nvenc: NvencArgs,
}

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RateMode {
    /// Constant bit rate
    Cbr,
    /// Variable bit rate
    Vbr,
    /// Constant quantiser
    #[value(name = "constqp")]
    ConstQp,
    /// Constant quality
    Quality,
}

/// What runs where, in a job with decoder and encoder.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where it runs")]
pub(crate) struct BackendArgs {
    /// Decoder and encoder: auto, nvidia, qsv, videotoolbox, software, ffmpeg
    #[arg(long, value_name = "NAME", value_parser = parse::backend)]
    pub(crate) backend: Option<Backend>,
    /// Decoder, where it differs from --backend
    #[arg(long, value_name = "NAME", value_parser = parse::backend)]
    pub(crate) decoder_backend: Option<Backend>,
    /// Encoder, where it differs from --backend; auto takes nvidia, an installed ffmpeg's hardware, its libx264 and the like, software
    #[arg(long, value_name = "NAME", value_parser = parse::backend)]
    pub(crate) encoder_backend: Option<Backend>,
    /// GPU, where there are several (of a list the first encodes): its number or its identifier, as `devices` lists them
    #[arg(long, value_name = "ID")]
    pub(crate) device: Option<String>,
    /// Decoders that share the file: auto (all engines of the GPU, all cores of the CPU; one for a pipe), or a number; with several also --device all
    #[arg(long, value_name = "N", value_parser = parse::engines, default_value = "auto")]
    pub(crate) engines: Engines,
    /// Threads that a CPU codec may use
    #[arg(long, value_name = "N", value_parser = parse::threads, allow_hyphen_values = true)]
    pub(crate) threads: Option<NonZeroUsize>,
}
