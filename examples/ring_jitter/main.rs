//! What the ring before an encoder does to uneven frames: how even they are behind it, what it holds meanwhile, and whether
//! one is lost. See `docs/ring.md` for figures.
//!
//! ```console
//! $ cargo run --release --example ring_jitter -- --seconds 20 --prefill 16 --svg ring-jitter.svg
//! $ cargo run --release --example ring_jitter -- --table
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use video_hw::codec::Codec;
use video_hw::config::CommonEncodeConfig;
use video_hw::dimensions::Dimensions;
use video_hw::pipeline::{Received, RingConsumer, RingProducer, RingStats, TrySend, frame_ring};
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;
use video_hw::time::{Rational, TimeBase, Timestamp};

mod args;
mod chart;
#[path = "../shared/program.rs"]
mod program;
mod source;

use args::Options;
use chart::{Panel, Series};
use program::AnyError;
use source::{Jitter, arrivals, reckon};

const FORMAT: PixelFormat = PixelFormat::I420;
const SIZE: (u32, u32) = (640, 480);

fn main() -> ExitCode {
    program::main(args::HELP, args::parse, |options| {
        if options.table {
            table(options.seed);
            return Ok(true);
        }
        Ok(run(options)? == 0)
    })
}

/// What was seen: seconds since the beginning.
#[derive(Default)]
struct Seen {
    arrivals: Vec<f64>,
    departures: Vec<f64>,
    /// What the ring held when a frame had come.
    depths: Vec<(f64, f64)>,
    lost: u64,
}

fn run(options: &Options) -> Result<u64, AnyError> {
    let (producer, consumer) = frame_ring(options.ring)?;
    // The encoder is open before the first frame comes: opening is no jitter.
    let encoder = match options.backend {
        None => None,
        Some(backend) => Some(EncodeSession::new(backend, config()?)?),
    };
    let start = Instant::now();
    let mut seen = std::thread::scope(|scope| {
        let producing = scope.spawn(move || produce(producer, options, start));
        let departures = match encoder {
            None => paced(consumer, options, start),
            Some(session) => encoded(consumer, session, options, start)?,
        };
        let mut seen = producing.join().map_err(|_| "the thread that sends frames panicked")??;
        seen.0.departures = departures;
        Ok::<_, AnyError>(seen)
    })?;
    let (stats, seen) = (seen.1, &mut seen.0);
    let delivered = seen.departures.len() as u64;
    if delivered + seen.lost != seen.arrivals.len() as u64 {
        return Err(
            format!("{} frames came, {delivered} went, {} lost", seen.arrivals.len(), seen.lost).into()
        );
    }
    if options.losses_only {
        println!(
            "{delivered} frames of {} through a ring of {}, {} lost",
            seen.arrivals.len(),
            options.ring,
            seen.lost
        );
    } else {
        report(options, seen, &stats);
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, draw(options, seen)).map_err(|e| format!("write {}: {e}", path.display()))?;
    }
    Ok(seen.lost)
}

fn size() -> Result<Dimensions, AnyError> {
    Ok(Dimensions::new(SIZE.0, SIZE.1).ok_or("a size")?)
}

fn config() -> Result<CommonEncodeConfig, AnyError> {
    let rate = Rational::new(30, 1).ok_or("a rate")?;
    Ok(CommonEncodeConfig::new(Codec::H264, size()?, rate)
        .format(FORMAT)
        // What an encoder holds back would look like jitter.
        .low_latency(true))
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// A camera behind a network.
fn produce(mut ring: RingProducer, options: &Options, start: Instant) -> Result<(Seen, RingStats), AnyError> {
    let mut seen = Seen::default();
    let base = TimeBase::new(1, 1_000_000).ok_or("a time base")?;
    let mut last = None;
    for due in arrivals(options.jitter, options.seed).take_while(|due| *due < options.time) {
        // Two frames that come together still have two times.
        let pts = (due.as_micros() as i64).max(last.map_or(0, |last| last + 1));
        last = Some(pts);
        let mut slot = ring.slot(FORMAT, size()?);
        slot.as_mut().fill((pts / 5000 % 200) as u8 + 16);
        let frame = slot.into_frame(Timestamp::new(pts, base))?;
        sleep_until(start + due);
        let at = start.elapsed().as_secs_f64();
        seen.arrivals.push(at);
        match ring.try_push(frame) {
            Ok(()) => {}
            Err(TrySend::Full(_)) => seen.lost += 1,
            Err(TrySend::Closed(_)) => return Err("the encoder went away".into()),
        }
        seen.depths.push((at, ring.stats().frames.depth as f64));
    }
    let stats = ring.stats();
    Ok((seen, stats))
}

/// An encoder that takes the same time for every frame. Gives the times at which frames were done.
fn paced(mut ring: RingConsumer, options: &Options, start: Instant) -> Vec<f64> {
    let mut done = Vec::new();
    let mut free_at = None;
    loop {
        // With a frame there it goes on when it was done with the one before: waking up late does not add up.
        let mut begin = free_at;
        if !matches!(ring.pop_timeout(Duration::ZERO), Received::Item(_)) {
            if ring.pop().is_none() {
                return done;
            }
            begin = begin.max(Some(Instant::now()));
        }
        let begin = begin.unwrap_or_else(Instant::now);
        let late = if done.is_empty() { options.encoder * options.prefill } else { Duration::ZERO };
        let end = begin + late + options.encoder;
        free_at = Some(end);
        sleep_until(end);
        done.push(start.elapsed().as_secs_f64());
    }
}

/// A real encoder, or the simulated one. Gives the times at which packets came.
fn encoded(
    mut ring: RingConsumer,
    session: EncodeSession,
    options: &Options,
    start: Instant,
) -> Result<Vec<f64>, AnyError> {
    let (mut input, mut output) = session.split();
    std::thread::scope(|scope| {
        let feeder = scope.spawn(move || {
            let mut first = true;
            while let Some(frame) = ring.pop() {
                if std::mem::take(&mut first) {
                    std::thread::sleep(options.encoder * options.prefill);
                }
                input.submit_blocking(frame)?;
            }
            input.flush()
        });
        let mut done = Vec::new();
        while output.reap()?.is_some() {
            done.push(start.elapsed().as_secs_f64());
        }
        feeder.join().map_err(|_| "the thread that feeds the encoder panicked")??;
        Ok(done)
    })
}

/// Mean, standard deviation and 95th percentile of the times from one to the next, in milliseconds.
struct Evenness {
    mean: f64,
    deviation: f64,
    p95: f64,
    longest: f64,
}

fn intervals(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|pair| (pair[1] - pair[0]) * 1e3).collect()
}

