//! Decodes a file to R, G, B and says how fast.
//!
//! ```console
//! $ cargo run --release --example decode_rgb -- in.mp4 [native]
//! ```
//! With `native` frames stay as the decoder makes them, for comparison.

use std::time::Instant;

use video_hw::config::DecodeOutputMode;

fn main() -> video_hw::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        return Err(video_hw::Error::invalid("which file?"));
    };
    let native = args.next().is_some_and(|word| word == "native");
    let output = if native { DecodeOutputMode::HostSurface } else { DecodeOutputMode::CpuRgb };
    let started = Instant::now();
    let (mut frames, mut bytes) = (0_u64, 0_u64);
    for frame in video_hw::frames(path).output(output).open()? {
        let frame = frame?;
        frames += 1;
        bytes += frame.format.frame_bytes(frame.dimensions) as u64;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{frames} frames, {bytes} bytes, {seconds:.3} s, {:.1} frames/s", frames as f64 / seconds);
    Ok(())
}
