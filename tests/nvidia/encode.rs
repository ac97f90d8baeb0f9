//! Encoding by NVENC on the simulated driver (`sims/nvidia/`): the library code that runs on a card, judged by ffmpeg for its
//! streams, by the simulation for its manners, and by its answers when calls fail.

use video_hw::backend::{Backend, BackendKind, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorRange};
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};
use video_hw::error::{Error, Remedy};
use video_hw::packet::{Packet, PictureType};
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;
use video_hw::time::Rational;

use crate::support::nvenc::{
    all_well, check_pictures, check_times, config, decoded, encode, ffprobe, frame, have_ffmpeg, luma_of_rgb,
    next_encoder, nvidia, open, planar, submit, tuned,
};
use crate::support::nvidia::{clean_on, fault, simulated_case_on, simulated_on};

/// A test on a card with an encoder. Where a test runs several times, only `settings` may differ: the process that runs
/// the body takes the first one that it comes to.
fn clean(test: &str, settings: &str, body: impl FnOnce()) {
    clean_on("ada", test, settings, body);
}

/// Encodes frames 0 to `count` and holds times and pictures against what went in.
fn round_trip(config: &CommonEncodeConfig, special: &BackendEncodeConfig, count: usize) -> Vec<Packet> {
    let mut session = open(config, special);
    let packets = all_well(encode(&mut session, (0..count).map(|n| frame(n, config.format))));
    check_times(&packets, 0..count);
    if have_ffmpeg() {
        let wanted = match config.format {
            PixelFormat::Bgra | PixelFormat::Rgba => luma_of_rgb,
            _ => planar,
        };
        check_pictures(&decoded(config.codec, &packets), 0..count, wanted);
    }
    packets
}

fn types(packets: &[Packet], kind: PictureType) -> usize {
    packets.iter().filter(|packet| packet.picture_type == Some(kind)).count()
}

#[test]
fn b_frames_come_out_in_place() {
    clean("b_frames_come_out_in_place", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            for b_frames in 0..=3 {
                for in_flight in [1, 2, 6] {
                    let config = config(codec).b_frames(b_frames).gop_length(12);
                    let packets = round_trip(&config, &nvidia(in_flight), 26);
                    assert_eq!(types(&packets, PictureType::Idr), 3, "26 pictures in GOPs of 12");
                    assert_eq!(types(&packets, PictureType::B) > 0, b_frames > 0);
                    assert!(packets[0].keyframe);
                }
            }
        }
    });
}

/// Hardware that takes its time, now more and now less: both threads wait for each other in every way.
#[test]
fn a_slow_encoder_gives_the_same() {
    let slow = "time.enabled=true;time.encode_ns_per_frame=3000000;time.jitter=0.9";
    clean("a_slow_encoder_gives_the_same", slow, || {
        for special in [nvidia(1), nvidia(3), tuned("p7", "hq")] {
            let config = config(Codec::H264).b_frames(2);
            round_trip(&config, &special, 60);
        }
    });
}

#[test]
fn every_format_is_taken() {
    clean("every_format_is_taken", "", || {
        for format in
            [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::P010, PixelFormat::Bgra, PixelFormat::Rgba]
        {
            for codec in [Codec::H264, Codec::Hevc] {
                let config = config(codec).format(format);
                if format == PixelFormat::P010 && codec == Codec::H264 {
                    let refused = EncodeSession::with_special(BackendKind::Nvidia, config, &nvidia(6));
                    assert!(matches!(refused, Err(Error::Unsupported { .. })));
                } else {
                    round_trip(&config, &nvidia(6), 8);
                }
            }
        }
    });
}

#[test]
fn every_api_version_is_spoken() {
    for version in ["11.1", "12.0", "12.1", "12.2", "13.0"] {
        clean("every_api_version_is_spoken", &format!("driver.nvenc={version}"), || {
            let deep = config(Codec::Hevc).format(PixelFormat::P010);
            let packets = round_trip(&deep, &nvidia(6), 10);
            if have_ffmpeg() {
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join("out.h265");
                let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
                std::fs::write(&file, bytes).unwrap();
                assert_eq!(ffprobe(&file, "stream=profile,pix_fmt"), ["Main 10,yuv420p10le"]);
            }
            round_trip(&config(Codec::H264), &nvidia(6), 10);
        });
    }
}

