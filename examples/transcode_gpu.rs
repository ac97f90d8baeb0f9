//! Transcodes on a GPU, decoder to encoder without a copy through host memory where one device does both, and says what
//! ran where. Without a GPU it says why, and the CPU does the work; with `--only-gpu` it fails instead.
//!
//! ```console
//! $ cargo run --release --example transcode_gpu -- clips/bars.mp4 out.mp4 --bitrate 2000000
//! ```

use video_hw::backend::{Backend, BackendKind};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let [input, output, ..] = &args[..] else {
        return Err("usage: transcode_gpu IN OUT [--bitrate BITS] [--only-gpu]".into());
    };
    let bitrate = option("--bitrate").map_or(Ok(2_000_000), |n| n.parse())?;
    let only_gpu = args.iter().any(|a| a == "--only-gpu");
    let backend = if only_gpu { Backend::Only(BackendKind::Nvidia) } else { Backend::Auto };

    let report = video_hw::transcode(input, output)
        .backend(backend)
        .bitrate(bitrate)
        .overwrite(true)
        .on_progress(|state| print!("\r{} frames", state.frames))
        .run()?;

    println!("\r{}", report.receipt()); // what decodes and what encodes
    println!("frames between decoder and encoder: in {} memory", report.memory);
    println!("{} frames in {:.2} s", report.video_samples, report.wall.as_secs_f64());
    for note in &report.notes {
        println!("note: {note}");
    }
    assert!(report.balances(), "every frame is accounted for");
    Ok(())
}
