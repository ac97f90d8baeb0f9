//! Figures of repeated runs, and how sure they are.
//!
//! Times of processes are skewed: nothing makes a run faster than it can be, anything makes it slower, now and then
//! much slower. So what is compared is compared by ranks: the Hodges-Lehmann estimate of a ratio is the middle of what all
//! pairs of runs say, and its interval, the exact one of Wilcoxon's tests, holds whatever the distribution is. One run that
//! took ten times as long moves neither by more than any slow run would. Nothing is drawn at random, so that a record says the same each
//! time it is read.

use std::collections::BTreeMap;

use super::record::Run;

/// How sure intervals are where the number of runs allows it.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// Beyond this many values a side ranks are as good as normally distributed, and exact counting only takes time.
const EXACT: usize = 40;

/// What a column of figures comes to. Without values all but `n` are NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stats {
    pub(crate) n: usize,
    pub(crate) min: f64,
    pub(crate) mean: f64,
    /// Percentiles by nearest rank: each is a value that was measured.
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    /// Of a sample (n - 1); 0 for one value.
    pub(crate) stddev: f64,
    /// Standard deviation / mean.
    pub(crate) cv: f64,
}

/// The figures of those values that are finite.
pub(crate) fn of(values: &[f64]) -> Stats {
    let sorted = sorted(values.iter().copied());
    let n = sorted.len();
    // Scaled first, so that sums of hostile values do not overflow.
    let mean = if n > 0 { sorted.iter().map(|v| v / n as f64).sum() } else { f64::NAN };
    let squares = sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let stddev = match n {
        0 => f64::NAN,
        1 => 0.0,
        _ => (squares / (n - 1) as f64).sqrt(),
    };
    Stats {
        n,
        min: nearest_rank(&sorted, 0),
        mean,
        p50: nearest_rank(&sorted, 50),
        p95: nearest_rank(&sorted, 95),
        p99: nearest_rank(&sorted, 99),
        max: nearest_rank(&sorted, 100),
        stddev,
        cv: if mean == 0.0 { 0.0 } else { stddev / mean.abs() },
    }
}

/// The smallest value that `percent` of all do not exceed; NaN where there is none.
fn nearest_rank(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The middle, between the two middle ones of an even number; NaN where there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    middle(&sorted(values.iter().copied()))
}

fn middle(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// A ratio with the interval that it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Of the interval: [`CONFIDENCE`] or a little more, less where the runs are too few for it.
    pub(crate) confidence: f64,
    /// Whether each run was set against the one beside it.
    pub(crate) paired: bool,
}

/// How many times `theirs` `ours` takes, from what `measure` says of runs that took turns.
///
/// Runs are set against the one of the same round, so that a machine that is slow for a while is so for both. Logarithms are
/// used: a ratio and its inverse are equally far from 1.
pub(crate) fn ratio_of_runs(
    ours: &[Run],
    theirs: &[Run],
    measure: impl Fn(&Run) -> Option<f64>,
) -> Option<Ratio> {
    let differences = log_ratios(ours, theirs, &measure);
    if !differences.is_empty() {
        return Some(paired(&differences));
    }
    let logs = |runs: &[Run]| -> Vec<f64> { runs.iter().filter_map(&measure).filter_map(log).collect() };
    shift(&logs(theirs), &logs(ours))
}

/// The logarithm of the ratio of each run to the one beside it; nothing unless half of them have one at least.
pub(crate) fn log_ratios(ours: &[Run], theirs: &[Run], measure: impl Fn(&Run) -> Option<f64>) -> Vec<f64> {
    let rounds = |runs: &[Run]| -> BTreeMap<u32, Vec<f64>> {
        let mut all = BTreeMap::<u32, Vec<f64>>::new();
        for run in runs {
            if let Some(value) = measure(run).and_then(log) {
                all.entry(run.round).or_default().push(value);
            }
        }
        all
    };
    let (ours, theirs) = (rounds(ours), rounds(theirs));
    let mut all = Vec::new();
    for (round, ours) in &ours {
        if let Some(theirs) = theirs.get(round).filter(|t| t.len() == ours.len()) {
            all.extend(ours.iter().zip(theirs).map(|(a, b)| a - b));
        }
    }
    // A run that failed takes its pair with it, no more.
    let count = |side: &BTreeMap<u32, Vec<f64>>| side.values().map(Vec::len).sum::<usize>();
    if all.len() * 2 >= count(&ours).max(count(&theirs)) { all } else { Vec::new() }
}

/// Of what has one.
pub(crate) fn log(value: f64) -> Option<f64> {
    (value > 0.0 && value.is_finite()).then(|| value.ln())
}

