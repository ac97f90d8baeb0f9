//! What comes out of NVDEC, on the simulated driver: frames in device memory and in host memory, their memory's way
//! back, damaged pictures, and what becomes of frames when calls fail.

use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use video_hw::backend::BackendKind;
use video_hw::config::{ColorRequest, CommonDecodeConfig, DamagePolicy, DecodeOutputMode};
use video_hw::error::Error;
use video_hw::frame::{DeviceSurface, Frame};
use video_hw::packet::Packet;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, DecodeSummary, Submit};
use video_hw::transform;

use crate::support::streams::{have, run};

use crate::support::nvidia::{clean, decode_into, fault, golden, packets, planar, planar_of, simulated};

/// What a session gives for packets: every outcome to `take`, the books at the end.
fn decode(
    config: CommonDecodeConfig,
    packets: &[Packet],
    take: impl FnMut(Result<Frame, Error>),
) -> DecodeSummary {
    decode_into(&mut DecodeSession::new(BackendKind::Nvidia, config).unwrap(), packets, take)
}

/// As [`decode`], of a clip with changes to its configuration.
fn decode_clip(
    name: &str,
    change: impl FnOnce(&mut CommonDecodeConfig),
    take: impl FnMut(Result<Frame, Error>),
) -> DecodeSummary {
    let (mut config, packets) = packets(name);
    change(&mut config);
    decode(config, &packets, take)
}

fn native(config: &mut CommonDecodeConfig) {
    config.output = DecodeOutputMode::NativeSurface;
}

fn device(frame: &Frame) -> &DeviceSurface {
    frame.as_device().unwrap_or_else(|| panic!("not in device memory: {frame:?}"))
}

#[derive(Default)]
struct Sum {
    hash: Md5,
    frames: usize,
}

impl Sum {
    fn add(&mut self, samples: &[u8]) {
        self.hash.update(samples);
        self.frames += 1;
    }

    fn check(self, name: &str) {
        let md5: String = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((self.frames, md5), golden(name), "{name}");
    }
}

#[test]
fn device_frames_are_exact() {
    clean("device_frames_are_exact", "", || {
        for name in ["bars.mp4", "interlaced.h264", "small-10bit.h265", "small-vp9.ivf"] {
            let mut sum = Sum::default();
            decode_clip(name, native, |frame| {
                let frame = frame.unwrap();
                let surface = device(&frame);
                assert!(frame.as_host().is_none());
                assert_eq!((surface.format(), surface.dimensions()), (frame.format, frame.dimensions));
                assert_eq!(surface.device(), 0);
                for plane in surface.planes() {
                    assert!(plane.address % 512 == 0 && plane.pitch % 512 == 0, "{plane:?}");
                }
                sum.add(&planar_of(&surface.download().unwrap()));
            });
            sum.check(name);
        }
    });
}

