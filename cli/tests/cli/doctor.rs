//! What `doctor` finds, and that it is what then runs: on five simulated machines, from one with everything to one with
//! nothing.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Machine, Run, Scratch, command, have, y4m};
use serde_json::Value;

/// A machine, and what is expected of it.
struct Case {
    name: &'static str,
    /// A chip of the simulation; none: a machine whose libraries are no libraries.
    chip: Option<&'static str>,
    settings: &'static str,
    /// What decodes and what encodes H.264.
    decodes: &'static str,
    encodes: &'static str,
    /// How `encode --backend nvidia` ends, and words of why and of what to do.
    code: i32,
    why: &'static [&'static str],
    /// The step at which `doctor` sees NVENC end, and its kind.
    step: &'static str,
    kind: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        name: "full",
        chip: Some("ada"),
        settings: "",
        decodes: "nvidia",
        encodes: "nvidia",
        code: 0,
        why: &[],
        step: "",
        kind: "",
    },
    Case {
        name: "no encoder",
        chip: Some("h200"),
        settings: "",
        decodes: "nvidia",
        encodes: "software",
        code: 3,
        why: &["this GPU has no encoder", "a GPU with NVENC"],
        step: "device",
        kind: "unavailable",
    },
    Case {
        name: "old driver",
        chip: Some("ada"),
        settings: "driver.cuda=11000",
        decodes: "software",
        encodes: "software",
        code: 3,
        why: &["speaks CUDA 11.0 only", "Update the NVIDIA driver to version 470"],
        step: "device",
        kind: "unavailable",
    },
    Case {
        name: "sessions taken",
        chip: Some("ada"),
        settings: "sessions.limit=3;sessions.external=3",
        decodes: "nvidia",
        encodes: "software",
        code: 5,
        why: &["session limit"],
        step: "session",
        kind: "session_limit",
    },
    Case {
        name: "nothing",
        chip: None,
        settings: "",
        decodes: "software",
        encodes: "software",
        code: 3,
        why: &["libcuda.so.1 cannot be loaded", "Install the NVIDIA driver"],
        step: "library",
        kind: "unavailable",
    },
];

/// Runs the program there, without any ffmpeg on the PATH.
fn on(machine: &Machine, case: &Case, arguments: &[&str]) -> Run {
    Run::of(prepared(machine, case, arguments).output().unwrap())
}

fn prepared(machine: &Machine, case: &Case, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    // On a machine that is busy with other tests everything may take long.
    if arguments.contains(&"doctor") && !arguments.contains(&"--timeout") {
        command.args(["--timeout", "300"]);
    }
    let home = machine.dir().join("home");
    fs::create_dir_all(&home).unwrap();
    if let Some(chip) = case.chip {
        machine.runs(&mut command, chip, case.settings);
    } else {
        let folder = machine.dir().join("no-libraries");
        fs::create_dir_all(&folder).unwrap();
        for library in ["libcuda", "libnvcuvid", "libnvidia-encode"] {
            for end in [".so.1", ".so"] {
                let path = folder.join(format!("{library}{end}"));
                fs::write(path, "not a library, whatever lies behind it").unwrap();
            }
        }
        command.env("LD_LIBRARY_PATH", folder).env("TMPDIR", machine.dir());
    }
    command.env("PATH", &home).env("HOME", &home).env_remove("XDG_CACHE_HOME");
    command
}

/// The answer of `doctor` about one try.
fn probe<'a>(document: &'a Value, candidate: &str, job: &str, codec: &str) -> &'a Value {
    let of = document["candidates"].as_array().unwrap().iter().find(|c| c["candidate"] == candidate).unwrap();
    let is = |p: &&Value| p["job"] == job && p["codec"] == codec;
    of["probes"].as_array().unwrap().iter().find(is).unwrap()
}

fn codec<'a>(document: &'a Value, codec: &str) -> &'a Value {
    document["codecs"].as_array().unwrap().iter().find(|c| c["codec"] == codec).unwrap()
}

