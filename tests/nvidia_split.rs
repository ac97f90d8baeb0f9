//! One stream on several hardware decoders, on the simulated driver: the frames of one decoder, the engines of one card
//! or of two, and what becomes of the stream when one of its decoders fails.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

mod nvidia_support;
mod streams_common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use video_hw::backend::{BackendKind, SplitReport};
use video_hw::config::{CommonDecodeConfig, DecodeOutputMode, Engines};
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::session::{DecodeSession, DecodeSummary, Submit};

use nvidia_support::{clean, decode_into, fault, packets, planar, planar_of, simulated_case};
use streams_common::{have, md5_hex, run};

/// A millisecond for each picture, so that engines have something to share.
const TIMED: &str = "time.enabled=true;time.decode_ns_per_frame=1000000";
const PICTURES: usize = 210;
/// Groups of 40 pictures.
const PARTS: u64 = 6;
/// Of the long clip.
const LONG: usize = 2_400;

const H264: [&str; 10] =
    ["-c:v", "libx264", "-preset", "veryfast", "-g", "40", "-bf", "3", "-sc_threshold", "0"];
const HEVC: [&str; 4] = [
    "-c:v",
    "libx265",
    "-x265-params",
    "log-level=none:keyint=40:min-keyint=40:open-gop=1:bframes=4:scenecut=0",
];
const VP9: [&str; 10] =
    ["-c:v", "libvpx-vp9", "-g", "40", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "1"];

fn make(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    make_of(PICTURES, folder, name, arguments)
}

fn make_of(pictures: usize, folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let frames = pictures.to_string();
    let input = ["-f", "lavfi", "-i", "testsrc2=size=192x160:rate=30", "-frames:v", &frames];
    run("ffmpeg", &[&input[..], arguments, &["-y", path.to_str().unwrap()]].concat());
    path
}

/// A stream and what a session needs to know of it.
struct Clip {
    config: CommonDecodeConfig,
    packets: Vec<Packet>,
}

impl Clip {
    fn of(path: &Path) -> Self {
        let (config, packets) = packets(path);
        Self { config, packets }
    }

    /// H.264 in closed groups.
    fn closed() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(&make(folder.path(), "closed.h264", &H264))
    }

    /// The same, long enough for a third decoder to pay: 2 times 1,024 of such small pictures.
    fn long() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(&make_of(LONG, folder.path(), "long.h264", &H264))
    }

    fn on(&self, engines: Engines, output: DecodeOutputMode) -> CommonDecodeConfig {
        CommonDecodeConfig { engines, output, ..self.config.clone() }
    }

    fn decode(&self, config: CommonDecodeConfig) -> Outcome {
        let mut session = open(config);
        Outcome::of(&mut session, &self.packets)
    }

    /// What one engine gives.
    fn judge(&self) -> Vec<Seen> {
        let outcome = self.decode(self.on(Engines::One, DecodeOutputMode::HostSurface));
        assert!(outcome.summary.receipt.split.is_none());
        outcome.whole()
    }
}

fn open(config: CommonDecodeConfig) -> DecodeSession {
    DecodeSession::new(BackendKind::Nvidia, config).unwrap()
}

const fn count(engines: usize) -> Engines {
    Engines::Count(NonZeroUsize::new(engines).unwrap())
}

/// What is looked at of a frame: time, key frame, sum of the samples.
type Seen = (String, bool, String);

fn seen(frame: &Frame) -> Seen {
    let sum = match (frame.as_host(), frame.as_device()) {
        (Some(_), _) => md5_hex(&planar(frame)),
        (_, Some(device)) => md5_hex(&planar_of(&device.download().unwrap())),
        _ => String::new(),
    };
    (frame.pts.to_string(), frame.keyframe, sum)
}

struct Outcome {
    frames: Vec<Seen>,
    errors: Vec<Error>,
    summary: DecodeSummary,
}

impl Outcome {
    fn of(session: &mut DecodeSession, packets: &[Packet]) -> Self {
        let (mut frames, mut errors) = (Vec::new(), Vec::new());
        let summary = decode_into(session, packets, |outcome| match outcome {
            Ok(frame) => frames.push(seen(&frame)),
            Err(error) => errors.push(error),
        });
        Self { frames, errors, summary }
    }

    /// All frames, when nothing went wrong.
    fn whole(self) -> Vec<Seen> {
        assert!(self.errors.is_empty(), "{:?}", self.errors);
        assert_eq!((self.frames.len(), self.summary.ledger.failed), (PICTURES, 0));
        self.frames
    }

