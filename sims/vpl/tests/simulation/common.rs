//! Runs a piece of a test in a process of its own on the simulated runtime.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// The shared object. Beside the test: `cargo test` leaves it in target/<profile>/deps, as new as the test.
pub fn library() -> PathBuf {
    let library = std::env::current_exe().unwrap().with_file_name("libsimulated_onevpl.so");
    assert!(library.exists(), "{} is not built", library.display());
    library
}

/// A program on the simulated runtime, by way of `run`; none where it is not installed.
pub fn run(program: &str, options: &[&str], arguments: &[&str]) -> Option<Outcome> {
    if !Path::new("/usr/bin").join(program).exists() {
        skipped(&format!("{program} is not installed (Debian packages libvpl2, onevpl-tools)"));
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("run"))
        .args(options)
        .arg("--report")
        .arg(&report)
        .arg(program)
        .args(arguments)
        .env("VPLSIM_LIB", library())
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&report)
        .unwrap_or_else(|_| panic!("no report\n{}", String::from_utf8_lossy(&output.stderr)));
    Some(Outcome { output, report: serde_json::from_str(&text).unwrap() })
}

/// Says so where nobody can miss it.
pub fn skipped(why: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {why}\n"));
}

/// A file made of test pictures by these options of ffmpeg; none where it lacks the encoder.
pub fn made(folder: &Path, name: &str, options: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=178x146:rate=25:duration=0.8"])
        .args(options.split(' '))
        .arg(&path)
        .status()
        .unwrap();
    if !status.success() {
        skipped(&format!("ffmpeg makes no {name}"));
    }
    status.success().then_some(path)
}

/// All pictures of a file in display order, as ffmpeg decodes them.
pub fn ffmpeg(path: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", format, "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(
        output.status.success() && !output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// What ffprobe says of the first stream: name, width, height, frames.
pub fn probe(path: &Path) -> (String, u32, u32, u32) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_name,width,height,nb_read_frames"])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", path.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<&str> = text.trim().split(',').collect();
    (fields[0].into(), fields[1].parse().unwrap(), fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// As md5sum writes it.
pub fn md5(bytes: &[u8]) -> String {
    use md5::Digest as _;
    md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs `body` in a child process with these `VPLSIM_*` variables. `test` is the name of the calling test; the child is this same test
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
    const MARK: &str = "VPLSIM_TEST_SCENARIO";
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
        .env("VPLSIM_REPORT", &report)
        .envs(environment.iter().copied());
    (command.output().unwrap(), std::fs::read_to_string(&report).ok())
}
