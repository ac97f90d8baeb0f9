//! How often the judge is right: distributions as a busy machine makes them, drawn with fixed seeds, and the real runs that
//! are kept in `docs/bench`.

use super::*;
use crate::record::{Record, Run};
use crate::report::samples;

/// SplitMix64, and normal variables by Box and Muller.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt(), std::f64::consts::TAU * self.unit());
        radius * angle.cos()
    }
}

/// A machine: how much single runs vary, how much its speed wanders in the course of a record, and between records.
#[derive(Clone, Copy)]
struct Busy {
    runs: f64,
    wandering: f64,
    records: f64,
    /// How often a run takes two to six times as long.
    outliers: f64,
}

/// Two cores, and others at work on them.
const BUSY: Busy = Busy { runs: 0.07, wandering: 0.03, records: 0.10, outliers: 0.005 };

/// The same with a bit more of everything, and up to twice as fast at another time.
const SHARED: Busy = Busy { runs: 0.10, wandering: 0.05, records: 0.25, outliers: 0.03 };

/// A record of one row and its peer, of these times without noise.
fn measured(noise: &mut Noise, busy: Busy, repeat: usize, ours: f64, theirs: Option<f64>) -> Record {
    let mut record = samples::record();
    record.rows.truncate(2);
    record.repeat = repeat as u32;
    let mut speed = (busy.records * noise.normal()).exp();
    let time = |noise: &mut Noise, base: f64, speed: f64| {
        let outlier = if noise.unit() < busy.outliers { 2.0 + 4.0 * noise.unit() } else { 1.0 };
        base * speed * (busy.runs * noise.normal()).exp() * outlier
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        speed *= (busy.wandering * noise.normal()).exp();
        a.push(time(noise, ours, speed));
        b.push(time(noise, theirs.unwrap_or(1.0), speed));
    }
    record.rows[0].runs = samples::runs(&a, true);
    record.rows[1].runs = samples::runs(&b, false);
    if theirs.is_none() {
        record.rows[0].peer = None;
        record.rows.truncate(1);
    }
    record
}

/// 300 frames in 0.33 s, and a peer that takes a bit longer; what a millisecond a frame makes of it.
const BASE: f64 = 0.333;
const PEER: f64 = 0.364;
const PLANTED: f64 = BASE + 0.3;

/// In how many of `trials` the one row is slower.
fn slower(trials: u64, busy: Busy, repeat: usize, new: f64, peer: Option<f64>) -> u64 {
    let one = |seed: u64| {
        let mut noise = Noise(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ repeat as u64);
        let old = measured(&mut noise, busy, repeat, BASE, peer);
        let new = measured(&mut noise, busy, repeat, new, peer);
        u64::from(judge(&old, &new).regressed())
    };
    (0..trials).map(one).sum()
}

#[test]
fn the_same_program_is_not_called_slower() {
    let still = Busy { records: 0.0, ..SHARED };
    for repeat in [3, 5, 7, 9, 15] {
        // Less than one in a thousand, with and without a peer; a record whose machine was as fast as before has to be
        // assumed where there is no peer.
        let found = slower(4_000, SHARED, repeat, BASE, Some(PEER));
        assert!(found < 4, "{repeat} runs with a peer: {found} of 4000");
        let steady = Busy { wandering: 0.0, ..still };
        let found = slower(4_000, steady, repeat, BASE, None);
        assert!(found < 4, "{repeat} runs alone: {found} of 4000");
    }
}

/// Records that are neither as long nor as restless as each other: runs, and what they vary by, of the old and the new.
fn slower_unlike(trials: u64, old: (usize, f64), new: (usize, f64), peer: Option<f64>) -> u64 {
    let quiet = Busy { runs: 0.0, wandering: 0.0, records: 0.0, outliers: 0.0 };
    let one = |seed: u64| {
        let mut noise = Noise(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ old.0 as u64);
        let mut record =
            |(repeat, runs): (usize, f64)| measured(&mut noise, Busy { runs, ..quiet }, repeat, BASE, peer);
        let (old, new) = (record(old), record(new));
        u64::from(judge(&old, &new).regressed())
    };
    (0..trials).map(one).sum()
}

#[test]
fn few_restless_runs_beside_many_calm_ones_prove_nothing() {
    for (many, few) in [(30, 5), (30, 7), (15, 3), (40, 9)] {
        for peer in [None, Some(PEER)] {
            for (old, new) in [((many, 0.02), (few, 0.2)), ((few, 0.2), (many, 0.02))] {
                let found = slower_unlike(2_000, old, new, peer);
                assert!(found < 6, "{old:?}, then {new:?}, {peer:?}: {found} of 2000");
            }
        }
    }
}

#[test]
fn times_that_never_vary_are_judged() {
    let steady =
        |times: f64| line(|record| record.rows[0].runs.iter_mut().for_each(|run| run.wall_s = times));
    let constant = |new: f64| {
        let mut old = samples::record();
        old.rows.truncate(1);
        old.rows[0].peer = None;
        old.rows[0].runs.iter_mut().for_each(|run| run.wall_s = 0.5);
        let mut record = old.clone();
        record.rows[0].runs.iter_mut().for_each(|run| run.wall_s = new);
        judge(&old, &record).rows.swap_remove(0).verdict
    };
    assert_eq!(constant(0.6), Verdict::Slower);
    assert_eq!(constant(0.4), Verdict::Faster);
    assert_eq!(constant(0.5), Verdict::Same);
    assert_eq!(steady(0.7).verdict, Verdict::Slower);
}

