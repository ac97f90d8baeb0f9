//! The library on the simulated VideoToolbox (`sims/apple/`): each test body runs in a process of its own, with the library found
//! by `LD_LIBRARY_PATH`; and what the simulation reports of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Folder with the name that stands for the frameworks, or none when the simulation is not built.
fn frameworks() -> Option<PathBuf> {
    // Tests run side by side in this process.
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(find).clone()
}

fn find() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libvtsim.so");
    if !library.exists() {
        say(&format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display()));
        return None;
    }
    let names = deps.join("vtsim-names");
    std::fs::create_dir_all(&names).unwrap();
    let aside = names.join(format!("aside.{}", std::process::id()));
    #[cfg(unix)]
    std::os::unix::fs::symlink(&library, &aside).unwrap();
    std::fs::rename(&aside, names.join("libVideoToolbox.so")).unwrap();
    Some(names)
}

/// Past the test runner, which keeps what tests print that pass.
fn say(words: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}

/// What the simulation wrote of a process.
pub(crate) struct Run(String);

impl Run {
    /// How often a function of the frameworks was called.
    pub(crate) fn calls(&self, function: &str) -> u64 {
        let Some((_, rest)) = self.0.split_once(&format!("\"{function}\": ")) else { return 0 };
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    /// All of it.
    pub(crate) fn report(&self) -> &str {
        &self.0
    }

    /// No rule of the frameworks was broken and nothing was left behind.
    pub(crate) fn assert_clean(&self) {
        for list in ["violations", "leaks", "internal_errors"] {
            assert!(self.0.contains(&format!("\"{list}\": []")), "{list}: {}", self.0);
        }
    }
}

/// Runs `body` in a process of its own on a simulated machine with these settings. It must break no rule and leave nothing behind.
/// None: the simulation is not built, which has been said.
#[track_caller]
pub(crate) fn clean_on(machine: &str, test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    clean_case(machine, test, settings, "", |_| body())
}

/// As [`clean_on`], for tests that do so several times with the same settings: the body is told which case it is.
#[track_caller]
pub(crate) fn clean_case(
    machine: &str,
    test: &str,
    settings: &str,
    case: &str,
    body: impl FnOnce(&str),
) -> Option<Run> {
    const MARK: &str = "VIDEO_HW_SIMULATED_APPLE";
    let mark = format!("{machine} {test} {settings} {case}");
    if std::env::var(MARK).is_ok_and(|wanted| wanted == mark) {
        body(case);
        std::process::exit(0);
    }
    if std::env::var_os(MARK).is_some() {
        // A test that runs several times: this is the process of another.
        return None;
    }
    let names = frameworks()?;
    let file = Path::new(std::panic::Location::caller().file());
    let name = format!("{}::{test}", file.file_stem().unwrap().to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(MARK, mark)
        .env("LD_LIBRARY_PATH", names)
        .env("VTSIM_PROFILE", machine)
        .env("VTSIM_SET", settings)
        .env("VTSIM_REPORT", &report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{machine} {settings} {case}: {}: {said}", output.status);
    let skipped: Vec<_> = said.lines().filter(|line| line.starts_with("SKIPPED")).collect();
    for line in &skipped {
        say(&format!("{line}\n"));
    }
    let run = Run(std::fs::read_to_string(&report).unwrap_or_default());
    if run.0.is_empty() && !skipped.is_empty() {
        // Nothing was there that could be asked of the simulation.
        return None;
    }
    assert!(!run.0.is_empty(), "the simulation was never called: {said}");
    run.assert_clean();
    Some(run)
}

/// As [`clean_on`], on the usual machine.
#[track_caller]
pub(crate) fn clean(test: &str, settings: &str, body: impl FnOnce()) -> Option<Run> {
    clean_on("m1", test, settings, body)
}
