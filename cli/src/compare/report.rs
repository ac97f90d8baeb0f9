//! What a comparison has to say: a table, or a JSON document.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use video_hw::Result;
use video_hw::quality::{MatchBy, StreamScore, ssim_db};
use video_hw_terminal::{text, text::name};

use super::args::CompareArgs;
use super::curves::{self, Curve, Distance};
use super::frames::decibels;
use super::one::{Alone, Outcome};
use crate::exit::{self, Exit};
use crate::json;

pub(crate) struct Report<'a> {
    pub(crate) args: &'a CompareArgs,
    pub(crate) outcomes: &'a [Outcome],
    /// Anchor and test, with their distances.
    pub(crate) curves: Option<(Curve<'a>, Curve<'a>, Vec<Distance>)>,
    pub(crate) wall: Duration,
    pub(crate) cancelled: bool,
}

impl Report<'_> {
    fn exit(&self) -> Exit {
        if self.cancelled {
            Exit::Cancelled
        } else if !self.too_bad().is_empty() {
            Exit::Quality
        } else if self.curves.as_ref().is_some_and(|(.., found)| !found.iter().any(Distance::is_known)) {
            Exit::Input
        } else {
            Exit::Done
        }
    }

    /// Tells, and gives the exit code.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn tell(&self) -> Result<Exit> {
        let exit = self.exit();
        if !self.args.job.quiet {
            for line in self.lines() {
                text::to_stderr(&line);
            }
        }
        for line in self.failures() {
            text::to_stderr(&format!("video-hw: error: {line}"));
        }
        let result = if self.args.job.json { format!("{:#}", self.json(exit)) } else { self.table() };
        if self.args.outputs().any(|path| path == Path::new("-")) {
            text::to_stderr(&result);
        } else {
            text::to_stdout(&result)?;
        }
        Ok(exit)
    }

    /// Files below what was asked for, in words.
    fn too_bad(&self) -> Vec<String> {
        let mut all = Vec::new();
        for outcome in self.outcomes {
            let (psnr, ssim) = (outcome.score.psnr_average(), outcome.score.ssim_all());
            if let Some((found, least)) = psnr.zip(self.args.min_psnr).filter(|(found, least)| found < least)
            {
                all.push(format!("{}: PSNR {found:.3} dB is below --min-psnr {least}", name(&outcome.path)));
            }
            if let Some((found, least)) = ssim.zip(self.args.min_ssim).filter(|(found, least)| found < least)
            {
                all.push(format!("{}: SSIM {found:.6} is below --min-ssim {least}", name(&outcome.path)));
            }
        }
        all
    }

    fn failures(&self) -> Vec<String> {
        let mut all = self.too_bad();
        if let Some((.., distances)) = &self.curves {
            let none = !distances.iter().any(Distance::is_known);
            let why = distances.iter().flat_map(|d| &d.rate).find_map(|(_, rate)| rate.as_ref().err());
            if let Some(why) = why.filter(|_| none) {
                all.push(format!("no BD-rate: {}", exit::message(why)));
            }
        }
        all
    }

    /// What is worth knowing beside the numbers.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let reference = name(&self.args.reference);
        for outcome in self.outcomes {
            lines.extend(outcome.notes.iter().map(|note| format!("note: {note}")));
            let sides = [
                (&reference, &outcome.only_reference, &outcome.reference_read),
                (&name(&outcome.path), &outcome.only_distorted, &outcome.read),
            ];
            for (file, alone, read) in sides {
                lines.extend(alone_words(file, alone));
                lines.extend(read.problems.iter().map(|problem| format!("warning: {problem}")));
                let reported = read.problems.len() as u64;
                if read.problem_count > reported {
                    lines.push(format!("warning: and {} more like these", read.problem_count - reported));
                }
                if let Some(decode) = read.decode.as_ref().filter(|decode| decode.concealed > 0) {
                    let count = text::thousands(decode.concealed);
                    lines.push(format!(
                        "warning: {count} pictures of {file} are mended: part of them is a guess"
                    ));
                }
            }
            if self.args.job.verbose {
                lines.extend(details(outcome));
            }
        }
        if let Some((.., distances)) = &self.curves {
            for (method, why) in distances.iter().flat_map(|distance| &distance.rate) {
                if let Err(why) = why {
                    lines.push(format!("warning: no BD-rate ({}): {}", method.name(), exit::message(why)));
                }
            }
        }
        // Several qualities fail for the same reason.
        let mut seen = std::collections::HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        let frames: u64 = self.outcomes.iter().map(|outcome| outcome.score.frames()).sum();
        let mut figures = vec![
            format!("{} pairs", text::thousands(frames)),
            format!("{} fps", text::rate(text::per_second(frames as f64, self.wall))),
        ];
        if self.cancelled {
            figures.push("cancelled".to_owned());
        }
        lines.push(figures.join("  "));
        lines
    }

    fn table(&self) -> String {
        let mut lines = vec![self.head()];
        let psnr = self.args.metrics().psnr;
        let ssim = self.args.metrics().ssim;
        let mut rows = vec![columns(self.outcomes.first().map_or(&[], |o| o.score.names()), psnr, ssim)];
        rows.extend(self.outcomes.iter().map(|outcome| row(outcome, psnr, ssim)));
        lines.extend(aligned(&rows));
        if let Some((anchor, test, distances)) = &self.curves {
            lines.push(String::new());
            lines.push(format!("{} against {}, at the same quality:", test.label, anchor.label));
            for distance in distances {
                let part = |(method, value): &(_, Result<f64>)| -> Option<String> {
                    let method: &video_hw::quality::Interpolation = method;
                    Some(format!("{:+.2} % ({})", value.as_ref().ok()?, method.name()))
                };
                let found: Vec<_> = distance.rate.iter().filter_map(part).collect();
                if !found.is_empty() {
                    lines.push(format!("  BD-rate over {}: {}", distance.quality.name(), found.join(", ")));
                }
            }
        }
        lines.join("\n")
    }

    fn head(&self) -> String {
        let mut parts = vec![format!("reference: {}", name(&self.args.reference))];
        if let Some(outcome) = self.outcomes.first() {
            parts.extend(outcome.reference.codec.map(|codec| codec.to_string()));
            parts.extend(outcome.format.as_ref().map(|(format, size)| format!("{size} {format}")));
            parts.extend(outcome.reference.frame_rate.map(|rate| format!("{:.5} fps", rate.as_f64())));
        }
        parts.join("  ")
    }

    fn json(&self, exit: Exit) -> Value {
        let metrics = self.args.metrics();
        let reference = self.outcomes.first().map(|outcome| json::source(&outcome.reference));
        let names = [metrics.psnr.then_some("psnr"), metrics.ssim.then_some("ssim")];
        let names: Vec<_> = names.into_iter().flatten().collect();
        json!({
            "command": "compare",
            "reference": self.args.reference.to_string_lossy(),
            "reference_source": reference,
            "metrics": names,
            "files": self.outcomes.iter().map(|outcome| file(outcome, metrics.psnr)).collect::<Vec<_>>(),
            "bd_rate": self.curves.as_ref().map(|(anchor, test, found)| curves::json(anchor, test, found)),
            "wall_s": json::seconds(self.wall),
            "below": self.too_bad(),
            "cancelled": self.cancelled,
            "exit_code": exit.code(),
        })
    }
}

