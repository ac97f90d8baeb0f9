//! Running the built program, and asking ffmpeg for its opinion.

#![allow(unreachable_pub, dead_code, reason = "each test file uses a part of this")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A clip from `clips/` at the root of the repository.
pub fn clip(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clips").join(name);
    assert!(path.is_file(), "{} is part of the repository", path.display());
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// The lines of `clips/md5s.txt`: md5, frames, pixel format, file.
pub fn goldens() -> Vec<(String, u64, String, String)> {
    let text = fs::read_to_string(clip("md5s.txt")).expect("the goldens can be read");
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let [md5, frames, format, file] = <[String; 4]>::try_from(words).expect("four words a line");
            (md5, frames.parse().expect("a number"), format, file)
        })
        .collect()
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out(), self.stderr))
    }

    /// Fails with `code` and exactly one line, which holds all of `words`.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        let lines: Vec<_> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "exactly one line: {}", self.stderr);
        assert!(lines[0].starts_with("video-hw: error: "), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
        for word in ["panicked", "RUST_BACKTRACE", "unwrap", "Some(", "Err(", "{ "] {
            assert!(!self.stderr.contains(word), "{word:?} in: {}", self.stderr);
        }
        assert_eq!(self.code, Some(code), "{}", self.stderr);
    }
}

pub fn command<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_video-hw"));
    command.args(args.iter().map(AsRef::as_ref)).stdin(Stdio::null());
    command
}

/// Runs `video-hw` with these arguments.
pub fn run<S: AsRef<str>>(args: &[S]) -> Run {
    Run::of(command(args).output().expect("the program starts"))
}

/// Runs it with `input` on standard input.
pub fn run_with_stdin<S: AsRef<str>>(args: &[S], input: &[u8]) -> Run {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        // A program that stops reading early is judged by its own answer.
        scope.spawn(move || drop(stdin.write_all(input)));
        Run::of(child.wait_with_output().expect("the program ends"))
    })
}

/// Whether a tool is there; says so loudly when it is not.
pub fn have(tool: &str) -> bool {
    let found =
        Command::new(tool).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {tool} is not installed\n"),
        );
    }
    found
}

/// Output of a tool that must succeed without a word on standard error.
#[track_caller]
pub fn tool(name: &str, args: &[&str]) -> String {
    let output = Command::new(name).args(args).stdin(Stdio::null()).output().expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{name} {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Presentation times of all video frames in seconds, in order, as ffprobe tells them.
#[track_caller]
pub fn frame_times(file: &str) -> Vec<f64> {
    let args =
        ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", file];
    let text = tool("ffprobe", &args);
    text.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect()
}

/// Plays the file with a decoder that complains about anything wrong.
#[track_caller]
pub fn plays(file: &str) {
    // Its encoder time base: by default one frame of the average rate, in which uneven times collide.
    let args = ["-v", "error", "-i", file, "-enc_time_base", "1/90000", "-f", "null", "-"];
    tool("ffmpeg", &args);
}

/// A scratch folder.
pub struct Scratch(TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder can be made"))
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// Path of `name` in it.
    pub fn path(&self, name: &str) -> String {
        self.dir().join(name).to_str().expect("the path is UTF-8").to_owned()
    }

    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("the file can be written");
        path
    }

    /// Everything in it, hidden files too, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir()).expect("the folder can be read");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// A Y4M file of grey frames with a moving bar, made without any codec.
pub fn y4m(width: usize, height: usize, frames: usize) -> Vec<u8> {
    let mut out = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n").into_bytes();
    for n in 0..frames {
        out.extend_from_slice(b"FRAME\n");
        out.extend(yuv_frame(width, height, n));
    }
    out
}

/// One frame of it.
pub fn yuv_frame(width: usize, height: usize, n: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        out.extend(
            (0..width).map(|x| if (x + y / 4 + 3 * n) % 64 < 16 { 200 } else { 60 + (y % 100) as u8 }),
        );
    }
    out.resize(out.len() + 2 * (width.div_ceil(2) * height.div_ceil(2)), 128);
    out
}

/// A machine of its own with a simulated driver (`sims/`).
#[cfg(unix)]
pub struct Machine(TempDir);

#[cfg(unix)]
impl Machine {
    /// One with an NVIDIA card. `None`, said loudly, when the simulation is not built.
    pub fn new() -> Option<Self> {
        let names = ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"];
        Self::with("libnvsim.so", &names)
    }

    /// One with VideoToolbox.
    pub fn mac() -> Option<Self> {
        Self::with("libvtsim.so", &["libVideoToolbox.so"])
    }

    /// One with a GPU of Intel's.
    pub fn intel() -> Option<Self> {
        Self::with("libsimulated_onevpl.so", &["libmfx-gen.so.1.2"])
    }

    fn with(library: &str, names: &[&str]) -> Option<Self> {
        let library = std::env::current_exe().unwrap().parent().unwrap().join(library);
        if !library.exists() {
            let words =
                format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display());
            // Not by a macro: the test's own output is shown when it fails only.
            let _ = std::io::stderr().write_all(words.as_bytes());
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::os::unix::fs::symlink(&library, folder.path().join(name)).unwrap();
        }
        Some(Self(folder))
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// Puts a program on it, with this chip and these settings of the simulation (`a=1;b=2`). Breaking a rule of the driver ends
    /// the program by a signal. Encode sessions are counted on this machine: those of other tests are none of its business.
    pub fn runs(&self, command: &mut Command, chip: &str, settings: &str) {
        command
            .env("LD_LIBRARY_PATH", self.dir())
            .env("TMPDIR", self.dir())
            .env("NVSIM_PROFILE", chip)
            .env("NVSIM_SET", format!("strict=true;{settings}").trim_end_matches(';'));
    }

    /// Puts a program on a machine with a GPU of Intel's of this kind. Breaking a rule of the runtime ends it by a signal.
    pub fn runs_on_intel(&self, command: &mut Command, kind: &str, settings: &str) {
        command
            .env("LD_LIBRARY_PATH", self.dir())
            .env("ONEVPL_SEARCH_PATH", self.dir())
            .env("TMPDIR", self.dir())
            .env("VPLSIM_PROFILE", kind)
            .env("VPLSIM_SET", settings)
            .env("VPLSIM_STRICT", "1")
            .env("VPLSIM_QUIET", "1");
    }

    /// Puts a program on a Mac of this kind. Breaking a rule of the frameworks ends it by a signal.
    pub fn runs_as_mac(&self, command: &mut Command, kind: &str, settings: &str) {
        command
            .env("LD_LIBRARY_PATH", self.dir())
            .env("TMPDIR", self.dir())
            .env("VTSIM_PROFILE", kind)
            .env("VTSIM_SET", settings)
            .env("VTSIM_STRICT", "1")
            .env("VTSIM_QUIET", "1");
    }
}

/// As [`on_chip`], on a machine without ffmpeg.
#[cfg(unix)]
pub fn on_chip_alone<S: AsRef<str>>(chip: &str, settings: &str, args: &[S]) -> Option<Run> {
    let machine = Machine::new()?;
    let mut command = command(args);
    machine.runs(&mut command, chip, settings);
    Some(Run::of(command.env("PATH", machine.dir()).output().unwrap()))
}

/// The program on a machine of its own; `None` when the simulation is not built.
#[cfg(unix)]
pub fn on_chip<S: AsRef<str>>(chip: &str, settings: &str, args: &[S]) -> Option<Run> {
    let machine = Machine::new()?;
    let mut command = command(args);
    machine.runs(&mut command, chip, settings);
    Some(Run::of(command.output().unwrap()))
}
