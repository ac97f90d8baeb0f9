//! Clips that are not in the repository, and streams that a tool makes: exact, whatever they are, or refused by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::backend::BackendKind;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;

use crate::support::failover::long;
use crate::support::nvidia::{decode, decode_into, packets, planar};
use crate::support::streams::{asset, ffmpeg_md5s, have, md5_hex, text};
use crate::support::vpl::{clean, clean_on};

const QSV: BackendKind = BackendKind::Qsv;
/// Packets of a clip in the short form, and how many of them may be shown behind others that it leaves out.
const BEGINNING: usize = 40;
const REORDERED: usize = 16;

/// Every frame of so many packets of a clip, as it comes.
fn each_frame(path: &Path, most: usize, mut take: impl FnMut(Frame)) {
    let (config, mut packets) = packets(path);
    packets.truncate(most);
    let mut session = DecodeSession::new(QSV, config).unwrap();
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

/// Clips of the cros-codecs project, with an md5 for each frame in its list. The short form decodes the beginning of each.
#[test]
fn clips_with_a_sum_for_each_frame_are_exact() {
    clean("clips_with_a_sum_for_each_frame_are_exact", "", || {
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

#[test]
fn a_codec_that_no_chip_has_is_refused_by_name() {
    clean("a_codec_that_no_chip_has_is_refused_by_name", "", || {
        let Some(path) = asset("cros-codecs/test-25fps.vp8") else { return };
        let (config, _) = packets(&path);
        let error = DecodeSession::new(QSV, config).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("vp8"), "{error}");
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

/// A stream that ffmpeg makes with these options; none where it cannot.
fn made(folder: &Path, name: &str, options: &[&str]) -> Option<PathBuf> {
    let path = folder.join(name);
    let done = Command::new("ffmpeg")
        .env_remove("LD_LIBRARY_PATH")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=98x66:r=25:d=0.4"])
        .args(options)
        .arg(&path)
        .stderr(std::process::Stdio::null())
        .status();
    if done.is_ok_and(|status| status.success()) {
        return Some(path);
    }
    eprintln!("SKIPPED: no ffmpeg that makes {name}");
    None
}

/// MPEG-2 with B pictures, progressive and of fields, and JPEG pictures.
#[test]
fn mpeg2_and_jpeg_are_exact() {
    clean("mpeg2_and_jpeg_are_exact", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, options) in [
            ("plain.ts", &["-c:v", "mpeg2video", "-bf", "2", "-q:v", "3"][..]),
            ("fields.ts", &["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-bf", "2", "-q:v", "3"]),
            ("jpeg.mkv", &["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "3"]),
        ] {
            let Some(path) = made(folder.path(), name, options) else { return };
            assert_eq!(sums(&path, usize::MAX, planar), ffmpeg_md5s(&["-i", text(&path)]), "{name}");
        }
    });
}

/// A stream of each subsampling and depth, of this codec: what a chip has is exact, and what it has not is refused by name.
fn full_chroma(
    test: &str,
    refused_by: &[&'static str],
    file: &str,
    options: &[&str],
    formats: &[(&str, PixelFormat)],
) {
    for machine in ["tigerlake", "kabylake"] {
        clean_on(machine, test, "", || {
            if !have(&["ffmpeg"]) {
                return;
            }
            let folder = tempfile::tempdir().unwrap();
            for &(name, format) in formats {
                let options = [&["-pix_fmt", name], options].concat();
                let Some(path) = made(folder.path(), &format!("{name}.{file}"), &options) else { return };
                let (config, packets) = packets(&path);
                let mut session = DecodeSession::new(QSV, config).unwrap();
                let (frames, errors) = decode(&mut session, &packets);
                if refused_by.contains(&machine) {
                    let [error @ Error::Unsupported { .. }, ..] = &errors[..] else { panic!("{errors:?}") };
                    assert!(error.to_string().contains("by oneVPL on this GPU"), "{error}");
                    continue;
                }
                assert!(errors.is_empty(), "{name}: {errors:?}");
                assert!(frames.iter().all(|frame| frame.format == format), "{name}");
                let found: Vec<_> = frames.iter().map(|frame| md5_hex(&planar(frame))).collect();
                assert_eq!(found, ffmpeg_md5s(&["-i", text(&path)]), "{name}");
            }
        });
    }
}

#[test]
fn full_chroma_of_hevc_is_exact_or_refused_by_name() {
    let formats = [
        ("yuv422p", PixelFormat::I422),
        ("yuv422p10le", PixelFormat::I210),
        ("yuv422p12le", PixelFormat::I212),
        ("yuv444p", PixelFormat::I444),
        ("yuv444p10le", PixelFormat::I410),
        ("yuv444p12le", PixelFormat::I412),
    ];
    let options = ["-c:v", "libx265", "-x265-params", "log-level=none:bframes=2"];
    full_chroma("full_chroma_of_hevc_is_exact_or_refused_by_name", &["kabylake"], "h265", &options, &formats);
}

#[test]
fn full_chroma_of_vp9_is_exact_or_refused_by_name() {
    let formats = [("yuv444p", PixelFormat::I444), ("yuv444p10le", PixelFormat::I410)];
    let options = ["-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime"];
    full_chroma("full_chroma_of_vp9_is_exact_or_refused_by_name", &["kabylake"], "ivf", &options, &formats);
}
