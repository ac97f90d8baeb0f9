//! The NVIDIA backend on the simulated driver (`sims/nvidia/`): the same library code that runs on a card, judged for its
//! pictures, its manners (no rule of the driver broken, nothing leaked) and its answers when calls fail.
//!
//! Each test body runs in a process of its own, with the driver's libraries found by `LD_LIBRARY_PATH` as on any
//! machine. The shared object is built with the workspace's tests; without it the tests say loudly that they were
//! skipped.

use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};
use video_hw::backend::{Backend, BackendKind, devices};
use video_hw::config::{DecodeOutputMode, Engines};
use video_hw::error::Error;
use video_hw::session::{DecodeSession, Submit};

use crate::support::nvidia::{
    clean, clip, decode, decode_into, fault, golden, packets, planar, simulated, simulated_case,
};

/// Decodes a clip and compares it with its checksum; times must rise.
fn decode_exactly(name: &str) {
    let mut hash = Md5::new();
    let mut frames = 0;
    let mut last = None;
    for frame in video_hw::frames(clip(name)).backend(BackendKind::Nvidia).open().unwrap() {
        let frame = frame.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(last.is_none_or(|last| last < frame.pts), "{name}: {} after {last:?}", frame.pts);
        last = Some(frame.pts);
        hash.update(planar(&frame));
        frames += 1;
    }
    let md5: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((frames, md5), golden(name), "{name}");
}

#[test]
fn h264_is_exact() {
    clean("h264_is_exact", "", || {
        for name in ["bars.mp4", "small.h264", "vfr-rotated.mp4", "vfr-fragmented.mp4"] {
            decode_exactly(name);
        }
    });
}

#[test]
fn interlaced_h264_is_exact() {
    clean("interlaced_h264_is_exact", "", || decode_exactly("interlaced.h264"));
}

#[test]
fn hevc_is_exact_at_8_and_10_bits() {
    clean("hevc_is_exact_at_8_and_10_bits", "", || {
        decode_exactly("small.h265");
        decode_exactly("small-10bit.h265");
    });
}

#[test]
fn vp9_is_exact_with_its_hidden_pictures() {
    clean("vp9_is_exact_with_its_hidden_pictures", "", || decode_exactly("small-vp9.ivf"));
}

#[test]
fn metadata_alone_maps_nothing() {
    let run = simulated("metadata_alone_maps_nothing", "", || {
        let frames = video_hw::frames(clip("small.h264"))
            .backend(BackendKind::Nvidia)
            .output(DecodeOutputMode::MetadataOnly)
            .open()
            .unwrap();
        assert_eq!(frames.map(|frame| assert!(frame.unwrap().as_host().is_none())).count(), 50);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("cuvidMapVideoFrame64"), 0);
    }
}

#[test]
fn a_codec_that_the_chip_lacks_is_refused_by_name() {
    clean("a_codec_that_the_chip_lacks_is_refused_by_name", "", || {
        let error =
            video_hw::frames(clip("small-av1.ivf")).backend(BackendKind::Nvidia).open().err().unwrap();
        assert!(matches!(&error, Error::Unsupported { feature, .. } if feature.contains("av1")), "{error}");
        // Left to itself the library goes on with the next backend.
        let frames = video_hw::frames(clip("small-av1.ivf")).backend(Backend::Auto).open().unwrap();
        assert_eq!(frames.flatten().count(), 50);
    });
}

#[test]
fn a_stream_that_the_chip_refuses_goes_to_the_next_backend() {
    // The fifth row of the chip's table is H.264.
    clean(
        "a_stream_that_the_chip_refuses_goes_to_the_next_backend",
        "device.0.nvdec.4.max=[128,128]",
        || {
            let (config, packets) = packets("small.h264");
            for (backend, frames) in [(Backend::Auto, 50), (Backend::Only(BackendKind::Nvidia), 0)] {
                let mut session = DecodeSession::new(backend, config.clone()).unwrap();
                assert_eq!(session.receipt().chosen().unwrap().0, BackendKind::Nvidia);
                let (delivered, errors) = decode(&mut session, &packets);
                assert_eq!(delivered.len(), frames);
                let receipt = session.receipt();
                if backend == Backend::Auto {
                    assert_eq!(receipt.chosen().unwrap().0, BackendKind::Software, "{receipt}");
                    assert!(format!("{receipt:#}").contains("nvidia refused at capability"), "{receipt}");
                } else {
                    assert!(matches!(errors.first(), Some(Error::Unsupported { .. })), "{errors:?}");
                }
            }
        },
    );
}

