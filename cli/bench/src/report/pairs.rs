//! What a record says, in numbers: rows beside their peers, ratios, aims, warnings.

use serde_json::{Value, json};

use super::words::{share, times};
use crate::record::{Record, Row, Run};
use crate::stats::{self, Ratio, Stats};

/// The program whose rows are judged.
pub(crate) const OURS: &str = "video-hw";

/// Runs that spread more than this are warned of.
pub(crate) const SPREAD: f64 = 0.10;

/// What is compared of two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The whole process.
    Wall,
    /// CPU time of the process and its children.
    Cpu,
    /// Until the first frame.
    Startup,
    /// The median of a frame's way through.
    Latency,
}

impl Measure {
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        match self {
            Self::Wall => Some(run.wall_s),
            Self::Cpu => run.cpu_s,
            Self::Startup => run.startup_s,
            Self::Latency => run.latency.map(|latency| latency.p50_s),
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Wall => "whole process",
            Self::Cpu => "CPU time",
            Self::Startup => "until the first frame",
            Self::Latency => "one frame, median",
        }
    }

    pub(crate) fn values(self, row: &Row) -> Vec<f64> {
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
    pub(crate) fn message(self) -> String {
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
    /// Ours and the peer's.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        std::iter::once(self.row).chain(self.peer)
    }

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
        for row in pair.rows().filter(|row| row.case != "soak") {
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
    let mut reported = std::collections::HashSet::new();
    all.retain(|warning| reported.insert(warning.clone()));
    all
}

/// The figures of every row for programs, the peers' too. What is no number is `null`.
pub(crate) fn figures(record: &Record) -> Vec<Value> {
    let own = pairs(record);
    let of_peer =
        |row: &Row| own.iter().find_map(|p| p.theirs.filter(|_| p.peer.is_some_and(|q| q.id == row.id)));
    let row = |row| {
        let pair = pair(record, row);
        let stats = of_peer(row).unwrap_or(pair.ours);
        json!({
            "id": row.id,
            "measure": pair.measure.message(),
            "runs": stats.n,
            "min_s": stats.min,
            "mean_s": stats.mean,
            "p50_s": stats.p50,
            "p95_s": stats.p95,
            "p99_s": stats.p99,
            "max_s": stats.max,
            "stddev_s": stats.stddev,
            "cv": stats.cv,
            "ratio": pair.ratio.map(|r| r.value),
            "ratio_low": pair.ratio.map(|r| r.low),
            "ratio_high": pair.ratio.map(|r| r.high),
            "ratio_confidence": pair.ratio.map(|r| r.confidence),
            "aim": row.aim,
            "aim_best": row.aim_best,
            "aim_met": pair.aim.map(|aim| aim.met),
            "aim_found": pair.aim.map(Aim::message),
            "verified": pair.verified().map(|(passed, _)| passed),
        })
    };
    record.rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests;
