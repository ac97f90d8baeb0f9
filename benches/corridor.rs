//! What the corridor costs: sessions against the bare codec library, and a transcode against its slower half.
//!
//! Prints ratios measured in one run, interleaved, so that a noisy machine disturbs both sides alike:
//!
//! ```console
//! $ cargo bench --bench corridor -- [CLIP.h264|CLIP.h265|CLIP.mp4 ...] [--rounds 5]
//! ```
//!
//! Without a clip it uses the small ones of the repository, where start-up weighs more than on real input.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a failure here is a failed run")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use video_hw::bitstream::AccessUnitAssembler;
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, CommonEncodeConfig, RateControl};
use video_hw::container::{Input, TrackKind, open_input};
use video_hw::frame::Frame;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::{DecodeSession, EncodeSession};
use video_hw::time::Rational;

const BITRATE: u32 = 8_000_000;

fn main() {
    let mut clips: Vec<PathBuf> = Vec::new();
    let mut rounds = 5;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().and_then(|n| n.parse().ok()).unwrap_or(rounds),
            "--bench" => {}
            _ => clips.push(arg.into()),
        }
    }
    if clips.is_empty() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
        clips = ["small.h264", "small.h265", "bars.mp4"].map(|c| here.join(c)).into();
    }
    for clip in clips {
        if clip.extension().is_some_and(|e| e == "mp4") {
            transcode_against_halves(&clip, rounds);
        } else {
            sessions_against_bare_library(&clip, rounds);
        }
    }
}

fn units(clip: &Path) -> (Codec, Vec<Vec<u8>>) {
    let codec = if clip.extension().is_some_and(|e| e == "h265") { Codec::Hevc } else { Codec::H264 };
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    assembler.push(&std::fs::read(clip).unwrap()).unwrap();
    assembler.finish();
    (codec, std::iter::from_fn(|| assembler.next_unit()).map(|u| u.data.to_vec()).collect())
}

fn timed(work: impl FnOnce() -> u64) -> (Duration, u64) {
    let start = Instant::now();
    let frames = work();
    (start.elapsed(), frames)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn sessions_against_bare_library(clip: &Path, rounds: usize) {
    let (codec, units) = units(clip);
    let (mut bare, mut session, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    let mut frames = (0, 0);
    for _ in 0..rounds {
        let (a, n) = timed(|| decode_bare(codec, &units));
        let (b, m) = timed(|| decode_through_session(codec, &units));
        frames = (n, m);
        bare.push(n as f64 / a.as_secs_f64());
        session.push(m as f64 / b.as_secs_f64());
        ratio.push(a.as_secs_f64() / b.as_secs_f64());
    }
    assert_eq!(frames.0, frames.1);
    println!(
        "{}: {} frames; bare library {:.1} fps, through a session {:.1} fps, session/bare {:.3} (median of {rounds})",
        clip.display(),
        frames.0,
        median(bare),
        median(session),
        median(ratio)
    );
}

/// The codec library as its own documentation shows it, pictures dropped as they come.
fn decode_bare(codec: Codec, units: &[Vec<u8>]) -> u64 {
    let mut frames = 0;
    if codec == Codec::H264 {
        let mut decoder = rusty_h264_decoder::Decoder::new();
        for unit in units {
            frames += u64::from(black_box(decoder.decode(unit)).is_ok_and(|f| f.is_some()));
        }
    } else {
        let mut decoder = rusty_h265::Decoder::new();
        for unit in units {
            decoder.push_annexb(unit, None).unwrap();
            while black_box(decoder.next_frame()).is_ok() {
                frames += 1;
            }
        }
        decoder.flush();
        while black_box(decoder.next_frame()).is_ok() {
            frames += 1;
        }
    }
    frames
}

fn decode_through_session(codec: Codec, units: &[Vec<u8>]) -> u64 {
    let session =
        DecodeSession::new(video_hw::backend::Backend::Auto, CommonDecodeConfig::new(codec)).unwrap();
    let (mut input, mut output) = session.split();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for unit in units {
                input.submit_blocking(Packet::new(codec, BitstreamLayout::AnnexB, unit.clone())).unwrap();
            }
            input.flush().unwrap();
        });
        let mut frames = 0;
        while let Some(frame) = output.reap().unwrap() {
            black_box(frame);
            frames += 1;
        }
        frames
    })
}

fn transcode_against_halves(clip: &Path, rounds: usize) {
    let first: Frame = video_hw::frames(clip).open().unwrap().next().unwrap().unwrap();
    let Input::Demuxer(demuxer) = open_input(clip).unwrap() else { panic!("no container") };
    let track = demuxer.tracks().iter().find(|t| t.kind == TrackKind::Video).unwrap();
    let rate = track.video.as_ref().and_then(|v| v.frame_rate).or(Rational::new(25, 1)).unwrap();
    let config = CommonEncodeConfig::new(Codec::H264, first.dimensions, rate)
        .rate_control(RateControl::Vbr { avg_bps: BITRATE, max_bps: None });
    // Frames for the encoder alone: a few seconds, held in memory and shared, not copied.
    let held: Vec<Frame> = video_hw::frames(clip).open().unwrap().map(|f| f.unwrap()).take(120).collect();
    let out = std::env::temp_dir().join(format!("video-hw-bench-{}.mp4", std::process::id()));

    let (mut ratios, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (d, decoded) = timed(|| video_hw::frames(clip).open().unwrap().flatten().count() as u64);
        let (e, encoded) = timed(|| encode_alone(&config, &held));
        let (t, both) = timed(|| {
            let job = video_hw::transcode(clip, &out).bitrate(BITRATE).overwrite(true);
            job.run().unwrap().video_samples
        });
        let fps = |n: u64, t: Duration| n as f64 / t.as_secs_f64();
        let (d, e, t) = (fps(decoded, d), fps(encoded, e), fps(both, t));
        ratios.push(t / d.min(e));
        lines.push((t, d, e));
    }
    let _ = std::fs::remove_file(&out);
    let column = |f: fn(&(f64, f64, f64)) -> f64| median(lines.iter().map(f).collect());
    println!(
        "{}: decode alone {:.1} fps, encode alone {:.1} fps, transcode {:.1} fps, transcode/slower half {:.3} (median of {rounds})",
        clip.display(),
        column(|l| l.1),
        column(|l| l.2),
        column(|l| l.0),
        median(ratios)
    );
}

fn encode_alone(config: &CommonEncodeConfig, frames: &[Frame]) -> u64 {
    let session = EncodeSession::new(video_hw::backend::Backend::Auto, config.clone()).unwrap();
    let (mut input, mut output) = session.split();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for frame in frames {
                input.submit_blocking(frame.clone()).unwrap();
            }
            input.flush().unwrap();
        });
        let mut packets = 0;
        while let Some(packet) = output.reap().unwrap() {
            black_box(packet);
            packets += 1;
        }
        packets
    })
}
