//! Encoding: streams judged by ffmpeg, manners, and answers when calls fail.

use video_hw::backend::{Backend, BackendKind, Candidate, query_backend_capability};
use video_hw::bitstream::StreamInfo;
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use video_hw::config::{
    BackendEncodeConfig, CommonEncodeConfig, Crop, FailurePolicy, NvidiaEncodeConfig, Profile, RateControl,
    VtEncodeConfig,
};
use video_hw::control::{SessionSwitchRequest, SwitchingEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, Surface};
use video_hw::packet::{Packet, PictureType};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::Rational;

use crate::support::nvenc::{
    HEIGHT, WIDTH, all_well, check_pictures, check_times, decoded, encode, frame, have_ffmpeg, planar,
};
use crate::support::nvidia::clip;
use crate::support::switching::{Played, submit};
use crate::support::videotoolbox::{clean, clean_case, clean_on};

const VT: BackendKind = BackendKind::VideoToolbox;
const NONE: BackendEncodeConfig = BackendEncodeConfig::None;

fn config(codec: Codec) -> CommonEncodeConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(25, 1).unwrap())
        .rate_control(RateControl::Vbr { avg_bps: 3_000_000, max_bps: None })
}

fn open(config: &CommonEncodeConfig) -> EncodeSession {
    EncodeSession::new(VT, config.clone()).unwrap_or_else(|error| panic!("{error}"))
}

/// Encodes frames 0 to `count` and holds times and pictures against what went in.
fn round_trip(config: &CommonEncodeConfig, count: usize) -> Vec<Packet> {
    let mut session = open(config);
    let packets = all_well(encode(&mut session, (0..count).map(|n| frame(n, config.format))));
    check_times(&packets, 0..count);
    judge(config.codec, &packets, count);
    packets
}

fn judge(codec: Codec, packets: &[Packet], count: usize) {
    if have_ffmpeg() {
        check_pictures(&decoded(codec, packets), 0..count, planar);
    }
}

fn idrs(packets: &[Packet]) -> Vec<usize> {
    let is_idr = |packet: &Packet| packet.picture_type == Some(PictureType::Idr);
    (0..packets.len()).filter(|at| is_idr(&packets[*at])).collect()
}

#[test]
fn every_format_is_taken() {
    clean("every_format_is_taken", "", || {
        for (codec, format) in [
            (Codec::H264, PixelFormat::I420),
            (Codec::H264, PixelFormat::Nv12),
            (Codec::Hevc, PixelFormat::I420),
            (Codec::Hevc, PixelFormat::P010),
        ] {
            let packets = round_trip(&config(codec).format(format).gop_length(10), 24);
            assert_eq!(idrs(&packets), [0, 10, 20], "{codec} {format}");
        }
    });
}

#[test]
fn b_frames_come_out_in_place() {
    clean("b_frames_come_out_in_place", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            let packets = round_trip(&config(codec).b_frames(1).gop_length(12), 26);
            let in_order = packets.is_sorted_by_key(|packet| packet.pts);
            assert!(!in_order, "{codec}: nothing was reordered");
        }
    });
}

