//! Finding ffmpeg and asking it what it is: once for each program, within bounds of time and size, and believing no
//! more than it has to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::child::{Output, Process};
use super::nut::Damage;
use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};
use crate::sync::lock;

/// How long an answer may take: starting ffmpeg from a cold disk, with all of its libraries.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer; the list of encoders has about 20 kB.
const ANSWER_BYTES: u64 = 1 << 20;
/// `libavcodec` of ffmpeg 4.4, the oldest that is taken, and of 5.1, which renamed an option. Builds from between
/// releases have no other number.
const OLDEST: (u32, u32) = (58, 134);
const RENAMED: (u32, u32) = (59, 37);

const INSTALL: Remedy = Remedy::install(
    "ffmpeg",
    "Install ffmpeg 4.4 or later so that it is on the PATH, or name the program as the device",
);

/// A program that has said that it is ffmpeg.
pub(super) struct Program {
    path: PathBuf,
    version: String,
    codec_library: (u32, u32),
    encoders: BTreeSet<String>,
    /// Pixel formats of each encoder asked about.
    formats: Mutex<BTreeMap<String, Vec<String>>>,
    /// What came of trying hardware encoders.
    trials: Mutex<BTreeMap<String, Option<Error>>>,
}

type Known = BTreeMap<PathBuf, std::result::Result<Arc<Program>, Error>>;

static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());

fn unavailable(reason: String) -> Error {
    Error::Unavailable { backend: BackendKind::Ffmpeg, reason, remedy: INSTALL }
}

/// The program named by `device`, where that is a path; otherwise the one on the PATH.
///
/// # Errors
/// None, or one that is too old, or one that does not answer like ffmpeg.
pub(super) fn program(device: Option<&str>) -> Result<Arc<Program>> {
    let path = match device.filter(|device| is_path(device)) {
        Some(named) => PathBuf::from(named),
        None => on_path().ok_or_else(|| unavailable("no ffmpeg on the PATH".to_owned()))?,
    };
    // Held while asking: whoever else wants to know needs the same answer.
    let mut known = lock(&KNOWN);
    if let Some(answer) = known.get(&path) {
        return answer.clone();
    }
    let answer = Program::ask(&path).map(Arc::new);
    // One that could not be started, for want of memory perhaps, or was too slow, is asked again.
    if !answer.as_ref().err().is_some_and(is_passing) {
        known.insert(path, answer.clone());
    }
    answer
}

/// Most trials that are remembered: settings of all kinds may be asked for in a long life.
const MOST_TRIALS: usize = 256;

/// Whether a refusal may be another one the next time.
fn is_passing(error: &Error) -> bool {
    matches!(error.remedy(), Remedy::TryAgain(_))
}

/// Whether a device's name names a program. Ordinals and identifiers of GPUs never hold a separator.
fn is_path(device: &str) -> bool {
    device.contains(std::path::is_separator)
}

/// What starting `ffmpeg` without a path would start, as a path that stays the same.
pub(super) fn on_path() -> Option<PathBuf> {
    // The system searches the same variable to start a program.
    first_in(&std::env::var_os("PATH")?)
}