    fn split(&self) -> SplitReport {
        self.summary.receipt.split.clone().unwrap()
    }
}

fn assert_same(one: &[Seen], several: &[Seen], what: &str) {
    assert_eq!(one.len(), several.len(), "{what}");
    for (index, (one, several)) in one.iter().zip(several).enumerate() {
        assert_eq!(one, several, "{what}: frame {index}");
    }
}

/// Every kind of frames, with all engines and with some, is what one engine gives.
fn as_one_engine(test: &str, name: &str, arguments: &[&str]) {
    let run = clean(test, TIMED, || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::of(&make(folder.path(), name, arguments));
        let one = clip.judge();
        for engines in [Engines::Auto, count(3)] {
            for output in [
                DecodeOutputMode::HostSurface,
                DecodeOutputMode::NativeSurface,
                DecodeOutputMode::MetadataOnly,
            ] {
                let what = format!("{engines:?}, {output:?}");
                let outcome = clip.decode(clip.on(engines, output));
                let split = outcome.split();
                assert_eq!(split.parts, PARTS, "{what}: {split:?}");
                if engines == Engines::Auto {
                    assert_eq!((split.engines, split.opened), (10, 1), "{what}: {split:?}");
                    assert!(split.note.is_some_and(|note| note.contains("too short")), "{what}");
                } else {
                    assert_eq!((split.engines, split.note), (3, None), "{what}");
                    assert!(split.opened > 1, "{what}: {}", split.opened);
                }
                let several = outcome.whole();
                if output == DecodeOutputMode::MetadataOnly {
                    let alone: Vec<_> =
                        one.iter().map(|(pts, key, _)| (pts.clone(), *key, String::new())).collect();
                    assert_same(&alone, &several, &what);
                } else {
                    assert_same(&one, &several, &what);
                }
            }
        }
    });
    if let Some(run) = run {
        // One session at a time would never leave the engine that it had last.
        let used = run.engines()[0].iter().filter(|pictures| **pictures > 0).count();
        assert!(used > 1, "{:?}", run.engines());
    }
}

#[test]
fn closed_groups_of_h264() {
    as_one_engine("closed_groups_of_h264", "closed.mp4", &H264);
}

#[test]
fn open_groups_of_hevc() {
    as_one_engine("open_groups_of_hevc", "open.h265", &HEVC);
}

#[test]
fn groups_of_vp9_with_hidden_pictures() {
    as_one_engine("groups_of_vp9_with_hidden_pictures", "groups.ivf", &VP9);
}

#[test]
fn a_long_stream_gets_more_decoders_by_itself() {
    let run = clean("a_long_stream_gets_more_decoders_by_itself", TIMED, || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let clip = Clip::long();
        let one = clip.decode(clip.on(Engines::One, DecodeOutputMode::HostSurface));
        let several = clip.decode(clip.on(Engines::Auto, DecodeOutputMode::HostSurface));
        let split = several.split();
        assert_eq!((split.engines, split.opened), (10, 3), "{split:?}");
        assert_eq!(one.frames.len(), LONG);
        assert_same(&one.frames, &several.frames, "long");
    });
    if let Some(run) = run {
        let used = run.engines()[0].iter().filter(|pictures| **pictures > 0).count();
        assert!(used > 1, "{:?}", run.engines());
    }
}

fn two_cards() -> String {
    let card = |name: &str| {
        format!(
            "{{name='{name}',memory_mib=4096,compute=[9,0],nvdec_engines=1,\
             nvdec=[{{codec='h264',chroma=[420],depth=[8],min=[48,16],max=[4096,4096]}}]}}"
        )
    };
    format!("device=[{},{}]", card("First"), card("Second"))
}

