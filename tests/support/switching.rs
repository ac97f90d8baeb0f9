//! Streams of simulated encoders that are switched, every kind of change in every mode with everything that can go wrong on the
//! way, and what ffmpeg makes of them.

use std::process::Command;
use std::time::Duration;

use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};
use video_hw::control::{
    EventKind, SessionSwitchMode, SessionSwitchRequest, Start, StreamOptions, StreamState, StreamSummary,
    SwitchStage, SwitchingEncoder,
};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::session::Submit;
use video_hw::time::Rational;

use super::nvenc::{check_times, config, frame, have_ffmpeg, next_encoder, pts};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Bitrate,
    Fps,
    SizeDown,
    SizeUp,
    Gop,
    BFrames,
    Codec,
}

pub(crate) const WHATS: [What; 7] =
    [What::Bitrate, What::Fps, What::SizeDown, What::SizeUp, What::Gop, What::BFrames, What::Codec];

pub(crate) const MODES: [SessionSwitchMode; 3] =
    [SessionSwitchMode::Immediate, SessionSwitchMode::OnNextKeyframe, SessionSwitchMode::DrainThenSwap];

/// What the driver (the frameworks) does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Ok,
    CreationFails,
    ActivationFails,
    DeviceLost,
}

/// Frames before the switch is asked for.
const BEFORE: usize = 6;
/// The frame that is forced to be an IDR where the switch waits for one.
const FORCED: usize = 8;
const FRAMES: usize = 20;
/// Whoever has waited for so long waits for what does not come; on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn base() -> CommonEncodeConfig {
    config(Codec::H264).b_frames(0).gop_length(30).rate_control(RateControl::Cbr { bitrate_bps: 2_000_000 })
}

impl What {
    /// The change in other settings.
    pub(crate) fn target(self, base: &CommonEncodeConfig) -> CommonEncodeConfig {
        let mut target = base.clone();
        match self {
            Self::Bitrate => target.rate_control = Some(RateControl::Cbr { bitrate_bps: 1_000_000 }),
            Self::Fps => target.frame_rate = Rational::new(50, 1).unwrap(),
            Self::SizeDown => target.dimensions = Dimensions::new(176, 128).unwrap(),
            Self::SizeUp => target.dimensions = Dimensions::new(240, 160).unwrap(),
            Self::Gop => target.gop_length = Some(12),
            Self::BFrames => target.b_frames = Some(2),
            Self::Codec => target.codec = Codec::Hevc,
        }
        target
    }
}

/// A simulated encoder.
pub(crate) struct Simulated {
    kind: BackendKind,
    /// Changes that it makes without a new session.
    in_place: &'static [What],
    /// The call that makes a session, and the one that hands a picture over.
    create: &'static str,
    encode: &'static str,
    /// Settings of the simulation: the first change in place and the second session fail, or the picture of this number of all
    /// that are handed over; whether the change is made in place.
    faults: fn(Fate, usize, bool) -> String,
    /// Who encodes when its device is lost, right after a change in place or at any other time.
    after_loss: fn(bool) -> BackendKind,
}

pub(crate) const NVENC: Simulated = Simulated {
    kind: BackendKind::Nvidia,
    in_place: &[What::Bitrate, What::Fps, What::SizeDown],
    create: "nvEncInitializeEncoder",
    encode: "nvEncLockInputBuffer",
    faults: |fate, first, _| match fate {
        Fate::Ok => String::new(),
        Fate::CreationFails => "fault=[{function='nvEncReconfigureEncoder',call=1,code=8},\
                 {function='nvEncInitializeEncoder',call=2,code=20}]"
            .to_owned(),
        Fate::ActivationFails => {
            format!("fault=[{{function='nvEncLockInputBuffer',call={first},code=20}}]")
        }
        Fate::DeviceLost => {
            format!("fault=[{{function='nvEncLockInputBuffer',call={first},device_lost=true}}]")
        }
    },
    after_loss: |_| next_encoder(),
};

pub(crate) const VIDEOTOOLBOX: Simulated = Simulated {
    kind: BackendKind::VideoToolbox,
    in_place: &[What::Bitrate, What::Fps],
    create: "VTCompressionSessionCreate",
    encode: "VTCompressionSessionEncodeFrame",
    faults: |fate, first, _| match fate {
        Fate::Ok => String::new(),
        Fate::CreationFails => "fail.change.at=1:-12912;fail.create.encode.at=2:-12912".to_owned(),
        Fate::ActivationFails => format!("fail.encode.call={first}:-12912"),
        Fate::DeviceLost => format!("sleep.encode.at={first}"),
    },
    // Every session is lost, as when a Mac sleeps. A new one works, and is tried where the change may be to blame; otherwise the
    // next backend has its turn.
    after_loss: |changed| if changed { BackendKind::VideoToolbox } else { next_encoder() },
};