/// The first in some folders. Those that depend on the current directory (`.`, an empty entry) are passed over: whoever can
/// put a file there, next to a video perhaps, must not have it started.
fn first_in(folders: &OsStr) -> Option<PathBuf> {
    let name = format!("ffmpeg{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(folders)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&name))
        .find(|p| runs(p))
}

fn runs(path: &Path) -> bool {
    let Ok(facts) = std::fs::metadata(path) else { return false };
    #[cfg(unix)]
    let allowed = std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let allowed = true;
    facts.is_file() && allowed
}

impl Program {
    fn ask(path: &Path) -> Result<Self> {
        let message = answer(path, &["-hide_banner", "-version"])?;
        let version = message.lines().next().and_then(|line| line.strip_prefix("ffmpeg version "));
        let version = version.and_then(|rest| rest.split_whitespace().next());
        let library = message.lines().find_map(|line| two_numbers(line.strip_prefix("libavcodec ")?));
        let (Some(version), Some(codec_library)) = (version, library) else {
            let begin: String = message.chars().take(60).collect();
            return Err(unavailable(format!("{} does not answer like ffmpeg: {:?}", path.display(), begin)));
        };
        let version: String = version.chars().filter(|c| !c.is_control()).take(60).collect();
        if codec_library < OLDEST {
            return Err(unavailable(format!("{} is version {version}, too old", path.display())));
        }
        let list = answer(path, &["-hide_banner", "-encoders"])?;
        Ok(Self {
            path: path.to_owned(),
            version,
            codec_library,
            encoders: video_encoders(&list),
            formats: Mutex::default(),
            trials: Mutex::default(),
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// As it names its version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it was built with this encoder. That it works is another question.
    pub(super) fn has_encoder(&self, name: &str) -> bool {
        self.encoders.contains(name)
    }

    /// ffmpeg's names of the pixel formats that an encoder of this build takes.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn formats(&self, encoder: &str) -> Result<Vec<String>> {
        if let Some(formats) = lock(&self.formats).get(encoder) {
            return Ok(formats.clone());
        }
        let message = answer(&self.path, &["-hide_banner", "-h", &format!("encoder={encoder}")])?;
        let list = message.lines().find_map(|line| line.trim().strip_prefix("Supported pixel formats:"));
        let formats: Vec<_> = list.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        lock(&self.formats).insert(encoder.to_owned(), formats.clone());
        Ok(formats)
    }

    /// What came of `trial`, which is run once for each `key`: a driver that is not there does not appear meanwhile. What may
    /// be otherwise the next time (no session left, no answer in time) is tried again.
    ///
    /// # Errors
    /// What the trial ended with.
    pub(super) fn tried(&self, key: &str, trial: impl FnOnce() -> Result<()>) -> Result<()> {
        let known = lock(&self.trials).get(key).cloned();
        match known {
            Some(None) => Ok(()),
            Some(Some(error)) => Err(error),
            None => {
                let done = trial();
                let lasting = match &done {
                    Ok(()) | Err(Error::Unsupported { .. }) => true,
                    Err(error @ Error::Unavailable { .. }) => !is_passing(error),
                    Err(_) => false,
                };
                let mut trials = lock(&self.trials);
                if lasting && trials.len() < MOST_TRIALS {
                    trials.insert(key.to_owned(), done.as_ref().err().cloned());
                }
                drop(trials);
                done
            }
        }
    }

    /// Frames as they come: none doubled or left out to make the rate even.
    pub(super) fn every_frame(&self) -> [OsString; 2] {
        let option = if self.codec_library < RENAMED { "-vsync" } else { "-fps_mode" };
        [option.into(), "passthrough".into()]
    }
}

/// The two numbers at the beginning of `59. 37.100 / 59. 37.100`.
fn two_numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.trim().parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// The names in a list whose lines are ` V....D libx264   message`.
fn video_encoders(list: &str) -> BTreeSet<String> {
    /// More than any build has.
    const MOST: usize = 1000;
    let line = |line: &str| {
        let mut message = line.split_whitespace();
        let flags = message.next().filter(|flags| flags.len() == 6 && flags.starts_with('V'))?;
        let name = message.next().filter(|name| name.len() <= 64 && *name != "=")?;
        let known = flags.bytes().all(|b| b == b'.' || b.is_ascii_uppercase());
        known.then(|| name.to_owned())
    };
    list.lines().filter_map(line).take(MOST).collect()
}

/// What the program says on standard output.
fn answer(path: &Path, arguments: &[&str]) -> Result<String> {
    let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
    let said = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&said);
    let read = move |output: Output| {
        let mut bytes = Vec::new();
        output.take(ANSWER_BYTES + 1).read_to_end(&mut bytes).map_err(Damage::Io)?;
        if bytes.len() as u64 > ANSWER_BYTES {
            return Err(Damage::Broken(format!("more than {ANSWER_BYTES} bytes")));
        }
        *lock(&into) = bytes;
        Ok(())
    };
    let asked = Process::start(path, &arguments, Box::new(read), Box::new(|| true))
        .and_then(|mut p| p.finish_within(ANSWER));
    match asked {
        Ok(()) => Ok(String::from_utf8_lossy(&lock(&said)).into_owned()),
        Err(error @ Error::Unavailable { .. }) => Err(error),
        Err(error) => Err(unavailable(format!(
            "{} does not answer \"{}\": {error}",
            path.display(),
            arguments.last().map(|a| a.to_string_lossy()).unwrap_or_default()
        ))
        .with_remedy(Remedy::TryAgain(
            "Install ffmpeg 4.4 or later so that it is on the PATH, or name the program as the device; if it is there, try \
             again"
                .into(),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_current_directory_is_never_searched() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("ffmpeg");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // The same folder, seen from the current directory.
        let up = std::env::current_dir().unwrap().components().map(|_| "..").collect::<PathBuf>();
        let relative = up.join(scratch.path().strip_prefix("/").unwrap());
        assert!(runs(&relative.join("ffmpeg")));
        let folders = |all: &[&Path]| std::env::join_paths(all).unwrap();
        for entry in [&relative, Path::new(""), Path::new(".")] {
            assert_eq!(first_in(&folders(&[entry])), None, "{}", entry.display());
            assert_eq!(first_in(&folders(&[entry, scratch.path()])), Some(program.clone()));
        }
    }

    #[test]
    fn lists_and_versions_are_read() {
        let list = "Encoders:\n V..... = Video\n ------\n V....D libx264   x (codec h264)\n A....D aac  y\n junk\n V..... h264_qsv\n";
        let names: Vec<_> = video_encoders(list).into_iter().collect();
        assert_eq!(names, ["h264_qsv", "libx264"]);
        assert_eq!(two_numbers("    59. 37.100 / 59. 37.100"), Some((59, 37)));
        assert_eq!(two_numbers("59"), None);
        assert!(is_path("/usr/bin/ffmpeg") && !is_path("GPU-12") && !is_path("0,1"));
    }
}