#[test]
fn two_cards_share_a_stream() {
    let settings = format!("{TIMED};{}", two_cards());
    // Each case in a process of its own: both cards must have worked in each.
    for case in ["all host", "0,1 host", "all device", "0,1 device"] {
        let run = simulated_case("two_cards_share_a_stream", &settings, case, |case| {
            if !have(&["ffmpeg"]) {
                return;
            }
            let (list, output) = case.split_once(' ').unwrap();
            let output = match output {
                "host" => DecodeOutputMode::HostSurface,
                _ => DecodeOutputMode::NativeSurface,
            };
            let clip = Clip::long();
            // Judged by the CPU, so that both cards have the split stream alone.
            let mut judge = DecodeSession::new(
                BackendKind::Software,
                clip.on(Engines::One, DecodeOutputMode::HostSurface),
            )
            .unwrap();
            let one = Outcome::of(&mut judge, &clip.packets).frames;
            assert_eq!(one.len(), LONG);
            let config =
                CommonDecodeConfig { device: Some(list.to_owned()), ..clip.on(Engines::Auto, output) };
            let mut session = open(config);
            let mut devices = Vec::new();
            let mut several = Vec::new();
            let summary = decode_into(&mut session, &clip.packets, |outcome| {
                let frame = outcome.unwrap();
                devices.extend(frame.as_device().map(|surface| surface.device()));
                several.push(seen(&frame));
            });
            assert_same(&one, &several, case);
            // Each card has one engine, and a decoder for it.
            let split = summary.receipt.split.unwrap();
            assert_eq!((split.engines, split.opened), (2, 2), "{split:?}");
            if output == DecodeOutputMode::NativeSurface {
                assert!(devices.contains(&0) && devices.contains(&1), "{devices:?}");
            }
        });
        let Some(run) = run else { continue };
        run.assert_clean();
        let engines = run.engines();
        assert!(engines.len() == 2 && engines.iter().all(|card| card[0] > 0), "{case}: {engines:?}");
    }
}

#[test]
fn when_the_first_card_makes_no_decoder_the_next_one_does() {
    let name = "when_the_first_card_makes_no_decoder_the_next_one_does";
    let settings = format!("{};{}", two_cards(), fault("cuvidCreateDecoder", 1, "code=2,count=2"));
    clean(name, &settings, || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        // Too short for a second decoder to come by itself.
        let clip = Clip::closed();
        let config = CommonDecodeConfig {
            device: Some("all".to_owned()),
            ..clip.on(Engines::Auto, DecodeOutputMode::NativeSurface)
        };
        let mut session = open(config);
        let mut devices = Vec::new();
        let summary = decode_into(&mut session, &clip.packets, |outcome| {
            devices.extend(outcome.unwrap().as_device().map(|surface| surface.device()));
        });
        assert_eq!(devices, vec![1; PICTURES]);
        let split = summary.receipt.split.unwrap();
        assert_eq!((split.engines, split.opened), (2, 1), "{split:?}");
        assert!(split.note.unwrap().contains("decoder 1 could not start"));
    });
}

#[test]
fn a_cpu_that_takes_over_has_terms_of_its_own() {
    clean("a_cpu_that_takes_over_has_terms_of_its_own", "", || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let folder = tempfile::tempdir().unwrap();
        let deep = [&H264[..], &["-pix_fmt", "yuv420p10le"]].concat();
        // The card has H.264, and finds out at the first unit that it has none of 10 bits.
        let clip = Clip::of(&make(folder.path(), "deep.h264", &deep));
        let config = CommonDecodeConfig {
            threads: NonZeroUsize::new(3),
            ..clip.on(Engines::Auto, DecodeOutputMode::HostSurface)
        };
        let mut session = DecodeSession::new(video_hw::backend::Backend::Auto, config).unwrap();
        let outcome = Outcome::of(&mut session, &clip.packets);
        let (chosen, _) = outcome.summary.receipt.chosen().unwrap();
        assert_eq!(chosen, BackendKind::Software);
        let split = outcome.split();
        assert_eq!(split.engines, 3, "{split:?}");
        // Not one for the whole short stream, as it would be on a card.
        assert!(split.opened > 1, "{split:?}");
        assert_eq!(outcome.whole().len(), PICTURES);
    });
}

#[test]
fn a_stream_that_goes_on_is_not_called_short_any_more() {
    clean("a_stream_that_goes_on_is_not_called_short_any_more", TIMED, || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let clip = Clip::long();
        let mut session = open(clip.on(Engines::Auto, DecodeOutputMode::MetadataOnly));
        let first = Outcome::of(&mut session, &clip.packets[..200]).split();
        assert!(first.opened == 1 && first.note.is_some_and(|note| note.contains("too short")));
        let one_part = Outcome::of(&mut session, &clip.packets[..30]).split();
        assert_eq!((one_part.opened, one_part.parts), (1, 6));
        let all = Outcome::of(&mut session, &clip.packets).split();
        assert!(all.opened > 1, "{all:?}");
    });
}

