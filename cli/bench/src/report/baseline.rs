//! Whether a record is slower than an older one, and how that is known.
//!
//! Two measurements of the same program differ always. A row counts as slower only when three things hold:
//!
//! - **It matters**: the estimate (Hodges-Lehmann, see [`stats`]) is 5 % or more.
//! - **It is no chance**: Yuen's test on logarithms, Student's t of trimmed means, says that as much comes by chance less than once in
//!   1,000 comparisons. With seven runs a side or more an eighth or a quarter is trimmed at each end, so that a run or two that
//!   something else held up neither make a difference nor hide one (ranks cannot do that: of nine runs a side two that are out of
//!   place leave no rank test that sure). With fewer nothing is trimmed, and every new run must be slower than every old.
//! - **It is not the machine**: where both records have a peer whose runs took turns with ours, it is the ratio to the peer that must be
//!   worse by this rule, and by more than half of what the peer, which has not changed, has moved itself; and the time
//!   must be longer, too. Without a peer a machine that was much busier than before proves nothing.
//!
//! Anything else that looks slower is called unclear, with what would make it clear. Records of different machines have
//! nothing but their ratios in common, and different inputs or settings nothing at all.

use serde::Serialize;

use super::pairs::{self, Measure};
use super::words::{implementations, percent};
use crate::record::{Input, Machine, Record, Row};
use crate::stats::{self, Ratio, Trim};

/// Changes below this do not matter.
pub(super) const WORTH: f64 = 1.05;

/// Student's t that chance exceeds once in 2,000 times, by degrees of freedom from 1; beyond the table the last one, which is
/// on the safe side. A few such tests, which mostly agree, decide.
const T: [f64; 20] = [
    636.6, 31.60, 12.92, 8.610, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.437, 4.318, 4.221, 4.140, 4.073,
    4.015, 3.965, 3.922, 3.883, 3.850,
];

/// A ratio may move by this when the peer has moved by its square: nothing can be said of so different a machine.
const TOO_FAR: f64 = 1.25;

/// What is trimmed where runs are compared without their pairs.
const APART: [Trim; 2] = [Trim::Top(3), Trim::Ends(4)];

/// So many runs are enough to trim some.
const ENOUGH: usize = 7;

/// What comes of two records.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    /// When the old record began, and the version that made it.
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) rows: Vec<Line>,
    /// What holds for all rows.
    pub(crate) notes: Vec<String>,
}

impl Comparison {
    pub(crate) fn regressed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict.is_regression())
    }

    /// Whether a row of this version fails, or what it makes is worse. Where nothing could be compared nothing is known to be right.
    pub(crate) fn wrong(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.verdict, Verdict::Broken | Verdict::Worse))
            || self.rows.iter().all(|row| matches!(row.verdict, Verdict::NotComparable | Verdict::New))
    }

    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// `1 slower, 5 same`.
    pub(crate) fn summary(&self) -> String {
        let all = Verdict::ALL.map(|(verdict, word)| (self.count(verdict), word));
        let message: Vec<_> =
            all.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        if message.is_empty() { "no rows in common".to_owned() } else { message.join(", ") }
    }
}

/// One row, old and new.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    /// The decoder and the encoder that did the work.
    pub(crate) by: String,
    /// What is compared.
    pub(crate) measure: &'static str,
    /// Medians, in seconds.
    pub(crate) old_s: Option<f64>,
    pub(crate) new_s: Option<f64>,
    /// New time / old time.
    pub(crate) time: Option<Change>,
    /// New CPU time / old CPU time, where two versions took turns.
    pub(crate) cpu: Option<Change>,
    /// The same of the ratio to the peer.
    pub(crate) ratio: Option<Change>,
    /// The same of the peer's time: what the machine did.
    pub(crate) peer: Option<Change>,
    pub(crate) verdict: Verdict,
    /// What the verdict rests on.
    pub(crate) judged_by: By,
    /// In words, where there is more to say than the figures.
    pub(crate) why: Option<String>,
}

/// How many times the old value the new one is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) times: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) confidence: f64,
}

impl From<Ratio> for Change {
    fn from(ratio: Ratio) -> Self {
        Self { times: ratio.value, low: ratio.low, high: ratio.high, confidence: ratio.confidence }
    }
}

