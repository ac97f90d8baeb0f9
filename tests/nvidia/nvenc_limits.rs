//! Limits of encode sessions and of device memory, on the simulated driver (`sims/nvidia/`), with several processes: each test
//! starts its own program again and again as the other processes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use video_hw::backend::{Backend, BackendKind, encode_sessions, query_backend_capability};
use video_hw::capability::SessionUse;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, NvidiaEncodeConfig, SessionAdmission};
use video_hw::dimensions::Dimensions;
use video_hw::error::Error;
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;

use crate::support::nvenc::{all_well, config, encode, frame, nvidia, open};
use crate::support::nvidia::{clean_on, simulated_on};

/// Every process of a test meets the others here.
const MEETING: &str = "VIDEO_HW_TEST_MEETING";
/// What a process is to do.
const ROLE: &str = "VIDEO_HW_TEST_ROLE";

/// A host: the directories that its processes share, and how many sessions its driver takes.
struct Host {
    scratch: tempfile::TempDir,
    limit: usize,
    code: u32,
}

/// A process of the host, at the other end of two pipes.
struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
    report: PathBuf,
}

impl Host {
    /// `None`, said loudly, where the simulated driver is not built.
    fn new(limit: usize, code: u32) -> Option<Self> {
        let library = std::env::current_exe().unwrap().parent().unwrap().join("libnvsim.so");
        if !library.exists() {
            let words =
                format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display());
            let _ = std::io::stderr().write_all(words.as_bytes());
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        for name in ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"] {
            std::os::unix::fs::symlink(&library, scratch.path().join(name)).unwrap();
        }
        std::fs::create_dir(scratch.path().join("seats")).unwrap();
        Some(Self { scratch, limit, code })
    }

    /// Starts a process that does as `role` says.
    fn start(&self, name: &str, role: &str) -> Process {
        let at = |name: &str| self.scratch.path().join(name);
        let report = at(&format!("{name}.json"));
        let settings = format!(
            "sessions.limit={};sessions.code={};sessions.shared='{}'",
            self.limit,
            self.code,
            at("seats").display()
        );
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "nvenc_limits::a_process_of_a_host",
                "--nocapture",
                "--test-threads=1",
                "--ignored",
            ])
            .env(ROLE, role)
            .env(MEETING, at("meeting"))
            .env("LD_LIBRARY_PATH", self.scratch.path())
            .env("NVSIM_PROFILE", "ada")
            .env("NVSIM_SET", settings)
            .env("NVSIM_REPORT", &report)
            .env("NVSIM_QUIET", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Process { child, orders, answers, report }
    }
}

impl Process {
    /// The next answer; the test runner's own words are none.
    fn answer(&mut self) -> String {
        for line in (&mut self.answers).lines() {
            // The test runner leaves the name of the test in front of the first.
            if let Some((_, words)) = line.unwrap().split_once("> ") {
                return words.to_owned();
            }
        }
        panic!("the process has ended: {:?}", self.child.wait());
    }

    fn order(&mut self, word: &str) {
        writeln!(self.orders, "{word}").unwrap();
    }

    /// Lets it end, and gives the sessions that its driver opened and refused. Nothing may be left, no rule broken.
    fn end(mut self) -> (u64, u64) {
        drop(self.orders);
        assert!(self.child.wait().unwrap().success());
        let report = std::fs::read_to_string(&self.report).unwrap();
        for list in ["violations", "leaks", "internal_errors"] {
            assert!(report.contains(&format!("\"{list}\": []")), "{report}");
        }
        let number = |key: &str| {
            let (_, rest) = report.split_once(&format!("\"{key}\": ")).unwrap();
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
        };
        (number("sessions_opened"), number("sessions_refused"))
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The other processes. Not a test by itself.
#[test]
#[ignore = "started by the tests of several processes"]
fn a_process_of_a_host() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let say = |words: &str| {
        println!("> {words}");
        std::io::stdout().flush().unwrap();
    };
    let mut orders = std::io::stdin().lines();
    let special = meeting();
    let waiting =
        |seconds| config(Codec::H264).admission(SessionAdmission::Wait(Duration::from_secs(seconds)));
    let code = |session: &mut EncodeSession| {
        let frames = (0..3).map(|n| frame(n, PixelFormat::I420));
        all_well(encode(session, frames)).len()
    };
    match role.as_str() {
        // Opens one at each order, and keeps them.
        "hold" => {
            let mut held = Vec::new();
            while let Some(Ok(order)) = orders.next() {
                let config = if order == "wait" { waiting(60) } else { config(Codec::H264) };
                match EncodeSession::with_special(BackendKind::Nvidia, config, &special) {
                    Ok(session) => {
                        held.push(session);
                        say("open");
                    }
                    Err(error) => say(&error.to_string()),
                }
            }
        }
        // Works off jobs, each in a session of its own, several at once.
        "work" => {
            say("ready");
            orders.next();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..4 {
                            let mut session =
                                EncodeSession::with_special(BackendKind::Nvidia, waiting(120), &special)
                                    .unwrap();
                            assert_eq!(code(&mut session), 3);
                        }
                    });
                }
            });
            say("done");
            orders.next();
        }
        other => panic!("{other}"),
    }
    std::process::exit(0);
}

