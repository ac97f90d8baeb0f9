//! The backend of a child `ffmpeg`, with the program that is installed: what goes in comes out, in its place and time.
//! Skipped, loudly, where there is none.
//!
//! A program of its own: the children of the process are counted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

mod support;

use std::time::{Duration, Instant};

use crate::support::ffmpeg::{
    HEIGHT, Picture, WIDTH, alone, config, decode_here, encode, ffmpeg_here, frame, open, processes, pts,
    special,
};
use video_hw::backend::{Backend, BackendKind, query_backend_capability};
use video_hw::bitstream::StreamInfo;
use video_hw::codec::Codec;
use video_hw::color::ColorInfo;
use video_hw::config::{
    BackendEncodeConfig, CommonDecodeConfig, CommonEncodeConfig, FfmpegEncodeConfig, RateControl,
};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::{Packet, PictureType};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, Submit};
use video_hw::time::Rational;

/// Times as they went in, decoding times that a container takes, pictures in place.
fn check(config: &CommonEncodeConfig, packets: &[Packet], numbers: &[usize]) {
    let mut times: Vec<_> = packets.iter().map(|packet| packet.pts.unwrap()).collect();
    let dts: Vec<_> = packets.iter().map(|packet| packet.dts.unwrap()).collect();
    assert!(dts.windows(2).all(|two| two[0] < two[1]), "{dts:?}");
    assert!(packets.iter().all(|packet| packet.dts <= packet.pts));
    times.sort();
    assert_eq!(times, numbers.iter().map(|n| pts(*n)).collect::<Vec<_>>());
    assert!(packets[0].keyframe && packets[0].picture_type == Some(PictureType::Idr));
    let frames = decode_here(config.codec, packets);
    assert_eq!(frames.len(), numbers.len());
    for (frame, number) in frames.iter().zip(numbers) {
        assert_eq!(frame.pts, pts(*number));
        Picture::of(frame).assert_is(*number);
    }
}

fn round_trip(config: &CommonEncodeConfig, special: &BackendEncodeConfig, count: usize) -> Vec<Packet> {
    let mut session = open(config, special);
    let packets = encode(&mut session, (0..count).map(|n| frame(n, config.format)));
    let summary = session.summary();
    assert!(summary.ledger.balances() && summary.ledger.delivered == count as u64, "{:?}", summary.ledger);
    check(config, &packets, &(0..count).collect::<Vec<_>>());
    packets
}

fn idrs(packets: &[Packet]) -> Vec<i64> {
    let idrs = packets.iter().filter(|packet| packet.keyframe);
    idrs.map(|packet| packet.pts.unwrap().ticks()).collect()
}

#[test]
fn every_frame_comes_back_with_its_time_with_and_without_b_frames() {
    let Some(_alone) = alone() else { return };
    for codec in [Codec::H264, Codec::Hevc] {
        for b_frames in [Some(0), Some(1), Some(3), None] {
            let config = config(codec).b_frames(b_frames).gop_length(12);
            let packets = round_trip(&config, &special("", "ultrafast"), 30);
            assert_eq!(idrs(&packets), [0, 12, 24].map(|n| pts(n).ticks()));
            let b = packets.iter().filter(|packet| packet.picture_type == Some(PictureType::B)).count();
            match b_frames {
                Some(0) => assert_eq!(b, 0),
                // So many in a row, except at the end of a group.
                Some(count) => {
                    assert!(b >= 20 * count as usize / (count as usize + 1), "{codec} {count}: {b}");
                }
                None => {}
            }
        }
    }
}

#[test]
fn av1_comes_back_in_order() {
    let Some(_alone) = alone() else { return };
    let config = config(Codec::Av1).gop_length(16);
    let packets = round_trip(&config, &special("libsvtav1", "12"), 40);
    assert_eq!(idrs(&packets), [0, 16, 32].map(|n| pts(n).ticks()));
}

#[test]
fn formats_and_depths_go_through_as_they_are() {
    let Some(_alone) = alone() else { return };
    for (codec, format) in [
        (Codec::H264, PixelFormat::Nv12),
        (Codec::H264, PixelFormat::I422),
        (Codec::H264, PixelFormat::I444),
        (Codec::H264, PixelFormat::I010),
        (Codec::Hevc, PixelFormat::I010),
        (Codec::Av1, PixelFormat::I010),
    ] {
        let config = config(codec).format(format);
        let packets = round_trip(&config, &BackendEncodeConfig::None, 8);
        let layout = packets[0].layout;
        let info = StreamInfo::from_unit(codec, layout, &packets[0].data).unwrap().unwrap();
        assert_eq!((info.bit_depth(), Some(info.chroma)), (format.bit_depth(), format.chroma()));
    }
}