#[test]
fn a_driver_that_is_too_old_is_named() {
    clean("a_driver_that_is_too_old_is_named", "driver.nvenc='11.0'", || {
        let refused = EncodeSession::with_special(BackendKind::Nvidia, config(Codec::H264), &nvidia(6));
        match refused.err() {
            Some(Error::Unavailable { reason, remedy, .. }) => {
                assert!(reason.contains("11.0") && remedy.to_string().contains("470"), "{reason} {remedy}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn presets_and_tunings_work_with_lookahead_and_without() {
    clean("presets_and_tunings_work_with_lookahead_and_without", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            for preset in 1..=7 {
                round_trip(&config(codec), &tuned(&format!("p{preset}"), "hq"), 40);
            }
            for tuning in ["ll", "ull"] {
                let packets = round_trip(&config(codec), &tuned("p4", tuning), 12);
                assert_eq!(types(&packets, PictureType::B), 0);
            }
        }
    });
}

#[test]
fn lossless_loses_nothing() {
    clean("lossless_loses_nothing", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            let config = config(codec).rate_control(None);
            let packets = round_trip(&config, &tuned("p3", "lossless"), 8);
            if have_ffmpeg() {
                let pictures = decoded(codec, &packets);
                assert!(pictures.iter().enumerate().all(|(n, picture)| *picture == planar(n)), "{codec}");
            }
        }
    });
}

#[test]
fn every_rate_control_is_taken() {
    clean("every_rate_control_is_taken", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            for rate_control in [
                None,
                Some(RateControl::Cbr { bitrate_bps: 3_000_000 }),
                Some(RateControl::Vbr { avg_bps: 3_000_000, max_bps: None }),
                Some(RateControl::Vbr { avg_bps: 3_000_000, max_bps: Some(5_000_000) }),
            ] {
                round_trip(&config(codec).rate_control(rate_control), &nvidia(6), 12);
            }
        }
    });
}

#[test]
fn colour_and_aspect_are_in_the_stream() {
    clean("colour_and_aspect_are_in_the_stream", "", || {
        if !have_ffmpeg() {
            return;
        }
        for codec in [Codec::H264, Codec::Hevc] {
            let config = config(codec)
                .color(ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 })
                .sample_aspect_ratio(Rational::new(16, 11));
            let frames = (0..3).map(|n| frame(n, PixelFormat::I420));
            let packets = all_well(encode(&mut open(&config, &nvidia(6)), frames));
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(if codec == Codec::H264 { "out.h264" } else { "out.h265" });
            let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
            std::fs::write(&file, bytes).unwrap();
            let entries = "stream=sample_aspect_ratio,color_range,color_space,color_transfer,color_primaries";
            assert_eq!(ffprobe(&file, entries), ["16:11,pc,bt709,bt709,bt709"]);
        }
    });
}

#[test]
fn idr_pictures_come_where_they_are_forced() {
    clean("idr_pictures_come_where_they_are_forced", "", || {
        for (codec, b_frames) in [(Codec::H264, 0), (Codec::H264, 2), (Codec::Hevc, 3)] {
            let config = config(codec).b_frames(b_frames);
            let mut session = open(&config, &nvidia(4));
            let forced = [5, 6, 13];
            let frames = (0..20).map(|n| {
                let mut frame = frame(n, PixelFormat::I420);
                frame.force_keyframe = forced.contains(&n);
                frame
            });
            let packets = all_well(encode(&mut session, frames));
            check_times(&packets, 0..20);
            let keys: Vec<_> =
                packets.iter().filter(|packet| packet.keyframe).map(|packet| packet.pts).collect();
            assert_eq!(keys, [0, 5, 6, 13].map(|n| Some(crate::support::nvenc::pts(n))));
            if have_ffmpeg() {
                check_pictures(&decoded(codec, &packets), 0..20, planar);
            }
        }
        let every = config(Codec::H264).force_idr(true);
        assert!(round_trip(&every, &nvidia(6), 9).iter().all(|packet| packet.keyframe));
    });
}

