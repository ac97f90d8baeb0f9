//! The library on the simulated driver (`sims/nvidia/`): each test body runs in a process of its own, with the driver's
//! libraries found by `LD_LIBRARY_PATH` as on any machine; and what the simulation reports of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use video_hw::config::CommonDecodeConfig;
use video_hw::container::{Input, TrackKind, open_input};
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, DecodeSummary, Submit};

/// A clip of the project, or the file of that absolute path.
pub(crate) fn clip(name: impl AsRef<Path>) -> PathBuf {
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
        say(&format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display()));
        return None;
    }
    let names = deps.join("nvsim-names");
    std::fs::create_dir_all(&names).unwrap();
    for name in ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"] {
        let aside = names.join(format!("{name}.{}", std::process::id()));
        #[cfg(unix)]
        std::os::unix::fs::symlink(&library, &aside).unwrap();
        std::fs::rename(&aside, names.join(name)).unwrap();
    }
    Some(names)
}

/// Past the test runner, which keeps what tests print that pass.
fn say(words: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}

/// What a process on the simulation did.
pub(crate) struct Run {
    /// What it printed.
    pub(crate) output: Output,
    /// What the simulation wrote; nothing when the driver was never called.
    pub(crate) report: String,
    /// It said that it left something out.
    skipped: bool,
}

impl Run {
    /// How often a function of the driver was called.
    pub(crate) fn calls(&self, function: &str) -> u64 {
        let Some((_, rest)) = self.report.split_once(&format!("\"{function}\": ")) else { return 0 };
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    /// Pictures that each decode engine was given, by card; only while time is modelled.
    pub(crate) fn engines(&self) -> Vec<Vec<u64>> {
        let (_, rest) = self.report.split_once("\"nvdec\": {").unwrap();
        let (_, rest) = rest.split_once("\"engines\": [").unwrap();
        let (engines, _) = rest.split_once("\"parser\"").unwrap();
        let pictures = |card: &str| {
            let engines = card.split("\"pictures\": ").skip(1);
            let count =
                |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            engines.map(count).collect()
        };
        engines.split('[').skip(1).map(pictures).collect()
    }

    /// No rule of the driver was broken and nothing was left behind.
    pub(crate) fn assert_clean(&self) {
        for list in ["violations", "leaks", "internal_errors"] {
            assert!(self.report.contains(&format!("\"{list}\": []")), "{list}: {}", self.report);
        }
    }
}

/// Runs `body` in a process of its own with these settings of the simulation. None: the simulation is not built, or the
/// body left everything out, which has been said.
#[track_caller]
pub(crate) fn simulated(test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    simulated_case(test, settings, "", |_| body())
}

/// As [`simulated`], for tests that do so several times: the body is told which case it is, by `case` alone. The process
/// runs the test from its beginning, and what it finds there first is its body.
#[track_caller]
pub(crate) fn simulated_case(test: &str, settings: &str, case: &str, body: impl FnOnce(&str)) -> Option<Run> {
    run_on("h200", test, settings, case, body)
}

/// As [`simulated_case`], on another chip of the simulation's.
#[track_caller]
pub(crate) fn simulated_case_on(
    chip: &str,
    test: &str,
    settings: &str,
    case: &str,
    body: impl FnOnce(&str),
) -> Option<Run> {
    run_on(chip, test, settings, case, body)
}

/// As [`simulated`], on another chip of the simulation's.
#[track_caller]
pub(crate) fn simulated_on(chip: &str, test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    run_on(chip, test, settings, "", |_| body())
}

const MARK: &str = "VIDEO_HW_SIMULATED";

/// Whether this is the process of a case: what calls for several at once must call for one there.
pub(crate) fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

#[track_caller]
fn run_on(chip: &str, test: &str, settings: &str, case: &str, body: impl FnOnce(&str)) -> Option<Run> {
    const CASE: &str = "VIDEO_HW_SIMULATED_CASE";
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body(&std::env::var(CASE).unwrap_or_default());
        std::process::exit(0);
    }
    let names = driver()?;
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &full_name(test), "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env(CASE, case)
        .env("LD_LIBRARY_PATH", names)
        .env("NVSIM_PROFILE", chip)
        .env("NVSIM_SET", settings)
        .env("NVSIM_REPORT", &report)
        // Encode sessions are counted there: other tests are none of this one's business.
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{settings} {case}: {}: {said}", output.status);
    let mut skipped = false;
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        say(&format!("{line}\n"));
        skipped = true;
    }
    let report = std::fs::read_to_string(&report).unwrap_or_default();
    let run = Run { output, report, skipped };
    // A test that skips everything never opens the driver.
    (!(run.report.is_empty() && run.skipped)).then_some(run)
}

