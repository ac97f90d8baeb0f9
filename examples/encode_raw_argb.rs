//! Encodes a headerless file of 32-bit RGB pictures. `--order` names the bytes in memory: `bgra` is what
//! NVENC calls ARGB (a little-endian word), `argb` is what ffmpeg calls argb.
//!
//! ```console
//! $ cargo run --release --example encode_raw_argb -- in.raw out.h264 --size 640x360 --order bgra
//! ```

use std::fs::File;
use std::io::{Read, Write};

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::color::ColorInfo;
use video_hw::config::CommonEncodeConfig;
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};
use video_hw::transform;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let [input, output, ..] = &args[..] else {
        return Err("usage: encode_raw_argb IN OUT --size WxH [--order bgra|argb|rgba|abgr]".into());
    };
    let size: Dimensions = option("--size").ok_or("--size WxH is needed")?.parse()?;
    let order: PixelFormat = option("--order").map_or("bgra", String::as_str).parse()?;
    let rate = Rational::new(30, 1).ok_or("a frame rate is not zero")?;
    let mut config = CommonEncodeConfig::new(Codec::H264, size, rate);
    config.color = ColorInfo::BT709;
    // The longer names are those of scripts written for NVENC; the settings are the same for every encoder.
    let either = |name: &str| option(&format!("--{name}")).or_else(|| option(&format!("--nv-{name}")));
    config.gop_length = either("gop-length").map(|n| n.parse()).transpose()?;
    config.frame_interval_p = either("frame-interval-p").map(|n| n.parse()).transpose()?;

    let mut session = EncodeSession::new(Backend::Auto, config)?;
    let mut file = File::open(input)?;
    let mut out = File::create(output)?;
    let mut bytes = vec![0; order.frame_bytes(size)];
    let mut index = 0;
    while file.read_exact(&mut bytes).is_ok() {
        let pts = Timestamp::new(index, TimeBase::from_frame_rate(rate));
        index += 1;
        let mut rgb = Frame::host(pts, HostSurface::from_packed(order, size, bytes.clone())?);
        rgb.color = ColorInfo::SRGB;
        let mut frame = transform::convert(&rgb, PixelFormat::I420)?.frame;
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
    println!("{index} frames, {} bytes", session.summary().bytes_out);
    Ok(())
}
