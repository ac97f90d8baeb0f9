//! Two versions of this program in one record, whose runs took turns (`--against`).
//!
//! Each run is followed by one of the other version, so other work on the machine falls on both. A row is slower if the pairs say so
//! by the rule of a [`baseline`](super::baseline): 5 % or more, and not by chance. CPU time is judged as well as the clock, because
//! other work hardly changes it. A program that takes more CPU time and surely less of the clock's is not slower.
//!
//! A row is worse if a check or a limit fails that the other version passes, or if its pictures have lost [`WORSE_DB`].

use super::baseline::{By, Comparison, Line, Shift, Verdict, WORTH};
use super::pairs::{self, Measure};
use super::words::{digits, implementations};
use crate::cases::OTHER;
use crate::record::{Judged, Record, Row};
use crate::soak::{LOST, MEMORY_UNIT};
use crate::stats;

/// Two versions of one encoder differ by less. A tenth less bit rate costs about as much.
const WORSE_DB: f64 = 0.5;

/// Share of a broken limit's value up to which the other version, at the same time, must come for the machine to be the cause.
const MACHINE: f64 = 1.0 / 3.0;

/// Lost frames of live streams, in per cent, from which on in both versions the machine is overloaded and times are not judged.
const OVERLOADED: f64 = 5.0;

/// Judges every row of this program that has one of the other version; none where no other version was measured.
pub(crate) fn judge(record: &Record) -> Option<Comparison> {
    if record.rows.iter().all(|row| row.program != OTHER) {
        return None;
    }
    let rows = pairs::own_rows(record).map(|row| line(record, row)).collect();
    let old = OTHER.to_owned();
    let new = format!("{} of {}", record.version, record.started);
    Some(Comparison { old, new, rows, notes: Vec::new() })
}

fn line(record: &Record, new: &Row) -> Line {
    let bare = |verdict, why: String| Line::bare(new, verdict, Some(why));
    let Some(old) = pairs::peer_of(record, new) else {
        let why = new.failed.clone().unwrap_or_else(|| "the other version has no such row".to_owned());
        return bare(if new.failed.is_some() { Verdict::Broken } else { Verdict::New }, why);
    };
    match (&new.failed, &old.failed) {
        (Some(why), None) => return bare(Verdict::Broken, why.clone()),
        (Some(why), Some(_)) => return bare(Verdict::NotComparable, format!("both versions fail: {why}")),
        (None, Some(why)) => return bare(Verdict::NotComparable, format!("the other version fails: {why}")),
        (None, None) => {}
    }
    let unlike = |new: &Option<String>, old: &Option<String>| new.is_some() && old.is_some() && new != old;
    if unlike(&new.decoder, &old.decoder) || unlike(&new.encoder, &old.encoder) {
        let why = format!("it was {} and is {} now", implementations(old), implementations(new));
        return bare(Verdict::NotComparable, why);
    }
    let measure = pairs::measure_of(&[Some(old), Some(new)]);
    let mut line = times(new, old, measure);
    let worse = worse(new, old);
    if !worse.is_empty() {
        (line.verdict, line.judged_by) = (Verdict::Worse, By::Nothing);
        line.why = Some(worse.join("; "));
    } else if let Some(excused) = excused(new, old) {
        line.why = Some(line.why.map_or(excused.clone(), |why| format!("{why}; {excused}")));
    }
    line
}

/// Whether more runs are needed to call a row slower, or not.
pub(crate) fn in_doubt(new: &Row, old: &Row) -> bool {
    let line = times(new, old, pairs::measure_of(&[Some(old), Some(new)]));
    new.failed.is_none() && old.failed.is_none() && matches!(line.verdict, Verdict::Slower | Verdict::Unclear)
}

/// The limits that only this version breaks, if all of them are such as other work on the machine can break: what starts a thread late delays
/// one version and not the other now and then. Memory and ledgers are the program's.
pub(crate) fn held_up(new: &Row, old: &Row) -> Option<String> {
    let broken: Vec<_> =
        new.judged.iter().filter(|limit| !limit.passed && !shared(limit, new, old)).collect();
    let machine = |limit: &&Judged| limit.limit > 0.0 && limit.unit != MEMORY_UNIT;
    (new.case == "soak" && !broken.is_empty() && broken.iter().all(machine))
        .then(|| worse(new, old).join("; "))
}