#[test]
fn the_card_that_is_asked_for_is_taken() {
    let second = "device=[{name='First',memory_mib=64,compute=[9,0]},{name='Second',memory_mib=1024,compute=[9,0],\
                  nvdec_engines=1,uuid='00112233445566778899aabbccddeeff',\
                  nvdec=[{codec='h264',chroma=[420],depth=[8],min=[48,16],max=[4096,4096]}]}]";
    clean("the_card_that_is_asked_for_is_taken", second, || {
        let cards = devices(BackendKind::Nvidia).unwrap();
        let names: Vec<_> =
            cards.iter().map(|card| (card.ordinal, card.name.as_str(), card.memory >> 20)).collect();
        assert_eq!(names, [(0, "First", 64), (1, "Second", 1024)]);
        assert_eq!(cards[1].id, "GPU-00112233-4455-6677-8899-aabbccddeeff");
        let open = |device: &str| {
            video_hw::frames(clip("small.h264")).backend(BackendKind::Nvidia).device(device).open()
        };
        for device in ["1", "GPU-00112233-4455-6677-8899-aabbccddeeff", "gpu-0011"] {
            assert_eq!(open(device).unwrap().filter_map(Result::ok).count(), 50, "{device}");
        }
        // The first card decodes nothing.
        assert!(matches!(open("0").err().unwrap(), Error::Unsupported { .. }));
        for (device, hint) in
            [("2", "there are 2"), ("-1", "there are 2"), ("GPU-ff", "GPU-00112233"), ("gpu", "several")]
        {
            let error = open(device).err().unwrap();
            assert!(
                matches!(&error, Error::InvalidInput { what, .. } if what.contains(hint)),
                "{device}: {error}"
            );
        }
    });
}

/// Decodes until the first error; how many frames came before it.
fn until_error(name: &str) -> (usize, Error) {
    let mut frames = 0;
    // Where there are several decoders the others do what one cannot.
    let film = video_hw::frames(clip(name)).backend(BackendKind::Nvidia).engines(Engines::One);
    for frame in film.open().unwrap() {
        match frame {
            Ok(_) => frames += 1,
            Err(error) => return (frames, error),
        }
    }
    panic!("{name}: {frames} frames and no error");
}

#[test]
fn a_lost_device_is_told_as_such() {
    let settings = fault("cuvidMapVideoFrame64", 10, "device_lost=true");
    simulated("a_lost_device_is_told_as_such", &settings, || {
        let (frames, error) = until_error("small.h264");
        assert!(matches!(error, Error::DeviceLost { backend: BackendKind::Nvidia, .. }), "{error}");
        assert!(frames <= 9, "{frames} frames");
    });
}

#[test]
fn a_device_lost_while_decoding_is_told_as_such() {
    let settings = fault("cuvidDecodePicture", 20, "device_lost=true");
    simulated("a_device_lost_while_decoding_is_told_as_such", &settings, || {
        let (_, error) = until_error("small.h264");
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    });
}

/// What the hardware has decoded comes out before the error that ends the session, however late its frames are taken.
#[test]
fn a_failure_waits_for_what_was_decoded_before_it() {
    let test = "a_failure_waits_for_what_was_decoded_before_it";
    // The thirtieth picture of each of two sessions.
    let settings = "fault=[{function='cuvidDecodePicture',call=30,code=205},\
                    {function='cuvidDecodePicture',call=60,code=205}]";
    clean(test, settings, || {
        let (config, packets) = packets("small.h264");
        let frames = [0, 20].map(|milliseconds| {
            let mut session = DecodeSession::new(BackendKind::Nvidia, config.clone()).unwrap();
            let (mut frames, mut errors) = (0, Vec::new());
            decode_into(&mut session, &packets, |outcome| {
                std::thread::sleep(Duration::from_millis(milliseconds));
                match outcome {
                    Ok(_) => frames += 1,
                    Err(error) => errors.push(error),
                }
            });
            assert!(
                matches!(errors.as_slice(), [Error::Backend { call: "cuvidDecodePicture", .. }]),
                "{errors:?}"
            );
            frames
        });
        // All but those that wait for their turn to be shown.
        assert!(frames[0] == frames[1] && frames[0] > 20, "{frames:?}");
    });
}

#[test]
fn a_failing_map_names_the_call() {
    let settings = fault("cuvidMapVideoFrame64", 5, "code=205");
    simulated("a_failing_map_names_the_call", &settings, || {
        let (frames, error) = until_error("small.h264");
        assert!(matches!(&error, Error::Backend { call: "cuvidMapVideoFrame", code: 205, .. }), "{error}");
        assert_eq!(frames, 4);
    });
}

/// Decodes everything that can be decoded: frames delivered, and recoverable failures.
fn with_failures(name: &str) -> (usize, usize) {
    let (config, packets) = packets(name);
    let (frames, errors) = decode(&mut DecodeSession::new(BackendKind::Nvidia, config).unwrap(), &packets);
    for error in &errors {
        assert!(error.is_recoverable(), "{error}");
    }
    (frames.len(), errors.len())
}

