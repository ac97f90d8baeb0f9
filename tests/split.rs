//! One stream on several decoders gives what one decoder gives: the same frames, times and order.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a failure here is a failed run")]

#[path = "streams_common/mod.rs"]
mod streams_common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use streams_common::{asset, frame_md5, have, run};
use video_hw::backend::{BackendKind, SplitReport};
use video_hw::config::{CommonDecodeConfig, DecodeOutputMode, Engines};
use video_hw::pipeline::{FrameSource, SourceOptions};
use video_hw::session::{DecodeSession, Submit};

/// What the test looks at of a frame.
type Seen = (String, bool, String);

fn decode(path: &Path, options: &SourceOptions) -> (Vec<Seen>, Option<SplitReport>) {
    let mut source = FrameSource::open(path, options).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let metadata = options.output == DecodeOutputMode::MetadataOnly;
    let mut seen = Vec::new();
    while let Some(frame) = source.next_frame().unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
        let sum = if metadata { String::new() } else { frame_md5(&frame) };
        seen.push((frame.pts.to_string(), frame.keyframe, sum));
    }
    let decode = source.summary().decode.unwrap();
    assert!(decode.ledger.balances(), "{}: {:?}", path.display(), decode.ledger);
    assert_eq!((decode.ledger.failed, decode.ledger.unexpected), (0, 0), "{}", path.display());
    (seen, decode.receipt.split)
}

fn options(engines: usize) -> SourceOptions {
    let engines = match engines {
        1 => Engines::One,
        n => Engines::Count(NonZeroUsize::new(n).unwrap()),
    };
    SourceOptions { backend: BackendKind::Software.into(), engines, ..SourceOptions::default() }
}

/// Decodes with one decoder and with several; returns the report of the last.
fn compare(path: &Path) -> SplitReport {
    let (one, none) = decode(path, &options(1));
    assert!(none.is_none() && !one.is_empty());
    let mut last = None;
    for engines in [2, 5] {
        let (several, report) = decode(path, &options(engines));
        assert_eq!(one.len(), several.len(), "{}: {engines} decoders", path.display());
        for (index, (a, b)) in one.iter().zip(&several).enumerate() {
            assert_eq!(a, b, "{}: frame {index} with {engines} decoders", path.display());
        }
        last = report;
    }
    last.unwrap()
}

fn make(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let input = ["-f", "lavfi", "-i", "testsrc2=size=192x112:rate=30:duration=7"];
    run("ffmpeg", &[&input[..], arguments, &["-y", path.to_str().unwrap()]].concat());
    path
}

const OPEN_GROUPS: [&str; 4] = [
    "-c:v",
    "libx265",
    "-x265-params",
    "log-level=none:keyint=40:min-keyint=40:open-gop=1:bframes=4:scenecut=0",
];

#[test]
fn open_groups_of_pictures() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["open.h265", "open.mp4"] {
        let path = make(folder.path(), name, &OPEN_GROUPS);
        let report = compare(&path);
        assert_eq!(report.parts, 6, "{report:?}");
        assert!(report.opened > 1, "{report:?}");
    }
    // Parameter sets come once only: later parts need those of the first.
    let once =
        [&OPEN_GROUPS[..3], &["log-level=none:keyint=40:open-gop=1:bframes=4:scenecut=0:repeat-headers=0"]];
    compare(&make(folder.path(), "once.mp4", &once.concat()));
}

#[test]
fn closed_groups_of_pictures() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "40", "-bf", "3", "-sc_threshold", "0"];
    for name in ["closed.h264", "closed.mp4"] {
        assert_eq!(compare(&make(folder.path(), name, &h264)).parts, 6);
    }
    let vp9 =
        ["-c:v", "libvpx-vp9", "-g", "40", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "1"];
    assert_eq!(compare(&make(folder.path(), "vp9.ivf", &vp9)).parts, 6);
    let vp8 = ["-c:v", "libvpx", "-g", "40", "-deadline", "realtime", "-auto-alt-ref", "1"];
    assert!(compare(&make(folder.path(), "vp8.ivf", &vp8)).parts > 1);
    // Every picture is a start: they are taken together.
    let intra = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "1"];
    let parts = compare(&make(folder.path(), "intra.h264", &intra)).parts;
    assert!((2..=7).contains(&parts), "{parts}");
}

