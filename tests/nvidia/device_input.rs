//! Frames in device memory as the encoder's input, on the simulated driver (`sims/nvidia/`): nothing is copied, no rule broken,
//! nothing left behind, and the pictures are those that went in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, Crop, DecodeOutputMode, Engines};
use video_hw::dimensions::Dimensions;
use video_hw::error::{Error, Result};
use video_hw::frame::{DeviceMemory, DevicePlane, DeviceSurface, Frame, Surface};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::transform;

use crate::support::nvenc::{all_well, config, encode, nvidia, open, submit, tuned};
use crate::support::nvidia::{Run, clean_on, clip, fault, planar, simulated_on};
use crate::support::picture::{assert_alike, have_ffmpeg, pictures};

const WAIT: Duration = Duration::from_millis(20);
/// Of the small clips.
const SIZE: (usize, usize) = (178, 146);

/// A test on a card with decoder and encoder, and what the simulation says of it.
fn on_card(test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    simulated_on("ada", test, settings, body).inspect(Run::assert_clean)
}

/// The frames of a clip, where the decoder put them.
fn device_frames(name: &str, count: usize) -> Vec<Frame> {
    let frames = video_hw::frames(clip(name)).native().backend(BackendKind::Nvidia).open().unwrap();
    let frames: Vec<_> = frames.take(count).collect::<Result<_>>().unwrap();
    assert!(frames.len() == count && frames.iter().all(|frame| frame.as_device().is_some()));
    frames
}

fn config_for(codec: Codec, frame: &Frame) -> CommonEncodeConfig {
    config(codec).dimensions(frame.dimensions).format(frame.format)
}

/// The coded pictures in display order as ffmpeg decodes them.
fn decoded(codec: Codec, packets: &[Packet], size: (usize, usize)) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(if codec == Codec::H264 { "out.h264" } else { "out.h265" });
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
    std::fs::write(&file, bytes).unwrap();
    pictures(&file, size)
}

/// The frames as packed planar pictures of 8 bits.
fn downloaded(frames: &[Frame]) -> Vec<Vec<u8>> {
    let planar_of = |frame: &Frame| {
        let host = transform::to_host(frame.clone()).unwrap();
        let samples = planar(&host);
        if frame.format == PixelFormat::P010 {
            let deep = samples.as_chunks::<2>().0.iter();
            return deep.map(|sample| ((u16::from_le_bytes(*sample) + 2) >> 2).min(255) as u8).collect();
        }
        samples
    };
    frames.iter().map(planar_of).collect()
}

/// Encodes frames: one packet each with its own time, and nothing was copied on the way in.
fn encoded(session: &mut EncodeSession, frames: &[Frame]) -> Vec<Packet> {
    let packets = all_well(encode(session, frames.iter().cloned()));
    let mut shown: Vec<_> = packets.iter().map(|packet| packet.pts.unwrap()).collect();
    shown.sort();
    assert_eq!(shown, frames.iter().map(|frame| frame.pts).collect::<Vec<_>>());
    let summary = session.summary();
    assert_eq!((summary.input_copy_bytes, summary.device_copy_bytes), (0, 0));
    assert_eq!(summary.output_copy_bytes, summary.bytes_out);
    packets
}

#[test]
fn frames_of_the_decoder_go_in_as_they_are() {
    for (clip, codec, format) in [
        ("small.h264", Codec::Hevc, PixelFormat::Nv12),
        ("small.h265", Codec::H264, PixelFormat::Nv12),
        ("small-10bit.h265", Codec::Hevc, PixelFormat::P010),
    ] {
        let case = format!("{clip} {codec} {format}");
        let run = crate::support::nvidia::simulated_case_on(
            "ada",
            "frames_of_the_decoder_go_in_as_they_are",
            "",
            &case,
            |case| {
                let mut words = case.split(' ');
                let frames = device_frames(words.next().unwrap(), 40);
                let codec: Codec = words.next().unwrap().parse().unwrap();
                assert_eq!(frames[0].format.name(), words.next().unwrap());
                let mut session = open(&config_for(codec, &frames[0]), &nvidia(6));
                let packets = encoded(&mut session, &frames);
                if have_ffmpeg() {
                    assert_alike(&downloaded(&frames), &decoded(codec, &packets, SIZE), 34.0, case);
                }
            },
        );
        let Some(run) = run else { return };
        run.assert_clean();
        assert_eq!(run.calls("nvEncMapInputResource"), 40);
        assert_eq!(run.calls("nvEncUnmapInputResource"), 40);
        assert_eq!(run.calls("nvEncCreateInputBuffer"), 0, "memory for host frames");
        // A copy of the decoder's for each plane of the 50 pictures, and the downloads for comparison.
        assert!(run.calls("cuMemcpy2DAsync") <= 50 * 2 + 40 * 2);
    }
}

