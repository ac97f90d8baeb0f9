//! One run of the program: a process, its three pipes, and a thread for each.
//!
//! Whichever pipe fills first, nobody is stuck: input is carried by a thread of its own ([`super::feed`]), output and
//! messages are always being read. The process gets a group of its own, so that Ctrl-C at a terminal reaches this
//! program alone, which then ends the child properly. It never outlives its owner, and is always waited for.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::feed::{Feed, Load, Patience, Waited};
use super::messages::Messages;
use super::nut::Damage;
use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};
use crate::sync::lock;

/// Nothing moved for so long: the program hangs. Starting a GPU's driver takes up to ten seconds, and no encoder needs
/// more for a picture.
const PATIENCE: Duration = Duration::from_secs(30);
/// Once killed, the pipes are at their end at once, unless a program that this one started holds them open.
const KILLED: Duration = Duration::from_secs(2);
/// Once its output is closed, a process has nothing to do any more.
const TO_EXIT: Duration = Duration::from_secs(5);
/// Small fields of the output are read together; data goes where it belongs without this detour.
pub(super) const READ_AHEAD: usize = 16 << 10;
/// Threads of a child: input, output, messages.
const THREADS: usize = 3;

/// What the reading thread makes of the output; its error is the reason why the output is of no use.
pub(super) type ReadOutput = Box<dyn FnOnce(Output) -> std::result::Result<(), Damage> + Send>;

/// Tells whether somebody still wants results.
pub(super) type Wanted = Box<dyn Fn() -> bool + Send + Sync>;

/// The child's standard output, for the thread that reads it.
pub(super) struct Output {
    from: ChildStdout,
    feed: Arc<Feed>,
}

impl Output {
    /// Where signs of life and the wish to stop are kept.
    pub(super) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }
}

impl Read for Output {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(into)?;
        self.feed.alive(got);
        Ok(got)
    }
}

/// Options of an input by which a child opens nothing but files and pipes for it, whatever its bytes refer to.
pub(super) const ONLY_FILES_AND_PIPES: [&str; 2] = ["-protocol_whitelist", "file,pipe"];

/// A running child.
pub(super) struct Process {
    child: Child,
    feed: Arc<Feed>,
    message: Arc<Messages>,
    outcome: Arc<Mutex<Option<std::result::Result<(), Damage>>>>,
    patience: Duration,
    wanted: Wanted,
    reaped: bool,
}

