//! The library on the simulated runtime of oneVPL (`sims/vpl/`): each test body runs in a process of its own, with the runtime
//! found by its name; and what the simulation reports of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Folder with the runtime's name, or none when the simulation is not built.
fn runtime() -> Option<PathBuf> {
    // Tests run side by side in this process.
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(find).clone()
}

fn find() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libsimulated_onevpl.so");
    if !library.exists() {
        say(&format!("SKIPPED: {} is not built (cargo test --workspace builds it)\n", library.display()));
        return None;
    }
    let names = deps.join("vplsim-names");
    std::fs::create_dir_all(&names).unwrap();
    let aside = names.join(format!("aside.{}", std::process::id()));
    #[cfg(unix)]
    std::os::unix::fs::symlink(&library, &aside).unwrap();
    std::fs::rename(&aside, names.join("libmfx-gen.so.1.2")).unwrap();
    std::fs::create_dir_all(names.join("nvidia")).unwrap();
    for name in ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1", "libnvidia-ml.so.1"] {
        let aside = names.join(format!("{name}.{}", std::process::id()));
        #[cfg(unix)]
        std::os::unix::fs::symlink(deps.join("libnvsim.so"), &aside).unwrap();
        std::fs::rename(&aside, names.join("nvidia").join(name)).unwrap();
    }
    // A library that cannot be loaded, for tests without a runtime.
    std::fs::create_dir_all(names.join("nothing")).unwrap();
    std::fs::write(names.join("nothing/libmfx-gen.so.1.2"), "no library").unwrap();
    Some(names)
}

/// Past the test runner, which keeps what tests print that pass.
pub(crate) fn say(words: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}

/// What the simulation wrote of a process, and what the process wrote to standard error.
pub(crate) struct Run(String, String);

impl Run {
    /// How often a function of the runtime was called.
    pub(crate) fn calls(&self, function: &str) -> u64 {
        let Some((_, rest)) = self.0.split_once(&format!("\"{function}\": ")) else { return 0 };
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    /// All of it.
    pub(crate) fn report(&self) -> &str {
        &self.0
    }

    /// What was written to standard error.
    pub(crate) fn said(&self) -> &str {
        &self.1
    }

    /// No rule was broken and nothing was left behind.
    pub(crate) fn assert_clean(&self) {
        for list in ["violations", "leaks", "internal_errors"] {
            assert!(self.0.contains(&format!("\"{list}\": []")), "{list}: {}", self.0);
        }
    }
}

/// A simulated machine.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    /// What the simulation calls it.
    pub(crate) profile: &'static str,
    pub(crate) settings: &'static str,
    /// Without a runtime.
    pub(crate) nothing: bool,
    /// With a simulated card of NVIDIA's.
    pub(crate) nvidia: bool,
    /// Without any program, as ffmpeg is.
    pub(crate) bare: bool,
    pub(crate) node: Node,
}

impl Machine {
    /// Intel's GPU alone.
    pub(crate) const USUAL: Self = Self {
        profile: "tigerlake",
        settings: "",
        nothing: false,
        nvidia: false,
        bare: false,
        node: Node::OfSystem,
    };
}

/// The render node of Intel's GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Whatever this machine has.
    OfSystem,
    /// With a VA-API display.
    Whole,
    /// It may not be opened.
    Locked,
    /// The kernel knows the GPU, and there is no node.
    Hidden,
}

/// What shows a program another render node; none, said loudly, where it cannot be built.
fn shown(node: Node, folder: &Path) -> Option<Command> {
    let needed = if node == Node::Whole { "/usr/include/va/va_backend.h" } else { "/usr/bin/cc" };
    if !Path::new(needed).exists() {
        say(&format!("SKIPPED: no {needed} (Debian: libva-dev, gcc)\n"));
        return None;
    }
    let root = folder.join("root");
    for (path, text) in [("sys/class/drm/renderD128/device/vendor", "0x8086\n"), ("dev/dri/renderD128", "")] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
    let place = root.join("dev/dri/renderD128");
    if node == Node::Hidden {
        std::fs::remove_file(&place).unwrap();
    }
    let mode = if node == Node::Locked { "000" } else { "666" };
    let _ = Command::new("chmod").args([mode, place.to_str().unwrap()]).stderr(Stdio::null()).status();
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("sims/vpl/run"));
    if node == Node::Whole {
        command.arg("--gpu");
    } else {
        command.arg("--root").arg(&root);
    }
    command.env("VPLSIM_LIB", std::env::current_exe().unwrap().with_file_name("libsimulated_onevpl.so"));
    Some(command)
}

/// Runs `body` in a process of its own on a simulated machine. It must break no rule and leave nothing behind. None: the
/// simulation is not built, which has been said.
#[track_caller]
pub(crate) fn clean_case(machine: Machine, test: &str, case: &str, body: impl FnOnce(&str)) -> Option<Run> {
    const MARK: &str = "VIDEO_HW_SIMULATED_INTEL";
    let Machine { profile, settings, nothing, nvidia, bare, node } = machine;
    let mark = format!("{profile} {settings} {nothing} {nvidia} {bare} {node:?} {test} {case}");
    if std::env::var(MARK).is_ok_and(|wanted| wanted == mark) {
        body(case);
        std::process::exit(0);
    }
    if std::env::var_os(MARK).is_some() {
        // A test that runs several times: this is the process of another.
        return None;
    }
    let names = runtime()?;
    let file = Path::new(std::panic::Location::caller().file());
    let name = format!("{}::{test}", file.file_stem().unwrap().to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut libraries = names.display().to_string();
    let folders = [(nothing, "nothing"), (nvidia, "nvidia")];
    for (_, folder) in folders.into_iter().filter(|(wanted, _)| *wanted) {
        libraries = format!("{}:{libraries}", names.join(folder).display());
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(&program);
    if node != Node::OfSystem {
        command = shown(node, folder.path())?;
        command.arg(&program);
    }
    if bare {
        command.env("PATH", folder.path());
    }
    let output = command
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(MARK, mark)
        .env("LD_LIBRARY_PATH", libraries)
        .env("VPLSIM_PROFILE", profile)
        .env("VPLSIM_SET", settings)
        .env("VPLSIM_REPORT", &report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{profile} {settings} {case}: {}: {said}", output.status);
    let skipped: Vec<_> = said.lines().filter(|line| line.starts_with("SKIPPED")).collect();
    for line in &skipped {
        say(&format!("{line}\n"));
    }
    let run = Run(std::fs::read_to_string(&report).unwrap_or_default(), said.clone().into_owned());
    if nothing {
        assert!(run.0.is_empty(), "the simulation was called: {}", run.0);
        return None;
    }
    if run.0.is_empty() && !skipped.is_empty() {
        // Nothing was there that could be asked of the simulation.
        return None;
    }
    assert!(!run.0.is_empty(), "the simulation was never called: {said}");
    run.assert_clean();
    Some(run)
}

/// Runs [`clean_case`] once, on a machine of this profile.
#[track_caller]
pub(crate) fn clean_on(
    profile: &'static str,
    test: &str,
    settings: &'static str,
    body: impl FnOnce(),
) -> Option<Run> {
    clean_case(Machine { profile, settings, ..Machine::USUAL }, test, "", |_| body())
}

/// As [`clean_on`], on the usual machine.
#[track_caller]
pub(crate) fn clean(test: &str, settings: &'static str, body: impl FnOnce()) -> Option<Run> {
    clean_on("tigerlake", test, settings, body)
}
