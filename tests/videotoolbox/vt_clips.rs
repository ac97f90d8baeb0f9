//! Streams of the repository, and streams that a tool makes: exact, whatever they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::pixel::PixelFormat;
use video_hw::session::DecodeSession;

use crate::support::nvidia::{decode_into, packets, planar};
use crate::support::parameter_sets::judge;
use crate::support::streams::{ffmpeg_md5s, further_streams, have, listed, md5_hex, streams, text};
use crate::support::videotoolbox::{clean, clean_on};

const VT: BackendKind = BackendKind::VideoToolbox;

/// Every frame of a stream, as it comes.
fn each_frame(path: &Path, mut take: impl FnMut(Frame)) {
    let (config, packets) = packets(path);
    let mut session = DecodeSession::new(VT, config).unwrap();
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

/// Streams of the repository with one feature each, on a Mac with an M3, which decodes all of their codecs but VP8.
#[test]
fn streams_with_one_feature_each_are_exact() {
    clean_on("m3", "streams_with_one_feature_each_are_exact", "", || {
        for path in streams().into_iter().filter(|path| !is_vp8(path)) {
            assert_eq!(sums(&path), listed(&path), "{}", path.display());
        }
    });
}

#[test]
fn parameter_sets_change_on_the_way() {
    clean_on("m3", "parameter_sets_change_on_the_way", "", || judge(sums));
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
    clean_on("m3", "further_streams_are_exact", "", || {
        for path in further_streams().into_iter().filter(|path| !is_vp8(path)) {
            assert_eq!(sums(&path), ffmpeg_md5s(&["-i", text(&path)]), "{}", path.display());
        }
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
            each_frame(&path, |frame| assert_eq!(frame.format, format));
            assert_eq!(sums(&path), ffmpeg_md5s(&["-i", text(&path)]), "{name}");
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
            each_frame(&path, |frame| assert_eq!(frame.dimensions.to_string(), "96x72"));
            assert_eq!(sums(&path), ffmpeg_md5s(&["-flags", "unaligned", "-i", text(&path)]), "{name}");
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