#[test]
fn a_list_of_cards_with_one_that_is_not_there_is_refused() {
    clean("a_list_of_cards_with_one_that_is_not_there_is_refused", "", || {
        let (config, _) = packets("small.h264");
        let config = CommonDecodeConfig { engines: Engines::Auto, device: Some("0,7".to_owned()), ..config };
        let error = DecodeSession::new(BackendKind::Nvidia, config).err().unwrap();
        assert!(matches!(&error, Error::InvalidInput(what) if what.contains("no CUDA device 7")), "{error}");
    });
}

/// A later decoder that the driver does not make: the others do its work, whatever the window holds.
fn a_decoder_is_missing(test: &str, effect: &str, opened: usize) {
    // The first is the judge's, the second that of the first lane or of whichever comes first.
    clean(test, &format!("{TIMED};{}", fault("cuvidCreateDecoder", 3, effect)), || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let clip = Clip::closed();
        let one = clip.judge();
        // A window of one byte makes whoever holds a younger part wait.
        let config = CommonDecodeConfig {
            reorder_window: Some(1),
            ..clip.on(count(3), DecodeOutputMode::NativeSurface)
        };
        let outcome = clip.decode(config);
        let split = outcome.split();
        assert_eq!((split.engines, split.opened), (3, opened), "{split:?}");
        let note = split.note.clone().unwrap_or_default();
        assert!(note.contains("could not start") && note.contains("cuvidCreateDecoder"), "{split:?}");
        assert_same(&one, &outcome.whole(), "with a decoder less");
    });
}

#[test]
fn a_decoder_that_is_not_supported_is_left_out() {
    a_decoder_is_missing("a_decoder_that_is_not_supported_is_left_out", "code=801", 2);
}

#[test]
fn decoders_without_memory_are_left_out() {
    a_decoder_is_missing("decoders_without_memory_are_left_out", "code=2,count=0", 1);
}

#[test]
fn without_any_decoder_the_session_says_why() {
    let settings = fault("cuvidCreateDecoder", 1, "code=2,count=0");
    clean("without_any_decoder_the_session_says_why", &settings, || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let clip = Clip::closed();
        let outcome = clip.decode(clip.on(count(3), DecodeOutputMode::HostSurface));
        assert!(outcome.frames.is_empty());
        let [error] = outcome.errors.as_slice() else { panic!("{:?}", outcome.errors) };
        assert!(error.to_string().contains("cuvidCreateDecoder"), "{error}");
    });
}

#[test]
fn a_session_that_is_dropped_leaves_frames_that_are_held() {
    clean("a_session_that_is_dropped_leaves_frames_that_are_held", "", || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let clip = Clip::closed();
        let one = clip.judge();
        for output in [DecodeOutputMode::NativeSurface, DecodeOutputMode::HostSurface] {
            let mut session = open(clip.on(count(4), output));
            let mut held = Vec::new();
            'packets: for mut packet in clip.packets.iter().cloned() {
                while let Submit::Full(back) = session.submit(packet).unwrap() {
                    packet = back;
                    held.extend(session.reap_timeout(Duration::from_millis(50)).unwrap());
                    if held.len() >= 30 {
                        break 'packets;
                    }
                }
            }
            drop(session);
            assert_same(&one[..held.len()], &held.iter().map(seen).collect::<Vec<_>>(), "held");
        }
    });
}

#[test]
fn frames_without_memory_are_lost_and_the_rest_comes() {
    clean("frames_without_memory_are_lost_and_the_rest_comes", "device.0.memory_mib=16", || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let clip = Clip::closed();
        let config = CommonDecodeConfig {
            reorder_window: Some(200_000),
            ..clip.on(count(2), DecodeOutputMode::NativeSurface)
        };
        let mut session = open(config);
        let (mut held, mut frames, mut lost, mut after) = (Vec::new(), 0, 0, 0);
        let summary = decode_into(&mut session, &clip.packets, |outcome| match outcome {
            Ok(frame) => {
                frames += 1;
                after += usize::from(lost > 0);
                held.push(frame);
            }
            Err(error) => {
                assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
                lost += 1;
                held.clear();
            }
        });
        assert_eq!((frames + lost, summary.ledger.failed), (PICTURES, lost as u64));
        assert!(lost > 0 && after > 0, "{lost} lost, {after} after");
    });
}

