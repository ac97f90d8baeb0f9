//! Frames that the GPU converts, on the simulated driver: the same pictures as the CPU's, in device and in host memory,
//! and what happens when the kernels do not start or fail.

use video_hw::backend::BackendKind;
use video_hw::config::{ColorRequest, Crop, DecodeOutputMode};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, DecodeSummary};
use video_hw::transform::{self, TransformDispatcher, TransformOptions, TransformRequest, TransformStats};

use crate::support::streams::{have, md5_hex, run};

use crate::support::nvidia::{clean, decode_into, fault, packets, simulated};

/// Frames and errors of a clip, and the books.
fn decode(
    name: &str,
    output: DecodeOutputMode,
    convert: ColorRequest,
) -> (Vec<Frame>, Vec<Error>, DecodeSummary) {
    let (config, packets) = packets(name);
    let config = config.output(output).convert(convert);
    let mut session = DecodeSession::new(BackendKind::Nvidia, config).unwrap();
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    let summary = decode_into(&mut session, &packets, |outcome| match outcome {
        Ok(frame) => frames.push(frame),
        Err(error) => errors.push(error),
    });
    (frames, errors, summary)
}

/// In host memory, wherever it is.
fn host(frame: &Frame) -> HostSurface {
    frame.as_device().map_or_else(|| frame.as_host().unwrap().clone(), |device| device.download().unwrap())
}

#[test]
fn rgb_made_on_the_gpu_is_that_of_the_cpu() {
    let run = simulated("rgb_made_on_the_gpu_is_that_of_the_cpu", "", || {
        for name in ["bars.mp4", "small-10bit.h265"] {
            let (plain, _, _) = decode(name, DecodeOutputMode::HostSurface, ColorRequest::KeepNative);
            for output in [DecodeOutputMode::NativeSurface, DecodeOutputMode::HostSurface] {
                for format in [PixelFormat::Rgb24, PixelFormat::Bgra] {
                    let (frames, errors, summary) = decode(name, output, ColorRequest::To(format));
                    assert!(errors.is_empty(), "{errors:?}");
                    assert!(summary.notes.is_empty(), "{:?}", summary.notes);
                    assert_eq!(frames.len(), plain.len());
                    for (frame, plain) in frames.iter().zip(&plain) {
                        assert_eq!(frame.as_device().is_some(), output == DecodeOutputMode::NativeSurface);
                        let expected = transform::convert(plain, format).unwrap().frame;
                        assert_eq!((frame.format, frame.color), (expected.format, expected.color));
                        let (found, expected) = (host(frame), expected.as_host().unwrap());
                        assert_eq!(found.dimensions(), expected.dimensions());
                        assert!(found.to_packed() == expected.to_packed(), "{name} {format} {}", frame.pts);
                    }
                }
            }
        }
    });
    if let Some(run) = run {
        assert_eq!(run.calls("cuLaunchKernel"), 4 * (120 + 50), "one kernel for each frame");
        run.assert_clean();
    }
}

#[test]
fn kernels_that_do_not_start_leave_the_work_to_the_cpu() {
    let settings = "fault=[{function='cuModuleLoadDataEx',call=1,count=0,code=222}]";
    clean("kernels_that_do_not_start_leave_the_work_to_the_cpu", settings, || {
        let (frames, errors, summary) =
            decode("small.h264", DecodeOutputMode::HostSurface, ColorRequest::Rgb8);
        assert_eq!((frames.len(), errors.len()), (50, 0), "{errors:?}");
        assert!(frames.iter().all(|frame| frame.as_host().is_some() && frame.format == PixelFormat::Rgb24));
        assert!(summary.notes[0].contains("rgb24 is made on the CPU"), "{:?}", summary.notes);

        let (frames, errors, _) = decode("small.h264", DecodeOutputMode::NativeSurface, ColorRequest::Rgb8);
        assert!(frames.is_empty());
        assert!(matches!(errors.as_slice(), [Error::Unsupported { .. }]), "{errors:?}");
    });
}

#[test]
fn a_kernel_that_fails_is_told_as_what_it_is() {
    let settings = fault("cuLaunchKernel", 5, "code=719");
    simulated("a_kernel_that_fails_is_told_as_what_it_is", &settings, || {
        let (frames, errors, _) = decode("small.h264", DecodeOutputMode::NativeSurface, ColorRequest::Rgb8);
        assert_eq!(frames.len(), 4);
        let [Error::DeviceLost { detail, .. }] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(detail.contains("cuLaunchKernel"), "{detail}");
    });
}

