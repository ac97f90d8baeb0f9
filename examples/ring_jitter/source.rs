//! When frames come, and what becomes of them as reckoned: no clock, no threads.

use std::str::FromStr;
use std::time::Duration;

/// From frame to frame on the average, in seconds.
const MEAN: f64 = 0.033;
/// The longest interval, or delay.
const LONGEST: f64 = 0.080;

/// How frames are uneven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jitter {
    /// Any order of short and long intervals, whose mean holds over each second: a camera behind a network.
    Intervals,
    /// Each interval by itself: the mean holds only in the very long run.
    Independent,
    /// Even frames, each late by itself; none overtakes another.
    Delays,
}

impl FromStr for Jitter {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "intervals" => Ok(Self::Intervals),
            "independent" => Ok(Self::Independent),
            "delays" => Ok(Self::Delays),
            _ => Err(format!("--jitter is intervals, independent or delays, not {s:?}")),
        }
    }
}

/// The times at which frames come, from the first one on, without end.
pub(crate) fn arrivals(jitter: Jitter, seed: u64) -> impl Iterator<Item = Duration> {
    let mut random = Random(seed);
    let mut last = 0.0_f64;
    let mut second = Vec::new();
    (0_u64..).map(move |number| {
        if number > 0 {
            last = match jitter {
                Jitter::Intervals => {
                    if second.is_empty() {
                        second = a_second(&mut random);
                    }
                    last + second.pop().unwrap_or(MEAN)
                }
                Jitter::Independent => last + interval(random.next()),
                Jitter::Delays => last.max(MEAN * number as f64 + LONGEST * random.next()),
            };
        }
        Duration::from_secs_f64(last)
    })
}

/// The interval that so large a share of all is shorter than: 0 to 80 ms, by the power that makes 33 the mean.
fn interval(share: f64) -> f64 {
    LONGEST * share.powf(LONGEST / MEAN - 1.0)
}

/// Thirty intervals, spread over the distribution, in any order.
fn a_second(random: &mut Random) -> Vec<f64> {
    const COUNT: usize = 30;
    let mut all: Vec<_> = (0..COUNT).map(|n| interval((n as f64 + 0.5) / COUNT as f64)).collect();
    let mean = all.iter().sum::<f64>() / COUNT as f64;
    for one in &mut all {
        *one *= MEAN / mean;
    }
    for last in (1..COUNT).rev() {
        all.swap(last, (random.next() * (last + 1) as f64) as usize);
    }
    all
}

/// Numbers from 0 to 1 that are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) as f64) / (1_u64 << 53) as f64
    }
}

/// What would become of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reckoned {
    pub(crate) frames: u64,
    pub(crate) lost: u64,
    /// Times that the encoder had nothing to do.
    pub(crate) gaps: u64,
}

/// Reckons so long a run: frames that come then, an encoder that takes so long for each and begins `prefill` frames late, and a
/// ring of so many frames in between.
pub(crate) fn reckon(
    arrivals: impl Iterator<Item = Duration>,
    time: Duration,
    ring: usize,
    encoder: Duration,
    prefill: u32,
) -> Reckoned {
    let mut told = Reckoned::default();
    let mut inside = 0;
    let mut free_at = encoder * prefill;
    for at in arrivals.take_while(|at| *at < time) {
        told.frames += 1;
        while inside > 0 && free_at <= at {
            inside -= 1;
            free_at += encoder;
        }
        if free_at <= at {
            told.gaps += u64::from(told.frames > 1);
            free_at = at + encoder;
        } else if inside < ring {
            inside += 1;
        } else {
            told.lost += 1;
        }
    }
    told
}
