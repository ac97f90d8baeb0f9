//! Streams of the repository, and streams that a tool makes: exact, whatever they are, or refused by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;

use crate::support::nvidia::{decode, decode_into, packets, planar};
use crate::support::parameter_sets::judge;
use crate::support::streams::{ffmpeg_md5s, further_streams, have, listed, md5_hex, stream, streams, text};
use crate::support::vpl::{clean, clean_on};

const QSV: BackendKind = BackendKind::Qsv;

/// Every frame of a stream, as it comes.
fn each_frame(path: &Path, mut take: impl FnMut(Frame)) {
    let (config, packets) = packets(path);
    let mut session = DecodeSession::new(QSV, config).unwrap();
    decode_into(&mut session, &packets, |frame| {
        take(frame.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    });
}

/// One MD5 for each frame.
fn sums(path: &Path) -> Vec<String> {
    let mut sums = Vec::new();
    each_frame(path, |frame| sums.push(md5_hex(&planar(&frame))));
    sums
}

/// Streams of the repository with one feature each, of all codecs but VP8, which no chip decodes.
#[test]
fn streams_with_one_feature_each_are_exact() {
    clean("streams_with_one_feature_each_are_exact", "", || {
        for path in streams().into_iter().filter(|path| !is_vp8(path)) {
            assert_eq!(sums(&path), listed(&path), "{}", path.display());
        }
    });
}

#[test]
fn parameter_sets_change_on_the_way() {
    clean("parameter_sets_change_on_the_way", "", || judge(sums));
}

fn is_vp8(path: &Path) -> bool {
    packets(path).0.codec == Codec::Vp8
}

/// Every stream in the folder that `VIDEO_HW_ASSETS` names, as ffmpeg decodes it.
#[test]
fn further_streams_are_exact() {
    if further_streams().is_empty() {
        return;
    }
    clean("further_streams_are_exact", "", || {
        for path in further_streams().into_iter().filter(|path| !is_vp8(path)) {
            assert_eq!(sums(&path), ffmpeg_md5s(&["-i", text(&path)]), "{}", path.display());
        }
    });
}

#[test]
fn a_codec_that_no_chip_has_is_refused_by_name() {
    clean("a_codec_that_no_chip_has_is_refused_by_name", "", || {
        let (config, _) = packets(stream("groups-vp8.ivf"));
        let error = DecodeSession::new(QSV, config).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("vp8"), "{error}");
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
            assert_eq!(sums(&path), ffmpeg_md5s(&["-i", text(&path)]), "{name}");
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
