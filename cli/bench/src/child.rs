//! Child processes that are measured: wall time, CPU time and peak memory of each, and what they said.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use video_hw_terminal::cancel::Interrupts;
use wait4::{ResUse, Wait4};

/// How long one child may take at most.
pub(crate) const LIMIT: Duration = Duration::from_secs(3600);
/// What a child may say on standard output; the rest is read and thrown away.
const MOST_OUTPUT: usize = 64 << 20;
/// What is kept of its words on standard error.
const MOST_WORDS: usize = 64 << 10;
/// From one look at a running child to the next; its end is told earlier, by its standard output.
const LOOK: Duration = Duration::from_millis(20);
/// The same for one that has closed its output and is about to end: the precision of its time.
const LOOK_CLOSELY: Duration = Duration::from_micros(100);
/// How long the last words of a child that is gone are waited for: somebody else may hold its pipes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
}

impl Program {
    pub(crate) fn new(path: &Path, env: &[(String, String)]) -> Self {
        Self { path: path.to_owned(), args: Vec::new(), env: env.to_vec() }
    }

    #[must_use]
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds the options by which ffmpeg and ffprobe read nothing but files and pipes, whatever a file refers to.
    #[must_use]
    pub(crate) fn local(self) -> Self {
        self.args(["-protocol_whitelist", "file,pipe"])
    }

    /// Adds an input of ffmpeg's. Its path is absolute: a name like `concat:a` or `http:b` would be that of a protocol.
    #[must_use]
    pub(crate) fn input(self, file: &Path) -> Self {
        self.local().arg("-i").arg(absolute(file))
    }

    /// Adds arguments where there is a value for them.
    #[must_use]
    pub(crate) fn option(self, name: &str, value: Option<impl Into<OsString>>) -> Self {
        match value {
            Some(value) => self.arg(name).arg(value),
            None => self,
        }
    }

    /// The command line with files by their names: where they lie is this machine's business.
    pub(crate) fn message(&self) -> Vec<String> {
        let name = |word: &OsString| {
            let text = word.to_string_lossy();
            let named = named_only(&text);
            match text.split_once('=') {
                // An option or variable with its value; a file may have the sign in its name, too.
                Some((option, value)) if named == text => format!("{option}={}", named_only(value)),
                _ => named,
            }
        };
        let program =
            self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let env = self.env.iter().map(|(name, value)| format!("{name}={}", named_only(value)));
        env.chain([program]).chain(self.args.iter().map(name)).collect()
    }
}

/// The path from the root on; as it is where there is no current directory.
pub(crate) fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// A word without the folders of this machine.
fn named_only(word: &str) -> String {
    let path = Path::new(word);
    match path.file_name() {
        Some(name) if path.is_absolute() || word.contains('/') && path.exists() => {
            name.to_string_lossy().into_owned()
        }
        _ => word.to_owned(),
    }
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Until it was gone, from the start of the first of those that ran together.
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Zero where the system does not tell.
    pub(crate) peak_bytes: u64,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) status: Option<ExitStatus>,
    /// Why it was ended from here.
    pub(crate) ended: Option<&'static str>,
}

impl Finished {
    pub(crate) fn success(&self) -> bool {
        self.ended.is_none() && self.status.is_some_and(|status| status.success())
    }

    /// What went wrong, in one line: the child's own last words where it had some.
    pub(crate) fn failure(&self) -> String {
        let how = match (self.ended, self.status) {
            (Some(why), _) => why.to_owned(),
            (None, Some(status)) => match status.code() {
                Some(code) => format!("exit code {code}"),
                None => status.to_string(),
            },
            (None, None) => "its end could not be seen".to_owned(),
        };
        match self.message() {
            Some(message) => {
                format!("{how}: {}", message.strip_prefix("video-hw: error: ").unwrap_or(&message))
            }
            None => how,
        }
    }

    /// What it said on standard error: the first line, which names the cause as a rule, and how many follow. What the
    /// simulated driver says of itself (`nvsim: `) counts where there is nothing else.
    pub(crate) fn message(&self) -> Option<String> {
        let lines: Vec<_> = self.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let (of_driver, own): (Vec<&str>, Vec<&str>) =
            lines.iter().partition(|line| line.starts_with("nvsim: "));
        let lines = if own.is_empty() && !self.success() { of_driver } else { own };
        let first = lines.first()?;
        Some(match lines.len() {
            1 => (*first).to_owned(),
            n => format!("{first} (and {} more lines)", n - 1),
        })
    }
}

