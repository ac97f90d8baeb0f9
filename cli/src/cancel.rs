//! Ctrl-C and SIGTERM: the first asks the job to finish what it has, the second ends it at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use video_hw::pipeline::CancelToken;
use video_hw::{Error, Result};

use crate::exit::Exit;

/// How soon a signal is noticed.
const POLL: Duration = Duration::from_millis(20);
/// How long an aborted job may take to remove its temporary file before the process ends regardless.
const ABORT_LIMIT: Duration = Duration::from_secs(2);

/// The user's wishes, as a running job sees them.
#[derive(Clone, Default)]
pub(crate) struct Interrupts {
    /// Cancelled by the first signal.
    pub(crate) token: CancelToken,
    abort: Arc<AtomicBool>,
}

/// What unwinds through a job that is aborted.
pub(crate) struct Aborted;

impl Interrupts {
    /// Takes over SIGINT and SIGTERM.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn install(quiet: bool) -> Result<Self> {
        let arrived = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&arrived))
                .map_err(|e| Error::io("install a signal handler for", "Ctrl-C", e))?;
        }
        let interrupts = Self::default();
        let watcher = interrupts.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watcher.watch(&arrived, quiet))
            .map_err(|e| Error::io("start a thread for", "Ctrl-C", e))?;
        Ok(interrupts)
    }

    fn watch(&self, arrived: &AtomicBool, quiet: bool) {
        let wait = || {
            while !arrived.swap(false, Ordering::Relaxed) {
                std::thread::sleep(POLL);
            }
        };
        wait();
        self.token.cancel();
        if !quiet {
            let _ = writeln!(std::io::stderr(), "\nvideo-hw: finishing the output; once more to abort");
        }
        wait();
        self.abort.store(true, Ordering::Relaxed);
        std::thread::sleep(ABORT_LIMIT);
        std::process::exit(i32::from(Exit::Cancelled.code()));
    }

    /// Called by a job again and again. After the second signal it unwinds, and with that the job's unfinished
    /// output goes away: it is removed by whoever owns it.
    pub(crate) fn check_abort(&self) {
        if self.abort.load(Ordering::Relaxed) {
            std::panic::resume_unwind(Box::new(Aborted));
        }
    }
}

impl Interrupts {
    /// A job that was cancelled before its first frame came through reports an empty input; the user knows
    /// better.
    pub(crate) fn explain<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(Error::CorruptStream { .. }) if self.token.is_cancelled() => Err(Error::Cancelled),
            other => other,
        }
    }
}
