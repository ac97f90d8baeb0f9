//! Frames that the GPU converts, on the simulated driver: the same pictures as the CPU's, in device and in host memory,
//! and what happens when the kernels do not start or fail.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

mod nvidia_support;
mod streams_common;

use video_hw::backend::BackendKind;
use video_hw::config::{ColorRequest, CommonDecodeConfig, DecodeOutputMode};
use video_hw::error::Error;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, DecodeSummary};
use video_hw::transform;

use streams_common::{have, md5_hex, run};

use nvidia_support::{clean, decode_into, fault, packets, simulated};

/// Frames and errors of a clip, and the books.
fn decode(
    name: &str,
    output: DecodeOutputMode,
    convert: ColorRequest,
) -> (Vec<Frame>, Vec<Error>, DecodeSummary) {
    let (config, packets) = packets(name);
    let config = CommonDecodeConfig { output, convert, ..config };
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

/// Largest difference between bytes of two pictures.
fn distance(found: &HostSurface, expected: &HostSurface) -> u8 {
    assert_eq!((found.format(), found.dimensions()), (expected.format(), expected.dimensions()));
    let (found, expected) = (found.to_packed(), expected.to_packed());
    found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
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
                        // Each is at most a code off the exact picture.
                        let most = distance(&host(frame), expected.as_host().unwrap());
                        assert!(most <= 2, "{name} {format} {}: {most}", frame.pts);
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
