//! Runs of a foreign client and what is asked of their results.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod decode;
mod encode;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub use decode::{DecodeRun, decode_matrix};
pub use encode::{EncodeRun, RateRun};

/// True when the whole matrix was asked for.
pub fn full() -> bool {
    std::env::var("NVSIM_MATRIX").is_ok_and(|value| value == "full")
}

/// A row of a table, and what was wrong with the run.
pub struct Row {
    pub cells: Vec<String>,
    pub faults: Vec<String>,
}

/// Results of one kind of run.
pub struct Table {
    title: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Row>,
}

impl Table {
    pub fn new(title: &'static str, columns: &'static [&'static str]) -> Self {
        Self { title, columns, rows: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        let verdict = if row.faults.is_empty() { "ok".into() } else { row.faults.join("; ") };
        println!("{} | {verdict}", row.cells.join(" | "));
        self.rows.push(row);
    }

    /// Writes the table where `NVSIM_TABLE` says (a directory), and fails when a run did.
    pub fn finish(self, name: &str) {
        if let Ok(directory) = std::env::var("NVSIM_TABLE") {
            let mut text = format!("### {}\n\n| {} | verdict |\n", self.title, self.columns.join(" | "));
            text += &format!("|{}\n", "---|".repeat(self.columns.len() + 1));
            for row in &self.rows {
                let verdict = if row.faults.is_empty() { "ok".into() } else { row.faults.join("; ") };
                text += &format!("| {} | {verdict} |\n", row.cells.join(" | "));
            }
            std::fs::write(Path::new(&directory).join(format!("{name}.md")), text).unwrap();
        }
        let failed: Vec<_> = self
            .rows
            .iter()
            .filter(|row| !row.faults.is_empty())
            .map(|row| format!("{}: {}", row.cells.join(" "), row.faults.join("; ")))
            .collect();
        assert!(
            failed.is_empty(),
            "{} of {} runs failed:\n{}",
            failed.len(),
            self.rows.len(),
            failed.join("\n")
        );
    }
}

/// The client's programs and a place for files.
pub struct Judge {
    pub directory: tempfile::TempDir,
}

impl Judge {
    /// None, said loudly, where ffmpeg with the NVIDIA codecs is not installed.
    pub fn new() -> Option<Self> {
        let encoders = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output();
        let known =
            encoders.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("h264_nvenc"));
        if !known {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!(
                    "SKIPPED: no ffmpeg with h264_nvenc on this machine: no foreign client was run\n"
                ),
            );
            return None;
        }
        Some(Self { directory: tempfile::tempdir().unwrap() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a program without the simulated driver.
    pub fn plain(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program).args(arguments).current_dir(self.directory.path()).output().unwrap()
    }

    /// Runs ffmpeg on the simulated driver; the report comes with it.
    pub fn simulated(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, Value) {
        let report = self.path("report.json");
        let _ = std::fs::remove_file(&report);
        let output = Command::new("ffmpeg")
            .args(["-hide_banner", "-nostdin", "-y", "-v", "error"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env("LD_LIBRARY_PATH", crate::common::driver_directory())
            .env("NVSIM_REPORT", &report)
            .env("NVSIM_QUIET", "1")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        (output, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// What the run left on record: exit, messages, broken rules, leaks.
    pub fn complaints(&self, output: &Output, report: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        if !output.status.success() {
            faults.push(format!("the client ended with {}", output.status));
        }
        // The simulation's own summary says no more than the report.
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<_> =
            said.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("nvsim:")).collect();
        if !said.is_empty() {
            faults.push(format!("the client said: {}", said[..said.len().min(3)].join(" / ")));
        }
        if report.is_null() {
            faults.push("no report: the driver was not used".into());
            return faults;
        }
        for key in ["violations", "leaks", "internal_errors"] {
            let list = report[key].as_array().cloned().unwrap_or_default();
            if let Some(first) = list.first() {
                faults.push(format!("{} {key}, first {first}", list.len()));
            }
        }
        faults
    }

    /// Decodes with ffmpeg's own software decoder: (pts, md5) of every frame, and what it complained about.
    pub fn framemd5(&self, arguments: &[&str]) -> (Vec<(i64, String)>, String) {
        let mut all = vec!["-nostdin", "-v", "error"];
        all.extend(arguments);
        all.extend(["-f", "framemd5", "-"]);
        let output = self.plain("ffmpeg", &all);
        (parse_framemd5(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Lines `stream, dts, pts, duration, size, md5`.
pub fn parse_framemd5(text: &[u8]) -> Vec<(i64, String)> {
    String::from_utf8_lossy(text)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            Some((fields.get(2)?.parse().ok()?, (*fields.get(5)?).to_owned()))
        })
        .collect()
}
