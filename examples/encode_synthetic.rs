//! Encodes a generated picture sequence to a raw stream.
//!
//! ```console
//! $ cargo run --release --example encode_synthetic -- synthetic.h264 --frames 120 --gop-length 30
//! ```
//!
//! `--codec`, `--backend`, `--gop-length`, `--frame-interval-p` and `--nv-max-in-flight` are settings of the encoder.
//! `VIDEO_HW_NV_METRICS=1` prints figures at the end, also of how long the pictures took to make.

#[path = "shared/settings.rs"]
mod settings;

use std::fs::File;
use std::io::Write;

use settings::Settings;
use video_hw::config::{CommonEncodeConfig, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::figures::Figures;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::stages::Histogram;
use video_hw::time::{Rational, TimeBase, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let settings = Settings(&args);
    let path = args.first().map_or("synthetic.h264", String::as_str);
    let count: u32 = settings.option("frames").map_or(Ok(120), str::parse)?;

    let size: Dimensions = "640x360".parse()?;
    let rate = Rational::new(30, 1).ok_or("a frame rate is not zero")?;
    let mut config = CommonEncodeConfig::new(settings.codec()?, size, rate)
        .rate_control(RateControl::Vbr { avg_bps: 1_000_000, max_bps: None });
    settings.structure(&mut config)?;

    let mut session = EncodeSession::with_special(settings.backend()?, config, &settings.special()?)?;
    let synth = Histogram::default();
    println!("{}", session.receipt());
    let mut out = File::create(path)?;
    for i in 0..count {
        let pts = Timestamp::new(i64::from(i), TimeBase::from_frame_rate(rate));
        let mut frame = Frame::host(pts, synth.time(|| picture(size, i))?);
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
    let figures = Figures { encode: Some(&summary), synth: Some(synth.summary()), ..Figures::default() };
    for line in figures.asked_for(|name| std::env::var(name).ok()) {
        eprintln!("{line}");
    }
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
