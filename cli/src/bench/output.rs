//! The record as JSON and as a plain table.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use video_hw::output_file::OutputFile;
use video_hw::{Error, Result};

use super::args::BenchArgs;
use super::record::{FORMAT, Record, Row};
use crate::text;

/// Spread of the runs above which a figure is doubtful: standard deviation / mean.
const DOUBTFUL: f64 = 0.10;
/// A median this much above the older one's is slower.
const SLOWER: f64 = 1.10;

/// Files that are written.
pub(crate) struct Outputs {
    pub(crate) json: Option<PathBuf>,
    pub(crate) overwrite: bool,
}

impl Outputs {
    /// # Errors
    /// Files that exist, where they may not be replaced.
    pub(crate) fn of(args: &BenchArgs) -> Result<Self> {
        if args.markdown.is_some() || args.html.is_some() {
            return Err(Error::unsupported("reports as Markdown and HTML; give --json"));
        }
        let json = match &args.out {
            Some(dir) => {
                std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir.clone(), e))?;
                Some(dir.join("bench.json"))
            }
            None => None,
        };
        let outputs = Self { json: args.json.clone().or(json), overwrite: args.overwrite };
        for path in outputs.json.iter().filter(|path| path.as_path() != Path::new("-")) {
            // Found out now and not when hours are over.
            if path.exists() && !outputs.overwrite {
                return Err(Error::invalid(format!(
                    "output {} exists already; give --overwrite (-y) or choose another name",
                    path.display()
                )));
            }
        }
        Ok(outputs)
    }
}

/// Writes a record to where it was asked for, and the table to standard output unless JSON goes there.
///
/// # Errors
/// What the writing fails of.
pub(crate) fn write(record: &Record, outputs: &Outputs) -> Result<()> {
    let json = || {
        serde_json::to_string_pretty(record)
            .map_err(|error| Error::invalid(format!("the record cannot be written as JSON: {error}")))
    };
    match &outputs.json {
        Some(path) if path == Path::new("-") => return text::to_stdout(&json()?),
        Some(path) => {
            let file = OutputFile::create(path, outputs.overwrite, &[])?;
            let text = json()? + "\n";
            file.writer().write_all(text.as_bytes()).map_err(|e| Error::io("write", path.clone(), e))?;
            file.commit()?;
        }
        None => {}
    }
    text::to_stdout(&table(record))
}

/// Reads a record.
///
/// # Errors
/// A file that is none, or a later one's.
pub(crate) fn read(path: &Path) -> Result<Record> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("open", path, e))?;
    let refuse = |why: String| Error::invalid(format!("{} is no record of bench: {why}", path.display()));
    let record: Record = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    if record.format > FORMAT {
        return Err(refuse(format!(
            "its format is {}, and this program knows up to {FORMAT}",
            record.format
        )));
    }
    Ok(record)
}

/// Rows that became slower, in words.
pub(crate) fn slower(old: &Record, new: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for row in &new.rows {
        let Some(before) = old.rows.iter().find(|before| before.id == row.id) else { continue };
        let (then, now) = (walls(before), walls(row));
        let (Some(a), Some(b)) = (median(&then), median(&now)) else { continue };
        let apart =
            now.iter().copied().fold(f64::INFINITY, f64::min) > then.iter().copied().fold(0.0, f64::max);
        if b > a * SLOWER && apart {
            found.push(format!("{}: {b:.3} s instead of {a:.3} s ({:.2} x)", row.id, b / a));
        }
    }
    found
}

/// Rows whose runs differ too much to be believed.
pub(crate) fn doubtful(rows: &[Row]) -> Vec<String> {
    let of = |row: &Row| {
        let walls = walls(row);
        let mean = walls.iter().sum::<f64>() / walls.len() as f64;
        let spread = walls.iter().map(|wall| (wall - mean).powi(2)).sum::<f64>() / walls.len() as f64;
        let cv = spread.sqrt() / mean;
        (walls.len() > 1 && cv > DOUBTFUL).then(|| {
            format!("{}: CV {:.0} % of {} runs: the figures are doubtful", row.id, cv * 100.0, walls.len())
        })
    };
    rows.iter().filter_map(of).collect()
}

fn walls(row: &Row) -> Vec<f64> {
    row.runs.iter().map(|run| run.wall_s).collect()
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn table(record: &Record) -> String {
    let mut lines = vec![["row", "runs", "median s", "fps", "cpu s", "to peer", ""].map(str::to_owned)];
    for row in &record.rows {
        let wall = median(&walls(row));
        let cpu = median(&row.runs.iter().filter_map(|run| run.cpu_s).collect::<Vec<_>>());
        let frames = row.runs.first().map_or(0, |run| run.frames);
        let peer = row.peer.as_ref().and_then(|id| record.rows.iter().find(|other| other.id == *id));
        let ratio = wall.zip(peer.and_then(|peer| median(&walls(peer)))).map(|(ours, theirs)| ours / theirs);
        let number =
            |value: Option<f64>, places: usize| value.map_or_else(String::new, |v| format!("{v:.places$}"));
        lines.push([
            row.id.clone(),
            row.runs.len().to_string(),
            number(wall, 3),
            number(wall.filter(|wall| *wall > 0.0).map(|wall| frames as f64 / wall), 1),
            number(cpu, 3),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            remarks(row),
        ]);
    }
    let width =
        |column: usize| lines.iter().map(|line| line.get(column).map_or(0, String::len)).max().unwrap_or(0);
    let widths: Vec<_> = (0..7).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = if column == 0 || column == 6 {
                write!(text, "{cell:<width$}  ")
            } else {
                write!(text, "{cell:>width$}  ")
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    if record.machine.simulated {
        out.push_str(
            "simulated: the NVIDIA driver is the simulation; nothing here says anything of a card\n",
        );
    }
    for note in &record.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// What is wrong with a row, or that nothing is.
fn remarks(row: &Row) -> String {
    let mut words = Vec::new();
    words.extend(row.failed.as_ref().map(|why| format!("FAILED: {why}")));
    let judged = row.judged.iter().filter(|one| !one.passed);
    words.extend(
        judged.map(|one| format!("BROKEN: {} {} {} (limit {})", one.name, one.value, one.unit, one.limit)),
    );
    if let Some(verify) = &row.verify {
        let wrong = verify.checks.iter().filter(|check| !check.passed);
        let wrong: Vec<_> = wrong.map(|check| format!("WRONG {}: {}", check.name, check.found)).collect();
        words.push(if wrong.is_empty() { "verified".to_owned() } else { wrong.join("; ") });
    }
    words.join("; ")
}