/// `doctor` names what `encode` and `transcode` then take; where it is not the first, both say why in the same words; and
/// who asks for NVIDIA gets it or is told why not.
#[test]
fn what_the_doctor_says_is_what_runs() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 5));
    for case in &CASES {
        let Some(machine) = Machine::new() else { return };
        let name = case.name;
        let doctor = on(&machine, case, &["doctor", "--json"]).ok().json();
        assert_eq!(doctor["ok"], true, "{name}");
        let h264 = codec(&doctor, "h264");
        assert_eq!(h264["encode"]["backend"], case.encodes, "{name}: {h264:#}");
        assert_eq!(h264["decode"]["backend"], case.decodes, "{name}: {h264:#}");

        // What is taken by itself, and the receipt of it.
        let out = scratch.path("out.mp4");
        let encode = ["encode", &input, &out, "--backend", "auto", "-y"];
        let ran = on(&machine, case, &[&encode[..], &["--json"]].concat()).ok().json();
        assert_eq!(ran["encode"]["backend"], h264["encode"]["backend"], "{name}");
        assert_eq!(ran["encode"]["implementation"], h264["encode"]["implementation"], "{name}");
        let again = scratch.path("again.mp4");
        let transcoded = on(&machine, case, &["transcode", &out, &again, "-y", "--json"]).ok().json();
        assert_eq!(transcoded["decode"]["backend"], h264["decode"]["backend"], "{name}");
        assert_eq!(transcoded["decode"]["implementation"], h264["decode"]["implementation"], "{name}");

        let words = on(&machine, case, &[&encode[..], &["-v"]].concat()).ok().stderr;
        let named = scratch.path(&format!("{name}.mp4"));
        let only = on(&machine, case, &["encode", &input, &named, "--backend", "nvidia"]);
        let verdict = probe(&doctor, "nvidia", "encode", "h264");
        if case.code == 0 {
            assert_eq!(verdict["works"], true, "{name}");
            assert!(words.contains("nvidia: ") && words.contains("(NVENC)"), "{name}: {words}");
            only.ok();
            continue;
        }
        // Refused: in the same words by all of them.
        assert_eq!(
            (&verdict["step"], &verdict["kind"]),
            (&case.step.into(), &case.kind.into()),
            "{name}: {verdict:#}"
        );
        let (reason, remedy) = (verdict["reason"].as_str().unwrap(), verdict["remedy"].as_str().unwrap());
        // Which of several sessions is refused first, and by whom (the driver, or who remembers its refusal), is another
        // matter each time.
        let limit = "no session of this library is open, so that other programs hold them";
        let reason = if case.kind == "session_limit" {
            assert!(reason.contains(limit), "{name}: {reason}");
            limit
        } else {
            reason
        };
        let receipt = ran["encode"]["receipt"].as_array().unwrap();
        assert_eq!(receipt[0]["candidate"], "nvidia", "{name}");
        assert_eq!(receipt[0]["verdict"], "refused", "{name}");
        assert!(receipt[0]["reason"].as_str().unwrap().contains(reason), "{name}: {reason}; {receipt:?}");
        assert!(words.contains("nvidia: no encode (") && words.contains(reason), "{name}: {reason}; {words}");
        assert!(words.contains("software: "), "{name}: {words}");
        // By name it is not replaced.
        only.refused(case.code, case.why);
        assert!(only.stderr.contains(reason), "{name}: {reason}; {}", only.stderr);
        assert!(!remedy.is_empty(), "{name}");
        if case.kind == "unavailable" {
            // The option that the command has for it stands in front of the rest.
            let rest = remedy.rsplit("; or ").next().unwrap();
            assert!(only.stderr.contains(rest), "{name}: {remedy}; {}", only.stderr);
        }
        assert!(!Path::new(&named).exists(), "{name}");
        // And the doctor who is asked about NVIDIA alone says so with its exit code.
        let asked = on(&machine, case, &["doctor", "--backend", "nvidia", "--codec", "h264"]);
        assert_eq!(asked.code, Some(3), "{name}: {}", asked.out());
        assert!(asked.out().contains("Not possible here: "), "{name}: {}", asked.out());
        assert!(asked.out().contains(reason), "{name}: {}", asked.out());
    }
}

