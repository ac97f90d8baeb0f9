//! Stage times of decoders and encoders. Each backend reports the stages that docs/metrics.md lists for it, the text, JSON and
//! Prometheus reports agree, and several decoders of one stream report the same sums as a single one.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::common::{Machine, Run, Scratch, clip, command, have, y4m};

/// A column of the table: its backend, and the variable that selects its simulation.
struct Vendor {
    column: &'static str,
    backend: &'static str,
    variable: Option<&'static str>,
}

const VENDORS: [Vendor; 5] = [
    Vendor { column: "NVIDIA", backend: "nvidia", variable: Some("VIDEO_HW_NV_METRICS") },
    Vendor { column: "Intel (oneVPL)", backend: "qsv", variable: Some("VIDEO_HW_QSV_METRICS") },
    Vendor { column: "VideoToolbox", backend: "videotoolbox", variable: Some("VIDEO_HW_VT_METRICS") },
    Vendor { column: "embedded codecs", backend: "software", variable: None },
    Vendor { column: "child ffmpeg", backend: "ffmpeg", variable: None },
];

impl Vendor {
    /// The program on a machine of this vendor; `None` where there is none.
    fn run(&self, arguments: &[&str]) -> Option<Run> {
        let mut command = command(&[arguments, &["--json", "-q", "--backend", self.backend]].concat());
        let machine = match self.backend {
            "nvidia" => Some(Machine::new()?),
            "qsv" => Some(Machine::intel()?),
            "videotoolbox" => Some(Machine::mac()?),
            "ffmpeg" if !have("ffmpeg") => return None,
            _ => None,
        };
        match (self.backend, &machine) {
            ("nvidia", Some(machine)) => machine.runs(&mut command, "ada", ""),
            ("qsv", Some(machine)) => machine.runs_on_intel(&mut command, "tigerlake", ""),
            (_, Some(machine)) => machine.runs_as_mac(&mut command, "m1", ""),
            (_, None) => {}
        }
        if let Some(variable) = self.variable {
            command.env(variable, "1");
        }
        Some(Run::of(command.output().unwrap()).ok())
    }
}

/// Reads the stages of one side from a column of the table.
fn table(side: &str, column: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = text.lines().skip_while(|line| !line.starts_with("| side | name |"));
    let head = cells(lines.next().expect("the table of stages"));
    let at = head.iter().position(|name| name == column).unwrap_or_else(|| panic!("{column}: {head:?}"));
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.iter().all(|row| row.len() == head.len()), "{rows:?}");
    let own = rows.iter().filter(|row| [side, "both"].contains(&&*row[0]) && row[at] != "—");
    own.map(|row| row[1].trim_matches('`').to_owned()).collect()
}

/// Count and sum (in milliseconds) of each stage that has run.
type Stages = BTreeMap<String, (u64, f64)>;

/// Reads the stages of one side from a JSON report.
fn in_json(report: &Value, side: &str) -> Stages {
    let of_session = &report["stages"][side];
    let places = [&of_session["stages"], of_session];
    let found = places.into_iter().filter_map(Value::as_object).flatten().filter_map(|(key, times)| {
        let name = key.strip_suffix("_ms_per_picture")?;
        let sum = places.iter().find_map(|place| place[format!("{name}_ms")].as_f64());
        let count = times["count"].as_u64().unwrap();
        Some((name.to_owned(), (count, sum.unwrap())))
    });
    found.filter(|(_, (count, _))| *count > 0).collect()
}

/// Reads the stages of one side from a Prometheus page.
fn in_page(page: &str, side: &str) -> Stages {
    let mut found = Stages::new();
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(&format!("{side}r_stage_seconds_")) else { continue };
        let (_, stage) = rest.split_once("stage=\"").unwrap();
        let entry = found.entry(stage.split('"').next().unwrap().to_owned()).or_default();
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        match rest.split('{').next() {
            Some("count") => entry.0 = value as u64,
            Some("sum") => entry.1 = value * 1e3,
            _ => {}
        }
    }
    found
}

/// Reads the sums from a line of text. Latency and jitter are not stages.
fn in_line(said: &str, side: &str) -> BTreeMap<String, f64> {
    let line =
        said.lines().find(|line| line.contains(&format!(".{side}] "))).unwrap_or_else(|| panic!("{said}"));
    let words: BTreeMap<_, _> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
    let stages = words.keys().filter_map(|word| word.strip_suffix("_ms_per_picture"));
    let stages = stages.filter(|name| !["latency", "jitter"].contains(name));
    stages.map(|name| (name.to_owned(), words[&*format!("{name}_ms")].parse().unwrap())).collect()
}

