//! Encodes a generated live stream in a scheduler, and changes its encoder while it runs.
//!
//! ```console
//! $ cargo run --release --example switch_scheduled -- switched.h264 --frames 120
//! ```
//!
//! The scheduler owns the frames and packets; whoever keeps the [`SwitchHandle`](video_hw::pipeline::scheduler::SwitchHandle)
//! changes the settings: here the bit rate is halved after half of the frames, and no frame is lost by that.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};
use video_hw::control::{EventKind, SessionSwitchRequest, SwitchingEncoder};
use video_hw::dimensions::Dimensions;
use video_hw::frame::{Frame, HostSurface};
use video_hw::pipeline::scheduler::{PipelineScheduler, SchedulerOptions, StreamSpec, SwitchingStage, Unit};
use video_hw::pixel::PixelFormat;
use video_hw::session::Submit;
use video_hw::time::{Rational, TimeBase, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let path = args.first().filter(|a| !a.starts_with("--")).map_or("switched.h264", String::as_str);
    let count: u32 = option("--frames").map_or(Ok(120), |n| n.parse())?;
    let backend: Backend = option("--backend").map_or(Ok(Backend::Auto), |name| name.parse())?;

    let size: Dimensions = "320x180".parse()?;
    let rate = Rational::new(30, 1).ok_or("a frame rate is not zero")?;
    let full = CommonEncodeConfig::new(Codec::H264, size, rate)
        .rate_control(RateControl::Cbr { bitrate_bps: 1_000_000 });
    let half = full.clone().rate_control(RateControl::Cbr { bitrate_bps: 500_000 });

    let scheduler = PipelineScheduler::new(SchedulerOptions::default())?;
    let (stage, encoder) =
        SwitchingStage::new(SwitchingEncoder::new(backend, full, BackendEncodeConfig::None)?);
    let (mut input, mut output) = scheduler.open(StreamSpec::new("camera").stage(stage))?;
    let mut out = File::create(path)?;
    for i in 0..count {
        if i == count / 2 {
            let target = (half.clone(), BackendEncodeConfig::None);
            encoder.lock().request_switch(SessionSwitchRequest::immediate(target))?;
            // The new session proves itself on another thread. A camera gives its next frames later than that; these wait for it.
            while !encoder
                .lock()
                .take_events()
                .iter()
                .any(|event| matches!(event.kind, EventKind::Ready { .. } | EventKind::SwitchFailed { .. }))
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let pts = Timestamp::new(i64::from(i), TimeBase::from_frame_rate(rate));
        let mut unit: Unit = Frame::host(pts, picture(size, i)?).into();
        while let Submit::Full(back) = input.submit(unit)? {
            unit = back;
            if let Some(delivery) = output.reap_timeout(Duration::from_millis(10))? {
                write(&mut out, delivery.unit)?;
            }
        }
    }
    input.close();
    for delivery in output.iter() {
        write(&mut out, delivery?.unit)?;
    }
    for known in &encoder.lock().summary().generations {
        println!("generation {}: {} packets, {} bytes", known.generation, known.packets, known.bytes);
    }
    let accounted = output.summary().is_some_and(|summary| summary.balances());
    println!("{path}: every frame accounted for: {accounted}");
    Ok(())
}

fn write(out: &mut File, unit: Unit) -> Result<(), Box<dyn std::error::Error>> {
    let packet = unit.into_packet().ok_or("the last stage gives packets")?;
    Ok(out.write_all(&packet.data)?)
}

/// A ramp that moves.
fn picture(size: Dimensions, index: u32) -> video_hw::Result<HostSurface> {
    let (width, rows) = (size.width(), size.height());
    let luma = (0..rows).flat_map(|y| (0..width).map(move |x| ((x + y + index * 2) % 220 + 16) as u8));
    let mut data: Vec<u8> = luma.collect();
    data.resize(PixelFormat::I420.frame_bytes(size), 128);
    HostSurface::from_packed(PixelFormat::I420, size, data)
}
