//! What docs/ring.md says of rings of several sizes, reckoned as the example does it.

#[path = "../../examples/ring_jitter/source.rs"]
mod source;

use std::time::Duration;

use source::{Jitter, Reckoned, arrivals, reckon};

const HOUR: Duration = Duration::from_secs(3600);

fn hour(jitter: Jitter, seed: u64, ring: usize, encoder_ms: u64, prefill: u32) -> Reckoned {
    reckon(arrivals(jitter, seed), HOUR, ring, Duration::from_millis(encoder_ms), prefill)
}

#[test]
fn frames_come_as_it_is_said() {
    for jitter in ["intervals", "independent", "delays"] {
        let times: Vec<_> = arrivals(jitter.parse().unwrap(), 7).take(30_001).collect();
        let intervals: Vec<_> =
            times.windows(2).map(|pair| pair[1].as_secs_f64() - pair[0].as_secs_f64()).collect();
        let mean = intervals.iter().sum::<f64>() / 30_000.0;
        assert!((mean - 0.033).abs() < 0.0005, "{jitter}: {mean}");
        let longest = intervals.iter().copied().fold(0.0, f64::max);
        assert!((0.07..0.12).contains(&longest), "{jitter}: {longest}");
        if jitter == "intervals" {
            // The mean holds over each second, which is what makes a ring of a fixed size enough.
            for second in intervals.chunks(30) {
                assert!((second.iter().sum::<f64>() - 0.99).abs() < 1e-5, "{second:?}");
            }
        }
    }
    assert!("waves".parse::<Jitter>().is_err());
}

#[test]
fn a_ring_of_32_is_enough_where_something_ties_the_frames_to_a_clock() {
    for seed in 0..20 {
        let told = hour(Jitter::Intervals, seed, 32, 33, 0);
        assert!(told.frames > 109_000 && told.lost == 0 && told.gaps < 200, "{seed}: {told:?}");
        let late = hour(Jitter::Intervals, seed, 32, 33, 16);
        assert_eq!((late.lost, late.gaps), (0, 0), "{seed}");
        // Every frame late by so much at most: the longest delay is enough.
        let delays = hour(Jitter::Delays, seed, 4, 33, 4);
        assert_eq!((delays.lost, delays.gaps), (0, 0), "{seed}");
    }
}

#[test]
fn no_ring_holds_a_source_that_nothing_ties_to_a_clock() {
    for seed in 0..5 {
        let losses = [4, 8, 16, 32].map(|ring| hour(Jitter::Independent, seed, ring, 33, 0).lost);
        assert!(losses.is_sorted_by(|a, b| a > b) && losses[3] > 100, "{losses:?}");
        assert_eq!(hour(Jitter::Independent, seed, 32, 30, 0).lost, 0, "a tenth of room is enough");
    }
}
