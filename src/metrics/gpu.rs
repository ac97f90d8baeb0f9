//! How busy the GPUs in use are. The driver is asked once a second at most, whoever wants to know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::names::{GPU_MEMORY_TOTAL, GPU_MEMORY_USED, GPU_UTILIZATION, Metric, Side};
use super::series::Labels;
use crate::backend::{self, BackendKind, Job};
use crate::capability::Utilization;
use crate::sync::lock;

const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// What a driver said longer ago is not told any more, though it has not answered since.
const STALE: Duration = Duration::from_secs(15);

/// Which card it was, and how busy; `None`: it does not tell.
type Answer = Option<(String, Utilization)>;

static ASKED: Asked = Asked { last: Mutex::new(BTreeMap::new()), driver: Mutex::new(()) };

/// A backend, and the device that a session asked it for.
pub(super) type Card = (BackendKind, Option<String>);

/// A session on a card.
pub(super) struct User {
    /// Encoder or decoder.
    pub(super) side: &'static Side,
    /// Where it runs.
    pub(super) card: Card,
    /// Its labels.
    pub(super) labels: Labels,
}

/// The driver, and what it said last.
struct Asked {
    /// Held to read and to write only: a driver may take its time.
    last: Mutex<BTreeMap<Card, (Instant, Answer)>>,
    /// Held by the one who waits for the driver.
    driver: Mutex<()>,
}

impl Asked {
    fn last(&self) -> MutexGuard<'_, BTreeMap<Card, (Instant, Answer)>> {
        // An answer is whole or not there.
        lock(&self.last)
    }

    /// The last answer, where it is younger than this.
    fn known(&self, card: &Card, now: Instant, younger: Duration) -> Option<Answer> {
        let last = self.last();
        let (at, answer) = last.get(card)?;
        (now.saturating_duration_since(*at) < younger).then(|| answer.clone())
    }

    fn answer(&self, card: &Card, now: Instant, ask: impl FnOnce() -> Answer) -> Answer {
        if let Some(answer) = self.known(card, now, AT_MOST_EVERY) {
            return answer;
        }
        let _asking = match self.driver.try_lock() {
            Ok(asking) => asking,
            Err(TryLockError::Poisoned(asking)) => PoisonError::into_inner(asking),
            // Somebody else waits for the driver; to wait as well would not make it faster.
            Err(TryLockError::WouldBlock) => return self.known(card, now, STALE).flatten(),
        };
        // Whoever had the driver just before may have asked the same.
        if let Some(answer) = self.known(card, now, AT_MOST_EVERY) {
            return answer;
        }
        let answer = ask();
        self.last().insert(card.clone(), (now, answer.clone()));
        answer
    }
}

/// Tells of the cards that sessions use.
pub(super) fn ask(sessions: &[User], mut tell: impl FnMut(&'static Metric, Labels, f64)) {
    if sessions.is_empty() {
        return;
    }
    ASKED.last().retain(|card, _| sessions.iter().any(|user| user.card == *card));
    for User { side, card, labels } in sessions {
        let (kind, device) = card;
        let answer = ASKED.answer(card, Instant::now(), || {
            // A card that does not answer has no figures; the session will tell what is wrong with it.
            backend::busy_device(*kind, first_of(device.as_deref())).ok().flatten()
        });
        let Some((gpu, busy)) = answer else { continue };
        let share = match side.job {
            Job::Decode => busy.decoder,
            Job::Encode => busy.encoder,
        };
        if let Some(share) = share {
            let mut labels = labels.clone();
            let at = labels.iter().position(|(name, _)| *name == "stream").unwrap_or(labels.len());
            labels.insert(at, ("gpu", gpu.clone()));
            tell(&side.gpu_utilization, labels, share);
        }
        let mut whole = |metric, value: Option<f64>| {
            if let Some(value) = value {
                tell(metric, vec![("gpu", gpu.clone())], value);
            }
        };
        whole(&GPU_UTILIZATION, busy.gpu);
        whole(&GPU_MEMORY_USED, busy.memory.map(|memory| memory.used() as f64));
        whole(&GPU_MEMORY_TOTAL, busy.memory.map(|memory| memory.total as f64));
    }
}

/// Of a list of cards the first is asked; of `all` as well.
fn first_of(device: Option<&str>) -> Option<&str> {
    let first = device?.split(',').next()?.trim();
    (!first.eq_ignore_ascii_case("all")).then_some(first)
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a failure here is a failed run")]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "an answer, as the driver gives it")]
    fn busy(encoder: f64) -> Answer {
        Some(("GPU-1".to_owned(), Utilization { encoder: Some(encoder), ..Utilization::default() }))
    }

    #[test]
    fn who_comes_while_another_waits_for_the_driver_gets_the_last_answer() {
        let asked = Asked { last: Mutex::new(BTreeMap::new()), driver: Mutex::new(()) };
        let (start, card) = (Instant::now(), (BackendKind::Nvidia, None));
        let not_again = || -> Answer { panic!("asked twice") };
        assert_eq!(asked.answer(&card, start, || busy(0.25)), busy(0.25));
        assert_eq!(asked.answer(&card, start + AT_MOST_EVERY / 2, not_again), busy(0.25));
        let later = start + 2 * AT_MOST_EVERY;
        let slow = || {
            assert_eq!(asked.answer(&card, later, not_again), busy(0.25));
            assert_eq!(asked.answer(&card, start + STALE, not_again), None, "the driver hangs");
            busy(0.5)
        };
        assert_eq!(asked.answer(&card, later, slow), busy(0.5));
        assert_eq!(asked.answer(&card, later, not_again), busy(0.5));
    }
}
