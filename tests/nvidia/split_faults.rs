//! One stream on several hardware decoders, on the simulated driver, when something fails: a decoder that cannot be made, a
//! card that is full, a call that goes wrong anywhere.

use video_hw::config::{ColorRequest, DecodeOutputMode, Engines};
use video_hw::error::Error;

use crate::support::nvidia::{clean, decode_into, fault, packets, simulated_case};
use crate::support::nvidia_split::{Clip, PICTURES, TIMED, assert_same, count, feed_taking, open, two_cards};
use crate::support::streams::{have, md5_hex};

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
        let config = clip.on(count(3), DecodeOutputMode::NativeSurface).reorder_window(1);
        let outcome = clip.decode_held(config, |split| split.note.is_some() && split.opened == opened);
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
fn when_the_first_card_makes_no_decoder_the_next_one_does() {
    let name = "when_the_first_card_makes_no_decoder_the_next_one_does";
    let settings = format!("{};{}", two_cards(), fault("cuvidCreateDecoder", 1, "code=2,count=2"));
    clean(name, &settings, || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        // Too short for a second decoder to come by itself.
        let clip = Clip::closed();
        let config = clip.on(Engines::Auto, DecodeOutputMode::NativeSurface).device("all".to_owned());
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
fn frames_without_memory_are_lost_and_the_rest_comes() {
    clean("frames_without_memory_are_lost_and_the_rest_comes", "device.0.memory_mib=16", || {
        if !have(&["ffmpeg"]) {
            return drop(open(packets("small.h264").0));
        }
        let clip = Clip::closed();
        let config = clip.on(count(2), DecodeOutputMode::NativeSurface).reorder_window(200_000);
        let mut session = open(config);
        let (mut held, mut frames, mut lost, mut after) = (Vec::new(), 0, 0, 0);
        let mut take = |outcome| {
            match outcome {
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
            }
            lost == 0
        };
        // The last ones come when there is room again.
        let (first, rest) = clip.packets.split_at(PICTURES - 40);
        feed_taking(&mut session, first, &mut take);
        let summary = decode_into(&mut session, rest, |outcome| {
            take(outcome);
        });
        assert_eq!((frames + lost, summary.ledger.failed), (PICTURES, lost as u64));
        assert!(lost > 0 && after > 0, "{lost} lost, {after} after");
    });
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
        let config = clip.on(count(6), DecodeOutputMode::HostSurface).reorder_window(1 << 30);
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
        let rgb = |engines| clip.on(engines, DecodeOutputMode::HostSurface).convert(ColorRequest::Rgb8);
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
                let config = clip
                    .on(count(2 + seed % 3), DecodeOutputMode::HostSurface)
                    .reorder_window(seed.is_multiple_of(2).then_some(100_000));
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
