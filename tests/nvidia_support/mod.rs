//! The library on the simulated driver: each test body runs in a process of its own, with the driver's libraries found
//! by `LD_LIBRARY_PATH` as on any machine.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use video_hw::config::CommonDecodeConfig;
use video_hw::container::{Input, TrackKind, open_input};
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;

pub(crate) fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

/// Directory with the driver's three names, or none when the simulated driver is not built.
fn driver() -> Option<PathBuf> {
    // Tests run side by side in this process.
    static DRIVER: OnceLock<Option<PathBuf>> = OnceLock::new();
    DRIVER.get_or_init(find_driver).clone()
}

fn find_driver() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libnvsim.so");
    if !library.exists() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display()),
        );
        return None;
    }
    let names = deps.join("nvsim-names");
    std::fs::create_dir_all(&names).unwrap();
    for name in ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"] {
        let aside = names.join(format!("{name}.{}", std::process::id()));
        std::os::unix::fs::symlink(&library, &aside).unwrap();
        std::fs::rename(&aside, names.join(name)).unwrap();
    }
    Some(names)
}

/// Runs `body` in a process of its own with these settings of the simulation; gives its output and the report.
pub(crate) fn simulated(test: &str, settings: &str, body: impl FnOnce()) -> Option<(Output, String)> {
    simulated_on("h200", test, settings, body)
}

/// As [`simulated`], on another chip of the simulation's.
pub(crate) fn simulated_on(
    chip: &str,
    test: &str,
    settings: &str,
    body: impl FnOnce(),
) -> Option<(Output, String)> {
    const MARK: &str = "VIDEO_HW_SIMULATED";
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    let names = driver()?;
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env("LD_LIBRARY_PATH", names)
        .env("NVSIM_PROFILE", chip)
        .env("NVSIM_SET", settings)
        .env("NVSIM_REPORT", &report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let report = std::fs::read_to_string(&report).unwrap_or_default();
    Some((output, report))
}

/// As [`simulated`], and no rule of the driver was broken and nothing was left behind.
pub(crate) fn clean(test: &str, settings: &str, body: impl FnOnce()) {
    clean_on("h200", test, settings, body);
}

/// As [`clean`], on another chip of the simulation's.
pub(crate) fn clean_on(chip: &str, test: &str, settings: &str, body: impl FnOnce()) {
    if let Some((_, report)) = simulated_on(chip, test, settings, body) {
        for list in ["violations", "leaks", "internal_errors"] {
            assert!(report.contains(&format!("\"{list}\": []")), "{list}: {report}");
        }
    }
}

/// The packed planar samples: semi-planar chroma taken apart, samples of 10 bits moved to the low bits.
pub(crate) fn planar(frame: &Frame) -> Vec<u8> {
    planar_of(frame.as_host().unwrap())
}

/// As [`planar`].
pub(crate) fn planar_of(frame: &HostSurface) -> Vec<u8> {
    let packed = frame.to_packed();
    let (bytes, shift) = match frame.format() {
        PixelFormat::Nv12 => (1, 0),
        PixelFormat::P010 => (2, 6),
        _ => return packed,
    };
    let luma = frame.dimensions().width() as usize * frame.dimensions().height() as usize * bytes;
    let (y, uv) = packed.split_at(luma);
    let mut out = y.to_vec();
    for plane in 0..2 {
        out.extend(uv.chunks_exact(2 * bytes).flat_map(|pair| &pair[plane * bytes..][..bytes]));
    }
    if shift > 0 {
        for sample in out.chunks_exact_mut(2) {
            let value = u16::from_le_bytes([sample[0], sample[1]]) >> shift;
            sample.copy_from_slice(&value.to_le_bytes());
        }
    }
    out
}

/// Number of frames and md5 of all of them, as ffmpeg decoded the clip.
pub(crate) fn golden(name: &str) -> (usize, String) {
    let text = std::fs::read_to_string(clip("md5s.txt")).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
    let mut fields = line.split(' ');
    let md5 = fields.next().unwrap().to_owned();
    (fields.next().unwrap().parse().unwrap(), md5)
}

pub(crate) fn fault(function: &str, call: u32, effect: &str) -> String {
    format!("fault=[{{function='{function}',call={call},{effect}}}]")
}

/// How often a function of the driver was called, by a run's report.
pub(crate) fn calls(report: &str, function: &str) -> u64 {
    let (_, calls) = report.split_once("\"calls\": {").unwrap();
    let Some((_, count)) = calls.split_once(&format!("\"{function}\": ")) else { return 0 };
    count.split([',', '\n']).next().unwrap().parse().unwrap()
}

/// The packets of a clip, and what a session needs to know of them.
pub(crate) fn packets(name: &str) -> (CommonDecodeConfig, Vec<Packet>) {
    let Input::Demuxer(mut demuxer) = open_input(&clip(name)).unwrap() else {
        panic!("{name} has no samples")
    };
    let track = demuxer.tracks().iter().find(|track| track.kind == TrackKind::Video).unwrap().clone();
    let video = track.video.unwrap();
    demuxer.select_tracks(&[track.id]);
    let packets = std::iter::from_fn(|| demuxer.next_sample().unwrap())
        .map(|sample| Packet {
            pts: sample.pts,
            dts: sample.dts,
            keyframe: sample.keyframe,
            ..Packet::new(video.codec, video.layout, sample.data)
        })
        .collect();
    (CommonDecodeConfig { codec_config: video.codec_config, ..CommonDecodeConfig::new(video.codec) }, packets)
}
