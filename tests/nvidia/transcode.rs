//! Whole files from decoder to encoder on one card, on the simulated driver (`sims/nvidia/`): frames stay in device memory where
//! they can, and where they cannot the job is done all the same and says why.

use std::path::Path;

use video_hw::backend::{Backend, BackendKind, query_backend_capability};
use video_hw::codec::Codec;
use video_hw::config::{Engines, FailurePolicy, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::pipeline::{FrameMemory, Transcode, TranscodeReport};
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

use crate::support::nvenc::{config, nvidia, open};
use crate::support::nvidia::{Run, clip, fault, simulated_case_on, simulated_on};
use crate::support::picture::{annex_b, assert_alike, have_ffmpeg, pictures, times};

const QP: RateControl = RateControl::ConstQp { intra: 16, inter_p: 16, inter_b: 16 };

fn on_card(test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    simulated_on("ada", test, settings, body).inspect(Run::assert_clean)
}

fn job<'a>(input: &str, output: &Path, codec: Codec) -> Transcode<'a> {
    video_hw::transcode(clip(input), output).codec(codec).rate_control(QP).copy_tracks(false)
}

/// Nothing passed through host memory.
fn assert_on_device(report: &TranscodeReport) {
    assert!(report.balances(), "{report:?}");
    assert_eq!(report.memory, FrameMemory::Device, "{:?}", report.notes);
    assert_eq!((report.encode.input_copy_bytes, report.encode.device_copy_bytes), (0, 0));
    assert_eq!(report.encode.output_copy_bytes, report.encode.bytes_out);
    let decode = report.input.decode.as_ref().unwrap();
    assert_eq!(decode.output_copy_bytes, 0);
    assert_eq!(report.filter.download_bytes, 0);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
}

/// The output shows what the input shows, as ffmpeg sees both, at the same times.
fn assert_same_film(input: &str, output: &Path, size: (usize, usize), decibels: f64) {
    assert_eq!(times(&clip(input)), times(output), "{input}: times");
    if have_ffmpeg() {
        assert_alike(&pictures(&clip(input), size), &pictures(output, size), decibels, input);
    }
}

#[test]
fn frames_stay_on_the_card() {
    for (input, codec, size) in [
        ("bars.mp4", Codec::Hevc, (640, 360)),
        ("bars.mp4", Codec::H264, (640, 360)),
        ("vfr-rotated.mp4", Codec::Hevc, (178, 146)),
        ("small.h265", Codec::H264, (178, 146)),
        ("small-10bit.h265", Codec::Hevc, (178, 146)),
    ] {
        let case = format!("{input} {codec}");
        let run = simulated_case_on("ada", "frames_stay_on_the_card", "", &case, |case| {
            let (input, codec) = case.split_once(' ').unwrap();
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("out.mp4");
            // Of several decoders more pictures are on their way, each in memory of its own.
            let job = job(input, &output, codec.parse().unwrap()).engines(Engines::One);
            let report = job.backend(BackendKind::Nvidia).run().unwrap();
            assert_on_device(&report);
            assert_same_film(input, &output, size, 34.0);
        });
        let Some(run) = run else { return };
        run.assert_clean();
        assert_eq!(run.calls("nvEncCreateInputBuffer"), 0, "{input}");
        assert_eq!(run.calls("cuMemHostAlloc"), 0, "{input}: no memory of the host's was needed");
        assert!(run.calls("nvEncRegisterResource") <= 40, "{input}");
    }
}

/// Left to itself the library does the same: the card comes first.
#[test]
fn the_card_is_the_default() {
    on_card("the_card_is_the_default", "", || {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.mp4");
        assert_on_device(&job("bars.mp4", &output, Codec::H264).run().unwrap());
    });
}

#[test]
fn the_decoder_scales() {
    on_card("the_decoder_scales", "", || {
        for (input, size) in [("bars.mp4", (320, 180)), ("small-10bit.h265", (240, 196))] {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("out.mp4");
            let report = job(input, &output, Codec::Hevc)
                .backend(BackendKind::Nvidia)
                .size(Dimensions::new(size.0 as u32, size.1 as u32).unwrap())
                .run()
                .unwrap();
            assert_on_device(&report);
            assert_eq!(report.filter.scaled, 0);
            assert_same_film(input, &output, size, 27.0);
        }
    });
}

/// Frames are repeated and dropped where they are.
#[test]
fn the_frame_rate_is_changed_on_the_card() {
    on_card("the_frame_rate_is_changed_on_the_card", "", || {
        for (rate, frames) in [(60, 240), (10, 40)] {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("out.mp4");
            let report = job("bars.mp4", &output, Codec::H264)
                .backend(BackendKind::Nvidia)
                .frame_rate(Rational::new(rate, 1).unwrap())
                .b_frames(2)
                .run()
                .unwrap();
            assert_on_device(&report);
            assert_eq!(report.video_samples, frames, "{rate}");
        }
    });
}

/// Ten bits do not go into H.264 here: the CPU brings them to eight.
#[test]
fn what_the_cpu_must_do_passes_through_host_memory() {
    on_card("what_the_cpu_must_do_passes_through_host_memory", "", || {
        let directory = tempfile::tempdir().unwrap();
        let ten_bit_mp4 = directory.path().join("ten.mp4");
        // In a container that tells the format the rule knows before anything is opened; else the first frame does.
        assert_on_device(
            &job("small-10bit.h265", &ten_bit_mp4, Codec::Hevc).backend(BackendKind::Nvidia).run().unwrap(),
        );
        for input in [clip("small-10bit.h265"), ten_bit_mp4.clone()] {
            let output = directory.path().join("out.mp4");
            let report = video_hw::transcode(&input, &output)
                .codec(Codec::H264)
                .rate_control(QP)
                .overwrite(true)
                .backend(BackendKind::Nvidia)
                .run()
                .unwrap();
            assert!(report.balances());
            assert_eq!(report.memory, FrameMemory::Host);
            let said =
                report.notes.iter().any(|note| note.what.starts_with("frames pass through host memory"));
            assert!(said, "{:?}", report.notes);
            assert!(report.encode.input_copy_bytes > 0);
            if have_ffmpeg() {
                let size = (178, 146);
                assert_alike(&pictures(&input, size), &pictures(&output, size), 34.0, "ten bits to eight");
            }
        }
        let output = directory.path().join("asked.mp4");
        let report = job("bars.mp4", &output, Codec::H264)
            .backend(BackendKind::Nvidia)
            .pixel_format(PixelFormat::I420)
            .run()
            .unwrap();
        assert_eq!(report.memory, FrameMemory::Host);
        assert!(report.notes[0].what.contains("nv12 to yuv420p"), "{:?}", report.notes);
    });
}

/// The card refuses the stream when it sees it: the CPU decodes, and the card encodes what it is handed.
#[test]
fn a_decoder_on_the_cpu_feeds_the_encoder_on_the_card() {
    // The fifth row of the chip's table is H.264.
    let settings = "device.0.nvdec.4.max=[128,128]";
    on_card("a_decoder_on_the_cpu_feeds_the_encoder_on_the_card", settings, || {
        for size in [None, Dimensions::new(160, 120)] {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("out.mp4");
            let mut job = job("small.h264", &output, Codec::H264).encode_backend(BackendKind::Nvidia);
            if let Some(size) = size {
                job = job.size(size);
            }
            let report = job.run().unwrap();
            let decode = report.input.decode.as_ref().unwrap();
            assert_eq!(decode.receipt.chosen().unwrap().0, BackendKind::Software, "{}", decode.receipt);
            assert!(report.balances());
            assert_eq!(report.memory, FrameMemory::Host);
            let size = size.map_or((178, 146), |size| (size.width() as usize, size.height() as usize));
            let bytes = (size.0 * size.1 * 3 / 2) as u64;
            assert_eq!(report.encode.input_copy_bytes, report.video_samples * bytes);
            assert_same_film("small.h264", &output, size, 27.0);
        }
    });
}

/// The card gives the stream up in the middle: the first frames are in its memory, the others come from the CPU.
#[test]
fn a_stream_that_leaves_the_card_in_the_middle_goes_on() {
    let settings = "device.0.nvdec.4.max=[400,300]";
    on_card("a_stream_that_leaves_the_card_in_the_middle_goes_on", settings, || {
        if !have_ffmpeg() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("grows.h264");
        let mut stream = std::fs::read(clip("small.h264")).unwrap();
        stream.extend(annex_b(&clip("bars.mp4"), directory.path()));
        std::fs::write(&input, stream).unwrap();
        let output = directory.path().join("out.mp4");
        let report = video_hw::transcode(&input, &output)
            .input_frame_rate(Rational::new(25, 1).unwrap())
            .codec(Codec::H264)
            .rate_control(QP)
            .encode_backend(BackendKind::Nvidia)
            .size(Dimensions::new(320, 180).unwrap())
            .run()
            .unwrap();
        assert!(report.balances());
        let decode = report.input.decode.as_ref().unwrap();
        assert_eq!(decode.receipt.chosen().unwrap().0, BackendKind::Software, "{}", decode.receipt);
        assert_eq!(report.memory, FrameMemory::Mixed);
        assert_eq!((report.video_samples, report.filter.on_device), (170, 50));
        assert_eq!(report.encode.input_copy_bytes, 120 * 320 * 180 * 3 / 2);
        let size = (320, 180);
        assert_alike(&pictures(&input, size), &pictures(&output, size), 27.0, "both parts");
    });
}

/// The last session of the card is taken while the input is being opened: the CPU encodes, and frames come down to it.
#[test]
fn an_encoder_on_the_cpu_is_fed_by_the_decoder_on_the_card() {
    on_card("an_encoder_on_the_cpu_is_fed_by_the_decoder_on_the_card", "sessions.limit=1", || {
        assert!(query_backend_capability(BackendKind::Nvidia, Codec::H264).unwrap().encode.is_some());
        let _held = open(&config(Codec::H264), &nvidia(6));
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.mp4");
        let report = job("bars.mp4", &output, Codec::H264).backend(Backend::Auto).run().unwrap();
        let (encoder, _) = report.encode.receipt.chosen().unwrap();
        assert_eq!(encoder, crate::support::nvenc::next_encoder(), "{}", report.encode.receipt);
        assert!(
            format!("{:#}", report.encode.receipt).contains("session limit"),
            "{:#}",
            report.encode.receipt
        );
        assert!(report.balances());
        assert_eq!(report.memory, FrameMemory::Host);
        assert_eq!(report.filter.download_bytes, 120 * 640 * 360 * 3 / 2);
        assert_same_film("bars.mp4", &output, (640, 360), 30.0);
    });
}

#[test]
fn only_one_side_on_the_card_means_host_memory() {
    on_card("only_one_side_on_the_card_means_host_memory", "", || {
        for (decoder, encoder) in
            [(BackendKind::Software, BackendKind::Nvidia), (BackendKind::Nvidia, BackendKind::Software)]
        {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("out.mp4");
            let report = job("bars.mp4", &output, Codec::H264)
                .decode_backend(decoder)
                .encode_backend(encoder)
                .run()
                .unwrap();
            assert!(report.balances());
            assert_eq!(report.memory, FrameMemory::Host);
            // From page-locked memory at full speed, and not frame by frame when somebody asks.
            assert_eq!(report.filter.download_bytes, 0);
            assert!(report.notes.is_empty(), "{:?}", report.notes);
            assert_same_film("bars.mp4", &output, (640, 360), 30.0);
        }
    });
}

#[test]
fn several_jobs_at_once() {
    on_card("several_jobs_at_once", "", || {
        std::thread::scope(|scope| {
            for (input, codec, size) in [
                ("bars.mp4", Codec::Hevc, (640, 360)),
                ("small.h265", Codec::H264, (178, 146)),
                ("bars.mp4", Codec::H264, (640, 360)),
                ("small-10bit.h265", Codec::Hevc, (178, 146)),
            ] {
                scope.spawn(move || {
                    let directory = tempfile::tempdir().unwrap();
                    let output = directory.path().join("out.mp4");
                    let report = job(input, &output, codec).backend(BackendKind::Nvidia).run().unwrap();
                    assert_on_device(&report);
                    assert_same_film(input, &output, size, 34.0);
                });
            }
        });
    });
}

/// Several decoders on one card, one encoder.
#[test]
fn several_engines_of_one_card_decode_for_one_encoder() {
    on_card("several_engines_of_one_card_decode_for_one_encoder", "", || {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.mp4");
        let report = job("bars.mp4", &output, Codec::H264)
            .backend(BackendKind::Nvidia)
            .engines(video_hw::config::Engines::Auto)
            .run()
            .unwrap();
        assert_on_device(&report);
        assert_same_film("bars.mp4", &output, (640, 360), 34.0);
    });
}

#[test]
fn a_call_that_fails_ends_the_job_with_its_own_error() {
    for (function, effect) in [
        ("nvEncRegisterResource", "code=20"),
        ("nvEncMapInputResource", "code=16"),
        ("nvEncMapInputResource", "device_lost=true"),
        ("nvEncUnmapInputResource", "device_lost=true"),
        ("cuvidMapVideoFrame64", "device_lost=true"),
        ("nvEncRegisterResource", "code=10"),
    ] {
        let case = format!("{function} {effect}");
        let test = "a_call_that_fails_ends_the_job_with_its_own_error";
        let run = simulated_case_on("ada", test, &fault(function, 5, effect), &case, |case| {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("out.mp4");
            let error = job("bars.mp4", &output, Codec::Hevc)
                .b_frames(2)
                .backend(BackendKind::Nvidia)
                .on_failure(FailurePolicy::Stop)
                .run()
                .unwrap_err();
            let right = match case.split_once(' ').unwrap() {
                (_, "device_lost=true") => matches!(error, Error::DeviceLost { .. }),
                (_, "code=10") => matches!(error, Error::OutOfMemory { .. }),
                (function, _) => matches!(error, Error::Backend { call, .. } if call == function),
            };
            assert!(right, "{case}: {error:?}");
            assert!(!output.exists(), "{case}: nothing half done is left");
        });
        if let Some(run) = run {
            run.assert_clean();
        }
    }
}