impl Change {
    /// `+12.3 %`.
    pub(crate) fn percent(self) -> String {
        percent(self.times - 1.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Slower,
    /// It had figures, and has none any more.
    Broken,
    /// An output is worse, or a limit is broken that the other version keeps.
    Worse,
    Unclear,
    Faster,
    Same,
    NotComparable,
    /// Only in one of the records.
    New,
    Gone,
}

impl Verdict {
    pub(crate) const ALL: [(Self, &str); 9] = [
        (Self::Slower, "SLOWER"),
        (Self::Broken, "BROKEN"),
        (Self::Worse, "WORSE"),
        (Self::Unclear, "unclear"),
        (Self::Faster, "faster"),
        (Self::Same, "same"),
        (Self::NotComparable, "not comparable"),
        (Self::New, "new"),
        (Self::Gone, "not measured now"),
    ];

    pub(crate) fn word(self) -> &'static str {
        // In the order of the variants.
        Self::ALL[self as usize].1
    }

    pub(crate) fn is_regression(self) -> bool {
        matches!(self, Self::Slower | Self::Broken | Self::Worse)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    Time,
    Cpu,
    /// The ratio to the peer: the machines differ.
    Ratio,
    TimeAndRatio,
    Nothing,
}

impl By {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Cpu => "CPU time",
            Self::Ratio => "ratio to the peer",
            Self::TimeAndRatio => "time and ratio to the peer",
            Self::Nothing => "",
        }
    }
}

/// Compares every row of this program.
pub(crate) fn judge(old: &Record, new: &Record) -> Comparison {
    let mut notes = Vec::new();
    let machine = difference(&old.machine, &new.machine);
    if let Some(what) = &machine {
        notes.push(format!(
            "the records are of different machines ({what}): only ratios to the peer are judged, no times"
        ));
    }
    if old.machine.simulated || new.machine.simulated {
        notes.push("simulated: the times of a driver that takes as long as it is told".to_owned());
    }
    notes.extend(versions(&old.machine, &new.machine));
    let both = Both { old, new, same_machine: machine.is_none() };
    let mut rows: Vec<Line> = pairs::own_rows(new).map(|row| both.line(row)).collect();
    let gone = pairs::own_rows(old).filter(|row| new.rows.iter().all(|n| n.id != row.id));
    rows.extend(gone.map(|row| Line::bare(row, Verdict::Gone, None)));
    let label = |record: &Record| format!("{} of {}", record.version, record.started);
    Comparison { old: label(old), new: label(new), rows, notes }
}

/// What makes two machines different ones.
fn difference(old: &Machine, new: &Machine) -> Option<String> {
    let differ = |what: &str, a: &dyn ToString, b: &dyn ToString| {
        let (a, b) = (a.to_string(), b.to_string());
        (a != b).then(|| format!("{what}: {a}, now {b}"))
    };
    let devices = |m: &Machine| if m.devices.is_empty() { "none".to_owned() } else { m.devices.join(", ") };
    differ("processor", &old.cpu, &new.cpu)
        .or_else(|| differ("cores", &old.cores, &new.cores))
        .or_else(|| differ("devices", &devices(old), &devices(new)))
}

/// Programs and drivers that are not the same any more: they are part of what is compared.
fn versions(old: &Machine, new: &Machine) -> Vec<String> {
    let changed = |(name, now): (&String, &String)| {
        let before = old.versions.get(name).filter(|before| *before != now)?;
        Some(format!("{name} was {before} and is {now} now"))
    };
    new.versions.iter().filter_map(changed).collect()
}

struct Both<'a> {
    old: &'a Record,
    new: &'a Record,
    same_machine: bool,
}

