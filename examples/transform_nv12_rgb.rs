//! Converts NV12 to RGB: one picture, to show what the colour tags do to the result; then many, on worker threads that give
//! them back in the order they came.
//!
//! ```console
//! $ cargo run --release --example transform_nv12_rgb -- --frames 200 --threads 4
//! ```

use std::time::Instant;

use video_hw::color::{ColorInfo, ColorRange, MatrixCoefficients};
use video_hw::config::ColorRequest;
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};
use video_hw::transform::{self, TransformDispatcher, TransformOptions, TransformRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let count: i64 = option("--frames").map_or(Ok(60), |n| n.parse())?;
    let threads = option("--threads").map(|n| n.parse()).transpose()?;
    colours()?;
    workers(count, TransformOptions::default().threads(threads).credits(None))
}

/// The same samples under different tags.
fn colours() -> Result<(), Box<dyn std::error::Error>> {
    let size: Dimensions = "16x16".parse()?;
    let mut data = vec![81; 256];
    data.extend([90, 240].repeat(64));
    let surface = HostSurface::from_packed(PixelFormat::Nv12, size, data)?;
    let mut frame = Frame::host(Timestamp::new(0, TimeBase::MPEG), surface);
    for matrix in [MatrixCoefficients::Smpte170M, MatrixCoefficients::Bt709, MatrixCoefficients::Bt2020Ncl] {
        for range in [ColorRange::Limited, ColorRange::Full] {
            frame.color = ColorInfo { matrix, range: Some(range), ..ColorInfo::UNSPECIFIED };
            let rgb = transform::convert(&frame, PixelFormat::Rgb24)?.frame;
            let pixel = rgb.as_host().and_then(|s| s.plane(0)).map(|p| p.row(0)[..3].to_vec());
            println!("Y 81 Cb 90 Cr 240 in {matrix} {range:?}: {pixel:?}");
        }
    }
    Ok(())
}

/// Many pictures at once: `submit` hands a frame back when all places are taken, and never waits.
fn workers(count: i64, options: TransformOptions) -> Result<(), Box<dyn std::error::Error>> {
    let size: Dimensions = "1280x720".parse()?;
    let grey =
        HostSurface::from_packed(PixelFormat::Nv12, size, vec![128; PixelFormat::Nv12.frame_bytes(size)])?;
    let dispatcher = TransformDispatcher::new(options);
    let to_rgb = TransformRequest::default().convert(ColorRequest::Rgb8);
    let started = Instant::now();
    let mut back = 0;
    let mut in_order = |frame: Frame| {
        assert_eq!((frame.pts.ticks(), frame.format), (back, PixelFormat::Rgb24));
        back += 1;
    };
    for tick in 0..count {
        let mut frame = Frame::host(Timestamp::new(tick, TimeBase::MPEG), grey.clone());
        frame.color = ColorInfo::BT709;
        while let Err(refused) = dispatcher.submit(frame, &to_rgb) {
            frame = refused;
            dispatcher.reap()?.map(&mut in_order);
        }
    }
    while let Some(frame) = dispatcher.reap()? {
        in_order(frame);
    }
    let (stats, seconds) = (dispatcher.stats(), started.elapsed().as_secs_f64());
    println!(
        "{back} pictures of {size} in order, {:.0} per second on {} threads, at most {} inside",
        back as f64 / seconds,
        stats.threads,
        stats.inside.peak
    );
    Ok(())
}