/// Settings for the directory in which the processes of the test meet.
fn meeting() -> BackendEncodeConfig {
    let directory = std::env::var_os(MEETING).map(PathBuf::from);
    BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default().session_directory(directory))
}

/// Five processes that each want three sessions, of three that there are: all jobs are done, and once the limit is
/// learned the driver is asked for no session that it does not have.
#[test]
fn five_processes_share_three_sessions() {
    for code in [10, 21] {
        let Some(host) = Host::new(3, code) else { return };
        // One process learns the limit.
        let mut teacher = host.start("teacher", "hold");
        for _ in 0..3 {
            teacher.order("open");
            assert_eq!(teacher.answer(), "open");
        }
        teacher.order("open");
        let said = teacher.answer();
        assert!(said.contains("session limit reached") && said.contains("3 sessions are open"), "{said}");
        assert!(said.contains("the limit is 3"), "{said}");
        let mut workers: Vec<_> = (0..5).map(|n| host.start(&format!("worker-{n}"), "work")).collect();
        for worker in &mut workers {
            assert_eq!(worker.answer(), "ready");
        }
        for worker in &mut workers {
            worker.order("go");
        }
        // They wait, until the sessions of the first are given back.
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(teacher.end(), (3, 1));
        for worker in &mut workers {
            assert_eq!(worker.answer(), "done");
        }
        let counts: Vec<_> = workers.into_iter().map(Process::end).collect();
        let opened: u64 = counts.iter().map(|(opened, _)| opened).sum();
        let refused: u64 = counts.iter().map(|(_, refused)| refused).sum();
        assert_eq!(opened, 5 * 3 * 4);
        // What was learned is doubted after ten seconds; so long this takes only on a machine that is very busy.
        assert!(refused <= 1, "{counts:?}");
    }
}

#[test]
fn a_process_that_is_killed_gives_its_sessions_back() {
    let Some(host) = Host::new(2, 21) else { return };
    let mut holder = host.start("holder", "hold");
    for _ in 0..2 {
        holder.order("open");
        assert_eq!(holder.answer(), "open");
    }
    let mut other = host.start("other", "hold");
    other.order("open");
    let said = other.answer();
    assert!(said.contains("2 sessions are open on this host by this library (0 in this process)"), "{said}");
    other.order("wait");
    std::thread::sleep(Duration::from_millis(100));
    holder.kill();
    assert_eq!(other.answer(), "open", "the one that waited");
    other.order("open");
    assert_eq!(other.answer(), "open", "and there is one more");
    assert_eq!(other.end().0, 2);
}

/// A session limit in one process, with a directory of its own for each case.
fn with_limit(test: &str, settings: &str, body: impl FnOnce(&Path)) {
    clean_on("ada", test, settings, || {
        let scratch = tempfile::tempdir().unwrap();
        body(scratch.path());
    });
}

fn meeting_in(directory: &Path) -> BackendEncodeConfig {
    let session_directory = Some(directory.to_path_buf());
    BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default().session_directory(session_directory))
}

#[test]
fn a_refusal_carries_the_counts() {
    for code in [10, 21] {
        let settings = format!("sessions.limit=2;sessions.code={code}");
        with_limit("a_refusal_carries_the_counts", &settings, |scratch| {
            let special = meeting_in(scratch);
            let _held = [open(&config(Codec::H264), &special), open(&config(Codec::Hevc), &special)];
            for _ in 0..2 {
                let refused = EncodeSession::with_special(BackendKind::Nvidia, config(Codec::H264), &special);
                let error = refused.err().unwrap();
                let Error::SessionLimit { sessions: Some(counts), .. } = &error else { panic!("{error:?}") };
                assert_eq!(*counts, SessionUse { open: 2, own: 2, limit: Some(2) });
                assert!(error.to_string().contains("SessionAdmission::Wait"), "{error}");
            }
        });
    }
}

