//! Calls of the simulated driver that do not return: the session that made one ends with an error that names it, after the
//! 30 seconds that a call may last. What was decoded before is delivered.

use std::time::{Duration, Instant};

use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::Engines;
use video_hw::error::Error;
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession};

use crate::support::nvenc::{self, frame};
use crate::support::nvidia::{decode, fault, is_child, packets, simulated_case_on};
use crate::support::nvidia_split::count;

const NAME: &str = "a_call_that_does_not_return_ends_its_session";

/// The call that does not return, the how-manieth, and the chip that is asked.
const CASES: [(&str, u32, &str); 8] = [
    ("cuInit", 1, "h200"),
    ("cuDevicePrimaryCtxRetain", 1, "h200"),
    ("cuvidCreateDecoder", 1, "h200"),
    ("cuvidDecodePicture", 20, "h200"),
    ("cuvidMapVideoFrame64", 20, "h200"),
    ("nvEncInitializeEncoder", 1, "ada"),
    ("nvEncEncodePicture", 10, "ada"),
    ("nvEncLockBitstream", 10, "ada"),
];

fn check(errors: &[Error], function: &str) {
    let [Error::Backend { call, detail, .. }] = errors else { panic!("{function}: {errors:?}") };
    // The name in the library has the width of its pointers.
    assert_eq!(*call, function.trim_end_matches("64"));
    assert!(detail.contains("has not returned for 30 s"), "{detail}");
}

fn decoding(function: &str, engines: Engines) {
    let (config, packets) = packets("small.h264");
    let config = config.engines(engines);
    let (frames, errors) = match DecodeSession::new(BackendKind::Nvidia, config) {
        Ok(mut session) => decode(&mut session, &packets),
        Err(error) => (Vec::new(), vec![error]),
    };
    check(&errors, function);
    assert!(frames.len() < 50, "{}", frames.len());
    assert!(frames.iter().is_sorted_by(|a, b| a.pts < b.pts));
}

/// What another backend takes over does not end with the call that was given up.
fn going_on() {
    let (config, packets) = packets("small.h264");
    let mut session = DecodeSession::new(Backend::Auto, config).unwrap();
    let refused = format!("{:#}", session.receipt());
    assert!(refused.contains("cuInit") && refused.contains("has not returned for 30 s"), "{refused}");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(35) {
        assert!(session.reap_timeout(Duration::from_millis(200)).unwrap().is_none());
    }
    let (frames, errors) = decode(&mut session, &packets);
    assert_eq!((frames.len(), errors.len()), (50, 0), "{errors:?}");
}

fn encoding(function: &str) {
    let config = nvenc::config(Codec::H264);
    let frames = (0..50).map(|number| frame(number, PixelFormat::I420));
    let got = match EncodeSession::with_special(BackendKind::Nvidia, config, &nvenc::nvidia(4)) {
        Ok(mut session) => nvenc::encode(&mut session, frames),
        Err(error) => vec![Err(error)],
    };
    let (packets, errors): (Vec<_>, Vec<_>) = got.into_iter().partition(Result::is_ok);
    check(&errors.into_iter().filter_map(Result::err).collect::<Vec<_>>(), function);
    assert!(packets.len() < 50, "{}", packets.len());
}

/// Runs a case in a process of its own; in that process, the case that it is for.
fn run(function: &str, call: u32, chip: &str, engines: &str) {
    let settings = fault(function, call, "hang_ms=900000");
    let begun = Instant::now();
    simulated_case_on(chip, NAME, &settings, &format!("{function} {engines}"), |case| {
        let (function, engines) = case.split_once(' ').unwrap();
        match (function.starts_with("nvEnc"), engines) {
            (true, _) => encoding(function),
            (false, "auto") => going_on(),
            (false, "one") => decoding(function, Engines::One),
            (false, _) => decoding(function, count(3)),
        }
    });
    assert!(
        begun.elapsed() < Duration::from_secs(600),
        "{function}: the process waited for the call after all"
    );
}

#[test]
fn a_call_that_does_not_return_ends_its_session() {
    if is_child() {
        return run("", 1, "", "");
    }
    // They wait side by side.
    std::thread::scope(|scope| {
        scope.spawn(|| run("cuInit", 1, "h200", "auto"));
        for (function, call, chip) in CASES {
            scope.spawn(move || run(function, call, chip, "one"));
            if chip == "h200" {
                scope.spawn(move || run(function, call, chip, "three"));
            }
        }
    });
}
