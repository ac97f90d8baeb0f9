//! Encodes a generated picture sequence to a raw stream.
//!
//! ```console
//! $ cargo run --release --example encode_synthetic -- synthetic.h264 --frames 120 --gop-length 30
//! ```

use std::fs::File;
use std::io::Write;

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{CommonEncodeConfig, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let path = args.first().map_or("synthetic.h264", String::as_str);
    let count: u32 = option("--frames").map_or(Ok(120), |n| n.parse())?;

    let size: Dimensions = "640x360".parse()?;
    let rate = Rational::new(30, 1).ok_or("a frame rate is not zero")?;
    let codec: Codec = option("--codec").map_or(Ok(Codec::H264), |name| name.parse())?;
    let backend: Backend = option("--backend").map_or(Ok(Backend::Auto), |name| name.parse())?;
    let mut config = CommonEncodeConfig::new(codec, size, rate)
        .rate_control(RateControl::Vbr { avg_bps: 1_000_000, max_bps: None });
    // The longer names are those of scripts written for NVENC; the settings are the same for every encoder.
    let either = |name: &str| option(&format!("--{name}")).or_else(|| option(&format!("--nv-{name}")));
    config.gop_length = either("gop-length").map(|n| n.parse()).transpose()?;
    config.frame_interval_p = either("frame-interval-p").map(|n| n.parse()).transpose()?;

    let mut session = EncodeSession::new(backend, config)?;
    println!("{}", session.receipt());
    let mut out = File::create(path)?;
    for i in 0..count {
        let pts = Timestamp::new(i64::from(i), TimeBase::from_frame_rate(rate));
        let mut frame = Frame::host(pts, picture(size, i)?);
        while let Submit::Full(back) = session.submit(frame)? {
            frame = back;
            if let Some(packet) = session.reap_timeout(std::time::Duration::from_millis(10))? {
                out.write_all(&packet.data)?;
            }
        }
    }
    for packet in session.drain()? {
        out.write_all(&packet?.data)?;
    }
    let summary = session.summary();
    println!(
        "{path}: {} packets, {} keyframes, {} bytes, ledger balances: {}",
        summary.ledger.delivered,
        summary.keyframes,
        summary.bytes_out,
        summary.ledger.balances()
    );
    Ok(())
}

/// Diagonal stripes that move to the left.
fn picture(size: Dimensions, index: u32) -> video_hw::Result<HostSurface> {
    let (w, h) = (size.width(), size.height());
    let mut data = Vec::with_capacity(PixelFormat::I420.frame_bytes(size));
    for y in 0..h {
        data.extend((0..w).map(|x| ((x + y + index * 2) % 219 + 16) as u8));
    }
    for plane in 0..2 {
        for y in 0..h / 2 {
            data.extend((0..w / 2).map(|x| (112 + ((x + plane * y + index) % 32)) as u8));
        }
    }
    HostSurface::from_packed(PixelFormat::I420, size, data)
}