#[test]
fn a_flush_keeps_the_session_and_the_next_frame_is_an_idr() {
    let run = clean("a_flush_keeps_the_session_and_the_next_frame_is_an_idr", "", || {
        let config = config(Codec::H264);
        let mut session = open(&config);
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
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTCompressionSessionCreate"), 1);
    }
}

#[test]
fn low_latency_holds_nothing_back() {
    clean("low_latency_holds_nothing_back", "", || {
        let config = config(Codec::H264).low_latency(true);
        let mut session = open(&config);
        let mut packets = Vec::new();
        for n in 0..12 {
            let frame = frame(n, config.format);
            assert!(matches!(session.submit(frame).unwrap(), video_hw::session::Submit::Accepted));
            // Nothing else goes in until it is out.
            packets.push(session.reap_timeout(std::time::Duration::from_secs(60)).unwrap().unwrap());
        }
        check_times(&packets, 0..12);
        judge(config.codec, &packets, 12);
    });
}

/// Rate control for low latency makes no key frame by itself, and is not had with everything: what was asked for wins.
#[test]
fn low_latency_keeps_gops_rates_and_profiles() {
    clean("low_latency_keeps_gops_rates_and_profiles", "", || {
        let average = RateControl::Vbr { avg_bps: 2_000_000, max_bps: None };
        let constant = RateControl::Cbr { bitrate_bps: 2_000_000 };
        for codec in [Codec::H264, Codec::Hevc] {
            let low = config(codec).low_latency(true).gop_length(10);
            let packets = round_trip(&low.clone().rate_control(average), 24);
            assert_eq!(idrs(&packets), [0, 10, 20], "{codec}");
            let packets = round_trip(&low.rate_control(constant), 24);
            assert_eq!(idrs(&packets), [0, 10, 20], "{codec}, constant rate");
        }
        let low = config(Codec::H264).low_latency(true).rate_control(average);
        round_trip(&low.profile(video_hw::config::Profile::Baseline), 8);
        // A key frame that is asked for begins the count anew.
        let low = config(Codec::H264).low_latency(true).gop_length(10).rate_control(average);
        let mut frames: Vec<_> = (0..24).map(|n| frame(n, low.format)).collect();
        frames[7].force_keyframe = true;
        let packets = all_well(encode(&mut open(&low), frames));
        assert_eq!(idrs(&packets), [0, 7, 17]);
    });
}

#[test]
fn rates_are_taken_or_refused_by_name() {
    clean("rates_are_taken_or_refused_by_name", "", || {
        let rates = [
            RateControl::Cbr { bitrate_bps: 2_000_000 },
            RateControl::Vbr { avg_bps: 2_000_000, max_bps: Some(4_000_000) },
            RateControl::Quality { quality: 20, max_bps: None },
        ];
        for rate in rates {
            round_trip(&config(Codec::Hevc).rate_control(rate), 8);
        }
        round_trip(&config(Codec::H264).rate_control(None), 8);
    });
    clean_on("intel-mac", "rates_are_taken_or_refused_by_name", "", || {
        let config = config(Codec::H264).rate_control(RateControl::Cbr { bitrate_bps: 2_000_000 });
        let error = EncodeSession::new(VT, config).err().unwrap();
        let said = error.to_string();
        assert!(said.contains("rate_control cbr with h264") && said.contains("ConstantBitRate"), "{said}");
        let capability = query_backend_capability(VT, Codec::H264).unwrap().encode.unwrap();
        assert!(!capability.cbr && capability.vbr);
    });
}

/// An encoder that lacks something is not asked for it in silence.
#[test]
fn an_encoder_of_less_says_what_it_lacks() {
    clean_on("intel-mac", "an_encoder_of_less_says_what_it_lacks", "", || {
        let hevc = query_backend_capability(VT, Codec::Hevc).unwrap().encode.unwrap();
        assert_eq!((hevc.formats, hevc.max_b_frames), (vec![PixelFormat::Nv12, PixelFormat::I420], 0));
        for (config, words) in [
            (config(Codec::Hevc).format(PixelFormat::P010), ["format with hevc", "ProfileLevel"]),
            (config(Codec::Hevc).b_frames(1), ["b_frames with hevc", "AllowFrameReordering"]),
        ] {
            let said = EncodeSession::new(VT, config).err().unwrap().to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
        round_trip(&config(Codec::Hevc), 8);
    });
}

#[test]
fn rates_change_in_a_running_session() {
    let run = clean("rates_change_in_a_running_session", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            let base = config(codec);
            let mut faster = base.clone();
            faster.frame_rate = Rational::new(50, 1).unwrap();
            let less = base.clone().rate_control(RateControl::Vbr { avg_bps: 1_000_000, max_bps: None });
            let ceiling =
                base.clone().rate_control(RateControl::Vbr { avg_bps: 1_000_000, max_bps: Some(2_000_000) });
            let mut stream = SwitchingEncoder::new(VT, base.clone(), NONE).unwrap();
            let (mut got, mut number) = (Vec::new(), 0);
            for target in [less, ceiling, faster] {
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
            assert_eq!((counts.requested, counts.failed), (3, 0), "{counts:?}");
            // A ceiling cannot be taken away again: that takes another session.
            assert_eq!((counts.in_place, counts.new_session), (2, 1), "{counts:?}");
            assert_eq!(played.summary.ledger.delivered as usize, number);
        }
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTCompressionSessionCreate"), 4);
    }
}

/// HDR10 metadata are properties that are taken; what an encoder of Apple's does with them the simulation does not know.
#[test]
fn colour_and_shape_are_in_the_stream() {
    clean("colour_and_shape_are_in_the_stream", "", || {
        let pq = ColorInfo {
            matrix: MatrixCoefficients::Bt2020Ncl,
            primaries: ColorPrimaries::Bt2020,
            transfer: TransferCharacteristics::Pq,
            range: Some(ColorRange::Limited),
        };
        let hdr = config(Codec::Hevc)
            .format(PixelFormat::P010)
            .mastering_display(
                "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)".parse().ok(),
            )
            .content_light("1000,400".parse().ok());
        let full = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
        for (config, color, depth) in [(hdr, pq, 10), (config(Codec::H264), full, 8)] {
            let config = config.color(color).sample_aspect_ratio(Rational::new(4, 3));
            let mut session = open(&config);
            let packets = all_well(encode(&mut session, (0..3).map(|n| frame(n, config.format))));
            let info =
                StreamInfo::from_unit(config.codec, packets[0].layout, &packets[0].data).unwrap().unwrap();
            assert_eq!((info.color, info.bit_depth()), (color, depth));
            assert_eq!(info.sample_aspect_ratio, Rational::new(4, 3));
        }
    });
}

#[test]
fn a_file_goes_through_both() {
    let run = clean("a_file_goes_through_both", "", || {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let job = video_hw::transcode(clip("bars.mp4"), &output).codec(Codec::Hevc).bitrate(2_000_000);
        let report = job.decode_backend(VT).encode_backend(VT).run().unwrap();
        assert!(report.balances());
        assert_eq!(report.video_samples, 120);
        let frames = video_hw::frames(&output).backend(BackendKind::Software).open().unwrap();
        let frames: Vec<_> = frames.map(|frame| frame.unwrap().pts).collect();
        assert!(frames.len() == 120 && frames.is_sorted_by(|a, b| a < b), "{frames:?}");
    });
    if let Some(run) = run {
        // The decoder's buffers, which nobody looks into.
        let calls = ["CVPixelBufferPoolCreatePixelBuffer", "CVPixelBufferLockBaseAddress"];
        assert_eq!(calls.map(|function| run.calls(function)), [0, 0]);
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_before_the_first_frame() {
    clean("what_cannot_be_honoured_is_refused_before_the_first_frame", "", || {
        assert!(query_backend_capability(VT, Codec::Av1).unwrap().encode.is_none());
        assert!(query_backend_capability(VT, Codec::H264).unwrap().encode.unwrap().low_latency);
        let size = |width, height| Dimensions::new(width, height).unwrap();
        let refused = |config: CommonEncodeConfig, special: &BackendEncodeConfig, words: &[&str]| {
            let error = EncodeSession::with_special(VT, config, special).err().unwrap();
            let said = error.to_string();
            assert!(matches!(error, Error::Unsupported { .. }), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        };
        let qp = RateControl::ConstQp { intra: 20, inter_p: 20, inter_b: 20 };
        let h264 = || config(Codec::H264);
        refused(h264().rate_control(qp), &NONE, &["constqp 20", "quality"]);
        refused(h264().b_frames(3), &NONE, &["b_frames 3", "0 to 2"]);
        refused(h264().b_frames(1).low_latency(true), &NONE, &["b_frames 1", "low_latency"]);
        refused(h264().vbv_bits(1000), &NONE, &["vbv_bits 1000"]);
        refused(h264().gop_length(0), &NONE, &["gop_length 0"]);
        refused(h264().profile(Profile::High10), &NONE, &["profile high10", "baseline, main, high"]);
        refused(h264().format(PixelFormat::P010), &NONE, &["format p010le", "nv12"]);
        refused(config(Codec::Av1), &NONE, &["codec av1", "h264, hevc"]);
        let mut odd = h264();
        odd.dimensions = size(101, 100);
        refused(odd, &NONE, &["dimensions 101x100", "even"]);
        let light = h264().content_light("1000,400".parse().ok());
        refused(light, &NONE, &["content_light 1000,400", "hevc with 10 bits"]);
        let foreign = BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default());
        refused(h264(), &foreign, &["backend settings nvidia"]);
        let error = EncodeSession::new(VT, h264().device("1".to_owned())).err().unwrap();
        assert!(error.to_string().contains("no device \"1\""), "{error}");
    });
}

#[test]
fn an_encoder_on_the_cpu_is_taken_only_when_it_may() {
    clean_on("vm", "an_encoder_on_the_cpu_is_taken_only_when_it_may", "", || {
        assert!(EncodeSession::new(VT, config(Codec::H264)).is_err());
        let may = BackendEncodeConfig::VideoToolbox(VtEncodeConfig::default().allow_cpu(true));
        let session = EncodeSession::with_special(VT, config(Codec::H264), &may).unwrap();
        let notes = session.receipt().notes.join("; ");
        assert!(notes.contains("encodes on the CPU"), "{notes}");
    });
}

#[test]
fn a_frame_that_the_encoder_drops_is_told() {
    clean("a_frame_that_the_encoder_drops_is_told", "drop.encode.at=5", || {
        let config = config(Codec::H264);
        let mut session = open(&config);
        let packets = all_well(encode(&mut session, (0..10).map(|n| frame(n, config.format))));
        assert_eq!(packets.len(), 9);
        let losses = format!("{:?}", session.summary().losses);
        assert!(losses.contains("rate control"), "{losses}");
    });
}

#[test]
fn a_lost_session_costs_no_frame_where_another_encoder_goes_on() {
    for settings in ["invalidate.encode.at=12", "fail.encode.at=12:-12912", "fail.encode.call=12:-12903"] {
        clean("a_lost_session_costs_no_frame_where_another_encoder_goes_on", settings, || {
            let config = config(Codec::H264);
            let policy = FailurePolicy::Next;
            let mut session =
                EncodeSession::with_failover(Backend::Auto, config.clone(), &NONE, policy).unwrap();
            assert_eq!(session.receipt().engine(), Some(Candidate::VideoToolbox), "{:#}", session.receipt());
            let packets = all_well(encode(&mut session, (0..30).map(|n| frame(n, config.format))));
            check_times(&packets, 0..30);
            assert_eq!(session.summary().takeovers.len(), 1);
        });
    }
}

/// A Mac that was asleep: all sessions are lost, and new ones work.
#[test]
fn the_same_encoder_goes_on_after_sleep() {
    let run = clean("the_same_encoder_goes_on_after_sleep", "sleep.encode.at=12", || {
        let config = config(Codec::H264);
        let policy = FailurePolicy::Reopen;
        let backend = Backend::from(VT);
        let mut session = EncodeSession::with_failover(backend, config.clone(), &NONE, policy).unwrap();
        let packets = all_well(encode(&mut session, (0..30).map(|n| frame(n, config.format))));
        check_times(&packets, 0..30);
        judge(config.codec, &packets, 30);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTCompressionSessionCreate"), 2);
    }
}

/// Nobody waits for ever: such an encoder does not work, and another one goes on with all that it had.
#[test]
fn a_callback_that_never_comes_is_the_end_of_its_encoder() {
    for (case, low_latency) in [("waited for", true), ("asked for by the flush", false)] {
        clean_case(
            "m1",
            "a_callback_that_never_comes_is_the_end_of_its_encoder",
            "lose.encode.at=5",
            case,
            |_| {
                let config = config(Codec::H264).low_latency(low_latency);
                let frames = || (0..8).map(|n| frame(n, config.format));
                let policy = FailurePolicy::Next;
                let mut session =
                    EncodeSession::with_failover(Backend::Auto, config.clone(), &NONE, policy).unwrap();
                check_times(&all_well(encode(&mut session, frames())), 0..8);
                assert_eq!(session.summary().takeovers.len(), 1);
            },
        );
    }
    clean("a_callback_that_never_comes_is_the_end_of_its_encoder", "lose.encode.at=5", || {
        let config = config(Codec::H264);
        let got = encode(&mut open(&config), (0..8).map(|n| frame(n, config.format)));
        let errors: Vec<_> = got.iter().filter_map(|got| got.as_ref().err()).collect();
        let [error @ Error::Backend { backend: VT, .. }] = &errors[..] else { panic!("{errors:?}") };
        assert!(error.to_string().contains("told nothing of a frame"), "{error}");
    });
}

#[test]
fn without_another_the_reason_is_told() {
    clean("without_another_the_reason_is_told", "invalidate.encode.at=12", || {
        let config = config(Codec::Hevc);
        let mut session = open(&config);
        let got = encode(&mut session, (0..30).map(|n| frame(n, config.format)));
        let errors: Vec<_> = got.into_iter().filter_map(Result::err).collect();
        assert!(matches!(&errors[..], [Error::DeviceLost { backend: VT, .. }]), "{errors:?}");
    });
}

/// It is told to hold nothing back, and waited for once more.
#[test]
fn a_packet_that_does_not_come_is_not_waited_for_for_ever() {
    let run = clean("a_packet_that_does_not_come_is_not_waited_for_for_ever", "delay.encode_ms=1100", || {
        let config = config(Codec::H264).low_latency(true);
        let mut session = open(&config);
        let packets = all_well(encode(&mut session, [frame(0, config.format)]));
        assert_eq!(packets.len(), 1);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTCompressionSessionCompleteFrames"), 2);
    }
}

/// What an encoder cannot do for latency it does without, and says so; a frame that fails costs that frame.
#[test]
fn an_encoder_without_low_latency_rate_control_takes_its_usual_one() {
    let settings = "fail.create.encode.at=1:-12912;fail.encode.at=3:-12909";
    clean("an_encoder_without_low_latency_rate_control_takes_its_usual_one", settings, || {
        let config = config(Codec::H264).low_latency(true);
        let mut session = open(&config);
        let notes = session.receipt().notes.join("; ");
        assert!(notes.contains("no rate control for low latency"), "{notes}");
        let got = encode(&mut session, (0..8).map(|n| frame(n, config.format)));
        let errors: Vec<_> = got.iter().filter_map(|got| got.as_ref().err()).collect();
        assert!(matches!(&errors[..], [Error::CorruptStream { .. }]), "{errors:?}");
        assert_eq!(got.len(), 8);
    });
}

/// Pictures of a decoder's that the encoder was not opened for are copied: a part of a picture, and one of another range or matrix.
#[test]
fn pictures_that_do_not_fit_as_they_are_are_copied() {
    clean("pictures_that_do_not_fit_as_they_are_are_copied", "", || {
        let frames = video_hw::frames(clip("small.h264")).backend(VT).native().open().unwrap();
        let first = frames.take(1).next().unwrap().unwrap();
        let size = Dimensions::new(96, 64).unwrap();
        let device = first.as_device().unwrap().crop(Crop { left: 16, top: 8, size }).unwrap();
        let part = Frame { dimensions: size, surface: Surface::Device(device), ..first.clone() };
        let full = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
        let ntsc = ColorInfo { matrix: MatrixCoefficients::Smpte170M, ..ColorInfo::BT709 };
        let mut tagged = video_hw::frames(clip("bars.mp4")).backend(VT).native().open().unwrap();
        let tagged = tagged.next().unwrap().unwrap();
        for (frame, color) in [(part, ColorInfo::BT709), (first, full), (tagged, ntsc)] {
            let mut config = config(Codec::H264).format(PixelFormat::Nv12).color(color);
            config.dimensions = frame.dimensions;
            let mut session = open(&config);
            let bytes = config.format.frame_bytes(frame.dimensions) as u64;
            assert_eq!(all_well(encode(&mut session, [frame])).len(), 1);
            assert_eq!(session.summary().input_copy_bytes, bytes);
        }
        let mut session = open(&config(Codec::H264));
        let nothing = Frame { surface: Surface::None, ..frame(0, config(Codec::H264).format) };
        assert!(session.submit(nothing).unwrap_err().to_string().contains("no picture"));
        let mut message = frame(0, config(Codec::H264).format);
        message.user_sei.push(video_hw::frame::UserSei::new(5, vec![1; 20]));
        assert!(session.submit(message).unwrap_err().to_string().contains("user SEI message"));
    });
}

/// Also while packets wait for somebody who takes them.
#[test]
fn a_session_may_go_at_any_time() {
    clean("a_session_may_go_at_any_time", "", || {
        for frames in [0, 1, 5, 200] {
            let config = config(Codec::H264);
            let mut session = open(&config);
            for number in 0..frames {
                if matches!(session.submit(frame(number, config.format)), Ok(Submit::Full(_))) {
                    break;
                }
            }
        }
    });
}