impl Both<'_> {
    fn line(&self, new: &Row) -> Line {
        let Some(old) = self.old.rows.iter().find(|row| row.id == new.id) else {
            return Line::bare(new, Verdict::New, None);
        };
        if let Some(why) = self.incomparable(old, new) {
            return Line::bare(new, Verdict::NotComparable, Some(why));
        }
        let peers = self.peers(old, new);
        let measure = pairs::measure_of(&[Some(old), Some(new), peers.map(|p| p.0), peers.map(|p| p.1)]);
        let (before, now) = (logs(old, measure), logs(new, measure));
        let mut line = Line::bare(new, Verdict::NotComparable, None);
        line.measure = measure.message();
        line.old_s = median(&before);
        line.new_s = median(&now);
        if before.is_empty() {
            let why = old.failed.clone().unwrap_or_else(|| "it has no runs".to_owned());
            line.why = Some(format!("the old record has no figures: {why}"));
            return line;
        }
        if now.is_empty() {
            line.verdict = Verdict::Broken;
            line.why = Some(new.failed.clone().unwrap_or_else(|| "no run came to an end".to_owned()));
            return line;
        }
        let time = Shift::of(&before, &now);
        line.time = time.as_ref().map(|shift| shift.ratio.into());
        let relative = peers.and_then(|(old_peer, new_peer)| {
            let old_ratios = stats::log_ratios(&old.runs, &old_peer.runs, |run| measure.of(run));
            let new_ratios = stats::log_ratios(&new.runs, &new_peer.runs, |run| measure.of(run));
            let (peer_before, peer_now) = (logs(old_peer, measure), logs(new_peer, measure));
            let mut shift = Shift::of(&old_ratios, &new_ratios)?;
            shift.judge_apart([&before, &now, &peer_before, &peer_now]);
            Some((shift, stats::shift(&peer_before, &peer_now)?))
        });
        line.ratio = relative.as_ref().map(|(shift, _)| shift.ratio.into());
        line.peer = relative.as_ref().map(|(_, peer)| (*peer).into());
        let (verdict, by, why) = self.decide(time.as_ref(), relative.as_ref(), (old, new));
        (line.verdict, line.judged_by, line.why) = (verdict, by, why);
        line
    }

    /// Why two rows of one name say nothing about each other.
    fn incomparable(&self, old: &Row, new: &Row) -> Option<String> {
        if self.old.machine.simulated != self.new.machine.simulated {
            return Some("one is simulated, the other is not".to_owned());
        }
        let named = |row: &Row| format!("{} {} {}", row.case, row.codec, row.backend);
        if named(old) != named(new) {
            return Some(format!("it was {} and is {} now", named(old), named(new)));
        }
        let (before, now) = (implementations(old), implementations(new));
        if !before.is_empty() && !now.is_empty() && before != now {
            return Some(format!("it was done by {before} and is by {now} now"));
        }
        if let Some(what) = other_input(&old.input, &new.input) {
            return Some(format!("the input is another one: {what}"));
        }
        let changed = changed_setting(old, new)?;
        let value = |row: &Row| row.settings.get(changed).map_or("not set", String::as_str).to_owned();
        Some(format!("{changed} was {} and is {} now", value(old), value(new)))
    }

    /// The peers of both, where they are the same program doing the same.
    fn peers(&self, old: &Row, new: &Row) -> Option<(&Row, &Row)> {
        let (old, new) = (pairs::peer_of(self.old, old)?, pairs::peer_of(self.new, new)?);
        let version = |record: &Record| record.machine.versions.get(&new.program).cloned();
        let same = old.program == new.program
            && old.backend == new.backend
            && version(self.old) == version(self.new)
            && changed_setting(old, new).is_none()
            && other_input(&old.input, &new.input).is_none();
        same.then_some((old, new))
    }

    fn decide(
        &self,
        time: Option<&Shift>,
        relative: Option<&(Shift, Ratio)>,
        rows: (&Row, &Row),
    ) -> (Verdict, By, Option<String>) {
        let Some(time) = time else { return (Verdict::NotComparable, By::Nothing, None) };
        match (self.same_machine, relative) {
            (true, Some((relative, peer))) => {
                let (verdict, why) = time_and_ratio(time, relative, *peer);
                (verdict, By::TimeAndRatio, why)
            }
            (false, Some((relative, _))) => {
                let (verdict, why) = relative.verdict(WORTH.ln());
                (verdict, By::Ratio, why)
            }
            (true, None) => {
                let (verdict, why) = time.verdict(WORTH.ln());
                match self.busier(rows) {
                    Some(load) if verdict == Verdict::Slower => {
                        let why = format!("{load}; measure again, with --peer ffmpeg for a ratio");
                        (Verdict::Unclear, By::Time, Some(why))
                    }
                    _ => (verdict, By::Time, why),
                }
            }
            (false, None) => {
                let why = "different machines, and no peer that both records have".to_owned();
                (Verdict::NotComparable, By::Nothing, Some(why))
            }
        }
    }

    /// Whether the machine had clearly more to do than in the old record.
    fn busier(&self, (old, new): (&Row, &Row)) -> Option<String> {
        let load = |row: &Row| stats::median(&row.runs.iter().filter_map(|run| run.load).collect::<Vec<_>>());
        let (before, now) = (load(old), load(new));
        let room = (f64::from(self.new.machine.cores) / 2.0).max(1.0);
        (now - before > room).then(|| format!("the load was {before:.1} and is {now:.1} now"))
    }
}