#[test]
fn colour_and_shape_are_signalled() {
    let Some(_alone) = alone() else { return };
    for codec in [Codec::H264, Codec::Hevc] {
        let config = config(codec).color(ColorInfo::BT709).sample_aspect_ratio(Rational::new(12, 11));
        let packets = round_trip(&config, &special("", "ultrafast"), 4);
        let info = StreamInfo::from_unit(codec, packets[0].layout, &packets[0].data).unwrap().unwrap();
        assert_eq!(info.color, ColorInfo::BT709);
        assert_eq!(info.sample_aspect_ratio, Rational::new(12, 11));
    }
}

#[test]
fn rate_controls_are_those_asked_for() {
    let Some(_alone) = alone() else { return };
    let size = |rate_control, own: FfmpegEncodeConfig| {
        let config = config(Codec::H264).rate_control(rate_control);
        let packets = round_trip(&config, &BackendEncodeConfig::Ffmpeg(own), 25);
        packets.iter().map(|packet| packet.data.len()).sum::<usize>()
    };
    let qp = |qp| Some(RateControl::ConstQp { intra: qp, inter_p: qp, inter_b: qp });
    let none = FfmpegEncodeConfig::default;
    assert!(size(qp(40), none()) < size(qp(16), none()));
    let quality = |quality| Some(RateControl::Quality { quality, max_bps: None });
    assert!(size(quality(40), none()) < size(quality(16), none()));
    // 0.83 seconds at 400 kb/s, filled up where the pictures need less; what the buffer holds at first is not sent.
    let cbr = size(Some(RateControl::Cbr { bitrate_bps: 400_000 }), none());
    assert!((33_000..45_000).contains(&cbr), "{cbr}");
    let vbr = size(Some(RateControl::Vbr { avg_bps: 100_000, max_bps: Some(150_000) }), none());
    assert!(vbr < cbr, "{vbr}");
}

#[test]
fn low_latency_gives_each_packet_before_the_next_frame() {
    let Some(_alone) = alone() else { return };
    for codec in [Codec::H264, Codec::Hevc] {
        let mut session = open(&config(codec).low_latency(true), &special("", "ultrafast"));
        for number in 0..10 {
            assert!(matches!(session.submit(frame(number, PixelFormat::I420)).unwrap(), Submit::Accepted));
            let packet = session.reap_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(packet.expect("a packet without a further frame").pts, Some(pts(number)));
        }
    }
}

#[test]
fn forced_key_frames_are_where_they_were_asked_for() {
    let Some(_alone) = alone() else { return };
    for codec in [Codec::H264, Codec::Hevc] {
        let config = config(codec).b_frames(2);
        let mut session = open(&config, &special("", "ultrafast"));
        let frames = (0..20).map(|n| {
            let force_keyframe = [0, 7, 8, 15].contains(&n);
            Frame { force_keyframe, ..frame(n, PixelFormat::I420) }
        });
        let packets = encode(&mut session, frames);
        assert_eq!(idrs(&packets), [0, 7, 8, 15].map(|n| pts(n).ticks()));
        check(&config, &packets, &(0..20).collect::<Vec<_>>());
    }
    let config = config(Codec::H264).force_idr(true);
    assert_eq!(idrs(&round_trip(&config, &special("", "ultrafast"), 6)).len(), 6);
}

#[test]
fn a_flush_ends_nothing() {
    let Some(_alone) = alone() else { return };
    let config = config(Codec::H264);
    let mut session = open(&config, &special("", "ultrafast"));
    let mut packets = Vec::new();
    for part in [0..10, 10..11, 11..30] {
        packets.extend(encode(&mut session, part.map(|n| frame(n, PixelFormat::I420))));
        // Nothing to do twice.
        assert_eq!(session.drain().unwrap().count(), 0);
    }
    assert_eq!(idrs(&packets), [0, 10, 11].map(|n| pts(n).ticks()));
    check(&config, &packets, &(0..30).collect::<Vec<_>>());
}

