//! Encoding: streams judged by ffmpeg, manners, and answers when calls fail.

use std::time::Duration;

use video_hw::backend::{BackendKind, query_backend_capability};
use video_hw::bitstream::StreamInfo;
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorRange};
use video_hw::config::{
    BackendEncodeConfig, CommonEncodeConfig, IntraRefresh, NvidiaEncodeConfig, Profile, RateControl,
    VplEncodeConfig,
};
use video_hw::control::{SessionSwitchRequest, SwitchingEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::UserSei;
use video_hw::packet::{Packet, PictureType};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::Rational;

use crate::support::nvenc::{
    HEIGHT, WIDTH, all_well, check_pictures, check_times, decoded, encode, frame, have_ffmpeg, planar,
};
use crate::support::nvidia::clip;
use crate::support::switching::{Played, submit};
use crate::support::vpl::{clean, clean_on};

const QSV: BackendKind = BackendKind::Qsv;
const NONE: BackendEncodeConfig = BackendEncodeConfig::None;

fn config(codec: Codec) -> CommonEncodeConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(25, 1).unwrap())
        .rate_control(RateControl::Vbr { avg_bps: 3_000_000, max_bps: None })
}

fn own(own: VplEncodeConfig) -> BackendEncodeConfig {
    BackendEncodeConfig::Vpl(own)
}

fn open(config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> EncodeSession {
    EncodeSession::with_special(QSV, config.clone(), special).unwrap_or_else(|error| panic!("{error}"))
}

/// Encodes frames 0 to `count` and holds times and pictures against what went in.
fn round_trip(config: &CommonEncodeConfig, special: &BackendEncodeConfig, count: usize) -> Vec<Packet> {
    let mut session = open(config, special);
    let packets = all_well(encode(&mut session, (0..count).map(|n| frame(n, config.format))));
    check_times(&packets, 0..count);
    judge(config.codec, &packets, count);
    packets
}

fn judge(codec: Codec, packets: &[Packet], count: usize) {
    if matches!(codec, Codec::H264 | Codec::Hevc) && have_ffmpeg() {
        check_pictures(&decoded(codec, packets), 0..count, planar);
    }
}

fn idrs(packets: &[Packet]) -> Vec<usize> {
    let is_idr = |packet: &Packet| packet.keyframe && packet.picture_type == Some(PictureType::Idr);
    (0..packets.len()).filter(|at| is_idr(&packets[*at])).collect()
}

#[test]
fn every_format_is_taken() {
    let run = clean("every_format_is_taken", "", || {
        for (codec, format) in [
            (Codec::H264, PixelFormat::I420),
            (Codec::H264, PixelFormat::Nv12),
            (Codec::Hevc, PixelFormat::I420),
            (Codec::Hevc, PixelFormat::P010),
        ] {
            let packets = round_trip(&config(codec).format(format).gop_length(10), &NONE, 24);
            assert_eq!(idrs(&packets), [0, 10, 20], "{codec} {format}");
        }
    });
    if let Some(run) = run {
        assert!(run.report().contains("\"video_memory\": true"), "{}", run.report());
    }
}

#[test]
fn every_codec_is_decoded_again() {
    clean_on("arc", "every_codec_is_decoded_again", "", || {
        for codec in [Codec::Vp9, Codec::Av1] {
            let config = config(codec).gop_length(10);
            let packets = round_trip(&config, &NONE, 24);
            assert_eq!(idrs(&packets), [0, 10, 20], "{codec}");
            let mut decoder =
                video_hw::session::DecodeSession::new(QSV, video_hw::config::CommonDecodeConfig::new(codec))
                    .unwrap();
            let (frames, errors) = crate::support::nvidia::decode(&mut decoder, &packets);
            assert!(errors.is_empty(), "{errors:?}");
            let pictures: Vec<_> = frames.iter().map(crate::support::nvidia::planar).collect();
            check_pictures(&pictures, 0..24, planar);
        }
        let config = config(Codec::Mjpeg).rate_control(None);
        let packets = round_trip(&config, &NONE, 6);
        assert_eq!(idrs(&packets), [0, 1, 2, 3, 4, 5]);
        assert!(packets.iter().all(|packet| packet.data.starts_with(&[0xff, 0xd8])));
    });
}

#[test]
fn b_frames_come_out_in_place() {
    clean("b_frames_come_out_in_place", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            for (b_frames, pyramid) in [(1, None), (3, Some(true)), (3, Some(false))] {
                let special = own(VplEncodeConfig::default().b_pyramid(pyramid));
                let packets = round_trip(&config(codec).b_frames(b_frames).gop_length(12), &special, 26);
                let in_order = packets.is_sorted_by_key(|packet| packet.pts);
                assert!(!in_order, "{codec}: nothing was reordered");
                assert!(packets.is_sorted_by(|a, b| a.dts < b.dts), "decoding times rise");
                assert!(packets.iter().all(|packet| packet.dts <= packet.pts));
            }
        }
    });
}

