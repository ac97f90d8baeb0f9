//! Converts one NV12 picture to RGB, and shows what the colour tags do to the result.
//!
//! ```console
//! $ cargo run --example transform_nv12_rgb
//! ```

use video_hw::color::{ColorInfo, ColorRange, MatrixCoefficients};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::time::{TimeBase, Timestamp};
use video_hw::transform;

fn main() -> video_hw::Result<()> {
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