#[test]
fn a_session_goes_on_after_a_flush() {
    clean("a_session_goes_on_after_a_flush", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            for in_flight in [1, 6] {
                let config = config(codec).b_frames(3);
                let mut session = open(&config, &nvidia(in_flight));
                let mut packets = Vec::new();
                for part in [0..7, 7..8, 8..21] {
                    let some =
                        all_well(encode(&mut session, part.clone().map(|n| frame(n, PixelFormat::I420))));
                    assert_eq!(some.len(), part.len(), "everything comes with the flush");
                    assert_eq!(some[0].picture_type, Some(PictureType::Idr), "and the next begins anew");
                    packets.extend(some);
                }
                assert!(session.flush().is_ok(), "an empty one");
                check_times(&packets, 0..21);
                if have_ffmpeg() {
                    check_pictures(&decoded(codec, &packets), 0..21, planar);
                }
            }
        }
    });
}

/// Buffers, session and context outlive a flush: what is made for two streams in one session is what is made for the first.
#[test]
fn a_flush_makes_nothing_anew() {
    let made = |flushes: &str| {
        simulated_case_on("ada", "a_flush_makes_nothing_anew", "", flushes, |flushes| {
            let config = config(Codec::H264).b_frames(2);
            let mut session = open(&config, &nvidia(3));
            for part in 0..flushes.parse().unwrap() {
                let frames = (part * 20..part * 20 + 20).map(|n| frame(n, PixelFormat::I420));
                assert_eq!(all_well(encode(&mut session, frames)).len(), 20);
            }
        })
        .map(|run| {
            run.assert_clean();
            [
                "nvEncOpenEncodeSessionEx",
                "nvEncInitializeEncoder",
                "nvEncCreateBitstreamBuffer",
                "nvEncCreateInputBuffer",
                "cuDevicePrimaryCtxRetain",
                "cuCtxCreate",
            ]
            .map(|function| run.calls(function))
        })
    };
    let Some(once) = made("1") else { return };
    assert_eq!(made("5"), Some(once));
    let [_, initialised, outputs, inputs, ..] = once;
    assert_eq!(initialised, 1);
    // As many as pictures were inside at once, and no more for twenty pictures: three in flight, two held back, and the one
    // that is handed over.
    assert!((4..=6).contains(&outputs) && (4..=6).contains(&inputs), "{outputs} outputs, {inputs} inputs");
}

/// Packets come while pictures still go in: nothing waits for the end.
#[test]
fn packets_come_as_soon_as_they_are_coded() {
    clean("packets_come_as_soon_as_they_are_coded", "", || {
        let config = config(Codec::H264).low_latency(true);
        let mut session = open(&config, &nvidia(6));
        for number in 0..5 {
            let mut got = Vec::new();
            assert!(submit(&mut session, [frame(number, PixelFormat::I420)], &mut got));
            let packet = session.reap_timeout(std::time::Duration::from_secs(60)).unwrap().unwrap();
            assert_eq!(packet.pts, Some(crate::support::nvenc::pts(number)));
        }
    });
}

#[test]
fn a_session_may_go_with_pictures_inside() {
    clean("a_session_may_go_with_pictures_inside", "", || {
        for special in [nvidia(1), nvidia(6), tuned("p7", "hq")] {
            for frames in [0, 1, 3, 30] {
                let config = config(Codec::H264).b_frames(3);
                let mut session = open(&config, &special);
                submit(&mut session, (0..frames).map(|n| frame(n, PixelFormat::I420)), &mut Vec::new());
            }
        }
    });
}