#[test]
fn b_frames_and_pictures_in_flight() {
    on_card("b_frames_and_pictures_in_flight", "", || {
        let frames = device_frames("small.h264", 30);
        let judge = downloaded(&frames);
        for codec in [Codec::H264, Codec::Hevc] {
            for b_frames in [0, 1, 3] {
                for in_flight in [1, 2, 6] {
                    let b_frames = Some(b_frames);
                    let config = config_for(codec, &frames[0]).b_frames(b_frames).gop_length(12);
                    let mut session = open(&config, &nvidia(in_flight));
                    let packets = encoded(&mut session, &frames);
                    if have_ffmpeg() {
                        let what = format!("{codec} {b_frames:?} {in_flight}");
                        assert_alike(&judge, &decoded(codec, &packets, SIZE), 34.0, &what);
                    }
                }
            }
        }
        // Lookahead holds many frames back.
        encoded(&mut open(&config_for(Codec::H264, &frames[0]), &tuned("p7", "hq")), &frames);
    });
}

/// A decoder that goes on while its frames are encoded: its memory comes again, and with it the registration.
#[test]
fn memory_is_registered_once() {
    let run = on_card("memory_is_registered_once", "", || {
        // Of several decoders more pictures are on their way, each in memory of its own.
        let film = video_hw::frames(clip("bars.mp4")).native().backend(BackendKind::Nvidia);
        let frames = film.engines(Engines::One).open().unwrap();
        let mut session = None;
        let mut got = Vec::new();
        for frame in frames {
            let frame = frame.unwrap();
            let session = session.get_or_insert_with(|| open(&config_for(Codec::H264, &frame), &nvidia(2)));
            assert!(submit(session, [frame], &mut got));
        }
        let mut session = session.unwrap();
        got.extend(session.drain().unwrap());
        assert_eq!(all_well(got).len(), 120);
    });
    let Some(run) = run else { return };
    let registered = run.calls("nvEncRegisterResource");
    // What is between the decoder and the encoder's output at once: queues and pictures on their way.
    assert!((1..=32).contains(&registered), "{registered} registrations for 120 frames");
    assert_eq!(run.calls("nvEncUnregisterResource"), registered);
    assert_eq!(run.calls("nvEncMapInputResource"), 120);
}

/// What an encoder has registered is freed when its owner frees it, not when the encoder next has work: on a card with so
/// little memory the second clip would find none.
#[test]
fn an_encoder_at_rest_holds_no_memory_of_others() {
    on_card("an_encoder_at_rest_holds_no_memory_of_others", "device.0.memory_mib=100", || {
        // 53 MiB each time, and what the decoder is ahead.
        let frames = device_frames("bars.mp4", 100);
        let mut session = open(&config_for(Codec::H264, &frames[0]), &nvidia(2));
        encoded(&mut session, &frames);
        drop(frames);
        assert_eq!(device_frames("bars.mp4", 100).len(), 100);
        drop(session);
    });
}

/// More memory at a time than is kept registered: the oldest is let go of, and registered anew when it comes again.
#[test]
fn what_is_kept_registered_is_bounded() {
    let run = on_card("what_is_kept_registered_is_bounded", "", || {
        let mut frames = Vec::new();
        for name in ["small.h264", "small.h265", "vfr-rotated.mp4"] {
            frames.extend(device_frames(name, 50));
        }
        let mut session = open(&config_for(Codec::H264, &frames[0]), &nvidia(4));
        for pass in 0..2 {
            let again: Vec<_> = frames
                .iter()
                .zip(pass * frames.len()..)
                .map(|(frame, n)| Frame { pts: crate::support::nvenc::pts(n), ..frame.clone() })
                .collect();
            encoded(&mut session, &again);
        }
    });
    let Some(run) = run else { return };
    assert_eq!(run.calls("nvEncMapInputResource"), 300);
    assert_eq!(run.calls("nvEncRegisterResource"), 300, "150 frames, each gone when it comes again");
    assert_eq!(run.calls("nvEncUnregisterResource"), 300);
}

