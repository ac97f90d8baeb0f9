//! Encodes a headerless file of 32-bit RGB pictures. `--order` names the bytes in memory: `bgra` is what
//! NVENC calls ARGB (a little-endian word), `argb` is what ffmpeg calls argb. An encoder that reads such pictures gets
//! them as they are; for others they are converted.
//!
//! ```console
//! $ cargo run --release --example encode_raw_argb -- in.raw out.h264 --size 640x360 --order bgra
//! ```
//!
//! `--codec`, `--backend`, `--gop-length`, `--frame-interval-p` and `--nv-max-in-flight` are settings of the encoder.
//! `VIDEO_HW_NV_METRICS=1` prints figures at the end.

#[path = "shared/settings.rs"]
mod settings;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};

use settings::Settings;
use video_hw::Error;
use video_hw::color::ColorInfo;
use video_hw::config::CommonEncodeConfig;
use video_hw::dimensions::Dimensions;
use video_hw::figures::Figures;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};
use video_hw::transform;

const USAGE: &str = "usage: encode_raw_argb IN OUT --size WxH [--order bgra|argb|rgba|abgr] [--codec NAME] \
    [--backend NAME] [--gop-length N] [--frame-interval-p N] [--nv-max-in-flight N]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let settings = Settings(&args);
    let [input, output, ..] = &args[..] else { return Err(USAGE.into()) };
    let size: Dimensions = settings.option("size").ok_or("--size WxH is needed")?.parse()?;
    let order: PixelFormat = settings.option("order").unwrap_or("bgra").parse()?;
    let rate = Rational::new(30, 1).ok_or("a frame rate is not zero")?;
    let mut config = CommonEncodeConfig::new(settings.codec()?, size, rate);
    settings.structure(&mut config)?;

    let (mut session, direct) = open(&settings, &config, order)?;
    println!("{}", session.receipt());
    println!("pictures are {}", if direct { "encoded as they are" } else { "converted on the CPU" });
    let mut file = File::open(input)?;
    let mut out = File::create(output)?;
    let mut index = 0;
    while let Some(bytes) = read_picture(&mut file, order.frame_bytes(size), index)? {
        let pts = Timestamp::new(index, TimeBase::from_frame_rate(rate));
        index += 1;
        let mut frame = Frame::host(pts, HostSurface::from_packed(order, size, bytes)?);
        frame.color = ColorInfo::SRGB;
        if !direct {
            frame = transform::convert(&frame, PixelFormat::I420)?.frame;
        }
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
    for line in
        (Figures { encode: Some(&summary), ..Figures::default() }).asked_for(|n| std::env::var(n).ok())
    {
        eprintln!("{line}");
    }
    println!("{index} frames, {} bytes", summary.bytes_out);
    Ok(())
}

/// A session for pictures as they are in the file, or else (`false`) for converted ones.
fn open(
    settings: &Settings<'_>,
    config: &CommonEncodeConfig,
    order: PixelFormat,
) -> Result<(EncodeSession, bool), Box<dyn std::error::Error>> {
    let (backend, special) = (settings.backend()?, settings.special()?);
    let direct = config.clone().format(order);
    match EncodeSession::with_special(backend, direct, &special) {
        Ok(session) => return Ok((session, true)),
        // Of this format; what else is wrong shows with the other one.
        Err(Error::Unsupported { .. } | Error::Unavailable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let planar = config.clone().format(PixelFormat::I420).color(ColorInfo::BT709);
    Ok((EncodeSession::with_special(backend, planar, &special)?, false))
}

/// The next picture; `None` at the end of the file, which must not lie inside a picture.
fn read_picture(
    file: &mut File,
    size: usize,
    index: i64,
) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error>> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => {
                let what = format!("picture {index} is cut off: {filled} of {size} bytes");
                return Err(what.into());
            }
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(bytes))
}
