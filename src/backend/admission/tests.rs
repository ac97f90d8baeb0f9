//! Admission to a driver of the test's own, which counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;

fn domain(driver: &str) -> Domain {
    Domain { backend: BackendKind::Nvidia, name: "test".to_owned(), driver: driver.to_owned() }
}

fn request(directory: &Path, wait: Option<Duration>) -> SessionRequest<'_> {
    let admission = wait.map_or(SessionAdmission::Refuse, SessionAdmission::Wait);
    SessionRequest { admission, directory: Some(directory), ..SessionRequest::default() }
}

/// A driver with so many sessions.
struct Driver {
    limit: AtomicUsize,
    open: AtomicUsize,
    refused: AtomicUsize,
}

/// A session of it; its permit goes after it.
struct Session<'a> {
    driver: &'a Driver,
}

impl Driver {
    fn new(limit: usize) -> Self {
        Self { limit: limit.into(), open: 0.into(), refused: 0.into() }
    }

    fn open(&self) -> Result<Session<'_>> {
        if self.open.load(Ordering::SeqCst) >= self.limit.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let detail = "answered 21".to_owned();
            return Err(Error::SessionLimit { backend: BackendKind::Nvidia, detail, sessions: None });
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Session { driver: self })
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.driver.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn counts(error: Error) -> (usize, usize, Option<usize>) {
    match error {
        Error::SessionLimit { sessions: Some(SessionUse { open, own, limit }), .. } => (open, own, limit),
        other => panic!("{other:?}"),
    }
}

fn refused(driver: &Driver, domain: &Domain, request: &SessionRequest<'_>) -> Error {
    admit(domain, request, || driver.open()).err().expect("a refusal")
}

#[test]
fn a_refusal_is_learned_and_spares_the_driver_the_next() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain, request) = (Driver::new(2), domain("1"), request(scratch.path(), None));
    let first = admit(&domain, &request, || driver.open()).unwrap();
    let _second = admit(&domain, &request, || driver.open()).unwrap();
    assert_eq!(first.1.note(), None);
    let said = refused(&driver, &domain, &request);
    assert!(said.to_string().contains("answered 21; 2 sessions are open"), "{said}");
    assert_eq!(counts(said), (2, 2, Some(2)));
    assert_eq!(driver.refused(), 1);
    let said = refused(&driver, &domain, &request);
    assert!(said.to_string().contains("as learned"), "{said}");
    assert_eq!((counts(said), driver.refused()), ((2, 2, Some(2)), 1), "the driver was not asked");
    assert_eq!(census(&domain, Some(scratch.path())).usage, SessionUse { open: 2, own: 2, limit: Some(2) });
    drop(first);
    admit(&domain, &request, || driver.open()).unwrap();
}

#[test]
fn a_new_driver_knows_nothing_of_the_old_ones_limit() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, request) = (Driver::new(1), request(scratch.path(), None));
    let _held = admit(&domain("1"), &request, || driver.open()).unwrap();
    refused(&driver, &domain("1"), &request);
    driver.limit.store(2, Ordering::SeqCst);
    refused(&driver, &domain("1"), &request);
    let _more = admit(&domain("2"), &request, || driver.open()).unwrap();
    assert_eq!(census(&domain("2"), Some(scratch.path())).usage, SessionUse { open: 2, own: 1, limit: None });
}

#[test]
fn a_question_goes_to_the_driver_whatever_is_known() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain, request) = (Driver::new(1), domain("1"), request(scratch.path(), None));
    let _held = admit(&domain, &request, || driver.open()).unwrap();
    refused(&driver, &domain, &request);
    let ask = || question(&domain, Some(scratch.path()), || driver.open().map(drop));
    assert_eq!(counts(ask().unwrap_err()), (1, 1, Some(1)));
    // Another program lets go: the question finds out, and what was learned is forgotten.
    driver.limit.store(2, Ordering::SeqCst);
    refused(&driver, &domain, &request);
    ask().unwrap();
    let _second = admit(&domain, &request, || driver.open()).unwrap();
    assert_eq!(driver.refused(), 2, "one for the session, one for the question");
}

#[test]
fn a_configured_limit_is_kept_without_asking_the_driver() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain) = (Driver::new(5), domain("1"));
    let request = SessionRequest { limit: Some(1), ..request(scratch.path(), None) };
    let _held = admit(&domain, &request, || driver.open()).unwrap();
    let said = refused(&driver, &domain, &request);
    assert!(said.to_string().contains("configured"), "{said}");
    assert_eq!((counts(said), driver.refused()), ((1, 1, Some(1)), 0));
}