/// The name of a test of the file that calls, as the test runner knows it.
#[track_caller]
fn full_name(test: &str) -> String {
    let file = Path::new(std::panic::Location::caller().file());
    format!("{}::{test}", file.file_stem().unwrap().to_str().unwrap())
}

/// As [`simulated`], and no rule of the driver was broken and nothing was left behind.
#[track_caller]
pub(crate) fn clean(test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    simulated(test, settings, body).inspect(Run::assert_clean)
}

/// As [`clean`], on another chip of the simulation's.
#[track_caller]
pub(crate) fn clean_on(chip: &str, test: &str, settings: &str, body: impl FnOnce()) {
    if let Some(run) = simulated_on(chip, test, settings, body) {
        run.assert_clean();
    }
}

/// Threads of this process that belong to the library or the driver. The first thread has the name of the program.
fn own_threads() -> Vec<String> {
    let first = std::process::id().to_string();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let names = tasks
        .filter(|task| task.file_name().to_str() != Some(&first))
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let own = |name: &String| name.starts_with("vhw") || name.starts_with("nv");
    names.map(|name| name.trim().to_owned()).filter(own).collect()
}

/// Those that do not go: a thread that was joined may still be listed for a moment.
pub(crate) fn threads_left() -> Vec<String> {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let left = own_threads();
        if left.is_empty() || std::time::Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(1));
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

/// The packets of a clip (see [`clip`]), and what a session needs to know of them.
pub(crate) fn packets(name: impl AsRef<Path>) -> (CommonDecodeConfig, Vec<Packet>) {
    let path = clip(name);
    let Input::Demuxer(mut demuxer) = open_input(&path).unwrap() else {
        panic!("{} has no samples", path.display())
    };
    let track = demuxer.tracks().iter().find(|track| track.kind == TrackKind::Video).unwrap().clone();
    let video = track.video.unwrap_or_else(|| panic!("{} has no video of a known codec", path.display()));
    demuxer.select_tracks(&[track.id]);
    let packets = std::iter::from_fn(|| demuxer.next_packet().unwrap())
        .map(|sample| Packet {
            pts: sample.pts,
            dts: sample.dts,
            keyframe: sample.keyframe,
            ..Packet::new(video.codec, video.layout, sample.data)
        })
        .collect();
    (CommonDecodeConfig::new(video.codec).codec_config(video.codec_config), packets)
}

/// Decodes all packets and drains: every outcome goes to `take`, in order, up to the error that ends the session. Every
/// packet must be accounted for.
pub(crate) fn decode_into(
    session: &mut DecodeSession,
    packets: &[Packet],
    mut take: impl FnMut(Result<Frame, Error>),
) -> DecodeSummary {
    'packets: for mut packet in packets.iter().cloned() {
        loop {
            match session.submit(packet) {
                Ok(Submit::Accepted) => break,
                Ok(Submit::Full(back)) => packet = back,
                // The session has ended: its output tells why.
                Err(_) => break 'packets,
            }
            if let Some(outcome) = session.reap_timeout(Duration::from_millis(50)).transpose() {
                take(outcome);
            }
        }
    }
    let ended = match session.drain() {
        Ok(rest) => {
            rest.for_each(&mut take);
            false
        }
        Err(_) => true,
    };
    while ended && let Some(outcome) = session.try_reap().transpose() {
        let over = outcome.as_ref().is_err_and(|error| !error.is_recoverable());
        take(outcome);
        if over {
            break;
        }
    }
    let summary = session.summary();
    assert!(summary.ledger.balances(), "{:?}", summary.ledger);
    assert_eq!(summary.ledger.unexpected, 0, "{:?}", summary.ledger);
    summary
}

/// As [`decode_into`]: frames in order, and errors.
pub(crate) fn decode(session: &mut DecodeSession, packets: &[Packet]) -> (Vec<Frame>, Vec<Error>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    decode_into(session, packets, |outcome| match outcome {
        Ok(frame) => frames.push(frame),
        Err(error) => errors.push(error),
    });
    (frames, errors)
}