#[test]
fn people_read_what_is_used_and_why() {
    let Some(machine) = Machine::new() else { return };
    let out = on(&machine, &CASES[0], &["doctor"]).ok().out();
    for words in [
        "What --backend auto takes here",
        "h264        decode  nvidia (NVDEC)",
        "encode  nvidia (NVENC)",
        "CUDA 13.0",
        "NVENC API 13.0",
        "decode engines: 1",
        "encode engines: 2",
        "sessions: 0 open",
        "All is well: decode h264 hevc av1 vp9 vp8, encode h264.",
    ] {
        assert!(out.contains(words), "no {words:?} in:\n{out}");
    }
    let Some(machine) = Machine::new() else { return };
    let out = on(&machine, &CASES[1], &["doctor"]).ok().out();
    assert!(
        out.contains("encode  software (openh264 2.7), because nvidia: this GPU has no encoder"),
        "{out}"
    );
    assert!(out.contains("a GPU with NVENC"), "{out}");
    let bare = on(&machine, &CASES[4], &["doctor", "--fresh"]).ok().out();
    assert!(bare.contains("no ffmpeg on the PATH"), "{bare}");
    assert!(bare.contains("encode  nothing: ffmpeg: no ffmpeg on the PATH. Install ffmpeg 4.4"), "{bare}");
    assert!(bare.lines().all(|line| !line.ends_with(' ')), "{bare}");
}

/// A driver that crashes or hangs is told by name, and takes nobody with it.
#[test]
fn drivers_that_crash_or_hang_are_survived() {
    let with = |fault| Case { settings: fault, ..Case { name: "fault", ..CASES[0] } };
    let Some(machine) = Machine::new() else { return };
    let crash = with("fault=[{function='nvEncInitializeEncoder',call=1,crash=true}]");
    let told = on(&machine, &crash, &["doctor", "--json", "--codec", "h264,hevc"]).ok().json();
    for codec in ["h264", "hevc"] {
        let verdict = probe(&told, "nvidia", "encode", codec);
        assert_eq!(
            (&verdict["kind"], &verdict["step"]),
            (&"crashed".into(), &"session".into()),
            "{verdict:#}"
        );
        let reason = verdict["reason"].as_str().unwrap();
        assert!(reason.starts_with("the driver crashed (SIGSEGV)"), "{reason}");
        assert!(reason.ends_with("while opening a session"), "{reason}");
        assert_eq!(
            probe(&told, "nvidia", "decode", codec)["works"],
            true,
            "the other process knows nothing of it"
        );
    }
    assert_eq!(codec(&told, "h264")["encode"]["backend"], "software");

    let hang = with("fault=[{function='cuInit',call=1,hang_ms=600000}]");
    let told = on(&machine, &hang, &["doctor", "--json", "--codec", "h264", "--timeout", "10"]).ok().json();
    let verdict = probe(&told, "nvidia", "decode", "h264");
    assert_eq!((&verdict["kind"], &verdict["step"]), (&"timed_out".into(), &"device".into()), "{verdict:#}");
    assert!(
        verdict["reason"].as_str().unwrap().contains("no answer within 10s while starting the driver"),
        "{verdict:#}"
    );
    assert_eq!(codec(&told, "h264")["decode"]["backend"], "software");

    // Neither is believed the next time.
    let well = on(&machine, &CASES[0], &["doctor", "--json", "--codec", "h264"]).ok().json();
    assert_eq!(codec(&well, "h264")["encode"]["backend"], "nvidia");
}

/// How many answers were found just now, and how many earlier.
fn counts(run: Run) -> (u64, u64) {
    let document = run.ok().json();
    (document["probed"].as_u64().unwrap(), document["cached"].as_u64().unwrap())
}