fn times(new: &Row, old: &Row, measure: Measure) -> Line {
    // Live streams take the time that they are asked to take.
    let live = matches!(new.case.as_str(), "soak" | "switch");
    let shift = |measure: Measure| {
        let mut shift = Shift::paired(&stats::log_ratios(&new.runs, &old.runs, |run| measure.of(run)))?;
        shift.judge_order(&measure.values(old), &measure.values(new));
        Some(shift)
    };
    let (time, cpu) = (shift(measure), shift(Measure::Cpu));
    let mut line = Line::bare(new, Verdict::Same, None);
    line.measure = measure.message();
    line.old_s = Some(stats::of(&measure.values(old)).p50).filter(|median| median.is_finite());
    line.new_s = Some(stats::of(&measure.values(new)).p50).filter(|median| median.is_finite());
    line.time = time.as_ref().map(|shift| shift.ratio.into());
    line.cpu = cpu.as_ref().map(|shift| shift.ratio.into());
    if live {
        return line;
    }
    let Some(time) = time else {
        (line.verdict, line.why) = (Verdict::NotComparable, Some("no runs took turns".to_owned()));
        return line;
    };
    let by_clock = time.verdict(WORTH.ln());
    let by_cpu = cpu.map(|cpu| cpu.verdict(WORTH.ln()));
    let cpu = by_cpu.as_ref().map(|(verdict, _)| *verdict);
    (line.verdict, line.judged_by, line.why) = match (by_clock.0, cpu) {
        (Verdict::Slower, _) => (Verdict::Slower, By::Time, None),
        (Verdict::Faster, _) => (Verdict::Faster, By::Time, None),
        (_, Some(Verdict::Slower)) => (Verdict::Slower, By::Cpu, None),
        // The clock is what other work on the machine moves.
        (Verdict::Unclear, Some(Verdict::Same)) => (Verdict::Same, By::Cpu, None),
        (_, Some(Verdict::Unclear)) => (Verdict::Unclear, By::Cpu, by_cpu.and_then(|(_, why)| why)),
        (verdict, _) => (verdict, By::Time, by_clock.1),
    };
    line
}

/// The checks, limits and figures in which the row is worse than the other version's.
fn worse(new: &Row, old: &Row) -> Vec<String> {
    let mut all = Vec::new();
    let checks =
        |row: &'_ Row| row.verify.iter().flat_map(|verify| verify.checks.clone()).collect::<Vec<_>>();
    let before = checks(old);
    for check in checks(new).into_iter().filter(|check| !check.passed) {
        if before.iter().all(|other| other.name != check.name || other.passed) {
            all.push(format!("{}: {}", check.name, check.found));
        }
    }
    let psnr = |row: &Row| row.verify.as_ref().and_then(|verify| verify.psnr_db);
    if let (Some(was), Some(is)) = (psnr(old), psnr(new))
        && is < was - WORSE_DB
    {
        all.push(format!("PSNR {is:.2} dB, of the other version {was:.2} dB"));
    }
    for limit in new.judged.iter().filter(|limit| !limit.passed && !shared(limit, new, old)) {
        let beside = old.judged.iter().find(|other| other.name == limit.name);
        let beside = beside
            .map_or_else(String::new, |other| format!(", of the other version {}", digits(other.value)));
        all.push(format!(
            "{}: {} {} (limit {}{beside})",
            limit.name,
            digits(limit.value),
            limit.unit,
            digits(limit.limit)
        ));
    }
    all
}

/// Whether the other version comes near the value that breaks this limit. Counts of defects have a limit of zero, and no machine
/// explains them.
fn shared(limit: &Judged, new: &Row, old: &Row) -> bool {
    let beside = old.judged.iter().find(|other| other.name == limit.name);
    let loses = |row: &Row| row.judged.iter().any(|one| one.name == LOST && one.value >= OVERLOADED);
    let near = beside.is_some_and(|other| other.value >= limit.value * MACHINE);
    limit.limit > 0.0 && (near || loses(new) && loses(old))
}

