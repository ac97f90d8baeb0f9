//! Decodes a file, or a part of one, to numbered PNG pictures.
//!
//! ```console
//! $ cargo run --release --example decode_to_png -- clips/bars.mp4 'frame-%03d.png' --start 1.5 --frames 10
//! ```

use std::time::Duration;

use video_hw::pipeline::{Export, ExportTarget};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let [input, pattern, ..] = &args[..] else {
        return Err("usage: decode_to_png IN 'frame-%03d.png' [--start SECONDS] [--frames N]".into());
    };

    let mut job = Export::new(input, ExportTarget::File(pattern.into()));
    let start: Option<f64> = option("--start").map(|s| s.parse()).transpose()?;
    job.source.start = start.map(Duration::try_from_secs_f64).transpose()?;
    job.max_frames = option("--frames").map(|n| n.parse()).transpose()?;
    job.overwrite = true;
    let report = job.run()?;

    if let Some(decode) = &report.input.decode {
        println!("{:#}", decode.receipt); // what decoded it, and why nothing else
    }
    println!("{} pictures, {} bytes, {:.2} s", report.frames, report.bytes, report.wall.as_secs_f64());
    Ok(())
}
