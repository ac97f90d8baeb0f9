//! What a record says, before it becomes text, Markdown or HTML: rows beside their peers, ratios, aims, warnings.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use video_hw::output_file::OutputFile;
use video_hw::{Error, Result};

use super::baseline::Comparison;
use super::record::{Record, Row, Run};
use super::stats::{self, Ratio, Stats};
use super::{html, markdown};

/// The program whose rows are judged.
pub(crate) const OURS: &str = "video-hw";

/// Runs that spread more than this are warned of.
pub(crate) const SPREAD: f64 = 0.10;

/// What is compared of two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The whole process.
    Wall,
    /// Until the first frame.
    Startup,
    /// The median of a frame's way through.
    Latency,
}

impl Measure {
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        match self {
            Self::Wall => Some(run.wall_s),
            Self::Startup => run.startup_s,
            Self::Latency => run.latency.map(|latency| latency.p50_s),
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Wall => "whole process",
            Self::Startup => "until the first frame",
            Self::Latency => "one frame, median",
        }
    }

    fn values(self, row: &Row) -> Vec<f64> {
        row.runs.iter().filter_map(|run| self.of(run)).collect()
    }
}

/// What the case is about, if all of these rows know it, else the time of the process.
pub(crate) fn measure_of(rows: &[Option<&Row>]) -> Measure {
    let case = rows.iter().flatten().next().map_or("", |row| row.case.as_str());
    let wanted = match case {
        "startup" => Measure::Startup,
        "latency" => Measure::Latency,
        _ => Measure::Wall,
    };
    let mut runs = rows.iter().flatten().flat_map(|row| &row.runs);
    if runs.all(|run| wanted.of(run).is_some()) { wanted } else { Measure::Wall }
}

/// The rows of this program.
pub(crate) fn own_rows(record: &Record) -> impl Iterator<Item = &Row> {
    record.rows.iter().filter(|row| row.program == OURS)
}

/// The row whose runs took turns with those of `row`.
pub(crate) fn peer_of<'a>(record: &'a Record, row: &Row) -> Option<&'a Row> {
    let id = row.peer.as_ref()?;
    record.rows.iter().find(|other| other.id == *id && other.id != row.id)
}

/// A row beside its peer.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) row: &'a Row,
    pub(crate) peer: Option<&'a Row>,
    pub(crate) measure: Measure,
    pub(crate) ours: Stats,
    pub(crate) theirs: Option<Stats>,
    /// Our time / the peer's.
    pub(crate) ratio: Option<Ratio>,
    pub(crate) aim: Option<Aim>,
}

/// What the ratio should not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aim {
    pub(crate) limit: f64,
    pub(crate) met: bool,
    /// The interval of the ratio does not reach across the limit.
    pub(crate) sure: bool,
    /// The limit of the ratio of the best runs, and that ratio.
    pub(crate) best: Option<(f64, f64)>,
}

impl Aim {
    pub(crate) fn words(self) -> String {
        let word = if self.met { "met" } else { "MISSED" };
        let spread = if self.sure { "" } else { ", within the spread" };
        let best = self.best.map_or_else(String::new, |(limit, found)| {
            format!("; best runs {} of {}", times(found), times(limit))
        });
        format!("{word}{spread}{best}")
    }
}

/// All rows: ours with their peers, then what belongs to none.
pub(crate) fn pairs(record: &Record) -> Vec<Pair<'_>> {
    let is_peer = |row: &Row| own_rows(record).any(|own| own.peer.as_ref() == Some(&row.id));
    let alone = record.rows.iter().filter(|row| row.program != OURS && !is_peer(row));
    own_rows(record).chain(alone).map(|row| pair(record, row)).collect()
}

fn pair<'a>(record: &'a Record, row: &'a Row) -> Pair<'a> {
    let peer = peer_of(record, row);
    let has_runs = |peer: &&Row| !peer.runs.is_empty();
    let measure = measure_of(&[Some(row), peer.filter(has_runs)]);
    let ratio = peer.and_then(|peer| stats::ratio_of_runs(&row.runs, &peer.runs, |run| measure.of(run)));
    let ours = stats::of(&measure.values(row));
    let theirs = peer.map(|peer| stats::of(&measure.values(peer)));
    let found = theirs.map(|theirs| ours.min / theirs.min);
    let best = row.aim_best.zip(found);
    let aim = row.aim.zip(ratio).map(|(limit, ratio)| Aim {
        limit,
        met: ratio.value <= limit && best.is_none_or(|(limit, found)| found <= limit),
        sure: ratio.high <= limit || ratio.low > limit,
        best,
    });
    Pair { row, peer, measure, ours, theirs, ratio, aim }
}

