//! Transcodes one after the other in one process leave nothing behind: no thread, no file, no memory, nothing on the card.
//!
//! `VIDEO_HW_LONG=1` makes it a thousand instead of sixty.

use std::path::Path;
use std::time::{Duration, Instant};

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, FfmpegEncodeConfig};

use crate::support::failover::{assert_whole, children, film, have_ffmpeg, long, say};
use crate::support::nvidia::simulated_on;

const FRAMES: usize = 12;
/// KiB that each transcode may leave; a frame of these has 34. The short form has too few of them to be as exact: it finds the
/// frames of a whole transcode that stay.
const MOST_GROWTH: f64 = 8.0;
/// Series of transcodes before memory that grows in each is called a leak.
const SERIES: usize = 3;

/// What the process has.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: usize,
    files: usize,
    bytes: u64,
}

fn held() -> Held {
    let entries = |path| std::fs::read_dir(path).unwrap().count();
    let pages: u64 =
        std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    // The folder that is being read is a file as well, every time.
    Held { threads: entries("/proc/self/task"), files: entries("/proc/self/fd"), bytes: 4096 * pages }
}

/// What it has when nothing comes or goes any more.
fn at_rest() -> Held {
    let (deadline, mut since, mut last) = (Instant::now() + Duration::from_secs(10), Instant::now(), held());
    while since.elapsed() < Duration::from_millis(300) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
        let now = held();
        if (now.threads, now.files) != (last.threads, last.files) {
            (since, last) = (Instant::now(), now);
        }
    }
    last
}

/// Threads that nobody joins (those that read an input) end when they see that nobody listens.
fn settled(before: &Held) -> Held {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let now = held();
        if (now.threads <= before.threads && now.files <= before.files) || Instant::now() > deadline {
            return now;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Transcode number `n` on whichever encoder's turn it is.
fn transcode(directory: &Path, input: &Path, n: usize, ffmpeg: bool) -> BackendKind {
    let output = directory.join(["out.mp4", "out.h264"][n % 2]);
    let mut job = video_hw::transcode(input, &output).codec(Codec::H264).bitrate(500_000).overwrite(true);
    let kind = match n % 5 {
        // A process is started for each: fewer of these.
        4 if ffmpeg => BackendKind::Ffmpeg,
        0 | 2 => BackendKind::Software,
        _ => BackendKind::Nvidia,
    };
    if kind == BackendKind::Ffmpeg {
        let preset = Some("ultrafast".to_owned());
        let special = FfmpegEncodeConfig::default().preset(preset);
        job = job.backend_config(BackendEncodeConfig::Ffmpeg(special));
    }
    let report = job.decode_backend(BackendKind::Software).encode_backend(kind).run().unwrap();
    assert_whole(&report, FRAMES, &format!("transcode {n}"));
    assert_eq!(report.encode.receipt.chosen().unwrap().0, kind);
    kind
}

fn many() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, coded) = (directory.path().join("in.y4m"), directory.path().join("in.mp4"));
    film(&raw, FRAMES);
    video_hw::transcode(&raw, &coded).encode_backend(BackendKind::Software).run().unwrap();
    let ffmpeg = have_ffmpeg();
    let (warm, rounds) = if long() { (100, 1000) } else { (20, 60) };
    let began = Instant::now();
    // What is made once: tables, the allocator's arenas, what is known of the machine's programs.
    (0..warm)
        .for_each(|n| _ = transcode(directory.path(), if n % 3 == 0 { &raw } else { &coded }, n, ffmpeg));
    let before = at_rest();
    let bound = if long() { MOST_GROWTH } else { 25.0 * MOST_GROWTH };
    // On a busy machine the allocator may take another arena at any time. What is left behind is left in every series.
    let (mut grown, mut series) = (0.0, Vec::new());
    for at in 1..=SERIES {
        series = (0..rounds)
            .map(|n| {
                transcode(directory.path(), if n % 3 == 0 { &raw } else { &coded }, n, ffmpeg);
                held().bytes / 1024
            })
            .collect();
        // What the allocator keeps for later goes up and down by some MiB; what is held for good raises the lowest, too.
        let lowest = |part: &[u64]| part.iter().copied().min().unwrap();
        let (early, late) = (lowest(&series[..rounds / 4]), lowest(&series[rounds * 3 / 4..]));
        grown = (late as f64 - early as f64) / (rounds * 3 / 4) as f64;
        say(&format!(
            "series {at}, {rounds} transcodes: lowest memory {early} KiB early, {late} KiB late, {grown:.2} KiB each, {:.0} s\n",
            began.elapsed().as_secs_f64()
        ));
        if grown < bound {
            break;
        }
    }
    let after = settled(&before);
    assert!(after.threads <= before.threads && after.files <= before.files, "{before:?} {after:?}");
    assert_eq!(children(), Vec::<u32>::new(), "children are left");
    assert!(grown < bound, "memory grows by {grown:.1} KiB with each transcode: {series:?}");
}

#[test]
fn transcodes_leave_nothing_behind() {
    if let Some(run) = simulated_on("ada", "transcodes_leave_nothing_behind", "", many) {
        run.assert_clean();
        let said = String::from_utf8_lossy(&run.output.stderr);
        let line = said.lines().find(|line| line.contains("transcodes: ")).unwrap_or("nothing was said");
        say(line);
        // Sessions of NVENC that were really opened, each closed again.
        assert!(run.calls("nvEncOpenEncodeSessionEx") > 20, "{}", run.report);
        assert_eq!(run.calls("nvEncOpenEncodeSessionEx"), run.calls("nvEncDestroyEncoder"));
    }
}
