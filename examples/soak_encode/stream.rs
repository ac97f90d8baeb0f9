//! One live stream: a thread that hands frames over when they are due, and one that takes packets as they come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use video_hw::backend::BackendKind;
use video_hw::config::{CommonEncodeConfig, RateControl};
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeInput, EncodeOutput, EncodeSession, EncodeSummary, Submit};
use video_hw::time::{TimeBase, Timestamp};

use crate::args::Options;
use crate::figures::Histogram;
use crate::program::AnyError;

/// Pictures that are shown in turn. They are shared: frames hold references to their samples.
const PICTURES: usize = 8;

/// Frames that come before the first one that is due. More are inside no encoder at once.
const WARMING: u32 = 32;
/// Without room for so long, an encoder is full.
const FULL: Duration = Duration::from_millis(200);
/// For a first packet, which waits for the encoder's own start.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stream {
    session: EncodeSession,
    number: usize,
    /// Frames that went through while the stream was opened.
    warmed: u64,
}

/// What became of a stream.
pub(crate) struct Outcome {
    pub(crate) due: u64,
    /// Not taken when they were due.
    pub(crate) dropped: u64,
    pub(crate) packets: u64,
    /// Frames inside the encoder, at each handing over.
    pub(crate) inside: Histogram,
    /// How far packets are off the interval of frames, in milliseconds.
    pub(crate) jitter: Histogram,
    /// From the time a frame was due to its packet.
    pub(crate) latency: Histogram,
    /// How late frames were handed over: what the machine adds to all other times.
    pub(crate) lateness: Histogram,
    pub(crate) summary: EncodeSummary,
}

pub(crate) fn pictures(options: &Options) -> video_hw::Result<Vec<HostSurface>> {
    let (width, height) = (options.size.width() as usize, options.size.height() as usize);
    let picture = |number: usize| {
        let luma = (0..height)
            .flat_map(move |y| (0..width).map(move |x| ((x + y + 16 * number) / 4 % 200 + 20) as u8));
        let chroma = std::iter::repeat_n(128, width.next_multiple_of(2) * height.div_ceil(2));
        HostSurface::from_packed(PixelFormat::Nv12, options.size, luma.chain(chroma).collect::<Vec<u8>>())
    };
    (0..PICTURES).map(picture).collect()
}

/// Opens a stream and fills its encoder once. An encoder allocates room for a frame when that many frames are inside for
/// the first time: a machine that stands still for a moment would otherwise look like memory that leaks.
pub(crate) fn open(options: &Options, number: usize, pictures: &[HostSurface]) -> Result<Stream, AnyError> {
    let pixels = options.size.pixels() as f64 * options.rate.as_f64();
    let mut config = CommonEncodeConfig::new(options.codec, options.size, options.rate)
        .low_latency(true)
        .rate_control(RateControl::Cbr { bitrate_bps: (pixels * 0.08) as u32 });
    config.format = PixelFormat::Nv12;
    config.device.clone_from(&options.device);
    let mut session = EncodeSession::new(options.backend, config)?;
    let mut warmed = 0;
    for (number, picture) in (0..WARMING).zip(pictures.iter().cycle()) {
        let time =
            Timestamp::new(i64::from(number) - i64::from(WARMING), TimeBase::from_frame_rate(options.rate));
        // Nothing is taken from the encoder meanwhile, so that it fills up.
        if !hand_over(|frame| session.submit(frame), Frame::host(time, picture.clone()), FULL)? {
            break;
        }
        warmed += 1;
    }
    for _ in 0..warmed {
        session.reap_timeout(PATIENCE)?.ok_or("the encoder keeps its first frames")?;
    }
    Ok(Stream { session, number, warmed })
}

impl Stream {
    pub(crate) fn backend(&self) -> Option<BackendKind> {
        self.session.receipt().chosen().map(|(kind, _)| kind)
    }

    /// Streams begin one after the other within an interval, as cameras do that know nothing of each other.
    pub(crate) fn run(
        self,
        options: &Options,
        pictures: &[HostSurface],
        start: Instant,
    ) -> Result<Outcome, String> {
        let interval = options.interval();
        let warmed = self.warmed;
        let start = start + interval.mul_f64(self.number as f64 / options.streams as f64);
        let (input, output) = self.session.split();
        let (given, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| take(output, interval, start, &taken));
            let fed = feed(input, options, pictures, start, &given, &taken);
            let took = taker.join().map_err(|_| "a taking thread panicked".to_owned())?;
            let (fed, took) = (fed?, took?);
            Ok(Outcome {
                due: u64::from(options.frames()) + warmed,
                dropped: fed.dropped,
                packets: taken.load(Ordering::Relaxed) + warmed,
                inside: fed.inside,
                lateness: fed.lateness,
                jitter: took.jitter,
                latency: took.latency,
                summary: took.summary,
            })
        })
    }
}

struct Fed {
    dropped: u64,
    inside: Histogram,
    lateness: Histogram,
}

fn feed(
    mut input: EncodeInput,
    options: &Options,
    pictures: &[HostSurface],
    start: Instant,
    given: &AtomicU64,
    taken: &AtomicU64,
) -> Result<Fed, String> {
    let base = TimeBase::from_frame_rate(options.rate);
    let mut fed = Fed { dropped: 0, inside: Histogram::new(1.0, 100), lateness: Histogram::milliseconds() };
    for (number, picture) in (0..options.frames()).zip(pictures.iter().cycle()) {
        let due = start + options.interval() * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        fed.lateness.add(milliseconds(due.elapsed()));
        let frame = Frame::host(Timestamp::new(i64::from(number), base), picture.clone());
        if hand_over(|frame| input.submit(frame), frame, options.patience)? {
            let given = given.fetch_add(1, Ordering::Relaxed) + 1;
            fed.inside.add(given.saturating_sub(taken.load(Ordering::Relaxed)) as f64);
        } else {
            fed.dropped += 1;
        }
    }
    input.flush().map_err(|error| error.to_string())?;
    Ok(fed)
}

/// Whether the frame was taken within its time.
fn hand_over(
    mut submit: impl FnMut(Frame) -> video_hw::Result<Submit<Frame>>,
    mut frame: Frame,
    patience: Duration,
) -> Result<bool, String> {
    let begun = Instant::now();
    loop {
        match submit(frame).map_err(|error| error.to_string())? {
            Submit::Accepted => return Ok(true),
            Submit::Full(_) if begun.elapsed() >= patience => return Ok(false),
            Submit::Full(back) => frame = back,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Took {
    jitter: Histogram,
    latency: Histogram,
    summary: EncodeSummary,
}

fn take(
    mut output: EncodeOutput,
    interval: Duration,
    start: Instant,
    taken: &AtomicU64,
) -> Result<Took, String> {
    let (mut jitter, mut latency) = (Histogram::milliseconds(), Histogram::milliseconds());
    let mut before: Option<(i64, Instant)> = None;
    while let Some(packet) = output.reap().map_err(|error| error.to_string())? {
        let now = Instant::now();
        taken.fetch_add(1, Ordering::Relaxed);
        let Some(number) = packet.pts.map(Timestamp::ticks) else { continue };
        let due = start + interval * u32::try_from(number).unwrap_or(0);
        latency.add(milliseconds(now.saturating_duration_since(due)));
        // Where a frame was lost in between there is no interval to speak of.
        if let Some((_, at)) = before.filter(|(last, _)| last + 1 == number) {
            jitter.add(milliseconds((now - at).abs_diff(interval)));
        }
        before = Some((number, now));
    }
    Ok(Took { jitter, latency, summary: output.summary() })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
