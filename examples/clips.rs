//! Takes a few frames of each of many short files, as a training loader does, and reports what opening and closing cost.
//!
//! ```console
//! $ cargo run --release --example clips -- --threads 4 --rgb clips/bars.mp4 clips/vfr-rotated.mp4
//! ```
//!
//! Options: `--threads N`, `--window N` frames of each file, `--rgb`, `--device` (frames stay on the GPU), `--backend NAME`,
//! `--keep SECONDS` (how long hardware decoders wait for the next file), `--repeat N`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use video_hw::backend::{Backend, idle_report, keep_idle};
use video_hw::config::{DecodeOutputMode, Engines};
use video_hw::frame::Surface;
use video_hw::reader::Reader;
use video_hw::{Frame, Result};

struct Job {
    backend: Backend,
    window: usize,
    rgb: bool,
    device: bool,
}

#[derive(Default)]
struct Times {
    open: Vec<Duration>,
    frames: Vec<Duration>,
    close: Vec<Duration>,
}

/// The frames of one file: the window begins at a frame that depends on the number of the file.
fn take(job: &Job, path: &str, number: usize, times: &Mutex<Times>) -> Result<Md5> {
    let began = Instant::now();
    let mut builder = Reader::builder(path).backend(job.backend).engines(Engines::One);
    if job.rgb {
        builder = builder.rgb();
    }
    if job.device {
        builder = builder.output(DecodeOutputMode::NativeSurface);
    }
    let mut reader = builder.open()?;
    let opened = began.elapsed();
    let first = number * 7919 % reader.len().saturating_sub(job.window).max(1);
    let frames: Vec<Frame> = reader.frames(first..first + job.window)?.collect::<Result<_>>()?;
    let taken = began.elapsed();
    drop(reader);
    let closed = began.elapsed();
    {
        let mut times = times.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        times.open.push(opened);
        times.frames.push(taken);
        times.close.push(closed.saturating_sub(taken));
    }
    let mut sum = Md5::new();
    for frame in &frames {
        match &frame.surface {
            Surface::Device(surface) => sum.update(surface.download()?.to_packed()),
            Surface::Host(surface) => sum.update(surface.to_packed()),
            _ => {}
        }
    }
    Ok(sum)
}

fn percentile(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = (times.len().saturating_sub(1) as f64 * part) as usize;
    times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut job = Job { backend: Backend::Auto, window: 1, rgb: false, device: false };
    let (mut threads, mut repeat, mut files) = (1, 1, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--threads" => threads = value()?.parse()?,
            "--window" => job.window = value()?.parse()?,
            "--repeat" => repeat = value()?.parse()?,
            "--keep" => keep_idle(Duration::from_secs_f64(value()?.parse()?)),
            "--backend" => job.backend = value()?.parse()?,
            "--rgb" => job.rgb = true,
            "--device" => job.device = true,
            _ => files.push(arg),
        }
    }
    let all = files.len() * repeat;
    let (next, times) = (AtomicUsize::new(0), Mutex::new(Times::default()));
    let sums = Mutex::new(vec![String::new(); all]);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= all {
                        return;
                    }
                    let path = &files[number % files.len()];
                    let sum = match take(&job, path, number, &times) {
                        Ok(sum) => format!("{:x?}", sum.finalize().as_slice()),
                        Err(error) => {
                            eprintln!("{path}: {error}");
                            continue;
                        }
                    };
                    sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[number] = sum;
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let mut times = times.into_inner()?;
    let sums = sums.into_inner()?;
    let mut whole = Md5::new();
    for sum in &sums {
        whole.update(sum);
    }
    let report = idle_report();
    println!(
        "threads {threads}, window {}, {}: {} of {all} clips, {took:.3} s, {:.1} clips/s; open p50 {:.2} ms; frames p50 {:.2} \
         p99 {:.2} ms; close p50 {:.2} p99 {:.2} ms; decoders made {}, reused {}; sum {:x?}",
        job.window,
        match (job.rgb, job.device) {
            (true, true) => "device RGB",
            (true, false) => "RGB",
            (false, true) => "device",
            (false, false) => "host",
        },
        times.open.len(),
        times.open.len() as f64 / took,
        percentile(&mut times.open, 0.5),
        percentile(&mut times.frames, 0.5),
        percentile(&mut times.frames, 0.99),
        percentile(&mut times.close, 0.5),
        percentile(&mut times.close, 0.99),
        report.made,
        report.reused,
        &whole.finalize()[..4],
    );
    Ok(())
}
