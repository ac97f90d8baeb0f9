//! How often the judge is right: distributions as a busy machine makes them, drawn with fixed seeds, and the real runs that
//! are kept in `docs/bench`.

use super::super::record::Record;
use super::super::report::samples;
use super::*;

/// SplitMix64, and normal variables by Box and Muller.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
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
