//! `soak`: live streams for a while, each frame handed over when it is due; one that is not taken then is lost.
//!
//! The limits are those of an installation with cameras: losses, frames waiting inside, packets that come unevenly, calls
//! that take too long, memory that grows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use video_hw::backend::BackendKind;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeInput, EncodeOutput, EncodeSession, Submit};
use video_hw::stages::Histogram;
use video_hw::time::{TimeBase, Timestamp};
use video_hw::{Error, Result};

use super::live::{Report, WorkArgs, judged, latency};

/// The unit of limits on the growth of memory.
pub(crate) const MEMORY_UNIT: &str = "MiB";
/// The limit of frames that were not taken when they were due, or did not come out.
pub(crate) const LOST: &str = "frames lost";
/// Pictures that are shown in turn; frames hold references to their samples.
const PICTURES: usize = 8;
/// Numbers of frames inside that are told apart.
const MOST_INSIDE: usize = 256;
/// The allocator's own coming and going is some MiB.
const HOST_GROWTH_MIB: f64 = 32.0;
const DEVICE_GROWTH_MIB: f64 = 8.0;
const INSIDE_P95: f64 = 3.0;
const SUBMIT_P95_MS: f64 = 16.0;
/// Limit of the time from a frame's due time to its packet.
const LATEST_MS: f64 = 250.0;
/// An encoder that holds its first frame back for longer starts with the others.
const START: Duration = Duration::from_secs(5);

/// What a single stream may lose (percent) and how uneven it may be (milliseconds at p95); several may a little more.
const fn limits(streams: u32) -> (f64, f64) {
    if streams == 1 { (0.1, 4.0) } else { (1.0, 8.0) }
}

/// The figures of all streams together.
#[derive(Default)]
struct Meters {
    inside: Vec<AtomicU64>,
    jitter: Histogram,
    latency: Histogram,
    latest: AtomicU64,
    late: Histogram,
    submit: Histogram,
    dropped: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    unbalanced: AtomicU64,
    over: AtomicBool,
}

pub(super) fn run(args: &WorkArgs) -> Result<Report> {
    let mut config = args.config().format(PixelFormat::Nv12);
    let mut first = EncodeSession::new(args.backend, config.clone());
    if let Err(Error::Unsupported { .. }) = first {
        // Some encoders take planar pictures alone.
        config = config.format(PixelFormat::I420);
        first = EncodeSession::new(args.backend, config.clone());
    }
    let mut sessions = vec![first?];
    for _ in 1..args.streams {
        sessions.push(EncodeSession::new(args.backend, config.clone())?);
    }
    let pictures = pictures(args, config.format)?;
    let chosen = sessions.first().and_then(|one| one.receipt().chosen());
    let (kind, encoder) = chosen.ok_or_else(|| Error::unsupported("no stream"))?;
    sessions
        .iter_mut()
        .zip(pictures.iter().cycle())
        .try_for_each(|(one, picture)| started(args, one, picture))?;
    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let frames = ((time.as_secs_f64() * args.fps.as_f64()) as u64).max(1);
    let inside = (0..MOST_INSIDE).map(|_| AtomicU64::new(0)).collect();
    let meters = Meters { inside, ..Meters::default() };
    // All have started: from here on nothing should be allocated that stays.
    let start = Instant::now() + Duration::from_millis(100);
    let interval = Duration::from_secs_f64(1.0 / args.fps.as_f64());
    let (memory, device) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(args, kind, &meters.over, start, time));
        let running: Vec<_> = sessions
            .into_iter()
            .enumerate()
            .map(|(number, session)| {
                // Cameras know nothing of each other: they begin one after another within an interval.
                let start = start + interval.mul_f64(number as f64 / f64::from(args.streams));
                let (pictures, meters) = (&pictures, &meters);
                scope.spawn(move || stream(args, session, pictures, meters, (start, interval, frames)))
            })
            .collect();
        let done: Result<Vec<()>> = running.into_iter().map(|thread| join(thread.join())).collect();
        meters.over.store(true, Ordering::Relaxed);
        let memory = watching.join().map_err(|_| Error::unsupported("the watching thread panicked"))?;
        done.map(|_| memory)
    })?;
    let report = reported(args, &meters, frames * u64::from(args.streams), (memory, device), time);
    Ok(Report {
        encoder: Some(encoder.to_owned()),
        pixel_format: Some(config.format.name().to_owned()),
        ..report
    })
}