#[test]
fn memory_that_is_gone_is_not_told_as_the_session_limit() {
    // The context of the process needs nothing here; what is left is not enough for a session.
    let run = simulated_on(
        "ada",
        "memory_that_is_gone_is_not_told_as_the_session_limit",
        "device.0.memory_mib=16",
        || {
            let refused = EncodeSession::new(BackendKind::Nvidia, config(Codec::H264)).err().unwrap();
            let Error::OutOfMemory { what, .. } = &refused else { panic!("{refused:?}") };
            assert!(what.contains("needs about") && what.contains("16 MiB are free"), "{what}");
            let auto = EncodeSession::new(Backend::Auto, config(Codec::H264)).unwrap();
            assert!(format!("{:#}", auto.receipt()).contains("16 MiB are free"), "{:#}", auto.receipt());
        },
    );
    if let Some(run) = run {
        run.assert_clean();
        assert_eq!(run.calls("nvEncOpenEncodeSessionEx"), 0, "{}", run.report);
        assert_eq!(run.calls("nvEncCreateInputBuffer"), 0, "{}", run.report);
    }
}

#[test]
fn memory_is_counted_when_the_session_that_was_waited_for_has_gone() {
    let test = "memory_is_counted_when_the_session_that_was_waited_for_has_gone";
    let run = simulated_on("ada", test, "device.0.memory_mib=92", || {
        let special = BackendEncodeConfig::Nvidia(
            NvidiaEncodeConfig::default().session_limit(std::num::NonZero::new(1)),
        );
        let size = Dimensions::new(1920, 1080).unwrap();
        let config = config(Codec::H264).dimensions(size);
        let first = open(&config, &special);
        let free = video_hw::backend::device_memory(BackendKind::Nvidia, None).unwrap().unwrap().free;
        assert!(free < 84 << 20, "{free}: room for two");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let admission = SessionAdmission::Wait(Duration::from_secs(60));
                let config = config.clone().admission(admission);
                EncodeSession::with_special(BackendKind::Nvidia, config, &special).map(drop)
            });
            std::thread::sleep(Duration::from_millis(200));
            assert!(!second.is_finished(), "it waits");
            drop(first);
            second.join().unwrap().unwrap();
        });
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}