pub(crate) const VPL: Simulated = Simulated {
    kind: BackendKind::Qsv,
    in_place: &[What::Bitrate, What::Fps, What::SizeDown],
    create: "MFXVideoENCODE_Init",
    encode: "MFXVideoCORE_SyncOperation",
    faults: |fate, first, in_place| match fate {
        Fate::Ok => String::new(),
        Fate::CreationFails => "fail.encode.reset=2:unknown;fail.encode.init=2:unknown".to_owned(),
        Fate::ActivationFails => format!("fail.encode.at={first}:unknown"),
        Fate::DeviceLost if in_place => format!("fail.encode.at={first}:lost"),
        // The session that was running is lost with the new one.
        Fate::DeviceLost => {
            (first..first + 2 * FRAMES).map(|at| format!("fail.encode.at={at}:lost;")).collect()
        }
    },
    after_loss: |changed| if changed { BackendKind::Qsv } else { next_encoder() },
};

/// Changes in modes, with the names of these cases: all of them, or each change in one mode.
pub(crate) fn cases(all: bool) -> impl Iterator<Item = (What, SessionSwitchMode, String)> {
    let both = WHATS.into_iter().enumerate().flat_map(|(at, what)| {
        MODES.into_iter().enumerate().map(move |(mode_at, mode)| (at % MODES.len() == mode_at, what, mode))
    });
    both.filter(move |(chosen, ..)| all || *chosen)
        .map(|(_, what, mode)| (what, mode, format!("{what:?} {mode:?}")))
}

const fn boundary(mode: SessionSwitchMode) -> usize {
    match mode {
        SessionSwitchMode::OnNextKeyframe => FORCED,
        SessionSwitchMode::Immediate | SessionSwitchMode::DrainThenSwap => BEFORE,
    }
}

impl Simulated {
    fn changes_in_place(&self, what: What) -> bool {
        self.in_place.contains(&what)
    }

    /// Settings of the simulation. Pictures are handed over once each: the one by which a session proves itself, those of the
    /// stream, and again one for a second session.
    pub(crate) fn faults(&self, fate: Fate, what: What, mode: SessionSwitchMode) -> String {
        let in_place = self.changes_in_place(what);
        (self.faults)(fate, 1 + boundary(mode) + usize::from(!in_place) + 1, in_place)
    }

    /// Runs the case of this name, with what it has to come to.
    pub(crate) fn run(&self, case: &str, fate: Fate) {
        let (what, mode, _) = cases(true).find(|(.., name)| name == case).unwrap();
        let played = play(what, mode);
        played.judge();
        self.verdict(&played, what, mode, fate);
    }

    /// What each case has to come to.
    fn verdict(&self, played: &Played, what: What, mode: SessionSwitchMode, fate: Fate) {
        let boundary = played.boundary as u64;
        let before: Vec<u64> = vec![1; played.boundary];
        let rest = played.frames - played.boundary;
        let with = |generation: u64| [before.clone(), vec![generation; rest]].concat();
        let summary = &played.summary;
        let (counts, reason) = (summary.switches, summary.switch_fail_reason.clone().unwrap_or_default());
        let failed = played.switch_failures();
        assert!(played.end.is_none(), "{:?}", played.end);
        let generations = played.generations();
        match fate {
            Fate::Ok => {
                assert_eq!(generations, with(2), "the generation begins with frame {boundary}");
                assert!(failed.is_empty() && reason.is_empty(), "{failed:?}");
                assert_eq!(
                    (counts.in_place, counts.new_session),
                    if self.changes_in_place(what) { (1, 0) } else { (0, 1) }
                );
                assert_eq!(summary.ledger.failed, 0);
            }
            Fate::CreationFails => {
                assert_eq!(generations, with(1));
                assert_eq!(failed, [(2, SwitchStage::Creation, 1)]);
                assert!(reason.contains(self.create), "{reason}");
                let refused = played.has(|kind| matches!(kind, EventKind::InPlaceRefused { .. }));
                assert_eq!(refused, self.changes_in_place(what));
            }
            Fate::ActivationFails => {
                // A running encoder that died of its change has no way back: its settings go on in another session.
                let back_to = if self.changes_in_place(what) { 3 } else { 1 };
                assert_eq!(generations, with(back_to));
                assert_eq!(failed, [(2, SwitchStage::Activation, back_to)]);
                assert!(reason.contains(self.encode), "{reason}");
                assert_eq!(counts.rolled_back, 1);
                assert_eq!(played.backend, Some(self.kind));
            }
            Fate::DeviceLost => {
                assert_eq!(generations, with(3), "another session goes on");
                let back_to = if self.changes_in_place(what) { 3 } else { 1 };
                assert_eq!(failed, [(2, SwitchStage::Activation, back_to)]);
                assert!(reason.contains("device lost"), "{reason}");
                let next = (self.after_loss)(self.changes_in_place(what));
                assert_eq!(played.backend, Some(next));
                let last = summary.generations.last().unwrap();
                assert_eq!(last.start, Start::Reopened);
                let receipt = format!("{:#}", last.receipt);
                let refused = next == self.kind || receipt.contains(&format!("{} refused", self.kind));
                assert!(receipt.contains(next.name()) && refused, "{receipt}");
            }
        }
        assert_eq!(summary.ledger.delivered as usize, played.frames, "{mode:?}");
        match (what, fate) {
            (What::SizeDown | What::SizeUp, Fate::Ok) => assert_eq!(summary.converted as usize, rest),
            // Frames may have been brought to a size that nothing came of.
            (What::SizeDown | What::SizeUp, _) => {}
            _ => assert_eq!(summary.converted, 0),
        }
    }
}

