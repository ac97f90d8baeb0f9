//! Sizes and R, G, B on the GPU: the bytes of the CPU's conversion, nothing mapped on the way to an encoder, and what happens
//! where the GPU fails.

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{ColorRequest, CommonDecodeConfig, Crop, DecodeOutputMode};
use video_hw::dimensions::Dimensions;
use video_hw::frame::Frame;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, DecodeSummary};
use video_hw::transform::{self, TransformRequest};

use crate::support::nvidia::{clip, decode, packets};
use crate::support::videotoolbox::{clean, clean_case};

const VT: BackendKind = BackendKind::VideoToolbox;

/// Enough for pictures out of order.
const FRAMES: usize = 12;

/// The first frames of a clip, decoded with these changes.
fn frames(
    name: &str,
    change: impl FnOnce(CommonDecodeConfig) -> CommonDecodeConfig,
) -> (Vec<Frame>, DecodeSummary) {
    let (config, mut packets) = packets(name);
    packets.truncate(FRAMES);
    let mut session = DecodeSession::new(VT, change(config)).unwrap();
    let (frames, errors) = decode(&mut session, &packets);
    assert!(errors.is_empty(), "{errors:?}");
    (frames, session.summary())
}

fn bytes(frame: &Frame) -> Vec<u8> {
    let host = transform::to_host(frame.clone()).unwrap();
    host.as_host().unwrap().to_packed()
}

/// What the CPU makes of the clip's own frames.
fn on_cpu(name: &str, request: &TransformRequest) -> Vec<Vec<u8>> {
    let (whole, _) = frames(name, |config| config);
    whole.into_iter().map(|frame| bytes(&request.apply(frame).unwrap().frame)).collect()
}

fn same(frames: &[Frame], expected: &[Vec<u8>]) {
    assert_eq!(frames.len(), expected.len());
    for (at, (frame, expected)) in frames.iter().zip(expected).enumerate() {
        assert!(bytes(frame) == *expected, "frame {at}");
    }
}

const NATIVE: DecodeOutputMode = DecodeOutputMode::NativeSurface;
const FORMATS: [(ColorRequest, &[DecodeOutputMode]); 3] = [
    (ColorRequest::Rgb8, &[NATIVE, DecodeOutputMode::HostSurface]),
    (ColorRequest::To(PixelFormat::Argb), &[DecodeOutputMode::HostSurface]),
    (ColorRequest::To(PixelFormat::RgbF32Planar), &[NATIVE]),
];

/// The kernel's Metal text runs on the simulation, and makes what the CPU makes.
#[test]
fn rgb_is_made_on_the_gpu_to_the_bit() {
    let run = clean("rgb_is_made_on_the_gpu_to_the_bit", "", || {
        // The kernel is compiled once as long as anybody has it.
        let (native, _) = frames("small.h264", |config| config.output(NATIVE));
        let device = native[0].as_device().unwrap();
        let converter = device.converter(native[0].color, PixelFormat::Bgra).unwrap().unwrap();
        assert_eq!(converter.convert(device).unwrap().format(), PixelFormat::Bgra);
        for name in ["small.h264", "small-10bit.h265"] {
            for (convert, outputs) in FORMATS {
                let expected = on_cpu(name, &TransformRequest::default().convert(convert));
                for &output in outputs {
                    let (made, summary) = frames(name, |config| config.output(output).convert(convert));
                    assert_eq!(summary.transform.on_device, FRAMES as u64, "{name} {convert:?} {output:?}");
                    assert!(summary.notes.is_empty(), "{:?}", summary.notes);
                    let stays = output == NATIVE;
                    assert!(made.iter().all(|frame| frame.as_device().is_some() == stays));
                    same(&made, &expected);
                }
            }
        }
        // A part, which begins inside the buffer.
        let crop = Crop { left: 10, top: 6, size: Dimensions::new(33, 21).unwrap() };
        let request = TransformRequest::default().convert(ColorRequest::Rgb8).crop(crop);
        let (made, summary) =
            frames("small.h264", |config| config.output(NATIVE).convert(ColorRequest::Rgb8).crop(crop));
        assert_eq!(summary.transform.on_device, FRAMES as u64);
        same(&made, &on_cpu("small.h264", &request));
    });
    if let Some(run) = run {
        assert_eq!(run.calls("waitUntilCompleted"), (2 * 4 + 1) * FRAMES as u64 + 1);
        assert_eq!(run.calls("newLibraryWithSource:options:error:"), 1);
    }
}

