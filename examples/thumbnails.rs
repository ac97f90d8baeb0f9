//! Makes small pictures of a file at even distances, by one decoder that begins at the key frame before each.
//!
//! ```console
//! $ cargo run --release --example thumbnails -- clips/bars.mp4 thumb-%02d.png --count 6 --width 160
//! ```

use std::path::Path;

use video_hw::rawvideo::{FrameWriter, PngPattern, PngSequenceWriter};
use video_hw::reader::Reader;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let [input, pattern, ..] = &args[..] else {
        return Err("usage: thumbnails IN 'thumb-%02d.png' [--count 6] [--width 160]".into());
    };
    let count: u32 = option("--count").map_or(Ok(6), |n| n.parse())?;
    let width: u32 = option("--width").map_or(Ok(160), |n| n.parse())?;

    let mut film = Reader::builder(input).width(width).upright().rgb().open()?;
    let length = film.duration();
    // The middle of each part: first and last frames are often black.
    let times = (0..count).map(|i| length * (2 * i + 1) / (2 * count));

    let mut out = PngSequenceWriter::new(PngPattern::parse(Path::new(pattern))?, true, &[]);
    for frame in film.frames_at(times)? {
        let frame = frame?;
        println!("{:.3} s: {}", frame.pts.as_secs_f64(), frame.dimensions);
        out.write_frame(&frame)?;
    }
    out.finish()?;
    Ok(())
}
