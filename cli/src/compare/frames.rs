//! Scores of each frame, written as they come: nothing of it is kept.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use video_hw::output_file::{OutputFile, OutputWriter};
use video_hw::quality::{Measured, Metrics, ssim_db};
use video_hw::{Error, Result};

/// The files with scores of each frame that were asked for.
pub(crate) struct FrameLogs {
    metrics: Metrics,
    csv: Option<Log>,
    jsonl: Option<Log>,
    /// Whether the head of the table is written: it names the planes, which the first frame tells.
    headed: bool,
}

struct Log {
    path: PathBuf,
    file: OutputFile,
    writer: OutputWriter,
}

impl Log {
    fn create(path: &Path, overwrite: bool, inputs: &[PathBuf]) -> Result<Self> {
        let file = OutputFile::create(path, overwrite, inputs)?;
        Ok(Self { path: path.to_owned(), writer: file.writer(), file })
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let written = self.writer.write_all(line.as_bytes()).and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|e| Error::io_writing("write", &self.path, e))
    }
}

impl FrameLogs {
    pub(crate) fn create(
        csv: Option<&Path>,
        jsonl: Option<&Path>,
        metrics: Metrics,
        overwrite: bool,
        inputs: &[PathBuf],
    ) -> Result<Self> {
        let log = |path: Option<&Path>| path.map(|path| Log::create(path, overwrite, inputs)).transpose();
        Ok(Self { metrics, csv: log(csv)?, jsonl: log(jsonl)?, headed: false })
    }

    /// One pair: number `frame` of `file`.
    pub(crate) fn add(&mut self, file: &Path, frame: u64, measured: &Measured) -> Result<()> {
        let metrics = self.metrics;
        if let Some(csv) = &mut self.csv {
            if !self.headed {
                csv.line(&csv_head(measured, metrics))?;
                self.headed = true;
            }
            csv.line(&csv_line(file, frame, measured, metrics))?;
        }
        if let Some(jsonl) = &mut self.jsonl {
            jsonl.line(&json_line(file, frame, measured, metrics).to_string())?;
        }
        Ok(())
    }

    /// Makes the files appear.
    pub(crate) fn commit(self) -> Result<()> {
        for log in [self.csv, self.jsonl].into_iter().flatten() {
            log.file.commit()?;
        }
        Ok(())
    }
}

fn csv_head(measured: &Measured, metrics: Metrics) -> String {
    let names: Vec<_> = measured.score.names().iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut head = "file,frame,ref_s,dist_s".to_owned();
    if metrics.psnr {
        head.extend(names.iter().map(|name| format!(",psnr_{name}")));
        head.push_str(",psnr_average,mse_average");
    }
    if metrics.ssim {
        head.extend(names.iter().map(|name| format!(",ssim_{name}")));
        head.push_str(",ssim_all,ssim_db");
    }
    head
}

fn csv_line(file: &Path, frame: u64, measured: &Measured, metrics: Metrics) -> String {
    let score = &measured.score;
    let mut line = format!(
        "{},{frame},{:.6},{:.6}",
        quoted(&file.to_string_lossy()),
        measured.reference.as_secs_f64(),
        measured.distorted.as_secs_f64()
    );
    // Writing to a string cannot fail.
    if metrics.psnr {
        let planes = (0..score.planes().len()).filter_map(|i| score.psnr(i));
        for psnr in planes.chain([score.psnr_average()]) {
            let _ = write!(line, ",{psnr:.6}");
        }
        let _ = write!(line, ",{:.6}", score.mse_average());
    }
    if metrics.ssim {
        let all = score.ssim_all();
        let planes = score.planes().iter().map(|plane| plane.ssim);
        for ssim in planes.chain([all]).flatten() {
            let _ = write!(line, ",{ssim:.6}");
        }
        let _ = write!(line, ",{:.6}", all.map_or(f64::NAN, ssim_db));
    }
    line
}

/// A name with a comma, quote or line end goes into quotes (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn json_line(file: &Path, frame: u64, measured: &Measured, metrics: Metrics) -> Value {
    let score = &measured.score;
    let names = || score.names().iter().map(|name| name.to_ascii_lowercase());
    let mut line = json!({
        "file": file.to_string_lossy(),
        "frame": frame,
        "ref_s": measured.reference.as_secs_f64(),
        "dist_s": measured.distorted.as_secs_f64(),
    });
    if metrics.psnr {
        let mut all: Map<_, _> =
            names().enumerate().filter_map(|(i, name)| Some((name, decibels(score.psnr(i)?)))).collect();
        all.insert("average".to_owned(), decibels(score.psnr_average()));
        line["psnr"] = Value::Object(all);
        line["mse"] = json!(score.mse_average());
    }
    if metrics.ssim {
        let planes = score.planes().iter().map(|plane| json!(plane.ssim));
        let mut all: Map<_, _> = names().zip(planes).collect();
        all.insert("all".to_owned(), json!(score.ssim_all()));
        all.insert("db".to_owned(), score.ssim_all().map_or(Value::Null, |ssim| decibels(ssim_db(ssim))));
        line["ssim"] = Value::Object(all);
    }
    line
}

/// Decibels in JSON, which has no infinity: the word "inf" stands for it.
pub(crate) fn decibels(value: f64) -> Value {
    if value.is_infinite() { json!("inf") } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must() {
        assert_eq!(quoted("a.mp4"), "a.mp4");
        assert_eq!(quoted("a,b.mp4"), "\"a,b.mp4\"");
        assert_eq!(quoted("a\"b\n"), "\"a\"\"b\n\"");
    }

    #[test]
    fn infinity_is_a_word() {
        assert_eq!(decibels(f64::INFINITY), json!("inf"));
        assert_eq!(decibels(40.5), json!(40.5));
    }
}