impl Pair<'_> {
    /// `decode`, or with what varies in it: `encode, in-flight 4`.
    pub(crate) fn title(&self) -> String {
        self.named(self.row.case.clone())
    }

    /// The same with the codec: `encode h264, in-flight 4`.
    pub(crate) fn heading(&self) -> String {
        self.named(format!("{} {}", self.row.case, self.row.codec))
    }

    fn named(&self, first: String) -> String {
        let known = [&self.row.case, &self.row.codec, &self.row.backend, &self.row.program];
        let varied = self.row.id.split('/').filter(|part| known.iter().all(|k| k.as_str() != *part));
        let varied: Vec<_> = varied.map(|part| part.replace('=', " ")).collect();
        let mut all = vec![first];
        all.extend(varied);
        all.join(", ")
    }

    /// Frames a second of the median run; of whole processes alone.
    pub(crate) fn rate(row: &Row) -> Option<f64> {
        let rates: Vec<_> =
            row.runs.iter().filter(|r| r.wall_s > 0.0).map(|r| r.frames as f64 / r.wall_s).collect();
        Some(stats::median(&rates)).filter(|rate| rate.is_finite() && *rate > 0.0)
    }

    /// `8 of 8`, or the questions that failed.
    pub(crate) fn verified(&self) -> Option<(bool, String)> {
        let verify = self.row.verify.as_ref()?;
        let failed: Vec<_> = verify.checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect();
        Some(if failed.is_empty() {
            let n = verify.checks.len();
            (true, format!("{n} of {n}"))
        } else {
            (false, format!("FAILED: {}", failed.join(", ")))
        })
    }
}

/// Means of the programs' own figures over the runs of a row, by name.
pub(crate) fn internals(row: &Row) -> Vec<(&str, Stats)> {
    let names: std::collections::BTreeSet<&str> =
        row.runs.iter().flat_map(|run| run.internal.keys().map(String::as_str)).collect();
    let values =
        |name: &str| row.runs.iter().filter_map(|run| run.internal.get(name).copied()).collect::<Vec<_>>();
    names.into_iter().map(|name| (name, stats::of(&values(name)))).collect()
}

/// What makes figures doubtful, the record's own notes first.
pub(crate) fn warnings(record: &Record) -> Vec<String> {
    let mut all = record.notes.clone();
    let machine = &record.machine;
    if let Some(load) = machine.load.first().filter(|load| **load > f64::from(machine.cores) / 2.0) {
        all.push(format!(
            "The machine was busy before the first run: load {load:.1} on {} cores.",
            machine.cores
        ));
    }
    if record.repeat == 1 && pairs(record).iter().any(|pair| pair.ratio.is_some()) {
        all.push(
            "One run of each row: how far runs spread, and so how sure a ratio is, is not known.".to_owned(),
        );
    }
    for pair in pairs(record) {
        let id = &pair.row.id;
        if let Some(why) = &pair.row.failed {
            all.push(format!("{id}: {why}"));
        }
        // A soak is not repeated.
        for row in std::iter::once(pair.row).chain(pair.peer).filter(|row| row.case != "soak") {
            let counted = row.runs.len();
            if counted < record.repeat as usize && row.failed.is_none() {
                all.push(format!("{}: {counted} of {} runs.", row.id, record.repeat));
            }
        }
        let sides = [Some((id, pair.ours)), pair.peer.map(|peer| &peer.id).zip(pair.theirs)];
        for (id, stats) in sides.into_iter().flatten().filter(|(_, stats)| stats.cv > SPREAD) {
            all.push(format!("{id}: the runs spread by {} (CV).", share(stats.cv)));
        }
        if let Some(peer) = pair.peer {
            if let Some(why) = &peer.failed {
                all.push(format!("{}: {why}", peer.id));
            }
            let frames = |row: &Row| row.runs.iter().map(|run| run.frames).max();
            match (frames(pair.row), frames(peer)) {
                (Some(ours), Some(theirs)) if ours != theirs => {
                    all.push(format!("{id}: {ours} frames came out, of the peer {theirs}."));
                }
                _ => {}
            }
            if pair.ratio.is_some_and(|ratio| !ratio.paired) {
                all.push(format!(
                    "{id}: the runs did not take turns with the peer's, so the ratio is less sure."
                ));
            }
        } else if let Some(peer) = &pair.row.peer {
            all.push(format!("{id}: its peer {peer} is not in the record."));
        }
    }
    // One peer may belong to several rows.
    let mut told = std::collections::HashSet::new();
    all.retain(|warning| told.insert(warning.clone()));
    all
}