fn alone_words(file: &str, alone: &Alone) -> Option<String> {
    let times: Vec<_> = alone.first.iter().map(|time| format!("{time:.3}")).collect();
    let more = if alone.count > times.len() as u64 { " ..." } else { "" };
    (alone.count > 0).then(|| {
        let (count, be) = (text::thousands(alone.count), if alone.count == 1 { "frame" } else { "frames" });
        format!("warning: {count} {be} of {file} without a partner, shown at {}{more} s", times.join(", "))
    })
}

fn details(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, read) in [("reference", &outcome.reference_read), ("file", &outcome.read)] {
        if let Some(decode) = &read.decode
            && let Some((kind, implementation)) = decode.receipt.chosen()
        {
            lines.push(format!("{what}: {} decoded by {kind} ({implementation})", decode.receipt.codec));
        }
    }
    lines.push(format!("measured: busy {:.3} s on {} threads", outcome.busy.as_secs_f64(), outcome.threads));
    lines
}

fn columns(names: &[&str], psnr: bool, ssim: bool) -> Vec<String> {
    let mut head: Vec<String> = ["file", "frames", "bit rate"].map(str::to_owned).into();
    let mut add = |metric: &str, rest: &[&str]| {
        let mut all = names.iter().chain(rest);
        head.extend(all.next().map(|first| format!("{metric} {first}")));
        head.extend(all.map(|name| (*name).to_owned()));
    };
    if psnr {
        add("PSNR", &["average", "worst"]);
    }
    if ssim {
        add("SSIM", &["all", "dB", "worst"]);
    }
    head
}

