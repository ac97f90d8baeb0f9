//! Runs a test body as a process of its own on the simulated driver and reads the report it leaves.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// What a scenario left behind.
pub struct Outcome {
    pub output: Output,
    pub report: Value,
}

impl Outcome {
    /// The body ran to its end.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.output.status.success(), "{}\n{}", self.output.status, self.stderr());
        assert_eq!(self.report["internal_errors"], serde_json::json!([]), "{}", self.stderr());
        self
    }

    /// Ended well, broke no rule and left nothing behind.
    #[track_caller]
    pub fn clean(self) -> Self {
        let outcome = self.ok();
        assert_eq!(outcome.report["violations"], serde_json::json!([]));
        assert_eq!(outcome.report["leaks"], serde_json::json!([]));
        outcome
    }

    /// Ended well, and the report has a breach of the rule with this name.
    #[track_caller]
    pub fn breach(self, name: &str) -> Self {
        let outcome = self.ok();
        let found = outcome.violations();
        assert!(found.iter().any(|found| found == name), "wanted {name}, found {found:?}");
        outcome
    }

    /// Names of all rules broken.
    pub fn violations(&self) -> Vec<String> {
        let list = self.report["violations"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|breach| breach["name"].as_str().map(str::to_owned)).collect()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// Directory with the three driver names.
pub fn driver_directory() -> PathBuf {
    // Tests run side by side in this process.
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(make_driver_directory).clone()
}

fn make_driver_directory() -> PathBuf {
    // Beside the test: `cargo test` leaves the shared object in target/<profile>/deps, as new as the test, and only
    // `cargo build` links it to the directory above.
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let library = test.with_file_name("libnvsim.so");
    assert!(library.exists(), "{} is not built", library.display());
    let names = profile.join("nvsim-driver");
    std::fs::create_dir_all(&names).unwrap();
    for name in ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"] {
        let link = names.join(name);
        if std::fs::read_link(&link).ok().as_deref() != Some(&library) {
            // Another test process may be doing the same: make it aside and move it over.
            let aside = names.join(format!("{name}.{}", std::process::id()));
            let _ = std::fs::remove_file(&aside);
            std::os::unix::fs::symlink(&library, &aside).unwrap();
            std::fs::rename(&aside, &link).unwrap();
        }
    }
    names
}

/// The name of a test of the file that calls, as the test runner knows it.
#[track_caller]
fn full_name(test: &str) -> String {
    let file = std::path::Path::new(std::panic::Location::caller().file());
    format!("{}::{test}", file.file_stem().unwrap().to_str().unwrap())
}

/// Runs `body` in a child process. `test` is the full name of the calling test (`module::name` inside its file);
/// `environment` are `NVSIM_*` variables. The child is this same test binary, running only that test: there the call
/// runs the body and ends the process, so that the exit report is written.
#[track_caller]
pub fn scenario(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> Outcome {
    const MARK: &str = "NVSIM_TEST_SCENARIO";
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &full_name(test), "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env("LD_LIBRARY_PATH", driver_directory())
        .env("NVSIM_REPORT", &report)
        .envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = std::fs::read_to_string(&report).unwrap_or_else(|error| {
        panic!(
            "{test} left no report ({error}): {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    });
    Outcome { output, report: serde_json::from_str(&text).unwrap() }
}