/// Encodes a first frame: what starting takes, a process of ffmpeg's above all, is no part of a stream.
fn started(args: &WorkArgs, session: &mut EncodeSession, picture: &HostSurface) -> Result<()> {
    let frame = Frame::host(Timestamp::new(0, TimeBase::from_frame_rate(args.fps)), picture.clone());
    let Submit::Accepted = session.submit(frame)? else {
        return Err(Error::unsupported("the first frame was not taken"));
    };
    session.reap_timeout(START).map(drop)
}

fn join(ended: std::thread::Result<Result<()>>) -> Result<()> {
    ended.unwrap_or_else(|_| Err(Error::unsupported("a stream's thread panicked")))
}

fn reported(
    args: &WorkArgs,
    meters: &Meters,
    due: u64,
    (host, device): (Trend, Trend),
    time: Duration,
) -> Report {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (most_lost, most_jitter) = limits(args.streams);
    let packets = get(&meters.packets);
    let lost = due.saturating_sub(packets);
    let (jitter, submit, late) = (meters.jitter.summary(), meters.submit.summary(), meters.late.summary());
    let mut report = Report {
        frames: packets,
        steady_s: Some(time.as_secs_f64()),
        bytes_out: Some(get(&meters.bytes)),
        latency: Some(latency(meters.latency.summary())),
        ..Report::default()
    };
    report.judged = vec![
        judged(LOST, 100.0 * lost as f64 / due.max(1) as f64, most_lost, "%"),
        judged("frames inside at p95", inside_p95(&meters.inside), INSIDE_P95, "frames"),
        judged("jitter at p95", ms(jitter.p95), most_jitter, "ms"),
        judged("submit at p95", ms(submit.p95), SUBMIT_P95_MS, "ms"),
        judged("latest frame", get(&meters.latest) as f64 / 1e3, LATEST_MS, "ms"),
        judged("ledgers that do not balance", get(&meters.unbalanced) as f64, 0.0, ""),
    ];
    for (name, trend, limit) in [
        ("memory of the process, growth", host, HOST_GROWTH_MIB),
        ("memory of the device, growth", device, DEVICE_GROWTH_MIB),
    ] {
        // Too short to tell a slope: nothing is claimed.
        if let Some(slope) = trend.slope() {
            report.judged.push(judged(name, slope * time.as_secs_f64(), limit, MEMORY_UNIT));
        }
    }
    let figures = [
        ("frames_due", due as f64),
        ("frames_not_taken", get(&meters.dropped) as f64),
        ("jitter_p50_ms", ms(jitter.p50)),
        ("jitter_p95_ms", ms(jitter.p95)),
        ("jitter_max_ms", ms(jitter.max)),
        ("submit_p95_ms", ms(submit.p95)),
        ("submit_max_ms", ms(submit.max)),
        // What the machine adds to all other times: how late it wakes the threads that hand frames over.
        ("late_p95_ms", ms(late.p95)),
        ("late_max_ms", ms(late.max)),
    ];
    report.figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    report
}

fn pictures(args: &WorkArgs, format: PixelFormat) -> Result<Vec<HostSurface>> {
    let (width, height) = (args.size.width() as usize, args.size.height() as usize);
    let picture = |number: usize| {
        let luma = (0..height)
            .flat_map(move |y| (0..width).map(move |x| ((x + y + 16 * number) / 4 % 200 + 20) as u8));
        let chroma = std::iter::repeat_n(128, width.next_multiple_of(2) * height.div_ceil(2));
        HostSurface::from_packed(format, args.size, luma.chain(chroma).collect::<Vec<u8>>())
    };
    (0..PICTURES).map(picture).collect()
}

fn stream(
    args: &WorkArgs,
    session: EncodeSession,
    pictures: &[HostSurface],
    meters: &Meters,
    (start, interval, frames): (Instant, Duration, u64),
) -> Result<()> {
    let (input, output) = session.split();
    let (given, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| take(output, meters, &taken, (start, interval)));
        let fed = feed(args, input, pictures, meters, (&given, &taken), (start, interval, frames));
        let took = join(taker.join());
        fed.and(took)
    })
}