#[test]
fn a_flush_keeps_the_session_and_the_next_frame_is_an_idr() {
    let run = clean("a_flush_keeps_the_session_and_the_next_frame_is_an_idr", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            let config = config(codec);
            let mut session = open(&config, &NONE);
            let mut packets = all_well(encode(&mut session, (0..7).map(|n| frame(n, config.format))));
            let forced = |n| {
                let mut frame = frame(n, config.format);
                frame.force_keyframe = n == 11;
                frame
            };
            packets.extend(all_well(encode(&mut session, (7..15).map(forced))));
            assert_eq!(idrs(&packets), [0, 7, 11]);
            check_times(&packets, 0..15);
            judge(config.codec, &packets, 15);
        }
    });
    if let Some(run) = run {
        assert_eq!(run.calls("MFXVideoENCODE_Init"), 2);
    }
}

#[test]
fn low_latency_holds_nothing_back() {
    clean("low_latency_holds_nothing_back", "", || {
        let low = own(VplEncodeConfig::default().tuning("ll".to_owned()));
        for (config, special) in [(config(Codec::H264).low_latency(true), NONE), (config(Codec::H264), low)] {
            let mut session = open(&config, &special);
            let mut packets = Vec::new();
            for n in 0..12 {
                assert!(matches!(session.submit(frame(n, config.format)).unwrap(), Submit::Accepted));
                // Nothing else goes in until it is out.
                packets.push(session.reap_timeout(Duration::from_secs(60)).unwrap().unwrap());
            }
            check_times(&packets, 0..12);
            judge(config.codec, &packets, 12);
        }
    });
}

#[test]
fn rates_and_tools_are_taken() {
    let run = clean("rates_and_tools_are_taken", "", || {
        let bits = 2_000_000;
        let rates = [
            Some(RateControl::Cbr { bitrate_bps: bits }),
            Some(RateControl::Vbr { avg_bps: bits, max_bps: Some(2 * bits) }),
            Some(RateControl::ConstQp { intra: 20, inter_p: 22, inter_b: 24 }),
            Some(RateControl::Quality { quality: 20, max_bps: None }),
            Some(RateControl::Quality { quality: 20, max_bps: Some(4 * bits) }),
            None,
        ];
        for rate in rates {
            round_trip(&config(Codec::Hevc).rate_control(rate), &NONE, 8);
        }
        let ahead = own(VplEncodeConfig::default().lookahead(20));
        round_trip(&config(Codec::H264), &ahead, 8);
        let quality = RateControl::Quality { quality: 20, max_bps: None };
        round_trip(&config(Codec::H264).rate_control(quality), &ahead, 8);
        let refresh = own(VplEncodeConfig::default().intra_refresh(IntraRefresh { period: 12, frames: 6 }));
        let packets = round_trip(&config(Codec::H264), &refresh, 30);
        assert_eq!(idrs(&packets), [0]);
        let cbr = config(Codec::H264).rate_control(RateControl::Cbr { bitrate_bps: bits });
        round_trip(&cbr.vbv_bits(2 * bits).vbv_initial_bits(bits), &NONE, 8);
        for preset in ["p1", "p7"] {
            let special = VplEncodeConfig::default().preset(preset.to_owned()).tuning("hq".to_owned());
            round_trip(&config(Codec::H264), &own(special), 4);
        }
    });
    if let Some(run) = run {
        // As the report has them, in the order in which they ended: CBR, VBR, CQP, ICQ, QVBR, ICQ, LA, LA_ICQ ...
        let methods: Vec<_> = run.report().split("\"method\": ").skip(1).collect();
        let number = |text: &&str| text.split(|c: char| !c.is_ascii_digit()).next().unwrap().to_owned();
        let methods: Vec<_> = methods.iter().map(number).collect();
        assert_eq!(methods[..8], ["1", "2", "3", "9", "14", "9", "8", "11"], "{methods:?}");
    }
}

