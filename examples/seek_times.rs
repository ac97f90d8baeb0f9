//! How long frames out of order take, inside one process: what scripts/bench-seek.py asks, beside what other libraries take.
//!
//! ```console
//! $ echo 40,3,119 | cargo run --release --example seek_times -- clips/bars.mp4 --backend software --output rgb
//! 0.0312 1.3347,0.1001,3.9706
//! ```
//!
//! Each line of standard input is a list of frames; for each the file is opened, the frames are taken, and the seconds from
//! before opening to the last frame are printed, with the times of the frames.

use std::io::BufRead;
use std::num::NonZeroUsize;
use std::time::Instant;

use video_hw::config::Engines;
use video_hw::reader::{Reader, ReaderBuilder};

fn builder(path: &str, options: &[String]) -> Result<ReaderBuilder, Box<dyn std::error::Error>> {
    let mut film = Reader::builder(path);
    for pair in options.chunks(2) {
        let [name, value] = pair else { return Err("an option without its value".into()) };
        film = match (name.as_str(), value.as_str()) {
            ("--backend", name) => film.backend(name.parse::<video_hw::backend::Backend>()?),
            ("--engines", "auto") => film.engines(Engines::Auto),
            ("--engines", count) => film.engines(Engines::Count(count.parse()?)),
            ("--threads", count) => film.threads(count.parse::<NonZeroUsize>()?),
            ("--output", "rgb") => film.rgb(),
            ("--output", "device") => film.native(),
            ("--output", "host") => film,
            _ => return Err(format!("{name} {value}: not known").into()),
        };
    }
    Ok(film)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, options @ ..] = &*args else {
        return Err("usage: seek_times IN [--backend NAME] [--engines N|auto] [--threads N] [--output host|rgb|device]".into());
    };
    for line in std::io::stdin().lock().lines() {
        let numbers = line?.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let begun = Instant::now();
        let mut film = builder(path, options)?.open()?;
        // All of them are kept until the clock stops, as a batch is.
        let frames = film.frames(numbers)?.collect::<video_hw::Result<Vec<_>>>()?;
        let took = begun.elapsed().as_secs_f64();
        let times: Vec<_> = frames.iter().map(|frame| format!("{:.4}", frame.pts.as_secs_f64())).collect();
        println!("{took:.4} {}", times.join(","));
    }
    Ok(())
}