#[test]
fn waiters_get_in_in_the_order_in_which_they_came() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain) = (Driver::new(1), domain("1"));
    let request = request(scratch.path(), Some(Duration::from_secs(60)));
    let held = admit(&domain, &request, || driver.open()).unwrap();
    let (tell, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..5 {
            let (tell, driver, domain) = (tell.clone(), &driver, &domain);
            let gate = Gate::of(domain, Some(scratch.path()));
            scope.spawn(move || {
                let session = admit(domain, &request, || driver.open()).unwrap();
                tell.send(number).unwrap();
                drop(session);
            });
            // The next comes when this one stands in the queue.
            while gate.waiting() < number + 1 {
                std::thread::yield_now();
            }
        }
        // One that does not wait may not pass those who do.
        let hasty = SessionRequest { admission: SessionAdmission::Refuse, ..request };
        let said = refused(&driver, &domain, &hasty);
        assert!(said.to_string().contains("5 others wait"), "{said}");
        drop(held);
        let order: Vec<usize> = hear.iter().take(5).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    });
    assert_eq!(driver.refused(), 1, "the one that taught the limit");
}

/// Opening takes a while. Whoever does not want to wait for a session still lets others open theirs first.
#[test]
fn those_who_open_at_the_same_time_all_get_one() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain, request) = (Driver::new(4), domain("1"), request(scratch.path(), None));
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    admit(&domain, &request, || {
                        std::thread::sleep(Duration::from_millis(30));
                        driver.open()
                    })
                })
            })
            .collect();
        let open: Vec<_> = opening.into_iter().map(|one| one.join().unwrap().unwrap()).collect();
        assert_eq!((open.len(), driver.refused()), (4, 0));
    });
}

#[test]
fn waiting_ends_with_its_time_or_when_it_is_cancelled() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain) = (Driver::new(1), domain("1"));
    let begun = Instant::now();
    let wait = |time| request(scratch.path(), Some(Duration::from_millis(time)));
    let _held = admit(&domain, &wait(0), || driver.open()).unwrap();
    assert_eq!(counts(refused(&driver, &domain, &wait(80))), (1, 1, Some(1)));
    assert!(begun.elapsed() >= Duration::from_millis(80), "it waited");
    let stop = AtomicBool::new(true);
    let cancelled = SessionRequest { cancel: Some(&stop), ..wait(3_600_000) };
    assert!(matches!(refused(&driver, &domain, &cancelled), Error::Cancelled));
    let forever = SessionRequest { admission: SessionAdmission::Wait(Duration::MAX), ..cancelled };
    assert!(matches!(refused(&driver, &domain, &forever), Error::Cancelled));
    assert_eq!(Gate::of(&domain, Some(scratch.path())).waiting(), 0);
}

#[test]
fn other_errors_are_given_back_and_teach_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let (domain, request) = (domain("1"), request(scratch.path(), Some(Duration::from_secs(60))));
    let error = admit(&domain, &request, || Err::<(), _>(Error::invalid("something else"))).err().unwrap();
    assert!(matches!(error, Error::InvalidInput { .. }));
    assert_eq!(census(&domain, Some(scratch.path())).usage, SessionUse { open: 0, own: 0, limit: None });
}

#[test]
fn many_rounds_leave_two_files_and_no_session() {
    let scratch = tempfile::tempdir().unwrap();
    let (driver, domain, request) = (Driver::new(3), domain("1"), request(scratch.path(), None));
    for _ in 0..1000 {
        admit(&domain, &request, || driver.open()).unwrap();
    }
    assert_eq!(census(&domain, Some(scratch.path())).usage, SessionUse { open: 0, own: 0, limit: None });
    let files = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(files, 2, "the domain's, and one for a session at a time");
}

/// What somebody else may have put there.
#[cfg(unix)]
mod hostile {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use crate::backend::admission::folder::Folder;

    /// A user of no account.
    const STRANGER: u32 = 65534;

    /// Sessions open all the same, and a stranger's limit of 1 is not believed; gives the note.
    fn usual(common: Option<&Path>, own: &Path) -> (String, Option<usize>) {
        let folder = Folder::Usual { common: common.map(Path::to_owned), own: own.to_owned() };
        let census = Gate::within(&domain("1"), folder).census();
        (census.note.unwrap_or_default(), census.usage.limit)
    }

