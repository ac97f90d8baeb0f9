//! A robot's cameras become a dataset: raw pictures with uneven times, one encoder and one MP4 file for each camera, all at
//! once. Tells megabytes of raw pictures a second, and how many times that of one thread of libx264 it is.
//!
//! ```console
//! $ cargo run --release --example dataset_cameras -- recording/
//! $ cargo run --release --example dataset_cameras -- recording/ --codec av1 --clock-steps-back
//! $ cargo run --release --example dataset_cameras -- recording/ --encoder nvenc --baseline
//! ```
//!
//! `docs/dataset.md` has figures, and says what the encoder needs.

use std::process::ExitCode;
use std::sync::Barrier;
use std::time::Duration;

use video_hw::dataset::{EncoderConfig, GpuEncoderConfig};
use video_hw::dimensions::Dimensions;
use video_hw::error::{Error, Remedy};
use video_hw::pixel::PixelFormat;

mod args;
mod baseline;
mod camera;
#[path = "../shared/program.rs"]
mod program;

use args::Options;
use camera::Recorded;
use program::AnyError;

const SIZE: (u32, u32) = (640, 480);

fn main() -> ExitCode {
    program::main(args::HELP, args::parse, |options| {
        println!("{}", run(options)?);
        Ok(true)
    })
}

fn run(options: &Options) -> Result<String, AnyError> {
    let size = Dimensions::new(SIZE.0, SIZE.1).ok_or("a size")?;
    let config = EncoderConfig::new(options.codec, PixelFormat::Rgb24, size)
        .crf(options.crf)
        .preset(options.x264_preset.clone());
    let gpu = GpuEncoderConfig::default()
        .preferred_encoder(options.encoder)
        .strict(options.encoder.is_some())
        .nvenc_preset(options.nvenc_preset.clone());
    let sources: Vec<_> = (0..options.cameras)
        .map(|number| {
            let times = camera::times(number, options.frames);
            let times = if options.clock_steps_back { camera::stepped_back(times) } else { times };
            (camera::pictures(number, size), times)
        })
        .collect();
    let begin = Barrier::new(options.cameras);
    let recorded = std::thread::scope(|scope| {
        let (config, gpu, begin) = (&config, &gpu, &begin);
        let running: Vec<_> = sources
            .iter()
            .enumerate()
            .map(|(number, (pictures, times))| {
                let path = options.directory.join(format!("camera-{number}.mp4"));
                scope.spawn(move || {
                    camera::record(&path, config, gpu, pictures, times, begin)
                        .map_err(|error| format!("{}: {}", path.display(), explained(&error)))
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread.join().map_err(|_| "a camera's thread panicked".to_owned()).and_then(|done| done)
            })
            .collect::<Result<Vec<_>, String>>()
    })?;
    let baseline = match (options.baseline, sources.first()) {
        (true, Some((pictures, _))) => {
            let path = options.directory.join("baseline.mp4");
            let (preset, crf) = (options.x264_preset.as_deref().unwrap_or("medium"), options.crf);
            let took = baseline::encode(&path, size, pictures, options.frames, preset, crf)?;
            Some(rate(recorded.first().map_or(0, |one| one.raw_bytes), took))
        }
        _ => None,
    };
    Ok(if options.json { json(&recorded, baseline) } else { lines(&recorded, baseline) })
}

/// An error in terms of this program's options.
fn explained(error: &AnyError) -> String {
    fn message(remedy: &Remedy) -> String {
        match remedy {
            Remedy::OtherCodec { works, or } => {
                let works = works.map(|codec| format!("--codec {codec} works now"));
                works.into_iter().chain(or.iter().map(message)).collect::<Vec<_>>().join(". Or: ")
            }
            other => other.to_string(),
        }
    }
    error.downcast_ref::<Error>().map_or_else(|| error.to_string(), |error| error.explain(message))
}

/// Megabytes a second.
fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64().max(1e-9)
}

/// Of all cameras together: they began at once, and it is done when the last one is.
fn total(recorded: &[Recorded]) -> f64 {
    let bytes = recorded.iter().map(|one| one.raw_bytes).sum();
    rate(bytes, recorded.iter().map(|one| one.took).max().unwrap_or_default())
}

fn lines(recorded: &[Recorded], baseline: Option<f64>) -> String {
    let mut lines: Vec<_> = recorded
        .iter()
        .enumerate()
        .map(|(number, one)| {
            let ring = one.ring.map_or(String::new(), |ring| {
                format!("; ring: {} at most, {} pictures allocated", ring.frames.peak, ring.slots_made)
            });
            let corrected = match one.corrected {
                0 => String::new(),
                count => format!("; {count} times corrected"),
            };
            format!(
                "camera {number}: {} pictures by {} in {:.2} s, {:.0} MB/s of raw pictures, 1:{:.0}{ring}{corrected}",
                one.frames,
                one.encoder,
                one.took.as_secs_f64(),
                rate(one.raw_bytes, one.took),
                one.raw_bytes as f64 / one.coded_bytes.max(1) as f64
            )
        })
        .collect();
    lines.push(format!("together: {:.0} MB/s", total(recorded)));
    if let Some(baseline) = baseline {
        lines.push(format!(
            "one thread of libx264: {baseline:.0} MB/s; together {:.1} times that",
            total(recorded) / baseline
        ));
    }
    lines.join("\n")
}

fn json(recorded: &[Recorded], baseline: Option<f64>) -> String {
    let cameras: Vec<_> = recorded
        .iter()
        .map(|one| {
            format!(
                "{{\"encoder_type\": \"{}\", \"frames\": {}, \"raw_bytes\": {}, \"coded_bytes\": {}, \"seconds\": {:.6}, \"times_corrected\": {}}}",
                one.encoder,
                one.frames,
                one.raw_bytes,
                one.coded_bytes,
                one.took.as_secs_f64(),
                one.corrected
            )
        })
        .collect();
    let baseline = baseline.map_or("null".to_owned(), |rate| format!("{rate:.3}"));
    format!(
        "{{\"cameras\": [{}], \"mb_per_s\": {:.3}, \"baseline_mb_per_s\": {baseline}}}",
        cameras.join(", "),
        total(recorded)
    )
}
