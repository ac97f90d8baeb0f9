//! Decoders that outlive their session.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use md5::{Digest, Md5};
use video_hw::backend::{BackendKind, IdleReport, Retired, idle_report, keep_idle, release_idle};
use video_hw::config::Engines;

use crate::support::nvidia::{clip, fault, golden, planar, simulated};

fn decoded(path: &Path, frames: usize) -> Vec<String> {
    let source = video_hw::frames(path).backend(BackendKind::Nvidia).engines(Engines::One).open().unwrap();
    let md5 = |frame: &video_hw::Frame| {
        Md5::digest(planar(frame)).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    source.take(frames).map(|frame| md5(&frame.unwrap())).collect()
}

/// Every decoder is in use, idle or retired.
fn balances(report: &IdleReport, in_use: u64) -> bool {
    report.made == in_use + report.idle as u64 + report.retired.values().sum::<u64>()
}

/// Small clips of many sizes, by ffmpeg.
fn clips(folder: &Path) -> Vec<PathBuf> {
    let sizes = [(160, 96), (320, 180), (176, 288), (642, 362), (98, 66), (320, 240), (240, 426), (500, 500)];
    sizes
        .iter()
        .enumerate()
        .map(|(number, (width, height))| {
            let path = folder.join(format!("{number}.mp4"));
            let made = Command::new("ffmpeg")
                .args(["-v", "error", "-f", "lavfi", "-i"])
                .arg(format!("testsrc2=size={width}x{height}:rate=30:duration=0.3"))
                .args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p"])
                .arg(&path)
                .status();
            assert!(made.unwrap().success());
            path
        })
        .collect()
}

#[test]
fn files_of_many_sizes_share_decoders() {
    let run = simulated("files_of_many_sizes_share_decoders", "", || {
        let folder = tempfile::tempdir().unwrap();
        let clips = clips(folder.path());
        keep_idle(Duration::ZERO);
        let fresh: Vec<_> = clips.iter().map(|clip| decoded(clip, usize::MAX)).collect();
        let before = idle_report();
        assert_eq!((before.reused, before.idle), (0, 0));
        assert!(balances(&before, 0), "{before:?}");

        keep_idle(Duration::from_secs(60));
        for round in 0..4 {
            for (number, clip) in clips.iter().enumerate() {
                // A reader that leaves in the middle of a stream leaves pictures in the decoder.
                let most = if round == 1 { 1 + number % 3 } else { usize::MAX };
                let frames = decoded(clip, most);
                assert_eq!(frames[..], fresh[number][..frames.len().min(most)], "{number}");
            }
        }
        let after = idle_report();
        // One up to 640x480 and one up to 1280x720.
        assert_eq!(after.made - before.made, 2, "{after:?}");
        assert_eq!(after.reused, 4 * clips.len() as u64 - 2);
        assert!(balances(&after, 0), "{after:?}");
        release_idle();
        assert!(balances(&idle_report(), 0));
        assert_eq!(idle_report().idle, 0);
    });
    if let Some(run) = run {
        run.assert_clean();
        assert_eq!(run.calls("cuvidCreateDecoder"), run.calls("cuvidDestroyDecoder"));
        assert_eq!(run.calls("cuDevicePrimaryCtxRetain"), 9, "one per file, and one for all that follow");
    }
}

#[test]
fn kept_decoders_are_exact_for_every_codec_and_depth() {
    let run = simulated("kept_decoders_are_exact_for_every_codec_and_depth", "", || {
        for _ in 0..3 {
            for name in [
                "bars.mp4",
                "small.h264",
                "interlaced.h264",
                "small.h265",
                "small-10bit.h265",
                "small-vp9.ivf",
            ] {
                let mut hash = Md5::new();
                let mut frames = 0;
                for frame in video_hw::frames(clip(name)).backend(BackendKind::Nvidia).open().unwrap() {
                    hash.update(planar(&frame.unwrap()));
                    frames += 1;
                }
                let md5: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!((frames, md5), golden(name), "{name}");
            }
        }
        assert!(idle_report().reused >= 10, "{:?}", idle_report());
    });
    run.iter().for_each(crate::support::nvidia::Run::assert_clean);
}

#[test]
fn idle_decoders_and_their_context_go_in_time() {
    let run = simulated("idle_decoders_and_their_context_go_in_time", "", || {
        keep_idle(Duration::from_millis(100));
        decoded(&clip("small.h264"), usize::MAX);
        let began = std::time::Instant::now();
        while idle_report().retired != BTreeMap::from([(Retired::Idle, 1)]) {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", idle_report());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    run.iter().for_each(crate::support::nvidia::Run::assert_clean);
}

#[test]
fn a_decoder_that_failed_is_not_kept() {
    for call in ["cuvidMapVideoFrame64", "cuvidDecodePicture"] {
        let test = "a_decoder_that_failed_is_not_kept";
        let run = crate::support::nvidia::simulated_case(test, &fault(call, 3, "code=999"), call, |_| {
            let source = video_hw::frames(clip("small.h264"))
                .backend(BackendKind::Nvidia)
                .engines(Engines::One)
                .open();
            let failed = source.unwrap().any(|frame| frame.is_err());
            let report = idle_report();
            assert!(
                failed && report.idle == 0 && report.retired.get(&Retired::Failed) == Some(&1),
                "{report:?}"
            );
            assert!(balances(&report, 0), "{report:?}");
            assert_eq!(decoded(&clip("small.h264"), usize::MAX).len(), golden("small.h264").0);
        });
        if run.is_none() || crate::support::nvidia::is_child() {
            return;
        }
    }
}

#[test]
fn readers_on_many_threads_share_decoders() {
    let run = simulated("readers_on_many_threads_share_decoders", "", || {
        let threads = NonZeroUsize::new(4).unwrap().get();
        let expected = decoded(&clip("small.h264"), usize::MAX);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(decoded(&clip("small.h264"), usize::MAX), expected);
                    }
                });
            }
        });
        let report = idle_report();
        assert!(report.made <= threads as u64 && report.reused >= 37, "{report:?}");
        assert!(balances(&report, 0), "{report:?}");
    });
    run.iter().for_each(crate::support::nvidia::Run::assert_clean);
}