/// A setting that is another one, or that one of the rows does not have.
fn changed_setting<'a>(old: &'a Row, new: &'a Row) -> Option<&'a String> {
    let names = old.settings.keys().chain(new.settings.keys());
    // It says what holds without it, too.
    let mut names = names.filter(|name| *name != "equal-raw-input");
    names.find(|name| old.settings.get(*name) != new.settings.get(*name))
}

/// What the time says and what the ratio says.
fn time_and_ratio(time: &Shift, relative: &Shift, peer: Ratio) -> (Verdict, Option<String>) {
    // Two programs do not suffer alike from a busy machine: what the unchanged one moved by is a measure of that.
    let least = WORTH.ln().max(peer.value.ln().abs() / 2.0);
    let moved = percent(peer.value - 1.0);
    let (longer, shorter) = (time.ratio.value >= WORTH, time.ratio.value <= 1.0 / WORTH);
    match relative.verdict(least) {
        (Verdict::Slower, _) if longer => (Verdict::Slower, None),
        (Verdict::Slower, _) => {
            let why = format!(
                "the ratio to the peer is worse, the time is not (the peer: {moved}); measure the old version again"
            );
            (Verdict::Unclear, Some(why))
        }
        (Verdict::Faster, _) if shorter => (Verdict::Faster, None),
        (Verdict::Unclear, why) if longer && relative.ratio.value > 1.0 => (Verdict::Unclear, why),
        (Verdict::Same, _) if longer && (relative.ratio.value >= WORTH || least > TOO_FAR.ln()) => {
            let why = format!(
                "the machine had changed too much (the peer: {moved}); measure again on a quieter one"
            );
            (Verdict::Unclear, Some(why))
        }
        _ if longer || shorter => {
            (Verdict::Same, Some(format!("beside the peer, which moved by {moved}: it was the machine")))
        }
        _ => (Verdict::Same, None),
    }
}

/// Two samples of logarithms.
pub(super) struct Shift {
    pub(super) ratio: Ratio,
    runs: (usize, usize),
    sure_larger: bool,
    sure_smaller: bool,
    /// Whether more runs could make it sure.
    few: bool,
}

impl Shift {
    fn of(before: &[f64], now: &[f64]) -> Option<Self> {
        let ratio = stats::shift(before, now)?;
        Some(Self {
            ratio,
            runs: (before.len(), now.len()),
            sure_larger: surely_larger(before, now),
            sure_smaller: surely_larger(now, before),
            few: before.len().min(now.len()) < ENOUGH,
        })
    }

    /// A shift of pairs, from the logarithms of new / old; none without any.
    pub(super) fn paired(changes: &[f64]) -> Option<Self> {
        let negative: Vec<f64> = changes.iter().map(|change| -change).collect();
        Some(Self {
            ratio: stats::paired_ratio(changes)?,
            runs: (changes.len(), changes.len()),
            sure_larger: surely_positive(changes),
            sure_smaller: surely_positive(&negative),
            few: changes.len() < ENOUGH,
        })
    }

    /// Also sure where the fastest runs are all of one side (Nelson's precedence test, 1963): a busy machine makes times longer and never
    /// shorter than the program needs.
    pub(super) fn judge_order(&mut self, before: &[f64], now: &[f64]) {
        self.sure_larger |= precedes(before, now);
        self.sure_smaller |= precedes(now, before);
    }

    /// The same of what ours changed by more than the peer, from all four without their order: pairs are surer where the
    /// machine wanders, this where single runs are held up, each spoiling one group and not a pair.
    fn judge_apart(&mut self, [before, now, peer_before, peer_now]: [&[f64]; 4]) {
        if self.few {
            return;
        }
        let groups = |sign: f64| [(-sign, before), (sign, now), (sign, peer_before), (-sign, peer_now)];
        self.sure_larger |= is_sure(&groups(1.0), &APART);
        self.sure_smaller |= is_sure(&groups(-1.0), &APART);
    }

    /// By this rule alone; changes below `least` (a logarithm) do not count.
    pub(super) fn verdict(&self, least: f64) -> (Verdict, Option<String>) {
        let change = self.ratio.value.ln();
        if change.abs() < least {
            return (Verdict::Same, None);
        }
        match change > 0.0 {
            true if self.sure_larger => (Verdict::Slower, None),
            false if self.sure_smaller => (Verdict::Faster, None),
            _ => {
                let remedy = if self.few {
                    "too few to be sure; repeat at least 7 times"
                } else {
                    "they vary too much to be sure; repeat more often, on a quieter machine"
                };
                (Verdict::Unclear, Some(format!("{} and {} runs: {remedy}", self.runs.0, self.runs.1)))
            }
        }
    }
}

