//! `switch`: a live stream whose settings change on the way, once in each of the three modes. Frames are handed over when
//! they are due, as a camera does: the switch has to come about while they keep coming.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use video_hw::control::{EventKind, SessionSwitchMode, SessionSwitchRequest, SwitchingEncoder};
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::rawvideo::FrameReader;
use video_hw::session::Submit;
use video_hw::stages::Histogram;
use video_hw::time::Timestamp;
use video_hw::{Error, Result};

use super::live::{PATIENCE, Report, WorkArgs, judged, latency};

/// The switches: after how many eighths of the stream, and how.
const SWITCHES: [(u64, SessionSwitchMode); 3] = [
    (1, SessionSwitchMode::Immediate),
    (3, SessionSwitchMode::OnNextKeyframe),
    (6, SessionSwitchMode::DrainThenSwap),
];

/// Three in each eighth: a key frame comes in each.
const LEAST_FRAMES: u64 = 24;

pub(super) fn run(args: &WorkArgs, begun: Instant) -> Result<Report> {
    if args.frames < LEAST_FRAMES {
        return Err(Error::invalid(format!(
            "{} frames are too few for three switches; give at least {LEAST_FRAMES}",
            args.frames
        )));
    }
    // Where frames end with the file, a key frame must come within the part that waits for one.
    let gop = args.gop.min(u32::try_from(args.frames / 8).unwrap_or(u32::MAX)).max(2);
    let full = args.config().gop_length(gop);
    let half = full.clone().rate_control(args.rate_control(args.bits() / 2));
    let short = half.clone().gop_length((gop / 2).max(1));
    let back = full.clone().gop_length(gop);
    let targets = [half, short, back];

    let mut stream = Stream {
        encoder: SwitchingEncoder::new(args.backend, full, args.special())?,
        out: Out::create(args)?,
        due: Vec::new(),
        times: Histogram::default(),
        packets: 0,
        events: Vec::new(),
        asked: Vec::new(),
        first: None,
        begun,
    };
    let mut pictures = args.pictures()?;
    let start = Instant::now();
    let interval = Duration::from_secs_f64(1.0 / args.fps.as_f64());
    let mut number = 0;
    while number < args.frames
        && let Some(frame) = pictures.next_frame()?
    {
        for ((eighths, mode), target) in SWITCHES.iter().zip(&targets) {
            if number == args.frames / 8 * eighths {
                stream.wait_for(Reached::Begun)?;
                let target = (target.clone(), args.special());
                let request = SessionSwitchRequest { mode: *mode, ..SessionSwitchRequest::immediate(target) };
                let generation = stream.encoder.request_switch(request)?;
                stream.asked.push((generation, mode_name(*mode)));
            }
            if number == args.frames / 8 * (eighths + 1) {
                stream.wait_for(Reached::Ready)?;
            }
        }
        let due = start + interval * u32::try_from(number).unwrap_or(u32::MAX);
        stream.until(due)?;
        stream.hand_over(frame, due)?;
        number += 1;
    }
    stream.drain()?;
    Ok(stream.report(number))
}

/// How far a switch has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// Its session is there. The frames that are left would not do for the other switches if they went on without it.
    Ready,
    /// Its first frame has gone in: before that, a newer request takes its place.
    Begun,
}

struct Stream {
    encoder: SwitchingEncoder,
    out: Out,
    /// When each frame was due, by its number.
    due: Vec<(Timestamp, Instant)>,
    times: Histogram,
    packets: u64,
    events: Vec<EventKind>,
    /// The generation that each switch is to be.
    asked: Vec<(u64, &'static str)>,
    first: Option<Duration>,
    begun: Instant,
}

impl Stream {
    /// Takes packets until it is time.
    fn until(&mut self, due: Instant) -> Result<()> {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            match self.encoder.reap_timeout(left)? {
                Some(packet) => self.take(&packet)?,
                None if due <= Instant::now() => return Ok(()),
                // Nothing is inside.
                None => std::thread::sleep(due.saturating_duration_since(Instant::now())),
            }
        }
    }

