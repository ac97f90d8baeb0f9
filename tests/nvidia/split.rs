//! One stream on several hardware decoders, on the simulated driver: the frames of one decoder, as many decoders as the
//! stream is long enough for, the engines of one card or of two.

use std::num::NonZeroUsize;
use std::time::Duration;

use video_hw::backend::{BackendKind, SplitReport};
use video_hw::config::{DecodeOutputMode, Engines};
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::session::{DecodeSession, Submit};

use crate::support::nvidia::{clean, decode_into, fault, packets, simulated_case};
use crate::support::nvidia_split::{
    Clip, H264, HELD, HEVC, LONG, Outcome, PARTS, PICTURES, TIMED, VP9, assert_same, count, feed_growing,
    feed_held, feed_until, make, open, seen, two_cards,
};
use crate::support::streams::have;

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
                let wanted = if engines == Engines::Auto { 1 } else { 3 };
                let outcome = clip.decode_held(clip.on(engines, output), |split| split.opened == wanted);
                let split = outcome.split();
                assert_eq!(split.segments, PARTS, "{what}: {split:?}");
                if engines == Engines::Auto {
                    assert_eq!((split.engines, split.opened), (10, 1), "{what}: {split:?}");
                    assert!(split.note.is_some_and(|note| note.contains("too short")), "{what}");
                } else {
                    assert_eq!((split.engines, split.opened, split.note), (3, 3, None), "{what}");
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
        let mut session = open(clip.on(Engines::Auto, DecodeOutputMode::HostSurface));
        let (mut several, packets) = (Vec::new(), &clip.packets);
        // The third pays from the 2,048th picture on.
        let fed = feed_growing(
            &mut session,
            packets,
            (1_900, 1_750),
            |split| split.opened == 3,
            |frame| several.push(seen(&frame.unwrap())),
        );
        let rest = Outcome::of(&mut session, &packets[fed..]);
        let split = rest.split();
        assert!(rest.errors.is_empty(), "{:?}", rest.errors);
        several.extend(rest.frames);
        assert_eq!((split.engines, split.opened), (10, 3), "{split:?}");
        assert_eq!(one.frames.len(), LONG);
        assert_same(&one.frames, &several, "long");
    });
    if let Some(run) = run {
        let used = run.engines()[0].iter().filter(|pictures| **pictures > 0).count();
        assert!(used > 1, "{:?}", run.engines());
    }
}

#[test]
fn two_cards_share_a_stream() {
    let settings = format!("{TIMED};{}", two_cards());
    // Each case in a process of its own: both cards must have worked in each.
    for case in ["all host", "0,1 device"] {
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
            let config = clip.on(Engines::Auto, output).device(list.to_owned());
            let mut session = open(config);
            let mut devices = Vec::new();
            let mut several = Vec::new();
            let mut take = |outcome: Result<Frame, Error>| {
                let frame = outcome.unwrap();
                devices.extend(frame.as_device().map(|surface| surface.device()));
                several.push(seen(&frame));
            };
            // The second pays from the 1,024th picture on.
            let both = |split: &SplitReport| split.opened == 2;
            let fed = feed_growing(&mut session, &clip.packets, (1_030, 960), both, &mut take);
            let summary = decode_into(&mut session, &clip.packets[fed..], take);
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
fn a_cpu_that_takes_over_has_terms_of_its_own() {
    clean("a_cpu_that_takes_over_has_terms_of_its_own", "", || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let folder = tempfile::tempdir().unwrap();
        let deep = [&H264[..], &["-pix_fmt", "yuv420p10le"]].concat();
        // The card has H.264, and finds out at the first unit that it has none of 10 bits.
        let clip = Clip::of(&make(folder.path(), "deep.h264", &deep));
        let config = clip
            .on(Engines::Auto, DecodeOutputMode::HostSurface)
            .threads(NonZeroUsize::new(3))
            .reorder_window(1);
        let mut session = DecodeSession::new(video_hw::backend::Backend::Auto, config).unwrap();
        // Once the CPU is known to decode, and before it can have decoded much: nobody takes frames, and few may wait.
        let on_cpu = |fed, session: &DecodeSession| {
            fed == 60 && session.receipt().chosen().is_some_and(|(kind, _)| kind == BackendKind::Software)
        };
        let several = |fed, session: &DecodeSession| {
            fed == HELD - 60 && session.receipt().split.is_some_and(|split| split.opened > 1)
        };
        let fed = feed_until(&mut session, &clip.packets[..60], on_cpu);
        let fed = fed + feed_until(&mut session, &clip.packets[fed..HELD], several);
        let outcome = Outcome::of(&mut session, &clip.packets[fed..]);
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
        feed_held(&mut session, &clip.packets, |split| split.opened == 1);
        let first = Outcome::of(&mut session, &clip.packets[HELD..200]).split();
        assert!(first.opened == 1 && first.note.is_some_and(|note| note.contains("too short")));
        let one_part = Outcome::of(&mut session, &clip.packets[..30]).split();
        assert_eq!((one_part.opened, one_part.segments), (1, 6));
        let more = |split: &SplitReport| split.opened > 1;
        let fed = feed_growing(&mut session, &clip.packets, (900, 700), more, |frame| drop(frame.unwrap()));
        let all = Outcome::of(&mut session, &clip.packets[fed..]).split();
        assert!(all.opened > 1, "{all:?}");
    });
}

#[test]
fn a_list_of_cards_with_one_that_is_not_there_is_refused() {
    clean("a_list_of_cards_with_one_that_is_not_there_is_refused", "", || {
        let (config, _) = packets("small.h264");
        let config = config.engines(Engines::Auto).device("0,7".to_owned());
        let error = DecodeSession::new(BackendKind::Nvidia, config).err().unwrap();
        assert!(
            matches!(&error, Error::InvalidInput { what, .. } if what.contains("no CUDA device 7")),
            "{error}"
        );
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
fn frames_for_the_host_wait_on_the_card() {
    // The first part is the last to be decoded: everything else waits for it.
    let settings = format!("{TIMED};{}", fault("cuvidDecodePicture", PICTURES as u32 + 2, "hang_ms=8000"));
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
