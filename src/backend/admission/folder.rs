//! Which folder processes meet in, and whom it has to belong to.
//!
//! Without a setting it is the common one where an administrator made it, and otherwise the user's own, next to other
//! temporary files. The common one is never made here: whom users let into their queue is an administrator's decision
//! (docs/nvidia.md says how).

use std::fs::File;
#[cfg(unix)]
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// Where an administrator lets the users of a host meet.
#[cfg(target_os = "linux")]
const COMMON: &str = "/run/video-hw";
#[cfg(all(unix, not(target_os = "linux")))]
const COMMON: &str = "/var/run/video-hw";

/// Where processes meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// The one that a setting names; made for its user alone where there is none.
    Named(PathBuf),
    /// The common one, where there is one, else the user's own.
    Usual {
        /// Made by an administrator, or not at all.
        common: Option<PathBuf>,
        /// Made for its user alone.
        own: PathBuf,
    },
}

/// A folder, open: its path may mean something else by now.
#[derive(Debug)]
pub(super) struct Opened {
    /// By which files in it are named.
    path: PathBuf,
    /// Keeps `path` valid.
    _handle: Option<File>,
    shown: PathBuf,
    /// Permissions of others on the files that are made in it; 0: it is one user's.
    others: u32,
    note: Option<String>,
}

/// Whom a folder may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// An administrator, who lets others write.
    Common,
    /// The user, and nobody else may look into it.
    Own,
    /// The user or an administrator.
    Named,
}

impl Folder {
    /// Where processes meet unless told otherwise.
    pub(super) fn usual() -> Self {
        #[cfg(unix)]
        {
            let own = format!("video-hw-sessions-{}", user());
            Self::Usual { common: Some(COMMON.into()), own: std::env::temp_dir().join(own) }
        }
        // The folder of temporary files is each user's own.
        #[cfg(not(unix))]
        Self::Usual { common: None, own: std::env::temp_dir().join("video-hw-sessions") }
    }

    /// # Errors
    /// Why it cannot be used, in words.
    pub(super) fn open(&self) -> Result<Opened, String> {
        let message = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        let (common, own) = match self {
            Self::Named(path) => return open(path, Rule::Named).map_err(|error| message(path, error)),
            Self::Usual { common, own } => (common, own),
        };
        let common = common.as_ref().map(|path| open(path, Rule::Common).map_err(|error| (path, error)));
        let why = match common {
            Some(Ok(opened)) => return Ok(opened),
            Some(Err((_, error))) if error.kind() == io::ErrorKind::NotFound => None,
            Some(Err((path, error))) => Some(message(path, error)),
            None => None,
        };
        let mut opened = open(own, Rule::Own).map_err(|error| message(own, error))?;
        opened.note = why;
        Ok(opened)
    }
}

impl Opened {
    /// By which files in it are named.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is called.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// Why it is not the common one, where that is there.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Gives a file that was just made to those who share the folder, whatever the process's mask is. Where that fails, they
    /// go without.
    pub(super) fn share(&self, file: &File) {
        #[cfg(unix)]
        if self.others != 0 {
            use std::os::unix::fs::PermissionsExt;
            let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600 | self.others));
        }
        #[cfg(not(unix))]
        let _ = (file, self.others);
    }

    /// # Errors
    /// A file of another kind or owner than those that are made here.
    pub(super) fn check(&self, file: &File, name: &str) -> io::Result<()> {
        let data = file.metadata()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            if self.others == 0 && !is_trusted(data.uid()) {
                return Err(io::Error::other(format!("{name} belongs to user {}", data.uid())));
            }
            if data.nlink() != 1 {
                return Err(io::Error::other(format!("{name} is not a plain file with one name")));
            }
        }
        if data.is_file() {
            return Ok(());
        }
        Err(io::Error::other(format!("{name} is not a plain file with one name")))
    }
}

#[cfg(unix)]
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The process's user, and an administrator.
#[cfg(unix)]
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == user()
}

#[cfg(unix)]
fn open(path: &Path, rule: Rule) -> io::Result<Opened> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    const EVERYBODY: u32 = 0o002;
    const OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    if rule != Rule::Common {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let handle =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path)?;
    let data = handle.metadata()?;
    let (owner, mode) = (data.uid(), data.mode());
    let refused = |why: String| Err(io::Error::other(why));
    let is_right = match rule {
        Rule::Common => owner == 0,
        Rule::Own => owner == user(),
        Rule::Named => is_trusted(owner),
    };
    if !is_right {
        return refused(format!("it belongs to user {owner}, who could keep everybody else waiting"));
    }
    if rule == Rule::Own && mode & 0o077 != 0 {
        return refused("others may look into it (chmod 700 helps)".to_owned());
    }
    // Where all may write and delete, a file could be exchanged between two looks at it.
    if mode & OTHERS != 0 && mode & STICKY == 0 {
        return refused("everybody may delete its files (chmod +t helps)".to_owned());
    }
    let group = if mode & 0o020 != 0 { 0o060 } else { 0 };
    let others = group | if mode & EVERYBODY != 0 { 0o066 } else { 0 };
    // By its handle the folder stays the same even if somebody exchanges it for a link.
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let by_handle = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        if by_handle.is_dir() {
            return Ok(Opened {
                path: by_handle,
                _handle: Some(handle),
                shown: path.to_owned(),
                others,
                note: None,
            });
        }
    }
    Ok(Opened { path: path.to_owned(), _handle: Some(handle), shown: path.to_owned(), others, note: None })
}

#[cfg(not(unix))]
fn open(path: &Path, _: Rule) -> io::Result<Opened> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !path.symlink_metadata()?.is_dir() {
        return Err(io::Error::other("it is not a directory"));
    }
    Ok(Opened { path: path.to_owned(), _handle: None, shown: path.to_owned(), others: 0, note: None })
}
