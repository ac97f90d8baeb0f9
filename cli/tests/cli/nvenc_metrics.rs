//! What the command line tells of the stages inside NVENC, on the simulated driver (`sims/nvidia/`).

#![cfg(target_os = "linux")]

use std::process::Command;

use crate::common::{Machine, Run, Scratch, command, y4m};

const FRAMES: u32 = 30;

/// Encodes on a simulated card; `None` (said loudly) when there is no simulation.
fn encode(scratch: &Scratch, options: &[&str], change: impl FnOnce(&mut Command)) -> Option<Run> {
    let machine = Machine::new()?;
    let input = scratch.file("in.y4m", &y4m(320, 240, FRAMES as usize));
    let output = scratch.path("out.mp4");
    let all = [&["encode", &input, &output, "--overwrite"][..], options].concat();
    let mut command = command(&all);
    command.env_remove("VIDEO_HW_NV_METRICS");
    // An engine that is slower than the program: pictures pile up in front of it.
    machine.runs(&mut command, "ada", "time.enabled=true;time.encode_ns_per_frame=20000000");
    change(&mut command);
    Some(Run::of(command.output().unwrap()))
}

fn set(command: &mut Command, value: &str) {
    command.env("VIDEO_HW_NV_METRICS", value);
}

/// The number behind a name.
fn figure(text: &str, name: &str) -> f64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ' ')).unwrap_or(rest.len());
    rest[..end].trim().split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{name} in {text}"))
}

#[test]
fn the_variable_asks_for_one_line() {
    let scratch = Scratch::new();
    let options = ["--backend", "nvidia", "-q"];
    let Some(run) = encode(&scratch, &options, |command| set(command, "1")) else {
        return;
    };
    let said = &run.ok().stderr;
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("[nv.encode] ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert_eq!(figure(lines[0], " frames=") as u32, FRAMES);
    assert_eq!(figure(lines[0], " packets=") as u32, FRAMES);
    assert!(figure(lines[0], " queue_peak=") >= 2.0, "{said}");
    let (total, each) = (figure(lines[0], " lock_ms="), figure(lines[0], " lock_ms_per_picture="));
    assert!((total - each * f64::from(FRAMES)).abs() < 0.001 * f64::from(FRAMES), "{said}");
    assert!(figure(lines[0], " lock_p95_ms=") >= figure(lines[0], " lock_p50_ms="), "{said}");
    assert_eq!(figure(lines[0], " input_copy_bytes=") as u32, FRAMES * 320 * 240 * 3 / 2);
    for off in ["0", ""] {
        let run = encode(&scratch, &options, |command| set(command, off)).unwrap();
        assert_eq!(run.ok().stderr, "");
    }
    let run = encode(&scratch, &options, |_| ()).unwrap();
    assert_eq!(run.ok().stderr, "");
    // Another encoder has no such stages.
    let run = encode(&scratch, &["--backend", "software", "-q"], |command| set(command, "1"));
    assert_eq!(run.unwrap().ok().stderr, "");
}

/// The line is of the encoder that was to be measured, also when it did not live to see the end.
#[test]
fn the_line_tells_what_an_encoder_did_until_it_died() {
    let scratch = Scratch::new();
    let Some(machine) = Machine::new() else { return };
    let input = scratch.file("in.y4m", &y4m(320, 240, FRAMES as usize));
    let output = scratch.path("out.mp4");
    let mut command = command(&["encode", &input, &output, "-q", "--json"]);
    machine.runs(&mut command, "ada", "fault=[{function='nvEncEncodePicture',call=20,device_lost=true}]");
    set(&mut command, "1");
    let run = Run::of(command.env("PATH", machine.dir()).output().unwrap()).ok();
    let said: serde_json::Value = serde_json::from_str(&run.out()).unwrap();
    assert_eq!(said["encode"]["events"][0]["to"], "software", "{said:#}");
    let lines: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("[nv.encode] ")).collect();
    let [line] = &lines[..] else { panic!("one line: {}", run.stderr) };
    let (frames, packets) = (figure(line, " frames="), figure(line, " packets="));
    // The call in which the card was lost is the 20th; the packets are those before the first frame of the one after.
    assert!((19.0..=20.0).contains(&frames), "{line}");
    assert!(packets >= said["encode"]["events"][0]["frame"].as_f64().unwrap() && packets < frames, "{line}");
    assert!(figure(line, " encode_max_ms=") > 0.0, "{line}");
}

#[test]
fn the_reports_have_every_stage() {
    let scratch = Scratch::new();
    let Some(run) = encode(&scratch, &["--backend", "nvidia", "--json", "-v"], |_| ()) else { return };
    let run = run.ok();
    let json: serde_json::Value = serde_json::from_str(&run.out()).unwrap();
    let stages = &json["stages"]["encode"]["stages"];
    for name in ["wait_ms", "upload_ms", "encode_ms", "lock_ms", "copy_ms"] {
        let stage = &stages[format!("{name}_per_picture")];
        let total = stages[name].as_f64().unwrap();
        let summed = stage["mean"].as_f64().unwrap() * f64::from(FRAMES);
        assert!(
            (total - summed).abs() <= 1e-6 * f64::from(FRAMES) * (1.0 + total),
            "{name}: {total}, {summed}"
        );
        assert_eq!(stage["count"], FRAMES, "{name}: {stages:#}");
        let figures = ["p50", "p95", "p99", "max"].map(|figure| stage[figure].as_f64().unwrap());
        assert!(figures.is_sorted() && figures[3] > 0.0, "{name}: {figures:?}");
    }
    assert!(stages["queue_peak"].as_u64().unwrap() >= 2, "{stages:#}");
    assert_eq!(stages["output_copy_bytes"], json["encode"]["bytes_out"]);
    for line in ["  wait: 30 times, mean ", "  lock: 30 times, mean ", " pictures inside the encoder"] {
        assert!(run.stderr.contains(line), "{line}: {}", run.stderr);
    }
    let run = encode(&scratch, &["--backend", "software", "--json", "-q"], |_| ()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&run.ok().out()).unwrap();
    assert!(json["stages"]["encode"]["stages"].is_null());
    assert!(json["stages"]["encode"]["latency_p99_s"].as_f64().unwrap() > 0.0);
}
