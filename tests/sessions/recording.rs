//! Recordings by clocks that do what they like: every picture is in the file, and the times that were given are known.

use std::path::Path;
use std::process::Command;

use video_hw::codec::Codec;
use video_hw::container::{MuxOptions, OutputFormat, Track, TrackId, TrackKind, VideoTrack, create_muxer};
use video_hw::dataset::{
    EncodedChunk, EncoderConfig, EncoderType, GpuEncoderConfig, SessionVideoEncoder, VideoEncoder,
};
use video_hw::dimensions::Dimensions;
use video_hw::output_file::OutputFile;
use video_hw::packet::BitstreamLayout;
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};

use crate::support::failover::Random;
use crate::support::streams::have;

const SIDE: u32 = 64;

/// Times by a clock with faults, in ticks of a second's millionth.
fn clock(random: &mut Random, pictures: usize) -> Vec<i64> {
    let mut now = random.of(&[0, 1_700_000_000_000_000, -77, i64::MIN, i64::MAX, 1 << 33]);
    let mut times = Vec::new();
    for _ in 0..pictures {
        times.push(now);
        now = match random.below(12) {
            0 => now,
            1 => now.wrapping_sub(random.below(2_000_000) as i64),
            2 => now.wrapping_add(random.below(1 << 40) as i64),
            3 => random.of(&[i64::MIN, i64::MAX, 0, -1, 1 << 32, 1 << 33]),
            4 => now & 0xffff_ffff,
            _ => now.wrapping_add(random.within(1, 60_000) as i64),
        };
    }
    times
}

/// Records a picture for each time, in this unit; the chunks.
fn record(path: &Path, format: OutputFormat, by: EncoderType, unit: u32, times: &[i64]) -> Vec<EncodedChunk> {
    let size = Dimensions::new(SIDE, SIDE).unwrap();
    let config = EncoderConfig::new(Codec::H264, PixelFormat::I420, size).gop_size(10);
    let gpu = GpuEncoderConfig::default().preferred_encoder(by).strict(true);
    let mut encoder = SessionVideoEncoder::open(&config, &gpu).unwrap();
    let unit = TimeBase::new(1, unit).unwrap();
    let mut chunks = Vec::new();
    for (number, time) in times.iter().enumerate() {
        let picture = vec![(16 + number % 200) as u8; PixelFormat::I420.frame_bytes(size)];
        chunks.extend(encoder.encode_frame_at(&picture, Timestamp::new(*time, unit)).unwrap());
    }
    chunks.extend(encoder.flush().unwrap());
    let summary = encoder.summary().unwrap();
    let corrected = chunks.iter().filter(|chunk| chunk.given != chunk.pts).count();
    assert_eq!(summary.times.pictures, corrected as u64);
    assert_eq!(summary.stream.ledger.delivered, times.len() as u64);
    let mut written: Vec<_> = chunks.iter().map(|chunk| (chunk.pts, chunk.given)).collect();
    written.sort_unstable_by_key(|(pts, _)| *pts);
    assert!(written.iter().map(|(_, given)| given.ticks()).eq(times.iter().copied()));
    assert!(written.iter().all(|(pts, given)| summary.times.given(*pts) == Some(*given)));

    let file = OutputFile::create(path, true, &[]).unwrap();
    let mut muxer = create_muxer(format, &file, MuxOptions::default()).unwrap();
    let video = VideoTrack {
        frame_rate: Some(config.frame_rate),
        ..VideoTrack::new(Codec::H264, BitstreamLayout::AnnexB, size)
    };
    let track = muxer.add_track(&Track {
        id: TrackId(0),
        kind: TrackKind::Video,
        time_base: unit,
        codec_name: "h264".to_owned(),
        language: None,
        duration: None,
        sample_count: None,
        video: Some(video),
        copy: None,
    });
    let track = track.unwrap();
    for chunk in &chunks {
        muxer.write(&chunk.clone().into_packet().on(track)).unwrap();
    }
    assert_eq!(muxer.finish().unwrap().samples, times.len() as u64);
    drop(muxer);
    file.commit().unwrap();
    chunks
}

/// Times of the pictures that ffprobe decodes, in ticks of the file.
fn probed(path: &Path) -> Vec<i64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.trim_end_matches(','));
    lines.filter(|line| !line.is_empty()).map(|pts| pts.parse().unwrap()).collect()
}

fn assert_whole(format: OutputFormat, by: EncoderType, unit: u32, times: &[i64], what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let chunks = record(&path, format, by, unit, times);
    let mut written: Vec<_> = chunks.iter().map(|chunk| chunk.pts.ticks()).collect();
    written.sort_unstable();
    let found = probed(&path);
    assert_eq!(found.len(), times.len(), "{what}: pictures in the file, of {times:?}");
    // Matroska's ticks are longer than a correction.
    let strict = format == OutputFormat::Mp4;
    assert!(found.is_sorted_by(|a, b| a < b || !strict && a == b), "{what}: {found:?}");
    assert!(!strict || found == written, "{what}: {found:?} and {written:?}");
}

#[test]
fn every_picture_is_in_the_file_whatever_the_clock_does() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let steps_back: Vec<_> = (0..40).map(|n| 33_333 * n - 3_600_000_000 * i64::from(n > 20)).collect();
    let paused: Vec<_> = (0..40).map(|n| 33_333_333 * n + 3_000_000_000 * i64::from(n > 20)).collect();
    for format in [OutputFormat::Mp4, OutputFormat::Matroska] {
        for by in [EncoderType::Embedded, EncoderType::X264] {
            assert_whole(format, by, 1_000_000, &steps_back, "steps back");
            assert_whole(format, by, 1_000_000_000, &paused, "a pause in nanoseconds");
            for seed in 0..6 {
                let mut random = Random::new(seed);
                let (unit, times) = (random.of(&[1_000_000, 1_000_000_000, 90_000]), clock(&mut random, 40));
                assert_whole(format, by, unit, &times, &format!("{format}, {by}, seed {seed}"));
            }
        }
    }
}
