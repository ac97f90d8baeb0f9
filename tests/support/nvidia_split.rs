//! Streams that are cut, what one decoder makes of them, and what several do.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use video_hw::backend::{BackendKind, SplitReport};
use video_hw::config::{CommonDecodeConfig, DecodeOutputMode, Engines};
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::session::{DecodeSession, DecodeSummary, Submit};

use super::nvidia::{decode_into, packets, planar, planar_of};
use super::streams::{md5_hex, run};

/// A millisecond for each picture, so that engines have something to share. They can be held: see [`Clip::decode_held`].
pub(crate) const TIMED: &str =
    "time.enabled=true;time.decode_ns_per_frame=1000000;time.decode_held_by='engines held'";
pub(crate) const PICTURES: usize = 210;
/// Groups of 40 pictures.
pub(crate) const PARTS: u64 = 6;
/// Of the long clip.
pub(crate) const LONG: usize = 2_400;

pub(crate) const H264: [&str; 10] =
    ["-c:v", "libx264", "-preset", "veryfast", "-g", "40", "-bf", "3", "-sc_threshold", "0"];
pub(crate) const HEVC: [&str; 4] = [
    "-c:v",
    "libx265",
    "-x265-params",
    "log-level=none:keyint=40:min-keyint=40:open-gop=1:bframes=4:scenecut=0",
];
pub(crate) const VP9: [&str; 10] =
    ["-c:v", "libvpx-vp9", "-g", "40", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "1"];

pub(crate) fn make(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    make_of(PICTURES, folder, name, arguments)
}

pub(crate) fn make_of(pictures: usize, folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let frames = pictures.to_string();
    let input = ["-f", "lavfi", "-i", "testsrc2=size=192x160:rate=30", "-frames:v", &frames];
    run("ffmpeg", &[&input[..], arguments, &["-y", path.to_str().unwrap()]].concat());
    path
}

/// A stream and what a session needs to know of it.
pub(crate) struct Clip {
    pub(crate) config: CommonDecodeConfig,
    pub(crate) packets: Vec<Packet>,
}

impl Clip {
    pub(crate) fn of(path: &Path) -> Self {
        let (config, packets) = packets(path);
        Self { config, packets }
    }

    /// H.264 in closed groups.
    pub(crate) fn closed() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(&make(folder.path(), "closed.h264", &H264))
    }

    /// The same, long enough for a third decoder to pay: 2 times 1,024 of such small pictures.
    pub(crate) fn long() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(&make_of(LONG, folder.path(), "long.h264", &H264))
    }

    pub(crate) fn on(&self, engines: Engines, output: DecodeOutputMode) -> CommonDecodeConfig {
        self.config.clone().engines(engines).output(output)
    }

    pub(crate) fn decode(&self, config: CommonDecodeConfig) -> Outcome {
        let mut session = open(config);
        Outcome::of(&mut session, &self.packets)
    }

    /// As [`Self::decode`], but the engines do not begin before three parts are there and the session's report is as
    /// wanted. How fast a machine feeds and how fast it decodes is then all the same.
    pub(crate) fn decode_held(
        &self,
        config: CommonDecodeConfig,
        ready: impl Fn(&SplitReport) -> bool,
    ) -> Outcome {
        let mut session = open(config);
        feed_held(&mut session, &self.packets, ready);
        Outcome::of(&mut session, &self.packets[HELD..])
    }

    /// What one engine gives.
    pub(crate) fn judge(&self) -> Vec<Seen> {
        let outcome = self.decode(self.on(Engines::One, DecodeOutputMode::HostSurface));
        assert!(outcome.summary.receipt.split.is_none());
        outcome.whole()
    }
}

pub(crate) fn open(config: CommonDecodeConfig) -> DecodeSession {
    DecodeSession::new(BackendKind::Nvidia, config).unwrap()
}

/// Packets that go in while the engines are held: the session's queue may have 32 of them, what is before them is three
/// parts, and it is few enough for no decoder to be missed.
pub(crate) const HELD: usize = 140;

/// Feeds the first [`HELD`] packets while no engine begins a picture, until the session's report is as wanted.
pub(crate) fn feed_held(
    session: &mut DecodeSession,
    packets: &[Packet],
    ready: impl Fn(&SplitReport) -> bool,
) {
    let _hold = Hold::new();
    feed_until(session, &packets[..HELD], |fed, session| {
        fed == HELD && split(session).is_some_and(|s| ready(&s))
    });
}

fn split(session: &DecodeSession) -> Option<SplitReport> {
    session.receipt().split
}

