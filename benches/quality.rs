//! Time of comparing one pair of 1080p pictures on one thread.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use video_hw::dimensions::Dimensions;
use video_hw::frame::HostSurface;
use video_hw::pixel::PixelFormat;
use video_hw::quality::{Metrics, measure};

fn picture(format: PixelFormat, size: Dimensions, seed: usize) -> HostSurface {
    let wide = format.bytes_per_sample() == 2;
    let data: Vec<u8> = (0..format.frame_bytes(size))
        .map(|i| if wide && i % 2 == 1 { (i / 7 % 4) as u8 } else { (i * 7 + i / 3000 * seed) as u8 })
        .collect();
    let Ok(surface) = HostSurface::from_packed(format, size, data) else {
        unreachable!("the size is the format's")
    };
    surface
}

fn benches(criterion: &mut Criterion) {
    let Some(size) = Dimensions::new(1920, 1080) else { return };
    let mut group = criterion.benchmark_group("quality of 1080p");
    group.throughput(Throughput::Elements(1));
    for format in
        [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::I010, PixelFormat::P010, PixelFormat::Rgb24]
    {
        let (a, b) = (picture(format, size, 1), picture(format, size, 2));
        for (name, metrics) in [
            ("psnr", Metrics { psnr: true, ssim: false }),
            ("psnr and ssim", Metrics { psnr: true, ssim: true }),
        ] {
            group.bench_function(format!("{format}, {name}"), |bench| {
                bench.iter(|| measure(&a, &b, metrics));
            });
        }
    }
    group.finish();
}

criterion_group!(quality_benches, benches);
criterion_main!(quality_benches);
