//! The program in a folder that holds a library of every name that the loader is asked for, and programs of the names that it
//! starts: none of them runs.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Machine, Run, clip, command};

/// Names by which vendors' libraries are known, whether this machine asks for them or not. `libvplevil.so` stands for all that
/// Intel's dispatcher takes for a runtime.
const KNOWN: [&str; 15] = [
    "libvplevil.so",
    "libvplswref64.so.1",
    "libmfxhw64.so.1",
    "libmfx-gen.so.1.2",
    "libmfx.so.1",
    "libvpl.so.2",
    "libcuda.so.1",
    "libcuda.so",
    "libnvcuvid.so.1",
    "libnvidia-encode.so.1",
    "libnvidia-ml.so.1",
    "libva.so.2",
    "libva-drm.so.2",
    "iHD_drv_video.so",
    "libVideoToolbox.so",
];

const PROGRAMS: [&str; 4] = ["ffmpeg", "ffprobe", "vainfo", "nvidia-smi"];

/// Writes its own path to the file that it was built with.
const LIBRARY: &str = "
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void ran(void) {
  Dl_info own;
  int mark = open(MARK, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (mark < 0 || !dladdr((void *)ran, &own)) return;
  if (write(mark, own.dli_fname, strlen(own.dli_fname)) < 0 || write(mark, \"\\n\", 1) < 0) return;
  close(mark);
}
";

const JOBS: [&[&str]; 10] = [
    &["probe", "in.h264"],
    &["devices"],
    &["doctor"],
    &["decode", "in.h264", "--null"],
    &["decode", "in.h264", "--null", "--backend", "qsv"],
    &["decode", "in.h264", "--null", "--backend", "nvidia"],
    &["decode", "in.h264", "--null", "--backend", "ffmpeg"],
    &["transcode", "in.h264", "out.mp4", "-y"],
    &["transcode", "in.h264", "out.mp4", "-y", "--backend", "qsv"],
    &["transcode", "in.h264", "out.mp4", "-y", "--backend", "ffmpeg"],
];

/// The current directory of the jobs, and where decoys leave their names.
struct Trap {
    folder: tempfile::TempDir,
    here: PathBuf,
    mark: PathBuf,
}

impl Trap {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (here, mark) = (folder.path().join("here"), folder.path().join("mark"));
        fs::create_dir_all(here.join("relative")).unwrap();
        fs::copy(clip("small.h264"), here.join("in.h264")).unwrap();
        Self { folder, here, mark }
    }

    fn job(&self, arguments: &[&str], libraries: Option<&Path>) -> Command {
        let mut job = command(arguments);
        job.current_dir(&self.here).env("HOME", self.folder.path()).env_remove("XDG_CACHE_HOME");
        job.env_remove("LD_LIBRARY_PATH");
        if let Some(libraries) = libraries {
            job.env("LD_LIBRARY_PATH", libraries);
        }
        job
    }

    /// The names that the loader looks for while a job and its children run.
    fn asked_for(&self, arguments: &[&str], libraries: Option<&Path>) -> BTreeSet<String> {
        let logs = tempfile::tempdir().unwrap();
        let mut job = self.job(arguments, libraries);
        job.env("LD_DEBUG", "libs").env("LD_DEBUG_OUTPUT", logs.path().join("log"));
        job.output().unwrap();
        let mut names = BTreeSet::new();
        for log in fs::read_dir(logs.path()).unwrap() {
            let log = fs::read(log.unwrap().path()).unwrap();
            for line in String::from_utf8_lossy(&log).lines() {
                if let Some((_, rest)) = line.split_once("find library=")
                    && let Some((name, _)) = rest.split_once(" [")
                    && !name.contains('/')
                {
                    names.insert(name.to_owned());
                }
            }
        }
        names
    }

    /// Puts down libraries of these names, and programs. `false`, said loudly: there is no compiler.
    fn set(&self, names: &BTreeSet<String>) -> bool {
        let (source, library) = (self.folder.path().join("decoy.c"), self.folder.path().join("decoy"));
        fs::write(&source, LIBRARY).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg(format!("-DMARK=\"{}\"", self.mark.display()))
            .arg("-ldl")
            .status();
        if !built.is_ok_and(|status| status.success()) {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: no C compiler\n");
            return false;
        }
        for name in names {
            fs::hard_link(&library, self.here.join(name)).unwrap();
        }
        for program in
            PROGRAMS.iter().flat_map(|name| [self.here.join(name), self.here.join("relative").join(name)])
        {
            fs::write(&program, format!("#!/bin/sh\necho \"$0\" >> '{}'\n", self.mark.display())).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        true
    }

    /// The decoys that ran since this was asked last.
    fn sprung(&self) -> String {
        let names = fs::read_to_string(&self.mark).unwrap_or_default();
        let _ = fs::remove_file(&self.mark);
        names
    }
}

#[test]
fn nothing_is_loaded_or_started_from_the_current_directory() {
    let trap = Trap::new();
    let machines = [None, Machine::new(), Machine::intel()];
    let libraries: Vec<Option<&Path>> = machines
        .iter()
        .enumerate()
        .filter(|(n, one)| *n == 0 || one.is_some())
        .map(|(_, one)| one.as_ref().map(Machine::dir))
        .collect();
    let mut names: BTreeSet<String> = KNOWN.map(str::to_owned).into();
    for libraries in &libraries {
        for job in JOBS {
            names.extend(trap.asked_for(job, *libraries));
        }
    }
    // A loader that says nothing would make this test of little use.
    let vendors = ["libmfx-gen.so.1.2", "libcuda.so.1", "libc.so.6"];
    let told = trap.asked_for(&["devices"], None);
    if !vendors.iter().all(|name| told.contains(*name)) {
        let words = format!("SKIPPED: this loader does not tell of {vendors:?} ({told:?})\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
        return;
    }
    if !trap.set(&names) {
        return;
    }
    // They do run where something loads or starts them.
    let evil = trap.here.join("libvplevil.so");
    Command::new("/bin/true").env("LD_PRELOAD", &evil).status().unwrap();
    Command::new(trap.here.join("ffmpeg")).status().unwrap();
    assert_eq!(trap.sprung().lines().count(), 2);

    let installed = std::env::var_os("PATH").unwrap_or_default();
    let joined = |first: &str| [OsStr::new(first), &installed].join(OsStr::new(":"));
    let paths = [joined(""), joined("."), joined("relative"), ".".into(), "".into()];
    for libraries in &libraries {
        for job in JOBS {
            // What one search path shows of libraries, all do.
            let some = if libraries.is_none() { &paths[..] } else { &paths[..1] };
            for path in some {
                let run = Run::of(trap.job(job, *libraries).env("PATH", path).output().unwrap());
                let sprung = trap.sprung();
                assert!(sprung.is_empty(), "{job:?}, PATH={path:?}, {libraries:?}: {sprung}{}", run.stderr);
                if job.len() < 5 {
                    assert_ne!(run.code, Some(2), "{job:?}: {}", run.stderr);
                }
            }
        }
    }
    let words = format!(
        "{} names of libraries asked for or known, none loaded from the current directory\n",
        names.len()
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}
