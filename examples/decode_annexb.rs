//! Decodes a raw H.264 or H.265 stream by hand: chunks of bytes in, frames out, on one thread.
//!
//! ```console
//! $ cargo run --release --example decode_annexb -- clips/small.h264 --chunk 4096
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

use video_hw::backend::Backend;
use video_hw::bitstream::AccessUnitAssembler;
use video_hw::codec::Codec;
use video_hw::config::CommonDecodeConfig;
use video_hw::figures::Figures;
use video_hw::frame::Frame;
use video_hw::packet::{BitstreamLayout, Packet};
use video_hw::session::{DecodeSession, Submit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "clips/small.h264".to_owned());
    let chunk = match (args.next().as_deref(), args.next()) {
        (Some("--chunk"), Some(n)) => n.parse()?,
        _ => 65_536,
    };
    let extension = path.rsplit('.').next().unwrap_or_default();
    let codec = if matches!(extension, "h265" | "265" | "hevc") { Codec::Hevc } else { Codec::H264 };

    let mut units = AccessUnitAssembler::new(codec)?;
    let mut session = DecodeSession::new(Backend::Auto, CommonDecodeConfig::new(codec))?;
    println!("{}", session.receipt());

    let mut file = File::open(&path)?;
    let mut buffer = vec![0; chunk];
    let mut waiting = VecDeque::new();
    let mut frames = 0;
    let mut show = |frame: Frame| {
        frames += 1;
        if frames <= 3 {
            println!("{} {} {} {:?}", frame.pts, frame.dimensions, frame.format, frame.color.matrix);
        }
    };
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            units.finish();
        } else {
            units.push(&buffer[..n])?;
        }
        while let Some(unit) = units.next_unit() {
            let mut packet = Packet::new(codec, BitstreamLayout::AnnexB, unit.data);
            packet.keyframe = unit.keyframe;
            waiting.push_back(packet);
        }
        // Nothing here waits for the decoder: what it cannot take now stays in our own queue.
        while let Some(packet) = waiting.pop_front() {
            if let Submit::Full(packet) = session.submit(packet)? {
                waiting.push_front(packet);
                if let Some(frame) = session.reap_timeout(std::time::Duration::from_millis(10))? {
                    show(frame);
                }
            }
        }
        if n == 0 {
            break;
        }
    }
    for frame in session.drain()? {
        show(frame?);
    }
    let summary = session.summary();
    for line in
        (Figures { decode: Some(&summary), ..Figures::default() }).asked_for(|n| std::env::var(n).ok())
    {
        eprintln!("{line}");
    }
    println!("{frames} frames, ledger balances: {}", summary.ledger.balances());
    Ok(())
}
