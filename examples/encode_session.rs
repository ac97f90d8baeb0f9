//! Times one encode session from inside: pictures that lie in memory go in, packets come out, and a line of JSON says how
//! long that took. Reading files and starting a process are not in it.
//!
//! ```console
//! $ cargo run --release --example encode_session -- --backend nvidia --frames 3000
//! $ cargo run --release --example encode_session -- --backend nvidia --latency --tuning ull --b-frames 0
//! ```
//!
//! Without `--latency` pictures go in as fast as they are taken, and the clock runs from the first submission to the last
//! packet. With it a picture goes in when the packet of the one before has come, each is timed by itself, and
//! percentiles are those of the sorted times.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::{
    BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig, RateControl, VplEncodeConfig,
};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, EncodeSummary, Submit};
use video_hw::stages::{Histogram, StageSummary};
use video_hw::time::{Rational, TimeBase, Timestamp};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Different pictures that are encoded in turn.
const PICTURES: usize = 8;
/// A packet that does not come for so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

const HELP: &str = "encode_session [--backend NAME] [--codec NAME] [--size WxH] [--format NAME] [--frames N] \
[--in-flight N] [--preset NAME] [--tuning NAME] [--b-frames N] [--bitrate BPS] [--latency] [--overhead]";

struct Options {
    backend: Backend,
    codec: Codec,
    size: Dimensions,
    format: PixelFormat,
    frames: usize,
    in_flight: usize,
    preset: Option<String>,
    tuning: Option<String>,
    b_frames: Option<u32>,
    bit_rate: u32,
    latency: bool,
    overhead: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("encode_session: {error}\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, AnyError> {
    let mut options = Options {
        backend: Backend::Auto,
        codec: Codec::H264,
        size: Dimensions::new(1920, 1080).ok_or("no size")?,
        format: PixelFormat::Nv12,
        frames: 300,
        in_flight: NvidiaEncodeConfig::default().max_in_flight_outputs,
        preset: None,
        tuning: None,
        b_frames: None,
        bit_rate: 5_000_000,
        latency: false,
        overhead: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        match name.as_str() {
            "--latency" => options.latency = true,
            "--overhead" => options.overhead = true,
            _ => {
                let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
                set(&mut options, &name, &value)?;
            }
        }
    }
    Ok(options)
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), AnyError> {
    match name {
        "--backend" => options.backend = value.parse()?,
        "--codec" => options.codec = value.parse()?,
        "--size" => options.size = value.parse()?,
        "--format" => options.format = value.parse()?,
        "--frames" => options.frames = value.parse()?,
        "--in-flight" => options.in_flight = value.parse()?,
        "--preset" => options.preset = Some(value.to_owned()),
        "--tuning" => options.tuning = Some(value.to_owned()),
        "--b-frames" => options.b_frames = Some(value.parse()?),
        "--bitrate" => options.bit_rate = value.parse()?,
        _ => return Err(format!("there is no {name}").into()),
    }
    Ok(())
}

fn run(options: &Options) -> Result<String, AnyError> {
    if options.overhead {
        return Ok(format!("{{\"ns_per_stage\": {:.1}}}", overhead()));
    }
    let config = CommonEncodeConfig::new(options.codec, options.size, Rational::new(30, 1).ok_or("no rate")?)
        .rate_control(RateControl::Cbr { bitrate_bps: options.bit_rate })
        .format(options.format)
        .b_frames(options.b_frames)
        .low_latency(options.latency);
    let special = special(options);
    let session = EncodeSession::with_special(options.backend, config, &special)?;
    let pictures: Vec<_> = (0..PICTURES).map(|n| picture(options, n)).collect::<Result<_, _>>()?;
    let frame = |n: usize| {
        let pts = Timestamp::new(
            n as i64,
            TimeBase::from_frame_rate(Rational::new(30, 1).unwrap_or(Rational::ONE)),
        );
        Frame::host(pts, pictures[n % PICTURES].clone())
    };
    if options.latency {
        one_by_one(session, options.frames, frame)
    } else {
        throughput(session, options.frames, frame)
    }
}

/// Settings that the backend alone has; those without a preset of their own are opened as they are.
fn special(options: &Options) -> BackendEncodeConfig {
    let (in_flight, preset, tuning) = (options.in_flight, options.preset.clone(), options.tuning.clone());
    match options.backend {
        Backend::Only(BackendKind::Qsv) => BackendEncodeConfig::Vpl(
            VplEncodeConfig::default().max_in_flight_outputs(in_flight).preset(preset).tuning(tuning),
        ),
        Backend::Auto | Backend::Only(BackendKind::Nvidia) => BackendEncodeConfig::Nvidia(
            NvidiaEncodeConfig::default().max_in_flight_outputs(in_flight).preset(preset).tuning(tuning),
        ),
        Backend::Only(_) => BackendEncodeConfig::None,
    }
}

/// Nanoseconds that timing one stage costs, the clock included.
fn overhead() -> f64 {
    const TIMES: u32 = 1_000_000;
    let histogram = Histogram::default();
    let begun = Instant::now();
    for n in 0..TIMES {
        histogram.time(|| std::hint::black_box(n));
    }
    begun.elapsed().as_nanos() as f64 / f64::from(TIMES)
}

fn picture(options: &Options, number: usize) -> Result<HostSurface, AnyError> {
    let bytes = options.format.frame_bytes(options.size);
    let data: Vec<u8> = (0..bytes).map(|at| (at / 7 + 13 * number) as u8).collect();
    Ok(HostSurface::from_packed(options.format, options.size, data)?)
}

fn throughput(
    session: EncodeSession,
    frames: usize,
    frame: impl Fn(usize) -> Frame + Send,
) -> Result<String, AnyError> {
    let (mut input, mut output) = session.split();
    let begun = Instant::now();
    let (packets, wall) = std::thread::scope(|scope| {
        let feeder = scope.spawn(move || {
            for number in 0..frames {
                input.submit_blocking(frame(number))?;
            }
            input.flush()
        });
        let mut packets = 0;
        let mut last = begun;
        while output.reap()?.is_some() {
            packets += 1;
            last = Instant::now();
        }
        feeder.join().map_err(|_| "the feeding thread panicked")??;
        Ok::<_, AnyError>((packets, last - begun))
    })?;
    if packets != frames {
        return Err(format!("{packets} packets of {frames} frames").into());
    }
    Ok(format!(
        "{{\"frames\": {frames}, \"wall_s\": {:.6}, \"fps\": {:.1}, {}}}",
        wall.as_secs_f64(),
        frames as f64 / wall.as_secs_f64(),
        told(&output.summary())
    ))
}

fn one_by_one(
    mut session: EncodeSession,
    frames: usize,
    frame: impl Fn(usize) -> Frame,
) -> Result<String, AnyError> {
    let mut times = Vec::with_capacity(frames);
    for number in 0..frames {
        let next = frame(number);
        let begun = Instant::now();
        let Submit::Accepted = session.submit(next)? else {
            return Err("a frame was not taken although nothing is inside".into());
        };
        let Some(packet) = session.reap_timeout(PATIENCE)? else {
            return Err(format!("no packet for frame {number}: something is held back").into());
        };
        times.push(begun.elapsed());
        if packet.pts.map(Timestamp::ticks) != i64::try_from(number).ok() {
            return Err(format!("frame {number} came out as {:?}", packet.pts).into());
        }
    }
    times.sort_unstable();
    let percentile = |share: usize| {
        let rank = (times.len() * share).div_ceil(100).max(1);
        times.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    Ok(format!(
        "{{\"frames\": {frames}, \"p50_ms\": {:.4}, \"p95_ms\": {:.4}, \"p99_ms\": {:.4}, \"max_ms\": {:.4}, {}}}",
        percentile(50),
        percentile(95),
        percentile(99),
        percentile(100),
        told(&session.summary())
    ))
}

/// What the session itself says.
fn told(summary: &EncodeSummary) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let stage = |name: &str, stage: StageSummary| {
        format!(
            "\"{name}\": {{\"count\": {}, \"mean\": {:.4}, \"p50\": {:.4}, \"p95\": {:.4}, \"p99\": {:.4}, \"max\": {:.4}}}",
            stage.count,
            ms(stage.mean()),
            ms(stage.p50),
            ms(stage.p95),
            ms(stage.p99),
            ms(stage.max)
        )
    };
    let mut parts = vec![stage("latency_ms", summary.latency)];
    if let Some(stages) = &summary.stages {
        parts.extend(stages.named().map(|(name, times)| stage(&format!("{name}_ms"), times)));
        parts.push(format!("\"queue_peak\": {}", stages.queue_peak));
    }
    parts.join(", ")
}