/// Frames that outlive the encoder, and an encoder that outlives the memory of its frames.
#[test]
fn memory_goes_when_its_owner_lets_go_of_it() {
    on_card("memory_goes_when_its_owner_lets_go_of_it", "", || {
        let frames = device_frames("small.h264", 10);
        let before = downloaded(&frames);
        let mut first = open(&config_for(Codec::H264, &frames[0]), &nvidia(4));
        let mut second = open(&config_for(Codec::Hevc, &frames[0]), &nvidia(4));
        assert_eq!(encoded(&mut first, &frames).len(), 10);
        assert_eq!(encoded(&mut second, &frames).len(), 10);
        drop(first);
        // Encoders only read: what the caller holds is as it was.
        assert!(downloaded(&frames) == before);
        drop(frames);
        // The decoder's session has ended, so that the frames' memory was freed with them; new frames get new memory,
        // whatever its addresses are.
        let mut again = device_frames("small.h265", 10);
        for (number, frame) in again.iter_mut().enumerate() {
            frame.pts = frame.pts.offset(1 << 20).offset(number as i64);
        }
        let packets = all_well(encode(&mut second, again.iter().cloned()));
        if have_ffmpeg() {
            assert_alike(&downloaded(&again), &decoded(Codec::Hevc, &packets, SIZE), 34.0, "new memory");
        }
    });
}

#[test]
fn a_frame_may_be_encoded_several_times_over() {
    on_card("a_frame_may_be_encoded_several_times_over", "", || {
        let frames = device_frames("small.h264", 6);
        let judge = downloaded(&frames);
        for b_frames in [0, 3] {
            let config = config_for(Codec::H264, &frames[0]).b_frames(b_frames);
            let mut session = open(&config, &nvidia(6));
            let repeated: Vec<_> = (0..24)
                .map(|n| Frame { pts: crate::support::nvenc::pts(n), ..frames[n / 4].clone() })
                .collect();
            let packets = encoded(&mut session, &repeated);
            if have_ffmpeg() {
                let wanted: Vec<_> = (0..24).map(|n| judge[n / 4].clone()).collect();
                assert_alike(&wanted, &decoded(Codec::H264, &packets, SIZE), 34.0, "repeated");
            }
        }
    });
}

/// Parts of pictures begin anywhere in their memory: what the encoder cannot read as it lies is copied, inside the device.
#[test]
fn a_part_of_a_frame_is_copied_inside_the_device() {
    let run = on_card("a_part_of_a_frame_is_copied_inside_the_device", "", || {
        let size = Dimensions::new(200, 100).unwrap();
        let frames = device_frames("bars.mp4", 12);
        let parts: Vec<_> = frames
            .iter()
            .map(|frame| {
                let part = frame.as_device().unwrap().crop(Crop { left: 302, top: 118, size }).unwrap();
                Frame { dimensions: size, surface: Surface::Device(part), ..frame.clone() }
            })
            .collect();
        let mut session = open(&config_for(Codec::H264, &parts[0]), &nvidia(4));
        let packets = all_well(encode(&mut session, parts.iter().cloned()));
        let summary = session.summary();
        let bytes = PixelFormat::Nv12.frame_bytes(size) as u64;
        assert_eq!((summary.input_copy_bytes, summary.device_copy_bytes), (0, 12 * bytes));
        let whole = downloaded(&frames);
        let judge = downloaded(&parts);
        // The part itself: a row of luma in both.
        assert_eq!(judge[5][..200], whole[5][118 * 640 + 302..][..200]);
        if have_ffmpeg() {
            assert_alike(&judge, &decoded(Codec::H264, &packets, (200, 100)), 34.0, "parts");
        }
        let device = frames[0].as_device().unwrap();
        for (left, top) in [(1, 0), (0, 1), (442, 0), (0, 262), (u32::MAX, 0)] {
            assert!(device.crop(Crop { left, top, size }).is_err(), "{left},{top}");
        }
    });
    if let Some(run) = run {
        assert!(run.calls("nvEncRegisterResource") <= 12, "the copies' memory is used again");
    }
}

/// Memory of which the library knows nothing but what it says.
#[derive(Debug)]
struct Foreign;

impl DeviceMemory for Foreign {
    fn device(&self) -> u32 {
        0
    }

    fn download(&self, _: &DevicePlane, _: &mut [u8]) -> Result<()> {
        Err(Error::invalid("not to be had"))
    }
}

