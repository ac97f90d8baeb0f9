//! Runs a piece of a test in a process of its own on the simulated frameworks.

use std::path::{Path, PathBuf};
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
        let text = String::from_utf8_lossy(&self.output.stderr);
        assert!(self.output.status.success(), "{}\n{text}", self.output.status);
        assert_eq!(self.report["internal_errors"], serde_json::json!([]), "{text}");
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

    /// Names of all rules broken.
    pub fn violations(&self) -> Vec<String> {
        let list = self.report["violations"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|breach| breach["name"].as_str().map(str::to_owned)).collect()
    }
}

/// The folder with the name that clients open.
fn folder() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            // Beside the test: `cargo test` leaves the shared object in target/<profile>/deps, as new as the test.
            let library = std::env::current_exe().unwrap().with_file_name("libvtsim.so");
            assert!(library.exists(), "{} is not built", library.display());
            let folder = library.parent().unwrap().parent().unwrap().join("vtsim-frameworks");
            std::fs::create_dir_all(&folder).unwrap();
            let link = folder.join("libVideoToolbox.so");
            if std::fs::read_link(&link).ok().as_deref() != Some(&library) {
                // Another test process may be doing the same: make it aside and move it over.
                let aside = folder.join(format!("aside.{}", std::process::id()));
                let _ = std::fs::remove_file(&aside);
                std::os::unix::fs::symlink(&library, &aside).unwrap();
                std::fs::rename(&aside, &link).unwrap();
            }
            folder
        })
        .clone()
}

/// Runs `body` in a child process with these `VTSIM_*` variables. `test` is the name of the calling test; the child is this same test
/// binary, running only that test: there the call runs the body and ends the process, so that the exit report is written.
#[track_caller]
pub fn scenario(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> Outcome {
    let (output, report) = child(test, environment, body);
    let text = report.unwrap_or_else(|| {
        panic!("no report: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
    });
    Outcome { output, report: serde_json::from_str(&text).unwrap() }
}

/// As [`scenario`], for a process that may leave no report.
#[track_caller]
pub fn child(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> (Output, Option<String>) {
    const MARK: &str = "VTSIM_TEST_SCENARIO";
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body();
        std::process::exit(0);
    }
    let file =
        Path::new(std::panic::Location::caller().file()).file_stem().unwrap().to_str().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("{file}::{test}"), "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env("LD_LIBRARY_PATH", folder())
        .env("VTSIM_REPORT", &report)
        .envs(environment.iter().copied());
    (command.output().unwrap(), std::fs::read_to_string(&report).ok())
}