#[test]
fn a_millisecond_a_frame_is_found() {
    let found = slower(5_000, BUSY, 9, PLANTED, Some(PEER));
    assert!(found > 4_995, "with a peer: {found} of 5000");
    let alone = Busy { records: 0.0, wandering: 0.0, ..BUSY };
    let found = slower(5_000, alone, 9, PLANTED, None);
    assert!(found > 4_995, "alone: {found} of 5000");
    // What is not sure there is called unclear, not the same.
    let found = slower(2_000, SHARED, 9, PLANTED, Some(PEER));
    assert!(found > 1_800, "on the worse machine: {found} of 2000");
}

/// Real runs, of processes that took turns on the simulated encoder: the record of a machine as they are kept.
fn kept(text: &str) -> Record {
    let mut record = samples::record();
    record.rows.clear();
    record.machine.simulated = true;
    for line in text.lines() {
        let run: serde_json::Value = serde_json::from_str(line).unwrap();
        if run["counted"] != true || run["status"] != 0 {
            continue;
        }
        let more = format!("/{}/{}", run["what"].as_str().unwrap(), run["engine_ms"]);
        let program = run["row"].as_str().unwrap();
        let row = samples::row("encode", "any", program, &more, &[]);
        let at = record.rows.iter().position(|known| known.id == row.id).unwrap_or_else(|| {
            record.rows.push(row);
            record.rows.len() - 1
        });
        record.rows[at].runs.push(Run {
            round: u32::try_from(run["turn"].as_u64().unwrap()).unwrap(),
            wall_s: run["wall_s"].as_f64().unwrap(),
            load: run["load"].as_f64(),
            ..Run::default()
        });
    }
    assert_eq!(record.rows.len(), 32);
    record
}

const QUIET: &str = include_str!("../../../../../docs/bench/nvenc-simulated/processes/runs.jsonl");
const LOADED: &str = include_str!("../../../../../docs/bench/nvenc-simulated/processes-shared/runs.jsonl");

/// A millisecond for each frame of every run of ours.
fn planted(record: &Record) -> Record {
    let mut slow = record.clone();
    for row in slow.rows.iter_mut().filter(|row| row.program == "video-hw") {
        let frames = if row.id.contains("300 frames") { 0.3 } else { 1.0 };
        row.runs.iter_mut().for_each(|run| run.wall_s += frames);
    }
    slow
}

#[test]
fn four_times_the_time_on_a_loaded_machine_is_the_machine() {
    let (quiet, loaded) = (kept(QUIET), kept(LOADED));
    let found = judge(&quiet, &loaded);
    assert!(!found.regressed(), "{}", found.summary());
    let risen = found.rows.iter().filter(|row| row.time.unwrap().times > 1.25).count();
    assert_eq!(risen, 16, "all took a quarter longer or more");
    assert!(!judge(&loaded, &quiet).regressed());
}

#[test]
fn a_planted_slowdown_of_real_runs_is_found() {
    // In front of everything else: three runs each are enough where they hardly vary, on both sides alike.
    let quiet = kept(QUIET);
    let found = judge(&quiet, &planted(&quiet));
    let (slower, unclear) = (found.count(Verdict::Slower), found.count(Verdict::Unclear));
    assert!(slower >= 12 && slower + unclear == 16, "{}", found.summary());
    // Among other processes seven runs show half of it; of no row it is said that nothing happened.
    let loaded = kept(LOADED);
    let found = judge(&loaded, &planted(&loaded));
    let (slower, unclear) = (found.count(Verdict::Slower), found.count(Verdict::Unclear));
    assert!(slower >= 7 && slower + unclear == 16, "{}", found.summary());
}

fn line(change: impl Fn(&mut Record)) -> Line {
    let old = samples::record();
    let mut new = old.clone();
    change(&mut new);
    judge(&old, &new).rows.swap_remove(0)
}

fn slow(record: &mut Record) {
    record.rows[0].runs.iter_mut().for_each(|run| run.wall_s *= 1.2);
}

