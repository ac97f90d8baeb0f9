//! Records made up for tests.

use crate::record::{Check, Input, Latency, Machine, Record, Row, Run, Verify};

impl Row {
    /// Lets all runs give this many frames.
    pub(crate) fn frames_in_runs(&mut self, frames: u64) {
        self.runs.iter_mut().for_each(|run| run.frames = frames);
    }
}

/// Runs of these times, the first side of each round.
pub(crate) fn runs(times: &[f64], first: bool) -> Vec<Run> {
    let run = |(i, wall_s): (usize, &f64)| Run {
        order: 2 * i as u32 + u32::from(first != (i % 2 == 0)),
        round: i as u32,
        wall_s: *wall_s,
        cpu_s: Some(wall_s * 0.8),
        frames: 300,
        load: Some(0.5),
        ..Run::default()
    };
    times.iter().enumerate().map(run).collect()
}

/// A row of this program or of its peer.
pub(crate) fn row(case: &str, codec: &str, program: &str, more: &str, times: &[f64]) -> Row {
    Row {
        id: format!("{case}/{codec}/nvidia/{program}{more}"),
        case: case.to_owned(),
        codec: codec.to_owned(),
        backend: "nvidia".to_owned(),
        program: program.to_owned(),
        peer: (program == "video-hw").then(|| format!("{case}/{codec}/nvidia/ffmpeg{more}")),
        settings: [("gop".to_owned(), "60".to_owned())].into(),
        command: vec![program.to_owned(), case.to_owned(), "in.mp4".to_owned()],
        input: Input {
            name: "in.mp4".to_owned(),
            width: 640,
            height: 360,
            frames: 300,
            bytes: 1_000_000,
            ..Input::default()
        },
        runs: runs(times, program == "video-hw"),
        ..Row::default()
    }
}

/// Nine rounds of two pairs and a row without a peer.
pub(crate) fn record() -> Record {
    let times: Vec<f64> = [0, 3, 1, 4, 2, 0, 5, 1, 2].iter().map(|i| 0.5 + 0.002 * f64::from(*i)).collect();
    let doubled: Vec<f64> = times.iter().map(|t| t * 2.0).collect();
    let check = |name: &str, passed| Check { name: name.to_owned(), passed, found: "300".to_owned() };
    let mut decode = row("decode", "h264", "video-hw", "", &times);
    decode.aim = Some(0.6);
    decode.verify = Some(Verify { checks: vec![check("frames", true), check("md5", true)], psnr_db: None });
    let mut encode = row("encode", "hevc", "video-hw", "/in-flight=4", &doubled);
    encode.aim = Some(1.2);
    encode.verify =
        Some(Verify { checks: vec![check("frames", false), check("plays", true)], psnr_db: Some(41.5) });
    for run in &mut encode.runs {
        run.internal = [("lock_ms".to_owned(), 1.5), ("queue_peak".to_owned(), 4.0)].into();
    }
    let mut latency = row("latency", "av1", "video-hw", "", &doubled);
    latency.peer = None;
    for run in &mut latency.runs {
        run.latency = Some(Latency { p50_s: 0.002, p95_s: 0.003, p99_s: 0.004, max_s: 0.01 });
    }
    Record {
        format: 1,
        version: "0.1.0".to_owned(),
        started: "2026-11-21T18:00:00Z".to_owned(),
        took_s: 60.0,
        machine: Machine {
            cpu: "Some CPU".to_owned(),
            cores: 2,
            memory_bytes: Some(8 << 30),
            system: "Linux".to_owned(),
            versions: [("ffmpeg".to_owned(), "7.1".to_owned())].into(),
            load: vec![0.3, 0.9],
            ..Machine::default()
        },
        command: vec!["video-hw".to_owned(), "bench".to_owned(), "decode".to_owned()],
        protocol: Some("main".to_owned()),
        warmup: 2,
        repeat: 9,
        rows: vec![
            decode,
            row("decode", "h264", "ffmpeg", "", &doubled),
            encode,
            row("encode", "hevc", "ffmpeg", "/in-flight=4", &times),
            latency,
        ],
        notes: Vec::new(),
    }
}