#[test]
fn a_frame_that_cannot_be_read_is_refused_alone() {
    on_card("a_frame_that_cannot_be_read_is_refused_alone", "", || {
        let frames = device_frames("small.h264", 12);
        let mut session = open(&config_for(Codec::H264, &frames[0]), &nvidia(4));
        let mut mixed: Vec<_> = frames.clone();
        let own = frames[3].as_device().unwrap();
        let foreign =
            DeviceSurface::new(own.format(), own.dimensions(), own.planes().to_vec(), Arc::new(Foreign));
        mixed[3].surface = Surface::Device(foreign.unwrap());
        mixed[5].surface = Surface::None;
        mixed[7] = transform::to_host(mixed[7].clone()).unwrap();
        let mut words = Vec::new();
        let mut got = Vec::new();
        for frame in mixed {
            // The session's queue may be full of others; what it refuses is the caller's again.
            loop {
                match session.submit(frame.clone()) {
                    Ok(Submit::Accepted) => break,
                    Ok(Submit::Full(_)) => got.extend(session.reap_timeout(WAIT).transpose()),
                    Err(error) => {
                        words.push(error.to_string());
                        break;
                    }
                }
            }
        }
        got.extend(session.drain().unwrap());
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].contains("not made by this library's decoder"), "{words:?}");
        assert!(words[1].contains("has no picture"), "{words:?}");
        let packets = all_well(got);
        assert_eq!(packets.len(), 10);
        let summary = session.summary();
        // One came from host memory.
        assert_eq!(summary.input_copy_bytes, PixelFormat::Nv12.frame_bytes(frames[0].dimensions) as u64);
        if have_ffmpeg() {
            let rest: Vec<_> = (0..12).filter(|n| ![3, 5].contains(n)).map(|n| frames[n].clone()).collect();
            assert_alike(&downloaded(&rest), &decoded(Codec::H264, &packets, SIZE), 34.0, "the others");
        }
    });
}

#[test]
fn a_frame_of_another_card_is_refused_in_words() {
    let card = |name: &str| {
        format!(
            "{{name='{name}',memory_mib=4096,compute=[8,9],nvdec_engines=1,nvenc_engines=1,nvenc={{h264={{}}}},\
             nvdec=[{{codec='h264',chroma=[420],depth=[8],min=[48,16],max=[4096,4096]}}]}}"
        )
    };
    let settings = format!("device=[{},{}]", card("First"), card("Second"));
    on_card("a_frame_of_another_card_is_refused_in_words", &settings, || {
        let frames = device_frames("small.h264", 3);
        let config = config_for(Codec::H264, &frames[0]).device(Some("1".into()));
        let mut session = open(&config, &nvidia(4));
        for frame in frames {
            let words = session.submit(frame).unwrap_err().to_string();
            assert!(words.contains("device 0") && words.contains("device 1"), "{words}");
        }
        assert_eq!(session.summary().ledger.submitted, 0);
    });
}

/// Runs into a failure: what came before it, and the failure.
fn run_into_failure(b_frames: u32) -> (usize, Error) {
    let frames = device_frames("small.h264", 30);
    let config = config_for(Codec::H264, &frames[0]).b_frames(b_frames);
    let mut session = open(&config, &nvidia(4));
    let got = encode(&mut session, frames);
    let well = got.iter().filter(|packet| packet.is_ok()).count();
    let errors: Vec<_> = got.into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1, "one error ends it: {errors:?}");
    (well, errors.into_iter().next().unwrap())
}

#[test]
fn a_call_that_fails_ends_the_session_after_what_came_before() {
    for (function, code) in [("nvEncRegisterResource", 20), ("nvEncMapInputResource", 16)] {
        for b_frames in [0, 3] {
            let case = format!("{function} {code} {b_frames}");
            let effect = fault(function, 8, &format!("code={code}"));
            let run = crate::support::nvidia::simulated_case_on(
                "ada",
                "a_call_that_fails_ends_the_session_after_what_came_before",
                &effect,
                &case,
                |case| {
                    let words: Vec<_> = case.split(' ').collect();
                    let (well, error) = run_into_failure(words[2].parse().unwrap());
                    assert_eq!(well, 7, "what was inside comes out");
                    let Error::Backend { call, code, .. } = &error else { panic!("{error:?}") };
                    assert_eq!((*call, code.to_string().as_str()), (words[0], words[1]), "{error}");
                },
            );
            if let Some(run) = run {
                run.assert_clean();
            }
        }
    }
}

#[test]
fn a_frame_without_memory_is_lost_alone() {
    for function in ["nvEncRegisterResource", "nvEncMapInputResource", "nvEncEncodePicture"] {
        clean_on("ada", "a_frame_without_memory_is_lost_alone", &fault(function, 8, "code=10"), || {
            let frames = device_frames("small.h264", 20);
            let mut session = open(&config_for(Codec::H264, &frames[0]), &nvidia(4));
            let got = encode(&mut session, frames);
            let lost: Vec<_> = got.iter().filter_map(|packet| packet.as_ref().err()).collect();
            assert!(matches!(lost[..], [Error::OutOfMemory { .. }]), "{lost:?}");
            assert_eq!(got.len(), 20);
        });
    }
}

