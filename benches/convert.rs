//! Time of one 1080p conversion or scaling.

use criterion::{Criterion, criterion_group, criterion_main};
use video_hw::color::ColorInfo;
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};
use video_hw::transform::{ScaleFilter, convert, scale};

fn frame(format: PixelFormat, size: Dimensions) -> Frame {
    // Legal luma everywhere: 16 to 235 at 8 bit, and its like above.
    let data: Vec<u8> = (0..format.frame_bytes(size)).map(|i| (16 + i * 7 % 220) as u8).collect();
    let Ok(surface) = HostSurface::from_packed(format, size, data) else {
        unreachable!("the size is the format's")
    };
    let mut frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
    frame.color = ColorInfo::BT709;
    frame
}

fn benches(criterion: &mut Criterion) {
    let (Some(full), Some(hd)) = (Dimensions::new(1920, 1080), Dimensions::new(1280, 720)) else { return };
    let mut group = criterion.benchmark_group("1080p");
    for (from, to) in [
        (PixelFormat::I420, PixelFormat::Rgb24),
        (PixelFormat::Nv12, PixelFormat::Rgb24),
        (PixelFormat::P010, PixelFormat::Rgb24),
        (PixelFormat::I420, PixelFormat::RgbF32Planar),
        (PixelFormat::Rgb24, PixelFormat::I420),
        (PixelFormat::I420, PixelFormat::Nv12),
        (PixelFormat::P010, PixelFormat::I420),
        (PixelFormat::I444, PixelFormat::I420),
    ] {
        let frame = frame(from, full);
        group.bench_function(format!("{from} to {to}"), |b| b.iter(|| convert(&frame, to)));
    }
    for filter in [ScaleFilter::Bilinear, ScaleFilter::Bicubic, ScaleFilter::Lanczos3] {
        let frame = frame(PixelFormat::I420, full);
        group
            .bench_function(format!("yuv420p to 720p, {filter:?}"), |b| b.iter(|| scale(&frame, hd, filter)));
    }
    group.finish();
}

criterion_group!(convert_benches, benches);
criterion_main!(convert_benches);