fn evenness(times: &[f64]) -> Evenness {
    let mut all = intervals(times);
    all.sort_by(f64::total_cmp);
    let count = all.len().max(1) as f64;
    let mean = all.iter().sum::<f64>() / count;
    let deviation = (all.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count).sqrt();
    let at = |share: usize| all.get((all.len() * share).div_ceil(100).max(1) - 1).copied().unwrap_or(0.0);
    Evenness { mean, deviation, p95: at(95), longest: at(100) }
}

fn report(options: &Options, seen: &Seen, stats: &RingStats) {
    let (before, behind) = (evenness(&seen.arrivals), evenness(&seen.departures));
    if options.json {
        let side = |e: &Evenness| {
            format!(
                "{{\"mean_ms\": {:.3}, \"stddev_ms\": {:.3}, \"p95_ms\": {:.3}, \"max_ms\": {:.3}}}",
                e.mean, e.deviation, e.p95, e.longest
            )
        };
        println!(
            "{{\"frames\": {}, \"lost\": {}, \"ring\": {}, \"ring_peak\": {}, \"slots_made\": {}, \"in\": {}, \"out\": {}}}",
            seen.arrivals.len(),
            seen.lost,
            options.ring,
            stats.frames.peak,
            stats.slots_made,
            side(&before),
            side(&behind)
        );
        return;
    }
    println!("from frame to frame   mean   stddev      p95      max   (ms)");
    for (name, e) in [("before the ring", before), ("behind the encoder", behind)] {
        println!("{name:<18} {:7.2}  {:7.2}  {:7.2}  {:7.2}", e.mean, e.deviation, e.p95, e.longest);
    }
    println!(
        "{} frames, {} lost; the ring held {} of {} at most; pictures allocated: {}",
        seen.arrivals.len(),
        seen.lost,
        stats.frames.peak,
        options.ring,
        stats.slots_made
    );
}

fn draw(options: &Options, seen: &Seen) -> String {
    let over_time = |times: &[f64]| times.iter().skip(1).copied().zip(intervals(times)).collect::<Vec<_>>();
    let end = seen.departures.last().or(seen.arrivals.last()).copied().unwrap_or(0.0);
    let (before, behind) = (evenness(&seen.arrivals), evenness(&seen.departures));
    let line = |name: String, color, points| Series { name, color, points };
    let panels = [
        Panel {
            title: "from frame to frame".to_owned(),
            up: "ms",
            series: vec![
                line(
                    format!("before the ring (stddev {:.1} ms)", before.deviation),
                    "#d55e00",
                    over_time(&seen.arrivals),
                ),
                line(
                    format!("behind the encoder (stddev {:.1} ms)", behind.deviation),
                    "#0072b2",
                    over_time(&seen.departures),
                ),
            ],
        },
        Panel {
            title: format!("frames in the ring of {}", options.ring),
            up: "frames",
            series: vec![line(format!("{} lost", seen.lost), "#009e73", seen.depths.clone())],
        },
    ];
    chart::svg(&panels, end)
}

/// An hour of frames for rings and encoders of several sizes.
fn table(seed: u64) {
    const HOUR: Duration = Duration::from_secs(3600);
    println!(
        "lost of an hour's frames (reckoned, 33 ms from frame to frame), and times that the encoder had nothing to do\n"
    );
    println!(
        "jitter       encoder  prefill   ring 4        ring 8        ring 16       ring 32       ring 64"
    );
    for (name, jitter) in
        [("intervals", Jitter::Intervals), ("independent", Jitter::Independent), ("delays", Jitter::Delays)]
    {
        for (millis, prefill) in [(33, 0), (33, 4), (33, 16), (32, 0), (30, 0), (25, 0)] {
            let cells = [4, 8, 16, 32, 64].map(|ring| {
                let encoder = Duration::from_millis(millis);
                let told = reckon(arrivals(jitter, seed), HOUR, ring, encoder, prefill.min(ring as u32));
                format!("{:>5} {:>6}", told.lost, told.gaps)
            });
            println!("{name:<12} {millis:>4} ms  {prefill:>7}   {}", cells.join("  "));
        }
    }
}