    fn folder(path: &Path, mode: u32) {
        std::fs::create_dir(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What teaches a limit of one session.
    fn teach(folder: &Path) {
        let file = folder.join("test.lock");
        let text = crate::backend::admission::knowledge::Knowledge::refused(None, 1, u64::MAX / 2).text("1");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }

    /// Gives something to another user, which only an administrator can.
    fn give_away(path: &Path) -> bool {
        let given = chown(path, Some(STRANGER), None).is_ok();
        if !given {
            eprintln!("SKIPPED: only root can give a file to another user");
        }
        given
    }

    /// Sessions open all the same, counted within the process; gives the note.
    fn goes_on(directory: &Path) -> String {
        let (driver, domain, request) = (Driver::new(2), domain("1"), request(directory, None));
        let first = admit(&domain, &request, || driver.open()).unwrap();
        let second = admit(&domain, &request, || driver.open()).unwrap();
        assert_eq!(counts(refused(&driver, &domain, &request)), (2, 2, Some(2)));
        assert_eq!(counts(refused(&driver, &domain, &request)), (2, 2, Some(2)));
        assert_eq!(driver.refused(), 1, "learned");
        let note = second.1.note().unwrap_or_default().to_owned();
        drop((first, second));
        admit(&domain, &request, || driver.open()).unwrap();
        note
    }

    #[test]
    fn a_link_in_place_of_the_directory_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (target, link) = (scratch.path().join("target"), scratch.path().join("link"));
        std::fs::create_dir(&target).unwrap();
        symlink(&target, &link).unwrap();
        assert!(goes_on(&link).contains("not counted"));
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0, "nothing was written behind the link");
    }

    #[test]
    fn a_directory_that_cannot_be_one_or_is_everybodys_is_done_without() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert!(goes_on(&file).contains("not counted"));
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
        assert!(goes_on(&scratch.path().join("no/such")).contains("not counted"));
        let open = scratch.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(goes_on(&open).contains("everybody may delete"));
        let sticky = scratch.path().join("sticky");
        std::fs::create_dir(&sticky).unwrap();
        std::fs::set_permissions(&sticky, std::fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(goes_on(&sticky), "");
    }

