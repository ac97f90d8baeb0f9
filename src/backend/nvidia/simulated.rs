//! The simulated driver for tests of single modules.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;

/// Where Windows keeps libraries: the simulated driver is tested there by its users alone (`scripts/windows.sh`).
#[cfg(windows)]
fn driver() -> Option<PathBuf> {
    skipped("the simulated driver is not looked for among the system's libraries");
    None
}

/// Directory with the driver's name, or none when the simulated driver is not built.
#[cfg(unix)]
fn driver() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libnvsim.so");
    if !library.exists() {
        skipped(&format!("{} is not built (cargo test --workspace builds it)", library.display()));
        return None;
    }
    let names = deps.join("nvsim-names-of-unit-tests");
    std::fs::create_dir_all(&names).unwrap();
    let aside = tempfile::Builder::new().tempdir_in(&names).unwrap();
    let link = aside.path().join("link");
    std::os::unix::fs::symlink(&library, &link).unwrap();
    std::fs::rename(&link, names.join("libcuda.so.1")).unwrap();
    Some(names)
}

/// Runs `body`, that of the test `name` of a module (its `module_path!()`), in a process of its own with the simulated driver;
/// gives the driver's report.
pub(super) fn simulated(
    module: &str,
    name: &str,
    profile: &str,
    settings: &str,
    body: impl FnOnce(),
) -> Option<String> {
    const MARK: &str = "VIDEO_HW_SIMULATED";
    if std::env::var(MARK).is_ok_and(|wanted| wanted == name) {
        body();
        std::process::exit(0);
    }
    let names = driver()?;
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let module = module.split_once("::").unwrap().1;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}"), "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .env("LD_LIBRARY_PATH", names)
        .env("NVSIM_PROFILE", profile)
        .env("NVSIM_SET", settings)
        .env("NVSIM_REPORT", &report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Some(std::fs::read_to_string(&report).unwrap())
}

/// Says that a test did not run.
pub(super) fn skipped(why: &str) {
    // Past the test runner, which keeps the words of tests that pass.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {why}\n"));
}
