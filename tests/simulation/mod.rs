//! Running a test on the simulated NVIDIA driver (`nvsim/`), in a process of its own that finds the driver's libraries
//! as on any machine, and what the simulation reports of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use video_hw::config::CommonDecodeConfig;
use video_hw::container::{Input, TrackKind, open_input};
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, Submit};

/// Directory with the driver's names, or none when the simulated driver is not built.
fn driver() -> Option<PathBuf> {
    // Tests run side by side in this process.
    static DRIVER: OnceLock<Option<PathBuf>> = OnceLock::new();
    DRIVER.get_or_init(find_driver).clone()
}

fn find_driver() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libnvsim.so");
    if !library.exists() {
        say(&format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display()));
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

/// Past the test runner, which keeps what tests print that pass.
fn say(words: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}

/// What the simulation saw, and whether the test skipped something.
pub(crate) struct Report(String, bool);

impl Report {
    /// How often a function of the driver was called.
    pub(crate) fn calls(&self, function: &str) -> u64 {
        let Some((_, rest)) = self.0.split_once(&format!("\"{function}\":")) else { return 0 };
        rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }
}

/// As [`run`], and no rule of the driver was broken and nothing left behind.
pub(crate) fn simulated(test: &str, settings: &str, body: impl FnOnce()) -> Option<Report> {
    let report = run(test, settings, body)?;
    // A test that skips everything never opens the driver.
    if report.0.is_empty() && report.1 {
        return None;
    }
    for list in ["violations", "leaks", "internal_errors"] {
        assert!(report.0.contains(&format!("\"{list}\": []")), "{list}: {}", report.0);
    }
    Some(report)
}

/// Runs `body` in a process of its own with these settings of the simulation.
pub(crate) fn run(test: &str, settings: &str, body: impl FnOnce()) -> Option<Report> {
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
        .env("NVSIM_PROFILE", "h200")
        .env("NVSIM_SET", settings)
        .env("NVSIM_REPORT", &report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let mut skipped = false;
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        say(&format!("{line}\n"));
        skipped = true;
    }
    Some(Report(std::fs::read_to_string(&report).unwrap_or_default(), skipped))
}

/// The packets of a file, and what a session needs to know of them.
pub(crate) fn packets(path: &Path) -> (CommonDecodeConfig, Vec<Packet>) {
    let Input::Demuxer(mut demuxer) = open_input(path).unwrap() else {
        panic!("{} has no samples", path.display())
    };
    let track = demuxer.tracks().iter().find(|track| track.kind == TrackKind::Video).unwrap().clone();
    let video = track.video.unwrap_or_else(|| panic!("{} has no video of a known codec", path.display()));
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

/// Decodes all packets: frames in order, and errors. Every packet must be accounted for.
pub(crate) fn decode(session: &mut DecodeSession, packets: &[Packet]) -> (Vec<Frame>, Vec<Error>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    let mut note = |outcome: Result<Option<Frame>, Error>| match outcome {
        Ok(frame) => frames.extend(frame),
        Err(error) => errors.push(error),
    };
    'packets: for mut packet in packets.iter().cloned() {
        loop {
            match session.submit(packet) {
                Ok(Submit::Accepted) => break,
                Ok(Submit::Full(back)) => packet = back,
                // The session has ended: its output tells why.
                Err(_) => break 'packets,
            }
            note(session.reap_timeout(Duration::from_millis(50)));
        }
    }
    let ended = match session.drain() {
        Ok(rest) => {
            rest.for_each(|outcome| note(outcome.map(Some)));
            false
        }
        Err(_) => true,
    };
    while ended && let Some(outcome) = session.try_reap().transpose() {
        note(outcome.map(Some));
    }
    let ledger = session.summary().ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(ledger.unexpected, 0, "{ledger:?}");
    (frames, errors)
}

/// The planes apart and packed: semi-planar chroma taken apart.
pub(crate) fn planar(frame: &Frame) -> Vec<u8> {
    let packed = frame.as_host().unwrap().to_packed();
    assert!(matches!(frame.format, PixelFormat::Nv12 | PixelFormat::I444), "{}", frame.format);
    if frame.format == PixelFormat::I444 {
        return packed;
    }
    let luma = frame.dimensions.width() as usize * frame.dimensions.height() as usize;
    let (y, uv) = packed.split_at(luma);
    let plane = |first: usize| uv.iter().skip(first).step_by(2).copied();
    y.iter().copied().chain(plane(0)).chain(plane(1)).collect()
}