/// Settings of a start.
pub(super) fn command(program: &Path, arguments: &[OsString]) -> Command {
    let program = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Libraries of ffmpeg's, as Intel's dispatcher, load others from the current directory. It needs no file of this one's.
    let home = if cfg!(windows) { program.parent() } else { Some(Path::new("/")) };
    if let Some(home) = home.filter(|home| home.is_absolute()) {
        command.current_dir(home);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    crate::util::windows::in_a_group_without_window(&mut command);
    command
}

impl Process {
    /// Starts the program; `read` runs on a thread of its own.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub(super) fn start(
        program: &Path,
        arguments: &[OsString],
        read: ReadOutput,
        wanted: Wanted,
    ) -> Result<Self> {
        Self::start_patient(program, arguments, read, wanted, PATIENCE)
    }

    /// As [`Self::start`], with another idea of how long is too long.
    pub(super) fn start_patient(
        program: &Path,
        arguments: &[OsString],
        read: ReadOutput,
        wanted: Wanted,
        patience: Duration,
    ) -> Result<Self> {
        let mut child = command(program, arguments).spawn().map_err(|error| cannot_start(program, &error))?;
        #[cfg(windows)]
        crate::util::windows::ends_with_this_process(&child);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = Arc::new(Feed::default());
        let message = Arc::new(Messages::default());
        let outcome = Arc::new(Mutex::new(None));
        let process = Self {
            child,
            feed: Arc::clone(&feed),
            message: Arc::clone(&message),
            outcome: Arc::clone(&outcome),
            patience,
            wanted,
            reaped: false,
        };
        let (Some(input), Some(output), Some(messages)) = pipes else {
            return Err(Self::failed("start", 0, "it has no pipes".to_owned()));
        };
        // A thread that cannot be started drops its pipe, and the owner kills the child.
        let writer = Arc::clone(&feed);
        thread("vhw-ffmpeg-in", &feed, move || writer.write_into(input))?;
        let from = Output { from: output, feed: Arc::clone(&feed) };
        thread("vhw-ffmpeg-out", &feed, move || {
            let feed = from.feed();
            let done = read(from);
            *lock(&outcome) = Some(done);
            feed.output_ended();
        })?;
        thread("vhw-ffmpeg-err", &feed, move || message.read(messages))?;
        Ok(process)
    }

    /// Hands a load over, waiting for room. `false`: the child takes nothing any more; [`Self::finish`] tells why.
    ///
    /// # Errors
    /// A child that hangs.
    pub(super) fn put(&mut self, load: Load) -> Result<bool> {
        let patience = Patience { limit: self.patience, wanted: &*self.wanted };
        match self.feed.put(load, &patience) {
            Waited::Done => Ok(true),
            Waited::Refused => Ok(false),
            Waited::Unwanted => {
                self.kill();
                Err(Error::Cancelled)
            }
            Waited::Hung => Err(self.hung("taken nothing")),
        }
    }

    /// Ends the input and waits until the child has said everything and is gone.
    ///
    /// # Errors
    /// A child that hangs, dies, fails, or writes what cannot be understood.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.feed.close();
        let patience = Patience { limit: self.patience, wanted: &*self.wanted };
        match self.feed.until_ended(THREADS, &patience) {
            Waited::Hung => Err(self.hung("given nothing")),
            Waited::Unwanted => {
                self.kill();
                Err(Error::Cancelled)
            }
            Waited::Done | Waited::Refused => self.settle(),
        }
    }

    /// As [`Self::finish`], but no longer than `limit`, however lively the child is.
    ///
    /// # Errors
    /// As there.
    pub(super) fn finish_within(&mut self, limit: Duration) -> Result<()> {
        self.feed.close();
        if !self.feed.ended_within(THREADS, limit) {
            self.patience = limit;
            return Err(self.hung("not ended"));
        }
        self.settle()
    }

    /// What became of a child whose pipes are closed.
    fn settle(&mut self) -> Result<()> {
        let status = self.wait()?;
        let read = lock(&self.outcome).take();
        let panicked = || Err(Damage::Broken("the thread that reads it panicked".to_owned()));
        let read = read.unwrap_or_else(panicked);
        match read {
            _ if signal(status).is_some() => Err(self.died(status)),
            // A child whose output was refused ends with an error because of that.
            Err(damage @ Damage::Broken(_)) if !self.message.is_known() => Err(self.useless(&damage)),
            _ if !status.success() => Err(self.died(status)),
            Err(damage) => Err(self.useless(&damage)),
            Ok(()) => Ok(()),
        }
    }

    /// What it had to say that is new since the last call.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.message.take_lines()
    }

    /// The process's number.
    #[cfg(all(test, unix))]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn useless(&self, damage: &Damage) -> Error {
        Self::failed("output", 0, self.message.with(&format!("the child process is of no use: {damage}")))
    }

    fn died(&self, status: ExitStatus) -> Error {
        if let Some(signal) = signal(status) {
            let name = match signal {
                6 => " (SIGABRT)",
                9 => " (SIGKILL: by hand, or by the system for want of memory)",
                11 => " (SIGSEGV)",
                15 => " (SIGTERM)",
                _ => "",
            };
            let what = format!("the child process was ended by signal {signal}{name}");
            return Self::failed("run", i64::from(signal), self.message.with(&what));
        }
        let code = i64::from(status.code().unwrap_or(-1));
        self.message.explain().unwrap_or_else(|| {
            Self::failed("run", code, self.message.with(&format!("the child process ended with code {code}")))
        })
    }

    fn failed(call: &'static str, code: i64, detail: String) -> Error {
        Error::Backend { backend: BackendKind::Ffmpeg, call, code, detail }
    }

    fn hung(&mut self, what: &str) -> Error {
        let seconds = self.patience.as_secs_f32();
        self.kill();
        let what = format!("the child process hung: it has {what} for {seconds} seconds, and was killed");
        Self::failed("run", 0, self.message.with(&what))
    }

    /// Waits for the process, which has closed its pipes.
    fn wait(&mut self) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.reaped = true;
                    return Ok(status);
                }
                Ok(None) if began.elapsed() < TO_EXIT => std::thread::sleep(Duration::from_millis(1)),
                Ok(None) => return Err(self.hung("not ended")),
                Err(error) => return Err(Self::failed("wait", 0, error.to_string())),
            }
        }
    }

    fn kill(&mut self) {
        self.feed.discard();
        if !self.reaped {
            // It may have ended by itself in between; waiting takes its entry out of the system's table.
            let _ = self.child.kill();
            self.reaped = self.child.wait().is_ok();
        }
        // Left to themselves where a program that the child started keeps a pipe open.
        self.feed.ended_within(THREADS, KILLED);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The signal that ended the process, if one did.
fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

fn thread(name: &str, feed: &Arc<Feed>, work: impl FnOnce() + Send + 'static) -> Result<()> {
    /// Counts the thread as ended, panic or not.
    struct Ended(Arc<Feed>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.thread_ended();
        }
    }
    let ended = Ended(Arc::clone(feed));
    let run = move || {
        let _ended = ended;
        work();
    };
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|source| Error::io("start a thread for", name, source))
}

fn cannot_start(program: &Path, error: &io::Error) -> Error {
    Error::Unavailable {
        backend: BackendKind::Ffmpeg,
        reason: format!("{} cannot be started: {error}", program.display()),
        remedy: Remedy::TryAgain(
            "Check that it is a program which this user may run, and that memory and processes are left"
                .into(),
        ),
    }
}
