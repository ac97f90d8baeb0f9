//! Makes small pictures of a file at even distances; each time decoding begins at the key frame before it.
//!
//! ```console
//! $ cargo run --release --example thumbnails -- clips/bars.mp4 thumb-%02d.png --count 6 --width 160
//! ```

use std::path::Path;
use std::time::Duration;

use video_hw::rawvideo::{FrameWriter, PngPattern, PngSequenceWriter};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let [input, pattern, ..] = &args[..] else {
        return Err("usage: thumbnails IN 'thumb-%02d.png' [--count 6] [--width 160]".into());
    };
    let count: u32 = option("--count").map_or(Ok(6), |n| n.parse())?;
    let width: u32 = option("--width").map_or(Ok(160), |n| n.parse())?;

    let whole = video_hw::frames(input).open()?;
    let length = whole.info().duration.ok_or("how long it is, the file does not say")?;
    drop(whole);

    let mut out = PngSequenceWriter::new(PngPattern::parse(Path::new(pattern))?, true, &[]);
    for i in 0..count {
        // The middle of each part: first and last frames are often black.
        let time: Duration = length * (2 * i + 1) / (2 * count);
        let mut frames = video_hw::frames(input).start(time).width(width).upright().rgb().open()?;
        if let Some(frame) = frames.next_frame()? {
            println!("{:.3} s: {}", time.as_secs_f64(), frame.dimensions);
            out.write_frame(&frame)?;
        }
    }
    out.finish()?;
    Ok(())
}