/// A stream that has been run.
pub(crate) struct Played {
    pub(crate) frames: usize,
    pub(crate) boundary: usize,
    pub(crate) packets: Vec<Packet>,
    pub(crate) end: Option<Error>,
    pub(crate) summary: StreamSummary,
    pub(crate) events: Vec<EventKind>,
    pub(crate) backend: Option<BackendKind>,
}

/// Hands a frame over, reaping meanwhile; `false`: the stream has ended.
pub(crate) fn submit(
    stream: &mut SwitchingEncoder,
    mut frame: Frame,
    got: &mut Vec<Result<Packet, Error>>,
) -> bool {
    loop {
        match stream.submit(frame) {
            Ok(Submit::Accepted) => return true,
            Ok(Submit::Full(back)) => frame = back,
            Err(_) => return false,
        }
        got.extend(stream.reap_timeout(Duration::from_millis(20)).transpose());
    }
}

/// Runs a stream with a switch in it. Until the switch takes effect every packet is waited for, so that the calls of the
/// driver come in an order that is known.
pub(crate) fn play(what: What, mode: SessionSwitchMode) -> Played {
    let none = BackendEncodeConfig::None;
    // However slow this machine is at the moment, the encoder under test is the one that is taken.
    let options = StreamOptions::default().prove_timeout(PATIENCE);
    let mut stream = SwitchingEncoder::with_source(Backend::Auto, base(), none.clone(), options).unwrap();
    let (mut got, mut events) = (Vec::new(), Vec::new());
    for number in 0..FRAMES {
        if number == BEFORE {
            let target = (what.target(&base()), none.clone());
            let request = SessionSwitchRequest { target, mode, force_idr_on_activate: false };
            assert_eq!(stream.request_switch(request).unwrap(), 2);
            wait_until("the switch to be decided", || {
                events.extend(stream.take_events().into_iter().map(|event| event.kind));
                decided(&events)
            });
        }
        let mut frame = frame(number, base().format);
        frame.force_keyframe = number == FORCED && mode == SessionSwitchMode::OnNextKeyframe;
        assert!(submit(&mut stream, frame, &mut got));
        if number < boundary(mode) {
            // An encoder that has taken over too early may hold pictures back.
            while got.len() <= number {
                let packet = stream.reap_timeout(PATIENCE).transpose();
                let backend = stream.backend();
                got.push(packet.unwrap_or_else(|| {
                    panic!(
                        "no packet of frame {number} from {backend:?}: {events:?}, {:?}",
                        stream.take_events()
                    )
                }));
            }
        }
    }
    let mut played = Played::finish(stream, got, FRAMES, boundary(mode));
    events.append(&mut played.events);
    Played { events, ..played }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether it is known how the switch is made.
fn decided(events: &[EventKind]) -> bool {
    events.iter().any(|kind| {
        matches!(
            kind,
            EventKind::SwitchRequested { new_session: None, .. }
                | EventKind::Ready { .. }
                | EventKind::NoRoomForTwo { .. }
                | EventKind::SwitchFailed { .. }
        )
    })
}

/// Runs a stream without a switch.
pub(crate) fn play_on(mut stream: SwitchingEncoder, frames: usize) -> Played {
    let mut got = Vec::new();
    for number in 0..frames {
        if !submit(&mut stream, frame(number, base().format), &mut got) {
            break;
        }
    }
    Played::finish(stream, got, frames, 0)
}

impl Played {
    pub(crate) fn finish(
        mut stream: SwitchingEncoder,
        mut got: Vec<Result<Packet, Error>>,
        frames: usize,
        boundary: usize,
    ) -> Self {
        if let Ok(rest) = stream.drain() {
            got.extend(rest);
        }
        while let Some(outcome) = stream.try_reap().transpose() {
            got.push(outcome);
        }
        // A switch may still find out that it fails, where frames were quicker.
        wait_until("the switch to end", || {
            let is_pending = boundary > 0 && matches!(stream.state(), StreamState::SwitchPending { .. });
            if is_pending {
                stream.try_reap().unwrap();
            }
            !is_pending
        });
        let (packets, errors): (Vec<_>, Vec<_>) = got.into_iter().partition(Result::is_ok);
        let mut errors: Vec<_> = errors.into_iter().filter_map(Result::err).collect();
        assert!(errors.len() <= 1, "{errors:?}");
        Self {
            frames,
            boundary,
            packets: packets.into_iter().map(Result::unwrap).collect(),
            end: errors.pop(),
            backend: stream.backend().map(|(kind, _)| kind),
            events: stream.take_events().into_iter().map(|event| event.kind).collect(),
            summary: stream.summary(),
        }
    }

    pub(crate) fn has(&self, what: impl Fn(&EventKind) -> bool) -> bool {
        self.events.iter().any(what)
    }

    /// Generation, stage and what it went back to of each switch that failed.
    pub(crate) fn switch_failures(&self) -> Vec<(u64, SwitchStage, u64)> {
        let failures = self.events.iter().filter_map(|kind| match kind {
            EventKind::SwitchFailed { generation, stage, back_to, .. } => {
                Some((*generation, *stage, *back_to))
            }
            _ => None,
        });
        failures.collect()
    }

    /// Generations of the frames in display order.
    pub(crate) fn generations(&self) -> Vec<u64> {
        let mut shown: Vec<_> =
            self.packets.iter().map(|packet| (packet.pts.unwrap(), packet.generation)).collect();
        shown.sort_by_key(|(pts, _)| *pts);
        shown.into_iter().map(|(_, generation)| generation).collect()
    }

    /// Every frame once, in order, with times that hold; and every picture as it went in, where ffmpeg is here to tell.
    pub(crate) fn judge(&self) {
        assert!(self.summary.ledger.balances(), "{:?}", self.summary.ledger);
        check_times(&self.packets, 0..self.packets.len());
        assert!(self.generations().is_sorted());
        if self.end.is_none() {
            assert_eq!(self.packets.len(), self.frames);
        }
        if !have_ffmpeg() {
            return;
        }
        let mut segments: Vec<(Key, Vec<&Packet>)> = Vec::new();
        for packet in &self.packets {
            let key = self.key(packet);
            match segments.last_mut() {
                Some((last, packets)) if *last == key => packets.push(packet),
                _ => {
                    assert!(packet.keyframe, "a segment begins with an IDR");
                    segments.push((key, vec![packet]));
                }
            }
        }
        for (key, packets) in segments {
            check_segment(key, &packets);
        }
    }

    /// What a raw stream cannot change: codec, and the size that its pictures are counted by.
    fn key(&self, packet: &Packet) -> Key {
        let of = |known: &&video_hw::control::GenerationSummary| known.generation == packet.generation;
        let known = self.summary.generations.iter().find(of).unwrap();
        assert_eq!(Some(known.config.codec), packet.codec);
        (known.config.codec, known.config.dimensions)
    }
}

type Key = (Codec, Dimensions);

/// ffmpeg decodes the packets without a word, and each picture is the one that its packet's time says.
fn check_segment((codec, size): Key, packets: &[&Packet]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(if codec == Codec::H264 { "out.h264" } else { "out.h265" });
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| packet.data.iter().copied()).collect();
    std::fs::write(&file, bytes).unwrap();
    let output = Command::new("ffmpeg")
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("NVSIM_REPORT")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(&file)
        .args(["-vsync", "drop", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{codec} {size}: {said}");
    let mut times: Vec<_> = packets.iter().map(|packet| packet.pts.unwrap()).collect();
    times.sort();
    let luma = size.pixels() as usize;
    let pictures: Vec<&[u8]> = output.stdout.chunks(luma * 3 / 2).collect();
    assert_eq!(pictures.len(), times.len(), "{codec} {size}");
    for (picture, time) in pictures.into_iter().zip(times) {
        let number = (0..10_000).find(|number| pts(*number) >= time).unwrap();
        let mean =
            |plane: &[u8]| plane.iter().map(|value| f64::from(*value)).sum::<f64>() / plane.len() as f64;
        // Chroma tells pictures apart at every size.
        let (cb, cr) = picture[luma..].split_at(luma / 4);
        let wanted = ((96 + 3 * number % 64) as f64, (160 - 2 * number % 64) as f64);
        let off = (mean(cb) - wanted.0).abs().max((mean(cr) - wanted.1).abs());
        assert!(off < 0.9, "picture {number} of {codec} {size} is off by {off}");
    }
}
