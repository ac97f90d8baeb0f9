//! The model of time: engines that are busy for as long as the configuration says, and waits that end on time.

use std::cmp::Reverse;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// N equal engines. Work is given to the one that is free first, and starts no earlier than that.
#[derive(Debug)]
pub struct EngineBank {
    free_at: Mutex<Vec<Instant>>,
}

impl EngineBank {
    /// A bank of `engines` idle engines (at least one).
    pub fn new(engines: usize) -> Self {
        Self { free_at: Mutex::new(vec![Instant::now(); engines.max(1)]) }
    }

    /// Books `work` where it can begin first, no earlier than `ready`; answers when it will be done. Among engines
    /// on which it begins at the same time it takes the one that was busy last, so that no engine is left with a gap
    /// that nobody can book any more.
    /// `ready` is how a session keeps its own pictures in order: pass the end of its previous picture where the
    /// hardware runs the pictures of one session one after another.
    pub fn book(&self, ready: Instant, work: Duration) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let best = free_at.iter_mut().min_by_key(|free| ((**free).max(ready), Reverse(**free)));
        let Some(engine) = best else { return ready + work };
        let done = (*engine).max(ready) + work;
        *engine = done;
        done
    }
}

/// Sleeps until `deadline`. The kernel wakes sleepers a little late; the last stretch is spent yielding, so that
/// a millisecond is a millisecond.
pub fn wait_until(deadline: Instant) {
    const LATE: Duration = Duration::from_micros(120);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > LATE {
            std::thread::sleep(left - LATE);
        } else {
            std::thread::yield_now();
        }
    }
}

/// Time to move `bytes` at `bytes_per_second`; none when the rate is 0 (not modelled).
pub fn transfer(bytes: u64, bytes_per_second: u64) -> Duration {
    if bytes_per_second == 0 {
        return Duration::ZERO;
    }
    Duration::from_nanos((u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_serialises_and_two_share() {
        let ms = Duration::from_millis(1);
        let start = Instant::now() + ms;
        let one = EngineBank::new(1);
        let last = (0..10).map(|_| one.book(start, ms)).last().unwrap();
        assert_eq!(last, start + 10 * ms);
        let two = EngineBank::new(2);
        let last = (0..10).map(|_| two.book(start, ms)).last().unwrap();
        assert_eq!(last, start + 5 * ms);
    }

    #[test]
    fn sessions_that_book_ahead_do_not_block_each_other() {
        let ms = Duration::from_millis(1);
        let start = Instant::now() + ms;
        let bank = EngineBank::new(2);
        // Two sessions, each with its pictures one after another, the first four pictures ahead.
        let session = || (0..4).fold(start, |ready, _| bank.book(ready, ms));
        assert_eq!((session(), session()), (start + 4 * ms, start + 4 * ms));
    }

    #[test]
    fn a_transfer_takes_bytes_over_rate() {
        assert_eq!(transfer(3_000_000, 1_000_000_000), Duration::from_millis(3));
        assert_eq!(transfer(3_000_000, 0), Duration::ZERO);
    }
}