#[test]
fn samples_of_ten_bits_in_444_lie_in_the_low_bits() {
    clean("samples_of_ten_bits_in_444_lie_in_the_low_bits", "", || {
        // Without ffmpeg the driver is asked for something else, so that there is a report.
        if !have(&["ffmpeg"]) {
            decode_clip("small.h264", |_| {}, |frame| drop(frame.unwrap()));
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("444.h265");
        let path = path.to_str().unwrap();
        let source = "testsrc2=size=322x178:rate=25:duration=0.4";
        let make = ["-f", "lavfi", "-i", source, "-pix_fmt", "yuv444p10le", "-c:v", "libx265"];
        run("ffmpeg", &[&make[..], &["-x265-params", "log-level=none", path]].concat());
        let judge = run("ffmpeg", &["-i", path, "-pix_fmt", "yuv444p10le", "-f", "md5", "-"]);
        let (mut hash, mut frames) = (Md5::new(), 0);
        let take = |frame: Result<Frame, Error>| {
            let frame = frame.unwrap();
            assert_eq!(frame.format, PixelFormat::I410);
            hash.update(planar(&frame));
            frames += 1;
        };
        decode_clip(path, |_| {}, take);
        let md5: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((frames, format!("MD5={md5}").as_str()), (10, judge.trim()));
    });
}

#[test]
fn a_consumer_may_keep_every_device_frame() {
    clean("a_consumer_may_keep_every_device_frame", "", || {
        // More than any decoder has surfaces.
        let mut kept = Vec::new();
        decode_clip("bars.mp4", native, |frame| kept.push(frame.unwrap()));
        assert_eq!(kept.len(), 120);
        // The session is gone; its frames are whole, on any thread, also as clones.
        let clones: Vec<_> = kept.iter().step_by(7).cloned().collect();
        let thread = std::thread::spawn(move || {
            let mut sum = Sum::default();
            for frame in kept {
                sum.add(&planar_of(&device(&frame).download().unwrap()));
            }
            sum.check("bars.mp4");
        });
        thread.join().unwrap();
        assert!(clones.iter().all(|frame| device(frame).download().is_ok()));
    });
}

#[test]
fn nothing_is_made_for_each_frame() {
    let run = simulated("nothing_is_made_for_each_frame", "", || {
        for mode in [DecodeOutputMode::HostSurface, DecodeOutputMode::NativeSurface] {
            let mut frames = 0;
            decode_clip(
                "bars.mp4",
                |config| config.output = mode,
                |frame| {
                    drop(frame.unwrap());
                    frames += 1;
                },
            );
            assert_eq!(frames, 120);
        }
    });
    let Some(run) = run else { return };
    // Two sessions, each with at most three pictures on their way and a queue of six.
    for (function, most) in [
        ("cuStreamCreate", 2 * 3),
        // Before, between and behind the steps of each.
        ("cuEventCreate", 2 * 3 * 3),
        ("cuMemHostAlloc", 16),
        ("cuMemAlloc", 16),
        ("cuDevicePrimaryCtxRetain", 2),
    ] {
        let made = run.calls(function);
        assert!((1..=most).contains(&made), "{function}: {made} times");
    }
}

#[test]
fn sessions_use_one_another_s_memory() {
    let run = simulated("sessions_use_one_another_s_memory", "", || {
        // One keeps the pools alive; those that follow allocate nothing.
        let (mut config, packets) = packets("small.h264");
        native(&mut config);
        let mut first = DecodeSession::new(BackendKind::Nvidia, config.clone()).unwrap();
        for packet in packets.iter().take(20).cloned() {
            assert!(matches!(first.submit(packet).unwrap(), Submit::Accepted));
        }
        let kept = first.reap_timeout(Duration::from_secs(60)).unwrap().unwrap();
        for _ in 0..10 {
            decode(config.clone(), &packets, |frame| drop(frame.unwrap()));
        }
        assert!(device(&kept).download().is_ok());
        assert_eq!(1 + first.drain().unwrap().map(Result::unwrap).count(), 20);
    });
    if let Some(run) = run {
        let made = run.calls("cuMemAlloc");
        // Each of eleven sessions alone would make about ten.
        assert!((1..=30).contains(&made), "{made} allocations");
        run.assert_clean();
    }
}

#[test]
fn sessions_opened_and_closed_return_all_memory() {
    clean("sessions_opened_and_closed_return_all_memory", "", || {
        for round in 0..5 {
            let session = |number: usize| {
                move || {
                    let mut frames = 0;
                    let native = number % 2 == round % 2;
                    let mode =
                        if native { DecodeOutputMode::NativeSurface } else { DecodeOutputMode::HostSurface };
                    // Some consumers keep a few frames, some stop in the middle.
                    let mut kept = Vec::new();
                    let (mut config, mut packets) = packets("small.h264");
                    config.output = mode;
                    packets.truncate(if number.is_multiple_of(5) { 11 } else { 50 });
                    let submitted = packets.len() as u64;
                    let summary = decode(config, &packets, |frame| {
                        frames += 1;
                        kept.extend(frame.ok().filter(|_| frames % 16 == number % 16));
                    });
                    assert_eq!(summary.ledger.submitted, submitted);
                    assert_eq!(summary.ledger.delivered, frames as u64);
                }
            };
            let threads: Vec<_> = (0..20).map(|number| std::thread::spawn(session(number))).collect();
            for thread in threads {
                thread.join().unwrap_or_else(|_| panic!("round {round}"));
            }
        }
    });
}

#[test]
fn a_concealed_picture_is_told_or_refused() {
    let settings = fault("cuvidDecodePicture", 20, "corrupt=true");
    let run = simulated("a_concealed_picture_is_told_or_refused", &settings, || {
        let mut concealed = Vec::new();
        let summary = decode_clip("small.h264", |_| {}, |frame| concealed.push(frame.unwrap().concealed));
        assert_eq!(concealed.len(), 50);
        assert_eq!(concealed.iter().filter(|concealed| **concealed).count(), 1);
        assert_eq!(summary.concealed, 1);
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}

#[test]
fn a_concealed_picture_is_lost_where_damage_is_not_accepted() {
    let settings = fault("cuvidDecodePicture", 20, "corrupt=true");
    clean("a_concealed_picture_is_lost_where_damage_is_not_accepted", &settings, || {
        for output in [DecodeOutputMode::HostSurface, DecodeOutputMode::NativeSurface] {
            let (mut delivered, mut lost) = (0, Vec::new());
            let change = |config: &mut CommonDecodeConfig| {
                config.output = output;
                config.damage = DamagePolicy::Strict;
            };
            let summary = decode_clip("small.h264", change, |frame| match frame {
                Ok(frame) => {
                    assert!(!frame.concealed);
                    delivered += 1;
                }
                Err(error) => lost.push(error),
            });
            assert_eq!(summary.concealed, 0);
            // The fault hits the first session alone.
            if output == DecodeOutputMode::HostSurface {
                assert_eq!((delivered, lost.len()), (49, 1));
                assert!(matches!(&lost[0], Error::CorruptStream { recoverable: true, .. }), "{}", lost[0]);
            } else {
                assert_eq!((delivered, lost.len()), (50, 0));
            }
        }
    });
}

#[test]
fn a_conversion_that_the_gpu_lacks_is_refused_or_made_on_the_cpu() {
    clean("a_conversion_that_the_gpu_lacks_is_refused_or_made_on_the_cpu", "", || {
        let wanted = ColorRequest::To(PixelFormat::I422);
        let mut errors = Vec::new();
        let change = |config: &mut CommonDecodeConfig| {
            native(config);
            config.convert = wanted;
        };
        decode_clip("small.h264", change, |frame| match frame {
            Ok(frame) => panic!("{frame:?}"),
            Err(error) => errors.push(error),
        });
        let Some(Error::Unsupported { feature, remedy }) = errors.first() else { panic!("{errors:?}") };
        assert!(
            feature.contains("yuv422p") && remedy.to_string().contains("host memory"),
            "{feature}; {remedy}"
        );

        let mut plain = Vec::new();
        decode_clip("small.h264", |_| {}, |frame| plain.push(frame.unwrap()));
        let mut plain = plain.into_iter();
        decode_clip(
            "small.h264",
            |config| config.convert = wanted,
            |frame| {
                let frame = frame.unwrap();
                let expected = transform::convert(&plain.next().unwrap(), PixelFormat::I422).unwrap().frame;
                assert_eq!(frame.format, PixelFormat::I422);
                assert_eq!(frame.color, expected.color);
                assert!(planar(&frame) == planar(&expected), "{}", frame.pts);
            },
        );
        assert!(plain.next().is_none());
    });
}

#[test]
fn rgb_in_host_memory_is_that_of_the_cpu_to_a_code() {
    clean("rgb_in_host_memory_is_that_of_the_cpu_to_a_code", "", || {
        for name in ["bars.mp4", "small-10bit.h265"] {
            let mut plain = Vec::new();
            decode_clip(name, |_| {}, |frame| plain.push(frame.unwrap()));
            let mut plain = plain.into_iter();
            decode_clip(
                name,
                |config| config.convert = ColorRequest::Rgb8,
                |frame| {
                    let frame = frame.unwrap();
                    let expected =
                        transform::convert(&plain.next().unwrap(), PixelFormat::Rgb24).unwrap().frame;
                    assert_eq!((frame.format, frame.color), (expected.format, expected.color));
                    let (found, expected) = (planar(&frame), planar(&expected));
                    let most = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
                    assert!(found.len() == expected.len() && most <= Some(2), "{name}: {most:?}");
                },
            );
            assert!(plain.next().is_none());
        }
    });
}

/// Decodes a clip to device memory, keeping all frames, so that each needs memory of its own.
fn keep_all(mode: DecodeOutputMode) -> (Vec<Frame>, Vec<Error>) {
    let (mut kept, mut errors) = (Vec::new(), Vec::new());
    decode_clip(
        "small.h264",
        |config| config.output = mode,
        |frame| match frame {
            Ok(frame) => kept.push(frame),
            Err(error) => errors.push(error),
        },
    );
    (kept, errors)
}

#[test]
fn a_frame_without_memory_is_lost_and_the_session_goes_on() {
    for function in ["cuMemAlloc", "cuMemHostAlloc"] {
        // The second failure is that of the attempt after freeing what is idle.
        let settings = fault(function, 10, "count=2,code=2");
        let run = simulated("a_frame_without_memory_is_lost_and_the_session_goes_on", &settings, || {
            // One of them is hit.
            let results = [DecodeOutputMode::NativeSurface, DecodeOutputMode::HostSurface].map(keep_all);
            let errors: Vec<_> = results.iter().flat_map(|(_, errors)| errors).collect();
            let [error @ Error::OutOfMemory { .. }] = errors.as_slice() else { panic!("{errors:?}") };
            assert!(error.to_string().contains("Hold fewer frames"), "{error}");
            assert_eq!(results.iter().map(|(frames, _)| frames.len()).sum::<usize>(), 99);
        });
        let Some(run) = run else { return };
        run.assert_clean();
    }
}

#[test]
fn memory_that_is_short_for_a_moment_loses_nothing() {
    clean("memory_that_is_short_for_a_moment_loses_nothing", &fault("cuMemAlloc", 10, "code=2"), || {
        let (kept, errors) = keep_all(DecodeOutputMode::NativeSurface);
        assert_eq!((kept.len(), errors.len()), (50, 0), "{errors:?}");
    });
}

#[test]
fn a_card_that_is_full_of_frames_goes_on_when_they_are_dropped() {
    let settings = "device.0.memory_mib=24";
    clean("a_card_that_is_full_of_frames_goes_on_when_they_are_dropped", settings, || {
        let (mut config, packets) = packets("bars.mp4");
        native(&mut config);
        let (mut kept, mut lost, mut after) = (Vec::new(), 0, 0);
        decode(config, &packets, |frame| match frame {
            Ok(_) if lost > 0 => {
                kept.clear();
                after += 1;
            }
            Ok(frame) => kept.push(frame),
            Err(error) => {
                assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
                lost += 1;
                kept.clear();
            }
        });
        assert!(lost > 0 && after > 0, "{lost} lost, {after} after them");
    });
}

fn a_copy_fails(test: &str, mode: DecodeOutputMode) {
    clean(test, &fault("cuMemcpy2DAsync", 15, "code=1"), || {
        let (kept, errors) = keep_all(mode);
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        // Not a lost device.
        assert!(matches!(error, Error::Backend { call: "cuMemcpy2DAsync", code: 1, .. }), "{error}");
        // Two planes a picture.
        assert_eq!(kept.len(), 7);
    });
}

#[test]
fn a_copy_to_the_host_that_fails_names_the_call() {
    a_copy_fails("a_copy_to_the_host_that_fails_names_the_call", DecodeOutputMode::HostSurface);
}

#[test]
fn a_copy_inside_the_device_that_fails_names_the_call() {
    a_copy_fails("a_copy_inside_the_device_that_fails_names_the_call", DecodeOutputMode::NativeSurface);
}

#[test]
fn a_wait_that_fails_ends_the_session_with_that_picture() {
    let settings = fault("cuEventSynchronize", 5, "code=1");
    clean("a_wait_that_fails_ends_the_session_with_that_picture", &settings, || {
        // Pictures behind it are on their way already: none of them comes.
        let (kept, errors) = keep_all(DecodeOutputMode::HostSurface);
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(matches!(error, Error::Backend { call: "cuEventSynchronize", code: 1, .. }), "{error}");
        assert_eq!(kept.len(), 4);
    });
}

#[test]
fn a_session_that_is_dropped_maps_no_more() {
    let run = clean("a_session_that_is_dropped_maps_no_more", "", || {
        let (config, packets) = packets("bars.mp4");
        let mut session = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
        let mut packets = packets.into_iter().peekable();
        // Until the output, what waits to be mapped, and the input are full, and stay so.
        let (begun, mut full) = (Instant::now(), 0);
        while full < 20 {
            match session.submit(packets.peek().unwrap().clone()).unwrap() {
                Submit::Accepted => (_, full) = (packets.next(), 0),
                Submit::Full(_) => {
                    let queue = session.summary().output_queue;
                    full = if queue.depth == queue.capacity { full + 1 } else { 0 };
                    assert!(begun.elapsed() < Duration::from_secs(60), "{queue:?}");
                }
            }
            std::thread::sleep(Duration::from_millis(if full > 0 { 10 } else { 1 }));
        }
    });
    if let Some(run) = run {
        // The output queue's six, the one that waits to get in, and two behind it.
        assert!(run.calls("cuvidMapVideoFrame64") <= 6 + 3, "{}", run.calls("cuvidMapVideoFrame64"));
    }
}

#[test]
fn frames_outlive_the_device() {
    let settings = fault("cuvidMapVideoFrame64", 20, "device_lost=true");
    simulated("frames_outlive_the_device", &settings, || {
        let (kept, errors) = keep_all(DecodeOutputMode::NativeSurface);
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
        assert!(!kept.is_empty() && kept.len() < 20, "{}", kept.len());
        let error = device(&kept[0]).download().unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
        // Dropping must neither hang nor crash, whoever does it.
        let half = kept.len() / 2;
        let mut kept = kept;
        let other = kept.split_off(half);
        let thread = std::thread::spawn(move || drop(other));
        drop(kept);
        thread.join().unwrap();
    });
}
