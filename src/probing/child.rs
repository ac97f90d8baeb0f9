//! Questions asked in processes of their own, for drivers that may crash or hang: side by side, with a time limit.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::attempt::{attempt, groups, hold, left};
use super::facts::gather;
use super::wire::{self, Line, MOST_BYTES};
use super::{Fact, Failure, Findings, Probe, ProbeStep, Question};
use crate::backend;
use crate::error::{Error, Result};

/// A driver that has crashed so often is not asked further.
const MOST_CRASHES: usize = 3;
/// What a child that is killed has to do yet, and its pipes.
const TO_END: Duration = Duration::from_millis(500);
/// What may follow the answers: facts, which nobody waits long for; longer where the caller is patient.
const FOR_FACTS: Duration = Duration::from_secs(1);
/// So large a part of the limit.
const PART_FOR_FACTS: u32 = 15;
/// Lines of a child that wait to be read.
const LINES: usize = 64;

/// Starts a program for each group of questions that are about the same libraries. The program has to call [`serve`] with
/// the arguments that follow the given ones, and nothing else may write to its standard output.
#[derive(Clone, Debug)]
pub struct ChildProber {
    program: PathBuf,
    arguments: Vec<OsString>,
    limit: Duration,
}

/// How the answers of one process ended.
enum Ending {
    /// All there.
    Complete,
    /// The time is up.
    TimedOut,
    /// It ended by itself, before it had answered everything.
    Died(String),
}

/// What one process has said.
struct Said {
    found: Findings,
    /// What it was about when it said nothing more.
    at: Option<(Question, ProbeStep)>,
    ending: Ending,
}

impl ChildProber {
    /// Starting a driver takes seconds where no program uses it and there are many cards.
    pub const USUAL_LIMIT: Duration = Duration::from_secs(15);