fn feed(
    args: &WorkArgs,
    mut input: EncodeInput,
    pictures: &[HostSurface],
    meters: &Meters,
    (given, taken): (&AtomicU64, &AtomicU64),
    (start, interval, frames): (Instant, Duration, u64),
) -> Result<()> {
    let base = TimeBase::from_frame_rate(args.fps);
    for (number, picture) in (1..=frames).zip(pictures.iter().cycle()) {
        let due = start + interval.mul_f64(number as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        meters.late.record(due.elapsed());
        let frame = Frame::host(Timestamp::new(number as i64, base), picture.clone());
        if let Submit::Accepted = meters.submit.time(|| input.submit(frame))? {
            let inside =
                (given.fetch_add(1, Ordering::Relaxed) + 1).saturating_sub(taken.load(Ordering::Relaxed));
            let place = (inside as usize).min(MOST_INSIDE - 1);
            if let Some(count) = meters.inside.get(place) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            meters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    input.flush()
}

fn take(
    mut output: EncodeOutput,
    meters: &Meters,
    taken: &AtomicU64,
    (start, interval): (Instant, Duration),
) -> Result<()> {
    let mut before: Option<(i64, Instant)> = None;
    let mut packets = 0;
    while let Some(packet) = output.reap()? {
        let now = Instant::now();
        if packet.pts.is_some_and(|pts| pts.ticks() == 0) {
            // The first one, where it was held back.
            continue;
        }
        packets += 1;
        taken.fetch_add(1, Ordering::Relaxed);
        meters.packets.fetch_add(1, Ordering::Relaxed);
        meters.bytes.fetch_add(packet.data.len() as u64, Ordering::Relaxed);
        let Some(number) = packet.pts.map(Timestamp::ticks) else { continue };
        let due = interval.mul_f64(number.max(0) as f64);
        let late = now.saturating_duration_since(start + due);
        meters.latency.record(late);
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        meters.latest.fetch_max(late, Ordering::Relaxed);
        // Where a frame was lost in between there is no interval to speak of.
        if let Some((_, at)) = before.filter(|(last, _)| last + 1 == number) {
            meters.jitter.record((now - at).abs_diff(interval));
        }
        before = Some((number, now));
    }
    // And the first frame.
    let ledger = output.summary().ledger;
    if !ledger.balances() || ledger.pending > 0 || ledger.unexpected > 0 || ledger.delivered != packets + 1 {
        meters.unbalanced.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn inside_p95(counts: &[AtomicU64]) -> f64 {
    let counts: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let rank = (counts.iter().sum::<u64>() * 95).div_ceil(100).max(1);
    let mut seen = 0;
    let place = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    place.unwrap_or(0) as f64
}

/// A line through values over time, by least squares: no memory of its own, however long it is kept.
#[derive(Clone, Copy, Debug, Default)]
struct Trend {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Trend {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
    }

    /// Growth each second; nothing from fewer than three values.
    fn slope(&self) -> Option<f64> {
        let spread = self.count * self.xx - self.x * self.x;
        (self.count >= 3.0 && spread > 0.0).then(|| (self.count * self.xy - self.x * self.y) / spread)
    }
}

/// Memory of process and device, MiB over seconds; the first fifth of the time counts as warming up.
fn watch(
    args: &WorkArgs,
    kind: BackendKind,
    over: &AtomicBool,
    start: Instant,
    time: Duration,
) -> (Trend, Trend) {
    let (mut host, mut device) = (Trend::default(), Trend::default());
    let settled = start + time / 5;
    let step = Duration::from_millis(1000).min(time / 20).max(Duration::from_millis(10));
    while !over.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now >= settled && now < start + time {
            let at = (now - start).as_secs_f64();
            if let Some(bytes) = resident_bytes() {
                host.add(at, bytes as f64 / f64::from(1 << 20));
            }
            if let Ok(Some(memory)) = video_hw::backend::device_memory(kind, args.device.as_deref()) {
                device.add(at, memory.used() as f64 / f64::from(1 << 20));
            }
        }
        std::thread::sleep(step);
    }
    (host, device)
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_the_slope() {
        let mut trend = Trend::default();
        assert_eq!(trend.slope(), None);
        (0..10).for_each(|x| trend.add(f64::from(x), 3.0 + 2.0 * f64::from(x)));
        assert!((trend.slope().unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_95th_of_a_hundred() {
        let counts: Vec<AtomicU64> = [0, 94, 1, 5].into_iter().map(AtomicU64::new).collect();
        assert_eq!(inside_p95(&counts) as u64, 2);
        assert_eq!(inside_p95(&[AtomicU64::new(0)]) as u64, 0);
    }
}
