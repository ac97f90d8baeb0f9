//! ffmpeg as a peer: the same work in its words.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw_terminal::cancel::Interrupts;

use super::abilities::Abilities;
use super::args::{BenchArgs, RawFormat};
use super::child::{self, Limits, Program};
use super::input::{self, Source};

/// How long the program may take to tell its version.
const ANSWER: Duration = Duration::from_secs(30);

/// How a file is decoded; to host memory where nothing else is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoding {
    /// By the card.
    pub(crate) hardware: bool,
    /// Pictures stay in the card's memory.
    pub(crate) stays: bool,
    /// Converted to packed RGB.
    pub(crate) rgb: bool,
    /// Only so many frames, whatever the input is cut to.
    pub(crate) frames: Option<String>,
}

/// An ffmpeg that is there.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
    /// Lines of `-encoders`.
    encoders: String,
    /// The card by its number: it knows no identifiers.
    device: Option<String>,
}

impl Peer {
    /// The named program, or the one on PATH.
    ///
    /// # Errors
    /// Why there is none, with what to do.
    pub(crate) fn find(
        args: &BenchArgs,
        abilities: &Abilities,
        interrupts: &Interrupts,
    ) -> Result<Self, String> {
        let path = args.ffmpeg.clone().or_else(|| on_path("ffmpeg"));
        let path = path.ok_or("ffmpeg is not on PATH; install it, or name one with --ffmpeg PROGRAM")?;
        let limits = Limits { time: ANSWER, interrupts };
        let ask = |message: &[&str]| {
            let program = Program::new(&path, &args.env).args(message);
            let done = child::run(&program, &limits)
                .map_err(|error| format!("{} does not start: {error}", input::name(&path)))?;
            if !done.success() {
                return Err(format!("{} {}: {}", input::name(&path), message.join(" "), done.failure()));
            }
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        };
        let version = ask(&["-version"])?;
        let version = version.lines().next().and_then(|line| line.split_whitespace().nth(2));
        let version = version.ok_or(format!("{} does not tell its version", input::name(&path)))?.to_owned();
        let encoders = ask(&["-v", "error", "-encoders"])?;
        let device = args.device.as_deref().map(|device| abilities.ordinal(BackendKind::Nvidia, device));
        Ok(Self { path, version, encoders, device })
    }

    fn has(&self, encoder: &str) -> bool {
        self.encoders.lines().any(|line| line.split_whitespace().nth(1) == Some(encoder))
    }