#[test]
fn a_child_that_is_killed_ends_the_session_with_its_name_and_loses_no_account() {
    let Some(_alone) = alone() else { return };
    let mut session = open(&config(Codec::H264), &special("", "medium"));
    let mut delivered = 0;
    let mut killed = false;
    let mut number = 0;
    let error = loop {
        if number == 40 && !killed {
            let child = processes::children();
            assert_eq!(child.len(), 1, "{child:?}");
            processes::kill(child[0]);
            killed = true;
        }
        match session.submit(frame(number, PixelFormat::I420)) {
            Ok(Submit::Accepted) => number += 1,
            Ok(Submit::Full(_)) => std::thread::sleep(Duration::from_millis(1)),
            // Its output tells why.
            Err(_) => {}
        }
        match session.try_reap() {
            Ok(Some(_)) => delivered += 1,
            Ok(None) => {}
            Err(error) => break error,
        }
        assert!(number < 10_000, "the death was not noticed");
    };
    assert!(error.to_string().contains("signal 9"), "{error}");
    let ledger = session.summary().ledger;
    assert!(ledger.balances() && ledger.delivered == delivered && ledger.failed > 0, "{ledger:?}");
    assert_eq!(ledger.pending, 0);
    drop(session);
    processes::assert_none();
}

#[test]
fn sessions_dropped_at_any_time_leave_nothing_behind() {
    let Some(_alone) = alone() else { return };
    // Once, for what is made once in a process.
    drop(open(&config(Codec::H264), &special("", "ultrafast")));
    // A thread says that it has ended shortly before it has.
    let settled = |wanted: usize| {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let (descriptors, threads) = processes::resources();
            if (threads == 0 && descriptors <= wanted) || Instant::now() > deadline {
                return (descriptors, threads);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let before = settled(usize::MAX);
    assert_eq!(before.1, 0);
    for round in 0..50 {
        let codec = if round % 10 == 9 { Codec::Hevc } else { Codec::H264 };
        let mut session = open(&config(codec), &special("", "ultrafast"));
        for number in 0..round % 7 * 3 {
            // Full is as good a moment as any.
            let _ = session.submit(frame(number, PixelFormat::I420)).unwrap();
        }
        if round % 3 == 0 {
            session.flush().unwrap();
        }
        if round % 5 == 0 {
            session.drain().unwrap().for_each(drop);
        }
    }
    processes::assert_none();
    assert_eq!(settled(before.0), before, "descriptors and threads");
}

#[test]
fn sessions_side_by_side_do_not_hold_each_others_pipes() {
    let Some(_alone) = alone() else { return };
    let config = config(Codec::H264);
    let mut sessions: Vec<_> = (0..4).map(|_| open(&config, &special("", "ultrafast"))).collect();
    for session in &mut sessions {
        // The child starts with the first frame.
        assert!(matches!(session.submit(frame(0, PixelFormat::I420)).unwrap(), Submit::Accepted));
    }
    // The first one's input ends only if no later child holds it.
    for session in &mut sessions {
        assert_eq!(session.drain().unwrap().map(Result::unwrap).count(), 1);
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_before_the_first_frame() {
    let Some(_alone) = alone() else { return };
    let refused =
        |codec, change: &dyn Fn(&mut CommonEncodeConfig), own: FfmpegEncodeConfig, words: &[&str]| {
            let mut config = config(codec);
            change(&mut config);
            let special = BackendEncodeConfig::Ffmpeg(own);
            let error = EncodeSession::with_special(BackendKind::Ffmpeg, config, &special).err().unwrap();
            let text = error.to_string();
            assert!(matches!(error, Error::Unsupported { .. }), "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        };
    let none = FfmpegEncodeConfig::default;
    let encoder = |name: &str| none().encoder(Some(name.into()));
    let option = |name: &str, value: &str| none().options(vec![(name.into(), value.into())]);
    let same = |_: &mut CommonEncodeConfig| {};
    refused(Codec::H264, &same, encoder("libx265"), &["libx265", "hevc"]);
    refused(Codec::H264, &same, encoder("mpeg4"), &["mpeg4", "libx264"]);
    refused(Codec::Vp9, &same, none(), &["vp9"]);
    refused(Codec::H264, &same, option("stats", "/etc/passwd"), &["option \"stats\""]);
    refused(Codec::H264, &same, option("aq-mode", "1:stats=x"), &["aq-mode", "1:stats=x"]);
    refused(Codec::Hevc, &same, option("csv", "x"), &["option \"csv\""]);
    refused(Codec::H264, &same, none().preset(Some("fastest".into())), &["preset"]);
    refused(Codec::H264, &same, none().tune(Some("vmaf".into())), &["tune"]);
    let too_bad = Some(RateControl::Quality { quality: 60, max_bps: None });
    refused(Codec::H264, &|c| c.rate_control = too_bad, none(), &["quality 60", "51"]);
    refused(Codec::H264, &|c| c.format = PixelFormat::Rgb24, none(), &["format rgb24"]);
    refused(Codec::H264, &|c| c.dimensions = Dimensions::new(209, 144).unwrap(), none(), &["209x144"]);
    refused(Codec::H264, &|c| c.b_frames = Some(17), none(), &["b_frames 17", "0 to 16"]);
    refused(Codec::H264, &|c| c.gop_length = Some(0), none(), &["gop_length 0"]);
    refused(Codec::Av1, &|c| c.b_frames = Some(2), none(), &["b_frames 2"]);
    refused(
        Codec::Av1,
        &|c| c.rate_control = Some(RateControl::Cbr { bitrate_bps: 1_000_000 }),
        none(),
        &["Cbr"],
    );
    refused(
        Codec::Hevc,
        &|c| c.rate_control = Some(RateControl::ConstQp { intra: 60, inter_p: 1, inter_b: 1 }),
        none(),
        &["ConstQp 60"],
    );
    refused(Codec::H264, &|c| c.color = ColorInfo::SRGB, none(), &["color matrix gbr"]);
    let latency = |c: &mut CommonEncodeConfig| {
        c.low_latency = true;
        c.b_frames = Some(2);
    };
    refused(Codec::H264, &latency, none(), &["b_frames 2", "low_latency"]);
    // Known options are taken.
    let fine = option("rc-lookahead", "10");
    drop(open(&config(Codec::H264), &BackendEncodeConfig::Ffmpeg(fine)));
}

/// Without a card it comes before the embedded encoder, and of HEVC there is no other; the receipt says who refused before.
#[test]
fn it_encodes_by_itself_where_no_hardware_does() {
    let Some(_alone) = alone() else { return };
    if query_backend_capability(BackendKind::Nvidia, Codec::Hevc).is_ok() {
        eprintln!("SKIPPED: there is an NVIDIA card, which encodes by itself");
        return;
    }
    for codec in [Codec::H264, Codec::Hevc] {
        let mut session = EncodeSession::new(Backend::Auto, config(codec)).unwrap();
        let receipt = format!("{:#}", session.receipt());
        assert!(receipt.contains("ffmpeg, ") && receipt.contains("nvidia refused"), "{receipt}");
        assert_eq!(encode(&mut session, (0..3).map(|n| frame(n, PixelFormat::I420))).len(), 3);
    }
    // What it refuses the embedded encoder does, and the receipt says why.
    let small = config(Codec::H264).dimensions(Dimensions::new(32, 32).unwrap());
    let session = EncodeSession::new(Backend::Auto, small).unwrap();
    assert_eq!(session.receipt().chosen().unwrap().0, BackendKind::Software);
    let receipt = format!("{:#}", session.receipt());
    assert!(receipt.contains("ffmpeg refused at capability: ") && receipt.contains("32x32"), "{receipt}");
}

/// Packets by a child, decoded by a child: order and times survive, also without times in the packets.
#[test]
fn pictures_come_back_decoded_in_order() {
    let Some(_alone) = alone() else { return };
    for (codec, format) in [
        (Codec::H264, PixelFormat::I420),
        (Codec::H264, PixelFormat::I210),
        (Codec::Hevc, PixelFormat::I422),
        (Codec::Av1, PixelFormat::I420),
    ] {
        let config = config(codec).format(format).gop_length(16);
        let mut session = open(&config, &BackendEncodeConfig::None);
        let packets = encode(&mut session, (0..40).map(|n| frame(n, format)));
        for timed in [true, false] {
            let mut decoder =
                DecodeSession::new(BackendKind::Ffmpeg, CommonDecodeConfig::new(codec)).unwrap();
            // Twice: a flush ends nothing.
            for _ in 0..2 {
                let input = packets.iter().cloned().map(|mut packet| {
                    if !timed {
                        (packet.pts, packet.dts) = (None, None);
                    }
                    packet
                });
                let frames = crate::support::ffmpeg::decode(&mut decoder, input);
                assert_eq!(frames.len(), 40, "{codec} {format}");
                for (number, frame) in frames.iter().enumerate() {
                    assert!(!timed || frame.pts == pts(number));
                    assert_eq!((frame.format, frame.dimensions), (format, config.dimensions));
                    Picture::of(frame).assert_is(number);
                }
            }
            let summary = decoder.summary();
            assert!(summary.ledger.balances() && summary.ledger.delivered == 80, "{:?}", summary.ledger);
        }
    }
}

/// A stream that changes its size and depth at a key frame: nothing is scaled.
#[test]
fn another_size_within_the_stream_is_another_child() {
    let Some(_alone) = alone() else { return };
    let small = config(Codec::H264);
    let deep = small.clone().format(PixelFormat::I010);
    let mut packets = Vec::new();
    let sizes = [(0..5, &small), (5..10, &deep), (10..15, &small)];
    for (range, config) in sizes {
        packets.extend(encode(
            &mut open(config, &BackendEncodeConfig::None),
            range.map(|n| frame(n, config.format)),
        ));
    }
    let mut decoder = DecodeSession::new(BackendKind::Ffmpeg, CommonDecodeConfig::new(Codec::H264)).unwrap();
    let frames = crate::support::ffmpeg::decode(&mut decoder, packets.into_iter());
    let formats: Vec<_> = frames.iter().map(|frame| frame.format).collect();
    let (eight, ten) = ([PixelFormat::I420; 5], [PixelFormat::I010; 5]);
    assert_eq!(formats, [eight, ten, eight].concat());
    for (number, frame) in frames.iter().enumerate() {
        Picture::of(frame).assert_is(number);
        assert_eq!((frame.dimensions.width() as usize, frame.dimensions.height() as usize), (WIDTH, HEIGHT));
    }
}

/// Units that are no video: each has its outcome, and the session survives.
#[test]
fn damaged_units_are_accounted_for() {
    let Some(_alone) = alone() else { return };
    let config = config(Codec::H264).gop_length(5).b_frames(0);
    let mut packets =
        encode(&mut open(&config, &BackendEncodeConfig::None), (0..20).map(|n| frame(n, PixelFormat::I420)));
    for (number, packet) in packets.iter_mut().enumerate() {
        if number % 5 == 2 {
            packet.data = vec![0xA5; 1000].into();
        }
    }
    let mut decoder = DecodeSession::new(BackendKind::Ffmpeg, CommonDecodeConfig::new(Codec::H264)).unwrap();
    let (mut frames, mut lost) = (0, 0);
    for packet in packets {
        let Submit::Accepted = decoder.submit(packet).unwrap() else { panic!("20 packets fit") };
    }
    for outcome in decoder.drain().unwrap() {
        match outcome {
            Ok(_) => frames += 1,
            Err(error) => {
                assert!(error.is_recoverable(), "{error}");
                lost += 1;
            }
        }
    }
    let ledger = decoder.summary().ledger;
    assert!(ledger.balances() && ledger.pending == 0, "{ledger:?}");
    assert!(frames >= 12 && frames + lost + ledger.dropped_total() as usize == 20, "{ledger:?}");
}

#[test]
fn the_device_is_the_program() {
    let Some(_alone) = alone() else { return };
    let devices = video_hw::backend::devices(BackendKind::Ffmpeg).unwrap();
    let [device] = devices.as_slice() else { panic!("{devices:?}") };
    assert!(device.name.starts_with("ffmpeg ") && device.name.contains("libx264"), "{device:?}");
    assert_eq!(std::path::Path::new(&device.id), ffmpeg_here().unwrap());
    let named = config(Codec::H264).device(device.id.clone());
    assert_eq!(round_trip(&named, &BackendEncodeConfig::None, 3).len(), 3);
    let absent = config(Codec::H264).device(Some("/nowhere/ffmpeg".into()));
    let error = EncodeSession::new(BackendKind::Ffmpeg, absent).err().unwrap();
    assert!(matches!(error, Error::Unavailable { .. }) && error.to_string().contains("/nowhere/ffmpeg"));
}