fn row(outcome: &Outcome, psnr: bool, ssim: bool) -> Vec<String> {
    let score = &outcome.score;
    let mut cells = vec![
        name(&outcome.path),
        text::thousands(score.frames()),
        outcome.bit_rate().map_or_else(|| "-".to_owned(), text::bit_rate),
    ];
    let db = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    if psnr {
        cells.extend((0..score.names().len()).map(|i| db(score.psnr(i))));
        cells.push(db(score.psnr_average()));
        cells.push(db(score.worst_psnr().map(|worst| worst.score)));
    }
    let part = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.5}"));
    if ssim {
        cells.extend((0..score.names().len()).map(|i| part(score.ssim(i))));
        cells.push(part(score.ssim_all()));
        cells.push(db(score.ssim_all().map(ssim_db)));
        cells.push(part(score.worst_ssim().map(|worst| worst.score)));
    }
    cells
}

/// Columns of one width, numbers to the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|i| width(i).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| {
            if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

fn file(outcome: &Outcome, psnr: bool) -> Value {
    let score = &outcome.score;
    let alone = |alone: &Alone| json!({ "count": alone.count, "first_s": alone.first });
    json!({
        "path": outcome.path.to_string_lossy(),
        "source": json::source(&outcome.source),
        "pairs": score.frames(),
        "identical_pairs": score.identical(),
        "matched_by": if outcome.by == MatchBy::Time { "time" } else { "index" },
        "only_in_reference": alone(&outcome.only_reference),
        "only_in_file": alone(&outcome.only_distorted),
        "pix_fmt": outcome.format.as_ref().map(|(format, _)| format.name()),
        "size": outcome.format.as_ref().map(|(_, size)| size),
        "video_bytes": outcome.bytes,
        "duration_s": outcome.seconds,
        "bitrate_bps": outcome.bit_rate(),
        "psnr": if psnr { psnr_json(score, outcome.worst_psnr_s) } else { Value::Null },
        "ssim": score.ssim_all().map(|all| ssim_json(score, all, outcome.worst_ssim_s)),
        "problems": outcome.read.problems,
        "problem_count": outcome.read.problem_count,
        "notes": outcome.notes,
        "threads": outcome.threads,
        "measuring_busy_s": json::seconds(outcome.busy),
        "wall_s": json::seconds(outcome.wall),
    })
}

fn by_plane(score: &StreamScore, value: impl Fn(usize) -> Option<Value>) -> Map<String, Value> {
    let names = score.names().iter().enumerate();
    names.filter_map(|(i, name)| Some((name.to_ascii_lowercase(), value(i)?))).collect()
}

fn psnr_json(score: &StreamScore, worst_s: Option<f64>) -> Value {
    let mut all = by_plane(score, |i| score.psnr(i).map(decibels));
    all.insert("average".to_owned(), score.psnr_average().map_or(Value::Null, decibels));
    all.insert("mse".to_owned(), Value::Object(by_plane(score, |i| score.mse(i).map(|mse| json!(mse)))));
    all.insert("mse_average".to_owned(), json!(score.mse_average()));
    let worst = score.worst_psnr();
    let worst = worst.map(|w| json!({ "frame": w.frame, "ref_s": worst_s, "average": decibels(w.score) }));
    all.insert("worst".to_owned(), json!(worst));
    Value::Object(all)
}

fn ssim_json(score: &StreamScore, whole: f64, worst_s: Option<f64>) -> Value {
    let mut all = by_plane(score, |i| score.ssim(i).map(|ssim| json!(ssim)));
    all.insert("all".to_owned(), json!(whole));
    all.insert("db".to_owned(), decibels(ssim_db(whole)));
    let worst = score.worst_ssim();
    let worst = worst.map(|w| json!({ "frame": w.frame, "ref_s": worst_s, "all": w.score }));
    all.insert("worst".to_owned(), json!(worst));
    Value::Object(all)
}