#[test]
fn the_capabilities_are_the_drivers() {
    clean("the_capabilities_are_the_drivers", "device.0.nvenc.h264.caps.num_max_bframes=2", || {
        let report = query_backend_capability(BackendKind::Nvidia, Codec::H264).unwrap().encode.unwrap();
        assert_eq!((report.implementation, report.max_b_frames), ("NVENC", 2));
        assert_eq!((report.min.width(), report.min.height(), report.max.width()), (146, 50, 4096));
        assert!(!report.formats.contains(&PixelFormat::P010) && report.cbr && report.vbr);
        let report = query_backend_capability(BackendKind::Nvidia, Codec::Hevc).unwrap().encode.unwrap();
        assert!(report.formats.contains(&PixelFormat::P010));
        let report = query_backend_capability(BackendKind::Nvidia, Codec::Av1).unwrap().encode.unwrap();
        assert_eq!((report.max_b_frames, report.qp_range), (0, (0, 255)));
        assert!(query_backend_capability(BackendKind::Nvidia, Codec::Vp9).unwrap().encode.is_none());
        let three = config(Codec::H264).b_frames(3);
        let refused = EncodeSession::with_special(BackendKind::Nvidia, three, &nvidia(6)).err().unwrap();
        assert!(refused.to_string().contains("0 to 2 (NUM_MAX_BFRAMES)"), "{refused}");
    });
}

#[test]
fn a_chip_without_encoder_leaves_the_work_to_the_next() {
    clean_on("h200", "a_chip_without_encoder_leaves_the_work_to_the_next", "", || {
        let refused = EncodeSession::new(BackendKind::Nvidia, config(Codec::H264)).err().unwrap();
        assert!(matches!(&refused, Error::Unavailable { remedy: Remedy::OtherDevice(_), .. }));
        assert!(query_backend_capability(BackendKind::Nvidia, Codec::H264).unwrap().encode.is_none());
        let mut session = EncodeSession::new(Backend::Auto, config(Codec::H264)).unwrap();
        let receipt = format!("{:#}", session.receipt());
        let next = next_encoder().name();
        assert!(receipt.contains(next) && receipt.contains("this GPU has no encoder"), "{receipt}");
        assert_eq!(all_well(encode(&mut session, (0..5).map(|n| frame(n, PixelFormat::I420)))).len(), 5);
    });
}

#[test]
fn the_session_limit_is_told_as_such() {
    for code in [10, 21] {
        let settings = format!("sessions.limit=1;sessions.code={code}");
        clean("the_session_limit_is_told_as_such", &settings, || {
            let held = open(&config(Codec::H264), &nvidia(6));
            let refused = EncodeSession::new(BackendKind::Nvidia, config(Codec::H264)).err().unwrap();
            assert!(matches!(refused, Error::SessionLimit { .. }), "{refused}");
            let next = EncodeSession::new(Backend::Auto, config(Codec::H264)).unwrap();
            assert!(
                format!("{:#}", next.receipt()).contains("refused at session limit"),
                "{:#}",
                next.receipt()
            );
            drop(held);
            open(&config(Codec::H264), &nvidia(6));
        });
    }
}

/// What came before a failure, and the failure.
fn run_into_failure(b_frames: u32) -> (usize, Error) {
    let config = config(Codec::H264).b_frames(b_frames);
    let mut session = open(&config, &nvidia(4));
    let got = encode(&mut session, (0..30).map(|n| frame(n, PixelFormat::I420)));
    let well = got.iter().filter(|packet| packet.is_ok()).count();
    let errors: Vec<_> = got.into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1, "one error ends it: {errors:?}");
    (well, errors.into_iter().next().unwrap())
}

fn lock_fails(test: &str, b_frames: u32) {
    clean(test, &fault("nvEncLockBitstream", 5, "code=20"), || {
        let (well, error) = run_into_failure(b_frames);
        assert_eq!(well, 4);
        assert!(matches!(error, Error::Backend { call: "nvEncLockBitstream", code: 20, .. }), "{error:?}");
    });
}

#[test]
fn a_lock_that_fails_ends_the_session_with_its_own_error() {
    lock_fails("a_lock_that_fails_ends_the_session_with_its_own_error", 0);
}

#[test]
fn a_lock_that_fails_among_b_frames_does_so_too() {
    lock_fails("a_lock_that_fails_among_b_frames_does_so_too", 3);
}

