//! One stream on several decoders gives what one decoder gives: the same frames, times and order.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::support::nvidia::packets;
use crate::support::nvidia_split::feed_until;
use crate::support::streams::{frame_md5, further_streams, have, run, stream};
use video_hw::backend::{BackendKind, SplitReport};
use video_hw::config::{CommonDecodeConfig, DecodeOutputMode, Engines};
use video_hw::container::{Input, open_input};
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::pipeline::{FrameSource, SourceOptions};
use video_hw::session::{DecodeSession, Ledger, Submit};

/// What the test looks at of a frame.
type Seen = (String, bool, String);

fn decode(path: &Path, options: &SourceOptions) -> (Vec<Seen>, Option<SplitReport>) {
    let mut source = FrameSource::open(path, options).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let metadata = options.output == DecodeOutputMode::MetadataOnly;
    let mut seen = Vec::new();
    while let Some(frame) = source.next_frame().unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
        let sum = if metadata { String::new() } else { frame_md5(&frame) };
        seen.push((frame.pts.to_string(), frame.keyframe, sum));
    }
    let decode = source.summary().decode.unwrap();
    assert!(decode.ledger.balances(), "{}: {:?}", path.display(), decode.ledger);
    assert_eq!((decode.ledger.failed, decode.ledger.unexpected), (0, 0), "{}", path.display());
    (seen, decode.receipt.split)
}

fn options(engines: usize) -> SourceOptions {
    let engines = match engines {
        1 => Engines::One,
        n => Engines::Count(NonZeroUsize::new(n).unwrap()),
    };
    SourceOptions::default().backend(BackendKind::Software.into()).engines(engines)
}

/// Decodes with one decoder and with several; returns the report of the last.
fn compare(path: &Path) -> SplitReport {
    let (one, none) = decode(path, &options(1));
    assert!(none.is_none() && !one.is_empty());
    let mut last = None;
    for engines in [2, 5] {
        let (several, report) = decode(path, &options(engines));
        assert_eq!(one.len(), several.len(), "{}: {engines} decoders", path.display());
        for (index, (a, b)) in one.iter().zip(&several).enumerate() {
            assert_eq!(a, b, "{}: frame {index} with {engines} decoders", path.display());
        }
        last = report;
    }
    last.unwrap()
}

/// A waiting segment gets another decoder. No frame is reaped here: this stops the first decoder, so that segments have to wait.
fn several_are_opened(path: &Path) {
    let (config, packets) = packets(path);
    let config = config.engines(Engines::Count(NonZeroUsize::new(3).unwrap())).reorder_window(1);
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    feed_until(&mut session, &packets, |_, session| {
        session.receipt().split.is_some_and(|split| split.opened > 1)
    });
}

fn make(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let input = ["-f", "lavfi", "-i", "testsrc2=size=192x112:rate=30:duration=7"];
    run("ffmpeg", &[&input[..], arguments, &["-y", path.to_str().unwrap()]].concat());
    path
}

const OPEN_GROUPS: [&str; 4] = [
    "-c:v",
    "libx265",
    "-x265-params",
    "log-level=none:keyint=40:min-keyint=40:open-gop=1:bframes=4:scenecut=0",
];

#[test]
fn open_groups_of_pictures() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["open.h265", "open.mp4"] {
        let path = make(folder.path(), name, &OPEN_GROUPS);
        let report = compare(&path);
        assert_eq!(report.segments, 6, "{report:?}");
        several_are_opened(&path);
    }
    // Parameter sets come once only: later parts need those of the first.
    let once =
        [&OPEN_GROUPS[..3], &["log-level=none:keyint=40:open-gop=1:bframes=4:scenecut=0:repeat-headers=0"]];
    compare(&make(folder.path(), "once.mp4", &once.concat()));
}

#[test]
fn closed_groups_of_pictures() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "40", "-bf", "3", "-sc_threshold", "0"];
    for name in ["closed.h264", "closed.mp4"] {
        assert_eq!(compare(&make(folder.path(), name, &h264)).segments, 6);
    }
    let vp9 =
        ["-c:v", "libvpx-vp9", "-g", "40", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "1"];
    assert_eq!(compare(&make(folder.path(), "vp9.ivf", &vp9)).segments, 6);
    let vp8 = ["-c:v", "libvpx", "-g", "40", "-deadline", "realtime", "-auto-alt-ref", "1"];
    assert!(compare(&make(folder.path(), "vp8.ivf", &vp8)).segments > 1);
    // Every picture is a start: they are taken together.
    let intra = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "1"];
    let parts = compare(&make(folder.path(), "intra.h264", &intra)).segments;
    assert!((2..=7).contains(&parts), "{parts}");
}

#[test]
fn a_stream_that_cannot_be_split_says_so() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let endless = ["-c:v", "libx264", "-preset", "veryfast", "-g", "1000", "-bf", "2"];
    let report = compare(&make(folder.path(), "endless.h264", &endless));
    assert_eq!((report.segments, report.opened), (1, 1));
    assert!(report.note.as_deref().is_some_and(|note| note.contains("one place only")), "{report:?}");
}

