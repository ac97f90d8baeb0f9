//! Decoder runs.

use super::{Judge, Row};

/// A clip, and how it is decoded.
pub struct DecodeRun {
    name: &'static str,
    decoder: &'static str,
    /// ffmpeg arguments that make the clip.
    make: &'static str,
    file: &'static str,
    /// Planar format in which both decodes are compared.
    format: &'static str,
    options: &'static str,
}

impl DecodeRun {
    pub const COLUMNS: &'static [&'static str] = &["decoder", "clip", "frames", "md5 of every frame"];

    pub fn judge(&self, judge: &Judge) -> Row {
        let mut make = vec!["-nostdin", "-y", "-v", "error"];
        make.extend(self.make.split(' '));
        make.push(self.file);
        let made = judge.plain("ffmpeg", &make);
        let mut faults = Vec::new();
        if !made.status.success() {
            faults.push(format!("no clip: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        let (wanted, _) = judge.framemd5(&["-i", self.file, "-pix_fmt", self.format]);
        let mut arguments = vec!["-c:v", self.decoder];
        arguments.extend(self.options.split(' ').filter(|word| !word.is_empty()));
        arguments.extend(["-i", self.file, "-pix_fmt", self.format, "-f", "framemd5", "got.md5"]);
        let (output, report) = judge.simulated(&arguments, &[("NVSIM_PROFILE", "h200")]);
        faults.extend(judge.complaints(&output, &report));
        let got = super::parse_framemd5(&std::fs::read(judge.path("got.md5")).unwrap_or_default());
        let same = got.iter().zip(&wanted).take_while(|(got, wanted)| got == wanted).count();
        if wanted.is_empty() {
            faults.push("the software decoder gave no frame".into());
        }
        if got.len() != wanted.len() || same != wanted.len() {
            faults.push(format!("{} frames, not {}; equal up to frame {same}", got.len(), wanted.len()));
        }
        let verdict = if same == wanted.len() && got.len() == same { "equal" } else { "different" };
        Row {
            cells: vec![self.decoder.into(), self.name.into(), got.len().to_string(), verdict.into()],
            faults,
        }
    }
}

/// Clips: short form or not, and what is done.
pub fn decode_matrix() -> Vec<(bool, DecodeRun)> {
    let run = |short, name, decoder, file, format, options, make| {
        (short, DecodeRun { name, decoder, make, file, format, options })
    };
    let (p8, p10) = ("yuv420p", "yuv420p10le");
    vec![
        run(
            true,
            "H.264, no B-frames",
            "h264_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 60 -c:v libx264 -bf 0 -pix_fmt yuv420p",
        ),
        run(
            true,
            "H.264, 3 B-frames, pyramid, 4 references",
            "h264_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=1280x720:r=30 -frames:v 90 -c:v libx264 -bf 3 -refs 4 -g 40 -x264-params b-pyramid=normal -pix_fmt yuv420p",
        ),
        run(
            false,
            "H.264, 1 B-frame, 4 slices",
            "h264_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 60 -c:v libx264 -bf 1 -x264-params slices=4 -pix_fmt yuv420p",
        ),
        run(
            false,
            "H.264, open GOP",
            "h264_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 90 -c:v libx264 -bf 2 -g 20 -x264-params open-gop=1 -pix_fmt yuv420p",
        ),
        run(
            false,
            "H.264, odd size 1918x1078",
            "h264_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=1918x1078:r=30 -frames:v 20 -c:v libx264 -preset veryfast -pix_fmt yuv420p",
        ),
        run(
            true,
            "H.264, Annex B file",
            "h264_cuvid",
            "a.h264",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=25 -frames:v 60 -c:v libx264 -bf 2 -pix_fmt yuv420p",
        ),
        run(
            false,
            "H.264, interlaced, MBAFF",
            "h264_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=720x576:r=25 -frames:v 50 -c:v libx264 -bf 2 -flags +ildct+ilme -x264-params tff=1 -pix_fmt yuv420p",
        ),
        run(
            true,
            "HEVC, B-frames, pyramid",
            "hevc_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=1280x720:r=30 -frames:v 60 -c:v libx265 -preset veryfast -x265-params log-level=none:bframes=4:b-pyramid=1:keyint=25 -pix_fmt yuv420p",
        ),
        run(
            false,
            "HEVC, open GOP with leading pictures",
            "hevc_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 90 -c:v libx265 -preset veryfast -x265-params log-level=none:open-gop=1:keyint=20:bframes=3 -pix_fmt yuv420p",
        ),
        run(
            false,
            "HEVC, no B-frames",
            "hevc_cuvid",
            "a.mp4",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 60 -c:v libx265 -preset veryfast -x265-params log-level=none:bframes=0 -pix_fmt yuv420p",
        ),
        run(
            true,
            "HEVC, 10 bit",
            "hevc_cuvid",
            "a.mp4",
            p10,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 60 -c:v libx265 -preset veryfast -x265-params log-level=none:bframes=3 -pix_fmt yuv420p10le",
        ),
        // No parser of the driver's: ffmpeg hands over picture parameters alone.
        run(
            false,
            "H.264, 3 B-frames, -hwaccel cuda",
            "h264",
            "a.mp4",
            p8,
            "-hwaccel cuda",
            "-f lavfi -i testsrc2=s=640x360:r=30 -frames:v 60 -c:v libx264 -bf 3 -pix_fmt yuv420p",
        ),
        run(
            false,
            "MPEG-2, B-frames",
            "mpeg2_cuvid",
            "a.mpg",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=25 -frames:v 50 -c:v mpeg2video -bf 2 -b:v 3M -pix_fmt yuv420p",
        ),
        run(
            false,
            "VP9",
            "vp9_cuvid",
            "a.webm",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=25 -frames:v 40 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p",
        ),
        run(
            false,
            "VP8",
            "vp8_cuvid",
            "a.webm",
            p8,
            "",
            "-f lavfi -i testsrc2=s=640x360:r=25 -frames:v 40 -c:v libvpx -deadline realtime -cpu-used 8 -pix_fmt yuv420p",
        ),
    ]
}