#[test]
fn memory_for_a_host_frame_that_is_not_to_be_had_loses_it_alone() {
    let test = "memory_for_a_host_frame_that_is_not_to_be_had_loses_it_alone";
    clean_on("ada", test, &fault("nvEncCreateInputBuffer", 3, "code=10"), || {
        let mut session = open(&config(Codec::H264), &nvidia(6));
        let frames = (0..20).map(|n| crate::support::nvenc::frame(n, PixelFormat::I420));
        let got = encode(&mut session, frames);
        let lost: Vec<_> = got.iter().filter_map(|packet| packet.as_ref().err()).collect();
        // Whether a third is ever needed depends on who is faster.
        assert!(lost.len() <= 1 && lost.iter().all(|e| matches!(e, Error::OutOfMemory { .. })), "{lost:?}");
        assert_eq!(got.len(), 20);
    });
}

#[test]
fn a_lost_device_ends_the_session_as_lost() {
    for (function, call) in [
        ("nvEncRegisterResource", 5),
        ("nvEncMapInputResource", 9),
        ("nvEncUnmapInputResource", 4),
        ("nvEncEncodePicture", 8),
        ("nvEncLockBitstream", 5),
    ] {
        clean_on(
            "ada",
            "a_lost_device_ends_the_session_as_lost",
            &fault(function, call, "device_lost=true"),
            || {
                let (_, error) = run_into_failure(3);
                assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
            },
        );
    }
}

#[test]
fn a_session_may_go_with_frames_inside() {
    on_card("a_session_may_go_with_frames_inside", "", || {
        let frames = device_frames("small.h264", 20);
        for special in [nvidia(1), nvidia(6), tuned("p7", "hq")] {
            for count in [1, 3, 20] {
                let config = config_for(Codec::H264, &frames[0]).b_frames(3);
                let mut session = open(&config, &special);
                submit(&mut session, frames[..count].iter().cloned(), &mut Vec::new());
            }
        }
    });
}

#[test]
fn rgb_made_by_the_gpu_goes_in_as_it_is() {
    on_card("rgb_made_by_the_gpu_goes_in_as_it_is", "", || {
        let frames = video_hw::frames(clip("small.h264"))
            .native()
            .convert(video_hw::config::ColorRequest::To(PixelFormat::Bgra))
            .backend(BackendKind::Nvidia)
            .open()
            .unwrap();
        let frames: Vec<_> = frames.take(10).collect::<Result<_>>().unwrap();
        let mut config = config_for(Codec::H264, &frames[0]);
        config.color = video_hw::color::ColorInfo::UNSPECIFIED;
        let mut session = open(&config, &BackendEncodeConfig::None);
        let packets = encoded(&mut session, &frames);
        if have_ffmpeg() {
            let wanted = pictures(Path::new(&clip("small.h264")), SIZE);
            assert_alike(&wanted[..10], &decoded(Codec::H264, &packets, SIZE), 26.0, "rgb");
        }
    });
}

#[test]
fn several_encoders_read_the_same_frames_at_once() {
    on_card("several_encoders_read_the_same_frames_at_once", "", || {
        let frames = device_frames("small.h264", 30);
        let judge = downloaded(&frames);
        std::thread::scope(|scope| {
            for codec in [Codec::H264, Codec::Hevc, Codec::H264] {
                let (frames, judge) = (&frames, &judge);
                scope.spawn(move || {
                    let mut session = open(&config_for(codec, &frames[0]), &nvidia(3));
                    let packets = encoded(&mut session, frames);
                    if have_ffmpeg() {
                        assert_alike(judge, &decoded(codec, &packets, SIZE), 34.0, "side by side");
                    }
                });
            }
        });
    });
}

/// What is not in the mode that was asked for is told at once.
#[test]
fn metadata_has_nothing_to_encode() {
    on_card("metadata_has_nothing_to_encode", "", || {
        let frames = video_hw::frames(clip("small.h264"))
            .output(DecodeOutputMode::MetadataOnly)
            .backend(BackendKind::Nvidia)
            .open()
            .unwrap();
        let frames: Vec<_> = frames.take(2).collect::<Result<_>>().unwrap();
        let mut session = open(&config_for(Codec::H264, &frames[0]), &nvidia(2));
        for frame in frames {
            assert!(session.submit(frame).unwrap_err().to_string().contains("has no picture"));
        }
    });
}
