//! The model of time: engines that are busy for as long as the configuration says, and waits that end on time.

use std::cmp::Reverse;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

/// N equal engines. Work is given to the one that is free first, and starts no earlier than that.
#[derive(Debug)]
pub struct EngineBank {
    engines: Mutex<Vec<Engine>>,
}

#[derive(Debug, Clone, Copy)]
struct Engine {
    free_at: Instant,
    usage: Usage,
}

/// What an engine was given to do, for the report: in the model's time, whatever the machine was busy with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Pieces of work.
    pub pictures: u64,
    /// How long they take, together.
    pub busy_ns: u64,
}

impl EngineBank {
    /// A bank of `engines` idle engines. Where there are none, nothing has to wait for one.
    pub fn new(engines: usize) -> Self {
        let idle = Engine { free_at: Instant::now(), usage: Usage::default() };
        Self { engines: Mutex::new(vec![idle; engines]) }
    }

    /// Books `work` where it can begin first, no earlier than `ready`; answers when it will be done. Among engines
    /// on which it begins at the same time it takes the one that was busy last, so that no engine is left with a gap
    /// that nobody can book any more.
    /// `ready` is how a session keeps its own pictures in order: pass the end of its previous picture where the
    /// hardware runs the pictures of one session one after another.
    pub fn book(&self, ready: Instant, work: Duration) -> Instant {
        let mut engines = self.engines.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let best =
            engines.iter_mut().min_by_key(|engine| (engine.free_at.max(ready), Reverse(engine.free_at)));
        let Some(engine) = best else { return ready + work };
        engine.free_at = engine.free_at.max(ready) + work;
        engine.usage.pictures += 1;
        engine.usage.busy_ns =
            engine.usage.busy_ns.saturating_add(u64::try_from(work.as_nanos()).unwrap_or(u64::MAX));
        engine.free_at
    }

    /// What each engine was given so far; nothing while another thread books: for the report at exit.
    pub fn usage(&self) -> Vec<Usage> {
        self.engines
            .try_lock()
            .map_or_else(|_| Vec::new(), |engines| engines.iter().map(|engine| engine.usage).collect())
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
        // Far off: the engines are free before, however long the test is kept waiting.
        let start = Instant::now() + Duration::from_secs(3600);
        let one = EngineBank::new(1);
        let last = (0..10).map(|_| one.book(start, ms)).last().unwrap();
        assert_eq!(last, start + 10 * ms);
        let two = EngineBank::new(2);
        let last = (0..10).map(|_| two.book(start, ms)).last().unwrap();
        assert_eq!(last, start + 5 * ms);
        assert_eq!(two.usage(), [Usage { pictures: 5, busy_ns: 5_000_000 }; 2]);
    }

    #[test]
    fn sessions_that_book_ahead_do_not_block_each_other() {
        let ms = Duration::from_millis(1);
        let start = Instant::now() + Duration::from_secs(3600);
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