#[test]
fn a_small_window_changes_nothing_but_the_memory() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make(folder.path(), "open.h265", &OPEN_GROUPS);
    let frame = 192 * 112 * 3 / 2;
    let (one, _) = decode(&path, &options(1));
    let small = options(6).reorder_window(3 * frame);
    let (several, report) = decode(&path, &small);
    assert_eq!(one, several);
    let peak = report.unwrap().peak_window_bytes;
    assert!(peak < 9 * frame, "{peak} bytes, {} frames", peak / frame);

    let metadata = options(6).output(DecodeOutputMode::MetadataOnly);
    assert_eq!(decode(&path, &metadata).0.len(), one.len());
}

/// Nobody has to ask for what is fastest; pictures that wait are bounded, and the report says by what.
#[test]
fn files_are_shared_out_by_default() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "40", "-bf", "3", "-sc_threshold", "0"];
    let path = make(folder.path(), "closed.mp4", &h264);
    let (one, _) = decode(&path, &options(1));
    let usual = SourceOptions::default().backend(BackendKind::Software.into()).threads(NonZeroUsize::new(3));
    let (several, report) = decode(&path, &usual);
    assert_eq!(one, several);
    let report = report.unwrap();
    assert_eq!((report.engines, report.segments), (3, 6), "{report:?}");
    let (host, cards) = report.window_bytes;
    assert!((1..=1 << 30).contains(&host) && cards == 0 && report.peak_window_bytes <= host, "{report:?}");
    // One that is wanted at once is decoded by one.
    let low = usual.clone().low_latency(true);
    let (frames, none) = decode(&path, &low);
    assert!(none.is_none() && frames == one);
    // A number is taken at its word, and there is no such word for low latency.
    let config = CommonDecodeConfig::new(video_hw::codec::Codec::H264)
        .low_latency(true)
        .engines(Engines::Count(NonZeroUsize::new(2).unwrap()));
    let refusal = DecodeSession::new(BackendKind::Software, config).err().unwrap().to_string();
    assert!(refusal.contains("engines 2 with low_latency"), "{refusal}");
}

#[test]
fn the_streams_of_several_groups() {
    for name in [
        "groups.h264",
        "mbaff.h264",
        "fields.h264",
        "idr.h264",
        "references.h264",
        "slices-cavlc.h264",
        "groups-hevc.h265",
        "open-groups-hevc.h265",
        "groups-vp8.ivf",
        "groups-vp9.ivf",
        "shown-again-vp9.ivf",
        "sizes-vp9.ivf",
        "groups-av1.ivf",
        "svt-av1.ivf",
    ] {
        compare(&stream(name));
    }
    for path in further_streams() {
        compare(&path);
    }
}

#[test]
fn the_clips_of_the_project() {
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
    for name in ["bars.mp4", "small.h264", "small.h265", "small-10bit.h265", "small-vp9.ivf", "small-av1.ivf"]
    {
        compare(&clips.join(name));
    }
}

/// The session is usable after a flush, and goes without waiting while its decoders are full of work.
#[test]
fn flushing_and_leaving_in_the_middle() {
    let Repeated { config, mut packets } = Repeated::new("small.h264");
    packets.truncate(50);
    let config = config.engines(Engines::Count(NonZeroUsize::new(3).unwrap()));
    let mut session = DecodeSession::new(BackendKind::Software, config).unwrap();
    for round in 1..=3_u64 {
        for packet in &packets {
            let mut packet = packet.clone();
            while let Submit::Full(back) = session.submit(packet).unwrap() {
                packet = back;
                let _ = session.reap_timeout(Duration::from_millis(5)).unwrap();
            }
        }
        let rest = session.drain().unwrap().map(Result::unwrap).count();
        assert!(rest > 0);
        assert_eq!(session.summary().ledger.delivered, round * packets.len() as u64);
    }
    for packet in packets.iter().take(20) {
        let _ = session.submit(packet.clone()).unwrap();
    }
    drop(session);
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A clip several times over: each time begins where decoding can start.
struct Repeated {
    config: CommonDecodeConfig,
    packets: Vec<Packet>,
}

impl Repeated {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name);
        let Input::Demuxer(mut demuxer) = open_input(&path).unwrap() else { panic!("{name} is coded") };
        let video = demuxer.tracks()[0].video.clone().unwrap();
        let packets: Vec<_> = std::iter::from_fn(|| demuxer.next_packet().unwrap())
            .map(|sample| Packet {
                keyframe: sample.keyframe,
                ..Packet::new(video.codec, video.layout, sample.data)
            })
            .collect();
        Self {
            config: CommonDecodeConfig::new(video.codec),
            packets: [(); 4].iter().flat_map(|()| packets.clone()).collect(),
        }
    }
}

/// One way to use a session.
#[derive(Debug)]
struct Use {
    clip: usize,
    lanes: usize,
    window: Option<u64>,
    output: DecodeOutputMode,
    packets: usize,
    /// Frames after which the session is dropped, with packets and frames inside.
    leave_after: Option<usize>,
    /// Packets after which it is drained.
    flush_after: Option<usize>,
    /// How long the consumer takes for a frame now and then.
    pause: Duration,
    /// Packets go in on a thread of their own.
    threads: bool,
    /// Frames that the consumer keeps.
    keeps: bool,
}