    /// Read-only for root as well.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_directory_that_cannot_be_written_is_done_without() {
        assert!(goes_on(Path::new("/sys/video-hw-sessions")).contains("not counted"));
        assert!(goes_on(Path::new("/sys/kernel")).contains("not counted"));
    }

    #[test]
    fn what_is_made_is_for_its_user_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let made = scratch.path().join("made");
        assert_eq!(goes_on(&made), "");
        assert_eq!(made.metadata().unwrap().mode() & 0o7777, 0o700);
        assert_eq!(made.join("test.lock").metadata().unwrap().mode() & 0o777, 0o600);
        let own = scratch.path().join("own");
        assert_eq!(usual(Some(&scratch.path().join("none")), &own), (String::new(), None));
        assert_eq!(own.metadata().unwrap().mode() & 0o7777, 0o700);
        assert!(!scratch.path().join("none").exists(), "the common one is the administrator's to make");
    }

    #[test]
    fn a_folder_of_another_user_is_done_without() {
        let scratch = tempfile::tempdir().unwrap();
        let own = scratch.path().join("own");
        folder(&own, 0o1777);
        teach(&own);
        if !give_away(&own) {
            return;
        }
        let (note, limit) = usual(None, &own);
        assert!(note.contains("belongs to user 65534") && limit.is_none(), "{note}, {limit:?}");
        assert!(goes_on(&own).contains("belongs to user 65534"));
    }

    #[test]
    fn a_file_of_another_user_in_ones_own_folder_teaches_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let own = scratch.path().join("own");
        folder(&own, 0o700);
        teach(&own);
        assert_eq!(usual(None, &own), (String::new(), Some(1)), "one's own");
        if !give_away(&own.join("test.lock")) {
            return;
        }
        let (note, limit) = usual(None, &own);
        assert!(note.contains("test.lock belongs to user 65534") && limit.is_none(), "{note}, {limit:?}");
    }

    #[test]
    fn ones_own_folder_is_open_to_nobody_else() {
        let scratch = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o777, 0o1777, 0o710] {
            let own = scratch.path().join(format!("{mode:o}"));
            folder(&own, mode);
            teach(&own);
            let (note, limit) = usual(None, &own);
            assert!(
                note.contains("others may look into it") && limit.is_none(),
                "{mode:o}: {note}, {limit:?}"
            );
        }
    }

    #[test]
    fn users_meet_where_an_administrator_lets_them() {
        let scratch = tempfile::tempdir().unwrap();
        let (common, own) = (scratch.path().join("common"), scratch.path().join("own"));
        folder(&common, 0o1777);
        if common.metadata().unwrap().uid() != 0 {
            let (note, _) = usual(Some(&common), &own);
            assert!(note.contains("other users are not counted"), "{note}");
            eprintln!("SKIPPED: only root can be the administrator");
            return;
        }
        assert_eq!(usual(Some(&common), &own), (String::new(), None));
        assert!(!own.exists());
        assert_eq!(common.join("test.lock").metadata().unwrap().mode() & 0o777, 0o666);
        // Another user's files count there: that is what it is for.
        // Root of a user namespace alone cannot, and has said so.
        if !give_away(&common.join("test.lock")) {
            return;
        }
        teach(&common);
        assert_eq!(usual(Some(&common), &own), (String::new(), Some(1)));
        // One that a user made, or where files can be exchanged, is not it.
        let loose = scratch.path().join("loose");
        folder(&loose, 0o777);
        let (note, limit) = usual(Some(&loose), &own);
        assert!(
            note.contains("users are not counted") && note.contains("may delete") && limit.is_none(),
            "{note}"
        );
        assert!(give_away(&common));
        let (note, limit) = usual(Some(&common), &own);
        assert!(note.contains("users are not counted") && note.contains("belongs to user 65534"), "{note}");
        assert_eq!(limit, None);
    }

    /// A process of another user tries what it can: to read, to write and to lock what the user's folder holds.
    #[test]
    fn another_user_reaches_nothing_in_ones_own_folder() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let own = scratch.path().join("own");
        assert_eq!(usual(None, &own), (String::new(), None));
        let lock = own.join("test.lock");
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c"]);
        command.arg("id -u; flock --nonblock \"$0\" echo locked; cat \"$0\" && echo read; echo x >> \"$0\" && echo wrote");
        match command.arg(&lock).stderr(std::process::Stdio::null()).output() {
            Ok(tried) if tried.stdout.starts_with(b"65534\n") => {
                assert_eq!(String::from_utf8_lossy(&tried.stdout), "65534\n");
            }
            _ => eprintln!("SKIPPED: nobody else's process can be started here (setpriv, as root)"),
        }
        assert_eq!(usual(None, &own), (String::new(), None));
    }

    #[test]
    fn links_and_other_things_in_place_of_files_stay_what_they_are() {
        let scratch = tempfile::tempdir().unwrap();
        let victim = scratch.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let place = |name: &str| {
            let directory = scratch.path().join(name);
            std::fs::create_dir(&directory).unwrap();
            directory
        };
        let linked = place("linked");
        symlink(&victim, linked.join("test.lock")).unwrap();
        assert!(goes_on(&linked).contains("not counted"));
        let hard = place("hard");
        std::fs::hard_link(&victim, hard.join("test.lock")).unwrap();
        assert!(goes_on(&hard).contains("one name"));
        std::fs::remove_file(hard.join("test.lock")).unwrap();
        let dangling = place("dangling");
        symlink(scratch.path().join("new"), dangling.join("test.lock")).unwrap();
        assert!(goes_on(&dangling).contains("not counted"));
        assert!(!scratch.path().join("new").exists(), "nothing was made behind the link");
        // In place of sessions: they are passed over.
        let slots = place("slots");
        symlink(&victim, slots.join("test.0")).unwrap();
        std::fs::create_dir(slots.join("test.1")).unwrap();
        std::fs::write(slots.join("test.2"), "foreign").unwrap();
        assert_eq!(goes_on(&slots), "");
        assert_eq!(std::fs::read(slots.join("test.2")).unwrap(), b"foreign");
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn garbage_teaches_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("test.lock");
        let long = vec![b'9'; 100_000];
        for garbage in [&b"\xff\xfe\x00"[..], &long, b"video-hw sessions 1\ndriver 1\nlimit 0\n"] {
            std::fs::write(&file, garbage).unwrap();
            assert_eq!(goes_on(scratch.path()), "");
        }
        assert!(file.metadata().unwrap().len() < 200, "and it is replaced by what was learned");
    }

    #[test]
    fn a_domain_that_stays_locked_is_done_without() {
        let scratch = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(scratch.path().join("test.lock")).unwrap();
        file.lock().unwrap();
        let (driver, domain, request) = (Driver::new(2), domain("1"), request(scratch.path(), None));
        let (_session, permit) = admit(&domain, &request, || driver.open()).unwrap();
        assert!(permit.note().unwrap().contains("locked by another process"), "{:?}", permit.note());
    }
}