fn picture_refused(test: &str, b_frames: u32) {
    clean(test, &fault("nvEncEncodePicture", 8, "code=20"), || {
        let (well, error) = run_into_failure(b_frames);
        assert_eq!(well, 7, "what was inside comes out");
        assert!(matches!(error, Error::Backend { call: "nvEncEncodePicture", code: 20, .. }), "{error:?}");
    });
}

#[test]
fn a_picture_that_is_refused_ends_the_session_after_those_before_it() {
    picture_refused("a_picture_that_is_refused_ends_the_session_after_those_before_it", 0);
}

#[test]
fn a_picture_that_is_refused_among_b_frames_does_so_too() {
    picture_refused("a_picture_that_is_refused_among_b_frames_does_so_too", 3);
}

#[test]
fn a_picture_without_memory_is_lost_alone() {
    clean("a_picture_without_memory_is_lost_alone", &fault("nvEncEncodePicture", 8, "code=10"), || {
        let mut session = open(&config(Codec::H264), &nvidia(4));
        let got = encode(&mut session, (0..20).map(|n| frame(n, PixelFormat::I420)));
        let lost: Vec<_> = got.iter().filter_map(|packet| packet.as_ref().err()).collect();
        assert!(matches!(lost[..], [Error::OutOfMemory { .. }]), "{lost:?}");
        let packets: Vec<_> = got.into_iter().filter_map(Result::ok).collect();
        let rest = (0..20).filter(|n| *n != 7);
        check_times(&packets, rest.clone());
        if have_ffmpeg() {
            check_pictures(&decoded(Codec::H264, &packets), rest, planar);
        }
    });
}

#[test]
fn a_busy_encoder_is_waited_for() {
    let busy = fault("nvEncEncodePicture", 6, "count=4,code=18");
    let run = simulated_on("ada", "a_busy_encoder_is_waited_for", &busy, || {
        round_trip(&config(Codec::H264), &nvidia(2), 12);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("nvEncEncodePicture"), 12 + 4 + 1, "and the end of stream: {}", run.report);
        run.assert_clean();
    }
}

#[test]
fn an_encoder_that_is_busy_at_the_end_of_the_stream_is_waited_for() {
    let busy = fault("nvEncEncodePicture", 12 + 1, "count=4,code=18");
    let test = "an_encoder_that_is_busy_at_the_end_of_the_stream_is_waited_for";
    let run = simulated_on("ada", test, &busy, || {
        round_trip(&config(Codec::H264), &nvidia(2), 12);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("nvEncEncodePicture"), 12 + 4 + 1, "{}", run.report);
        run.assert_clean();
    }
}

#[test]
fn a_lost_device_ends_the_session_as_lost() {
    for (function, call) in [
        ("nvEncLockBitstream", 5),
        ("nvEncEncodePicture", 8),
        ("nvEncLockInputBuffer", 6),
        ("nvEncUnlockBitstream", 3),
    ] {
        clean("a_lost_device_ends_the_session_as_lost", &fault(function, call, "device_lost=true"), || {
            let (_, error) = run_into_failure(3);
            assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
        });
    }
}

#[test]
fn an_opening_that_fails_leaves_nothing_behind() {
    for (function, call) in [
        ("nvEncOpenEncodeSessionEx", 1),
        ("nvEncGetEncodeGUIDs", 1),
        ("nvEncGetEncodeCaps", 4),
        ("nvEncGetInputFormats", 1),
        ("nvEncGetEncodePresetConfigEx", 1),
        ("nvEncInitializeEncoder", 1),
        ("nvEncCreateBitstreamBuffer", 2),
    ] {
        clean("an_opening_that_fails_leaves_nothing_behind", &fault(function, call, "code=20"), || {
            let refused = EncodeSession::new(BackendKind::Nvidia, config(Codec::H264)).err().unwrap();
            assert!(matches!(refused, Error::Backend { code: 20, .. }), "{refused:?}");
            open(&config(Codec::H264), &nvidia(6));
        });
    }
}
