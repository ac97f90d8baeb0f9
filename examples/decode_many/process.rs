//! What the system says of this process.

/// A figure of `/proc/self/status` in KiB; `None` where there is no such file.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Memory in use now, in KiB.
pub(crate) fn resident_kib() -> Option<u64> {
    status("VmRSS")
}

/// The most memory that was ever in use, in KiB.
pub(crate) fn peak_resident_kib() -> Option<u64> {
    status("VmHWM")
}

/// Threads that exist now.
pub(crate) fn threads() -> Option<u64> {
    status("Threads")
}

/// Open files, sockets and devices.
pub(crate) fn open_files() -> Option<u64> {
    std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64)
}
