//! Cameras recorded side by side, as the example does it: the files have the times that were given, by ffprobe's word.

#[path = "../../examples/dataset_cameras/camera.rs"]
mod camera;

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

use video_hw::codec::Codec;
use video_hw::dataset::{EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};

use crate::support::nvidia::clean_on;

const CAMERAS: usize = 3;
const FRAMES: usize = 40;

/// What ffprobe says of each picture that it decodes: its time in microseconds.
fn probed(path: &Path) -> Vec<i64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=time_base:frame=pts", "-of", "compact=p=0:nk=1"])
        .arg(path)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> =
        text.lines().map(|line| line.trim_end_matches('|')).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.pop(), Some("1/1000000"), "microseconds as they are");
    lines.into_iter().map(|pts| pts.parse().unwrap()).collect()
}

/// Records all cameras at once with this encoder and asks ffprobe.
fn cameras_keep_their_times(encoder: EncoderType, codec: Codec, slots_at_most: u64) {
    if !crate::support::nvenc::have_ffmpeg() {
        return;
    }
    let size = Dimensions::new(640, 480).unwrap();
    let config = EncoderConfig::new(codec, PixelFormat::Rgb24, size);
    let gpu = GpuEncoderConfig::default().preferred_encoder(encoder).strict(true);
    let directory = tempfile::tempdir().unwrap();
    let begin = Barrier::new(CAMERAS);
    std::thread::scope(|scope| {
        for number in 0..CAMERAS {
            let (config, gpu, begin) = (&config, &gpu, &begin);
            let path = directory.path().join(format!("camera-{number}.mp4"));
            scope.spawn(move || {
                let (pictures, times) = (camera::pictures(number, size), camera::times(number, FRAMES));
                let recorded = camera::record(&path, config, gpu, &pictures, &times, begin).unwrap();
                assert_eq!((recorded.encoder, recorded.frames), (encoder, FRAMES));
                assert_eq!(recorded.raw_bytes, (FRAMES * 640 * 480 * 3) as u64);
                assert!(recorded.coded_bytes > 0 && !recorded.took.is_zero());
                // A ring's memory is used again: no more pictures than it holds, and those in hand.
                let ring = recorded.ring.unwrap();
                assert!(ring.slots_made <= slots_at_most, "{ring:?}");
                assert_eq!(probed(&path), times, "camera {number}");
            });
        }
    });
}

#[test]
fn files_of_the_card_have_the_cameras_times() {
    clean_on("ada", "files_of_the_card_have_the_cameras_times", "", || {
        cameras_keep_their_times(EncoderType::Nvenc, Codec::H264, 34);
    });
}

#[test]
fn hevc_files_of_the_card_have_the_cameras_times() {
    clean_on("ada", "hevc_files_of_the_card_have_the_cameras_times", "", || {
        cameras_keep_their_times(EncoderType::Nvenc, Codec::Hevc, 34);
    });
}

#[test]
fn files_of_the_embedded_encoder_have_the_cameras_times() {
    cameras_keep_their_times(EncoderType::Embedded, Codec::H264, 34);
}

/// The clock of the camera is set back by an hour half-way: every picture is in the file, and the intervals are those of the clock.
#[test]
fn a_clock_that_is_set_back_loses_no_picture() {
    if !crate::support::nvenc::have_ffmpeg() {
        return;
    }
    let size = Dimensions::new(320, 240).unwrap();
    let config = EncoderConfig::new(Codec::H264, PixelFormat::Rgb24, size);
    let gpu = GpuEncoderConfig::default().preferred_encoder(EncoderType::Embedded).strict(true);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("camera.mp4");
    let (pictures, even) = (camera::pictures(0, size), camera::times(0, FRAMES));
    let times = camera::stepped_back(even);
    let recorded = camera::record(&path, &config, &gpu, &pictures, &times, &Barrier::new(1)).unwrap();
    assert_eq!(recorded.corrected, FRAMES as u64 / 2);
    let found = probed(&path);
    assert_eq!((found.len(), &found[..FRAMES / 2]), (FRAMES, &times[..FRAMES / 2]));
    assert_eq!(found[FRAMES / 2], found[FRAMES / 2 - 1] + 1, "one tick behind the picture before");
    let moved = found[FRAMES / 2] - times[FRAMES / 2];
    assert!(found.iter().zip(&times).skip(FRAMES / 2).all(|(found, given)| found - given == moved));
}

/// Uneven for certain: else the tests above would say little.
#[test]
fn times_are_uneven_and_each_cameras_own() {
    let all: Vec<_> = (0..CAMERAS).map(|number| camera::times(number, FRAMES)).collect();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    for times in &all {
        let mut intervals: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        intervals.sort_unstable();
        intervals.dedup();
        assert!(intervals.len() > FRAMES / 2 && intervals[0] > 0, "{intervals:?}");
    }
}

/// A source that writes where it is told to gives the same chunks, with a ring and without, and needs no memory of its own.
#[test]
fn pictures_written_in_place_are_the_same() {
    let size = Dimensions::new(320, 240).unwrap();
    let config = EncoderConfig::new(Codec::H264, PixelFormat::Rgb24, size);
    let (pictures, times) = (camera::pictures(1, size), camera::times(1, 50));
    let run = |ring: bool, in_place: bool| {
        let gpu = GpuEncoderConfig::default()
            .preferred_encoder(EncoderType::Embedded)
            .strict(true)
            .enable_ring_buffer(ring)
            .ring_buffer_size(4);
        let mut encoder = SessionVideoEncoder::open(&config, &gpu).unwrap();
        let mut chunks = Vec::new();
        for (picture, at) in pictures.iter().cycle().zip(&times) {
            let pts = Timestamp::new(*at, TimeBase::new(1, 1_000_000).unwrap());
            chunks.extend(if in_place {
                encoder.encode_with(pts, |memory| memory.copy_from_slice(picture)).unwrap()
            } else {
                encoder.encode_frame_at(picture, pts).unwrap()
            });
        }
        chunks.extend(encoder.flush().unwrap());
        let stats = encoder.summary().unwrap().ring;
        assert!(
            stats.is_none_or(|ring| (2..=6).contains(&ring.slots_made) && ring.pushed == 50),
            "{stats:?}"
        );
        chunks.into_iter().map(|chunk| (chunk.pts, chunk.data)).collect::<Vec<_>>()
    };
    let expected = run(false, false);
    assert_eq!(expected.len(), 50);
    for (ring, in_place) in [(false, true), (true, false), (true, true)] {
        assert!(run(ring, in_place) == expected, "ring {ring}, in place {in_place}");
    }
}