#[test]
fn only_equals_are_compared() {
    let same = line(|_| ());
    assert_eq!((same.verdict, same.judged_by), (Verdict::Same, By::TimeAndRatio));
    assert_eq!(line(slow).verdict, Verdict::Slower);
    let refused = |change: fn(&mut Record), message: &str| {
        let found = line(|record| {
            slow(record);
            change(record);
        });
        let why = found.why.unwrap_or_default();
        assert!(found.verdict == Verdict::NotComparable && why.contains(message), "{message}: {why}");
    };
    refused(|r| r.rows[0].input.frames = 301, "300 frames, now 301 frames");
    refused(|r| r.rows[0].input.width = 64, "640x360, now 64x360");
    refused(|r| r.machine.simulated = true, "one is simulated");
    refused(|r| r.rows[0].backend = "software".to_owned(), "decode h264 software now");
    refused(|r| drop(r.rows[0].settings.insert("gop".into(), "30".into())), "gop was 60 and is 30 now");
    refused(|r| drop(r.rows[0].settings.insert("bframes".into(), "2".into())), "bframes was not set");
    let said = line(|r| drop(r.rows[0].settings.insert("equal-raw-input".into(), "yes".into())));
    assert_eq!(said.verdict, Verdict::Same);
    // Another name of the same bytes is the same input.
    let renamed = |sum: &'static str| {
        let mut old = samples::record();
        old.rows[0].input.md5 = Some("a".to_owned());
        let mut new = old.clone();
        new.rows[0].input.name = "other.mp4".to_owned();
        new.rows[0].input.md5 = Some(sum.to_owned());
        judge(&old, &new).rows.swap_remove(0).verdict
    };
    assert_eq!((renamed("a"), renamed("b")), (Verdict::Same, Verdict::NotComparable));
}

#[test]
fn another_machine_leaves_the_ratio() {
    let other = |record: &mut Record| {
        record.machine.cpu = "Another CPU".to_owned();
        for row in &mut record.rows {
            row.runs.iter_mut().for_each(|run| run.wall_s *= 3.0);
        }
    };
    let found = line(other);
    assert_eq!((found.verdict, found.judged_by), (Verdict::Same, By::Ratio));
    let found = line(|record| {
        other(record);
        slow(record);
    });
    assert_eq!((found.verdict, found.judged_by), (Verdict::Slower, By::Ratio));
    // Another ffmpeg is another peer: nothing is left to judge by.
    let found = line(|record| {
        other(record);
        record.machine.versions.insert("ffmpeg".into(), "8.0".into());
    });
    assert_eq!(found.verdict, Verdict::NotComparable);
    // So is one that decodes with something else.
    let found = line(|record| {
        other(record);
        record.rows[1].settings.insert("decoder".into(), "av1".into());
    });
    assert_eq!(found.verdict, Verdict::NotComparable);
    let mut new = samples::record();
    other(&mut new);
    new.machine.versions.insert("ffmpeg".into(), "8.0".into());
    let notes = judge(&samples::record(), &new).notes.join("\n");
    assert!(notes.contains("Another CPU") && notes.contains("ffmpeg was 7.1 and is 8.0 now"), "{notes}");
}

#[test]
fn rows_that_come_go_and_break() {
    let old = samples::record();
    let mut new = old.clone();
    new.rows[0].runs.clear();
    new.rows[0].failed = Some("the driver is gone".to_owned());
    new.rows[2].id.push_str("/more");
    let found = judge(&old, &new);
    let verdicts: Vec<_> = found.rows.iter().map(|row| row.verdict).collect();
    assert_eq!(verdicts, [Verdict::Broken, Verdict::New, Verdict::Same, Verdict::Gone]);
    assert!(found.regressed() && found.rows[0].why.as_deref() == Some("the driver is gone"));
    assert_eq!(found.summary(), "1 BROKEN, 1 same, 1 new, 1 not measured now");
}

#[test]
fn what_is_not_sure_says_what_would_make_it_so() {
    // Without a peer: a machine that had more to do, and too few runs.
    let alone = |record: &mut Record| {
        record.rows.truncate(1);
        record.rows[0].peer = None;
    };
    let (mut old, mut new) = (samples::record(), samples::record());
    alone(&mut old);
    alone(&mut new);
    slow(&mut new);
    assert_eq!(judge(&old, &new).rows[0].verdict, Verdict::Slower);
    let mut busy = new.clone();
    busy.rows[0].runs.iter_mut().for_each(|run| run.load = Some(6.0));
    let found = judge(&old, &busy);
    let why = found.rows[0].why.clone().unwrap();
    assert!(found.rows[0].verdict == Verdict::Unclear && why.contains("load was 0.5 and is 6.0"), "{why}");
    old.rows[0].runs.truncate(2);
    new.rows[0].runs.truncate(2);
    let found = judge(&old, &new);
    let why = found.rows[0].why.clone().unwrap();
    assert!(found.rows[0].verdict == Verdict::Unclear && why.contains("repeat at least 7 times"), "{why}");
    // With one: the peer alone got faster.
    let found = line(|record| record.rows[1].runs.iter_mut().for_each(|run| run.wall_s *= 0.8));
    let why = found.why.unwrap();
    assert!(found.verdict == Verdict::Unclear && why.contains("the time is not"), "{why}");
    // Both got slower alike.
    let found = line(|record| {
        for row in &mut record.rows {
            row.runs.iter_mut().for_each(|run| run.wall_s *= 1.4);
        }
    });
    assert!(found.verdict == Verdict::Same && found.why.unwrap().contains("it was the machine"));
    // So much slower that nothing can be said.
    let found = line(|record| {
        for row in &mut record.rows {
            row.runs.iter_mut().for_each(|run| run.wall_s *= 2.0);
        }
    });
    assert!(found.verdict == Verdict::Unclear && found.why.unwrap().contains("changed too much"));
}
