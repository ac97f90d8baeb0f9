//! What the driver reads from the process's environment when it starts.

/// Channels by which the host gives work to a device. Eight are made with each context by default, for programs whose
/// kernels from several streams should run side by side. One is enough for copies and short conversions, and a context with
/// one begins and ends 0.09 s sooner (H200, driver 580.159: 303 frames of H.264 in 0.755 s instead of 0.844 s; with all engines
/// at work nothing is slower, docs/bench/h200.md).
const CONNECTIONS: &str = "CUDA_DEVICE_MAX_CONNECTIONS";

/// Asks for one channel, where nobody has said how many and no other thread could be reading the environment. Whether it
/// did.
pub(crate) fn ask_for_one_channel() -> bool {
    if std::env::var_os(CONNECTIONS).is_some() || !is_alone() {
        return false;
    }
    // SAFETY: no other thread is there that could read or write the environment, and none can come while this one is in
    // here.
    unsafe { std::env::set_var(CONNECTIONS, "1") };
    true
}

/// Whether this is the process's only thread.
fn is_alone() -> bool {
    // Linux tells; elsewhere nobody is asked, and everything stays as it is.
    cfg!(target_os = "linux")
        && std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    // What a process with one thread does is tested from outside: cli/tests/cli/environment.rs.
    #[test]
    fn among_other_threads_nothing_is_changed() {
        let before = std::env::var_os(CONNECTIONS);
        std::thread::scope(|scope| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            assert!(!ask_for_one_channel());
            assert_eq!(std::env::var_os(CONNECTIONS), before);
            drop(done);
        });
    }
}
