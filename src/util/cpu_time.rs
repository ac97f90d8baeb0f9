//! CPU time, in user and system mode: unlike time by the clock it does not grow while the machine does something else.

use std::time::Duration;

#[cfg(windows)]
pub(crate) use super::windows::{cpu_time_of_process as of_process, cpu_time_of_thread as of_thread};

/// CPU time of the calling thread since it began.
#[cfg(unix)]
pub(crate) fn of_thread() -> Duration {
    read(rustix::time::ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process.
#[cfg(unix)]
pub(crate) fn of_process() -> Duration {
    read(rustix::time::ClockId::ProcessCPUTime)
}

#[cfg(unix)]
fn read(clock: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_of_this_thread_counts() {
        // Other tests run meanwhile, so that the process may have more at any time.
        let (thread, process) = (of_thread(), of_process());
        std::thread::sleep(Duration::from_millis(200));
        assert!(of_thread().saturating_sub(thread) < Duration::from_millis(100));
        let mut sum = 0_u64;
        while of_thread().saturating_sub(thread) < Duration::from_millis(100) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(of_process().saturating_sub(process) >= Duration::from_millis(80));
    }
}
