//! Encodes pictures that the program makes itself into an MP4 file: the shortest way from memory to a file that plays.
//!
//! ```console
//! $ cargo run --release --example encode_to_mp4 -- out.mp4 --frames 90
//! ```

use std::path::Path;

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::CommonEncodeConfig;
use video_hw::container::{MuxOptions, OutputFormat, Track, create_muxer};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::output_file::OutputFile;
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, Submit};
use video_hw::time::{Rational, TimeBase, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let [output, ..] = &args[..] else {
        return Err("usage: encode_to_mp4 OUT.mp4 [--frames 90] [--backend auto]".into());
    };
    let frames: i64 = option("--frames").map_or(Ok(90), |n| n.parse())?;
    let backend: Backend = option("--backend").map_or(Ok(Backend::Auto), |name| name.parse())?;

    let size = Dimensions::new(320, 180).ok_or("a size")?;
    let rate = Rational::new(30, 1).ok_or("a rate")?;
    let base = TimeBase::from_frame_rate(rate);
    let mut encoder = EncodeSession::new(backend, CommonEncodeConfig::new(Codec::H264, size, rate))?;

    // The file appears under its name when it is complete.
    let file = OutputFile::create(Path::new(output), true, &[])?;
    let mut muxer = create_muxer(OutputFormat::Mp4, &file, MuxOptions::default())?;
    let track = muxer.add_track(&Track::video(encoder.config(), base))?;

    for number in 0..frames {
        let picture = HostSurface::from_packed(PixelFormat::I420, size, ramp(size, number))?;
        let mut frame = Frame { duration: Some(1), ..Frame::host(Timestamp::new(number, base), picture) };
        // The encoder hands a frame back when it has no room: a packet has to come out first.
        while let Submit::Full(back) = encoder.submit(frame)? {
            frame = back;
            if let Some(packet) = encoder.reap_timeout(std::time::Duration::from_millis(50))? {
                muxer.write(&packet.on(track))?;
            }
        }
    }
    for packet in encoder.drain()? {
        muxer.write(&packet?.on(track))?;
    }
    let written = muxer.finish()?;
    drop(muxer);
    file.commit()?;
    println!("{}; {} frames, {} bytes", encoder.receipt(), written.samples, written.bytes);
    Ok(())
}

/// A grey ramp that moves.
fn ramp(size: Dimensions, number: i64) -> Vec<u8> {
    let (width, height) = (size.width() as usize, size.height() as usize);
    let shift = number.unsigned_abs() as usize;
    let mut data: Vec<u8> =
        (0..width * height).map(|at| (at % width + at / width + 2 * shift) as u8).collect();
    data.resize(PixelFormat::I420.frame_bytes(size), 128);
    data
}
