//! Whole jobs through the public API, on the clips of the repository. No foreign tool is needed here: what
//! ffmpeg and ffprobe think is asked by the tests of the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use video_hw::backend::Backend;
use video_hw::bitstream::AccessUnitAssembler;
use video_hw::codec::Codec;
use video_hw::config::{CommonDecodeConfig, Crop, DecodeOutputMode};
use video_hw::container::{Input, Track, TrackKind, open_input};
use video_hw::dimensions::Dimensions;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::pipeline::{CancelToken, Export, ExportTarget};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, Submit};
use video_hw::time::Timestamp;
use video_hw::transform::{self, ScaleFilter};

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

/// `(md5 of all frames, frame count, pixel format, file)` as ffmpeg decoded them.
fn goldens() -> Vec<(String, u64, String, String)> {
    let text = std::fs::read_to_string(clip("md5s.txt")).unwrap();
    let goldens: Vec<_> = text
        .lines()
        .map(|line| {
            let mut f = line.split(' ');
            let mut next = || f.next().unwrap().to_owned();
            (next(), next().parse().unwrap(), next(), next())
        })
        .collect();
    assert!(goldens.len() >= 9);
    goldens
}

#[test]
fn every_clip_decodes_to_its_checksum() {
    for (md5, count, format, name) in goldens() {
        let mut hash = Md5::new();
        let mut frames = 0;
        let mut last: Option<Timestamp> = None;
        for frame in video_hw::frames(clip(&name)).open().unwrap() {
            let frame = frame.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(frame.format.name(), format, "{name}");
            assert!(last.is_none_or(|t| t < frame.pts), "{name}: {} after {last:?}", frame.pts);
            last = Some(frame.pts);
            hash.update(frame.as_host().unwrap().to_packed());
            frames += 1;
        }
        let got: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!((frames, got), (count, md5), "{name}");
    }
}

#[test]
fn chunk_size_does_not_matter() {
    for (name, codec) in [("small.h264", Codec::H264), ("small.h265", Codec::Hevc)] {
        let bytes = std::fs::read(clip(name)).unwrap();
        for chunk in [1, 4096, 1 << 20] {
            let mut units = AccessUnitAssembler::new(codec).unwrap();
            let mut packets = Vec::new();
            for piece in bytes.chunks(chunk) {
                units.push(piece).unwrap();
                while let Some(unit) = units.next_unit() {
                    packets.push(Packet::new(codec, BitstreamLayout::AnnexB, unit.data));
                }
            }
            units.finish();
            packets.extend(
                std::iter::from_fn(|| units.next_unit())
                    .map(|u| Packet::new(codec, BitstreamLayout::AnnexB, u.data)),
            );
            let mut session = DecodeSession::new(Backend::Auto, CommonDecodeConfig::new(codec)).unwrap();
            let mut frames = 0;
            for mut packet in packets {
                while let Submit::Full(back) = session.submit(packet).unwrap() {
                    packet = back;
                    frames += u64::from(session.reap_timeout(Duration::from_millis(50)).unwrap().is_some());
                }
            }
            frames += session.drain().unwrap().map(Result::unwrap).count() as u64;
            let summary = session.summary();
            assert_eq!((frames, summary.ledger.delivered), (50, 50), "{name} in chunks of {chunk}");
            assert!(summary.ledger.balances());
        }
    }
}

fn samples(path: &Path) -> (Vec<Track>, Vec<Packet>) {
    let Input::Demuxer(mut demuxer) = open_input(path).unwrap() else {
        panic!("{} has no samples", path.display())
    };
    let tracks = demuxer.tracks().to_vec();
    let samples = std::iter::from_fn(|| demuxer.next_packet().unwrap()).collect();
    (tracks, samples)
}

fn times(samples: &[Packet], track: &Track) -> Vec<Timestamp> {
    let mut times: Vec<_> = samples.iter().filter(|s| s.track == track.id).map(|s| s.pts.unwrap()).collect();
    times.sort();
    times
}

fn of_kind(tracks: &[Track], kind: TrackKind) -> &Track {
    tracks.iter().find(|t| t.kind == kind).unwrap()
}