#[test]
fn answers_are_kept_until_something_changes() {
    let Some(machine) = Machine::new() else { return };
    let case = &CASES[0];
    let ask = |more: &[&str]| counts(on(&machine, case, &[&["doctor", "--json"][..], more].concat()));
    let (all, none) = ask(&[]);
    assert!(all > 20 && none == 0, "{all} {none}");
    assert_eq!(ask(&[]), (0, all));
    assert_eq!(ask(&["--fresh"]), (all, 0));
    let (new, old) = ask(&["--codec", "vp9"]);
    assert!(new == 0 && old == 5, "a part of what is known: {new} {old}");
    assert_eq!(ask(&[]), (0, all), "and the rest stays known");

    let file = machine.dir().join("home/.cache/video-hw/probes");
    let content = fs::read(&file).unwrap();
    for garbage in [&b""[..], b"\xff\xfe\x00garbage", &content[..content.len() / 2]] {
        fs::write(&file, garbage).unwrap();
        assert_eq!(ask(&[]), (all, 0), "{garbage:?}");
    }
    // Another environment, and another driver.
    let hidden = Run::of(
        prepared(&machine, case, &["doctor", "--json"]).env("CUDA_VISIBLE_DEVICES", "0").output().unwrap(),
    );
    assert_eq!(counts(hidden), (all, 0));
    assert_eq!(
        counts(on(&machine, &Case { settings: "driver.nvenc=12.0", ..CASES[0] }, &["doctor", "--json"])),
        (all, 0)
    );

    // A folder that cannot be made costs nothing but time.
    let mut elsewhere = prepared(&machine, case, &["doctor", "--json"]);
    elsewhere.env("XDG_CACHE_HOME", file);
    assert_eq!(counts(Run::of(elsewhere.output().unwrap())), (all, 0));
}

#[test]
fn a_session_limit_is_asked_about_again() {
    let Some(machine) = Machine::new() else { return };
    let case = &CASES[3];
    let (all, _) = counts(on(&machine, case, &["doctor", "--json"]));
    let (again, known) = counts(on(&machine, case, &["doctor", "--json"]));
    assert_eq!((again, known), (3, all - 3), "H.264, HEVC and AV1 by NVENC");
}

#[test]
fn questions_that_have_no_answer_are_refused() {
    let Some(machine) = Machine::new() else { return };
    let ask = |arguments: &[&str]| on(&machine, &CASES[4], arguments);
    ask(&["doctor", "--codec", "vc1"]).refused(3, &["vc1", "video-hw devices"]);
    if cfg!(not(target_os = "macos")) {
        let elsewhere = ask(&["doctor", "--backend", "videotoolbox"]);
        assert_eq!(elsewhere.code, Some(3), "{}", elsewhere.out());
        assert!(elsewhere.out().contains("VideoToolbox is part of macOS"), "{}", elsewhere.out());
    }
    ask(&["doctor", "--codec", "nonsense"]).refused(2, &["nonsense", "known: h264"]);
    let json = ask(&["doctor", "--codec", "mpeg2video,h264", "--json"]);
    assert_eq!(json.code, Some(3), "{}", json.out());
    let document = json.json();
    assert_eq!(document["missing"], serde_json::json!([{ "job": "decode", "codec": "mpeg2video" }]));
    assert_eq!(document["exit_code"], 3);
    assert!(!ask(&["--help"]).ok().out().contains("probe-child"), "an inner matter");
}

#[test]
fn an_installed_ffmpeg_is_tried_too() {
    if !have("ffmpeg") {
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let mut command = prepared(
        &machine,
        &CASES[4],
        &["doctor", "--json", "--backend", "ffmpeg", "--codec", "mpeg2video,mjpeg,mpeg4,h264"],
    );
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let document = Run::of(command.output().unwrap()).json();
    for codec in ["mpeg2video", "mjpeg", "mpeg4", "h264"] {
        let verdict = probe(&document, "ffmpeg", "decode", codec);
        assert_eq!(verdict["works"], true, "{verdict:#}");
    }
    let facts = &document["candidates"].as_array().unwrap().last().unwrap()["facts"];
    assert!(facts["program"].as_str().unwrap().contains("ffmpeg "), "{facts}");
    let videotoolbox = probe(&document, "ffmpeg-videotoolbox", "encode", "h264");
    assert_eq!(videotoolbox["step"], "library", "{videotoolbox:#}");
}
