//! A foreign judge: FFmpeg's own encoder client, unmodified, on the simulated driver. What it writes is decoded by
//! FFmpeg without the driver and compared with what went in.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SOURCE: &str = "testsrc2=s=320x180:r=30:d=1,format=yuv420p";
const FRAMES: usize = 30;

fn has_nvenc() -> bool {
    let listed = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output();
    let found = listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("h264_nvenc"));
    if !found {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no ffmpeg with h264_nvenc here\n"),
        );
    }
    found
}

/// Encodes on the driver; answers FFmpeg's output and the report.
fn encode(directory: &Path, set: &str, options: &[&str]) -> (Output, Value) {
    let report = directory.join("report.json");
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", SOURCE])
        .args(options)
        .arg(directory.join("out.mp4"))
        .env("LD_LIBRARY_PATH", crate::common::driver_directory())
        .env("NVSIM_REPORT", &report)
        .env("NVSIM_SET", set)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(report).unwrap();
    (output, serde_json::from_str(&text).unwrap())
}

/// Frames in the file, and their PSNR against the source in decibels.
fn compare(directory: &Path) -> (usize, f64) {
    let graph = "[0:v]format=yuv420p,settb=1/30,setpts=N[a];[1:v]settb=1/30,setpts=N[b];[a][b]psnr";
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-xerror", "-i"])
        .arg(directory.join("out.mp4"))
        .args(["-f", "lavfi", "-i", SOURCE, "-lavfi", graph, "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let after = |mark: &str| {
        let start = text.rfind(mark).unwrap_or_else(|| panic!("no {mark} in {text}")) + mark.len();
        text[start..].trim_start().split([' ', '\n']).next().unwrap().to_owned()
    };
    let psnr = after("average:");
    (after("frame=").parse().unwrap(), if psnr == "inf" { f64::INFINITY } else { psnr.parse().unwrap() })
}

#[track_caller]
fn clean(options: &[&str], least_psnr: f64) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let (output, report) = encode(directory.path(), "", options);
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(report["violations"], serde_json::json!([]), "{options:?}");
    assert_eq!(report["leaks"], serde_json::json!([]), "{options:?}");
    assert_eq!(report["internal_errors"], serde_json::json!([]), "{options:?}");
    let (frames, psnr) = compare(directory.path());
    assert_eq!(frames, FRAMES, "{options:?}");
    assert!(psnr >= least_psnr, "{options:?}: {psnr} dB");
    report
}

#[test]
fn both_codecs_with_every_kind_of_setting() {
    if !has_nvenc() {
        return;
    }
    for codec in ["h264_nvenc", "hevc_nvenc"] {
        let with = |options: &[&'static str], least| {
            let options: Vec<_> = ["-c:v", codec].iter().chain(options).copied().collect();
            clean(&options, least)
        };
        with(&["-preset", "p1"], 35.0);
        let report = with(&["-preset", "p4", "-bf", "2"], 35.0);
        let session = &report["sections"]["nvenc"]["sessions"][0];
        assert_eq!(session["kinds"]["b"], 19, "two of three, and the end: {session}");
        with(&["-preset", "p7", "-rc-lookahead", "20", "-bf", "3"], 35.0);
        with(&["-tune", "ll", "-rc", "cbr", "-b:v", "1M"], 30.0);
        with(&["-tune", "lossless"], f64::INFINITY);
        with(&["-rc", "constqp", "-qp", "12"], 40.0);
        with(&["-rc", "vbr", "-cq", "20", "-b:v", "0"], 30.0);
        with(&["-pix_fmt", "nv12", "-g", "10", "-forced-idr", "1", "-force_key_frames", "0.5"], 35.0);
        with(&["-pix_fmt", "yuv444p", "-qp", "10"], 35.0);
        // The driver converts with the matrix that FFmpeg uses to convert back.
        with(&["-pix_fmt", "bgr0", "-qp", "10"], 35.0);
        with(&["-vf", "format=nv12,hwupload_cuda", "-bf", "3", "-rc-lookahead", "8"], 35.0);
    }
    clean(&["-c:v", "hevc_nvenc", "-pix_fmt", "p010le", "-qp", "10"], 40.0);
}

#[test]
fn a_card_without_an_encoder_is_named_as_such() {
    if !has_nvenc() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (output, report) = encode(directory.path(), "device.0.nvenc_engines=0", &["-c:v", "h264_nvenc"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("unsupported device"), "{output:?}");
    assert_eq!(report["sections"]["nvenc"]["sessions_refused"], 1);
}

#[test]
fn an_old_driver_is_named_as_such() {
    if !has_nvenc() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (output, _) = encode(directory.path(), "driver.nvenc=11.0", &["-c:v", "h264_nvenc"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Required: 11.1 Found: 11.0"), "{output:?}");
}