/// Limits of a run.
pub(crate) struct Limits<'a> {
    pub(crate) time: Duration,
    pub(crate) interrupts: &'a Interrupts,
}

/// Runs a program by itself.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(program: &Program, limits: &Limits<'_>) -> io::Result<Finished> {
    let mut all = run_together(program, 1, limits)?;
    all.pop().ok_or_else(|| io::Error::other("no child ran"))
}

/// Runs `copies` of a program at once and waits for all of them.
///
/// # Errors
/// When one cannot be started; the others are ended.
pub(crate) fn run_together(program: &Program, copies: u32, limits: &Limits<'_>) -> io::Result<Vec<Finished>> {
    let (closed, ends) = mpsc::channel();
    let begun = Instant::now();
    let mut running = Vec::new();
    for number in 0..copies as usize {
        match Running::start(program, number, &closed) {
            Ok(child) => running.push(child),
            Err(error) => {
                for mut child in running {
                    child.end("another could not be started", begun);
                }
                return Err(error);
            }
        }
    }
    watch(&mut running, begun, limits, &ends);
    Ok(running.into_iter().map(|child| child.finish()).collect())
}

fn watch(running: &mut [Running], begun: Instant, limits: &Limits<'_>, ends: &Receiver<usize>) {
    let mut closing = 0usize;
    loop {
        for child in running.iter_mut().filter(|child| child.done.is_none()) {
            if child.look(begun) && child.closed {
                closing -= 1;
            }
        }
        if running.iter().all(|child| child.done.is_some()) {
            return;
        }
        limits.interrupts.beat();
        let why = if limits.interrupts.token.is_cancelled() {
            Some("cancelled")
        } else if begun.elapsed() > limits.time {
            Some("it took longer than its limit and was ended")
        } else {
            None
        };
        if let Some(why) = why {
            for child in running.iter_mut().filter(|child| child.done.is_none()) {
                child.end(why, begun);
            }
            // Not before: who unwinds from here ends nobody.
            limits.interrupts.check_abort();
            return;
        }
        match ends.recv_timeout(if closing > 0 { LOOK_CLOSELY } else { LOOK }) {
            Ok(number) => {
                if let Some(child) = running.get_mut(number).filter(|child| child.done.is_none()) {
                    child.closed = true;
                    closing += 1;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Every reader is gone: only the children's ends are left to see.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_CLOSELY),
        }
    }
}

/// What a pipe brought so far, and whether it has ended.
type Collected = Arc<Mutex<(Vec<u8>, bool)>>;

struct Running {
    child: Option<Child>,
    stdout: Collected,
    stderr: Collected,
    /// Its standard output has ended, so it will.
    closed: bool,
    done: Option<(Duration, Option<ResUse>)>,
    ended: Option<&'static str>,
}

impl Running {
    fn start(program: &Program, number: usize, closed: &Sender<usize>) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        command.args(&program.args).envs(program.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let closed = closed.clone();
        let stdout = collect(child.stdout.take(), MOST_OUTPUT, move || {
            // Nobody listens any more where the child was ended from here.
            let _ = closed.send(number);
        });
        let stderr = collect(child.stderr.take(), MOST_WORDS, || ());
        Ok(Self { child: Some(child), stdout, stderr, closed: false, done: None, ended: None })
    }

    /// Whether it has ended just now.
    fn look(&mut self, begun: Instant) -> bool {
        let Some(child) = &mut self.child else { return false };
        let seen = match child.try_wait4() {
            Ok(None) => return false,
            Ok(Some(usage)) => Some(usage),
            // Somebody else has waited for it: it is gone, and nothing is known of it.
            Err(_) => None,
        };
        self.done = Some((begun.elapsed(), seen));
        // It has been waited for: nobody may send a signal to its number any more.
        self.child = None;
        true
    }

    fn end(&mut self, why: &'static str, begun: Instant) {
        let Some(mut child) = self.child.take() else { return };
        self.ended = Some(why);
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        self.done = Some((begun.elapsed(), child.wait4().ok()));
    }

    fn finish(self) -> Finished {
        let (wall, usage) = self.done.unwrap_or_default();
        let stdout = taken(&self.stdout);
        let stderr = taken(&self.stderr);
        Finished {
            wall,
            cpu: usage.map_or(Duration::ZERO, |u| u.rusage.utime + u.rusage.stime),
            peak_bytes: usage.map_or(0, |u| u.rusage.maxrss),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            status: usage.map(|u| u.status),
            ended: self.ended,
        }
    }
}

fn collect<R: Read + Send + 'static>(
    pipe: Option<R>,
    most: usize,
    closed: impl FnOnce() + Send + 'static,
) -> Collected {
    let collected = Collected::default();
    let Some(mut pipe) = pipe else {
        set_ended(&collected);
        return collected;
    };
    let kept = Arc::clone(&collected);
    let reader = std::thread::Builder::new().name("bench-pipe".to_owned()).spawn(move || {
        let mut buffer = [0; 16 << 10];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.0.extend_from_slice(buffer.get(..n).unwrap_or_default());
                    let over = kept.0.len().saturating_sub(most);
                    if over > 0 {
                        // The last words tell most.
                        kept.0.drain(..over);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        set_ended(&kept);
        closed();
    });
    if reader.is_err() {
        set_ended(&collected);
    }
    collected
}

fn set_ended(collected: &Collected) {
    collected.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
}

fn taken(collected: &Collected) -> Vec<u8> {
    let begun = Instant::now();
    loop {
        let mut kept = collected.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.1 || begun.elapsed() > LAST_WORDS {
            return std::mem::take(&mut kept.0);
        }
        drop(kept);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Program {
        Program::new(Path::new("/bin/sh"), &[("GIVEN".to_owned(), "yes".to_owned())]).args(["-c", script])
    }

    fn limits(interrupts: &Interrupts, time: Duration) -> Limits<'_> {
        Limits { time, interrupts }
    }

    #[test]
    fn what_a_child_said_and_cost() {
        let interrupts = Interrupts::default();
        let done =
            run(&sh("echo $GIVEN; echo word >&2"), &limits(&interrupts, Duration::from_secs(60))).unwrap();
        assert!(done.success() && done.peak_bytes > 0 && !done.wall.is_zero(), "{done:?}");
        assert_eq!((done.stdout.as_slice(), done.stderr.as_str()), (&b"yes\n"[..], "word\n"));
    }

    #[test]
    fn several_at_once() {
        let interrupts = Interrupts::default();
        let all = run_together(&sh("echo $$"), 5, &limits(&interrupts, Duration::from_secs(60))).unwrap();
        let mut said: Vec<_> = all.iter().map(|one| one.stdout.clone()).collect();
        said.sort();
        said.dedup();
        assert_eq!(said.len(), 5);
    }

    #[test]
    fn failures_are_told_in_one_line() {
        let interrupts = Interrupts::default();
        let run = |script: &str, time| run(&sh(script), &limits(&interrupts, time)).unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(run("exit 3", minute).failure(), "exit code 3");
        let reported = run("echo 'video-hw: error: no card' >&2; exit 5", minute).failure();
        assert_eq!(reported, "exit code 5: no card");
        let hung = run("exec sleep 50", Duration::from_millis(50));
        assert!(!hung.success() && hung.failure().contains("longer than its limit"), "{hung:?}");
        assert!(hung.wall < Duration::from_secs(40), "{hung:?}");
    }

    #[test]
    fn commands_hold_no_folders() {
        let program =
            Program::new(Path::new("/some/where/video-hw"), &[("LD_LIBRARY_PATH".into(), "/a/b".into())])
                .args(["decode", "/far/away/in.mp4", "--null", "30000/1001"]);
        assert_eq!(
            program.message(),
            ["LD_LIBRARY_PATH=b", "video-hw", "decode", "in.mp4", "--null", "30000/1001"]
        );
        // Behind a sign, as this program's own options and variables are given.
        let given =
            ["--out=/abs/dir", "LD_LIBRARY_PATH=/home/me/lib:/opt/lib64", "/a=b/c.mp4", "keyint=60:qp=3"];
        let program = Program::new(Path::new("video-hw"), &[]).args(given);
        assert_eq!(program.message()[1..], ["--out=dir", "LD_LIBRARY_PATH=lib64", "c.mp4", "keyint=60:qp=3"]);
    }
}