/// Feeds packets, taking frames, until `enough` of these are out, and goes on without taking any while no engine begins a
/// picture, until the session's report is as wanted. Gives how many went in.
pub(crate) fn feed_growing(
    session: &mut DecodeSession,
    packets: &[Packet],
    (fed, enough): (usize, usize),
    ready: impl Fn(&SplitReport) -> bool,
    mut take: impl FnMut(Result<Frame, Error>),
) -> usize {
    let mut out = 0;
    feed_taking(session, &packets[..fed], |outcome| {
        out += 1;
        take(outcome);
        out < enough
    });
    let _hold = Hold::new();
    fed + feed_until(session, &packets[fed..], |_, session| split(session).is_some_and(|s| ready(&s)))
}

/// Feeds packets, and takes frames meanwhile and then until no more are asked for.
pub(crate) fn feed_taking(
    session: &mut DecodeSession,
    packets: &[Packet],
    mut take: impl FnMut(Result<Frame, Error>) -> bool,
) {
    let (mut fed, mut wants, begun) = (0, true, Instant::now());
    while fed < packets.len() || wants {
        assert!(begun.elapsed() < Duration::from_secs(120), "{fed} packets, {:?}", session.receipt());
        if let Some(packet) = packets.get(fed).cloned()
            && matches!(session.submit(packet).unwrap(), Submit::Accepted)
        {
            fed += 1;
            continue;
        }
        if let Some(outcome) = session.reap_timeout(Duration::from_millis(50)).transpose() {
            wants = take(outcome);
        }
    }
}

/// Feeds packets, taking no frames, until it is as wanted after so many of them. Gives how many went in.
pub(crate) fn feed_until(
    session: &mut DecodeSession,
    packets: &[Packet],
    ready: impl Fn(usize, &DecodeSession) -> bool,
) -> usize {
    let (mut fed, begun) = (0, Instant::now());
    while !ready(fed, session) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{fed} packets, {:?}", session.receipt());
        match packets.get(fed).cloned().map(|packet| session.submit(packet).unwrap()) {
            Some(Submit::Accepted) => fed += 1,
            Some(Submit::Full(_)) | None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    fed
}

/// No engine of the simulation begins a picture while it is there: see [`TIMED`].
struct Hold(PathBuf);

impl Hold {
    fn new() -> Self {
        let file = std::env::temp_dir().join("engines held");
        std::fs::write(&file, "").unwrap();
        Self(file)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The end of the test ends the engines as well.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) const fn count(engines: usize) -> Engines {
    Engines::Count(NonZeroUsize::new(engines).unwrap())
}

/// What is looked at of a frame: time, key frame, sum of the samples.
pub(crate) type Seen = (String, bool, String);

pub(crate) fn seen(frame: &Frame) -> Seen {
    let sum = match (frame.as_host(), frame.as_device()) {
        (Some(_), _) => md5_hex(&planar(frame)),
        (_, Some(device)) => md5_hex(&planar_of(&device.download().unwrap())),
        _ => String::new(),
    };
    (frame.pts.to_string(), frame.keyframe, sum)
}

pub(crate) struct Outcome {
    pub(crate) frames: Vec<Seen>,
    pub(crate) errors: Vec<Error>,
    pub(crate) summary: DecodeSummary,
}

impl Outcome {
    pub(crate) fn of(session: &mut DecodeSession, packets: &[Packet]) -> Self {
        let (mut frames, mut errors) = (Vec::new(), Vec::new());
        let summary = decode_into(session, packets, |outcome| match outcome {
            Ok(frame) => frames.push(seen(&frame)),
            Err(error) => errors.push(error),
        });
        Self { frames, errors, summary }
    }

    /// All frames, when nothing went wrong.
    pub(crate) fn whole(self) -> Vec<Seen> {
        assert!(self.errors.is_empty(), "{:?}", self.errors);
        assert_eq!((self.frames.len(), self.summary.ledger.failed), (PICTURES, 0));
        self.frames
    }

    pub(crate) fn split(&self) -> SplitReport {
        self.summary.receipt.split.clone().unwrap()
    }
}

pub(crate) fn assert_same(one: &[Seen], several: &[Seen], what: &str) {
    assert_eq!(one.len(), several.len(), "{what}");
    for (index, (one, several)) in one.iter().zip(several).enumerate() {
        assert_eq!(one, several, "{what}: frame {index}");
    }
}

pub(crate) fn two_cards() -> String {
    let card = |name: &str| {
        format!(
            "{{name='{name}',memory_mib=4096,compute=[9,0],nvdec_engines=1,\
             nvdec=[{{codec='h264',chroma=[420],depth=[8],min=[48,16],max=[4096,4096]}}]}}"
        )
    };
    format!("device=[{},{}]", card("First"), card("Second"))
}