#[test]
fn a_transcode_keeps_every_time_and_every_byte_of_the_sound() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let mut told = 0;
    let report = video_hw::transcode(clip("bars.mp4"), &out)
        .bitrate(2_000_000)
        .on_progress(|p| {
            told += 1;
            assert!(p.frames <= 120);
        })
        .run()
        .unwrap();
    assert!(report.balances(), "{report:#?}");
    assert_eq!((report.video_samples, report.filter.frames_out), (120, 120));
    assert!(told > 0 && report.notes.is_empty(), "{:?}", report.notes);
    assert_eq!(report.bytes, std::fs::metadata(&out).unwrap().len());
    assert!(report.receipt().contains("software"), "{}", report.receipt());

    let (tracks_in, in_samples) = samples(&clip("bars.mp4"));
    let (tracks_out, out_samples) = samples(&out);
    let (vi, vo) = (of_kind(&tracks_in, TrackKind::Video), of_kind(&tracks_out, TrackKind::Video));
    assert_eq!(times(&in_samples, vi), times(&out_samples, vo));
    let (ai, ao) = (of_kind(&tracks_in, TrackKind::Audio), of_kind(&tracks_out, TrackKind::Audio));
    let sound = |samples: &[Packet], track: &Track| -> Vec<_> {
        let of_track = samples.iter().filter(|s| s.track == track.id);
        of_track.map(|s| (s.pts, s.dts, s.discard, s.data.clone())).collect()
    };
    let (before, after) = (sound(&in_samples, ai), sound(&out_samples, ao));
    assert!(before.len() > 100);
    assert_eq!(before, after);
    let (ci, co) = (vi.video.as_ref().unwrap(), vo.video.as_ref().unwrap());
    assert_eq!((ci.color, ci.dimensions), (co.color, co.dimensions));
    assert!(psnr_luma(&clip("bars.mp4"), &out) > 30.0);
}

fn psnr_luma(a: &Path, b: &Path) -> f64 {
    let (mut error, mut count) = (0u64, 0u64);
    let pairs = video_hw::frames(a).open().unwrap().zip(video_hw::frames(b).open().unwrap());
    for (x, y) in pairs {
        let (x, y) = (x.unwrap(), y.unwrap());
        let (x, y) = (x.as_host().unwrap(), y.as_host().unwrap());
        for (row, other) in x.plane(0).unwrap().iter_rows().zip(y.plane(0).unwrap().iter_rows()) {
            error += row.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
            count += row.len() as u64;
        }
    }
    10.0 * (255.0f64.powi(2) * count as f64 / error.max(1) as f64).log10()
}

#[test]
fn uneven_times_and_rotation_survive() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["vfr-rotated.mp4", "vfr-fragmented.mp4"] {
        let out = dir.path().join(name);
        let report = video_hw::transcode(clip(name), &out).run().unwrap();
        assert!(report.balances());
        let ((ti, si), (to, so)) = (samples(&clip(name)), samples(&out));
        assert_eq!(times(&si, &ti[0]), times(&so, &to[0]), "{name}");
        let gaps: std::collections::BTreeSet<_> =
            times(&so, &to[0]).windows(2).map(|w| w[1].ticks_since(w[0])).collect();
        assert!(gaps.len() > 1, "the clip is not variable");
        let (vi, vo) = (ti[0].video.as_ref().unwrap(), to[0].video.as_ref().unwrap());
        assert_eq!(vi.matrix, vo.matrix);
        assert_eq!(vo.rotation().is_some(), name.contains("rotated"), "{name}");
    }
}

#[test]
fn a_window_of_a_file_starts_at_zero_and_holds_what_was_asked() {
    let all: Vec<_> = video_hw::frames(clip("bars.mp4")).open().unwrap().map(|f| f.unwrap()).collect();
    let (start, length) = (Duration::from_millis(1500), Duration::from_secs(1));
    let part: Vec<_> = video_hw::frames(clip("bars.mp4"))
        .start(start)
        .duration(length)
        .open()
        .unwrap()
        .map(|f| f.unwrap())
        .collect();
    let wanted: Vec<_> =
        all.iter().filter(|f| f.pts.as_duration() >= start && f.pts.as_duration() < start + length).collect();
    assert_eq!(part.len(), wanted.len());
    assert!((29..=31).contains(&part.len()));
    for (got, want) in part.iter().zip(&wanted) {
        assert_eq!(got.as_host().unwrap().to_packed(), want.as_host().unwrap().to_packed());
        let shift = want.pts.as_duration().saturating_sub(got.pts.as_duration());
        assert!(shift.abs_diff(start) < Duration::from_millis(1), "{shift:?}");
    }
    assert!(part[0].pts.as_duration() < Duration::from_millis(34));
}

