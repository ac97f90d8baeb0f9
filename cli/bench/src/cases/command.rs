//! The command line of our rows.

use std::path::Path;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;

use super::what::{Asked, Combination, Variant, engines_word};
use crate::args::{Case, Pictures};
use crate::child::Program;
use crate::input::Source;
use crate::peer;

impl Asked<'_> {
    /// The command line of ours.
    pub(super) fn own(&self, what: Combination, source: &Source, variant: Variant, out: &Path) -> Program {
        let args = self.args;
        let Variant { in_flight, engines } = variant;
        let program = Program::new(self.own, &args.env);
        let threads = args.threads.map(|n| n.to_string());
        let of_job = |program: Program| {
            program
                .option("--device", args.device.clone())
                .option("--threads", threads.clone())
                .args(["--json", "--quiet"])
        };
        let backend = what.backend.name();
        match what.case {
            Case::Decode | Case::Rgb | Case::Multi | Case::Startup => {
                let program =
                    program.arg("decode").arg(&source.path).arg("--null").args(["--backend", backend]);
                let rgb = (what.case == Case::Rgb).then_some("rgb");
                let program = program.option("--output", rgb.or(what.pictures.map(Pictures::name)));
                let program = program.option("--engines", engines.map(engines_word));
                let one = (what.case == Case::Startup).then(|| "1".to_owned());
                of_job(program.option("--frames", one.or(source.limit())))
            }
            Case::Encode => {
                let program = program.arg("encode").arg(&source.path).arg(out).arg("--overwrite");
                let program = program.args(["--size", &source.size(), "--pix-fmt", args.pix_fmt.name()]);
                let program = program.arg("--fps").arg(source.rate.to_string()).args(["--backend", backend]);
                of_job(self.own_encoding(program, what, source, in_flight))
            }
            Case::Transcode => {
                let program =
                    program.arg("transcode").arg(&source.path).arg(out).args(["--overwrite", "--no-copy"]);
                let mut program = program.args(["--encoder-backend", backend]);
                if self.decodes(what.backend, source) {
                    program = program.args(["--decoder-backend", backend]);
                }
                of_job(self.own_encoding(program, what, source, in_flight))
            }
            Case::Latency | Case::Switch | Case::Soak => {
                let program = program.args(["bench-work", what.case.name(), "--backend", backend]);
                let program = program.args(["--codec", what.codec.name(), "--size", &source.size()]);
                let program =
                    program.arg("--fps").arg(source.rate.to_string()).option("--device", args.device.clone());
                if what.case == Case::Soak {
                    let minutes = args.minutes.unwrap_or(10.0).to_string();
                    return program.args(["--streams", &args.streams.to_string(), "--minutes", &minutes]);
                }
                let program =
                    program.arg("--input").arg(&source.path).args(["--pix-fmt", args.pix_fmt.name()]);
                let program = program.args(["--frames", &source.input.frames.to_string()]);
                let program = program.args(["--gop", &args.gop_length.to_string()]);
                let program = program.arg("--bitrate").arg(self.bits(source).to_string());
                let program = program.option("--max-in-flight", in_flight.map(|n| n.to_string()));
                let nvidia = what.backend == BackendKind::Nvidia;
                let program = program.option("--preset", nvidia.then(|| args.preset()));
                // The session of a switch and of latency has the tuning of its settings, unless one is asked for.
                let tuning = nvidia && (args.fastest || args.tuning.is_some());
                let program = program.option("--tuning", tuning.then(|| args.tuning()));
                if writes(what) { program.arg("--output").arg(out) } else { program }
            }
        }
    }

    fn own_encoding(
        &self,
        program: Program,
        what: Combination,
        source: &Source,
        in_flight: Option<u8>,
    ) -> Program {
        let args = self.args;
        let program = program.args(["--codec", what.codec.name(), "--gop", &args.gop_length.to_string()]);
        let program = program.args(["--bframes", &args.b_frames().to_string()]);
        let program = program.option("--frames", source.limit());
        let bits = self.bits(source).to_string();
        let program = match args.qp {
            Some(qp) => program.arg("--qp").arg(qp.to_string()),
            None => program.args(["--bitrate", &bits]),
        };
        match what.backend {
            BackendKind::Nvidia => {
                let program = if args.qp.is_none() { program.arg("--cbr") } else { program };
                let program = program.args(["--preset", args.preset(), "--tune", args.tuning()]);
                program.option("--max-in-flight", in_flight.map(|n| n.to_string()))
            }
            BackendKind::Ffmpeg => {
                let encoder = match what.codec {
                    Codec::Hevc => "libx265",
                    Codec::Av1 => "libsvtav1",
                    _ => "libx264",
                };
                program.args(["--encoder", encoder, "--encoder-preset", peer::preset(args, encoder)])
            }
            _ => program,
        }
    }
}

/// Whether there is an output to look at. The packets of a switch are written one behind another, which is a file for the
/// codecs that have start codes.
pub(super) fn writes(what: Combination) -> bool {
    match what.case {
        Case::Encode | Case::Transcode => true,
        Case::Switch => matches!(what.codec, Codec::H264 | Codec::Hevc),
        _ => false,
    }
}

pub(super) fn extension(what: Combination) -> &'static str {
    match (what.case, what.codec) {
        (Case::Switch, Codec::Hevc) => "h265",
        (Case::Switch, _) => "h264",
        _ => "mp4",
    }
}