/// The checks and limits that fail in both versions.
fn excused(new: &Row, old: &Row) -> Option<String> {
    let failed = new.verify.iter().flat_map(|verify| &verify.checks).filter(|check| !check.passed);
    let limits = new.judged.iter().filter(|limit| !limit.passed && shared(limit, new, old));
    let all: Vec<_> =
        failed.map(|check| check.name.as_str()).chain(limits.map(|limit| limit.name.as_str())).collect();
    (!all.is_empty()).then(|| format!("fails in both versions: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Check, Verify};
    use crate::report::baseline::trials::Noise;
    use crate::report::samples;

    const ROUNDS: usize = 9;

    /// A row of either version whose runs take these times, by the clock and of the CPU.
    fn pair(clock: [[f64; ROUNDS]; 2], cpu: [[f64; ROUNDS]; 2]) -> Record {
        let mut record = samples::record();
        record.rows = [0, 1]
            .map(|which| {
                let mut row = samples::row(
                    "encode",
                    "h264",
                    if which == 0 { "video-hw" } else { OTHER },
                    "",
                    &clock[which],
                );
                row.runs.iter_mut().zip(cpu[which]).for_each(|(run, cpu)| run.cpu_s = Some(cpu));
                row.encoder = Some("openh264".to_owned());
                row.peer = (which == 0).then(|| format!("encode/h264/nvidia/{OTHER}"));
                row
            })
            .into();
        record
    }

    fn same() -> Record {
        pair([[0.5; ROUNDS]; 2], [[0.4; ROUNDS]; 2])
    }

    fn judged(change: impl FnOnce(&mut Row, &mut Row)) -> Line {
        let mut record = same();
        let [new, old] = &mut record.rows[..] else { panic!("two rows") };
        change(new, old);
        judge(&record).unwrap().rows.swap_remove(0)
    }

    fn verify(psnr: f64, passed: bool) -> Verify {
        let check = Check { name: "frames".to_owned(), passed, found: "89 instead of 90".to_owned() };
        Verify { checks: vec![check], psnr_db: Some(psnr) }
    }

    /// Times of a machine that others work on: each run takes up to three times as long by the clock, and its CPU time varies.
    fn noisy(noise: &mut Noise, more: f64) -> Record {
        let mut clock = [[0.0; ROUNDS]; 2];
        let mut cpu = clock;
        for round in 0..ROUNDS {
            let wanders = (0.25 * noise.normal()).exp();
            for (version, more) in [more, 0.0].into_iter().enumerate() {
                cpu[version][round] = (0.2 + more) * (0.08 * noise.normal()).exp();
                clock[version][round] = (0.2 + more) * wanders * (1.0 + 2.0 * noise.unit());
            }
        }
        pair(clock, cpu)
    }

    fn slower(more: f64) -> usize {
        let one =
            |seed: u64| judge(&noisy(&mut Noise(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)), more)).unwrap();
        (0..2_000).filter(|seed| one(*seed).rows[0].verdict == Verdict::Slower).count()
    }

    #[test]
    fn an_unchanged_version_on_a_busy_machine_is_not_slower() {
        let found = slower(0.0);
        // The canary asks twice.
        assert!(found < 8, "{found} of 2000");
    }

    #[test]
    fn a_millisecond_of_work_for_each_of_300_frames_is_found_on_a_busy_machine() {
        let found = slower(0.3);
        assert!(found > 1_995, "{found} of 2000");
    }

    /// The clock of runs that others hold up for up to seven times as long, and that cannot be shorter than they are.
    #[test]
    fn waiting_is_found_by_the_fastest_runs() {
        // In another order in each version, so that pairs say nothing.
        let held_up =
            |least: f64, turn: usize| std::array::from_fn(|n| least + 0.15 * ((n * turn) % 9) as f64);
        let found = |more: f64| {
            let record = pair([held_up(0.2 + more, 7), held_up(0.2, 2)], [[0.4; ROUNDS]; 2]);
            judge(&record).unwrap().rows[0].verdict
        };
        assert_eq!([0.0, 0.01, 1.1].map(found), [Verdict::Same, Verdict::Same, Verdict::Slower]);
    }

    #[test]
    fn waiting_shows_on_the_clock_alone() {
        let found = judged(|new, _| new.runs.iter_mut().for_each(|run| run.wall_s += 0.3));
        assert_eq!((found.verdict, found.judged_by), (Verdict::Slower, By::Time));
    }

    #[test]
    fn more_cpu_time_for_less_of_the_clocks_is_not_slower() {
        let busier = |new: &mut Row| new.runs.iter_mut().for_each(|run| run.cpu_s = Some(0.8));
        assert_eq!(judged(|new, _| busier(new)).verdict, Verdict::Slower);
        let found = judged(|new, _| {
            busier(new);
            new.runs.iter_mut().for_each(|run| run.wall_s = 0.3);
        });
        assert_eq!(found.verdict, Verdict::Faster);
    }

    #[test]
    fn a_decibel_less_is_worse() {
        let found = |is: f64| {
            judged(|new, old| (new.verify, old.verify) = (Some(verify(is, true)), Some(verify(36.0, true))))
                .verdict
        };
        assert_eq!([35.0, 35.6, 37.0].map(found), [Verdict::Worse, Verdict::Same, Verdict::Same]);
    }

    #[test]
    fn a_check_that_the_other_version_passes_is_worse() {
        let found = judged(|new, old| {
            (new.verify, old.verify) = (Some(verify(36.0, false)), Some(verify(36.0, true)));
        });
        assert_eq!((found.verdict, found.why.as_deref()), (Verdict::Worse, Some("frames: 89 instead of 90")));
        let found = judged(|new, old| {
            (new.verify, old.verify) = (Some(verify(36.0, false)), Some(verify(36.0, false)));
        });
        assert_eq!(
            (found.verdict, found.why.as_deref()),
            (Verdict::Same, Some("fails in both versions: frames"))
        );
    }

    #[test]
    fn a_limit_is_the_machines_where_both_come_near_it() {
        let limit = |name: &str, value: f64, limit: f64| {
            vec![Judged {
                name: name.to_owned(),
                value,
                limit,
                unit: "ms".to_owned(),
                passed: value <= limit,
            }]
        };
        let found = |name: &str, is: f64, was: f64, at: f64| {
            judged(|new, old| (new.judged, old.judged) = (limit(name, is, at), limit(name, was, at))).verdict
        };
        assert_eq!(found("latest frame", 540.0, 80.0, 250.0), Verdict::Worse);
        assert_eq!(found("latest frame", 300.0, 120.0, 250.0), Verdict::Same);
        let overloaded = |lost: [f64; 2]| {
            let both =
                |lost: f64, late: f64| [limit(LOST, lost, 1.0), limit("latest frame", late, 250.0)].concat();
            judged(|new, old| (new.judged, old.judged) = (both(lost[0], 900.0), both(lost[1], 40.0))).verdict
        };
        assert_eq!(
            [[60.0, 45.0], [60.0, 0.0], [2.0, 2.0]].map(overloaded),
            [Verdict::Same, Verdict::Worse, Verdict::Worse]
        );
        assert_eq!(found("latest frame", 240.0, 10.0, 250.0), Verdict::Same);
        assert_eq!(found("ledgers that do not balance", 1.0, 1.0, 0.0), Verdict::Worse);
    }

    #[test]
    fn unlike_rows_are_not_compared() {
        let found = judged(|new, _| new.encoder = Some("libx264".to_owned()));
        assert_eq!(found.verdict, Verdict::NotComparable);
        assert_eq!(found.why.as_deref(), Some("it was openh264 and is libx264 now"));
        let failed = |ours: bool, theirs: bool| {
            judged(|new, old| {
                (new.failed, old.failed) =
                    (ours.then(|| "no card".to_owned()), theirs.then(|| "no card".to_owned()));
            })
            .verdict
        };
        assert_eq!(failed(true, false), Verdict::Broken);
        assert_eq!(
            (failed(true, true), failed(false, true)),
            (Verdict::NotComparable, Verdict::NotComparable)
        );
        let again = |name: &str, unit: &str, at: f64| {
            let mut record = same();
            let [new, old] = &mut record.rows[..] else { panic!("two rows") };
            new.case = "soak".to_owned();
            let of = |value: f64| Judged {
                name: name.to_owned(),
                value,
                limit: at,
                unit: unit.to_owned(),
                passed: value <= at,
            };
            (new.judged, old.judged) = (vec![of(540.0)], vec![of(0.0)]);
            held_up(new, old).is_some()
        };
        assert!(again("latest frame", "ms", 250.0) && again(LOST, "%", 1.0));
        assert!(!again("memory of the process, growth", MEMORY_UNIT, 32.0));
        assert!(!again("ledgers that do not balance", "", 0.0) && !again("latest frame", "ms", 600.0));
        let mut record = same();
        record.rows.truncate(1);
        record.rows[0].program = OTHER.to_owned();
        assert!(judge(&record).unwrap().wrong(), "nothing was compared");
        assert!(judge(&samples::record()).is_none());
    }
}