/// Runs a job, checks that all its reports agree on the stages, and returns the JSON report.
fn job(vendor: &Vendor, side: &str, arguments: &[&str]) -> Option<(Stages, Value)> {
    let scratch = Scratch::new();
    let file = scratch.path("job.prom");
    let run = vendor.run(&[arguments, &["--metrics-file", &file]].concat())?;
    let (report, what) = (run.json(), vendor.column);
    let stages = in_json(&report, side);
    let page = std::fs::read_to_string(&file).unwrap();
    let told = in_page(&page, side);
    assert!(told.keys().eq(stages.keys()), "{what}: {told:?} and {stages:?}");
    for (name, (count, sum)) in &stages {
        let (told, told_sum) = told[name];
        assert_eq!(told, *count, "{what}: {name}");
        assert!((told_sum - sum).abs() < 1e-3, "{what}: {name}: {told_sum} and {sum} ms");
    }
    let peak = &report["stages"][side]["in_flight_peak"];
    let line = page.lines().find(|line| line.starts_with(&format!("{side}r_in_flight_peak{{"))).unwrap();
    assert_eq!(line.rsplit(' ').next().unwrap(), peak.to_string(), "{what}");
    if vendor.variable.is_some() {
        let said = in_line(&run.stderr, side);
        assert!(said.keys().eq(stages.keys()), "{what}: {said:?} and {stages:?}");
        for (name, (_, sum)) in &stages {
            assert!((said[name] - sum).abs() < 1e-3, "{what}: {name}: {} and {sum} ms", said[name]);
        }
        assert!(run.stderr.contains(&format!(" queue_peak={peak} ")), "{what}: {}", run.stderr);
    }
    Some((stages, report))
}

#[test]
fn each_backend_has_the_stages_of_the_table_and_all_reports_agree() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 24));
    let output = scratch.path("out.mp4");
    let clip = clip("small.h264");
    for vendor in VENDORS {
        let decodes: [&[&str]; 3] = [&[], &["--size", "160x96"], &["--pix-fmt", "rgb24"]];
        let mut found = BTreeSet::new();
        for options in decodes {
            let arguments = [&["decode", &clip, "--md5"], options].concat();
            let Some((stages, _)) = job(&vendor, "decode", &arguments) else { break };
            found.extend(stages.into_keys());
        }
        if found.is_empty() {
            // `machine` has printed why the simulation is missing.
            continue;
        }
        assert_eq!(found, table("decode", vendor.column), "decoding by {}", vendor.column);
        let arguments = ["encode", &input, &output, "-y", "-c", "h264"];
        let (stages, report) = job(&vendor, "encode", &arguments).unwrap();
        assert_eq!(report["encode"]["backend"], vendor.backend);
        let found: BTreeSet<_> = stages.into_keys().collect();
        assert_eq!(found, table("encode", vendor.column), "encoding by {}", vendor.column);
    }
}

#[test]
fn several_decoders_report_the_work_of_all() {
    const FRAMES: u64 = 160;
    let scratch = Scratch::new();
    let (input, clip) = (scratch.file("in.y4m", &y4m(320, 240, FRAMES as usize)), scratch.path("groups.mp4"));
    let arguments = ["encode", &input, &clip, "--gop", "40", "--backend", "software", "-q"];
    crate::common::run(&arguments).ok();
    for vendor in VENDORS {
        let decode =
            |engines: &str| job(&vendor, "decode", &["decode", &clip, "--md5", "--engines", engines]);
        let Some((one, alone)) = decode("1") else { continue };
        let what = vendor.column;
        assert_eq!(one["decode"].0, FRAMES + 1, "{what}: each packet, and the drain");
        for engines in ["3", "auto"] {
            let (stages, report) = decode(engines).unwrap();
            let what = format!("{what}, {engines} engines");
            assert_eq!(report["md5"], alone["md5"], "{what}");
            assert_eq!(report["decode"]["ledger"], alone["decode"]["ledger"], "{what}");
            let parts = report["decode"]["engines"]["parts"].as_u64().unwrap();
            assert!(parts > 2, "{what}: {report:#}");
            // Each packet, and a drain behind each part: calls that the session itself never makes.
            assert_eq!(stages["decode"].0, FRAMES + parts, "{what}");
            for (name, (count, _)) in &one {
                assert!(name == "decode" || *count == stages[name].0, "{what}: {name}: {count} times");
            }
            let busy = report["stages"]["decode"]["busy_s"].as_f64().unwrap() * 1e3;
            assert!((busy - stages["decode"].1).abs() < 1e-3, "{what}: {busy} ms");
            // Without reordering the embedded decoder holds as little in each part as it does in the whole.
            if vendor.backend == "software" {
                let peak = |report: &Value| report["stages"]["decode"]["in_flight_peak"].as_u64().unwrap();
                let decoders = report["decode"]["engines"]["opened"].as_u64().unwrap();
                assert!((1..=decoders * peak(&alone)).contains(&peak(&report)), "{what}: {report:#}");
            }
        }
    }
}
