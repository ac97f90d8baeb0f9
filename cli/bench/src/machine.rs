//! Where a record is made: what this machine is, and how busy.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use video_hw::backend::BackendKind;

use super::abilities::Abilities;
use super::peer::Peer;
use super::record::Machine;

/// Identifier of the card of the simulated driver (`sims/nvidia/`): its name in hexadecimal.
const SIMULATED: &str = "6e767369-6d20-7369-6d75-6c6174656400";

pub(crate) fn describe(abilities: &Abilities, peer: Option<&Peer>) -> Machine {
    let mut versions = BTreeMap::new();
    if let Some(peer) = peer {
        versions.insert("ffmpeg".to_owned(), peer.version.clone());
    }
    if let Some(driver) = nvidia_driver() {
        versions.insert("nvidia".to_owned(), driver);
    }
    let mut devices = Vec::new();
    let mut simulated = false;
    for (kind, device) in abilities.devices() {
        let name = device["name"].as_str().unwrap_or("a device without a name");
        if kind == BackendKind::Ffmpeg {
            // No card, but a program; its version is known.
            continue;
        }
        let here = device["id"].as_str().is_some_and(|id| id.contains(SIMULATED));
        simulated |= here && kind == BackendKind::Nvidia;
        let message = if here { " (simulated)" } else { "" };
        devices.push(match device["memory_bytes"].as_u64().unwrap_or(0) >> 20 {
            0 => format!("{name}{message}"),
            mib => format!("{name}{message}, {mib} MiB"),
        });
    }
    Machine {
        cpu: cpu(),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory_bytes: memory(),
        system: system(),
        devices,
        versions,
        simulated,
        load: load().into_iter().collect(),
    }
}

/// One-minute load average.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = name.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| format!(", {}", name.trim_matches('"'))).unwrap_or_default();
    format!("{} {} {}{name}", std::env::consts::OS, release.trim(), std::env::consts::ARCH)
}

/// The version of the kernel's part of the driver, where that is loaded.
fn nvidia_driver() -> Option<String> {
    fs::read_to_string("/sys/module/nvidia/version").ok().map(|version| version.trim().to_owned())
}

/// The time now, RFC 3339, UTC.
pub(crate) fn now() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn rfc3339(since: Duration) -> String {
    let seconds = since.as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years; the year begins in March, so that the leap day is its last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |seconds| rfc3339(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