#[test]
fn cancelling_leaves_a_complete_file_and_errors_leave_none() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let token = CancelToken::default();
    let stop = token.clone();
    let report = video_hw::transcode(clip("bars.mp4"), &out)
        .cancel_token(token)
        .on_progress(move |p| {
            if p.frames > 0 {
                stop.cancel();
            }
        })
        .run()
        .unwrap();
    assert!(report.cancelled && report.balances(), "{report:#?}");
    let frames = video_hw::frames(&out).open().unwrap().flatten().count() as u64;
    assert_eq!(frames, report.video_samples);

    let error = video_hw::transcode(clip("bars.mp4"), &out).run().unwrap_err().to_string();
    assert!(error.contains("exists"), "{error}");
    let broken = dir.path().join("broken.mp4");
    let whole = std::fs::read(clip("bars.mp4")).unwrap();
    std::fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let never = dir.path().join("never.mp4");
    video_hw::transcode(&broken, &never).run().unwrap_err();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn rate_size_and_format_can_be_changed_and_the_books_balance() {
    let dir = tempfile::tempdir().unwrap();
    let half = dir.path().join("half.mp4");
    let report = video_hw::transcode(clip("bars.mp4"), &half)
        .frame_rate(video_hw::time::Rational::new(15, 1).unwrap())
        .size("320x180".parse().unwrap())
        .max_frames(30)
        .run()
        .unwrap();
    assert!(report.balances(), "{report:#?}");
    assert_eq!(report.video_samples, 30);
    let (tracks, list) = samples(&half);
    let at = times(&list, of_kind(&tracks, TrackKind::Video));
    assert!(at.windows(2).all(|w| (w[1].as_secs_f64() - w[0].as_secs_f64() - 1.0 / 15.0).abs() < 1e-6));
    assert_eq!(of_kind(&tracks, TrackKind::Video).video.as_ref().unwrap().dimensions.to_string(), "320x180");

    let double = dir.path().join("double.y4m");
    let mut job = Export::new(clip("small.h264"), ExportTarget::File(double.clone()));
    job.filter.frame_rate = video_hw::time::Rational::new(50, 1);
    job.filter.format = Some(PixelFormat::I444);
    let report = job.run().unwrap();
    assert!(report.balances());
    assert_eq!((report.frames, report.filter.repeated), (100, 50));
    let back = video_hw::frames(&double).open().unwrap().map(|f| f.unwrap().format);
    assert!(back.eq(std::iter::repeat_n(PixelFormat::I444, 100)));
}

#[test]
fn metadata_only_and_rgb_outputs() {
    let meta = video_hw::frames(clip("small.h265")).output(DecodeOutputMode::MetadataOnly).open().unwrap();
    assert_eq!(meta.map(|f| f.unwrap()).filter(|f| f.as_host().is_none()).count(), 50);
    let rgb = video_hw::frames(clip("small.h264")).output(DecodeOutputMode::CpuRgb).open().unwrap();
    let frames: Vec<_> = rgb.map(|f| f.unwrap()).collect();
    assert!(frames.iter().all(|f| f.format == PixelFormat::Rgb24));
    // The first bar of the test picture is grey, the corner of the second is white-yellow: not a grey image.
    let packed = frames[0].as_host().unwrap().to_packed();
    assert!(packed.chunks_exact(3).any(|p| p[0].abs_diff(p[2]) > 100));
}

#[test]
fn frames_come_as_they_are_asked_for() {
    let all = |builder: video_hw::pipeline::FramesBuilder| -> Vec<_> {
        builder.open().unwrap().map(Result::unwrap).collect()
    };
    let packed = |frames: &[video_hw::frame::Frame]| -> Vec<Vec<u8>> {
        frames.iter().map(|f| f.as_host().unwrap().to_packed()).collect()
    };
    let native = all(video_hw::frames(clip("small.h264")));
    // On the CPU the decoder's own memory is the host's.
    assert_eq!(packed(&all(video_hw::frames(clip("small.h264")).native())), packed(&native));
    let crop = Crop { left: 10, top: 20, size: Dimensions::new(101, 57).unwrap() };
    let size = Dimensions::new(64, 64).unwrap();
    let shaped = all(video_hw::frames(clip("small.h264")).crop(crop).size(size).rgb().strict());
    let by_hand: Vec<_> = native
        .iter()
        .map(|frame| {
            let cut = transform::crop(frame, crop).unwrap();
            let scaled = transform::scale(&cut, size, ScaleFilter::default()).unwrap();
            transform::convert(&scaled, PixelFormat::Rgb24).unwrap().frame
        })
        .collect();
    assert!(packed(&shaped) == packed(&by_hand));
    let about =
        |f: &video_hw::frame::Frame| (f.pts, f.duration, f.dimensions, f.sample_aspect_ratio, f.color);
    assert!(shaped.iter().map(about).eq(by_hand.iter().map(about)));
}