/// The CPU takes over, with the bytes that were wanted, and the summary says so.
#[test]
fn what_the_gpu_fails_at_the_cpu_does() {
    for (settings, words) in [
        ("metal=none", "MTLCreateSystemDefaultDevice"),
        ("fail.metal.at=5:3", "the simulated GPU fails as ordered (3)"),
    ] {
        clean_case("m1", "what_the_gpu_fails_at_the_cpu_does", settings, "", |_| {
            let expected = on_cpu("small.h264", &TransformRequest::default().convert(ColorRequest::Rgb8));
            let (made, summary) = frames("small.h264", |config| config.convert(ColorRequest::Rgb8));
            same(&made, &expected);
            assert!(summary.transform.fell_back > 0);
            let [note] = &summary.notes[..] else { panic!("{:?}", summary.notes) };
            assert!(note.starts_with("rgb24 is made on the CPU: ") && note.contains(words), "{note}");
        });
    }
}

/// A pixel of the simulated scaling: the nearest.
fn nearest(frame: &Frame, size: Dimensions) -> Vec<u8> {
    let host = transform::to_host(frame.clone()).unwrap();
    let (from, to) = (frame.dimensions, size);
    let mut out = Vec::new();
    for (plane, pair) in [(0, 1), (1, 2)] {
        let rows = host.as_host().unwrap().plane(plane).unwrap();
        let sides = |size: Dimensions| [size.width() as usize / pair, size.height() as usize / pair];
        let ([width, height], [columns, lines]) = (sides(from), sides(to));
        for y in 0..lines {
            let row = rows.row(y * height / lines);
            for x in 0..columns {
                let at = x * width / columns * pair;
                out.extend_from_slice(&row[at..at + pair]);
            }
        }
    }
    out
}

#[test]
fn pictures_are_scaled_from_buffer_to_buffer() {
    let run = clean("pictures_are_scaled_from_buffer_to_buffer", "", || {
        let size = Dimensions::new(80, 34).unwrap();
        let (whole, _) = frames("small.h264", |config| config);
        let expected: Vec<_> = whole.iter().map(|frame| nearest(frame, size)).collect();
        let (made, summary) = frames("small.h264", |config| config.size(size).output(NATIVE));
        assert_eq!((summary.shaped, summary.transform.transformed), (FRAMES as u64, 0));
        assert!(made.iter().all(|frame| frame.as_device().is_some() && frame.dimensions == size));
        same(&made, &expected);
        // And converted behind that.
        let (made, summary) = frames("small.h264", |config| config.size(size).convert(ColorRequest::Rgb8));
        assert_eq!(summary.transform.on_device, FRAMES as u64);
        assert!(made.iter().all(|frame| frame.format == PixelFormat::Rgb24 && frame.dimensions == size));
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTPixelTransferSessionTransferImage"), 2 * FRAMES as u64);
        assert_eq!(run.calls("VTPixelTransferSessionCreate"), 2);
    }
}

/// Odd sizes, parts, and what the system fails at are the CPU's.
#[test]
fn other_sizes_are_scaled_by_the_cpu() {
    let run = clean("other_sizes_are_scaled_by_the_cpu", "fail.transfer.at=1:-12905", || {
        let odd = Dimensions::new(81, 35).unwrap();
        let even = Dimensions::new(80, 34).unwrap();
        let crop = Crop { left: 8, top: 4, size: Dimensions::new(64, 32).unwrap() };
        for (size, part, noted) in [(odd, None, false), (even, Some(crop), false), (even, None, true)] {
            let request = TransformRequest::default().size(size).crop(part);
            let (made, summary) = frames("small.h264", |config| config.size(size).crop(part));
            same(&made, &on_cpu("small.h264", &request));
            assert_eq!(summary.notes.len(), usize::from(noted), "{:?}", summary.notes);
            assert!(summary.notes.iter().all(|note| note.starts_with("pictures are scaled on the CPU: ")));
        }
    });
    if let Some(run) = run {
        assert_eq!(run.calls("VTPixelTransferSessionTransferImage"), 1);
    }
}

/// Between decoder and encoder nothing is mapped.
#[test]
fn a_smaller_transcode_stays_on_the_gpu() {
    let run = clean("a_smaller_transcode_stays_on_the_gpu", "", || {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let size = Dimensions::new(160, 90).unwrap();
        let job = video_hw::transcode(clip("bars.mp4"), &output).codec(Codec::Hevc).bitrate(500_000);
        let report = job.size(size).decode_backend(VT).encode_backend(VT).run().unwrap();
        assert_eq!(report.memory.to_string(), "device", "{report:?}");
        assert_eq!(report.encode.input_copy_bytes, 0);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("CVPixelBufferLockBaseAddress"), 0);
        assert!(run.calls("VTPixelTransferSessionTransferImage") > 0);
    }
}
