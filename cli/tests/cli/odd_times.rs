//! Inputs whose times go back, repeat, jump or change their unit: the job ends with the input's exit code and never with
//! that of wrong arguments, or goes on when asked to and says how many times it put right.

use crate::common::{Run, Scratch, clip, frame_times, have, plays, run};

/// A few frames with B frames among them, so that every table of times is there; made without ffmpeg.
fn mp4(scratch: &Scratch) -> Vec<u8> {
    let output = scratch.path("in.mp4");
    run(&["trim", &clip("bars.mp4"), &output, "--copy", "--audio", "none", "-t", "0.15", "-q"]).ok();
    std::fs::read(output).unwrap()
}

/// Payload of the first box of this type, wherever it is.
fn payload(file: &[u8], kind: &[u8; 4]) -> Option<std::ops::Range<usize>> {
    let at = file.windows(4).position(|window| window == kind)?;
    let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    Some(at + 4..at - 4 + size)
}

/// The file with every 32-bit word of its tables of times, one after the other, replaced by numbers that are none.
fn broken_times(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for kind in [b"stts", b"ctts", b"elst", b"mdhd"] {
        let range = payload(file, kind).unwrap_or_else(|| panic!("no {}", String::from_utf8_lossy(kind)));
        // Version, flags and the number of entries are another matter; so is the track's language.
        let first = range.start + 8;
        for at in (first..range.end.min(first + 32)).step_by(4).filter(|at| at + 4 <= range.end) {
            for word in [0_u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                let mut broken = file.to_vec();
                broken[at..at + 4].copy_from_slice(&word.to_be_bytes());
                let name = String::from_utf8_lossy(kind).into_owned();
                out.push((format!("{name} word {} = {word:#x}", (at - range.start) / 4), broken));
            }
        }
    }
    out
}

#[track_caller]
fn never_an_argument(what: &str, result: &Run) {
    assert!(matches!(result.code, Some(0 | 1 | 3)), "{what}: {:?}: {}", result.code, result.stderr);
}

#[test]
fn broken_tables_are_the_input_s_fault() {
    let scratch = Scratch::new();
    let (input, output) = (scratch.path("broken.mp4"), scratch.path("out.mp4"));
    let mut mended = 0;
    for (what, file) in broken_times(&mp4(&scratch)) {
        std::fs::write(&input, file).unwrap();
        let transcode = ["transcode", &input, &output, "-y", "-q", "--backend", "software"];
        let strict = run(&transcode);
        never_an_argument(&what, &strict);
        if strict.code == Some(1) {
            assert!(strict.stderr.contains("broken.mp4"), "{what}: {}", strict.stderr);
        }
        let on = run(&[&transcode[..], &["--keep-going", "--json"]].concat());
        never_an_argument(&what, &on);
        if strict.code == Some(0) {
            assert_eq!(on.code, Some(0), "{what}: {}", on.stderr);
        } else if on.code == Some(0) && on.json()["times_mended"].as_u64() > Some(0) {
            mended += 1;
        }
    }
    assert!(mended > 0, "some of these are put right");
}

/// An IVF file of these times, of the frames of an AV1 clip.
fn ivf(times: &[u64]) -> Vec<u8> {
    let clip = std::fs::read(clip("small-av1.ivf")).unwrap();
    let (mut out, mut rest) = (clip[..32].to_vec(), &clip[32..]);
    for time in times {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        out.extend_from_slice(&rest[..4]);
        out.extend_from_slice(&time.to_le_bytes());
        out.extend_from_slice(&rest[12..12 + length]);
        rest = &rest[12 + length..];
    }
    out
}

#[test]
fn times_that_go_back_are_told_or_put_right() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    for times in [
        &[0, 1, 1, 2, 3][..],
        &[0, 1, 5, 2, 3],
        &[0, 0, 0, 0, 0],
        &[3, 2, 1, 0, 0],
        &[0, 1, 1 << 62, 2, 3],
        &[1 << 62, 1 << 62, 0, 1, 2],
    ] {
        let input = scratch.file("in.ivf", &ivf(times));
        let strict = run(&["transcode", &input, &output, "-y", "-q"]);
        never_an_argument(&format!("{times:?}"), &strict);
        let on = run(&["transcode", &input, &output, "-y", "-q", "--keep-going", "--json"]).ok().json();
        assert_eq!(on["frames_out"], times.len(), "{times:?}");
        assert!(on["times_mended"].as_u64() > Some(0), "{times:?}: {on}");
        assert!(on["problems"].to_string().contains("put right"), "{times:?}: {on}");
        if have("ffprobe") {
            plays(&output);
            let shown = frame_times(&output);
            assert_eq!(shown.len(), times.len(), "{times:?}");
            assert!(shown.is_sorted_by(|a, b| a < b), "{times:?}: {shown:?}");
        }
    }
    let input = scratch.file("in.ivf", &ivf(&[0, 1, 1, 2]));
    run(&["transcode", &input, &output, "-y", "-q"]).refused(1, &["in.ivf", "must increase", "--keep-going"]);
}

/// Two raw streams of different frame rates, one behind the other.
#[test]
fn a_rate_that_changes_in_mid_stream_is_told_put_right_or_made_constant() {
    let scratch = Scratch::new();
    let mut both = Vec::new();
    for (name, rate) in [("a", "25"), ("b", "51/2")] {
        let yuv: Vec<u8> = (0..10).flat_map(|n| crate::common::yuv_frame(64, 48, n)).collect();
        let (input, output) =
            (scratch.file(&format!("{name}.yuv"), &yuv), scratch.path(&format!("{name}.h264")));
        run(&["encode", &input, &output, "-q", "--size", "64x48", "--pix-fmt", "yuv420p", "--fps", rate])
            .ok();
        both.extend(std::fs::read(output).unwrap());
    }
    let (input, output) = (scratch.file("both.h264", &both), scratch.path("out.mp4"));
    let args = ["transcode", &input, &output, "-y", "-q", "--json"];
    let strict = run(&args);
    assert_eq!(strict.code, Some(1), "{}", strict.stderr);
    for word in ["both.h264", "--keep-going", "--fps"] {
        assert!(strict.stderr.contains(word), "no {word} in: {}", strict.stderr);
    }
    let on = run(&[&args[..], &["--keep-going"]].concat()).ok().json();
    assert_eq!(on["frames_out"], 20);
    assert!(on["times_mended"].as_u64() > Some(0), "{on}");
    if have("ffprobe") {
        let times = frame_times(&output);
        assert_eq!(times.len(), 20);
        // The second stream begins where the first ends, and goes on at its own rate.
        assert!((times[10] - 0.4).abs() < 0.021, "{times:?}");
        assert!((times[19] - times[10] - 9.0 * 2.0 / 51.0).abs() < 0.001, "{times:?}");
    }
    // Uncompressed pictures have no times that could be wrong.
    let yuv = scratch.path("out.yuv");
    run(&["decode", &input, &yuv, "-q"]).ok();
    let constant = run(&[&args[..], &["--fps", "25"]].concat()).ok().json();
    assert_eq!(constant["ledger"]["balances"], true, "{constant}");
}