#[test]
fn frames_for_the_host_wait_on_the_card() {
    // The first part is the last to be decoded: everything else waits for it.
    let settings = format!("{TIMED};{}", fault("cuvidDecodePicture", PICTURES as u32 + 2, "hang_ms=3000"));
    let run = clean("frames_for_the_host_wait_on_the_card", &settings, || {
        if !have(&["ffmpeg"]) {
            return;
        }
        let clip = Clip::closed();
        let one = clip.judge();
        let outcome = clip.decode(clip.on(count(6), DecodeOutputMode::HostSurface));
        let split = outcome.split();
        let copied = (outcome.summary.output_copy_bytes, outcome.summary.device_copy_bytes);
        assert_same(&one, &outcome.whole(), "waited on the card");
        // Rows lie in 512 bytes there, and in 192 on the host.
        let waited = split.peak_window_bytes;
        assert!(waited > 100 * 512 * 240, "{split:?}");
        let bytes = (PICTURES * 192 * 160 * 3 / 2) as u64;
        assert_eq!(copied, (bytes, bytes));
    });
    if let Some(run) = run {
        // The judge's few, and as few behind the window.
        let made = run.calls("cuMemHostAlloc");
        assert!((1..=60).contains(&made), "{made} pieces of page-locked memory");
    }
}

#[test]
fn frames_for_the_host_that_find_no_room_on_the_card_go_there_at_once() {
    let name = "frames_for_the_host_that_find_no_room_on_the_card_go_there_at_once";
    // The first few find some. The oldest part is late, so that the others' pictures have to wait.
    let settings = format!(
        "{TIMED};fault=[{{function='cuMemAlloc',call=5,code=2,count=0}},\
         {{function='cuvidDecodePicture',call={},hang_ms=1000}}]",
        PICTURES + 2
    );
    let run = clean(name, &settings, || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let clip = Clip::closed();
        let one = clip.judge();
        let config = CommonDecodeConfig {
            reorder_window: Some(1 << 30),
            ..clip.on(count(6), DecodeOutputMode::HostSurface)
        };
        assert_same(&one, &clip.decode(config).whole(), "a full card");
    });
    if let Some(run) = run.filter(|run| run.calls("cuMemcpy2DAsync") > 0) {
        // Two planes: a frame of the judge's is a copy of each, one that goes through the card two.
        let copies = run.calls("cuMemcpy2DAsync");
        let judge = 2 * PICTURES as u64;
        assert!((2 * judge + 1..3 * judge).contains(&copies), "{copies} copies");
        assert!(run.calls("cuMemAlloc") > 5, "{}", run.calls("cuMemAlloc"));
    }
}

#[test]
fn converted_frames_pass_through_a_full_card() {
    let settings = format!(
        "{TIMED};fault=[{{function='cuMemAlloc',call=14,code=2,count=0}},\
         {{function='cuvidDecodePicture',call={},hang_ms=1000}}]",
        PICTURES + 2
    );
    let run = clean("converted_frames_pass_through_a_full_card", &settings, || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let clip = Clip::closed();
        let rgb = |engines| CommonDecodeConfig {
            convert: video_hw::config::ColorRequest::Rgb8,
            ..clip.on(engines, DecodeOutputMode::HostSurface)
        };
        let frames = |config| {
            let mut session = open(config);
            let mut sums = Vec::new();
            let summary = decode_into(&mut session, &clip.packets, |outcome| {
                let frame = outcome.unwrap();
                let host = frame.as_host().unwrap();
                let rows: Vec<u8> =
                    (0..160).flat_map(|row| host.plane(0).unwrap().row(row).to_vec()).collect();
                sums.push((frame.pts.to_string(), md5_hex(&rows)));
            });
            (sums, summary.notes)
        };
        let (one, _) = frames(rgb(Engines::One));
        let (several, notes) = frames(rgb(count(2)));
        assert_eq!(one.len(), PICTURES);
        assert!(one == several, "on a full card");
        assert!(notes.is_empty(), "made on the card: {notes:?}");
    });
    if let Some(run) = run.filter(|run| run.calls("cuMemcpy2DAsync") > 0) {
        assert!(run.calls("cuMemAlloc") > 14, "{}", run.calls("cuMemAlloc"));
    }
}

