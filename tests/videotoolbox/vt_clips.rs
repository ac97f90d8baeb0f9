//! Clips that are not in the repository, and streams that a tool makes: exact, whatever they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;

use crate::support::failover::long;
use crate::support::nvidia::{decode_into, packets, planar};
use crate::support::streams::{asset, ffmpeg_md5s, have, md5_hex, text};
use crate::support::videotoolbox::{clean, clean_on};

const VT: BackendKind = BackendKind::VideoToolbox;
/// Packets of a clip in the short form, and how many of them may be shown behind others that it leaves out.
const BEGINNING: usize = 40;
const REORDERED: usize = 16;

/// Every frame of so many packets of a clip, as it comes.
fn each_frame(path: &Path, most: usize, mut take: impl FnMut(Frame)) {
    let (config, mut packets) = packets(path);
    packets.truncate(most);
    let mut session = DecodeSession::new(VT, config).unwrap();
    decode_into(&mut session, &packets, |frame| {
        take(frame.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    });
}

/// One md5 for each of those frames, of these samples of it.
fn sums(path: &Path, most: usize, samples: fn(&Frame) -> Vec<u8>) -> Vec<String> {
    let mut sums = Vec::new();
    each_frame(path, most, |frame| sums.push(md5_hex(&samples(&frame))));
    sums
}

/// Clips of the cros-codecs project, with an md5 for each frame in its list: those that the decoders of a Mac with an M3 take. The
/// short form decodes the beginning of each.
#[test]
fn clips_with_a_sum_for_each_frame_are_exact() {
    clean_on("m3", "clips_with_a_sum_for_each_frame_are_exact", "", || {
        for name in [
            "64x64-I.h264",
            "64x64-I-P.h264",
            "64x64-I-P-B-P.h264",
            "64x64-I-P-B-P-high.h264",
            "test-25fps.h264",
            "test-25fps-interlaced.h264",
            "64x64-I.h265",
            "64x64-I-P.h265",
            "64x64-I-P-B-P.h265",
            "bbb.h265",
            "bear.h265",
            "test-25fps.h265",
            "test-25fps.vp9",
            "vp90-2-10-show-existing-frame.vp9.ivf",
            "vp90-2-10-show-existing-frame2.vp9.ivf",
            "resolution_change_500frames-vp9.ivf",
            "test-25fps.ivf.av1",
        ] {
            let Some(path) = asset(&format!("cros-codecs/{name}")) else { return };
            let list = std::fs::read_to_string(format!("{}.md5", path.display())).unwrap();
            let wanted: Vec<_> = list.split_whitespace().map(str::to_owned).collect();
            // Of the pictures as NV12.
            let most = if long() { usize::MAX } else { BEGINNING };
            let found = sums(&path, most, |frame| frame.as_host().unwrap().to_packed());
            // Of some clips the first frames alone are listed, and the last of a part may be shown behind others.
            let listed = wanted.len().min(most.saturating_sub(REORDERED));
            assert!(found.len() >= listed && listed > 0, "{name}: {} frames", found.len());
            assert_eq!(found[..listed], wanted[..listed], "{name}");
        }
    });
}

/// HEVC of 1080p; long form.
#[test]
fn natural_pictures_are_exact() {
    if !long() {
        return;
    }
    clean("natural_pictures_are_exact", "", || {
        let Some(path) = asset("bench/sample-10s-1080p.h265") else { return };
        if have(&["ffmpeg"]) {
            assert_eq!(sums(&path, usize::MAX, planar), ffmpeg_md5s(&["-i", text(&path)]));
        }
    });
}

/// H.264 with several slices, reordering, PCM, scaling lists and odd sizes; `md5s.txt` has an md5 of each whole clip.
#[test]
fn clips_with_one_sum_are_exact() {
    clean("clips_with_one_sum_are_exact", "", || {
        let Some(list) = asset("jvt/md5s.txt") else { return };
        let mut pixels = 0;
        for line in std::fs::read_to_string(&list).unwrap().lines() {
            let fields: Vec<_> = line.split(' ').collect();
            let [md5, frames, _, name] = fields[..] else { panic!("{line}") };
            // The long and the large ones take their time.
            let is_large = ["1280", "1920", "1080"].iter().any(|size| name.contains(size));
            if !long() && (is_large || frames.parse::<u32>().unwrap() > 100) {
                continue;
            }
            let (mut hash, mut count) = (md5::Md5::default(), 0);
            each_frame(&list.with_file_name(name), usize::MAX, |frame| {
                md5::Digest::update(&mut hash, planar(&frame));
                count += 1;
                pixels += frame.dimensions.pixels();
            });
            let found: String =
                md5::Digest::finalize(hash).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((found.as_str(), count), (md5, frames.parse().unwrap()), "{name}");
        }
        assert!(pixels > 0);
    });
}

/// HEVC of a subsampling and depth, made by ffmpeg; none where it cannot.
fn made(folder: &Path, format: &str) -> Option<PathBuf> {
    let path = folder.join(format!("{format}.h265"));
    let source = "testsrc2=s=98x66:r=25:d=0.4";
    let done = Command::new("ffmpeg")
        .env_remove("LD_LIBRARY_PATH")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", format, "-c:v", "libx265"])
        .args(["-x265-params", "log-level=none:bframes=2"])
        .arg(&path)
        .status();
    done.is_ok_and(|status| status.success()).then_some(path)
}

#[test]
fn full_chroma_is_exact_where_a_machine_has_it() {
    clean("full_chroma_is_exact_where_a_machine_has_it", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, format) in [
            ("yuv422p", PixelFormat::I422),
            ("yuv422p10le", PixelFormat::I210),
            ("yuv444p", PixelFormat::I444),
            ("yuv444p10le", PixelFormat::I410),
        ] {
            let Some(path) = made(folder.path(), name) else {
                eprintln!("SKIPPED: no ffmpeg with libx265");
                return;
            };
            each_frame(&path, usize::MAX, |frame| assert_eq!(frame.format, format));
            assert_eq!(sums(&path, usize::MAX, planar), ffmpeg_md5s(&["-i", text(&path)]), "{name}");
        }
        let (config, packets) = packets(folder.path().join("yuv422p.h265"));
        assert_eq!(config.codec, Codec::Hevc);
        let mut session = DecodeSession::new(VT, config).unwrap();
        let summary = decode_into(&mut session, &packets, |frame| drop(frame.unwrap()));
        // Pairs of chroma are taken apart, and luma stays where it is.
        assert_eq!(summary.output_copy_bytes, 10 * 98 * 66);
    });
}