/// How many times as large the second of each pair is, from the logarithms; none without pairs.
pub(crate) fn paired_ratio(differences: &[f64]) -> Option<Ratio> {
    (!differences.is_empty()).then(|| paired(differences))
}

/// The middle of all averages of two, and the interval of Wilcoxon's signed ranks.
fn paired(differences: &[f64]) -> Ratio {
    let n = differences.len();
    let averages = sorted(
        (0..n).flat_map(|i| differences[i..].iter().map(move |other| f64::midpoint(differences[i], *other))),
    );
    let tails = if n <= EXACT { signed_rank_tails(n) } else { Vec::new() };
    let (n, count) = (n as f64, averages.len() as f64);
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    interval(&averages, &tails, count / 2.0, deviation, true)
}

/// How many times as large `b` is as `a`, both given as logarithms: the middle of all differences, and the interval of
/// the Mann-Whitney test. None where a side is empty.
pub(crate) fn shift(a: &[f64], b: &[f64]) -> Option<Ratio> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let differences = sorted(b.iter().flat_map(|b| a.iter().map(move |a| b - a)));
    let tails = if a.len().max(b.len()) <= EXACT { rank_sum_tails(a.len(), b.len()) } else { Vec::new() };
    let (n, m) = (a.len() as f64, b.len() as f64);
    Some(interval(&differences, &tails, n * m / 2.0, (n * m * (n + m + 1.0) / 12.0).sqrt(), false))
}

/// `tails[k]` is the probability of k or less; where it was not counted, the normal distribution stands in.
fn interval(sorted: &[f64], tails: &[f64], centre: f64, deviation: f64, paired: bool) -> Ratio {
    let alpha = (1.0 - CONFIDENCE) / 2.0;
    let (skip, tail) = if tails.is_empty() {
        let skip = (centre - 1.959_964 * deviation).floor().max(0.0) as usize;
        (skip, alpha)
    } else {
        // Without the `skip` outermost of each side what is left out is that there were `skip` or less.
        let skip = tails.iter().take_while(|tail| **tail <= alpha).count().saturating_sub(1);
        (skip, tails[skip])
    };
    let skip = skip.min((sorted.len() - 1) / 2);
    Ratio {
        value: middle(sorted).exp(),
        low: sorted[skip].exp(),
        high: sorted[sorted.len() - 1 - skip].exp(),
        confidence: (1.0 - 2.0 * tail).max(0.0),
        paired,
    }
}

/// The probability that of the n * m comparisons of two samples k or less go to one side.
fn rank_sum_tails(n: usize, m: usize) -> Vec<f64> {
    // Where the largest of all is one of the n, it beats all m: the rest is the case of n - 1.
    let mut rows: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for j in 1..=m {
            let (with, without) = (i as f64 / (i + j) as f64, j as f64 / (i + j) as f64);
            let mut counts = vec![0.0; i * j + 1];
            for (k, p) in rows[j].iter().enumerate() {
                counts[k + j] += with * p;
            }
            for (k, p) in next[j - 1].iter().enumerate() {
                counts[k] += without * p;
            }
            next.push(counts);
        }
        rows = next;
    }
    sums(&rows[m])
}

/// The probability that the ranks of the positive ones of n differences sum to k or less.
fn signed_rank_tails(n: usize) -> Vec<f64> {
    let mut all = vec![1.0];
    for rank in 1..=n {
        let mut next = vec![0.0; all.len() + rank];
        for (k, p) in all.iter().enumerate() {
            next[k] += p / 2.0;
            next[k + rank] += p / 2.0;
        }
        all = next;
    }
    sums(&all)
}

fn sums(probabilities: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |p: &f64| {
        sum += p;
        sum
    };
    probabilities.iter().map(add).collect()
}

/// What of a group is left out of its mean: a share of `1 / n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trim {
    Nothing,
    /// At both ends.
    Ends(usize),
    /// At the top alone: what holds a run up only ever makes it longer.
    Top(usize),
}

