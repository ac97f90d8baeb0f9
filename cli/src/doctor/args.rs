//! The options of `doctor`, and of the process that tries things out for it.

use std::time::Duration;

use clap::Args;
use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw_terminal::parse;

pub(crate) const EXAMPLES: &str = "\
Examples:
  video-hw doctor
  video-hw doctor --codec h264,hevc        only these
  video-hw doctor --backend nvidia         exit code 3 when the GPU cannot do it
  video-hw doctor --fresh                  try everything again, whatever was found before
  video-hw doctor --json | jq '.codecs[] | {codec, decode: .decode.backend, encode: .encode.backend}'

Exit code 0: every codec of --codec can be decoded, and H.264 encoded where it is among them. Without
--codec these are h264, hevc, av1, vp9 and vp8. Exit code 3: one of them cannot.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Codecs to ask about, with commas: h264, hevc, av1, vp9, vp8, mpeg2video, mpeg4, mjpeg
    #[arg(long, value_name = "LIST", value_parser = parse::codec, value_delimiter = ',')]
    pub(crate) codec: Vec<Codec>,
    /// Ask this backend only: nvidia, qsv, videotoolbox, software, ffmpeg
    #[arg(long, value_name = "NAME", value_parser = parse::backend)]
    pub(crate) backend: Option<Backend>,
    /// Try everything again instead of believing what was found since the machine was started
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Longest time for a driver to answer: 15, 500ms
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(crate) timeout: Option<Duration>,
    /// Also tell of what does not work but is not needed, and how long each try took
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// One JSON document instead of a report
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a process tries out for `doctor`.
#[derive(Debug, Args)]
pub(crate) struct ProbeChildArgs {
    /// `candidate:job:codec`
    pub(crate) questions: Vec<String>,
}