#[test]
fn a_stream_that_cannot_be_split_says_so() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let endless = ["-c:v", "libx264", "-preset", "veryfast", "-g", "1000", "-bf", "2"];
    let report = compare(&make(folder.path(), "endless.h264", &endless));
    assert_eq!((report.parts, report.opened), (1, 1));
    assert!(report.note.as_deref().is_some_and(|note| note.contains("one place only")), "{report:?}");
}

#[test]
fn a_small_window_changes_nothing_but_the_memory() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), "open.h265", &OPEN_GROUPS);
    let frame = 192 * 112 * 3 / 2;
    let (one, _) = decode(&path, &options(1));
    let small = SourceOptions { reorder_window: Some(3 * frame), ..options(6) };
    let (several, report) = decode(&path, &small);
    assert_eq!(one, several);
    let peak = report.unwrap().peak_window_bytes;
    assert!(peak < 9 * frame, "{peak} bytes, {} frames", peak / frame);

    let metadata = SourceOptions { output: DecodeOutputMode::MetadataOnly, ..options(6) };
    assert_eq!(decode(&path, &metadata).0.len(), one.len());
}

#[test]
fn shared_clips() {
    let names = [
        "cros-codecs/test-25fps.h264",
        "cros-codecs/test-25fps-interlaced.h264",
        "cros-codecs/test-25fps.h265",
        "cros-codecs/bear.h265",
        "cros-codecs/bbb.h265",
        "cros-codecs/test-25fps.vp8",
        "cros-codecs/test-25fps.vp9",
        "cros-codecs/test-25fps.ivf.av1",
        "cros-codecs/resolution_change_500frames-vp9.ivf",
        "jvt/MR2_MW_A.264",
        "jvt/BA1_FT_C.264",
    ];
    for path in names.into_iter().filter_map(asset) {
        compare(&path);
    }
}

#[test]
fn the_clips_of_the_project() {
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
    for name in ["bars.mp4", "small.h264", "small.h265", "small-10bit.h265", "small-vp9.ivf", "small-av1.ivf"]
    {
        compare(&clips.join(name));
    }
}

/// The session is usable after a flush, and goes without waiting while its decoders are full of work.
#[test]
fn flushing_and_leaving_in_the_middle() {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/small.h264");
    let mut demuxer = match video_hw::container::open_input(&clip).unwrap() {
        video_hw::container::Input::Demuxer(demuxer) => demuxer,
        video_hw::container::Input::Frames(_) => panic!("coded"),
    };
    let track = demuxer.tracks()[0].clone();
    let video = track.video.unwrap();
    let mut packets = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        packets.push(video_hw::packet::Packet {
            keyframe: sample.keyframe,
            ..video_hw::packet::Packet::new(video.codec, video.layout, sample.data)
        });
    }
    let config = CommonDecodeConfig {
        engines: Engines::Count(NonZeroUsize::new(3).unwrap()),
        ..CommonDecodeConfig::new(video.codec)
    };
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    for round in 1..=3_u64 {
        for packet in &packets {
            let mut packet = packet.clone();
            while let Submit::Full(back) = session.submit(packet).unwrap() {
                packet = back;
                let _ = session.reap_timeout(std::time::Duration::from_millis(5)).unwrap();
            }
        }
        let rest = session.drain().unwrap().map(Result::unwrap).count();
        assert!(rest > 0);
        assert_eq!(session.summary().ledger.delivered, round * packets.len() as u64);
    }
    for packet in packets.iter().take(20) {
        let _ = session.submit(packet.clone()).unwrap();
    }
    drop(session);
}
