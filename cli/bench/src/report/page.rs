//! What reports show, as words: the tables and sentences that Markdown, HTML and the terminal lay out each in its own way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::baseline::{Change, Comparison, Line, Verdict};
use super::pairs::{Pair, SPREAD, measure_of};
use super::words::{digits, implementations, range, seconds, share, times};
use crate::record::{Record, Row, Run};
use crate::stats::{self, Stats};

pub(crate) const SIMULATED: &str = "The NVIDIA driver is a simulation that takes as long as it is told: figures say what the \
                                    program around it costs, and nothing of a card.";

pub(crate) const LEGEND: &str = "Percentiles by nearest rank; CV is standard deviation / mean. The ratio is our time / the \
                                 peer's: the Hodges-Lehmann estimate over runs that took turns, with its interval of 95 % \
                                 where the number of runs allows one.";

/// What a report is made of.
#[derive(Debug)]
pub(crate) struct Source {
    /// How the record is called: its file, or nothing where it is the only one.
    pub(crate) name: Option<String>,
    pub(crate) record: Record,
}

/// How a cell is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Warn,
}

impl Tone {
    pub(crate) fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    /// In front of what counts.
    pub(crate) before: String,
    pub(crate) text: String,
    /// Beside it, of less weight.
    pub(crate) after: String,
    pub(crate) strong: bool,
    pub(crate) tone: Tone,
    /// What it is sorted by, where that is a number.
    pub(crate) value: Option<f64>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Cell {
    fn number(value: f64, message: fn(f64) -> String) -> Self {
        Self { value: Some(value), ..message(value).into() }
    }

    fn verdict(passed: bool) -> Self {
        Self { tone: Tone::of(passed), ..if passed { "ok" } else { "FAILED" }.into() }
    }

    /// All of it, in a line of plain text.
    pub(crate) fn plain(&self) -> String {
        format!("{}{}", self.before, self.text)
    }
}

/// A table; the first cell of a row names it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) caption: &'static str,
    pub(crate) columns: Vec<String>,
    /// The columns of numbers.
    pub(crate) numbers: Range<usize>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(
        caption: &'static str,
        columns: &[&str],
        numbers: Range<usize>,
        rows: Vec<Vec<Cell>>,
    ) -> Self {
        Self { caption, columns: columns.iter().map(|name| (*name).to_owned()).collect(), numbers, rows }
    }
}

/// How often, by which preset, how long.
pub(crate) fn circumstances(record: &Record) -> String {
    let protocol = record.protocol.as_ref().map_or(String::new(), |name| format!(", protocol {name}"));
    let Record { repeat, warmup, took_s, .. } = record;
    format!("{repeat} runs of each row after {warmup} to warm up{protocol}, in {}", seconds(*took_s))
}

/// Medians of the rows that two records or more have, and how many times that of the first: how a time moved from record to
/// record.
pub(crate) fn beside(sources: &[Source]) -> Option<Table> {
    let medians = |source: &Source| -> HashMap<String, f64> {
        let median = |row: &Row| stats::of(&measure_of(&[Some(row)]).values(row)).p50;
        let rows = source.record.rows.iter().map(|row| (row.id.clone(), median(row)));
        rows.filter(|(_, median)| median.is_finite()).collect()
    };
    let all: Vec<_> = sources.iter().map(medians).collect();
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    for row in sources.iter().flat_map(|source| &source.record.rows).filter(|row| seen.insert(&row.id)) {
        let mut first = None;
        let mut cells = vec![row.id.as_str().into()];
        cells.extend(all.iter().map(|medians| match (medians.get(&row.id), first) {
            (None, _) => Cell::from("–"),
            (Some(median), None) => seconds(*first.insert(*median)).into(),
            (Some(median), Some(first)) => format!("{} ({})", seconds(*median), times(median / first)).into(),
        }));
        if all.iter().filter(|medians| medians.contains_key(&row.id)).count() > 1 {
            rows.push(cells);
        }
    }
    let names = sources.iter().map(|source| source.name.as_deref().unwrap_or("record"));
    let columns: Vec<_> = std::iter::once("median").chain(names).collect();
    let caption = "Medians, and how many times the first record's";
    (!rows.is_empty()).then(|| Table::new(caption, &columns, 1..columns.len(), rows))
}

/// What [`figures`] are.
pub(crate) const FIGURES: [&str; 14] = [
    "codec", "backend", "runs", "mean", "p95", "p99", "CV", "peer", "mean", "p95", "p99", "CV", "ratio",
    "aim",
];