/// Frames in device memory through a dispatcher, as the CPU would make them of the same frames in host memory; what the
/// dispatcher says of its work, and why the CPU did any of it.
fn dispatched(name: &str, request: &TransformRequest) -> (TransformStats, Option<String>) {
    let (plain, _, _) = decode(name, DecodeOutputMode::NativeSurface, ColorRequest::KeepNative);
    let dispatcher = TransformDispatcher::new(TransformOptions::default());
    for frames in plain.chunks(2) {
        for frame in frames {
            dispatcher.submit(frame.clone(), request).unwrap();
        }
        for frame in frames {
            let made = dispatcher.reap().unwrap().unwrap();
            let expected = request.apply(transform::to_host(frame.clone()).unwrap()).unwrap().frame;
            assert_eq!((made.format, made.dimensions), (expected.format, expected.dimensions));
            assert_eq!((made.color, made.pts), (expected.color, expected.pts));
            assert!(host(&made).to_packed() == host(&expected).to_packed(), "{name} {}", frame.pts);
            if request.host {
                assert!(made.as_host().is_some());
            }
        }
    }
    (dispatcher.stats(), dispatcher.failure())
}

#[test]
fn a_dispatcher_converts_frames_on_the_card_they_are_on() {
    let run = simulated("a_dispatcher_converts_frames_on_the_card_they_are_on", "", || {
        let to = |format| TransformRequest::default().convert(ColorRequest::To(format));
        let crop = Crop { left: 10, top: 6, size: Dimensions::new(101, 51).unwrap() };
        for (name, request) in [
            ("small.h264", to(PixelFormat::Rgb24)),
            ("small-10bit.h265", to(PixelFormat::Bgra).host(true)),
            ("small.h264", to(PixelFormat::RgbF32Planar).crop(crop)),
        ] {
            let (stats, failure) = dispatched(name, &request);
            assert_eq!(
                (stats.on_device, stats.transformed, stats.fell_back),
                (50, 50, 0),
                "{name} {request}"
            );
            assert_eq!(failure, None);
        }
        // What no kernel does is the CPU's, and no failure.
        let (stats, failure) = dispatched("small.h264", &to(PixelFormat::I444));
        assert_eq!((stats.on_device, stats.transformed, stats.fell_back), (0, 50, 0));
        assert_eq!(failure, None);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("cuLaunchKernel"), 150);
        assert_eq!(run.calls("cuModuleLoadDataEx"), 3, "once for each dispatcher");
        run.assert_clean();
    }
}

#[test]
fn a_launch_that_fails_later_leaves_the_rest_to_the_cpu_and_says_so() {
    let settings = fault("cuLaunchKernel", 5, "code=701");
    clean("a_launch_that_fails_later_leaves_the_rest_to_the_cpu_and_says_so", &settings, || {
        let (stats, failure) =
            dispatched("small.h264", &TransformRequest::default().convert(ColorRequest::Rgb8));
        assert_eq!((stats.transformed, stats.failed), (50, 0));
        // The next was under way meanwhile, at most.
        assert!((44..=46).contains(&stats.fell_back), "{stats:?}");
        assert_eq!(stats.on_device + stats.fell_back, 50);
        assert!(failure.is_some_and(|words| words.contains("cuLaunchKernel")));
    });
}

#[test]
fn kernels_that_do_not_start_leave_a_dispatcher_to_the_cpu() {
    let settings = "fault=[{function='cuModuleLoadDataEx',call=1,count=0,code=222}]";
    clean("kernels_that_do_not_start_leave_a_dispatcher_to_the_cpu", settings, || {
        let (stats, failure) =
            dispatched("small.h264", &TransformRequest::default().convert(ColorRequest::Rgb8));
        assert_eq!((stats.on_device, stats.fell_back, stats.failed), (0, 50, 0));
        assert!(failure.is_some_and(|words| words.contains("Update the NVIDIA driver")));
    });
}

#[test]
fn samples_of_ten_bits_in_444_are_shifted_on_the_gpu() {
    let made = simulated("samples_of_ten_bits_in_444_are_shifted_on_the_gpu", "", || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("444.h265");
        let path = path.to_str().unwrap();
        let source = "testsrc2=size=322x178:rate=25:duration=0.4";
        let make = ["-f", "lavfi", "-i", source, "-pix_fmt", "yuv444p10le", "-c:v", "libx265"];
        run("ffmpeg", &[&make[..], &["-x265-params", "log-level=none", path]].concat());
        let judge = run("ffmpeg", &["-i", path, "-pix_fmt", "yuv444p10le", "-f", "md5", "-"]);
        for output in [DecodeOutputMode::NativeSurface, DecodeOutputMode::HostSurface] {
            let (frames, errors, _) = decode(path, output, ColorRequest::KeepNative);
            assert!(errors.is_empty(), "{errors:?}");
            assert!(frames.iter().all(|frame| frame.format == PixelFormat::I410));
            let samples: Vec<u8> = frames.iter().flat_map(|frame| host(frame).to_packed()).collect();
            assert_eq!(format!("MD5={}", md5_hex(&samples)), judge.trim());
        }
    });
    // Without ffmpeg nothing was decoded, and that was said.
    if let Some(run) = made.filter(|_| have(&["ffmpeg"])) {
        assert_eq!(run.calls("cuLaunchKernel"), 2 * 10);
    }
}