#[test]
fn a_damaged_picture_is_one_failure() {
    // Refused by the hardware at once.
    simulated("a_damaged_picture_is_one_failure", &fault("cuvidDecodePicture", 20, "code=1"), || {
        assert_eq!(with_failures("small.h264"), (49, 1));
    });
}

/// The B pictures behind it are shown before the first P picture, and lead nothing for all that.
#[test]
fn a_damaged_picture_at_a_new_start_is_one_failure() {
    let name = "a_damaged_picture_at_a_new_start_is_one_failure";
    clean(name, &fault("cuvidDecodePicture", 51, "code=1"), || {
        let (config, packets) = packets("small.h264");
        let mut session = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
        for (round, lost) in [0, 1].into_iter().enumerate() {
            let (frames, errors) = decode(&mut session, &packets);
            assert_eq!((frames.len(), errors.len()), (50 - lost, lost), "round {round}: {errors:?}");
        }
        assert!(session.summary().ledger.dropped.is_empty(), "{:?}", session.summary().ledger);
    });
}

#[test]
fn a_picture_found_damaged_while_decoding_costs_no_other() {
    let settings = fault("cuvidDecodePicture", 20, "corrupt=true");
    simulated("a_picture_found_damaged_while_decoding_costs_no_other", &settings, || {
        let (delivered, failed) = with_failures("small.h264");
        assert_eq!(delivered + failed, 50);
        assert!(failed <= 1, "{failed}");
    });
}

#[test]
fn out_of_memory_says_so() {
    // The second time too, after freeing what is idle.
    simulated("out_of_memory_says_so", &fault("cuvidCreateDecoder", 1, "count=2,code=2"), || {
        let (frames, error) = until_error("small.h264");
        assert_eq!(frames, 0);
        assert!(error.to_string().contains("out of device memory"), "{error}");
    });
}

#[test]
fn a_decoder_takes_the_memory_that_frames_have_left_idle() {
    // Room for two decoders, or for one and the frames.
    const MEMORY: &str = "device.0.memory_mib=18";
    let run = clean("a_decoder_takes_the_memory_that_frames_have_left_idle", MEMORY, || {
        let (mut config, packets) = packets("bars.mp4");
        config.output = DecodeOutputMode::NativeSurface;
        let mut first = DecodeSession::new(BackendKind::Nvidia, config.clone()).unwrap();
        let (frames, errors) = decode(&mut first, &packets[..16]);
        assert_eq!((frames.len(), errors.len()), (16, 0), "{errors:?}");
        // The pool keeps them all for the session.
        drop(frames);
        config.output = DecodeOutputMode::MetadataOnly;
        let mut second = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
        let (frames, errors) = decode(&mut second, &packets);
        assert_eq!((frames.len(), errors.len()), (120, 0), "{errors:?}");
    });
    if let Some(run) = run {
        assert_eq!(run.calls("cuvidCreateDecoder"), 3);
    }
}

#[test]
fn a_slow_driver_loses_nothing() {
    clean("a_slow_driver_loses_nothing", &fault("cuvidDecodePicture", 7, "hang_ms=300"), || {
        decode_exactly("small.h264");
    });
}

#[test]
fn a_consumer_that_stops_early_leaves_nothing_behind() {
    clean("a_consumer_that_stops_early_leaves_nothing_behind", "", || {
        let mut frames = video_hw::frames(clip("bars.mp4")).backend(BackendKind::Nvidia).open().unwrap();
        let kept: Vec<_> = frames.by_ref().take(5).map(|frame| frame.unwrap()).collect();
        std::thread::sleep(Duration::from_millis(50));
        drop(frames);
        assert_eq!(kept.len(), 5);
    });
}

#[test]
fn a_session_goes_on_after_a_flush() {
    clean("a_session_goes_on_after_a_flush", "", || {
        for (name, frames) in [("bars.mp4", 120), ("small.h265", 50), ("small-vp9.ivf", 50)] {
            let (config, packets) = packets(name);
            let mut session = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
            // Whole, cut short, whole again.
            let rounds = [packets.len(), packets.len() / 2, packets.len()];
            let mut delivered = 0;
            for count in rounds {
                for mut packet in packets[..count].iter().cloned() {
                    while let Submit::Full(back) = session.submit(packet).unwrap() {
                        packet = back;
                        delivered +=
                            usize::from(session.reap_timeout(Duration::from_millis(50)).unwrap().is_some());
                    }
                }
                delivered += session.drain().unwrap().map(Result::unwrap).count();
            }
            let ledger = session.summary().ledger;
            assert!(ledger.balances(), "{name}: {ledger:?}");
            assert_eq!(delivered, frames + frames / 2 + frames, "{name}: {ledger:?}");
        }
    });
}

