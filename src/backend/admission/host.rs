//! The directory in which the processes of a host meet: for each domain a file that is locked while sessions are counted
//! and opened, which also holds what was learned, and a file for each session, locked as long as the session lives.
//! The system gives locks back when a process ends, however it ends. Files are never deleted.
//!
//! The directory is where every user may write, so nothing in it is trusted: links are not followed, nothing but plain
//! files is used, only the file of a domain is written to, and what is read has an end. Whoever may write there can keep
//! others waiting, as with every lock that is shared; a directory of one's own is a setting.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Sessions of a domain that are counted; those beyond are not.
const MOST_SLOTS: usize = 256;
/// How long the file of a domain may be locked by somebody else: far beyond the opening of a session. Its owner may be
/// stopped, and then sessions are opened without it.
const PATIENCE: Duration = Duration::from_secs(3);
/// What was learned takes less.
const MOST_BYTES: u64 = 4096;

/// A directory, open: its path may mean something else by now.
#[derive(Debug)]
struct Directory {
    /// By which files in it are named.
    path: PathBuf,
    /// Keeps `path` valid.
    _handle: Option<File>,
}

/// A domain's files, locked: nobody else counts or opens meanwhile.
#[derive(Debug)]
pub(super) struct Entered {
    directory: Directory,
    name: String,
    file: File,
}

impl Drop for Entered {
    fn drop(&mut self) {
        give_back(&self.file);
    }
}

/// A session's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    locked: File,
}

impl Drop for Slot {
    fn drop(&mut self) {
        give_back(&self.locked);
    }
}

/// Unlocks now. A process that is just being started has copies of all files for a moment, and a file that is only closed
/// stays locked until the last copy is.
fn give_back(file: &File) {
    // What cannot be unlocked is closed next, as before.
    let _ = file.unlock();
}

/// Locks a domain.
///
/// # Errors
/// Why the directory cannot be used, in words.
pub(super) fn enter(directory: &Path, name: &str) -> Result<Entered, String> {
    let words = |error: io::Error| format!("{}: {error}", directory.display());
    let opened = open_directory(directory).map_err(words)?;
    let path = opened.path.join(format!("{name}.lock"));
    let file = open_plain(&path).map_err(words)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Entered { directory: opened, name: name.to_owned(), file }),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(TryLockError::WouldBlock) => {
                let seconds = PATIENCE.as_secs();
                return Err(format!(
                    "{}: {name}.lock has been locked by another process for {seconds} seconds",
                    directory.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(words(error)),
        }
    }
}

impl Entered {
    /// How many sessions are open, and a place for the next; no place when there are too many to count.
    pub(super) fn count(&self) -> (usize, Option<Slot>) {
        let (mut open, mut free) = (0, None);
        for number in 0..MOST_SLOTS {
            let path = self.directory.path.join(format!("{}.{number}", self.name));
            // Places are taken from the first on, so behind one that was never made there is none.
            let missing = path.symlink_metadata().is_err();
            if missing && free.is_some() {
                break;
            }
            match open_plain(&path).map(|file| (file.try_lock(), file)) {
                // Of several that are free the others are given back here; nobody else looks meanwhile.
                Ok((Ok(()), file)) => free = free.or(Some(Slot { locked: file })),
                Ok((Err(TryLockError::WouldBlock), _)) => open += 1,
                // Something else has the name: the next.
                Ok((Err(TryLockError::Error(_)), _)) | Err(_) => {}
            }
            if missing {
                break;
            }
        }
        (open, free)
    }

    /// What was learned, as it was written; empty when that cannot be read.
    pub(super) fn read(&mut self) -> String {
        let mut bytes = Vec::new();
        let begun = self.file.seek(SeekFrom::Start(0));
        let read = begun.and_then(|_| (&self.file).take(MOST_BYTES).read_to_end(&mut bytes));
        read.ok().and_then(|_| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Writes down what was learned; whether that worked: a file of another user need not be writable.
    pub(super) fn write(&mut self, text: &str) -> bool {
        let begun = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        begun.and_then(|_| self.file.write_all(text.as_bytes())).is_ok()
    }
}

/// A plain file, made if there is none. Not a link, nor anything that waits when it is opened, nor another name of
/// somebody's file.
fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    careful(&mut options);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Another process may be faster; then the file is there.
            match options.clone().create_new(true).open(path) {
                Ok(file) => {
                    for_all(&file, 0o666);
                    file
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path)?,
                Err(error) => return Err(error),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Of another user: it can be locked all the same.
            let mut options = OpenOptions::new();
            options.read(true);
            careful(&mut options);
            options.open(path)?
        }
        opened => opened?,
    };
    if is_plain(&file)? {
        return Ok(file);
    }
    Err(io::Error::other(format!("{} is not a plain file with one name", path.display())))
}

#[cfg(unix)]
fn careful(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
}

#[cfg(not(unix))]
fn careful(_: &mut OpenOptions) {}

#[cfg(unix)]
fn is_plain(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let data = file.metadata()?;
    Ok(data.is_file() && data.nlink() == 1)
}

#[cfg(not(unix))]
fn is_plain(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.is_file())
}

/// Gives what was just made to all users, whatever the process's mask is. Where that fails, others go without.
#[cfg(unix)]
fn for_all(file: &File, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let _ = file.set_permissions(std::fs::Permissions::from_mode(mode));
}

#[cfg(not(unix))]
fn for_all(_: &File, _: u32) {}

/// Opens the directory, made if there is none: for all users, who may not delete each other's files.
#[cfg(unix)]
fn open_directory(path: &Path) -> io::Result<Directory> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    const SHARED: u32 = 0o1777;
    let made = match std::fs::DirBuilder::new().mode(SHARED).create(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let handle =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path)?;
    if made {
        for_all(&handle, SHARED);
    }
    let data = handle.metadata()?;
    // Where all may write and delete, a file could be exchanged between two looks at it.
    if data.mode() & 0o022 != 0 && data.mode() & 0o1000 == 0 {
        return Err(io::Error::other("everybody may delete its files (chmod +t helps)"));
    }
    // By its handle the directory stays the same even if somebody exchanges it for a link.
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let own = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        if own.is_dir() {
            return Ok(Directory { path: own, _handle: Some(handle) });
        }
    }
    Ok(Directory { path: path.to_owned(), _handle: Some(handle) })
}

#[cfg(not(unix))]
fn open_directory(path: &Path) -> io::Result<Directory> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !path.symlink_metadata()?.is_dir() {
        return Err(io::Error::other("it is not a directory"));
    }
    Ok(Directory { path: path.to_owned(), _handle: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in a process between its beginning and its program: the files of all threads are open twice.
    #[test]
    fn a_copy_of_a_file_keeps_nothing_locked() {
        let scratch = tempfile::tempdir().unwrap();
        let entered = enter(scratch.path(), "test").unwrap();
        let (open, slot) = entered.count();
        let slot = slot.unwrap();
        let copies = [entered.file.try_clone().unwrap(), slot.locked.try_clone().unwrap()];
        assert_eq!((open, entered.count().0), (0, 1));
        drop(slot);
        assert_eq!(entered.count().0, 0);
        drop(entered);
        // Otherwise it is refused when patience ends.
        let again = enter(scratch.path(), "test").unwrap();
        drop((again, copies));
    }
}
