//! What ffmpeg sees in a file, and how alike two sequences of pictures are.

use std::path::Path;
use std::process::Command;

use video_hw::container::{Input, TrackKind, open_input};

/// Whether ffmpeg is here; says so where it is not.
pub(crate) fn have_ffmpeg() -> bool {
    let have = ffmpeg().arg("-version").output().is_ok_and(|output| output.status.success());
    if !have {
        let words = b"SKIPPED: no ffmpeg to judge the pictures\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words);
    }
    have
}

/// It does not see the simulated driver, nor writes its report.
fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.env_remove("LD_LIBRARY_PATH").env_remove("NVSIM_REPORT");
    command
}

/// The pictures of a file as ffmpeg decodes them, each packed 4:2:0 with 8 bits, at a size.
pub(crate) fn pictures(file: &Path, (width, height): (usize, usize)) -> Vec<Vec<u8>> {
    let output = ffmpeg()
        .args(["-v", "error", "-xerror", "-noautorotate", "-i"])
        .arg(file)
        .args(["-vf", &format!("scale={width}:{height}:flags=bilinear")])
        .args(["-vsync", "0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Frames that follow each other closely have the same time in the raw output, which has no times at all.
    let complaints: Vec<_> = said.lines().filter(|line| !line.contains("non monotonically")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{}: {said}", file.display());
    output.stdout.chunks(width * height * 3 / 2).map(<[u8]>::to_vec).collect()
}

/// The video of an MP4 file as a raw stream.
pub(crate) fn annex_b(file: &Path, directory: &Path) -> Vec<u8> {
    let raw = directory.join("raw.h264");
    let status = ffmpeg()
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-c", "copy"])
        .arg(&raw)
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(raw).unwrap()
}

/// Decibels by which a picture is like another; infinite for the same.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / sum).log10()
}

/// Every picture is at its place, and at least so much like the one that it should be.
pub(crate) fn assert_alike(wanted: &[Vec<u8>], got: &[Vec<u8>], decibels: f64, what: &str) {
    assert_eq!(wanted.len(), got.len(), "{what}: pictures");
    for (number, (wanted, got)) in wanted.iter().zip(got).enumerate() {
        let like = psnr(wanted, got);
        assert!(like >= decibels, "{what}: picture {number} is off ({like:.1} dB)");
    }
}

/// Times of a file's video in display order, in milliseconds; those of streams that have none are 25 a second.
pub(crate) fn times(file: &Path) -> Vec<i64> {
    let Input::Demuxer(mut demuxer) = open_input(file).unwrap() else { panic!("{}", file.display()) };
    let track = demuxer.tracks().iter().find(|track| track.kind == TrackKind::Video).unwrap().id;
    demuxer.select_tracks(&[track]);
    let mut times: Vec<_> = std::iter::from_fn(|| demuxer.next_packet().unwrap())
        .zip(0..)
        .map(|(sample, number)| {
            sample.pts.map_or(40 * number, |pts| (pts.as_secs_f64() * 1e3).round() as i64)
        })
        .collect();
    times.sort_unstable();
    times
}
