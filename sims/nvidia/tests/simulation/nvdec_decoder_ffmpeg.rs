//! The foreign judge: ffmpeg's own NVDEC decoders, unmodified, on the simulated driver. What they decode is what ffmpeg
//! decodes in software, and they break no rule and leave nothing behind.

use std::process::Command;

use crate::common::driver_directory;
use crate::nvdec_clips::*;

/// Whether the ffmpeg program has the NVDEC decoders.
fn has_nvdec() -> bool {
    if !ffmpeg_is_there() {
        return false;
    }
    let list = Command::new("ffmpeg").args(["-v", "error", "-decoders"]).output().unwrap().stdout;
    let there = String::from_utf8_lossy(&list).contains("h264_cuvid");
    if !there {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: this ffmpeg is built without NVDEC\n"),
        );
    }
    there
}

fn sums(text: Vec<u8>) -> Vec<String> {
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn same_as_software(decoder: &str, pixels: &str, options: &[&str]) {
    same(&["-c:v", decoder], pixels, "324x182", options);
}

/// `how` are the options that choose the decoder.
fn same(how: &[&str], pixels: &str, size: &str, options: &[&str]) {
    if !has_nvdec() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let clip = encode(directory.path(), size, 40, options);
    let clip = clip.to_str().unwrap();
    let tail = ["-pix_fmt", pixels, "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let software = sums(run("ffmpeg", &[&["-v", "error", "-i", clip][..], &tail].concat()));
    let report = directory.path().join("report.json");
    let output = Command::new("ffmpeg")
        .args([&["-v", "error"][..], how, &["-i", clip], &tail].concat())
        .env("LD_LIBRARY_PATH", driver_directory())
        .env("NVSIM_REPORT", &report)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    assert_eq!(sums(output.stdout), software, "{messages}");
    assert_eq!(software.len(), 40);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    for key in ["violations", "leaks", "internal_errors"] {
        assert_eq!(report[key], serde_json::json!([]), "{key}");
    }
    let figures = &report["sections"]["nvdec"];
    assert_eq!(figures["pictures_damaged"], 0);
    // ffmpeg goes on in software where the hardware refuses, and that would prove nothing.
    assert_eq!(figures["frames_mapped"], 40, "{messages}");
}

#[test]
fn h264_cuvid() {
    same_as_software("h264_cuvid", "nv12", &["-c:v", "libx264", "-bf", "3"]);
}

#[test]
fn h264_cuvid_of_interlaced_frames() {
    let options = ["-c:v", "libx264", "-bf", "2", "-flags", "+ilme+ildct"];
    same(&["-c:v", "h264_cuvid"], "nv12", "320x192", &options);
}

/// ffmpeg's other way to NVDEC has no parser of the driver's: the pictures come with their parameters alone.
#[test]
fn h264_without_the_drivers_parser() {
    same(&["-hwaccel", "cuda"], "nv12", "324x182", &["-c:v", "libx264", "-bf", "3"]);
    let options = ["-c:v", "libx264", "-bf", "2", "-flags", "+ilme+ildct"];
    same(&["-hwaccel", "cuda"], "nv12", "320x192", &options);
    let options = ["-c:v", "libx264", "-x264-params", "cqm=jvt:weightp=2:cabac=0"];
    same(&["-hwaccel", "cuda"], "nv12", "320x192", &options);
}

#[test]
fn hevc_cuvid() {
    let parameters = "log-level=error:pools=1";
    same_as_software("hevc_cuvid", "nv12", &["-c:v", "libx265", "-x265-params", parameters]);
    let options = ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", parameters];
    same_as_software("hevc_cuvid", "p010le", &options);
}

#[test]
fn mpeg_cuvid() {
    same_as_software("mpeg2_cuvid", "nv12", &["-c:v", "mpeg2video", "-bf", "2", "-b:v", "2M"]);
    same_as_software("mpeg1_cuvid", "nv12", &["-c:v", "mpeg1video", "-bf", "2", "-b:v", "2M"]);
    same_as_software("mpeg4_cuvid", "nv12", &["-c:v", "mpeg4", "-bf", "2", "-b:v", "2M"]);
}

#[test]
fn vp_cuvid() {
    let fast = ["-b:v", "400k", "-deadline", "good", "-cpu-used", "5"];
    same_as_software("vp8_cuvid", "nv12", &[&["-c:v", "libvpx"][..], &fast].concat());
    let hidden = ["-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "16"];
    same_as_software("vp9_cuvid", "nv12", &[&hidden[..], &fast].concat());
}
