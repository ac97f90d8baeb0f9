//! What answers depend on. As long as all of it is the same, they are believed to be.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::backend::CANDIDATES;
use crate::backend::vendors::{ENGINES, calls};

/// Where the system's loader looks besides; its own list of everything else is `/etc/ld.so.cache`.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/usr/local/lib",
];
const LOADER_LIST: &str = "/etc/ld.so.cache";

/// A line for each thing that answers depend on: this boot, this program, the driver and its libraries by path, time and
/// size, ffmpeg, the device nodes, the groups of the user, the container, and variables of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub(super) lines: Vec<String>,
}

impl Identity {
    /// Of this machine and process. The library reads no environment: `environment` are the variables that matter, with
    /// their values (`PATH`, `LD_LIBRARY_PATH`, `CUDA_VISIBLE_DEVICES` ...), `programs` are files that do the probing.
    /// `None` where the system does not tell when it was started: then nothing should be remembered.
    pub fn here(environment: &[(String, OsString)], programs: &[PathBuf]) -> Option<Self> {
        let mut lines = vec![format!("version {}", env!("CARGO_PKG_VERSION")), format!("boot {}", boot()?)];
        let mut add = |what: &str, value: &str| lines.push(format!("{what} {}", one_line(value)));
        for program in programs {
            add("program", &file(program).unwrap_or_default());
        }
        for (name, value) in environment {
            add("variable", &format!("{name}={}", value.to_string_lossy()));
        }
        let of_loader = environment.iter().find(|(name, _)| name == "LD_LIBRARY_PATH");
        let own = of_loader.map(|(_, value)| std::env::split_paths(value).collect()).unwrap_or_default();
        let folders: Vec<PathBuf> = own;
        let usual = FOLDERS.iter().chain(ENGINES.iter().flat_map(|engine| engine.folders)).map(Path::new);
        for folder in folders.iter().map(PathBuf::as_path).chain(usual) {
            let libraries = ENGINES.iter().flat_map(|engine| engine.libraries);
            for library in libraries.filter_map(|name| file(&folder.join(name))) {
                add("library", &library);
            }
        }
        add("loader", &file(Path::new(LOADER_LIST)).unwrap_or_default());
        for version in ENGINES.iter().filter_map(|engine| engine.version) {
            add("driver", &head(version));
        }
        for backend in CANDIDATES {
            if let Some(program) = calls(backend).ok().and_then(|calls| calls.program) {
                add(backend.name(), &program().and_then(|path| file(&path)).unwrap_or_default());
            }
        }
        for node in nodes(Path::new("/dev")) {
            add("node", &node);
        }
        // Who may open them.
        let status = head("/proc/self/status");
        for line in status
            .lines()
            .filter(|line| ["Uid:", "Gid:", "Groups:"].iter().any(|name| line.starts_with(name)))
        {
            add("user", line);
        }
        // A container has other files, and often the same home.
        let space = fs::read_link("/proc/self/ns/mnt").map(|path| path.display().to_string());
        add("files", &space.unwrap_or_default());
        Some(Self { lines })
    }
}

fn one_line(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// When the system was started, in some words of its own that no other start has.
fn boot() -> Option<String> {
    let id = head("/proc/sys/kernel/random/boot_id");
    if !id.trim().is_empty() {
        return Some(id.trim().to_owned());
    }
    if !cfg!(target_os = "macos") {
        return None;
    }
    let said = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.boottime"]).output().ok()?;
    let message = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    (said.status.success() && !message.is_empty()).then_some(message)
}

/// The beginning of a small file of the system's.
pub(super) fn head(path: impl AsRef<Path>) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8192).read_to_end(&mut bytes));
    if read.is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A file by where it really lies, when it was changed and how large it is.
fn file(path: &Path) -> Option<String> {
    let facts = fs::metadata(path).ok()?;
    let real = fs::canonicalize(path).ok()?;
    let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{} {} {changed} {}", path.display(), real.display(), facts.len()))
}

/// The device nodes of GPUs.
pub(super) fn nodes(dev: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let of_vendors = ENGINES.iter().filter_map(|engine| engine.nodes).map(|prefix| (dev.to_owned(), prefix));
    for (folder, prefix) in of_vendors.chain([(dev.join("dri"), "renderD"), (dev.to_owned(), "dxg")]) {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        found.extend(
            names.filter(|name| name.starts_with(prefix)).map(|name| folder.join(name).display().to_string()),
        );
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn whatever_changes_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libcuda.so.1");
        fs::write(&library, "one").unwrap();
        let path = |value: &str| ("LD_LIBRARY_PATH".to_owned(), OsString::from(value));
        let here = |value: &str| Identity::here(&[path(value)], std::slice::from_ref(&library)).unwrap();
        let name = folder.path().to_str().unwrap();
        let before = here(name);
        assert_eq!(before, here(name));
        assert_ne!(before, here("/elsewhere"));
        assert!(before.lines.iter().any(|line| line.starts_with("boot ")), "{:?}", before.lines);
        fs::write(&library, "another").unwrap();
        assert_ne!(before, here(name));
    }

    #[test]
    fn no_value_makes_a_line_of_its_own() {
        let variable = ("A".to_owned(), OsString::from("x\nboot 7"));
        if let Some(identity) = Identity::here(&[variable], &[]) {
            assert!(identity.lines.iter().all(|line| !line.contains('\n')));
        }
    }
}