/// Whatever memory there is, a session is refused before it takes any or opens as a whole, in every format; and it opens
/// before there is much more than it needs.
#[test]
fn the_forecast_holds_on_the_simulated_driver() {
    let mut opened = Vec::new();
    for mib in [48, 72, 96, 128, 192, 512] {
        let settings = format!("device.0.memory_mib={mib}");
        let run = simulated_on("ada", "the_forecast_holds_on_the_simulated_driver", &settings, || {
            for format in [PixelFormat::Nv12, PixelFormat::P010, PixelFormat::I444, PixelFormat::Bgra] {
                for preset in ["p1", "p4", "p7"] {
                    let size = Dimensions::new(1920, 1080).unwrap();
                    let config = config(Codec::Hevc).dimensions(size).format(format);
                    let special = BackendEncodeConfig::Nvidia(
                        NvidiaEncodeConfig::default().preset(Some(preset.into())),
                    );
                    match EncodeSession::with_special(BackendKind::Nvidia, config, &special) {
                        Ok(_) => println!("\nOPENED {format} {preset}"),
                        Err(Error::OutOfMemory { what, .. }) => {
                            assert!(what.contains("MiB are free"), "{what}");
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
        });
        let Some(run) = run else { return };
        run.assert_clean();
        let said = String::from_utf8_lossy(&run.output.stdout).into_owned();
        opened.push(said.lines().filter(|line| line.starts_with("OPENED")).count());
    }
    assert_eq!((opened.first(), opened.last()), (Some(&0), Some(&12)), "{opened:?}");
    assert!(opened.is_sorted(), "{opened:?}");
}

#[test]
fn questions_are_asked_although_the_limit_was_met() {
    with_limit("questions_are_asked_although_the_limit_was_met", "sessions.limit=2", |_| {
        let held = [open(&config(Codec::H264), &nvidia(6)), open(&config(Codec::H264), &nvidia(6))];
        let refused = EncodeSession::new(BackendKind::Nvidia, config(Codec::H264)).err().unwrap();
        assert!(matches!(refused, Error::SessionLimit { .. }), "{refused}");
        let sessions = encode_sessions(BackendKind::Nvidia, None).unwrap().unwrap();
        assert_eq!(sessions.usage, SessionUse { open: 2, own: 2, limit: Some(2) });
        assert_eq!(sessions.note, None);
        // With all sessions taken the driver refuses the question too, and that is told.
        let report = query_backend_capability(BackendKind::Nvidia, Codec::Hevc).unwrap();
        assert!(report.no_encoder.unwrap().contains("2 sessions are open"), "with the counts");
        drop(held);
        let report = query_backend_capability(BackendKind::Nvidia, Codec::Hevc).unwrap();
        assert!(report.encode.is_some(), "at once, whatever was learned");
        let sessions = encode_sessions(BackendKind::Nvidia, None).unwrap().unwrap();
        assert_eq!(sessions.usage.open, 0, "the question's session is not kept");
    });
}

#[test]
fn a_card_without_a_limit_meets_none() {
    let run = simulated_on("turing", "a_card_without_a_limit_meets_none", "", || {
        let held: Vec<_> = (0..20).map(|_| open(&config(Codec::H264), &nvidia(1))).collect();
        let sessions = encode_sessions(BackendKind::Nvidia, None).unwrap().unwrap();
        assert_eq!(sessions.usage, SessionUse { open: held.len(), own: held.len(), limit: None });
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}

#[test]
fn a_directory_that_is_no_use_is_done_without_and_the_receipt_says_so() {
    with_limit(
        "a_directory_that_is_no_use_is_done_without_and_the_receipt_says_so",
        "sessions.limit=1",
        |scratch| {
            let (target, link) = (scratch.join("target"), scratch.join("link"));
            std::fs::create_dir(&target).unwrap();
            std::os::unix::fs::symlink(&target, &link).unwrap();
            let special = meeting_in(&link);
            let mut session = open(&config(Codec::H264), &special);
            let receipt = format!("{:#}", session.receipt());
            assert!(receipt.contains("encode sessions of other processes are not counted"), "{receipt}");
            let refused = EncodeSession::with_special(BackendKind::Nvidia, config(Codec::H264), &special);
            assert!(matches!(refused.err().unwrap(), Error::SessionLimit { .. }), "within the process");
            assert_eq!(all_well(encode(&mut session, (0..3).map(|n| frame(n, PixelFormat::I420)))).len(), 3);
            assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0, "the link was not followed");
        },
    );
}

/// Many sessions one after the other, of which a part fails to open: nothing is left of any.
#[test]
fn a_thousand_rounds_leave_nothing() {
    let settings = "sessions.limit=2";
    let run = simulated_on("ada", "a_thousand_rounds_leave_nothing", settings, || {
        let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let round = |number: usize| {
            let mut first = open(&config(Codec::H264), &nvidia(2));
            if number.is_multiple_of(100) {
                assert_eq!(
                    all_well(encode(&mut first, (0..3).map(|n| frame(n, PixelFormat::I420)))).len(),
                    3
                );
            }
            if number.is_multiple_of(10) {
                let _second = open(&config(Codec::H264), &nvidia(2));
                let refused = EncodeSession::new(BackendKind::Nvidia, config(Codec::H264));
                assert!(matches!(refused.err().unwrap(), Error::SessionLimit { .. }));
            }
        };
        round(0);
        let before = files();
        (1..1000).for_each(round);
        assert_eq!(files(), before, "open files");
        let sessions = encode_sessions(BackendKind::Nvidia, None).unwrap().unwrap();
        assert_eq!(sessions.usage, SessionUse { open: 0, own: 0, limit: Some(2) });
        let user = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        let directory = std::env::temp_dir().join(format!("video-hw-sessions-{user}"));
        assert_eq!(
            std::fs::read_dir(directory).unwrap().count(),
            4,
            "the lock, two places, and the one refused"
        );
    });
    if let Some(run) = run {
        run.assert_clean();
        assert_eq!(run.calls("nvEncDestroyEncoder"), run.calls("nvEncOpenEncodeSessionEx"), "{}", run.report);
    }
}