#[test]
fn rates_change_in_a_running_session() {
    let run = clean("rates_change_in_a_running_session", "", || {
        for (codec, b_frames) in [(Codec::H264, 0), (Codec::H264, 2), (Codec::Hevc, 0)] {
            let base = config(codec).b_frames(b_frames);
            let mut faster = base.clone();
            faster.frame_rate = Rational::new(50, 1).unwrap();
            let less = base.clone().rate_control(RateControl::Vbr { avg_bps: 1_000_000, max_bps: None });
            let mut smaller = faster.clone();
            smaller.dimensions = Dimensions::new(176, 128).unwrap();
            let mut stream = SwitchingEncoder::new(QSV, base.clone(), NONE).unwrap();
            let (mut got, mut number) = (Vec::new(), 0);
            for target in [less, faster] {
                let request = SessionSwitchRequest::immediate((target, NONE));
                let generation = stream.request_switch(request).unwrap();
                for after in 0.. {
                    if stream.generation() == generation && after >= 5 {
                        break;
                    }
                    submit(&mut stream, frame(number, base.format), &mut got);
                    number += 1;
                }
            }
            let played = Played::finish(stream, got, number, 0);
            let counts = played.summary.switches;
            assert_eq!((counts.requested, counts.failed, counts.in_place), (2, 0, 2), "{counts:?}");
            assert_eq!(played.summary.ledger.delivered as usize, number);
        }
    });
    if let Some(run) = run {
        assert_eq!(run.calls("MFXVideoENCODE_Init"), 3);
    }
}

#[test]
fn colour_and_shape_are_in_the_stream() {
    clean("colour_and_shape_are_in_the_stream", "", || {
        let full = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
        let ten = config(Codec::Hevc).format(PixelFormat::P010);
        for (config, color, depth) in [(ten, ColorInfo::BT709, 10), (config(Codec::H264), full, 8)] {
            let config = config.color(color).sample_aspect_ratio(Rational::new(4, 3));
            let mut session = open(&config, &NONE);
            let packets = all_well(encode(&mut session, (0..3).map(|n| frame(n, config.format))));
            let info =
                StreamInfo::from_unit(config.codec, packets[0].layout, &packets[0].data).unwrap().unwrap();
            assert_eq!((info.color, info.bit_depth()), (color, depth));
            assert_eq!(info.sample_aspect_ratio, Rational::new(4, 3));
        }
    });
}

/// HDR10 messages stand before each IDR picture, and those of the caller before theirs.
#[test]
fn messages_are_in_the_stream() {
    clean("messages_are_in_the_stream", "", || {
        let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
        let config = config(Codec::Hevc)
            .format(PixelFormat::P010)
            .gop_length(4)
            .mastering_display(display.parse().ok())
            .content_light("1000,400".parse().ok());
        let own = UserSei::unregistered([7; 16], b"a message");
        let mut session = open(&config, &NONE);
        let packets = all_well(encode(
            &mut session,
            (0..8).map(|n| {
                let mut frame = frame(n, config.format);
                frame.user_sei.extend((n == 5).then(|| own.clone()));
                frame
            }),
        ));
        let has = |packet: &Packet, bytes: &[u8]| packet.data.windows(bytes.len()).any(|part| part == bytes);
        // Type and size, and the payload up to where the stream has to break a row of zeros.
        let volume = [137, 24, 0x33, 0xc2, 0x86, 0xc4, 0x1d, 0x4c];
        let light = [144, 4, 0x03, 0xe8, 0x01, 0x90];
        for (number, packet) in packets.iter().enumerate() {
            assert_eq!(has(packet, &volume), number % 4 == 0, "packet {number}");
            assert_eq!(has(packet, &light), number % 4 == 0, "packet {number}");
            assert_eq!(has(packet, b"a message"), number == 5, "packet {number}");
        }
        let config = crate::encode_basic::config(Codec::H264);
        let mut session = open(&config, &NONE);
        let mut first = frame(0, config.format);
        first.user_sei.push(own.clone());
        let packets = all_well(encode(&mut session, [first, frame(1, config.format)]));
        assert_eq!([0, 1].map(|at| has(&packets[at], b"a message")), [true, false]);
        judge(config.codec, &packets, 2);
    });
}

/// A decoder's surfaces are read where they are: no sample is copied, and nobody maps one.
#[test]
fn a_file_goes_through_both_without_a_copy() {
    let run = clean("a_file_goes_through_both_without_a_copy", "", || {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let job = video_hw::transcode(clip("bars.mp4"), &output).codec(Codec::Hevc).bitrate(2_000_000);
        let report = job.decode_backend(QSV).encode_backend(QSV).run().unwrap();
        assert!(report.balances());
        assert_eq!(report.video_samples, 120);
        let frames = video_hw::frames(&output).backend(BackendKind::Software).open().unwrap();
        let frames: Vec<_> = frames.map(|frame| frame.unwrap().pts).collect();
        assert!(frames.len() == 120 && frames.is_sorted_by(|a, b| a < b), "{frames:?}");
    });
    if let Some(run) = run {
        let calls = ["mfxFrameSurfaceInterface::Map", "MFXMemory_GetSurfaceForEncode"];
        assert_eq!(calls.map(|function| run.calls(function)), [0, 0], "{}", run.report());
    }
}

