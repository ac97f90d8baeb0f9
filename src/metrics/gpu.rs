//! How busy the GPUs in use are. The driver is asked once a second at most, whoever wants to know.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::names::{GPU_MEMORY_TOTAL, GPU_MEMORY_USED, GPU_UTILIZATION, Metric, Side};
use super::series::Labels;
use crate::backend::{self, BackendKind};
use crate::capability::Utilization;

const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The last answers, by the device that was asked for: when, and of which card.
type Answers = BTreeMap<Option<String>, (Instant, Option<(String, Utilization)>)>;

static LAST: Mutex<Answers> = Mutex::new(BTreeMap::new());

/// Tells of the cards that sessions use. Each session is a side, the device it asked for, and its labels.
pub(super) fn ask(
    sessions: &[(&'static Side, Option<String>, Labels)],
    mut tell: impl FnMut(&'static Metric, Labels, f64),
) {
    if sessions.is_empty() {
        return;
    }
    let mut last = match LAST.try_lock() {
        Ok(last) => last,
        Err(TryLockError::Poisoned(last)) => PoisonError::into_inner(last),
        // Somebody else waits for the driver; to wait as well would not make it faster.
        Err(TryLockError::WouldBlock) => return,
    };
    last.retain(|device, _| sessions.iter().any(|(_, used, _)| used == device));
    for (side, device, labels) in sessions {
        let now = Instant::now();
        let known = last.get(device).filter(|(at, _)| now.saturating_duration_since(*at) < AT_MOST_EVERY);
        let answer = if let Some((_, answer)) = known {
            answer.clone()
        } else {
            // A card that does not answer has no figures; the session will tell what is wrong with it.
            let answer = backend::busy_device(BackendKind::Nvidia, first_of(device.as_deref()));
            let answer = answer.ok().flatten();
            last.insert(device.clone(), (now, answer.clone()));
            answer
        };
        let Some((gpu, busy)) = answer else { continue };
        let share = if side.type_label == "encoder_type" { busy.encoder } else { busy.decoder };
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