impl Use {
    fn choose(random: &mut Random, clips: &[Repeated]) -> Self {
        let clip = random.below(clips.len());
        let packets = 1 + random.below(clips[clip].packets.len());
        let windows = [Some(1), Some(40_000), Some(200_000), Some(1 << 20), None];
        Self {
            clip,
            lanes: 1 + random.below(6),
            window: windows[random.below(windows.len())],
            output: if random.one_in(3) {
                DecodeOutputMode::MetadataOnly
            } else {
                DecodeOutputMode::HostSurface
            },
            packets,
            leave_after: random.one_in(2).then(|| random.below(packets)),
            flush_after: random.one_in(3).then(|| random.below(packets)),
            pause: Duration::from_micros(if random.one_in(3) { 2000 } else { 0 }),
            threads: random.one_in(2),
            keeps: random.one_in(4),
        }
    }

    fn session(&self, clips: &[Repeated]) -> DecodeSession {
        let config = clips[self.clip]
            .config
            .clone()
            .engines(Engines::Count(NonZeroUsize::new(self.lanes).unwrap()))
            .reorder_window(self.window)
            .output(self.output);
        DecodeSession::new(BackendKind::Software, config).unwrap()
    }

    /// Uses a session so; all frames come unless it is left before.
    fn run(&self, clips: &[Repeated]) {
        let packets = &clips[self.clip].packets[..self.packets];
        let session = self.session(clips);
        let mut consumer = Consumer { wanted: self, frames: 0, kept: Vec::new() };
        let ledger = if self.threads {
            consumer.on_two_threads(session, packets)
        } else {
            consumer.on_one_thread(session, packets)
        };
        if let Some(ledger) = ledger {
            assert!(ledger.balances(), "{self:?}: {ledger:?}");
            assert_eq!((ledger.delivered, ledger.failed), (self.packets as u64, 0), "{self:?}");
            assert_eq!(consumer.frames, self.packets, "{self:?}");
        }
    }
}

struct Consumer<'a> {
    wanted: &'a Use,
    frames: usize,
    kept: Vec<Frame>,
}

impl Consumer<'_> {
    /// `false`: it leaves.
    fn take(&mut self, frame: Option<Frame>) -> bool {
        let Some(frame) = frame else { return true };
        self.frames += 1;
        if self.wanted.keeps {
            self.kept.push(frame);
        }
        if self.frames.is_multiple_of(5) {
            std::thread::sleep(self.wanted.pause);
        }
        self.wanted.leave_after.is_none_or(|after| self.frames <= after)
    }

    fn on_one_thread(&mut self, mut session: DecodeSession, packets: &[Packet]) -> Option<Ledger> {
        for (index, packet) in packets.iter().enumerate() {
            let mut packet = packet.clone();
            // Packets behind a flush must begin where decoding can.
            if self.wanted.flush_after.is_some_and(|after| index >= after && packet.keyframe) {
                for frame in session.drain().unwrap() {
                    if !self.take(Some(frame.unwrap())) {
                        return None;
                    }
                }
            }
            while let Submit::Full(back) = session.submit(packet).unwrap() {
                packet = back;
                if !self.take(session.reap_timeout(Duration::from_millis(20)).unwrap()) {
                    return None;
                }
            }
        }
        for frame in session.drain().unwrap() {
            if !self.take(Some(frame.unwrap())) {
                return None;
            }
        }
        Some(session.summary().ledger)
    }

    fn on_two_threads(&mut self, session: DecodeSession, packets: &[Packet]) -> Option<Ledger> {
        let (mut input, mut output) = session.split();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for packet in packets.iter().cloned() {
                    // The consumer may have left.
                    if input.submit_blocking(packet).is_err() {
                        return;
                    }
                }
                let _ = input.flush();
            });
            let mut stays = true;
            while stays && !output.was_flushed() {
                stays = self.take(output.reap().unwrap());
            }
            let ledger = output.summary().ledger;
            drop(output);
            stays.then_some(ledger)
        })
    }
}

/// Windows of all sizes, consumers that are slow, keep frames, flush or leave in the middle: nobody waits for ever.
#[test]
fn whatever_its_consumer_does_nobody_waits_for_ever() {
    // Far more than any of them takes.
    const PATIENCE: Duration = Duration::from_secs(60);
    let clips: Arc<Vec<_>> =
        Arc::new(["small.h264", "small.h265", "small-vp9.ivf"].map(Repeated::new).into_iter().collect());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200 {
        let wanted = Arc::new(Use::choose(&mut random, &clips));
        let (done, wait) = mpsc::channel();
        let run = {
            let (wanted, clips) = (Arc::clone(&wanted), Arc::clone(&clips));
            std::thread::spawn(move || {
                wanted.run(&clips);
                let _ = done.send(());
            })
        };
        match wait.recv_timeout(PATIENCE) {
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => run.join().unwrap(),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody waits for ever: {wanted:?}"),
        }
    }
}