/// What a report is made of.
#[derive(Debug)]
pub(crate) struct Source {
    /// How the record is called: its file, or nothing where it is the only one.
    pub(crate) name: Option<String>,
    pub(crate) record: Record,
}

/// Each row that two records or more have, with its statistics in each: how its time moved from record to record.
pub(crate) fn side_by_side(sources: &[Source]) -> Vec<(String, Vec<Option<Stats>>)> {
    let mut all: Vec<(String, Vec<Option<Stats>>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (n, source) in sources.iter().enumerate() {
        for row in &source.record.rows {
            let at = *places.entry(row.id.as_str()).or_insert_with(|| {
                all.push((row.id.clone(), vec![None; sources.len()]));
                all.len() - 1
            });
            let stats = stats::of(&measure_of(&[Some(row)]).values(row));
            all[at].1[n] = Some(stats).filter(|stats| stats.n > 0);
        }
    }
    all.retain(|(_, records)| records.iter().flatten().count() > 1);
    all
}

/// The cells of a row of that: medians, and how many times the first that has one.
pub(crate) fn beside_first(records: &[Option<Stats>]) -> Vec<String> {
    let first = records.iter().flatten().next().map_or(f64::NAN, |stats| stats.p50);
    let mut before = false;
    let cell = |stats: &Option<Stats>| match stats {
        None => "–".to_owned(),
        Some(stats) if before => format!("{} ({})", seconds(stats.p50), times(stats.p50 / first)),
        Some(stats) => {
            before = true;
            seconds(stats.p50)
        }
    };
    records.iter().map(cell).collect()
}

/// Where a report goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs {
    /// The record itself.
    pub(crate) json: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) overwrite: bool,
}

impl Outputs {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.json.iter().chain(&self.markdown).chain(&self.html)
    }
}

/// Writes one record, with what came of comparing it.
pub(crate) fn write(record: &Record, comparison: Option<&Comparison>, outputs: &Outputs) -> Result<()> {
    let source = Source { name: None, record: record.clone() };
    let only = |outputs: &Outputs| write_all(std::slice::from_ref(&source), comparison, outputs, &[]);
    // First what cannot be made again: whatever keeps a page from being written must not cost the record.
    only(&Outputs { markdown: None, html: None, ..outputs.clone() })?;
    only(&Outputs { json: None, ..outputs.clone() })
}

/// Writes several records side by side; the JSON is that of the first.
pub(crate) fn write_all(
    sources: &[Source],
    comparison: Option<&Comparison>,
    outputs: &Outputs,
    inputs: &[PathBuf],
) -> Result<()> {
    // All are opened before any is written: what exists already is told before anything is done.
    let open = |path: &Option<PathBuf>| {
        path.as_deref().map(|path| OutputFile::create(path, outputs.overwrite, inputs)).transpose()
    };
    let (json, markdown, html) = (open(&outputs.json)?, open(&outputs.markdown)?, open(&outputs.html)?);
    if let (Some(file), Some(source)) = (json, sources.first()) {
        let text = serde_json::to_string_pretty(&source.record)
            .map_err(|e| Error::invalid(format!("the record cannot be written as JSON: {e}")))?;
        put(file, &(text + "\n"))?;
    }
    if let Some(file) = markdown {
        put(file, &markdown::page(sources, comparison))?;
    }
    if let Some(file) = html {
        put(file, &html::page(sources, comparison))?;
    }
    Ok(())
}

fn put(file: OutputFile, text: &str) -> Result<()> {
    let path = file.path().to_owned();
    file.writer().write_all(text.as_bytes()).map_err(|e| Error::io_writing("write", path, e))?;
    file.commit()
}

/// The largest record that is read; a thousand rows of a hundred runs need a tenth of it.
const LARGEST: u64 = 64 << 20;
/// More rows, or runs of one, are no benchmark: comparing all with all takes its time and memory.
const MOST: usize = 1_000;

/// Of a record, read first, because a later format may have other fields.
#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

/// Reads a record.
///
/// # Errors
/// [`Error::Io`], and [`Error::InvalidInput`] for what is none.
pub(crate) fn read(path: &Path) -> Result<Record> {
    use std::io::Read;
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|e| Error::io("read", path, e))?;
    if text.len() as u64 > LARGEST {
        return Err(Error::invalid_file(path, "is larger than 64 MiB, which no record of bench is"));
    }
    let wrong = |e: serde_json::Error| {
        Error::invalid_file(path, format!("is no record of bench: {e}; `video-hw bench --json` writes them"))
    };
    let Version { format } = serde_json::from_slice(&text).map_err(wrong)?;
    if format > super::record::FORMAT {
        return Err(Error::invalid_file(
            path,
            format!(
                "is of format {format}, of a later version of this program, which reads up to {}",
                super::record::FORMAT
            ),
        ));
    }
    let record: Record = serde_json::from_slice(&text).map_err(wrong)?;
    if record.rows.len() > MOST || record.rows.iter().any(|row| row.runs.len() > MOST) {
        return Err(Error::invalid_file(path, format!("has more than {MOST} rows, or runs of one row")));
    }
    Ok(record)
}

