//! The figures of running and of ended jobs, read as Prometheus reads them.

#![allow(clippy::float_cmp, reason = "whole numbers are compared")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::common::Machine;
use crate::common::{Run, Scratch, clip, command, run, y4m};
use video_hw::metrics::{Kind, names};

/// A line of the text: name, labels, number.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The text as a scraper reads it; fails on whatever it would not take.
#[derive(Debug, Default)]
struct Page {
    types: BTreeMap<String, String>,
    lines: Vec<Line>,
}

impl Page {
    #[track_caller]
    fn parse(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
        let mut page = Self::default();
        let mut helped = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                assert!(!help.is_empty());
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(helped.as_deref(), Some(name), "HELP comes before TYPE");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(page.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else {
                let line = Self::line(line);
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| line.name.strip_suffix(end));
                let known = page.types.contains_key(&line.name)
                    || family.is_some_and(|family| page.types.get(family).is_some_and(|t| t == "histogram"));
                assert!(known, "{} has no type", line.name);
                page.lines.push(line);
            }
        }
        page.check_histograms();
        page
    }

    #[track_caller]
    fn line(text: &str) -> Line {
        let (name, rest) = text.split_at(text.find(['{', ' ']).expect("a value"));
        let mut labels = BTreeMap::new();
        let mut rest = rest;
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                let (label, behind) = rest.split_once("=\"").expect("a label");
                let mut value = String::new();
                let mut chars = behind.char_indices();
                let end = loop {
                    match chars.next().expect("a closing quote") {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match chars.next().expect("what is escaped").1 {
                            'n' => '\n',
                            c @ ('"' | '\\') => c,
                            c => panic!("\\{c}"),
                        }),
                        (_, c) => value.push(c),
                    }
                };
                assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {text}");
                match behind[end + 1..].split_at(1) {
                    (",", next) => rest = next,
                    ("}", next) => {
                        rest = next;
                        break;
                    }
                    _ => panic!("{text}"),
                }
            }
        }
        let value = rest.strip_prefix(' ').expect("a space").parse().unwrap_or_else(|_| panic!("{text}"));
        Line { name: name.to_owned(), labels, value }
    }

    /// Buckets rise, and the last is the count.
    fn check_histograms(&self) {
        for count in self.lines.iter().filter(|line| line.name.ends_with("_count")) {
            let family = count.name.trim_end_matches("_count");
            let buckets = self.lines.iter().filter(|line| {
                let mut labels = line.labels.clone();
                labels.remove("le");
                line.name == format!("{family}_bucket") && labels == count.labels
            });
            let buckets: Vec<_> = buckets.collect();
            assert!(buckets.len() > 10 && buckets.is_sorted_by(|a, b| a.value <= b.value), "{family}");
            assert_eq!(buckets.last().unwrap().labels["le"], "+Inf");
            assert_eq!(buckets.last().unwrap().value, count.value);
        }
    }

    fn with<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| {
            line.name == name
                && labels
                    .iter()
                    .all(|(label, value)| line.labels.get(*label).is_some_and(|found| found == value))
        })
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.with(name, labels).map(|line| line.value).sum()
    }
}

/// Asks, and gives status line and body.
fn get(address: &str, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = format!("Content-Length: {}\r\n", body.len());
    assert!(format!("{head}\r\n").contains(&length), "{head}");
    Some((head.lines().next().unwrap().to_owned(), body.to_owned()))
}

/// A job that runs, and where its figures are.
struct Job {
    child: Child,
    address: String,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Job {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("metrics: http://").and_then(|rest| rest.strip_suffix("/metrics"));
        let Some(address) = address.map(str::to_owned) else {
            stderr.read_to_string(&mut line).unwrap();
            panic!("no address: {line}");
        };
        Self { child, address, stderr }
    }

    fn page(&self) -> Option<Page> {
        let (status, body) = get(&self.address, "/metrics")?;
        assert_eq!(status, "HTTP/1.1 200 OK");
        Some(Page::parse(&body))
    }