    /// The encoder that does what this backend of ours does.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn encoder(&self, codec: Codec, backend: BackendKind) -> Result<&'static str, String> {
        let name = match (backend, codec) {
            (BackendKind::Nvidia, Codec::H264) => "h264_nvenc",
            (BackendKind::Nvidia, Codec::Hevc) => "hevc_nvenc",
            (BackendKind::Nvidia, Codec::Av1) => "av1_nvenc",
            (BackendKind::Qsv, Codec::H264) => "h264_qsv",
            (BackendKind::Qsv, Codec::Hevc) => "hevc_qsv",
            (BackendKind::Qsv, Codec::Av1) => "av1_qsv",
            (BackendKind::VideoToolbox, Codec::H264) => "h264_videotoolbox",
            (BackendKind::VideoToolbox, Codec::Hevc) => "hevc_videotoolbox",
            (_, Codec::H264) => "libx264",
            (_, Codec::Hevc) => "libx265",
            (_, Codec::Av1) => "libsvtav1",
            (_, Codec::Vp9) => "libvpx-vp9",
            _ => return Err(format!("ffmpeg has no encoder of {codec} that is known here")),
        };
        if self.has(name) { Ok(name) } else { Err(format!("this ffmpeg ({}) has no {name}", self.version)) }
    }

    fn start(&self, args: &BenchArgs) -> Program {
        // The last report of its progress tells how many frames there were; none is written on the way.
        let program = Program::new(&self.path, &args.env).args(["-v", "error", "-nostdin", "-y", "-nostats"]);
        program.args(["-progress", "pipe:1", "-stats_period", "86400"])
    }

    /// The option that keeps each frame as it is; older versions have another name for it.
    fn every_frame(&self) -> [&'static str; 2] {
        let old = self.release().is_some_and(|release| release < (5, 1));
        [if old { "-vsync" } else { "-fps_mode" }, "passthrough"]
    }

    /// The first two numbers of the version, with or without the `n` of its tags; what calls itself by none is newer than
    /// all that do.
    fn release(&self) -> Option<(u32, u32)> {
        let version = self.version.strip_prefix('n').unwrap_or(&self.version);
        let mut parts = version.split(['.', '-', '~', '+']).map(|part| part.parse().ok());
        Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
    }

    /// Times keep the units of the input. By default an encoder's unit is a frame of the average rate, in which uneven
    /// times collide.
    fn fine_times(&self) -> [&'static str; 2] {
        // The number was taken until 6, the word is taken from 6.1 on.
        let old = self.release().is_some_and(|(major, _)| major < 7);
        ["-enc_time_base", if old { "-1" } else { "demux" }]
    }

    /// Decodes and keeps nothing.
    pub(crate) fn decode(&self, args: &BenchArgs, source: &Source, how: Decoding) -> Program {
        let program = self.opened(args, source, how.hardware, how.stays);
        let program = program.args(["-map", "0:v:0"]).option("-frames:v", how.frames.or(source.limit()));
        let program = program.args(self.every_frame());
        let format = match (how.rgb, how.stays) {
            (true, _) => Some("rgb24"),
            // Where the card does not take a stream, ffmpeg decodes it on the CPU and says so. Pictures in host memory cannot
            // become ones of this format, so that such a run fails instead of measuring other work.
            (false, true) => Some("cuda"),
            (false, false) => None,
        };
        let program = program.option("-pix_fmt", format);
        program.args(self.fine_times()).args(["-f", "null", "-"])
    }

    /// The input of a decoding job.
    fn opened(&self, args: &BenchArgs, source: &Source, hardware: bool, stays: bool) -> Program {
        let mut program = self.start(args).option("-threads", args.threads.map(|n| n.to_string()));
        if hardware {
            program = program.args(["-hwaccel", "cuda"]);
            program = program.option("-hwaccel_device", self.device.clone());
            if stays {
                program = program.args(["-hwaccel_output_format", "cuda"]);
            }
            if let Some(name) = decoder(source, hardware) {
                program = program.args(["-c:v", name]);
            }
        }
        // Ours leaves turning pictures to whoever shows them, too.
        program.arg("-noautorotate").input(&source.path)
    }

    /// Encodes raw pictures.
    pub(crate) fn encode(
        &self,
        args: &BenchArgs,
        raw: &Source,
        encoder: &'static str,
        bits: u32,
        out: &Path,
    ) -> Program {
        // NVENC of ffmpeg takes these bytes as they are by the name of bgr0; as bgra it would convert them first.
        let pixels = match args.pix_fmt {
            RawFormat::Bgra if encoder.ends_with("nvenc") => "bgr0",
            format => format.name(),
        };
        let program = input::raw_input(self.start(args), raw, pixels);
        let program = if args.pix_fmt == RawFormat::Bgra && !encoder.ends_with("nvenc") {
            program.args(["-pix_fmt", "yuv420p"])
        } else {
            program
        };
        encoding(program, args, encoder, (bits, &self.device)).args(self.every_frame()).arg(out)
    }

    /// Decodes and encodes, without sound.
    pub(crate) fn transcode(
        &self,
        args: &BenchArgs,
        source: &Source,
        encoder: &'static str,
        (hardware, bits): (bool, u32),
        out: &Path,
    ) -> Program {
        let stays = hardware && encoder.ends_with("nvenc");
        let program = self.opened(args, source, hardware, stays).args(["-map", "0:v:0"]);
        let program =
            encoding(program.option("-frames:v", source.limit()), args, encoder, (bits, &self.device));
        // Uneven times are kept as they are; by default they would be rounded to frames of the average rate.
        program.args(self.fine_times()).args(self.every_frame()).arg(out)
    }

    /// The sum of every sample that it decodes, on the CPU.
    pub(crate) fn md5(&self, args: &BenchArgs, source: &Source, format: &str) -> Program {
        let program = Program::new(&self.path, &args.env).args(["-v", "error", "-nostdin", "-noautorotate"]);
        let program = program.input(&source.path).args(["-map", "0:v:0"]);
        let program = program.option("-frames:v", source.limit());
        // Where the format alone is asked for, it makes pictures of full range ones of limited range, which are other samples.
        let program = program.args(["-vf", "scale=in_range=limited:out_range=limited"]);
        program.args(self.every_frame()).args(["-pix_fmt", format, "-f", "md5", "-"])
    }
}

/// The decoder that it is told to take; without a word it takes its own choice. Older versions take libdav1d for AV1 where they
/// have it, which knows nothing of cards and does not say so.
pub(crate) fn decoder(source: &Source, hardware: bool) -> Option<&'static str> {
    (hardware && source.codec == Some(Codec::Av1)).then_some("av1")
}