/// The figures of a report for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Figures<'a> {
    id: &'a str,
    measure: &'static str,
    runs: usize,
    min_s: Option<f64>,
    mean_s: Option<f64>,
    p50_s: Option<f64>,
    p95_s: Option<f64>,
    p99_s: Option<f64>,
    max_s: Option<f64>,
    stddev_s: Option<f64>,
    cv: Option<f64>,
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    ratio_confidence: Option<f64>,
    aim: Option<f64>,
    aim_best: Option<f64>,
    aim_met: Option<bool>,
    verified: Option<bool>,
}

/// Of every row, the peers' too.
pub(crate) fn figures(record: &Record) -> Vec<Figures<'_>> {
    let own = pairs(record);
    let of_peer =
        |row: &Row| own.iter().find_map(|p| p.theirs.filter(|_| p.peer.is_some_and(|q| q.id == row.id)));
    let row = |row| {
        let pair = pair(record, row);
        let stats = of_peer(row).unwrap_or(pair.ours);
        let some = |value: f64| value.is_finite().then_some(value);
        Figures {
            id: &row.id,
            measure: pair.measure.words(),
            runs: stats.n,
            min_s: some(stats.min),
            mean_s: some(stats.mean),
            p50_s: some(stats.p50),
            p95_s: some(stats.p95),
            p99_s: some(stats.p99),
            max_s: some(stats.max),
            stddev_s: some(stats.stddev),
            cv: some(stats.cv),
            ratio: pair.ratio.map(|r| r.value),
            ratio_low: pair.ratio.map(|r| r.low),
            ratio_high: pair.ratio.map(|r| r.high),
            ratio_confidence: pair.ratio.map(|r| r.confidence),
            aim: row.aim,
            aim_best: row.aim_best,
            aim_met: pair.aim.map(|aim| aim.met),
            verified: pair.verified().map(|(passed, _)| passed),
        }
    };
    record.rows.iter().map(row).collect()
}

/// `1.234 s`, `56.7 ms`: four digits at most.
pub(crate) fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (scaled, unit) = match value.abs() {
        v if v >= 0.9995 || v == 0.0 => (value, "s"),
        v if v >= 0.000_999_5 => (value * 1e3, "ms"),
        _ => (value * 1e6, "µs"),
    };
    format!("{} {unit}", digits(scaled))
}

/// As many places as make three or four digits.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 1e9 => format!("{value:.2e}"),
        v if v >= 999.5 || value == 0.0 => format!("{value:.0}"),
        v if v >= 99.95 => format!("{value:.1}"),
        v if v >= 9.995 => format!("{value:.2}"),
        v if v >= 0.001 => format!("{value:.3}"),
        v if v < 1e-99 => "0".to_owned(),
        _ => format!("{value:.2e}"),
    }
}

/// `12.3 %`.
pub(crate) fn share(value: f64) -> String {
    if value.is_finite() { format!("{:.1} %", (value * 100.0).min(99_999.0)) } else { "–".to_owned() }
}

/// `+12.3 %`.
pub(crate) fn percent(change: f64) -> String {
    if change.is_finite() { format!("{:+.1} %", (change * 100.0).min(99_999.0)) } else { "–".to_owned() }
}

/// `0.58x`.
pub(crate) fn times(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}x") } else { "–".to_owned() }
}

/// `0.57 to 0.59`.
pub(crate) fn range(ratio: &Ratio) -> String {
    format!("{:.2} to {:.2}", ratio.low, ratio.high)
}

/// `Xeon, 2 cores, 8.0 GB; Linux`.
pub(crate) fn machine(record: &Record) -> String {
    let machine = &record.machine;
    let mut all = vec![machine.cpu.clone(), format!("{} cores", machine.cores)];
    all.extend(machine.memory_bytes.map(|n| format!("{:.1} GiB", n as f64 / (1u64 << 30) as f64)));
    all.extend(machine.devices.iter().cloned());
    all.push(machine.system.clone());
    all.retain(|word| !word.is_empty());
    all.join(", ")
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests;
