//! Ctrl-C, SIGTERM and SIGHUP, on Windows Ctrl-C and Ctrl-Break: the first asks the job to finish what it has, the second ends it at once.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use video_hw::Result;
use video_hw::output_file::OutputFile;
use video_hw::pipeline::CancelToken;

use crate::text;

/// The exit code of a job that was cancelled: 128 + SIGINT, as shells tell of it.
pub const EXIT_CODE: u8 = 130;

/// How often the watching thread looks around.
const POLL: Duration = Duration::from_millis(20);
/// Signals this close together are one: `timeout` sends its signal to the process and to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);
/// So long a signal is waited for that was sent together with one that has come.
const SAME_MOMENT: Duration = Duration::from_millis(1);
/// How long an aborted job may take to remove its temporary file before the process ends regardless.
const ABORT_LIMIT: Duration = Duration::from_secs(1);
/// How long a cancelled job that writes to a pipe may stand still: a reader that takes nothing any more
/// must not keep the process.
const STUCK_LIMIT: Duration = Duration::from_millis(700);

/// The user's wishes, as a running job sees them.
#[derive(Clone, Default)]
pub struct Interrupts {
    /// Cancelled by the first signal.
    pub token: CancelToken,
    abort: Arc<AtomicBool>,
    /// Signs of life of the job.
    beats: Arc<AtomicU64>,
}

/// What unwinds through a job that is aborted.
pub struct Aborted;

impl Interrupts {
    /// Takes over the signals, for a job that writes to `output`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install(quiet: bool, output: Option<&Path>) -> Result<Self> {
        let mut signals = signals::Signals::register()?;
        let interrupts = Self::default();
        let watcher = interrupts.clone();
        let leaves_nothing = output.is_none_or(OutputFile::is_written_directly);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watcher.watch(&mut signals, quiet, leaves_nothing))
            .map_err(|e| video_hw::Error::io("start a thread for", "Ctrl-C", e))?;
        Ok(interrupts)
    }

    fn watch(&self, signals: &mut signals::Signals, quiet: bool, leaves_nothing: bool) {
        while !signals.arrived(POLL) {}
        let first = Instant::now();
        self.token.cancel();
        // What has come with it is the same, however late this thread is with what follows: a process is signalled
        // by itself and as one of its group, hardly more often.
        for _ in 0..4 {
            if !signals.arrived(SAME_MOMENT) {
                break;
            }
        }
        if !quiet {
            say("finishing the output; once more to abort");
        }
        let mut alive = (self.beats.load(Ordering::Relaxed), Instant::now());
        loop {
            if signals.arrived(POLL) && first.elapsed() > SAME_SIGNAL {
                break;
            }
            let beats = self.beats.load(Ordering::Relaxed);
            if beats != alive.0 {
                alive = (beats, Instant::now());
            }
            if leaves_nothing && alive.1.elapsed() > STUCK_LIMIT {
                say("error: cancelled; the output is not complete, because nobody reads it");
                end();
            }
        }
        self.abort.store(true, Ordering::Relaxed);
        if leaves_nothing {
            say("error: aborted; the output is not complete");
        } else {
            std::thread::sleep(ABORT_LIMIT);
        }
        end();
    }

    /// A sign of life of a job that cannot be unwound where it stands.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Called by a job again and again. After the second signal it unwinds, and with that the job's unfinished
    /// output goes away: it is removed by whoever owns it.
    pub fn check_abort(&self) {
        self.beat();
        if self.abort.load(Ordering::Relaxed) {
            std::panic::resume_unwind(Box::new(Aborted));
        }
    }
}

fn say(what: &str) {
    let mut stderr = stderr().lock();
    // On a terminal a progress line stands there, which is left alone.
    let line_end = if stderr.is_terminal() { "\n" } else { "" };
    // Standard error may be closed.
    let _ = writeln!(stderr, "{line_end}video-hw: {}", text::printable(what));
}

/// Without the exit handlers of a driver that other threads may be inside of.
#[cfg_attr(windows, allow(unsafe_code, reason = "a call of the system"))]
fn end() -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(i32::from(EXIT_CODE));
    #[cfg(windows)]
    {
        use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
        // SAFETY: the handle means this process, and needs no closing. Files go with their handles.
        unsafe { TerminateProcess(GetCurrentProcess(), u32::from(EXIT_CODE)) };
        std::process::abort()
    }
}

#[cfg(unix)]
mod signals {
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::low_level::pipe;
    use video_hw::{Error, Result};

    /// One byte for each signal.
    pub(super) struct Signals(UnixStream);

    impl Signals {
        pub(super) fn register() -> Result<Self> {
            let failed = |e| Error::io("install a signal handler for", "Ctrl-C", e);
            let (signals, handler) = UnixStream::pair().map_err(failed)?;
            let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
            for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
                handler.try_clone().and_then(|h| pipe::register(signal, h)).map_err(failed)?;
            }
            Ok(Self(signals))
        }

        /// Waits at most `limit` for a signal.
        pub(super) fn arrived(&mut self, limit: Duration) -> bool {
            if self.0.set_read_timeout(Some(limit)).is_err() {
                std::thread::sleep(limit);
            }
            loop {
                match self.0.read(&mut [0]) {
                    Ok(n) => return n > 0,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return false,
                }
            }
        }
    }

    /// Whether the process was started with the signal ignored, as `nohup` does with SIGHUP.
    #[allow(unsafe_code, reason = "a call of the system: not every one has /proc")]
    fn is_ignored(signal: i32) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: nothing is changed; what is there now is written to a structure that may hold zeros as well.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }
}

#[cfg(windows)]
#[allow(unsafe_code, reason = "a function that the system calls")]
mod signals {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use video_hw::{Error, Result};
    use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
    use windows_sys::core::BOOL;

    static ARRIVED: AtomicBool = AtomicBool::new(false);

    /// Called on a thread of the system's. When the console is closed the system ends the process whatever is answered, and
    /// what such a process leaves is nothing: unfinished files go with it.
    unsafe extern "system" fn on_event(event: u32) -> BOOL {
        let ours = matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT);
        ARRIVED.fetch_or(ours, Ordering::Relaxed);
        BOOL::from(ours)
    }

    pub(super) struct Signals;

    impl Signals {
        pub(super) fn register() -> Result<Self> {
            // SAFETY: the function stays where it is, may be called on any thread, and does not unwind.
            if unsafe { SetConsoleCtrlHandler(Some(on_event), 1) } == 0 {
                let why = std::io::Error::last_os_error();
                return Err(Error::io("install a handler for", "Ctrl-C", why));
            }
            Ok(Self)
        }

        #[allow(clippy::unused_self, reason = "as on other systems")]
        pub(super) fn arrived(&mut self, limit: Duration) -> bool {
            std::thread::sleep(limit);
            ARRIVED.swap(false, Ordering::Relaxed)
        }
    }
}