/// The settings of ours in the encoder's words.
fn encoding(
    program: Program,
    args: &BenchArgs,
    encoder: &'static str,
    (bits, device): (u32, &Option<String>),
) -> Program {
    let (gop, b_frames) = (args.gop_length.to_string(), args.b_frames().to_string());
    let bits = bits.to_string();
    let qp = args.qp.map(|qp| qp.to_string());
    let program = program.args(["-c:v", encoder]).option("-threads", args.threads.map(|n| n.to_string()));
    let program = match encoder {
        "h264_nvenc" | "hevc_nvenc" | "av1_nvenc" => {
            let program = program
                .args(["-preset", args.preset(), "-tune", args.tuning()])
                .option("-gpu", device.clone());
            match &qp {
                Some(qp) => program.args(["-rc", "constqp", "-qp", qp]),
                None => program.args(["-rc", "cbr", "-b:v", &bits]),
            }
        }
        "libx265" => {
            let own = format!(
                "log-level=none:open-gop=0:keyint={gop}:min-keyint=1:scenecut=0{}",
                qp.as_ref().map_or_else(String::new, |qp| format!(":qp={qp}"))
            );
            let program = program.args(["-preset", preset(args, encoder), "-x265-params", &own]);
            if qp.is_some() { program } else { program.args(["-b:v", &bits]) }
        }
        _ => {
            let program = program.args(["-preset", preset(args, encoder)]);
            let program = match &qp {
                Some(qp) => program.args(["-qp", qp]),
                None => program.args(["-b:v", &bits]),
            };
            if encoder == "libx264" {
                program.args(["-keyint_min", "1", "-sc_threshold", "0"])
            } else {
                program
            }
        }
    };
    let program = program.args(["-g", &gop]);
    if encoder == "libsvtav1" { program } else { program.args(["-bf", &b_frames]) }
}

/// The preset of an encoder inside ffmpeg, ours and the peer's.
pub(crate) fn preset<'a>(args: &'a BenchArgs, encoder: &str) -> &'a str {
    let usual = if encoder == "libsvtav1" { "8" } else { "veryfast" };
    args.encoder_preset.as_deref().unwrap_or(usual)
}

/// The first program of this name on PATH. Entries that depend on the current directory are passed over, as the library does.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    first_in(&std::env::var_os("PATH")?, name)
}

fn first_in(folders: &OsStr, name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let folders = std::env::split_paths(folders).filter(|dir| dir.is_absolute());
    folders.map(|dir| dir.join(&name)).find(|path| path.is_file())
}

/// Frames of its last progress report.
pub(crate) fn frames(said: &[u8]) -> Option<u64> {
    let said = String::from_utf8_lossy(said);
    said.lines().rev().find_map(|line| line.strip_prefix("frame=")).and_then(|n| n.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_current_directory_is_never_searched() {
        // The tests' directory is the package's.
        assert!(Path::new("src/lib.rs").is_file());
        assert_eq!(first_in(OsStr::new("src:."), "lib.rs"), None);
        let found = first_in(OsStr::new(concat!("src:", env!("CARGO_MANIFEST_DIR"), "/src")), "lib.rs");
        assert_eq!(found, Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")));
    }

    #[test]
    fn the_last_report_counts() {
        assert_eq!(
            frames(b"frame=1\nfps=0.00\nprogress=continue\nframe= 30\nfps=2\nprogress=end\n"),
            Some(30)
        );
        assert_eq!(frames(b""), None);
    }

    #[test]
    fn versions_differ_in_words() {
        let of = |version: &str| {
            let (path, version) = (PathBuf::new(), version.to_owned());
            let peer = Peer { path, version, encoders: String::new(), device: None };
            (peer.every_frame()[0], peer.fine_times()[1])
        };
        for old in ["4.4.2-0ubuntu0.22.04.1", "n4.4.2", "5.0", "5.0.3", "5-dev"] {
            assert_eq!(of(old), ("-vsync", "-1"), "{old}");
        }
        for new in ["5.1.9-0+deb12u1", "n5.1", "6.0", "6.1"] {
            assert_eq!(of(new), ("-fps_mode", "-1"), "{new}");
        }
        for newest in ["7.0", "9.0.2", "n9.0.2-17-gabc", "N-118-g12", "N-112233-gabcdef", "git-2025"] {
            assert_eq!(of(newest), ("-fps_mode", "demux"), "{newest}");
        }
    }
}
