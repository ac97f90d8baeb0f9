//! How long copies and launches take, when time is modelled: one copy engine each way and one inside the device.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::memory::MAX_DEVICES;
use crate::core::clock::{self, EngineBank};
use crate::core::config;

struct Engines {
    to_host: EngineBank,
    to_device: EngineBank,
    inside: EngineBank,
}

static ENGINES: [OnceLock<Engines>; MAX_DEVICES] = [const { OnceLock::new() }; MAX_DEVICES];

fn of(device: usize) -> Option<&'static Engines> {
    let engines = ENGINES.get(device)?;
    Some(engines.get_or_init(|| Engines {
        to_host: EngineBank::new(1),
        to_device: EngineBank::new(1),
        inside: EngineBank::new(1),
    }))
}

/// Books a copy; answers when it is done, or nothing when time is not modelled.
pub(super) fn copy(
    device: usize,
    to_host: bool,
    inside: bool,
    bytes: u64,
    ready: Instant,
) -> Option<Instant> {
    let time = &config().time;
    if !time.enabled {
        return None;
    }
    let rate = if inside { time.device_copy_bytes_per_s } else { time.host_copy_bytes_per_s };
    let engines = of(device)?;
    let bank = match (inside, to_host) {
        (true, _) => &engines.inside,
        (false, true) => &engines.to_host,
        (false, false) => &engines.to_device,
    };
    Some(bank.book(ready, clock::transfer(bytes, rate)))
}

/// The time of a kernel launch; none when time is not modelled.
pub(super) fn launch() {
    let time = &config().time;
    if time.enabled {
        clock::wait_until(Instant::now() + Duration::from_nanos(time.launch_ns));
    }
}