    /// Looks until the page fits.
    fn wait_for(&self, what: &str, fits: impl Fn(&Page) -> bool) -> Page {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let page = self.page().unwrap_or_else(|| panic!("the job ended before {what}"));
            if fits(&page) {
                return page;
            }
            assert!(Instant::now() < end, "no {what}: {page:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(mut self) -> Run {
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Run { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

/// An encode that reads frames when it is given them, so that it runs as long as a test looks at it.
struct Fed {
    job: Job,
    input: std::process::ChildStdin,
    frames: usize,
}

const SIZE: (usize, usize) = (320, 240);

impl Fed {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        let mut job = Job::start(command);
        let mut input = job.child.stdin.take().unwrap();
        input.write_all(&y4m(SIZE.0, SIZE.1, 0)).unwrap();
        Self { job, input, frames: 0 }
    }

    fn give(&mut self, frames: usize) {
        for _ in 0..frames {
            self.input.write_all(b"FRAME\n").unwrap();
            self.input.write_all(&crate::common::yuv_frame(SIZE.0, SIZE.1, self.frames)).unwrap();
            self.frames += 1;
        }
    }

    fn end(self) -> Run {
        drop(self.input);
        self.job.end()
    }
}

fn encode(scratch: &Scratch, options: &[&str]) -> Vec<String> {
    let (output, file) = (scratch.path("out.mp4"), scratch.path("job.prom"));
    let all = ["encode", "-", &output, "--quiet", "--json", "--metrics-addr", "0", "--metrics-file", &file];
    all.iter().chain(options).map(|word| (*word).to_owned()).collect()
}

/// What is the same for every encoder: the page while it runs, the file and the report at the end.
fn follow(mut fed: Fed, scratch: &Scratch, labels: &[(&str, &str)]) -> (Page, serde_json::Value) {
    // Of the forty that there will be some may have been given already.
    fed.give(30 - fed.frames);
    let page = fed.job.wait_for("encoded frames", |page| page.sum("encoder_frames_total", labels) >= 10.0);
    for (name, kind) in [
        ("encoder_frames_total", "counter"),
        ("encoder_fps", "gauge"),
        ("encoder_queue_depth", "gauge"),
        ("encoder_stage_seconds", "histogram"),
        ("encoder_jitter_seconds", "histogram"),
        ("encoder_input_copy_bytes_total", "counter"),
    ] {
        assert_eq!(page.types.get(name).map(String::as_str), Some(kind), "{name}");
    }
    assert_eq!(page.sum("encoder_sessions", labels), 1.0);
    assert!(page.sum("encoder_fps", labels) > 0.0);
    assert_eq!(page.with("encoder_queue_depth", labels).count(), 2);
    // Every figure of an encoder says whose it is.
    for line in page.lines.iter().filter(|line| line.name.starts_with("encoder_")) {
        for (label, value) in labels {
            assert_eq!(line.labels.get(*label).map(String::as_str), Some(*value), "{line:?}");
        }
    }
    let before = page.sum("encoder_frames_total", labels);
    fed.give(10);
    // A counter rises; waiting for it ends in a failure where it does not.
    fed.job.wait_for("more frames", |page| page.sum("encoder_frames_total", labels) > before);
    let run = fed.end().ok();
    assert_eq!(run.stderr, "");
    let report = run.json();
    let text = std::fs::read_to_string(scratch.path("job.prom")).unwrap();
    let last = Page::parse(&text);
    let ledger = &report["encode"]["ledger"];
    assert_eq!(last.sum("encoder_frames_total", labels), ledger["delivered"].as_f64().unwrap());
    assert_eq!(last.sum("encoder_frames_submitted_total", labels), 40.0);
    assert_eq!(last.sum("encoder_sessions", labels), 0.0);
    for (name, figure) in [
        ("encoder_output_bytes_total", "bytes_out"),
        ("encoder_keyframes_total", "keyframes"),
        ("encoder_input_copy_bytes_total", "input_copy_bytes"),
        ("encoder_output_copy_bytes_total", "output_copy_bytes"),
    ] {
        assert_eq!(last.sum(name, labels), report["encode"][figure].as_f64().unwrap(), "{name}");
        let told = &report["metrics"][name][0];
        assert_eq!(told["value"], report["encode"][figure], "{name}");
        assert_eq!(told["labels"]["encoder_type"].as_str(), Some(labels[0].1));
    }
    assert!(scratch.names().iter().all(|name| ["out.mp4", "job.prom"].contains(&name.as_str())));
    (last, report)
}

#[test]
fn a_job_on_the_cpu_is_watched_while_it_runs() {
    let scratch = Scratch::new();
    let words = encode(&scratch, &["--backend", "software", "--metrics-stream", "left \"eye\""]);
    let fed = Fed::start(command(&words));
    let labels = [("encoder_type", "openh264"), ("backend", "software"), ("stream", "left \"eye\"")];
    let (last, report) = follow(fed, &scratch, &labels);
    let calls = [&labels[..], &[("stage", "calls")]].concat();
    assert_eq!(last.sum("encoder_stage_seconds_count", &calls), 40.0);
    assert_eq!(report["stages"]["encode"]["calls_ms_per_picture"]["count"], 40);
    assert_eq!(report["stages"]["encode"]["jitter_ms"]["count"], 38);
    assert!(last.with("gpu_utilization", &[]).next().is_none());
}

#[test]
#[cfg(target_os = "linux")]
fn a_job_on_a_simulated_card_has_the_stages_of_nvenc_and_the_card() {
    let scratch = Scratch::new();
    let Some(machine) = Machine::new() else { return };
    let mut command = command(&encode(&scratch, &["--backend", "nvidia"]));
    machine.runs(&mut command, "ada", "nvml.encoder=83;nvml.gpu=7");
    let mut fed = Fed::start(command);
    let labels = [("encoder_type", "h264_nvenc"), ("backend", "nvidia"), ("codec", "h264")];
    // The first frame goes to the encoder when the times of the next ones are known.
    fed.give(10);
    let page = fed.job.wait_for("the card", |page| page.with("gpu_utilization", &[]).next().is_some());
    let card = page.with("encoder_gpu_utilization", &labels).next().unwrap();
    assert!(card.value == 0.83 && card.labels["gpu"].starts_with("GPU-"), "{card:?}");
    assert_eq!(page.sum("gpu_utilization", &[("gpu", &card.labels["gpu"])]), 0.07);
    assert_eq!(page.sum("gpu_memory_used_bytes", &[]), f64::from(1 << 30));
    let (last, report) = follow(fed, &scratch, &labels);
    for stage in ["wait", "upload", "encode", "lock", "copy", "calls"] {
        let of = [&labels[..], &[("stage", stage)]].concat();
        assert_eq!(last.sum("encoder_stage_seconds_count", &of), 40.0, "{stage}");
    }
    let peak = report["stages"]["encode"]["stages"]["queue_peak"].as_f64().unwrap();
    assert_eq!(last.sum("encoder_in_flight_peak", &labels), peak);
}

#[test]
fn the_page_goes_with_its_job_and_a_taken_port_stops_it_before_it_begins() {
    let scratch = Scratch::new();
    let mut fed = Fed::start(command(&encode(&scratch, &["--backend", "software"])));
    let address = fed.job.address.clone();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let port = address.rsplit_once(':').unwrap().1;
    let other = scratch.path("other.mp4");
    let refused = run(&["transcode", &clip("bars.mp4"), &other, "--metrics-addr", port]);
    refused
        .refused(2, &["--metrics-addr 127.0.0.1:", "another program listens there", "or 0 for any free one"]);
    assert!(!Path::new(&other).exists());
    fed.give(2);
    fed.end().ok();
    assert!(get(&address, "/metrics").is_none());
}

#[test]
fn clients_that_say_nothing_stop_neither_the_job_nor_its_end() {
    let scratch = Scratch::new();
    let mut fed = Fed::start(command(&encode(&scratch, &["--backend", "software"])));
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&fed.job.address)).collect();
    let mut babbling = TcpStream::connect(&fed.job.address).unwrap();
    let noise = vec![b'x'; 1 << 20];
    let _ = babbling.write_all(&noise);
    fed.give(5);
    let began = Instant::now();
    let run = fed.end().ok();
    // Less than what such a client is given.
    assert_eq!(run.json()["encode"]["ledger"]["delivered"], 5);
    assert!(began.elapsed() < Duration::from_secs(60));
    drop(silent);
}

#[test]
fn a_decode_has_its_figures_in_the_file_and_a_failed_job_too() {
    let scratch = Scratch::new();
    let file = scratch.path("decode.prom");
    let options = ["--null", "--backend", "software", "--json", "--metrics-file", &file];
    let report = run(&[&["decode", &clip("bars.mp4")][..], &options].concat()).ok().json();
    let page = Page::parse(&std::fs::read_to_string(&file).unwrap());
    let labels = [("decoder_type", "rusty_h264"), ("codec", "h264")];
    let delivered = report["decode"]["ledger"]["delivered"].as_f64().unwrap();
    assert_eq!(page.sum("decoder_frames_total", &labels), delivered);
    // Each packet, and the drain of each part.
    let calls = &report["stages"]["decode"]["stages"]["decode_ms_per_picture"]["count"];
    let parts = report["decode"]["engines"]["parts"].as_u64().unwrap();
    assert_eq!(calls.as_u64().unwrap(), report["decode"]["ledger"]["submitted"].as_u64().unwrap() + parts);
    assert!(page.with("encoder_frames_total", &[]).next().is_none());
    // A file that ends in the middle: what was decoded before is told.
    let whole = std::fs::read(clip("small.h264")).unwrap();
    let broken =
        scratch.file("broken.h264", &[&whole[..whole.len() / 2], &[0, 0, 1, 0x65, 1, 2, 3]].concat());
    let _ = std::fs::remove_file(&file);
    let run = run(&["decode", &broken, "--null", "--strict", "--quiet", "--metrics-file", &file]);
    assert_ne!(run.code, Some(0));
    let page = Page::parse(&std::fs::read_to_string(&file).unwrap());
    assert!(page.sum("decoder_packets_total", &[]) > 0.0);
    // Nothing was asked for: nothing is added.
    let plain =
        crate::common::run(&["decode", &clip("bars.mp4"), "--null", "--backend", "software", "--json"]);
    assert!(plain.ok().json()["metrics"].is_null());
}

#[test]
#[cfg(target_os = "linux")]
fn the_variable_asks_for_a_line_of_decoding_too() {
    let Some(machine) = Machine::new() else { return };
    let decode = |variables: &[(&str, &str)]| {
        let mut command =
            command(&["decode", &clip("small.h264"), "--null", "--quiet", "--backend", "nvidia"]);
        command.env_remove("VIDEO_HW_NV_METRICS").envs(variables.iter().copied());
        machine.runs(&mut command, "h200", "");
        Run::of(command.output().unwrap()).ok().stderr
    };
    let said = decode(&[("VIDEO_HW_NV_METRICS", "1"), ("VIDEO_HW_VT_METRICS", "1")]);
    let words: BTreeMap<_, _> = said.trim().split(' ').filter_map(|word| word.split_once('=')).collect();
    assert!(said.starts_with("[nv.decode] frames=") && said.lines().count() == 1, "{said}");
    assert_eq!(words["frames"], words["packets"]);
    for name in ["decode_p95_ms", "output_ms", "latency_p99_ms", "jitter_max_ms", "convert_ms"] {
        words[name].parse::<f64>().unwrap();
    }
    for name in ["queue_peak", "map_ms", "map_ms_per_picture"] {
        assert!(words[name].parse::<f64>().unwrap() > 0.0, "{name}: {said}");
    }
    assert!(words["output_copy_bytes"].parse::<u64>().unwrap() > 0, "{said}");
    assert_eq!(decode(&[]), "");
}

#[test]
fn wrong_addresses_and_files_say_what_is_right() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let with = |options: &[&str]| run(&[&["transcode", &clip("bars.mp4"), &output][..], options].concat());
    with(&["--metrics-addr", "70000"]).refused(2, &["70000", "65535"]);
    with(&["--metrics-addr", "*:9464"]).refused(2, &["0.0.0.0"]);
    with(&["--metrics-addr", "192.0.2.1:9464"]).refused(2, &["does not have that address"]);
    with(&["--metrics-file", "-"]).refused(2, &["--metrics-addr"]);
    with(&["--metrics-file", "/nowhere/at/all.prom"]).refused(2, &["/nowhere/at", "create it first"]);
    assert!(!Path::new(&output).exists());
}

/// The words of an expression that can be names of metrics.
fn metric_words(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| ["encoder_", "decoder_", "gpu_"].iter().any(|start| word.starts_with(start)))
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grafana/video-hw.json");
    let text = std::fs::read_to_string(path).unwrap();
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut expressions = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        expressions.extend(variable["query"].as_str().map(str::to_owned));
    }
    assert!(expressions.len() >= 15, "{}", expressions.len());
    let mut asked = 0;
    for expression in &expressions {
        for word in metric_words(expression) {
            if ["encoder_type", "decoder_type"].contains(&word) {
                continue;
            }
            let known = names::all().find(|metric| {
                metric.name == word
                    || (metric.kind == Kind::Histogram
                        && ["_bucket", "_sum", "_count"]
                            .iter()
                            .any(|end| word.strip_suffix(end) == Some(metric.name)))
            });
            assert!(known.is_some(), "{word} in {expression}");
            let is_rated = expression.contains("rate(") || expression.contains("increase(");
            let is_rising = known.unwrap().kind != Kind::Gauge;
            assert_eq!(is_rated, is_rising, "{word} in {expression}");
            asked += 1;
        }
    }
    assert!(asked >= 15);
}