/// The figures of a pair, for the columns behind its title.
pub(crate) fn figures(pair: &Pair<'_>) -> Vec<Cell> {
    let side = |stats: Option<Stats>| {
        let Some(stats) = stats else { return std::array::from_fn(|_| Cell::default()) };
        let tone = if stats.cv > SPREAD { Tone::Warn } else { Tone::Plain };
        let [mean, p95, p99] = [stats.mean, stats.p95, stats.p99].map(|time| Cell::number(time, seconds));
        [mean, p95, p99, Cell { tone, ..Cell::number(stats.cv, share) }]
    };
    let peer = pair.peer.map(|peer| Cell { after: peer.backend.clone(), ..peer.program.as_str().into() });
    let ratio = pair.ratio.map(|ratio| {
        let sure =
            if ratio.confidence < 0.949 { format!(" at {}", share(ratio.confidence)) } else { String::new() };
        Cell { after: range(&ratio) + &sure, strong: true, ..Cell::number(ratio.value, times) }
    });
    let aim = pair.row.aim.map(|limit| Cell {
        before: format!("{}: ", times(limit)),
        text: pair.aim.map_or_else(|| "not measured".to_owned(), |aim| aim.message()),
        tone: Tone::of(pair.aim.is_some_and(|aim| aim.met)),
        ..Cell::default()
    });
    let runs = Cell::number(pair.ours.n as f64, |n| n.to_string());
    let by = implementations(pair.row);
    let backend = &pair.row.backend;
    let backend = if by.is_empty() { backend.clone() } else { format!("{backend} ({by})") };
    let mut all = vec![pair.row.codec.as_str().into(), backend.into(), runs];
    all.extend(side(Some(pair.ours)));
    all.push(peer.unwrap_or_default());
    all.extend(side(pair.theirs));
    all.extend([ratio, aim].map(Option::unwrap_or_default));
    all
}

/// What `--verify` found, and the limits of cases that have their own: question, answer, verdict.
pub(crate) fn checks(row: &Row) -> Vec<Vec<Cell>> {
    let verify = row.verify.iter();
    let mut all: Vec<Vec<Cell>> = verify
        .flat_map(|verify| &verify.checks)
        .map(|check| {
            vec![check.name.as_str().into(), check.found.as_str().into(), Cell::verdict(check.passed)]
        })
        .collect();
    let psnr = row.verify.as_ref().and_then(|verify| verify.psnr_db);
    all.extend(psnr.map(|psnr| vec!["PSNR".into(), format!("{} dB", digits(psnr)).into(), Cell::default()]));
    all.extend(row.judged.iter().map(|judged| {
        let (value, limit, unit) = (digits(judged.value), digits(judged.limit), &judged.unit);
        let found = format!("{value} {unit} (limit {limit} {unit})");
        vec![judged.name.as_str().into(), found.into(), Cell::verdict(judged.passed)]
    }));
    all
}

/// Figures of a row besides its time: CPU, memory, latency, and what the program says of itself. Name, mean of the runs, middle,
/// largest.
pub(crate) fn details(row: &Row) -> Vec<Vec<Cell>> {
    let mut all = Vec::new();
    let mut add = |name: &str, message: fn(f64) -> String, value: &dyn Fn(&Run) -> Option<f64>| {
        let values: Vec<_> = row.runs.iter().filter_map(value).collect();
        if !values.is_empty() {
            let stats = stats::of(&values);
            let figures = [stats.mean, stats.p50, stats.max].map(|value| message(value).into());
            all.push(std::iter::once(name.into()).chain(figures).collect());
        }
    };
    add("CPU time", seconds, &|run| run.cpu_s);
    add("until the first frame", seconds, &|run| run.startup_s);
    add("first frame to last", seconds, &|run| run.steady_s);
    add("latency p50", seconds, &|run| run.latency.map(|l| l.p50_s));
    add("latency p95", seconds, &|run| run.latency.map(|l| l.p95_s));
    add("latency p99", seconds, &|run| run.latency.map(|l| l.p99_s));
    add("latency, largest", seconds, &|run| run.latency.map(|l| l.max_s));
    add("peak memory, MB", digits, &|run| run.peak_rss_bytes.map(|n| n as f64 / 1e6));
    add("bytes out", digits, &|run| run.bytes_out.map(|n| n as f64));
    let own: BTreeSet<_> = row.runs.iter().flat_map(|run| run.internal.keys()).collect();
    for name in own {
        add(name, digits, &|run| run.internal.get(name).copied());
    }
    all
}

/// A record beside an older one, row by row.
pub(crate) fn compared(comparison: &Comparison) -> Table {
    let row = |line: &Line| {
        let time = |value: Option<f64>| Cell::from(value.map_or("–".to_owned(), seconds));
        let change = |change: Option<Change>| Cell::from(change.map_or("–".to_owned(), Change::percent));
        let why = match (&line.why, line.judged_by.message()) {
            (Some(why), _) => why.clone(),
            (None, "") => String::new(),
            (None, by) => format!("by {by}"),
        };
        let tone = match line.verdict {
            Verdict::Slower | Verdict::Broken | Verdict::Worse => Tone::Bad,
            Verdict::Faster => Tone::Good,
            Verdict::Unclear | Verdict::NotComparable => Tone::Warn,
            _ => Tone::Plain,
        };
        vec![
            line.id.as_str().into(),
            line.by.as_str().into(),
            time(line.old_s),
            time(line.new_s),
            change(line.time),
            change(line.cpu),
            change(line.peer),
            change(line.ratio),
            Cell { tone, strong: tone == Tone::Bad, ..line.verdict.word().into() },
            why.into(),
        ]
    };
    let columns =
        ["row", "by", "old", "new", "time", "CPU time", "peer's time", "ratio to the peer", "verdict", "why"];
    let caption = "Medians, and how many per cent the new time is above the old";
    Table::new(caption, &columns, 2..8, comparison.rows.iter().map(row).collect())
}