/// Student's t of a sum of means, each with its sign, and its degrees of freedom; None where nothing can be told. What is
/// trimmed counts as the last that is not: it is judged by the winsorised variance (Yuen 1974). Each group has its own, and the
/// degrees of freedom are Welch's: a few runs that vary much beside many that do not would else borrow their certainty. Without
/// any spread a difference is infinitely sure, on the fewest degrees of freedom.
pub(crate) fn t_of(groups: &[(f64, &[f64])], trim: Trim) -> Option<(f64, usize)> {
    let (mut sum, mut variance, mut parts) = (0.0, 0.0, 0.0);
    for (sign, values) in groups {
        let mut all = sorted(values.iter().copied());
        let n = all.len();
        let (low, high) = match trim {
            Trim::Nothing => (0, 0),
            Trim::Ends(share) => (n.saturating_sub(1) / share.max(3), n.saturating_sub(1) / share.max(3)),
            Trim::Top(share) => (0, n / share.max(2)),
        };
        let kept = n - low - high;
        sum += sign * of(all.get(low..n - high).filter(|part| !part.is_empty())?).mean;
        let (first, last) = (all[low], all[n - 1 - high]);
        for value in &mut all {
            *value = value.clamp(first, last);
        }
        let (squares, free) = (of(&all).stddev.powi(2) * (n - 1) as f64, (kept - 1) as f64);
        // Of the mean. One value tells none: it makes this, and t with it, no number.
        let own = squares / (kept as f64 * free);
        variance += own;
        parts += own * own / free;
    }
    let t = sum / variance.sqrt();
    // A whole number that was computed may lie just below it.
    let free = (variance * variance / parts + 1e-9).floor().max(1.0) as usize;
    (!t.is_nan()).then_some((t, free))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn known_values() {
        let s = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!((s.n, s.min, s.mean, s.p50, s.max), (8, 2.0, 5.0, 4.0, 9.0));
        assert!(close(s.stddev, (32.0_f64 / 7.0).sqrt()) && close(s.cv, s.stddev / 5.0));
        // Nearest rank: of 1 to 100 the nth percentile is n; of five values p95 and p99 are the largest.
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let s = of(&hundred);
        assert_eq!((s.p50, s.p95, s.p99), (50.0, 95.0, 99.0));
        let s = of(&[15.0, 20.0, 35.0, 40.0, 50.0]);
        assert_eq!((s.p50, s.p95, s.p99), (35.0, 50.0, 50.0));
        assert_eq!((median(&[1.0, 2.0, 10.0, 3.0]), median(&[3.0, 1.0, 2.0])), (2.5, 2.0));
    }

    #[test]
    fn few_and_hostile_values() {
        assert!(of(&[]).mean.is_nan() && of(&[]).p99.is_nan() && of(&[f64::NAN]).n == 0);
        let one = of(&[3.0]);
        assert_eq!((one.n, one.mean, one.p99, one.stddev, one.cv), (1, 3.0, 3.0, 0.0, 0.0));
        assert!(of(&[0.0, 0.0]).cv.abs() < f64::MIN_POSITIVE);
        let odd = of(&[f64::INFINITY, 1.0, f64::NEG_INFINITY, 3.0]);
        assert_eq!((odd.n, odd.mean), (2, 2.0));
        assert!(of(&[f64::MAX, f64::MAX]).mean.is_finite());
        assert!(median(&[]).is_nan() && shift(&[], &[1.0]).is_none() && log(0.0).is_none());
    }

    /// Tables of the two tests, as textbooks print them.
    #[test]
    fn tails_are_those_of_the_tables() {
        assert!(close(rank_sum_tails(3, 3)[0], 1.0 / 20.0));
        assert!(close(rank_sum_tails(5, 5)[2], 4.0 / 252.0));
        assert!(close(*rank_sum_tails(4, 7).last().unwrap(), 1.0));
        // n = m = 9: 17 is the largest U that is significant at 5 %, two-sided.
        let nine = rank_sum_tails(9, 9);
        assert!(nine[17] <= 0.025 && nine[18] > 0.025);
        // n = 9: 5 is the largest sum of signed ranks that is.
        let nine = signed_rank_tails(9);
        assert!(nine[5] <= 0.025 && nine[6] > 0.025 && close(nine[5], 10.0 / 512.0));
    }

    #[test]
    fn many_values_go_over_into_the_normal_distribution() {
        let many: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let moved: Vec<f64> = many.iter().map(|v| v + 0.5).collect();
        let found = shift(&many, &moved).unwrap();
        assert!(close(found.value, 0.5_f64.exp()) && found.low < found.value && found.value < found.high);
        assert!(close(found.confidence, 0.95));
    }

    fn runs(values: &[f64]) -> Vec<Run> {
        let run = |(i, wall_s): (usize, &f64)| Run { round: i as u32, wall_s: *wall_s, ..Run::default() };
        values.iter().enumerate().map(run).collect()
    }

    #[test]
    fn pairs_cancel_what_falls_on_both() {
        // The machine gets four times slower; the ratio is 1.1 all the time.
        let theirs: Vec<f64> = (0..9).map(|i| 1.0 + 0.4 * f64::from(i)).collect();
        let ours: Vec<f64> = theirs.iter().map(|t| t * 1.1).collect();
        let found = ratio_of_runs(&runs(&ours), &runs(&theirs), |r| Some(r.wall_s)).unwrap();
        assert!(found.paired && close(found.value, 1.1) && close(found.low, 1.1) && close(found.high, 1.1));
        // A pair that is missing costs nothing more.
        let found = ratio_of_runs(&runs(&ours[..6]), &runs(&theirs), |r| Some(r.wall_s)).unwrap();
        assert!(found.paired && close(found.value, 1.1));
        // The same unpaired: nothing is known.
        let mut apart = runs(&ours);
        for run in &mut apart {
            run.round += 100;
        }
        let found = ratio_of_runs(&apart, &runs(&theirs), |r| Some(r.wall_s)).unwrap();
        assert!(!found.paired && found.low < 0.9 && found.high > 1.3);
    }

    #[test]
    fn one_slow_run_moves_little() {
        let theirs = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0];
        let noise = [0.99, 1.0, 1.01, 1.0, 0.98, 1.02, 1.0, 0.99, 1.01];
        let mut ours: Vec<f64> = theirs.iter().zip(noise).map(|(t, n)| t * n * 0.5).collect();
        let before = ratio_of_runs(&runs(&ours), &runs(&theirs), |r| Some(r.wall_s)).unwrap();
        ours[4] = 24.7;
        let after = ratio_of_runs(&runs(&ours), &runs(&theirs), |r| Some(r.wall_s)).unwrap();
        assert!((after.value - before.value).abs() < 0.01, "{before:?} {after:?}");
        assert!(after.low > 0.49 && close(after.confidence, 1.0 - 20.0 / 512.0));
    }

    #[test]
    fn too_few_runs_say_how_sure_they_are() {
        let found = ratio_of_runs(&runs(&[1.0, 1.2, 1.1]), &runs(&[1.0; 3]), |r| Some(r.wall_s)).unwrap();
        assert!(close(found.low, 1.0) && close(found.high, 1.2) && close(found.confidence, 0.75));
        let found = ratio_of_runs(&runs(&[2.0]), &runs(&[1.0]), |r| Some(r.wall_s)).unwrap();
        assert_eq!((found.value, found.low, found.high, found.confidence), (2.0, 2.0, 2.0, 0.0));
        assert!(ratio_of_runs(&runs(&[0.0]), &runs(&[1.0]), |r| Some(r.wall_s)).is_none());
    }

    #[test]
    fn students_t() {
        let two = |a: &[f64], b: &[f64], trim| t_of(&[(-1.0, a), (1.0, b)], trim);
        let (t, free) = two(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], Trim::Nothing).unwrap();
        assert!(close(t, 3.0 / (2.0_f64 / 3.0).sqrt()) && free == 4);
        assert!(
            two(&[1.0], &[2.0], Trim::Nothing).is_none() && two(&[], &[2.0, 3.0], Trim::Ends(4)).is_none()
        );
        assert!(t_of(&[], Trim::Nothing).is_none());
        // Trimmed: of nine values five count; their winsorised squares are those of 3 3 3 4 5 6 7 7 7.
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 900.0];
        let b = a.map(|v| v + 10.0);
        let (t, free) = two(&a, &b, Trim::Ends(4)).unwrap();
        assert!(close(t, 10.0 / (2.0 * 26.0 / 8.0 * 0.4_f64).sqrt()) && free == 8, "{t} {free}");
        // At the top alone: 1 to 6, and three times 6.
        let (t, free) = two(&a, &b, Trim::Top(3)).unwrap();
        let squares = 91.0 + 3.0 * 36.0 - 39.0 * 39.0 / 9.0;
        assert!(close(t, 10.0 / (2.0 * squares / 10.0 / 3.0_f64).sqrt()) && free == 10, "{t} {free}");
        // Groups that are neither as large nor spread alike: variances of the means are 2/6 and 80/12.
        let (t, free) = two(&[1.0, 2.0, 3.0], &[10.0, 14.0, 18.0, 22.0], Trim::Nothing).unwrap();
        assert!(close(t, 14.0 / 7.0_f64.sqrt()) && free == 3, "{t} {free}");
        // No spread at all: any difference is sure, and none is no number.
        assert_eq!(two(&[1.0; 4], &[2.0; 4], Trim::Nothing), Some((f64::INFINITY, 1)));
        assert_eq!(two(&[2.0; 8], &[1.0; 8], Trim::Ends(8)), Some((f64::NEG_INFINITY, 1)));
        assert!(two(&[1.0; 4], &[1.0; 4], Trim::Nothing).is_none());
        // Of four groups: what one difference has more than another.
        let groups: [(f64, &[f64]); 4] = [(1.0, &b), (-1.0, &a), (-1.0, &a), (1.0, &a)];
        let (t, free) = t_of(&groups, Trim::Ends(4)).unwrap();
        assert!(close(t, 10.0 / (4.0 * 26.0 / 16.0 * 0.8_f64).sqrt()) && free == 16, "{t} {free}");
    }
}