    /// Waits until the last switch has come so far, where the machine took longer for it than the part of the stream that was
    /// meant for it. Whoever waits then shows in the latency.
    fn wait_for(&mut self, reached: Reached) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.hear();
            let Some((asked, _)) = self.asked.last() else { return Ok(()) };
            let settled = |event: &EventKind| match event {
                EventKind::Ready { generation, .. } => reached == Reached::Ready && generation == asked,
                EventKind::Activated { generation, .. } | EventKind::SwitchFailed { generation, .. } => {
                    generation == asked
                }
                _ => false,
            };
            if self.events.iter().any(settled) || begun.elapsed() > PATIENCE {
                return Ok(());
            }
            match self.encoder.reap_timeout(Duration::from_millis(2))? {
                Some(packet) => self.take(&packet)?,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn hand_over(&mut self, mut frame: Frame, due: Instant) -> Result<()> {
        self.due.push((frame.pts, due));
        let begun = Instant::now();
        loop {
            match self.encoder.submit(frame)? {
                Submit::Accepted => return Ok(()),
                Submit::Full(_) if begun.elapsed() > PATIENCE => {
                    return Err(Error::unsupported("the encoder takes no frame any more"));
                }
                Submit::Full(back) => frame = back,
            }
            if let Some(packet) = self.encoder.reap_timeout(Duration::from_millis(5))? {
                self.take(&packet)?;
            }
        }
    }

    fn take(&mut self, packet: &Packet) -> Result<()> {
        self.packets += 1;
        self.first.get_or_insert_with(|| self.begun.elapsed());
        if let Some((_, due)) = self.due.iter().rev().find(|(pts, _)| Some(*pts) == packet.pts) {
            self.times.record(due.elapsed());
        }
        self.out.write(packet)
    }

    fn drain(&mut self) -> Result<()> {
        let rest: Vec<Packet> = self.encoder.drain()?.collect::<Result<_>>()?;
        rest.iter().try_for_each(|packet| self.take(packet))?;
        self.out.finish()
    }

    fn report(mut self, frames: u64) -> Report {
        self.hear();
        let summary = self.encoder.summary();
        let mut report = Report {
            frames: self.packets,
            startup_s: self.first.map(|first| first.as_secs_f64()),
            steady_s: self.first.map(|first| self.begun.elapsed().saturating_sub(first).as_secs_f64()),
            bytes_out: Some(summary.bytes_out),
            latency: Some(latency(self.times.summary())),
            encoder: summary
                .generations
                .first()
                .and_then(|one| one.receipt.chosen())
                .map(|(_, name)| name.to_owned()),
            ..Report::default()
        };
        let lost = frames.abs_diff(self.packets) + summary.ledger.failed + summary.ledger.dropped_total();
        let unbalanced = u32::from(!summary.ledger.balances());
        let wanted = 1 + SWITCHES.len();
        let delivered = summary.generations.iter().filter(|one| one.packets > 0).count();
        let missing = wanted.saturating_sub(delivered);
        report.judged = vec![
            judged("frames lost", lost as f64, 0.0, "frames"),
            judged("ledgers that do not balance", f64::from(unbalanced), 0.0, ""),
            judged("switches that failed", summary.switches.failed as f64, 0.0, ""),
            judged("switches that delivered nothing", missing as f64, 0.0, ""),
        ];
        report.figures.insert("switch_max_ms".to_owned(), summary.switch_time_max.as_secs_f64() * 1e3);
        report.figures.insert("switches_in_place".to_owned(), summary.switches.in_place as f64);
        report.figures.insert("switches_new_session".to_owned(), summary.switches.new_session as f64);
        for generation in &summary.generations {
            if let Some((_, mode)) = self.asked.iter().find(|(number, _)| *number == generation.generation) {
                let took = generation.start_took.as_secs_f64() * 1e3;
                report.figures.insert(format!("switch_{mode}_ms"), took);
            }
            let name = format!("generation_{}_packets", generation.generation);
            report.figures.insert(name, generation.packets as f64);
        }
        report
    }

    /// Takes note of what has happened.
    fn hear(&mut self) {
        for event in self.encoder.take_events() {
            if let EventKind::Renumbered { from, to } = event.kind {
                self.asked
                    .iter_mut()
                    .filter(|(generation, _)| *generation == from)
                    .for_each(|one| one.0 = to);
            }
            self.events.push(event.kind);
        }
    }
}

const fn mode_name(mode: SessionSwitchMode) -> &'static str {
    match mode {
        SessionSwitchMode::Immediate => "immediate",
        SessionSwitchMode::OnNextKeyframe => "on_next_keyframe",
        SessionSwitchMode::DrainThenSwap => "drain_then_swap",
    }
}

/// An elementary stream, where one was asked for.
struct Out(Option<(BufWriter<File>, std::path::PathBuf)>);

impl Out {
    fn create(args: &WorkArgs) -> Result<Self> {
        let create = |path: &std::path::PathBuf| {
            let file = File::create(path).map_err(|error| Error::io_writing("create", path, error))?;
            Ok((BufWriter::new(file), path.clone()))
        };
        Ok(Self(args.output.as_ref().map(create).transpose()?))
    }

    fn write(&mut self, packet: &Packet) -> Result<()> {
        let Some((file, path)) = &mut self.0 else { return Ok(()) };
        file.write_all(&packet.data).map_err(|error| Error::io_writing("write", path.clone(), error))
    }

    fn finish(&mut self) -> Result<()> {
        let Some((file, path)) = &mut self.0 else { return Ok(()) };
        file.flush().map_err(|error| Error::io_writing("write", path.clone(), error))
    }
}