/// One picture of a decoder's, twice inside and read by somebody meanwhile: copies take its place.
#[test]
fn a_surface_that_cannot_be_shared_is_copied() {
    clean("a_surface_that_cannot_be_shared_is_copied", "", || {
        let (decode_config, packets) = crate::support::nvidia::packets("small.h264");
        let native = decode_config.output(video_hw::config::DecodeOutputMode::NativeSurface);
        let mut decoder = video_hw::session::DecodeSession::new(QSV, native).unwrap();
        let (frames, errors) = crate::support::nvidia::decode(&mut decoder, &packets);
        assert!(errors.is_empty(), "{errors:?}");
        let size = frames[0].dimensions;
        let config = CommonEncodeConfig::new(Codec::H264, size, Rational::new(25, 1).unwrap())
            .format(frames[0].format)
            .b_frames(2);
        let mut session = open(&config, &NONE);
        let read = frames[4].as_device().unwrap().download().unwrap();
        // Each picture is shown twice.
        let twice = (0..20).map(|number| {
            let mut frame = frames[number / 2].clone();
            frame.pts = crate::support::nvenc::pts(number);
            frame
        });
        let got = all_well(encode(&mut session, twice));
        check_times(&got, 0..20);
        let copied = session.summary().stages.unwrap().input_copy_bytes;
        let one = (size.width() * size.height() * 3 / 2) as u64;
        assert!(copied >= 2 * one && copied <= 12 * one, "{copied} bytes, {one} each");
        drop(read);
    });
}

#[test]
fn what_cannot_be_honoured_is_refused_before_the_first_frame() {
    clean("what_cannot_be_honoured_is_refused_before_the_first_frame", "", || {
        assert!(query_backend_capability(QSV, Codec::Av1).unwrap().encode.is_none());
        let capability = query_backend_capability(QSV, Codec::H264).unwrap().encode.unwrap();
        assert!(capability.low_latency && capability.cbr && capability.max_b_frames == 7, "{capability:?}");
        let refused = |config: CommonEncodeConfig, special: &BackendEncodeConfig, words: &[&str]| {
            let error = EncodeSession::with_special(QSV, config, special).err().unwrap();
            let said = error.to_string();
            assert!(matches!(error, Error::Unsupported { .. }), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        };
        let h264 = || config(Codec::H264);
        let with = |change: fn(VplEncodeConfig) -> VplEncodeConfig| own(change(VplEncodeConfig::default()));
        let qp = RateControl::ConstQp { intra: 0, inter_p: 20, inter_b: 20 };
        refused(h264().rate_control(qp), &NONE, &["constqp intra 0", "1 to 51"]);
        refused(h264().b_frames(8), &NONE, &["b_frames 8", "0 to 7"]);
        refused(h264().b_frames(1).low_latency(true), &NONE, &["b_frames 1", "low latency"]);
        refused(h264().rate_control(None).vbv_bits(100_000), &NONE, &["vbv_bits 100000"]);
        refused(h264().gop_length(0), &NONE, &["gop_length 0"]);
        refused(h264().profile(Profile::High10), &NONE, &["profile high10", "baseline, main, high"]);
        refused(h264().format(PixelFormat::P010), &NONE, &["format p010le", "nv12"]);
        refused(config(Codec::Av1), &NONE, &["encoding av1 on this GPU"]);
        let mut odd = h264();
        odd.dimensions = Dimensions::new(101, 100).unwrap();
        refused(odd, &NONE, &["dimensions 101x100", "even"]);
        refused(h264().content_light("1000,400".parse().ok()), &NONE, &["content_light", "hevc"]);
        refused(
            h264(),
            &with(|own| own.preset("p8".to_owned())),
            &["preset p8", "p1 (fastest) to p7 (best)"],
        );
        refused(h264(), &with(|own| own.tuning("lossless".to_owned())), &["tuning lossless", "hq, uhq"]);
        refused(h264(), &with(|own| own.lookahead(5)), &["lookahead 5", "10 to 100"]);
        refused(config(Codec::Hevc), &with(|own| own.lookahead(20)), &["lookahead 20", "none for it"]);
        let refresh = |own: VplEncodeConfig| own.intra_refresh(IntraRefresh { period: 10, frames: 5 });
        refused(h264().gop_length(30), &with(refresh), &["gop_length 30", "intra_refresh"]);
        refused(
            h264(),
            &BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default()),
            &["backend settings nvidia"],
        );
    });
    clean_on("kabylake", "what_cannot_be_honoured_is_refused_before_the_first_frame", "", || {
        let error = EncodeSession::new(QSV, config(Codec::Hevc).b_frames(1)).err().unwrap().to_string();
        assert!(error.contains("b_frames 1") && error.contains("0 to 0"), "{error}");
        round_trip(&config(Codec::Hevc), &NONE, 8);
    });
}
