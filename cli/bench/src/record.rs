//! What a benchmark writes down: everything that tables, charts and comparisons are made of, as it was measured.
//!
//! Statistics are not in it, so that two records are always judged by the same rules. Times are seconds, sizes bytes.
//! A field that a record lacks is one that its program did not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The format that this program writes.
pub(crate) const FORMAT: u32 = 1;

/// A run of `bench`, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// [`FORMAT`]; records of later formats are refused.
    pub(crate) format: u32,
    /// This program's version.
    pub(crate) version: String,
    /// When it began, RFC 3339, UTC.
    pub(crate) started: String,
    /// How long everything took.
    pub(crate) took_s: f64,
    pub(crate) machine: Machine,
    /// The command that made this record, files by their names.
    pub(crate) command: Vec<String>,
    /// The preset of settings: `main`, `breakdown`, `operational`, `sweep`, or none.
    pub(crate) protocol: Option<String>,
    /// Runs before those that count.
    pub(crate) warmup: u32,
    /// Runs of each row that count.
    pub(crate) repeat: u32,
    pub(crate) rows: Vec<Row>,
    /// What is not in the rows and why, and what makes the figures doubtful.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// Where it ran.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: u32,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) system: String,
    /// Cards, with their memory.
    #[serde(default)]
    pub(crate) devices: Vec<String>,
    /// Drivers and programs by name, with their versions: `ffmpeg`, `nvidia`, ...
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
    /// The NVIDIA driver is the simulated one: no figure of it says anything of a card.
    #[serde(default)]
    pub(crate) simulated: bool,
    /// Load average over a minute, before the first run and behind the last.
    #[serde(default)]
    pub(crate) load: Vec<f64>,
}

/// One thing that was measured, by one program.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Unique in the record and the same in the next one: `decode/h264/nvidia/video-hw`, or with settings that vary
    /// `encode/h264/nvidia/video-hw/in-flight=4`, `decode/h264/nvidia/video-hw/output=device`.
    pub(crate) id: String,
    /// `decode`, `encode`, `transcode`, `rgb`, `multi`, `startup`, `latency`, `switch`, `soak`.
    pub(crate) case: String,
    pub(crate) codec: String,
    /// What did the work: `nvidia`, `software`, ... For a peer its own word: `cuda`, `libx264`.
    pub(crate) backend: String,
    /// `video-hw`, `ffmpeg`, ...
    pub(crate) program: String,
    /// The implementations that did the work, as the program reports them: `rusty_h264`, `libx265`, `NVENC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decoder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encoder: Option<String>,
    /// The row of the peer whose runs took turns with these.
    pub(crate) peer: Option<String>,
    /// The limit of the ratio to the peer's time, of the program that made the record; reports judge by their own.
    pub(crate) aim: Option<f64>,
    /// The same of the best run of each.
    pub(crate) aim_best: Option<f64>,
    /// Settings that matter, by name.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    /// The command line, files by their names.
    pub(crate) command: Vec<String>,
    /// What went in.
    pub(crate) input: Input,
    /// The runs that count, in the order in which they ran.
    #[serde(default)]
    pub(crate) runs: Vec<Run>,
    /// What `--verify` found.
    pub(crate) verify: Option<Verify>,
    /// Why there are no figures, or fewer than asked for.
    pub(crate) failed: Option<String>,
    /// Cases with limits of their own (`soak`): name, what was measured, the limit.
    #[serde(default)]
    pub(crate) judged: Vec<Judged>,
}

/// What a row worked on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Input {
    /// File name, or how it was made.
    pub(crate) name: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Of the whole file: equal sums are equal inputs.
    pub(crate) md5: Option<String>,
    pub(crate) pixel_format: Option<String>,
    pub(crate) streams: Option<u32>,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its place among all runs of the record, the other program's too: shows that they took turns.
    pub(crate) order: u32,
    /// Which pass over the rows.
    pub(crate) round: u32,
    /// The whole process.
    pub(crate) wall_s: f64,
    /// CPU time, user and system, of the process and its children.
    pub(crate) cpu_s: Option<f64>,
    /// Frames that came out.
    pub(crate) frames: u64,
    /// Until the first frame was out, as the program itself tells.
    pub(crate) startup_s: Option<f64>,
    /// From the first frame to the last, as the program itself tells.
    pub(crate) steady_s: Option<f64>,
    pub(crate) bytes_out: Option<u64>,
    pub(crate) peak_rss_bytes: Option<u64>,
    /// One-minute load average when it began.
    pub(crate) load: Option<f64>,
    /// Percentiles of one frame's way through, where the case measures them.
    pub(crate) latency: Option<Latency>,
    /// The program's own figures of its stages (`--include-internal-metrics`): means in milliseconds by name, such as
    /// `lock_ms`, and counts such as `queue_peak`.
    #[serde(default)]
    pub(crate) internal: BTreeMap<String, f64>,
}

/// Latency of the frames of one run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "`_s` is the unit, as everywhere in the record")]
pub(crate) struct Latency {
    pub(crate) p50_s: f64,
    pub(crate) p95_s: f64,
    pub(crate) p99_s: f64,
    pub(crate) max_s: f64,
}

/// Whether what came out is right.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Verify {
    /// Each question with its answer.
    pub(crate) checks: Vec<Check>,
    /// Of the output against the input, where something was encoded.
    pub(crate) psnr_db: Option<f64>,
}

/// One question to an output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Check {
    /// `frames`, `codec`, `plays`, `times`, `psnr`, `md5`.
    pub(crate) name: String,
    pub(crate) passed: bool,
    /// What was found, and what was expected where it differs.
    pub(crate) found: String,
}

/// A figure with a limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) unit: String,
    pub(crate) passed: bool,
}