#[test]
fn flushes_and_jumps_in_between() {
    clean("flushes_and_jumps_in_between", "", || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, arguments) in [("closed.h264", &H264[..]), ("open.h265", &HEVC)] {
            let clip = Clip::of(&make(folder.path(), name, arguments));
            let starts: Vec<_> =
                (0..clip.packets.len()).filter(|index| clip.packets[*index].keyframe).collect();
            let mut one = open(clip.on(Engines::One, DecodeOutputMode::HostSurface));
            let mut several = open(clip.on(count(3), DecodeOutputMode::HostSurface));
            // The beginning, the whole, the last groups, one picture, the whole.
            let last = starts[starts.len() / 2]..clip.packets.len();
            for range in [0..100, 0..clip.packets.len(), last, 0..1, 0..clip.packets.len()] {
                let what = format!("{name}: {range:?}");
                let [one, several] = [&mut one, &mut several]
                    .map(|session| Outcome::of(session, &clip.packets[range.clone()]));
                assert!(
                    several.errors.is_empty() && one.errors.is_empty(),
                    "{what}: {} and {:?} {:?}",
                    one.errors.len(),
                    several.errors,
                    several.split()
                );
                // Streams without times number their frames on.
                assert_same(&one.frames, &several.frames, &what);
                assert_eq!(one.summary.ledger, several.summary.ledger, "{what}");
            }
        }
    });
}

#[test]
fn a_lost_device_ends_the_session() {
    for function in ["cuvidDecodePicture", "cuvidMapVideoFrame64"] {
        let settings = fault(function, 90, "device_lost=true");
        simulated_case("a_lost_device_ends_the_session", &settings, function, |function| {
            if !have(&["ffmpeg"]) {
                return;
            }
            let clip = Clip::closed();
            let outcome = clip.decode(clip.on(count(3), DecodeOutputMode::HostSurface));
            let [error] = outcome.errors.as_slice() else { panic!("{function}: {:?}", outcome.errors) };
            assert!(matches!(error, Error::DeviceLost { .. }), "{function}: {error}");
            assert!(outcome.frames.len() < 90, "{function}: {}", outcome.frames.len());
        });
    }
}

/// Faults at places that differ from run to run: whatever happens, the books balance, nobody hangs, what comes is right,
/// and nothing is left behind.
#[test]
fn faults_at_any_place() {
    // The third: how often it is called for a picture.
    let scripts = [
        ("cuvidMapVideoFrame64", "code=205", 1),
        ("cuvidDecodePicture", "code=1", 1),
        ("cuMemcpy2DAsync", "code=1", 2),
    ];
    for (function, effect, calls) in scripts {
        for seed in 1..=5_u32 {
            // The judge's calls come first.
            let first = calls * (PICTURES as u32 + 1 + seed * 7919 % 200);
            let case = format!("{function} {seed}");
            let settings = fault(function, first, effect);
            let run = simulated_case("faults_at_any_place", &settings, &case, |case| {
                if !have(&["ffmpeg"]) {
                    return drop(open(packets("small.h264").0));
                }
                let seed: usize = case.rsplit(' ').next().unwrap().parse().unwrap();
                let clip = Clip::closed();
                let one = clip.judge();
                let config = CommonDecodeConfig {
                    reorder_window: seed.is_multiple_of(2).then_some(100_000),
                    ..clip.on(count(2 + seed % 3), DecodeOutputMode::HostSurface)
                };
                let outcome = clip.decode(config);
                let ledger = &outcome.summary.ledger;
                assert_eq!(ledger.delivered, outcome.frames.len() as u64, "{case}");
                match outcome.errors.as_slice() {
                    [] => assert_same(&one, &outcome.frames, case),
                    // A picture that the hardware refuses is lost alone, and those that refer to it are not as they were.
                    [error] if error.is_recoverable() => {
                        assert_eq!(
                            (outcome.frames.len(), ledger.failed),
                            (PICTURES - 1, 1),
                            "{case}: {error}"
                        );
                    }
                    // What came before the failure is whole and in order.
                    [error] => {
                        assert!(matches!(error, Error::Backend { .. }), "{case}: {error}");
                        assert_same(&one[..outcome.frames.len()], &outcome.frames, case);
                        assert!(outcome.frames.len() < PICTURES, "{case}");
                    }
                    errors => panic!("{case}: {errors:?}"),
                }
            });
            if let Some(run) = run.filter(|run| run.calls(function) > 0) {
                run.assert_clean();
                assert!(run.calls(function) >= u64::from(first), "{case}: never hit");
            }
        }
    }
}