/// Of a picture the part that is shown may begin anywhere in the coded one.
#[test]
fn pictures_that_are_cropped_on_all_sides_are_exact() {
    clean("pictures_that_are_cropped_on_all_sides_are_exact", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, encoder, filter) in
            [("cut.h264", "libx264", "h264_metadata"), ("cut.h265", "libx265", "hevc_metadata")]
        {
            let path = folder.path().join(name);
            let mut made = Command::new("ffmpeg");
            made.env_remove("LD_LIBRARY_PATH").args([
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=s=128x96:d=0.4",
            ]);
            made.args(["-pix_fmt", "yuv420p", "-c:v", encoder, "-bsf:v"]);
            made.arg(format!("{filter}=crop_left=10:crop_top=6:crop_right=22:crop_bottom=18")).arg(&path);
            assert!(made.stderr(std::process::Stdio::null()).status().unwrap().success());
            each_frame(&path, usize::MAX, |frame| assert_eq!(frame.dimensions.to_string(), "96x72"));
            assert_eq!(
                sums(&path, usize::MAX, planar),
                ffmpeg_md5s(&["-flags", "unaligned", "-i", text(&path)]),
                "{name}"
            );
        }
    });
}

#[test]
fn full_chroma_is_refused_where_a_machine_has_it_not() {
    clean_on("intel-mac", "full_chroma_is_refused_where_a_machine_has_it_not", "", || {
        let folder = tempfile::tempdir().unwrap();
        let Some(path) = made(folder.path(), "yuv422p") else {
            eprintln!("SKIPPED: no ffmpeg with libx265");
            return;
        };
        let (config, packets) = packets(&path);
        let mut errors = Vec::new();
        let mut session = DecodeSession::new(VT, config).unwrap();
        decode_into(&mut session, &packets, |frame| errors.extend(frame.err()));
        assert!(matches!(&errors[..], [Error::Unsupported { .. }, ..]), "{errors:?}");
    });
}
