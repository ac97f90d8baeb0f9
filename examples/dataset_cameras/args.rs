//! The command line.

use std::path::PathBuf;

use video_hw::codec::Codec;
use video_hw::dataset::EncoderType;

use crate::program::Parsed;

pub(crate) const HELP: &str = "\
Records cameras side by side: raw R, G, B pictures with uneven times go through a video encoder each, and come out as one
MP4 file a camera with exactly these times. A time that cannot follow the one before is corrected; no picture is lost.

Usage: dataset_cameras [OPTIONS] DIRECTORY

  --cameras N       how many                                                            [3]
  --frames N        pictures of each                                                    [300]
  --codec NAME      h264, hevc or av1                                                   [h264]
  --encoder TYPE    nvenc, qsv, videotoolbox, x264 or embedded; no other takes its place
                    (without it: the first that works)
  --nvenc-preset P  p1 (fastest) to p7                                                  [p4]
  --clock-steps-back
                    half-way, each camera's clock is set back by an hour
  --crf N           quality, 0 to 51                                                    [23]
  --x264-preset P   of the encoder x264 (AV1: 0 to 13, slowest first) and of the baseline [the encoder's own]
  --baseline        then encode the first camera's pictures by an ffmpeg of one thread with libx264,
                    and compare
  --json            one JSON document instead of lines
  -h, --help        this text

The directory must exist; camera-0.mp4 and so on in it are overwritten. Exit status: 0, 1 for what went wrong, 2 for a
wrong command line.";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) directory: PathBuf,
    pub(crate) cameras: usize,
    pub(crate) frames: usize,
    pub(crate) codec: Codec,
    pub(crate) encoder: Option<EncoderType>,
    pub(crate) nvenc_preset: String,
    pub(crate) crf: u8,
    pub(crate) x264_preset: Option<String>,
    pub(crate) clock_steps_back: bool,
    pub(crate) baseline: bool,
    pub(crate) json: bool,
}

pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Parsed<Options>, String> {
    let mut options = Options {
        directory: PathBuf::new(),
        cameras: 3,
        frames: 300,
        codec: Codec::H264,
        encoder: None,
        nvenc_preset: "p4".to_owned(),
        crf: 23,
        x264_preset: None,
        clock_steps_back: false,
        baseline: false,
        json: false,
    };
    let mut directory = None;
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
        let number = |text: String, most: usize| {
            let number = text.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| format!("{option} needs a number from 1 to {most}, not {text:?}"))
        };
        match option.as_str() {
            "--cameras" => options.cameras = number(value()?, 16)?,
            "--frames" => options.frames = number(value()?, 1_000_000)?,
            "--codec" => options.codec = value()?.parse().map_err(|e| format!("--codec: {e}"))?,
            "--encoder" => options.encoder = Some(value()?.parse().map_err(|e| format!("--encoder: {e}"))?),
            "--nvenc-preset" => options.nvenc_preset = value()?,
            "--crf" => options.crf = number(value()?, 51)? as u8,
            "--x264-preset" => options.x264_preset = Some(value()?),
            "--clock-steps-back" => options.clock_steps_back = true,
            "--baseline" => options.baseline = true,
            "--json" => options.json = true,
            "-h" | "--help" => return Ok(Parsed::Help),
            _ if option.starts_with('-') => return Err(format!("there is no {option}")),
            _ if directory.is_some() => return Err("one directory".to_owned()),
            _ => directory = Some(PathBuf::from(option)),
        }
    }
    options.directory = directory.ok_or("where to? Name a directory")?;
    Ok(Parsed::Run(options))
}
