//! `bench`: every case on clips of the repository, and what it does about wrong outputs, failures and limits. No time is
//! asserted.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Machine, Run, Scratch, clip, have, run, tool};
use serde_json::Value;

const FRAMES: u64 = 24;

fn bench(words: &[&str]) -> Run {
    run(&[&["bench", "--quiet"][..], words].concat())
}

/// The record on standard output.
fn record(words: &[&str]) -> (Run, Value) {
    let run = bench(&[words, &["--json", "-"]].concat());
    let json = run.json();
    (run, json)
}

fn rows(record: &Value) -> &[Value] {
    record["rows"].as_array().unwrap()
}

#[track_caller]
fn row<'a>(record: &'a Value, id: &str) -> &'a Value {
    let ids: Vec<_> = rows(record).iter().map(|row| row["id"].as_str().unwrap()).collect();
    let place = ids.iter().position(|known| *known == id);
    &rows(record)[place.unwrap_or_else(|| panic!("no {id} in {ids:?}"))]
}

fn check<'a>(row: &'a Value, name: &str) -> &'a Value {
    let checks = row["verify"]["checks"].as_array().unwrap_or_else(|| panic!("not verified: {row:#}"));
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {row:#}"))
}

/// An ffmpeg that does something else with some of its work: `script` is run with its arguments as they are.
fn other_ffmpeg(scratch: &Scratch, script: &str) -> String {
    let path = scratch.file("ffmpeg", format!("#!/bin/sh\n{script}\nexec ffmpeg \"$@\"\n").as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn every_case_beside_ffmpeg() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let cases = ["decode", "encode", "transcode", "rgb", "multi", "startup", "latency", "switch"];
    let frames = FRAMES.to_string();
    let clip = clip("bars.mp4");
    let options = [
        "--codec",
        "h264",
        "--backend",
        "software",
        "--frames",
        &frames,
        "--streams",
        "2",
        "--bitrate",
        "2M",
    ];
    let often =
        ["--warmup", "1", "--repeat", "2", "--verify", "--include-internal-metrics", "--equal-raw-input"];
    let (run, record) = record(&[&cases[..], &[&clip], &options, &often].concat());
    assert_eq!(run.code, Some(0), "{}\n{record:#}", run.stderr);

    assert_eq!(record["format"], 1);
    assert_eq!((&record["warmup"], &record["repeat"]), (&Value::from(1), &Value::from(2)));
    assert!(
        record["machine"]["cores"].as_u64().unwrap() > 0
            && record["machine"]["versions"]["ffmpeg"].is_string()
    );
    let command = record["command"].to_string();
    assert!(command.contains("bars.mp4") && !command.contains("/bars.mp4"), "{command}");

    let mut order = Vec::new();
    for row in rows(&record) {
        for field in ["id", "case", "codec", "backend", "program"] {
            assert!(row[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {row:#}");
        }
        assert!(row["failed"].is_null(), "{row:#}");
        let runs = row["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2, "{row:#}");
        for (round, one) in runs.iter().enumerate() {
            assert_eq!(one["round"], round as u64);
            assert!(one["wall_s"].as_f64().unwrap() > 0.0 && one["cpu_s"].as_f64().unwrap() > 0.0, "{row:#}");
            assert!(one["peak_rss_bytes"].as_u64().unwrap() > 1 << 20, "{row:#}");
            order.push((one["order"].as_u64().unwrap(), row["id"].as_str().unwrap(), round));
        }
        let command = row["command"].to_string();
        assert!(!command.contains("\"/") && command.len() > 20, "{command}");
        let expected = match row["case"].as_str().unwrap() {
            "startup" => 1,
            "multi" => 2 * FRAMES,
            _ => FRAMES,
        };
        assert_eq!(runs[0]["frames"], expected, "{row:#}");
        if let Some(peer) = row["peer"].as_str() {
            assert_eq!(row["program"], "video-hw");
            assert_eq!(self::row(&record, peer)["program"], "ffmpeg");
        }
        for one in row["verify"]["checks"].as_array().into_iter().flatten() {
            assert_eq!(one["passed"], true, "{row:#}");
        }
    }
    // They took turns, and went back the same way.
    order.sort_unstable();
    let first: Vec<_> = order.iter().filter(|(.., round)| *round == 0).map(|(_, id, _)| *id).collect();
    let second: Vec<_> = order.iter().filter(|(.., round)| *round == 1).map(|(_, id, _)| *id).collect();
    let listed: Vec<_> = rows(&record).iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(first, listed);
    assert_eq!(second, listed.iter().rev().copied().collect::<Vec<_>>());
    assert!(order.iter().map(|(place, ..)| *place).eq(0..order.len() as u64));

    for case in cases {
        row(&record, &format!("{case}/h264/software/video-hw"));
    }
    let decode = row(&record, "decode/h264/software/video-hw");
    assert_eq!(decode["peer"], "decode/h264/cpu/ffmpeg");
    assert_eq!(check(decode, "md5")["passed"], true);
    assert!(
        decode["runs"][0]["startup_s"].as_f64().unwrap() > 0.0 && decode["runs"][0]["steady_s"].is_number()
    );
    assert!(decode["runs"][0]["internal"]["decode_busy_ms"].as_f64().unwrap() > 0.0);
    for id in ["encode/h264/software/video-hw", "encode/h264/libx264/ffmpeg", "transcode/h264/libx264/ffmpeg"]
    {
        let row = row(&record, id);
        for name in ["frames", "codec", "plays", "times", "psnr"] {
            check(row, name);
        }
        assert!(
            row["verify"]["psnr_db"].as_f64().unwrap() > 28.0
                && row["runs"][0]["bytes_out"].as_u64().unwrap() > 1000
        );
    }
    // Both encode the same bytes.
    let sums = ["encode/h264/software/video-hw", "encode/h264/libx264/ffmpeg"]
        .map(|id| row(&record, id)["input"]["md5"].clone());
    assert!(sums[0].is_string() && sums[0] == sums[1], "{sums:?}");
    let latency = &row(&record, "latency/h264/software/video-hw")["runs"][0]["latency"];
    assert!(latency["p99_s"].as_f64().unwrap() >= latency["p50_s"].as_f64().unwrap(), "{latency}");
    let switch = row(&record, "switch/h264/software/video-hw");
    let judged = switch["judged"].as_array().unwrap();
    assert!(
        judged.iter().any(|one| one["name"] == "frames lost")
            && judged.iter().all(|one| one["passed"] == true)
    );
    for mode in ["immediate", "on_next_keyframe", "drain_then_swap"] {
        assert!(switch["runs"][0]["internal"][format!("switch_{mode}_ms")].is_number(), "{switch:#}");
    }
}

#[test]
fn a_peer_that_drops_frames_is_found_out() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    // Files get eight frames, and sums are those of five.
    let script = r#"for last; do :; done
case "$last $*" in
*.mp4" "*) set -- "$@"; n=$#; i=0; for a; do i=$((i+1)); [ $i = $n ] && set -- "$@" -frames:v 8; set -- "$@" "$a"; done; shift $n;;
*"-f md5"*) set -- $(printf '%s\n' "$@" | sed 's/^-f$/-frames:v 5 -f/');;
esac"#;
    let ffmpeg = other_ffmpeg(&scratch, script);
    let clip = clip("bars.mp4");
    let words = ["decode", "encode", &clip, "--frames", "10", "--codec", "h264", "--backend", "software"];
    let often = ["--ffmpeg", &ffmpeg, "--peer", "ffmpeg", "--warmup", "0", "--repeat", "1", "--verify"];
    let (run, record) = record(&[&words[..], &often].concat());
    assert_eq!(run.code, Some(7), "{}\n{record:#}", run.stderr);
    let peer = row(&record, "encode/h264/libx264/ffmpeg");
    for name in ["frames", "times"] {
        assert_eq!(check(peer, name)["passed"], false, "{peer:#}");
    }
    assert!(check(peer, "frames")["found"].as_str().unwrap().contains("8 instead of 10"), "{peer:#}");
    let notes = record["notes"].to_string();
    assert!(notes.contains("encode/h264/libx264/ffmpeg: 8 frames came out instead of 10"), "{notes}");
    let ours = row(&record, "encode/h264/software/video-hw");
    assert!(ours["verify"]["checks"].as_array().unwrap().iter().all(|one| one["passed"] == true), "{ours:#}");
    let decode = row(&record, "decode/h264/software/video-hw");
    assert_eq!(check(decode, "md5")["passed"], false, "{decode:#}");
}

#[test]
fn children_that_fail_are_failed_rows() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let ffmpeg = other_ffmpeg(&scratch, r#"case "$*" in *-frames:v*) echo "no luck" >&2; exit 9;; esac"#);
    let clip = clip("bars.mp4");
    let words = ["decode", &clip, "--frames", "5", "--backend", "software", "--ffmpeg", &ffmpeg];
    let (run, record_of_peer) = record(&[&words[..], &["--warmup", "0", "--repeat", "1"]].concat());
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    let failed = row(&record_of_peer, "decode/h264/cpu/ffmpeg")["failed"].as_str().unwrap().to_owned();
    assert!(failed.contains("exit code 9: no luck"), "{failed}");
    assert!(row(&record_of_peer, "decode/h264/software/video-hw")["failed"].is_null());

    // Ours: no encoder takes pictures as small as these.
    let tiny = scratch.file("tiny.yuv", &[128; 8 * 8 * 3 / 2 * 4]);
    let words =
        ["encode", &tiny, "--size", "8x8", "--codec", "h264", "--backend", "software", "--peer", "none"];
    let (run, record) = record(&[&words[..], &["--warmup", "1", "--repeat", "1"]].concat());
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    let row = row(&record, "encode/h264/software/video-hw");
    let failed = row["failed"].as_str().unwrap();
    assert!(failed.contains("warm-up 1: exit code 3") && failed.contains("8x8"), "{failed}");
    assert_eq!(row["runs"].as_array().unwrap().len(), 0);
}

#[test]
fn what_is_not_there_is_told() {
    let clip = clip("small.h264");
    let often = ["--warmup", "0", "--repeat", "1", "--peer", "none"];
    let named = if cfg!(target_os = "macos") { "nvidia" } else { "videotoolbox" };
    let (run, asked) = record(&[&["decode", &clip, "--backend", named][..], &often].concat());
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    let failed = row(&asked, &format!("decode/h264/{named}/video-hw"))["failed"].as_str().unwrap();
    assert!(failed.contains("another backend") || failed.contains("Install"), "{failed}");

    let (run, by_default) = record(&[&["decode", "--codec", "h264", &clip][..], &often].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        by_default["notes"].to_string().contains(&format!("no rows of {named}: ")),
        "{:#}",
        by_default["notes"]
    );
    row(&by_default, "decode/h264/software/video-hw");
    // By another name, and beside one that is named and missing.
    let (run, all) =
        record(&[&["decode", &clip, "--backend", &format!("auto,{named}")][..], &often].concat());
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    row(&all, "decode/h264/software/video-hw");
    assert!(row(&all, &format!("decode/h264/{named}/video-hw"))["failed"].is_string());
    assert!(!all["notes"].to_string().contains(&format!("no rows of {named}: ")), "{:#}", all["notes"]);
    assert!(rows(&by_default).iter().all(|row| row["program"] == "video-hw"));
}

#[test]
fn a_budget_ends_the_rounds() {
    let clip = clip("small.h264");
    // So many processes that no machine is through with all rounds.
    let words = ["multi", &clip, "--streams", "32", "--backend", "software", "--peer", "none"];
    let (run, record) =
        record(&[&words[..], &["--warmup", "0", "--repeat", "1000", "--budget", "20"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let runs = row(&record, "multi/h264/software/video-hw")["runs"].as_array().unwrap().len();
    assert!((1..1_000).contains(&runs), "{runs}");
    assert!(
        record["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().starts_with("budget: ")),
        "{:#}",
        record["notes"]
    );
}

#[test]
fn a_baseline_judges() {
    let scratch = Scratch::new();
    let clip = clip("small.h264");
    let words =
        ["decode", &clip, "--backend", "software", "--peer", "none", "--warmup", "1", "--repeat", "3"];
    let old = scratch.path("old.json");
    bench(&[&words[..], &["--json", &old]].concat()).ok();
    let text = fs::read_to_string(&old).unwrap();
    let with_times = |factor: f64| {
        let mut record: Value = serde_json::from_str(&text).unwrap();
        for run in record["rows"][0]["runs"].as_array_mut().unwrap() {
            run["wall_s"] = Value::from(run["wall_s"].as_f64().unwrap() * factor);
            // A machine that is busier now would make it unclear.
            run.as_object_mut().unwrap().remove("load");
        }
        scratch.file(&format!("{factor}.json"), record.to_string().as_bytes())
    };
    let slower = bench(&[&words[..], &["--baseline", &with_times(1e-30)]].concat());
    assert_eq!(slower.code, Some(1), "{}", slower.stderr);
    assert!(slower.out().contains("1 SLOWER"), "{}", slower.out());
    bench(&[&words[..], &["--baseline", &with_times(1e30)]].concat()).ok();
    let none = scratch.file("none.json", b"{}");
    bench(&[&words[..], &["--baseline", &none]].concat()).refused(1, &["none.json", "no record of bench"]);
    bench(&[&words[..], &["--json", &old]].concat()).refused(2, &["old.json exists already", "--overwrite"]);
}

#[test]
fn rounds_are_told_where_there_is_no_terminal() {
    let words = ["bench", "decode", &clip("small.h264"), "--backend", "software", "--peer", "none"];
    let often = ["--warmup", "1", "--repeat", "2"];
    let told = run(&[&words[..], &often].concat()).ok().stderr;
    let rounds: Vec<_> = told.lines().filter(|line| line.contains(", rows: 1")).collect();
    let wanted = ["warm-up 1 of 1", "round 1 of 2", "round 2 of 2"];
    assert_eq!(rounds, wanted.map(|one| format!("video-hw: {one}, rows: 1")));
}

#[test]
fn words_that_mean_nothing_are_refused() {
    let clip = clip("small.h264");
    bench(&["nosuch"]).refused(2, &["nosuch is neither a case nor a file", "transcode"]);
    bench(&["decode", &clip, &clip]).refused(2, &["two inputs"]);
    bench(&["decode", "-"]).refused(2, &["name a file"]);
    bench(&["decode", "--backend", "voodoo"]).refused(2, &["voodoo", "nvidia"]);
    bench(&["encode", "--bitrate", "1M", "--qp", "20"]).refused(2, &["--qp"]);
    // A file or folder is not meant by it, and nothing but decoding has these.
    bench(&["decode", &clip, "--output", "results"]).refused(2, &["results", "host, device, metadata"]);
    bench(&["encode", "rgb", &clip, "--output", "device"]).refused(2, &["--output", "decode", "--out DIR"]);
    // More runs than a record that is read may have.
    bench(&["decode", "--repeat", "1001"]).refused(2, &["--repeat", "1001"]);
}

#[test]
fn reports_that_cannot_be_written_are_refused_at_once() {
    let scratch = Scratch::new();
    let clip = clip("small.h264");
    let (there, folder) = (scratch.path("new.json"), scratch.path("no/such/folder/bench.md"));
    let words = ["decode", &clip, "--backend", "software", "--peer", "none"];
    // Before anything ran: nothing but the reason is told, and nothing is left.
    bench(&[&words[..], &["--json", &there, "--markdown", &folder]].concat()).refused(2, &["bench.md"]);
    bench(&[&words[..], &["--json", &there, "--html", &there]].concat())
        .refused(2, &["new.json", "two reports"]);
    bench(&["decode", &clip, "--json", &clip, "-y"]).refused(2, &["small.h264"]);
    assert!(fs::read_dir(scratch.path(".")).unwrap().next().is_none());
}

#[test]
fn settings_are_those_that_are_used() {
    let clip = clip("bars.mp4");
    let words =
        ["encode", "latency", "switch", &clip, "--frames", "12", "--codec", "h264", "--backend", "software"];
    let often = ["--peer", "none", "--warmup", "0", "--repeat", "1"];
    let asked = ["--qp", "30", "--frame-interval-p", "3", "--encoder-preset", "fast"];
    let (_, record) = record(&[&words[..], &often, &asked].concat());
    let settings = |case: &str| row(&record, &format!("{case}/h264/software/video-hw"))["settings"].clone();
    let encode = settings("encode");
    assert_eq!(
        (&encode["qp"], &encode["b-frames"], &encode["encoder-preset"]),
        (&"30".into(), &"2".into(), &"fast".into())
    );
    assert!(encode["bitrate"].is_null(), "{encode}");
    for case in ["latency", "switch"] {
        let live = settings(case);
        assert!(live["bitrate"].is_string() && live["gop"] == "60", "{live}");
        assert!(
            live["qp"].is_null() && live["b-frames"].is_null() && live["encoder-preset"].is_null(),
            "{live}"
        );
    }
}

/// Options that put the children on a machine with the simulated driver.
fn on_machine(machine: &Machine) -> Vec<String> {
    let dir = machine.dir().to_str().unwrap();
    let settings = [
        format!("LD_LIBRARY_PATH={dir}"),
        format!("TMPDIR={dir}"),
        "NVSIM_PROFILE=ada".to_owned(),
        "NVSIM_SET=strict=true".to_owned(),
    ];
    settings.into_iter().flat_map(|one| ["--env".to_owned(), one]).collect()
}

#[test]
fn a_sweep_on_the_simulated_driver() {
    let Some(machine) = Machine::new() else { return };
    let env = on_machine(&machine);
    let mut words = vec!["encode", "latency", "switch", "--backend", "nvidia", "--codec", "h264,hevc"];
    words.extend(env.iter().map(String::as_str));
    words.extend(["--size", "320x240", "--frames", "24", "--protocol", "sweep", "--peer", "none"]);
    words.extend(["--warmup", "0", "--repeat", "1", "--max-in-flight", "2,4"]);
    let (run, record) = record(&words);
    assert_eq!(run.code, Some(0), "{}\n{record:#}", run.stderr);
    assert_eq!(record["machine"]["simulated"], true);
    assert!(record["machine"]["devices"][0].as_str().unwrap().contains("(simulated)"));
    assert_eq!(record["protocol"], "sweep");
    for codec in ["h264", "hevc"] {
        for in_flight in ["2", "4"] {
            let encode = row(&record, &format!("encode/{codec}/nvidia/video-hw/in-flight={in_flight}"));
            assert_eq!(encode["settings"]["in-flight"], in_flight);
            let inside = &encode["runs"][0]["internal"];
            for name in ["lock_ms", "lock_p95_ms", "upload_ms", "encode_ms", "queue_peak"] {
                assert!(inside[name].is_number(), "{name}: {encode:#}");
            }
            let switch = row(&record, &format!("switch/{codec}/nvidia/video-hw/in-flight={in_flight}"));
            assert!(
                switch["judged"].as_array().unwrap().iter().all(|one| one["passed"] == true),
                "{switch:#}"
            );
        }
    }
}

#[test]
fn a_short_soak_is_judged() {
    let Some(machine) = Machine::new() else { return };
    let env = on_machine(&machine);
    let mut words =
        vec!["soak", "--backend", "nvidia", "--codec", "h264", "--size", "320x240", "--minutes", "0.05"];
    words.extend(env.iter().map(String::as_str));
    words.extend(["--streams", "2", "--paced", "25", "--warmup", "3", "--repeat", "3"]);
    let (run, record) = record(&words);
    // Whether times hold is this machine's affair; that they are judged is not.
    assert!(matches!(run.code, Some(0 | 7)), "{}", run.stderr);
    let soak = row(&record, "soak/h264/nvidia/video-hw");
    assert!(soak["failed"].is_null(), "{soak:#}");
    assert_eq!(soak["runs"].as_array().unwrap().len(), 1, "a soak is not repeated");
    assert_eq!(soak["runs"][0]["internal"]["frames_due"], 150.0, "{soak:#}");
    let judged = soak["judged"].as_array().unwrap();
    for name in [
        "frames lost",
        "frames inside at p95",
        "jitter at p95",
        "submit at p95",
        "memory of the process, growth",
    ] {
        assert!(judged.iter().any(|one| one["name"] == name), "{name}: {soak:#}");
    }
    let books = judged.iter().find(|one| one["name"] == "ledgers that do not balance").unwrap();
    assert_eq!(books["passed"], true);
    let broken = judged.iter().any(|one| one["passed"] == false);
    assert_eq!(run.code == Some(7), broken, "{soak:#}");
}

#[test]
fn where_pictures_go_is_a_row_each() {
    let Some(machine) = Machine::new() else { return };
    if !have("ffmpeg") {
        return;
    }
    let (env, scratch) = (on_machine(&machine), Scratch::new());
    let (clip, frames) = (clip("bars.mp4"), FRAMES.to_string());
    let (markdown, html) = (scratch.path("r.md"), scratch.path("r.html"));
    let mut words = vec!["decode", &clip, "--backend", "nvidia", "--peer", "ffmpeg", "--frames", &frames];
    words.extend(env.iter().map(String::as_str));
    // One that is named again is the same row.
    words.extend(["--output", "host,device,metadata,device", "--warmup", "0", "--repeat", "2", "--verify"]);
    words.extend(["--include-internal-metrics", "--markdown", &markdown, "--html", &html]);
    let (run, record) = record(&words);
    assert_eq!(run.code, Some(0), "{}\n{record:#}", run.stderr);
    let id = |backend: &str, program: &str, output: &str| {
        format!("decode/h264/{backend}/{program}/output={output}")
    };
    let ids: Vec<_> = rows(&record).iter().map(|row| row["id"].as_str().unwrap()).collect();
    let (ours, theirs) = (|output| id("nvidia", "video-hw", output), |output| id("cuda", "ffmpeg", output));
    assert_eq!(ids, [ours("host"), theirs("host"), ours("device"), theirs("device"), ours("metadata")]);

    let copied =
        |row: &Value| row["runs"][0]["internal"]["decode_output_copy_bytes"].as_f64().unwrap() as u64;
    for output in ["host", "device"] {
        let (own, peer) = (row(&record, &ours(output)), row(&record, &theirs(output)));
        assert_eq!((&own["peer"], &own["aim"]), (&peer["id"], &Value::from(0.58)), "{own:#}");
        assert_eq!(own["aim_best"], 0.49, "{own:#}");
        assert_eq!(copied(own) > 0, output == "host", "{own:#}");
        for row in [own, peer] {
            assert_eq!(
                (&row["settings"]["output"], &row["runs"][1]["frames"]),
                (&output.into(), &FRAMES.into())
            );
            assert!(
                row["verify"]["checks"].as_array().unwrap().iter().all(|one| one["passed"] == true),
                "{row:#}"
            );
        }
        let stays = peer["command"].to_string().contains(r#""-hwaccel_output_format","cuda""#);
        assert_eq!(stays, output == "device", "{peer:#}");
        let sum = check(own, "md5")["found"].as_str().unwrap();
        assert_eq!(sum.contains("from the card's memory as nv12"), output == "device", "{sum}");
    }
    let peer = row(&record, &theirs("device"));
    assert!(check(peer, "frames")["found"].as_str().unwrap().contains("stayed on the card"), "{peer:#}");
    let metadata = row(&record, &ours("metadata"));
    assert!(metadata["peer"].is_null() && metadata["aim"].is_null() && copied(metadata) == 0, "{metadata:#}");
    assert!(check(metadata, "frames")["found"].as_str().unwrap().contains("no samples"), "{metadata:#}");
    let notes = record["notes"].to_string();
    assert!(notes.contains(&format!("no peer of {}: ", ours("metadata"))), "{notes}");

    let (markdown, html) = (fs::read_to_string(markdown).unwrap(), fs::read_to_string(html).unwrap());
    for output in ["host", "device", "metadata"] {
        assert!(markdown.contains(&format!("| decode, output {output} (simulated) |")), "{markdown}");
        assert!(html.contains(&format!("decode h264, output {output}")), "no {output}");
    }
}

#[test]
fn a_peer_that_leaves_the_card_is_no_peer() {
    let Some(machine) = Machine::new() else { return };
    if !have("ffmpeg") {
        return;
    }
    let (env, scratch) = (on_machine(&machine), Scratch::new());
    let clip = scratch.path("444.mp4");
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:d=0.2"];
    tool("ffmpeg", &[&source[..], &["-pix_fmt", "yuv444p", "-c:v", "libx264", &clip]].concat());
    let mut words = vec!["decode", &clip, "--backend", "nvidia", "--warmup", "0", "--repeat", "1"];
    words.extend(env.iter().map(String::as_str));
    let of_peer = |output: &str| {
        let (_, record) = record(&[&words[..], &["--output", output]].concat());
        let row = row(&record, &format!("decode/h264/cuda/ffmpeg/output={output}")).clone();
        (row, record["notes"].to_string())
    };
    // The card does not take this stream: ffmpeg goes on without it. To host memory that is told, ...
    let (host, notes) = of_peer("host");
    assert!(host["failed"].is_null() && notes.contains("/output=host said: "), "{notes}\n{host:#}");
    // ... and on the card there would be nothing to measure.
    let (device, _) = of_peer("device");
    assert!(device["failed"].is_string() && device["runs"].as_array().unwrap().is_empty(), "{device:#}");
}

#[test]
fn a_peer_decodes_av1_on_the_card() {
    let Some(machine) = Machine::new() else { return };
    if !have("ffmpeg") {
        return;
    }
    let (env, clip) = (on_machine(&machine), clip("small-av1.ivf"));
    let mut words = vec!["decode", &clip, "--backend", "nvidia", "--output", "device"];
    words.extend(env.iter().map(String::as_str));
    words.extend(["--peer", "ffmpeg", "--warmup", "0", "--repeat", "1"]);
    let (run, record) = record(&words);
    assert_eq!(run.code, Some(0), "{}\n{record:#}", run.stderr);
    // Pictures of a decoder on the CPU would not be taken as ones on the card.
    let peer = row(&record, "decode/av1/cuda/ffmpeg/output=device");
    assert_eq!(peer["runs"][0]["frames"], 50, "{peer:#}");
    assert_eq!(peer["settings"]["decoder"], "av1", "{peer:#}");
}

#[test]
fn processors_have_no_memory_of_a_device() {
    let clip = clip("small.h264");
    let often = ["--output", "device,host", "--warmup", "0", "--repeat", "1", "--peer", "none"];
    let id = |output: &str| format!("decode/h264/software/video-hw/output={output}");
    let (run, named) = record(&[&["decode", &clip, "--backend", "software"][..], &often].concat());
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    let failed = row(&named, &id("device"))["failed"].as_str().unwrap();
    assert!(failed.contains("host memory") && failed.contains("--output host"), "{failed}");
    assert!(row(&named, &id("host"))["failed"].is_null());

    let (run, by_default) = record(&[&["decode", &clip][..], &often].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let notes = by_default["notes"].to_string();
    assert!(notes.contains(&format!("no row {}: ", id("device"))), "{notes}");
    assert!(rows(&by_default).iter().all(|row| row["id"] != id("device").as_str()));
    row(&by_default, &id("host"));
}

#[test]
fn a_baseline_tells_outputs_apart() {
    let scratch = Scratch::new();
    let clip = clip("small.h264");
    let words = ["decode", &clip, "--backend", "software", "--peer", "none", "--repeat", "3", "--output"];
    let id = |output: &str| format!("decode/h264/software/video-hw/output={output}");
    // So fast that whatever is compared with it is slower.
    let (_, mut old) = record(&[&words[..], &["host"]].concat());
    for run in old["rows"][0]["runs"].as_array_mut().unwrap() {
        run["wall_s"] = Value::from(run["wall_s"].as_f64().unwrap() * 1e-30);
        run.as_object_mut().unwrap().remove("load");
    }
    let kept = scratch.file("old.json", old.to_string().as_bytes());
    let against = |output: &str, old: &str| bench(&[&words[..], &[output, "--baseline", old]].concat());
    let same = against("host", &kept);
    assert!(same.code == Some(1) && same.out().contains("1 SLOWER"), "{}", same.out());
    let other = against("metadata", &kept).ok().out();
    assert!(other.contains("1 new, 1 not measured now"), "{other}");
    // Names can be written by hand.
    old["rows"][0]["id"] = id("metadata").into();
    let renamed = against("metadata", &scratch.file("renamed.json", old.to_string().as_bytes())).ok().out();
    assert!(renamed.contains("output was host and is metadata now"), "{renamed}");
}

#[test]
fn a_value_named_twice_is_one_row() {
    let clip = clip("small.h264");
    let words = ["decode", &clip, "--backend", "software,software", "--codec", "h264,h264", "--peer", "none"];
    let often = ["--engines", "1,2,1", "--warmup", "0", "--repeat", "1"];
    let (_, record) = record(&[&words[..], &often].concat());
    let ids: Vec<_> = rows(&record).iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2"].map(|n| format!("decode/h264/software/video-hw/engines={n}")));
}

#[test]
fn uncompressed_pictures_are_encoded() {
    let scratch = Scratch::new();
    let input = scratch.path("in.y4m");
    run(&["decode", &clip("bars.mp4"), &input, "--frames", "6", "-q"]).ok();
    let words = ["bench", "encode", &input, "--codec", "h264", "--backend", "software", "--peer", "none"];
    let record =
        run(&[&words[..], &["--warmup", "0", "--repeat", "1", "--json", "-", "-q"]].concat()).ok().json();
    let row = &record["rows"][0];
    assert_eq!((&row["input"]["frames"], &row["runs"][0]["frames"]), (&6.into(), &6.into()), "{row}");
}

/// What is presented is what is counted: ffmpeg and this program agree on it.
#[test]
fn a_file_with_an_edit_list_has_figures() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let input = scratch.path("edited.mp4");
    // The cut begins between two key frames: the samples from the one before are there, and an edit leaves them out.
    tool("ffmpeg", &["-v", "error", "-ss", "0.5", "-i", &clip("bars.mp4"), "-c", "copy", "-an", &input]);
    let samples = run(&["probe", &input, "--json"]).ok().json()["tracks"][0]["samples"].as_u64().unwrap();
    let shown =
        run(&["decode", &input, "--null", "--json", "-q"]).ok().json()["frames_out"].as_u64().unwrap();
    assert!(shown < samples, "{shown} of {samples}: the file has no edit that matters");
    let (run, record) = record(&[
        "decode",
        &input,
        "--backend",
        "software",
        "--peer",
        "ffmpeg",
        "--warmup",
        "0",
        "--repeat",
        "1",
    ]);
    assert_eq!(run.code, Some(0), "{}\n{record:#}", run.stderr);
    // The edit begins while a picture is on screen: that one is shown here, and ffmpeg leaves it out.
    let frames = |row: &Value| row["runs"][0]["frames"].as_u64().unwrap_or_default();
    for row in rows(&record) {
        assert!(row["failed"].is_null(), "{row:#}");
        assert!((shown - 1..=shown).contains(&frames(row)), "{row:#}");
    }
    let own =
        rows(&record).iter().find(|row| !row["id"].as_str().is_some_and(|id| id.contains("ffmpeg"))).cloned();
    assert_eq!(own.as_ref().map(&frames), Some(shown), "{record:#}");
}

#[test]
fn reports_are_called_by_codec_and_time() {
    let scratch = Scratch::new();
    let folder = scratch.path("reports");
    let clip = clip("small.h264");
    let words =
        ["decode", &clip, "--backend", "software", "--codec", "h264", "--peer", "none", "--out", &folder];
    bench(&[&words[..], &["--warmup", "0", "--repeat", "1"]].concat()).ok();
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    for (name, extension) in names.iter().zip(["html", "json", "md"]) {
        let time =
            name.strip_prefix("bench-h264-").and_then(|rest| rest.strip_suffix(&format!(".{extension}")));
        let time = time.unwrap_or_else(|| panic!("{name}"));
        assert!(time.len() >= 16 && time.contains('T') && time.ends_with('Z'), "{name}");
    }
}

/// The condition of older figures, of both programs; and what is measured and aimed at on a card without a word.
#[test]
fn the_condition_of_older_figures_on_the_simulated_driver() {
    // It makes the HEVC clip.
    if !have("ffmpeg") {
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let env = on_machine(&machine);
    let mut words = vec!["decode", "encode", "--backend", "nvidia", "--codec", "h264,hevc", "--fastest"];
    words.extend(env.iter().map(String::as_str));
    words.extend(["--size", "320x240", "--frames", "24", "--warmup", "0", "--repeat", "1"]);
    let (_, record) = record(&words);
    for codec in ["h264", "hevc"] {
        let encode = row(&record, &format!("encode/{codec}/nvidia/video-hw"));
        assert_eq!(
            (&encode["settings"]["preset"], &encode["settings"]["tuning"]),
            (&"p1".into(), &"ull".into())
        );
        assert!(
            encode["command"].to_string().contains("\"--preset\",\"p1\",\"--tune\",\"ull\""),
            "{encode:#}"
        );
        assert!(encode["failed"].is_null(), "{encode:#}");
        // A row each for pictures in host memory, and for none.
        for id in ["", "/output=metadata"] {
            let decode = row(&record, &format!("decode/{codec}/nvidia/video-hw{id}"));
            assert!(decode["failed"].is_null(), "{decode:#}");
            if decode["peer"].is_string() {
                let aims = if codec == "hevc" { (0.63, 0.56) } else { (0.58, 0.49) };
                assert_eq!(
                    (decode["aim"].as_f64(), decode["aim_best"].as_f64()),
                    (Some(aims.0), Some(aims.1))
                );
            }
        }
    }
    run(&["bench", "--fastest", "--preset", "p4"]).refused(2, &["--fastest", "--preset"]);
}