/// Whether chance would make `b` that much larger too seldom to be thought of.
fn surely_larger(a: &[f64], b: &[f64]) -> bool {
    let groups = [(-1.0, a), (1.0, b)];
    if a.len().min(b.len()) >= ENOUGH {
        // A little trimmed it finds smaller changes, more of it stands more that was held up.
        return is_sure(&groups, &[Trim::Ends(8), Trim::Ends(4)]);
    }
    ends(a).0 < ends(b).1 && is_sure(&groups, &[Trim::Nothing])
}

/// Whether chance would make their mean that large too seldom to be thought of.
fn surely_positive(changes: &[f64]) -> bool {
    if changes.len() >= ENOUGH {
        return is_sure(&[(1.0, changes)], &[Trim::Ends(8), Trim::Ends(4)]);
    }
    ends(changes).1 > 0.0 && is_sure(&[(1.0, changes)], &[Trim::Nothing])
}

/// Whether more of `a` are below all of `b` than chance brings about once in 2,000 times.
fn precedes(a: &[f64], b: &[f64]) -> bool {
    let least = ends(b).1;
    let below = a.iter().filter(|value| **value < least).count();
    let (n, all) = (a.len() as f64, (a.len() + b.len()) as f64);
    let chance: f64 = (0..below).map(|k| (n - k as f64) / (all - k as f64)).product();
    !b.is_empty() && chance < 1.0 / 2000.0
}

/// Whether this sum of means is above zero by more than chance, by one of these.
fn is_sure(groups: &[(f64, &[f64])], trims: &[Trim]) -> bool {
    trims.iter().any(|trim| {
        let t = stats::t_of(groups, *trim);
        t.is_some_and(|(t, free)| free > 0 && t > T[free.min(T.len()) - 1])
    })
}

/// The largest and the smallest.
fn ends(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::NEG_INFINITY, f64::INFINITY), |(most, least), v| (most.max(*v), least.min(*v)))
}

impl Line {
    pub(super) fn bare(row: &Row, verdict: Verdict, why: Option<String>) -> Self {
        Self {
            id: row.id.clone(),
            by: implementations(row),
            measure: Measure::Wall.message(),
            old_s: None,
            new_s: None,
            time: None,
            cpu: None,
            ratio: None,
            peer: None,
            verdict,
            judged_by: By::Nothing,
            why,
        }
    }
}

fn logs(row: &Row, measure: Measure) -> Vec<f64> {
    row.runs.iter().filter_map(|run| measure.of(run)).filter_map(stats::log).collect()
}

fn median(logs: &[f64]) -> Option<f64> {
    (!logs.is_empty()).then(|| stats::median(logs).exp())
}

/// What differs, if anything does. Sums decide where both have one: a name is only a name.
fn other_input(old: &Input, new: &Input) -> Option<String> {
    if old.md5.is_some() && old.md5 == new.md5 && old.streams == new.streams {
        return None;
    }
    let message = |input: &Input| {
        let mut all = vec![
            input.name.clone(),
            format!("{}x{}", input.width, input.height),
            format!("{} frames", input.frames),
            format!("{} bytes", input.bytes),
        ];
        all.extend(input.pixel_format.clone());
        all.extend(input.streams.map(|n| format!("{n} streams")));
        all.extend(input.md5.as_ref().map(|sum| format!("md5 {sum}")));
        all
    };
    let (a, b) = (message(old), message(new));
    if a == b {
        return None;
    }
    let only = |a: &[String], b: &[String]| {
        let message: Vec<_> = a.iter().filter(|word| !b.contains(word)).cloned().collect();
        if message.is_empty() { "no more told".to_owned() } else { message.join(", ") }
    };
    let found = format!("{}, now {}", only(&a, &b), only(&b, &a));
    // A sum that only one of them has is no difference.
    let without = |message: Vec<String>| -> Vec<String> {
        message.into_iter().filter(|word| !word.starts_with("md5 ")).collect()
    };
    let one_sum = old.md5.is_none() || new.md5.is_none();
    (!(one_sum && without(a) == without(b))).then_some(found)
}

#[cfg(test)]
pub(super) mod trials;