/// Context, parser, decoder, streams and memory of frames outlive a flush.
#[test]
fn a_flush_makes_nothing_anew() {
    let made = |flushes: &str| {
        simulated_case("a_flush_makes_nothing_anew", "", flushes, |flushes| {
            let (config, packets) = packets("small.h264");
            let mut session = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
            for _ in 0..flushes.parse().unwrap() {
                let (frames, errors) = decode(&mut session, &packets);
                assert_eq!((frames.len(), errors.len()), (50, 0), "{errors:?}");
            }
        })
        .map(|run| {
            run.assert_clean();
            [
                "cuDevicePrimaryCtxRetain",
                "cuvidCreateVideoParser",
                "cuvidCreateDecoder",
                "cuvidReconfigureDecoder",
                "cuMemHostAlloc",
                "cuMemAllocHost",
            ]
            .map(|function| run.calls(function))
        })
    };
    let Some(once) = made("1") else { return };
    assert_eq!(made("4"), Some(once));
    assert_eq!(once[1..4], [1, 1, 0], "one parser, one decoder");
}

#[test]
fn many_sessions_leave_nothing_behind() {
    clean("many_sessions_leave_nothing_behind", "", || {
        for round in 0..4 {
            let threads: Vec<_> =
                (0..6).map(|_| std::thread::spawn(|| decode_exactly("small.h264"))).collect();
            for thread in threads {
                thread.join().unwrap_or_else(|_| panic!("round {round}"));
            }
        }
    });
}

#[test]
fn a_driver_that_does_not_start_is_explained() {
    for (code, hint) in [(100, "nvidia-smi"), (803, "Reboot"), (34, "stub"), (802, "fabricmanager")] {
        let settings = format!("driver.init_code={code}");
        simulated("a_driver_that_does_not_start_is_explained", &settings, || {
            let error =
                video_hw::frames(clip("small.h264")).backend(BackendKind::Nvidia).open().err().unwrap();
            let Error::Unavailable { reason, remedy, .. } = &error else { panic!("{error}") };
            let text = format!("{reason} {remedy}");
            let hints = ["nvidia-smi", "Reboot", "stub", "fabricmanager"];
            assert!(hints.iter().any(|hint| text.contains(hint)), "{text}");
            println!("explained: {text}");
        })
        .inspect(|run| {
            let said = String::from_utf8_lossy(&run.output.stdout);
            assert!(said.contains(hint), "{code}: {said}");
        });
    }
}

#[test]
fn an_old_driver_is_told_what_it_lacks() {
    simulated("an_old_driver_is_told_what_it_lacks", "driver.cuda=10020", || {
        let error = video_hw::frames(clip("small.h264")).backend(BackendKind::Nvidia).open().err().unwrap();
        assert!(matches!(&error, Error::Unavailable { reason, .. } if reason.contains("10.2")), "{error}");
    });
}

#[test]
fn a_machine_without_a_driver_is_told_what_to_install() {
    if Path::new("/usr/lib/x86_64-linux-gnu/libcuda.so.1").exists() || Path::new("/dev/nvidiactl").exists() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: this machine has an NVIDIA driver\n"),
        );
        return;
    }
    let error = video_hw::frames(clip("small.h264")).backend(BackendKind::Nvidia).open().err().unwrap();
    let Error::Unavailable { reason, remedy, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("libcuda.so.1") && remedy.to_string().contains("driver"), "{error}");
}

#[test]
fn a_stream_that_begins_within_an_open_group_gives_what_can_be_decoded() {
    clean("a_stream_that_begins_within_an_open_group_gives_what_can_be_decoded", "", || {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("open.h264");
        let params = "open-gop=1:bframes=3:b-adapt=0:keyint=8:min-keyint=8:scenecut=0";
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=176x144:d=1", "-c:v", "libx264"])
            .args(["-pix_fmt", "yuv420p", "-x264-params", params])
            .arg(&path)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no ffmpeg with libx264");
            return;
        }
        let (config, packets) = packets(&path);
        let second = packets.iter().skip(1).position(|packet| packet.keyframe).unwrap() + 1;
        let all = |packets: &[_]| {
            let (frames, errors) =
                decode(&mut DecodeSession::new(BackendKind::Nvidia, config.clone()).unwrap(), packets);
            assert!(errors.is_empty(), "{errors:?}");
            frames.iter().map(planar).collect::<Vec<_>>()
        };
        let (whole, part) = (all(&packets), all(&packets[second..]));
        assert_eq!(whole.len(), packets.len());
        // Three leading pictures lack what they refer to.
        assert_eq!(part.len(), packets.len() - second - 3);
        assert!(whole.ends_with(&part));
    });
}
