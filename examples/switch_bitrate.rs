//! Encodes a generated sequence whose bit rate, and then codec settings, change on the way.
//!
//! ```console
//! $ cargo run --release --example switch_bitrate -- switched.h264 --frames 300
//! ```
//!
//! After a third the bit rate is halved: by the running encoder where it can, else by a session that is opened and proved
//! while the old one works. After two thirds the GOP gets shorter, which always needs another session, at the next IDR.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};
use video_hw::control::{SessionSwitchRequest, SwitchingEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::Submit;
use video_hw::time::{Rational, TimeBase, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let path = args.first().filter(|a| !a.starts_with("--")).map_or("switched.h264", String::as_str);
    let count: u32 = option("--frames").map_or(Ok(300), |n| n.parse())?;
    let backend: Backend = option("--backend").map_or(Ok(Backend::Auto), |name| name.parse())?;

    let size: Dimensions = "640x360".parse()?;
    let rate = Rational::new(30, 1).ok_or("a frame rate is not zero")?;
    let full = CommonEncodeConfig::new(Codec::H264, size, rate)
        .rate_control(RateControl::Cbr { bitrate_bps: 2_000_000 })
        .gop_length(60);
    let half = full.clone().rate_control(RateControl::Cbr { bitrate_bps: 1_000_000 });
    let short = half.clone().gop_length(15);

    let mut stream = SwitchingEncoder::new(backend, full, BackendEncodeConfig::None)?;
    let mut out = File::create(path)?;
    for i in 0..count {
        if i == count / 3 {
            let target = (half.clone(), BackendEncodeConfig::None);
            stream.request_switch(SessionSwitchRequest::immediate(target))?;
        }
        if i == count / 3 * 2 {
            let target = (short.clone(), BackendEncodeConfig::None);
            stream.request_switch(SessionSwitchRequest::on_next_keyframe(target))?;
        }
        let pts = Timestamp::new(i64::from(i), TimeBase::from_frame_rate(rate));
        let mut frame = Frame::host(pts, picture(size, i)?);
        while let Submit::Full(back) = stream.submit(frame)? {
            frame = back;
            if let Some(packet) = stream.reap_timeout(Duration::from_millis(10))? {
                out.write_all(&packet.data)?;
            }
        }
    }
    for packet in stream.drain()? {
        out.write_all(&packet?.data)?;
    }
    for event in stream.take_events() {
        println!("{:>9.3} s  {:?}", event.at.as_secs_f64(), event.kind);
    }
    let summary = stream.summary();
    for known in &summary.generations {
        let seconds = known.frames as f64 / rate.as_f64();
        println!(
            "generation {}: {:?}, {} packets from {}, {:.0} kb/s",
            known.generation,
            known.start,
            known.packets,
            known.first_pts.map_or_else(|| "nowhere".to_owned(), |pts| pts.to_string()),
            known.bytes as f64 * 8.0 / 1000.0 / seconds.max(f64::MIN_POSITIVE)
        );
    }
    println!("{path}: {} packets, ledger balances: {}", summary.ledger.delivered, summary.ledger.balances());
    Ok(())
}

/// Diagonal stripes that move to the left, with noise that costs bits.
fn picture(size: Dimensions, index: u32) -> video_hw::Result<HostSurface> {
    let (w, h) = (size.width(), size.height());
    let mut noise = index.wrapping_mul(0x9e37_79b9) | 1;
    let mut data = Vec::with_capacity(PixelFormat::I420.frame_bytes(size));
    for y in 0..h {
        data.extend((0..w).map(|x| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            (((x + y + index * 2) % 180) + 16 + noise % 8) as u8
        }));
    }
    data.resize(PixelFormat::I420.frame_bytes(size), 128);
    HostSurface::from_packed(PixelFormat::I420, size, data)
}