    /// A prober that starts `program` with these arguments and those of the questions behind them.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, limit: Self::USUAL_LIMIT }
    }

    /// How long a group of questions may take in all; what has no answer then is told as such.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Asks all questions, the groups side by side. Every question gets an answer.
    pub fn ask(&self, questions: &[Question]) -> Findings {
        let mut found = Findings::default();
        thread::scope(|scope| {
            let running: Vec<_> = groups(questions)
                .into_iter()
                .map(|group| (group.clone(), scope.spawn(move || self.group(&group))))
                .collect();
            for (group, thread) in running {
                found.add(thread.join().unwrap_or_else(|_| Findings {
                    probes: lost(&group, Failure::Failed, "asking for it failed"),
                    facts: Vec::new(),
                }));
            }
        });
        found
    }

    /// One process after the other, until every question is answered: each answers at least one.
    fn group(&self, group: &[Question]) -> Findings {
        let begun = Instant::now();
        let mut found = Findings::default();
        let mut crashes = 0;
        loop {
            let open: Vec<_> =
                group.iter().copied().filter(|q| !found.probes.iter().any(|p| p.question == *q)).collect();
            let Some(first) = open.first().copied() else { return found };
            let asked = Instant::now();
            let said = match self.process(&open, left(begun, self.limit)) {
                Ok(said) => said,
                Err(error) => {
                    let why = format!("{} cannot be started to try it: {error}", self.program.display());
                    found.probes.extend(lost(&open, Failure::Failed, &why));
                    return found;
                }
            };
            found.add(said.found);
            let (question, step) = said.at.unwrap_or((first, ProbeStep::Library));
            let rest = |found: &Findings| -> Vec<Question> {
                open.iter()
                    .copied()
                    .filter(|q| *q != question && !found.probes.iter().any(|p| p.question == *q))
                    .collect()
            };
            let answered = found.probes.iter().any(|probe| probe.question == question);
            let what = match said.ending {
                Ending::Complete => return found,
                Ending::TimedOut => {
                    let reason =
                        format!("no answer within {:?} while {}; it was stopped", self.limit, step.doing());
                    if !answered {
                        found.probes.push(question.fails(step, Failure::TimedOut, reason, asked.elapsed()));
                    }
                    let rest = rest(&found);
                    let why =
                        format!("not tried: the probe of {} {} hung", question.codec, question.candidate);
                    found.probes.extend(lost(&rest, Failure::NotTried, &why));
                    return found;
                }
                Ending::Died(what) => what,
            };
            crashes += 1;
            if !answered {
                let reason = format!("{what} while {}", step.doing());
                found.probes.push(question.fails(step, Failure::Crashed, reason, asked.elapsed()));
            }
            if crashes >= MOST_CRASHES {
                let rest = rest(&found);
                let why = format!("not tried: {crashes} probes of {} before it crashed", question.candidate);
                found.probes.extend(lost(&rest, Failure::NotTried, &why));
                return found;
            }
        }
    }

    /// Runs one process for these questions.
    fn process(&self, questions: &[Question], limit: Duration) -> std::io::Result<Said> {
        let begun = Instant::now();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(questions.iter().map(|question| wire::question(*question).replace('\t', ":")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(windows)]
        crate::util::windows::in_a_group_without_window(&mut command);
        let mut child = command.spawn()?;
        #[cfg(windows)]
        crate::util::windows::ends_with_this_process(&child);
        // What a dying driver says last.
        let last_message = child.stderr.take().map(last_line);
        let lines = child.stdout.take().map(lines);
        let mut said = Said { found: Findings::default(), at: None, ending: Ending::Died(String::new()) };
        let wanted: BTreeSet<_> = questions.iter().map(|question| wire::question(*question)).collect();
        let ours = |question: Question| wanted.contains(&wire::question(question));
        while let Some(lines) = &lines {
            let answered = said.found.probes.len() == questions.len();
            let patience = if answered { FOR_FACTS.max(limit / PART_FOR_FACTS) } else { limit };
            match lines.recv_timeout(patience.min(left(begun, limit))) {
                Ok(line) => match wire::read(&line) {
                    Some(Line::At(question, step)) if ours(question) => said.at = Some((question, step)),
                    Some(Line::Probe(probe)) if ours(probe.question) => {
                        let known = said.found.probes.iter().any(|old| old.question == probe.question);
                        if !known {
                            said.found.probes.push(probe);
                        }
                    }
                    Some(Line::Fact(fact)) => {
                        said.found.add(Findings { probes: Vec::new(), facts: vec![fact] });
                    }
                    Some(Line::End) if said.found.probes.len() == questions.len() => {
                        said.ending = Ending::Complete;
                        break;
                    }
                    _ => {}
                },
                Err(RecvTimeoutError::Timeout) => {
                    said.ending = Ending::TimedOut;
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = end(&mut child, matches!(said.ending, Ending::Died(_)));
        // All answers are there: what became of the process afterwards, unloading a driver perhaps, is of no matter.
        if said.found.probes.len() == questions.len() {
            said.ending = Ending::Complete;
        }
        if matches!(said.ending, Ending::Died(_)) {
            let message =
                last_message.and_then(|message| message.recv_timeout(TO_END).ok()).unwrap_or_default();
            said.ending = Ending::Died(death(status, &message));
        }
        Ok(said)
    }
}

/// Answers for questions that nobody could try.
fn lost(questions: &[Question], failure: Failure, why: &str) -> Vec<Probe> {
    let fails =
        |question: &Question| question.fails(ProbeStep::Library, failure, why.to_owned(), Duration::ZERO);
    questions.iter().map(fails).collect()
}

/// Lines of a child, read on a thread of its own, which ends with the pipe.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES);
    thread::spawn(move || {
        let mut from = BufReader::new(from.take(MOST_BYTES));
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// The last line that says anything.
fn last_line(from: impl Read + Send + 'static) -> Receiver<String> {
    /// Longer ones are cut.
    const MOST: usize = 200;
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut last = String::new();
        let mut from = BufReader::new(from.take(MOST_BYTES));
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let message = wire::plain(String::from_utf8_lossy(&line).trim());
            if !message.is_empty() {
                last = message.chars().take(MOST).collect();
            }
            line.clear();
        }
        let _ = sender.send(last);
    });
    receiver
}

/// Waits for the end of a process, and brings it about where it does not come by itself.
fn end(child: &mut Child, is_ending: bool) -> Option<ExitStatus> {
    let begun = Instant::now();
    while is_ending && begun.elapsed() < TO_END {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            Ok(status) => return status,
            Err(_) => break,
        }
    }
    let _ = child.kill();
    // A process in the middle of a call into a driver that hangs may not even die; it is left to the system then.
    while begun.elapsed() < 2 * TO_END {
        if let Ok(Some(_)) | Err(_) = child.try_wait() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

/// `the driver crashed (SIGSEGV); it said: ...`.
fn death(status: Option<ExitStatus>, message: &str) -> String {
    let how = match status {
        #[cfg(unix)]
        Some(status) if std::os::unix::process::ExitStatusExt::signal(&status).is_some() => {
            let number = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default();
            match signal_name(number) {
                // Nobody but the system kills it like this before its time is up.
                Some("SIGKILL") => "the process was killed (SIGKILL), for want of memory perhaps,".to_owned(),
                Some(name) => format!("the driver crashed ({name})"),
                None => format!("the driver crashed (signal {number})"),
            }
        }
        Some(status) => match status.code() {
            Some(code) => format!("the process ended (exit code {code})"),
            None => "the process ended".to_owned(),
        },
        None => "the process stopped answering".to_owned(),
    };
    if message.is_empty() { how } else { format!("{how}, having said \"{message}\",") }
}

/// The signals that a wrong program dies of.
#[cfg(unix)]
fn signal_name(number: i32) -> Option<&'static str> {
    let known = [
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGINT, "SIGINT"),
    ];
    known.into_iter().find(|(signal, _)| *signal == number).map(|(_, name)| name)
}

/// The other side of [`ChildProber`]: tries what the arguments ask for, one after the other, and writes the answers. For a
/// process that ends then, best without exit handlers: what it has opened on a card is left to the system.
///
/// # Errors
/// Arguments that are no questions; [`Error::Io`] when nobody reads the answers.
pub fn serve(arguments: impl IntoIterator<Item = impl AsRef<str>>, mut out: impl Write) -> Result<()> {
    let mut questions = Vec::new();
    for argument in arguments {
        let argument = argument.as_ref();
        let question = wire::read_question(&mut argument.split(':'));
        questions.push(question.ok_or_else(|| Error::invalid(format!("{argument:?} is no question")))?);
    }
    let mut say = |line: String| {
        let reported = writeln!(out, "{line}").and_then(|()| out.flush());
        reported.map_err(|error| Error::io_writing("write", "-", error))
    };
    if questions.iter().any(|question| question.candidate.backend().keeps_frames_on_device()) {
        // Closing the last decoder of a card takes a quarter of a second, for each codec.
        backend::leave_to_exit();
    }
    let mut held = None;
    for question in &questions {
        let mut heard = Ok(());
        let probe = attempt(*question, &mut |step| {
            if heard.is_ok() {
                heard = say(wire::at(*question, step));
            }
            hold(*question, step, &mut held);
        });
        heard?;
        say(wire::probe(&probe))?;
    }
    let facts: Vec<Fact> =
        groups(&questions).iter().filter_map(|group| group.first()).flat_map(|q| gather(*q)).collect();
    for fact in &facts {
        say(wire::fact(fact))?;
    }
    say(wire::END.to_owned())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::{Candidate, ProbeVerdict};
    use super::*;
    use crate::backend::Job;
    use crate::codec::Codec;

    const FIRST: Question = Question { candidate: Candidate::Nvidia, job: Job::Decode, codec: Codec::H264 };
    const SECOND: Question = Question { candidate: Candidate::Nvidia, job: Job::Decode, codec: Codec::Hevc };

    /// A shell stands for the child; `$*` are the questions.
    fn asked(script: &str, limit: Duration) -> Findings {
        ChildProber::new("/bin/sh", ["-c", script, "child"]).limit(limit).ask(&[FIRST, SECOND])
    }

    fn failure(found: &Findings, question: Question) -> (Failure, ProbeStep, String) {
        let probe = found.probes.iter().find(|probe| probe.question == question).unwrap();
        match &probe.verdict {
            ProbeVerdict::Fails { failure, step, reason, .. } => (*failure, *step, reason.clone()),
            ProbeVerdict::Works { implementation } => panic!("{implementation}"),
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_crash_is_told_with_its_step_and_the_rest_is_tried() {
        let script = r#"
            case "$*" in
              *h264*) printf 'at\tnvidia\tdecode\th264\tsession\n'; echo boom >&2; kill -SEGV $$;;
              *) printf 'probe\tnvidia\tdecode\thevc\t5\tworks\tNVDEC\nend\n';;
            esac"#;
        let found = asked(script, LONG);
        let (kind, step, reason) = failure(&found, FIRST);
        assert_eq!((kind, step), (Failure::Crashed, ProbeStep::Session));
        assert_eq!(reason, "the driver crashed (SIGSEGV), having said \"boom\", while opening a session");
        let second = found.probes.iter().find(|probe| probe.question == SECOND).unwrap();
        assert_eq!(second.verdict, ProbeVerdict::Works { implementation: "NVDEC".to_owned() });
    }

    #[test]
    fn a_child_that_hangs_is_killed_and_the_rest_is_not_tried() {
        let script = r"printf 'at\tnvidia\tdecode\th264\tdevice\n'; exec sleep 1000";
        let found = asked(script, Duration::from_secs(6));
        let (kind, step, reason) = failure(&found, FIRST);
        assert_eq!((kind, step), (Failure::TimedOut, ProbeStep::Device));
        assert_eq!(reason, "no answer within 6s while starting the driver; it was stopped");
        assert_eq!(failure(&found, SECOND).0, Failure::NotTried);
    }

    #[test]
    fn programs_that_are_no_children_of_ours_are_told() {
        let (kind, _, reason) = failure(&asked("exit 7", LONG), SECOND);
        assert_eq!(kind, Failure::Crashed);
        assert!(reason.starts_with("the process ended (exit code 7) while"), "{reason}");
        let garbage = asked(r"printf 'probe\tqsv\tencode\th264\t5\tworks\tme\n\377\nend\n'", LONG);
        assert_eq!(garbage.probes.len(), 2, "an answer to another question is none");
        let absent = ChildProber::new("/nowhere/at-all", ["x"]).ask(&[FIRST]);
        assert!(failure(&absent, FIRST).2.contains("/nowhere/at-all cannot be started"));
    }

    #[test]
    fn what_is_served_is_understood() {
        let mut out = Vec::new();
        serve(["embedded:decode:vp8", "embedded:encode:av1"], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("at\tembedded\tdecode\tvp8\tframe\n"), "{text}");
        let found = wire::read_all(text.lines()).unwrap();
        assert_eq!(found.probes.iter().map(|probe| probe.verdict.works()).collect::<Vec<_>>(), [true, false]);
        assert!(serve(["embedded:decode"], Vec::new()).is_err());
        assert!(serve(["ffmpeg-qsv:decode:h264"], Vec::new()).is_err());
    }
}
